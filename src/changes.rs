//! What has changed on this node, kept on disk over restarts: `sbps-marshal history`. The lines are those of the log.
//!
//! Nothing is decided by it, and nobody waits for it: a disk that hangs costs what happens meanwhile, and no pass.

use crate::telemetry::Tap;
use actors::events::{
    CHANGE_FAILED, CONFIRMED, LUN_ADDED, LUN_REMADE, LUN_REMOVED, NUMBER_REUSED, SAVE_SET_ASIDE,
};
use serde_json::Value;
use std::fs::{self, DirBuilder, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use tokio::sync::broadcast::error::RecvError;

/// Its name in `state_dir`.
const FILE: &str = "changes.jsonl";

/// What it is called once it is full: together they hold some thousand changes.
const BEFORE: &str = "changes.1.jsonl";

/// Bytes at which it is full.
const FULL: u64 = 1 << 20;

/// The events that are kept.
const KEPT: [&str; 7] = [
    LUN_ADDED.name,
    LUN_REMADE.name,
    LUN_REMOVED.name,
    CHANGE_FAILED.name,
    NUMBER_REUSED.name,
    CONFIRMED.name,
    SAVE_SET_ASIDE.name,
];

/// Keeps what is told from now on, on a thread of its own that nobody waits for.
pub fn keep(tap: &Tap, state_dir: &Path) -> io::Result<()> {
    let (mut told, folder) = (tap.listen(), state_dir.to_owned());
    let record = move || {
        loop {
            match told.blocking_recv() {
                Ok(line) if is_kept(&line) => {
                    if let Err(error) = append(&folder, &line) {
                        tracing::debug!(%error, "a change was not kept for `sbps-marshal history`");
                    }
                }
                Ok(_) | Err(RecvError::Lagged(_)) => {}
                Err(RecvError::Closed) => return,
            }
        }
    };
    std::thread::Builder::new().name("changes".to_owned()).spawn(record).map(drop)
}

fn is_kept(line: &str) -> bool {
    let event: Option<Value> = serde_json::from_str(line).ok();
    event.is_some_and(|event| event["event"].as_str().is_some_and(|name| KEPT.contains(&name)))
}

fn append(folder: &Path, line: &str) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    let path = folder.join(FILE);
    if fs::metadata(&path).is_ok_and(|file| file.len() >= FULL) {
        fs::rename(&path, folder.join(BEFORE))?;
    }
    // There may be a code in it that confirms a removal.
    let mut file = OpenOptions::new().create(true).append(true).mode(0o600).open(path)?;
    let before = file.metadata()?.len();
    file.write_all(format!("{line}\n").as_bytes()).inspect_err(|_| {
        // Half a line would spoil the next one too.
        let _ = file.set_len(before);
    })
}

/// Why nobody can say what has changed.
#[derive(Debug, thiserror::Error)]
#[error("{} cannot be read: run this as root", path.display())]
pub struct ChangesError {
    path: PathBuf,
    source: io::Error,
}

/// The changes since this time (seconds since 1970), the oldest first. A torn line is left out.
pub fn read(state_dir: &Path, since: f64) -> Result<Vec<Value>, ChangesError> {
    let mut all = Vec::new();
    for path in [BEFORE, FILE].map(|name| state_dir.join(name)) {
        let text = match fs::read_to_string(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            text => text.map_err(|source| ChangesError { path, source })?,
        };
        let lines = text.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        all.extend(lines.filter(|line| line["epoch"].as_f64().is_some_and(|at| at >= since)));
    }
    Ok(all)
}

/// One change as a line for a person.
pub fn line(change: &Value) -> String {
    let text = |key: &str| change[key].as_str().unwrap_or_default();
    let time = text("time").get(..19).unwrap_or_default().replace('T', " ");
    let lun = change["lun"].as_u64().map(|lun| format!(" LUN {lun}")).unwrap_or_default();
    let about = if text("image_id").is_empty() { text("subject") } else { text("image_id") };
    let why = ["reason", "detail", "code"].map(text).into_iter().filter(|text| !text.is_empty());
    let why: Vec<&str> = why.collect();
    let why = if why.is_empty() { String::new() } else { format!(" ({})", why.join(": ")) };
    crate::causes::one_line(&format!("{time} {:<14}{lun} {}{why}", text("event"), about), 400)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn added(epoch: f64) -> String {
        format!(
            r#"{{"time":"2026-11-26T14:00:01.5Z","epoch":{epoch},"event":"lun_added","image_id":"PE/a","lun":7}}"#
        )
    }

    #[test]
    fn changes_are_kept_over_a_full_file_and_read_since_a_time_the_oldest_first() {
        let folder = tempfile::tempdir().unwrap();
        assert!(read(folder.path(), 0.0).unwrap().is_empty(), "nothing was ever kept");
        append(folder.path(), &added(1.0)).unwrap();
        let file = OpenOptions::new().append(true).open(folder.path().join(FILE)).unwrap();
        file.set_len(FULL).unwrap();
        append(folder.path(), &added(2.0)).unwrap();
        append(folder.path(), r#"{"torn"#).unwrap();
        append(folder.path(), &added(3.0)).unwrap();
        let epochs = |since| -> Vec<f64> {
            read(folder.path(), since).unwrap().iter().filter_map(|line| line["epoch"].as_f64()).collect()
        };
        assert_eq!((epochs(0.0), epochs(2.5)), (vec![1.0, 2.0, 3.0], vec![3.0]));
    }

    #[test]
    fn only_what_changes_the_node_is_kept_and_a_line_for_a_person_is_one_line() {
        assert!(is_kept(&added(1.0)));
        assert!(!is_kept(r#"{"event":"pass_summary"}"#) && !is_kept("no object"));
        let change = serde_json::from_str(&added(1.0)).unwrap();
        assert_eq!(line(&change), "2026-11-26 14:00:01 lun_added      LUN 7 PE/a");
        let hostile =
            serde_json::json!({"event": "lun_removed", "image_id": "PE/a\n\u{1b}[2J", "reason": "gone"});
        assert!(!line(&hostile).contains(char::is_control), "{}", line(&hostile));
    }
}
