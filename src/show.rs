//! A plan, for a person and for a program.

use crate::causes::{SHOWN, one_line};
use actors::decide::plan::Plan;
use actors::decide::plan::change::{Action, Change, Held};
use actors::model::Actual;
use serde_json::{Value, json};
use std::fmt::Write;

/// For a person: a line for each change, each wait and its reason, then the sum. Keys and reasons hold what others
/// wrote into the bucket.
pub fn text(plan: &Plan, actual: &Actual) -> String {
    let mut out = String::new();
    for change in &plan.changes {
        let lun = change.lun.map_or("-".into(), |lun| lun.to_string());
        let (sign, why) = match &change.action {
            Action::Project(kind, size) => ("+", format!("{kind}, {size} bytes")),
            Action::Remake(kind, _) => ("=", format!("{kind}, made anew: its mount is gone")),
            Action::Withdraw(why) => ("-", why.to_string()),
        };
        line(&mut out, sign, &lun, change.identity.name().as_str(), &change.label, &why);
    }
    for Held { removal, label, hold } in &plan.held {
        let why = format!("{}, held: {hold}", removal.why);
        line(&mut out, "!", "-", removal.ours.identity.name().as_str(), label, &why);
    }
    if let Some(tripped) = &plan.tripped {
        line(&mut out, "!", "-", "breaker", &tripped.code, &tripped.to_string());
    }
    for (label, cause) in &plan.unclear {
        line(&mut out, "!", "-", cause.kind, label, &cause.to_string());
    }
    for finding in &plan.findings {
        line(&mut out, "!", "-", finding.kind, &finding.subject, &finding.detail);
    }
    for pending in &plan.pending {
        line(&mut out, "?", "-", pending.reason.kind(), &pending.label, &pending.reason.to_string());
    }
    for (label, what) in &plan.odd {
        line(&mut out, "~", "-", what, label, "live, and not touched");
    }
    for cause in &plan.unknown {
        line(&mut out, "!", "-", cause.kind, "no answer", &cause.to_string());
    }
    let (live, changes) = (plan.live, plan.changes.len());
    let (held, pending) = (plan.held.len(), plan.pending.len());
    let _ = writeln!(
        out,
        "{}: {live} live, {changes} to change, {held} removals held, {pending} pending",
        actual.tpg_path
    );
    out
}

fn line(out: &mut String, sign: &str, lun: &str, name: &str, label: &str, why: &str) {
    let (label, why) = (one_line(label, SHOWN), one_line(why, SHOWN));
    // Writing to a String cannot fail.
    let _ = writeln!(out, "{sign} {lun:>5} {name:<15} \"{label}\" ({why})");
}

/// For a program: one object.
pub fn json(plan: &Plan, actual: &Actual) -> String {
    let changes: Vec<Value> = plan.changes.iter().map(change).collect();
    let held: Vec<Value> = plan.held.iter().map(self::held).collect();
    let pending: Vec<Value> = plan
        .pending
        .iter()
        .map(|p| {
            json!({
                "kind": p.kind.to_string(), "image_id": p.label,
                "reason": p.reason.kind(), "detail": p.reason.to_string(),
            })
        })
        .collect();
    let odd: Vec<Value> =
        plan.odd.iter().map(|(label, what)| json!({"image_id": label, "reason": what})).collect();
    let unclear: Vec<Value> = plan
        .unclear
        .iter()
        .map(|(label, c)| {
            let source = c.source_name.to_string();
            json!({"image_id": label, "source": source, "reason": c.kind, "detail": c.detail})
        })
        .collect();
    let findings: Vec<Value> = plan
        .findings
        .iter()
        .map(|f| json!({"event": f.event, "subject": f.subject, "reason": f.kind, "detail": f.detail}))
        .collect();
    let unknown: Vec<Value> = plan
        .unknown
        .iter()
        .map(|c| json!({"source": c.source_name.to_string(), "reason": c.kind, "detail": c.detail}))
        .collect();
    let whole = json!({
        "tpg": actual.tpg_path, "live": plan.live, "changes": changes, "held": held,
        "pending": pending, "odd": odd, "unknown": unknown, "unclear": unclear, "findings": findings,
        "confirm_code": plan.tripped.as_ref().map(|tripped| &tripped.code),
    });
    format!("{whole:#}\n")
}

fn change(change: &Change) -> Value {
    let (action, kind, size, reason) = match &change.action {
        Action::Project(kind, size) => ("project", Some(kind.to_string()), Some(*size), None),
        Action::Remake(kind, size) => ("remake", Some(kind.to_string()), Some(*size), None),
        Action::Withdraw(why) => ("withdraw", None, None, Some(why.to_string())),
    };
    let steps: Vec<String> = change.steps.iter().map(ToString::to_string).collect();
    json!({
        "action": action, "kind": kind, "image_id": change.label, "lun": change.lun,
        "name": change.identity.name().as_str(), "wwn": change.identity.wwn().as_str(),
        "wwid": change.identity.initiator_wwid(), "file": change.file, "size_bytes": size,
        "reason": reason, "steps": steps,
    })
}

fn held(Held { removal, label, hold }: &Held) -> Value {
    json!({
        "image_id": label, "key": removal.ours.key.as_str(), "name": removal.ours.identity.name().as_str(),
        "reason": removal.why.to_string(), "held_by": hold.kind(), "detail": hold.to_string(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_for_a_person_is_one_line_whatever_the_bucket_holds() {
        let mut out = String::new();
        let why = format!("its manifest names \u{1b}[2J\n{}", "x".repeat(1 << 20));
        line(&mut out, "?", "-", "manifest_bad", "PE/a\r\u{1b}]0;title\u{7}", &why);
        assert_eq!(out.lines().count(), 1);
        assert!(out.len() < 500 && !out.trim_end().contains(char::is_control), "{out:?}");
        assert!(out.contains(r"names \u{1b}[2J\nxxx"), "{out}");
    }

    #[test]
    fn a_plain_line_stays_as_it_is() {
        let mut out = String::new();
        line(&mut out, "+", "7", "0123456789abcde", "PE/a.squashfs", "pe, 4096 bytes");
        assert_eq!(out, "+     7 0123456789abcde \"PE/a.squashfs\" (pe, 4096 bytes)\n");
    }
}
