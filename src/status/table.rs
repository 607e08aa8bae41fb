//! The status of a node for a person: short lines, aligned, colours where a terminal shows them.

use super::document::{AgentStatus, Document, OpenCondition, Projected};
use crate::causes::counted;
use crate::causes::one_line;
use std::fmt::Write;
use std::time::Duration;

/// Characters of one value from outside.
const SHOWN: usize = 200;

const RED: &str = "31";
const YELLOW: &str = "33";
const GREEN: &str = "32";

/// Lines to be shown.
struct Page {
    text: String,
    colours: bool,
}

/// The status as text; with `colours`, with ANSI sequences.
pub fn table(document: &Document, colours: bool) -> String {
    let mut page = Page { text: String::new(), colours };
    page.head(document);
    match &document.agent {
        Some(agent) => page.agent(agent, document.taken),
        None => page.line("agent", RED, "down: this is what configfs and saveconfig.json show"),
    }
    let logged_in = document.sessions.len();
    let portals = if document.portals.is_empty() { "none".into() } else { document.portals.join(" ") };
    page.line("portals", "", &format!("{portals}; {logged_in} initiators logged in"));
    page.projections(&document.projections);
    page.conditions(&document.conditions, document.taken);
    page.text
}

impl Page {
    fn head(&mut self, document: &Document) {
        let Document { node, iqn, version, map_digest, .. } = document;
        self.push(&format!("{node}  {iqn}  sbps-marshal {version}  LUN map {map_digest}\n\n"));
    }

    fn agent(&mut self, agent: &AgentStatus, now: f64) {
        let up = ago(now - agent.started);
        self.line("agent", GREEN, &format!("process {}, for {up}", agent.pid));
        match &agent.pass {
            None => self.line("last pass", YELLOW, "none yet"),
            Some(pass) => {
                let colour = if pass.result == "converged" { GREEN } else { YELLOW };
                let ended = ago(now - pass.ended);
                let changes = format!("+{} -{}", pass.added + pass.remade, pass.removed);
                let failed =
                    if pass.failed > 0 { format!(", {} failed", pass.failed) } else { String::new() };
                let (id, result, seconds) = (pass.scan_id, pass.result.replace('_', " "), pass.seconds);
                let text = format!("{id}, {result}, {ended} ago, took {seconds:.1} s, {changes}{failed}");
                self.line("last pass", colour, &text);
            }
        }
        match agent.next_pass {
            Some(next) => self.line("next pass", "", &format!("in {}", ago(next - now))),
            None if agent.passing => self.line("next pass", "", "one is under way"),
            None => {}
        }
        for (name, source) in &agent.sources {
            let last = source
                .last_answer
                .map_or("never answered".into(), |at| format!("last answer {} ago", ago(now - at)));
            match (&source.reason, &source.detail) {
                (None, _) => self.line(name, GREEN, &format!("answers; {last}")),
                (Some(reason), detail) => {
                    let detail = detail.as_deref().unwrap_or_default();
                    self.line(name, RED, &format!("{reason}; {last}; {detail}"));
                }
            }
        }
        let identity = &agent.identity;
        let way = identity.way.as_deref().unwrap_or("not asked for yet");
        let who = identity.spiffe_id.as_deref().map(|id| format!(", {id}")).unwrap_or_default();
        let ends = identity.expires.map(|at| format!(", good for {}", ago(at - now))).unwrap_or_default();
        self.line("identity", "", &format!("{way}{who}{ends}"));
        let until =
            agent.session.released_until.map(|at| format!(" for {}", ago(at - now))).unwrap_or_default();
        self.line("session", "", &format!("{}{until}", agent.session.state));
    }

    fn projections(&mut self, projections: &[Projected]) {
        let count = |state: &str| projections.iter().filter(|one| one.state == state).count();
        let live = projections.iter().filter(|one| one.lun.is_some()).count();
        let second_look =
            projections.iter().filter(|one| one.reason.as_deref() == Some("second_look")).count();
        let (pending, held) = (count("pending"), count("held") - second_look);
        let awaiting = match second_look {
            0 => String::new(),
            count => format!(", {count} awaiting a second observation"),
        };
        let (live, pending, held) =
            (counted(live, "LUN"), counted(pending, "image"), counted(held, "removal"));
        self.push(&format!("\n{live}, {pending} pending, {held} held{awaiting}\n"));
        if projections.is_empty() {
            return;
        }
        self.push("  LUN  STATE    KIND    NAME             READ MiB  IMAGE\n");
        for one in projections {
            let colour = match one.state.as_str() {
                "live" => "",
                _ => YELLOW,
            };
            let lun = one.lun.map_or("-".into(), |lun| lun.to_string());
            let name = one.name.as_deref().unwrap_or("-");
            let read = one.read_bytes.map_or("-".into(), |bytes| (bytes >> 20).to_string());
            let id = one_line(&one.image_id, SHOWN);
            let called = one.image_name.as_deref().map(|name| format!(" ({})", one_line(name, SHOWN)));
            let state = self.painted(colour, &format!("{:<8}", one.state));
            let row = format!(
                "{lun:>5}  {state} {:<7} {name:<15} {read:>9}  {id}{}\n",
                one.kind,
                called.unwrap_or_default()
            );
            self.push(&row);
            if let Some(reason) = &one.reason {
                let detail = one_line(one.detail.as_deref().unwrap_or_default(), SHOWN);
                self.push(&format!("       {reason}: {detail}\n"));
                if let Some(code) = &one.confirm_code {
                    self.push(&format!("       sbps-marshal confirm-removal {code}\n"));
                }
            }
        }
    }

    fn conditions(&mut self, conditions: &[OpenCondition], now: f64) {
        if conditions.is_empty() {
            return;
        }
        self.push("\nWhat is wrong:\n");
        for OpenCondition { event, level, subject, reason, detail, since } in conditions {
            let colour = if level == "error" { RED } else { YELLOW };
            let level = self.painted(colour, &format!("{level:<5}"));
            let since = since.map(|since| format!(" for {}", ago(now - since))).unwrap_or_default();
            let (subject, detail) = (one_line(subject, SHOWN), one_line(detail, SHOWN));
            self.push(&format!("  {level} {event} ({reason}){since}: {subject}: {detail}\n"));
        }
    }

    fn line(&mut self, what: &str, colour: &str, text: &str) {
        let text = self.painted(colour, &one_line(text, 2 * SHOWN));
        self.push(&format!("{what:<10} {text}\n"));
    }

    fn push(&mut self, text: &str) {
        // Writing to a String cannot fail.
        let _ = self.text.write_str(text);
    }

    fn painted(&self, colour: &str, text: &str) -> String {
        match self.colours && !colour.is_empty() {
            true => format!("\u{1b}[{colour}m{text}\u{1b}[0m"),
            false => text.to_owned(),
        }
    }
}

/// A length of time, in its largest two units: `3 d 4 h`.
fn ago(seconds: f64) -> String {
    let seconds = Duration::try_from_secs_f64(seconds.max(0.0)).unwrap_or_default().as_secs();
    let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86400);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{seconds} s"),
        (0, 0, _) => format!("{minutes} min {} s", seconds % 60),
        (0, _, _) => format!("{hours} h {} min", minutes % 60),
        _ => format!("{days} d {} h", hours % 24),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::status::document::{PassStatus, SourceStatus};

    fn document() -> Document {
        let pass = PassStatus {
            scan_id: 7,
            ended: 940.0,
            seconds: 1.25,
            result: "converged".into(),
            ..PassStatus::default()
        };
        let down = SourceStatus {
            up: false,
            last_answer: Some(400.0),
            reason: Some("timeout".into()),
            detail: Some("no answer within 20 s".into()),
        };
        let agent = AgentStatus {
            pid: 12,
            started: 100.0,
            pass: Some(pass),
            next_pass: Some(1120.0),
            sources: [("ims".to_owned(), down)].into(),
            ..AgentStatus::default()
        };
        let hostile = Projected {
            state: "pending".into(),
            kind: "pe".into(),
            image_id: "PE/a\u{1b}[2J\n31337 live".into(),
            reason: Some("size_differs".into()),
            ..Projected::default()
        };
        Document {
            node: "ncn-w001".into(),
            taken: 1000.0,
            agent: Some(agent),
            projections: vec![hostile],
            ..Document::default()
        }
    }

    #[test]
    fn a_status_says_what_is_projected_what_waits_and_who_does_not_answer() {
        let text = table(&document(), false);
        for line in [
            "last pass  7, converged, 1 min 0 s ago, took 1.2 s, +0 -0",
            "next pass  in 2 min 0 s",
            "ims        timeout; last answer 10 min 0 s ago; no answer within 20 s",
            "0 LUNs, 1 image pending, 0 removals held",
        ] {
            assert!(text.lines().any(|shown| shown == line), "{line}\n{text}");
        }
    }

    #[test]
    fn nothing_from_outside_reaches_a_terminal_as_it_is_and_colours_only_if_they_are_wanted() {
        assert!(!table(&document(), false).contains('\u{1b}'));
        let coloured = table(&document(), true);
        assert!(coloured.contains("\u{1b}[31m") && !coloured.contains("\u{1b}[2J"));
        assert_eq!(coloured.lines().count(), table(&document(), false).lines().count());
    }

    #[test]
    fn without_an_agent_the_first_lines_say_so() {
        let text = table(&Document { agent: None, ..document() }, false);
        assert!(
            text.lines().any(|line| line.starts_with("agent      down: this is what configfs")),
            "{text}"
        );
    }
}
