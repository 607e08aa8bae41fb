//! The commands by which an operator looks at the running agent and leads it.

use crate::changes;
use crate::cli::{NOT_CONVERGED, fail, print, print_json};
use crate::compare;
use crate::config::Settings;
use crate::control::client::{Agent, Judged, ResyncLine};
use crate::locate::{self, Format, Located};
use crate::run::runtime;
use crate::status::{self, Document};
use crate::telemetry::complain;
use serde_json::Value;
use std::error::Error;
use std::io::IsTerminal;
use std::path::PathBuf;
use std::process::ExitCode;
use std::str::FromStr;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// From one look to the next.
const WATCH_EVERY: Duration = Duration::from_secs(2);

/// To the upper left corner of an empty terminal.
const CLEAR: &str = "\u{1b}[H\u{1b}[2J";

/// A length of time: `90s`, `30min`, `2h`, `7d`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Ago(Duration);

impl FromStr for Ago {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let wrong = || format!("{text:?} is no length of time: give 90s, 30min, 2h or 7d");
        let unit = text.trim_start_matches(|c: char| c.is_ascii_digit());
        let seconds = match unit {
            "s" => 1,
            "m" | "min" => 60,
            "h" => 3600,
            "d" => 86_400,
            _ => return Err(wrong()),
        };
        let number: u64 = text[..text.len() - unit.len()].parse().map_err(|_| wrong())?;
        number.checked_mul(seconds).map(|seconds| Ago(Duration::from_secs(seconds))).ok_or_else(wrong)
    }
}

/// Whether ANSI colours are wanted (no-color.org).
fn colours() -> bool {
    std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}

/// What the running agent knows of the node; without one, what can be seen of it.
async fn document(settings: &Settings) -> Result<Document, Box<dyn Error>> {
    match Agent::find(&settings.runtime_dir) {
        Ok(agent) => Ok(agent.status().await?),
        Err(error) if error.is_about_nobody() => Ok(status::without_agent(settings).await?),
        Err(error) => Err(error.into()),
    }
}

/// `locate`: everything about one image.
pub fn locate(settings: &Settings, image: &str, format: Format) -> ExitCode {
    let document = match runtime().block_on(document(settings)) {
        Ok(document) => document,
        Err(error) => return fail(&*error),
    };
    let located = locate::find(&document, image).map(|image| Located::new(&document, image));
    match located.and_then(|located| located.render(format)) {
        Ok(text) => print(&text),
        Err(error) => fail(&error),
    }
}

/// `status`.
pub fn status(settings: &Settings, json: bool, watch: bool) -> ExitCode {
    let runtime = runtime();
    loop {
        let document = match runtime.block_on(document(settings)) {
            Ok(document) => document,
            Err(error) if watch => {
                fail(&*error);
                std::thread::sleep(WATCH_EVERY);
                continue;
            }
            Err(error) => return fail(&*error),
        };
        let shown = if json { print_json(&document) } else { print(&page(&document, watch)) };
        if !watch {
            return shown;
        }
        std::thread::sleep(WATCH_EVERY);
    }
}

fn page(document: &Document, watch: bool) -> String {
    let clear = if watch && std::io::stdout().is_terminal() { CLEAR } else { "" };
    format!("{clear}{}", status::table(document, colours()))
}

/// `resync`, and `confirm-removal` with a code: a pass now, and what it comes to.
pub fn resync(settings: &Settings, confirmed: Option<&str>) -> ExitCode {
    let asked = runtime().block_on(async {
        let show = |line: &ResyncLine| {
            if let Some(line) = told(line) {
                print(&line);
            }
        };
        Agent::find(&settings.runtime_dir)?.resync(confirmed, show).await
    });
    match asked {
        // That something else waits is no matter of what was confirmed.
        Ok(ResyncLine::Done { confirmation: Some(judged), .. }) => confirmation(judged),
        Ok(ResyncLine::Done { converged: true, .. }) => ExitCode::SUCCESS,
        Ok(ResyncLine::Done { .. }) => ExitCode::from(NOT_CONVERGED),
        Ok(_) => ExitCode::FAILURE,
        Err(error) => fail(&error),
    }
}

fn confirmation(judged: Judged) -> ExitCode {
    let why = match judged {
        Judged::Confirmed => return ExitCode::SUCCESS,
        Judged::Unmatched => "nothing of this code waits any more: look at `sbps-marshal status` again",
        Judged::Dropped => "a source did not answer, so the code does not count: confirm again when it does",
    };
    complain(&format!("sbps-marshal: {why}"));
    ExitCode::FAILURE
}

/// A line of a pass, for a person.
fn told(line: &ResyncLine) -> Option<String> {
    Some(match line {
        ResyncLine::Looking => "looking at IMS, S3, the mount and LIO\n".to_owned(),
        ResyncLine::Changing { done, of } => format!("changing LIO: {} of {of}\n", done + 1),
        ResyncLine::Told(event) => {
            // What the last line says anyway, and what was just asked for.
            let shown = !matches!(event["event"].as_str(), Some("pass_summary" | "resync"));
            return shown.then(|| format!("  {}\n", changes::line(event)));
        }
        ResyncLine::Done { converged, summary, .. } => {
            let result = if *converged { "converged" } else { "not converged: see `sbps-marshal status`" };
            format!("{summary}; {result}\n")
        }
        ResyncLine::Lost { why } => {
            complain(&format!("sbps-marshal: {why}"));
            return None;
        }
    })
}

/// `release`: the session with targetclid is somebody else's for a while.
pub fn release(settings: &Settings, minutes: u64) -> ExitCode {
    let asked = async { Agent::find(&settings.runtime_dir)?.release(minutes).await };
    match runtime().block_on(asked) {
        Ok(_) if minutes == 0 => print("taken back: the agent uses targetclid again\n"),
        Ok(_) => print(&format!(
            "targetclid is yours for {minutes} min: the agent changes nothing meanwhile; `sbps-marshal release 0` takes it back\n"
        )),
        Err(error) => fail(&error),
    }
}

/// `history`: what has changed on this node. Files are read, so no agent need run.
pub fn history(settings: &Settings, since: Option<Ago>, json: bool) -> ExitCode {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let since = since.map_or(0.0, |Ago(ago)| now.saturating_sub(ago).as_secs_f64());
    match changes::read(&settings.state_dir, since) {
        Ok(all) if json => print_json(&all),
        Ok(all) if all.is_empty() => print("no change is known\n"),
        Ok(all) => print(&all.iter().map(|change: &Value| changes::line(change) + "\n").collect::<String>()),
        Err(error) => fail(&error),
    }
}

/// `compare`.
pub fn compare(files: &[PathBuf]) -> ExitCode {
    let nodes: Vec<Document> = match files.iter().map(|file| compare::read(file)).collect() {
        Ok(nodes) => nodes,
        Err(error) => return fail(&error),
    };
    let differences = compare::differences(&nodes);
    if differences.is_empty() {
        return print(&format!("{} workers show the same LUNs\n", nodes.len()));
    }
    print(&differences.iter().map(|line| format!("{line}\n")).collect::<String>());
    ExitCode::from(NOT_CONVERGED)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_length_of_time_has_a_unit_and_anything_else_is_refused_with_examples() {
        let seconds = |text: &str| text.parse::<Ago>().map(|ago| ago.0.as_secs());
        assert_eq!(
            ["90s", "30min", "5m", "2h", "7d"].map(seconds),
            [Ok(90), Ok(1800), Ok(300), Ok(7200), Ok(604_800)]
        );
        for wrong in ["", "2", "h", "-1h", "1.5h", "2 h", "99999999999999999999d", "9999999999999999d"] {
            assert!(seconds(wrong).unwrap_err().contains("30min"), "{wrong}");
        }
    }

    #[test]
    fn a_pass_is_told_step_by_step_and_its_end_in_one_line() {
        let event = serde_json::json!({"event": "lun_added", "time": "2026-11-26T14:00:01Z", "image_id": "PE/a", "lun": 7});
        let done = ResyncLine::Done {
            scan_id: 7,
            converged: true,
            summary: "pass 7: 1 live, +1 -0".into(),
            confirmation: None,
        };
        let lines = [ResyncLine::Changing { done: 0, of: 2 }, ResyncLine::Told(event), done];
        let shown: Vec<String> = lines.iter().filter_map(told).collect();
        assert_eq!(shown[0], "changing LIO: 1 of 2\n");
        assert_eq!(shown[1], "  2026-11-26 14:00:01 lun_added      LUN 7 PE/a\n");
        assert_eq!(shown[2], "pass 7: 1 live, +1 -0; converged\n");
        assert_eq!(told(&ResyncLine::Told(serde_json::json!({"event": "pass_summary"}))), None);
    }
}
