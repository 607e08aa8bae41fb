//! A plan, for a person and for a program.

use crate::causes::{SHOWN, one_line};
use actors::decide::plan::Plan;
use actors::decide::plan::change::{Action, Change, Held};
use actors::decide::removals::Hold;
use actors::model::{Actual, Cause, ImageRef, Subject};
use serde::Serialize;
use std::fmt::Write;

/// For a person: a line for each change, each wait and its reason, then the sum. Keys and reasons hold what others
/// wrote into the bucket.
pub fn text(plan: &Plan, actual: &Actual) -> String {
    let mut out = String::new();
    let mut line = |line: Line<'_>| line.write_to(&mut out);
    for change in &plan.changes {
        let kind = change.image.kind();
        let (sign, why) = match &change.action {
            Action::Project(size) => ("+", format!("{kind}, {size} bytes")),
            Action::Remake(_) => ("=", format!("{kind}, recreated: its mount is gone")),
            Action::Withdraw(why) => ("-", why.to_string()),
        };
        let name = change.identity.name();
        line(Line { sign, lun: change.lun, name: name.as_str(), about: change.image.as_str(), why });
    }
    for Held { removal, image, hold } in &plan.held {
        let (name, why) = (removal.ours.identity.name(), format!("{}, held: {hold}", removal.why));
        line(Line { sign: "!", lun: None, name: name.as_str(), about: image.as_str(), why });
    }
    // What is no LUN of ours has its reason in the place of the name.
    let mut told = |sign, name, about: &str, why| line(Line { sign, lun: None, name, about, why });
    if let Some(tripped) = &plan.tripped {
        told("!", "breaker", &tripped.code, tripped.to_string());
    }
    for unclear in &plan.unclear {
        told("!", unclear.cause.kind, unclear.image.as_str(), unclear.cause.to_string());
    }
    for finding in &plan.findings {
        told("!", finding.kind, subject(&finding.subject), finding.detail.clone());
    }
    for pending in &plan.pending {
        told("?", pending.reason.kind(), pending.image.as_str(), pending.reason.to_string());
    }
    for drifted in &plan.drifted {
        told("~", drifted.kind, drifted.image.as_str(), format!("live; {}", drifted.remedy()));
    }
    for cause in &plan.unknown {
        told("!", cause.kind, "no answer", cause.to_string());
    }
    let (live, changes) = (plan.live, plan.changes.len());
    let (held, pending) = (plan.held.len(), plan.pending.len());
    // Writing to a String cannot fail.
    let _ = writeln!(
        out,
        "{}: {live} live, {changes} to change, {held} removals held, {pending} pending",
        actual.tpg_path
    );
    out
}

struct Line<'a> {
    /// `+` `=` `-` are done; `!` waits, or is wrong; `?` is not projected; `~` is live and wrong.
    sign: &'static str,
    lun: Option<u16>,
    name: &'a str,
    about: &'a str,
    why: String,
}

impl Line<'_> {
    fn write_to(self, out: &mut String) {
        let Line { sign, lun, name, .. } = self;
        let lun = lun.map_or("-".to_owned(), |lun| lun.to_string());
        let (about, why) = (one_line(self.about, SHOWN), one_line(&self.why, SHOWN));
        // Writing to a String cannot fail.
        let _ = writeln!(out, "{sign} {lun:>5} {name:<15} \"{about}\" ({why})");
    }
}

fn subject(subject: &Subject) -> &str {
    match subject {
        Subject::Image(image) => image.as_str(),
        Subject::Other(other) => other,
    }
}

/// For a program: one object, `plan --json`, described in docs/plan.md. Every reason is short and from a bounded set.
#[derive(Debug, Serialize)]
pub struct PlanJson<'a> {
    /// Our TPG's folder below the configfs root.
    tpg: &'a str,
    /// Projections that have a LUN now.
    live: usize,
    /// What would be done, in this order.
    changes: Vec<ChangeJson<'a>>,
    /// Removals that wait.
    held: Vec<HeldJson<'a>>,
    /// Images that are not projected.
    pending: Vec<PendingJson<'a>>,
    /// Live projections that look wrong, and are not touched.
    drifted: Vec<DriftedJson<'a>>,
    /// Sources that did not answer.
    unknown: Vec<CauseJson<'a>>,
    /// Images that could not be judged.
    unclear: Vec<UnclearJson<'a>>,
    /// What is wrong with the node, or with what is live on it.
    findings: Vec<FindingJson<'a>>,
    /// For `confirm-removal`, if removals wait for an operator.
    confirm_code: Option<&'a str>,
}

/// One image that changes.
#[derive(Debug, Serialize)]
struct ChangeJson<'a> {
    /// `project`, `remake` or `withdraw`.
    action: &'static str,
    /// `rootfs` or `pe`.
    kind: String,
    image_id: &'a ImageRef,
    lun: Option<u16>,
    /// Of the backstore; the SCSI product.
    name: String,
    /// Unit serial.
    wwn: &'a str,
    /// By which an initiator's multipath knows it.
    wwid: String,
    file: &'a str,
    /// Of what is made.
    size_bytes: Option<u64>,
    /// Why it is withdrawn.
    reason: Option<String>,
    steps: Vec<String>,
}

#[derive(Debug, Serialize)]
struct HeldJson<'a> {
    image_id: &'a ImageRef,
    key: &'a str,
    name: String,
    /// Why it would go.
    evidence: String,
    /// Why it does not.
    reason: &'static str,
    detail: String,
    /// With which it goes all the same, if it is in use.
    confirm_code: Option<&'a str>,
}

#[derive(Debug, Serialize)]
struct PendingJson<'a> {
    kind: String,
    image_id: &'a ImageRef,
    reason: &'static str,
    detail: String,
}

#[derive(Debug, Serialize)]
struct DriftedJson<'a> {
    image_id: &'a ImageRef,
    reason: &'static str,
}

#[derive(Debug, Serialize)]
struct CauseJson<'a> {
    source: String,
    reason: &'static str,
    detail: &'a str,
}

#[derive(Debug, Serialize)]
struct UnclearJson<'a> {
    image_id: &'a ImageRef,
    #[serde(flatten)]
    cause: CauseJson<'a>,
}

#[derive(Debug, Serialize)]
struct FindingJson<'a> {
    event: &'static str,
    subject: &'a str,
    reason: &'static str,
    detail: &'a str,
}

impl<'a> PlanJson<'a> {
    /// Of this plan.
    pub fn new(plan: &'a Plan, actual: &'a Actual) -> Self {
        PlanJson {
            tpg: actual.tpg_path.as_str(),
            live: plan.live,
            changes: plan.changes.iter().map(change).collect(),
            held: plan.held.iter().map(held).collect(),
            pending: plan
                .pending
                .iter()
                .map(|pending| PendingJson {
                    kind: pending.image.kind().to_string(),
                    image_id: &pending.image,
                    reason: pending.reason.kind(),
                    detail: pending.reason.to_string(),
                })
                .collect(),
            drifted: plan
                .drifted
                .iter()
                .map(|drifted| DriftedJson { image_id: &drifted.image, reason: drifted.kind })
                .collect(),
            unknown: plan.unknown.iter().map(cause).collect(),
            unclear: plan
                .unclear
                .iter()
                .map(|unclear| UnclearJson { image_id: &unclear.image, cause: cause(&unclear.cause) })
                .collect(),
            findings: plan
                .findings
                .iter()
                .map(|finding| FindingJson {
                    event: finding.condition.event(),
                    subject: subject(&finding.subject),
                    reason: finding.kind,
                    detail: &finding.detail,
                })
                .collect(),
            confirm_code: plan.tripped.as_ref().map(|tripped| tripped.code.as_str()),
        }
    }
}

fn change(change: &Change) -> ChangeJson<'_> {
    let (action, size_bytes, reason) = match &change.action {
        Action::Project(size) => ("project", Some(*size), None),
        Action::Remake(size) => ("remake", Some(*size), None),
        Action::Withdraw(why) => ("withdraw", None, Some(why.to_string())),
    };
    ChangeJson {
        action,
        kind: change.image.kind().to_string(),
        image_id: &change.image,
        lun: change.lun,
        name: change.identity.name().to_string(),
        wwn: change.identity.wwn().as_str(),
        wwid: change.identity.initiator_wwid(),
        file: &change.file,
        size_bytes,
        reason,
        steps: change.steps.iter().map(ToString::to_string).collect(),
    }
}

fn held(Held { removal, image, hold }: &Held) -> HeldJson<'_> {
    let confirm_code = match hold {
        Hold::InUse(in_use) => Some(in_use.code.as_str()),
        _ => None,
    };
    HeldJson {
        image_id: image,
        key: removal.ours.key.as_str(),
        name: removal.ours.identity.name().to_string(),
        evidence: removal.why.to_string(),
        reason: hold.kind(),
        detail: hold.to_string(),
        confirm_code,
    }
}

fn cause(cause: &Cause) -> CauseJson<'_> {
    CauseJson { source: cause.source_name.to_string(), reason: cause.kind, detail: &cause.detail }
}

#[cfg(test)]
mod tests {
    use super::*;
    use actors::model::ObjectKey;

    #[test]
    fn a_line_for_a_person_is_one_line_whatever_the_bucket_holds() {
        let mut out = String::new();
        let why = format!("its manifest names \u{1b}[2J\n{}", "x".repeat(1 << 20));
        let about = "PE/a\r\u{1b}]0;title\u{7}";
        Line { sign: "?", lun: None, name: "manifest_bad", about, why }.write_to(&mut out);
        assert_eq!(out.lines().count(), 1);
        assert!(out.len() < 500 && !out.trim_end().contains(char::is_control), "{out:?}");
        assert!(out.contains(r"names \u{1b}[2J\nxxx"), "{out}");
    }

    #[test]
    fn a_plain_line_stays_as_it_is() {
        let mut out = String::new();
        let (name, why) = ("0123456789abcde", "pe, 4096 bytes".to_owned());
        Line { sign: "+", lun: Some(7), name, about: "PE/a.squashfs", why }.write_to(&mut out);
        assert_eq!(out, "+     7 0123456789abcde \"PE/a.squashfs\" (pe, 4096 bytes)\n");
    }

    /// Every key, as docs/plan.md writes it: `changes[].steps[]`.
    fn keys(prefix: &str, value: &serde_json::Value, found: &mut Vec<String>) {
        match value {
            serde_json::Value::Object(fields) => {
                for (name, field) in fields {
                    let path = if prefix.is_empty() { name.clone() } else { format!("{prefix}.{name}") };
                    let list = if field.is_array() { "[]" } else { "" };
                    found.push(format!("{path}{list}"));
                    keys(&format!("{path}{list}"), field, found);
                }
            }
            serde_json::Value::Array(entries) => entries.iter().for_each(|entry| keys(prefix, entry, found)),
            _ => {}
        }
    }

    #[test]
    fn the_documentation_has_every_key_of_a_plan_and_no_other() {
        let image = ImageRef::Pe(ObjectKey::new("PE/a"));
        let (kind, name) = ("pe".to_owned(), "n".to_owned());
        let cause = || CauseJson { source: "ims".into(), reason: "timeout", detail: "" };
        let plan = PlanJson {
            tpg: "",
            live: 0,
            changes: vec![ChangeJson {
                action: "project",
                kind: kind.clone(),
                image_id: &image,
                lun: None,
                name: name.clone(),
                wwn: "",
                wwid: String::new(),
                file: "",
                size_bytes: None,
                reason: None,
                steps: vec![String::new()],
            }],
            held: vec![HeldJson {
                image_id: &image,
                key: "",
                name,
                evidence: String::new(),
                reason: "breaker",
                detail: String::new(),
                confirm_code: None,
            }],
            pending: vec![PendingJson { kind, image_id: &image, reason: "", detail: String::new() }],
            drifted: vec![DriftedJson { image_id: &image, reason: "" }],
            unknown: vec![cause()],
            unclear: vec![UnclearJson { image_id: &image, cause: cause() }],
            findings: vec![FindingJson { event: "", subject: "", reason: "", detail: "" }],
            confirm_code: None,
        };
        let mut printed = Vec::new();
        keys("", &serde_json::to_value(plan).unwrap(), &mut printed);
        let page = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/plan.md")).unwrap();
        let rows = page.lines().filter_map(|line| line.strip_prefix("| `")?.split('`').next());
        let mut documented: Vec<String> = rows.map(str::to_owned).collect();
        printed.sort();
        documented.sort();
        assert_eq!(documented, printed);
    }
}
