//! What is left, what is taken, and who is signalled.

use super::*;
use crate::lock::InstanceLock;

/// One folder for everything.
fn both(dir: &tempfile::TempDir) -> Folders<'_> {
    Folders { runtime_dir: dir.path(), state_dir: dir.path() }
}

/// Takes a confirmation that was left so long ago.
fn taken_after(dir: &Path, seconds: u64) -> Result<Option<String>, DropError> {
    fs::write(dir.join(FILE), "1a2b3c4d 4711\n").unwrap();
    consume_at(Duration::from_secs(4711 + seconds), dir)
}

#[test]
fn r3_a_confirmation_counts_once() {
    let dir = tempfile::tempdir().unwrap();
    assert_eq!(consume(dir.path()).unwrap(), None);
    assert_eq!(taken_after(dir.path(), 0).unwrap(), Some("1a2b3c4d".to_owned()));
    assert_eq!(consume(dir.path()).unwrap(), None);
}

#[test]
fn m11_a_confirmation_is_good_for_a_minute_and_is_gone_after_it_was_looked_at() {
    let dir = tempfile::tempdir().unwrap();
    assert_eq!(taken_after(dir.path(), 60).unwrap(), Some("1a2b3c4d".to_owned()));
    let dropped = taken_after(dir.path(), 61).unwrap_err();
    assert_eq!(dropped.kind(), "old");
    assert!(
        dropped.to_string().ends_with("was left 61 s ago and is good for 60 s: confirm again"),
        "{dropped}"
    );
    assert_eq!(consume(dir.path()).unwrap(), None);
}

#[test]
fn m11_what_has_no_time_or_one_of_another_boot_confirms_nothing() {
    let dir = tempfile::tempdir().unwrap();
    for text in ["1a2b3c4d\n", "", "1a2b3c4d soon", "1a2b3c4d 99999999999", "\u{0}\u{1}"] {
        fs::write(dir.path().join(FILE), text).unwrap();
        assert_eq!(consume(dir.path()).unwrap_err().kind(), "malformed", "{text:?}");
        assert_eq!(consume(dir.path()).unwrap(), None);
    }
    fs::create_dir(dir.path().join(FILE)).unwrap();
    assert_eq!(consume(dir.path()).unwrap_err().kind(), "io");
}

#[test]
fn m11_a_process_that_does_not_hold_the_lock_is_not_signalled() {
    let dir = tempfile::tempdir().unwrap();
    // A SIGHUP would end this test.
    fs::write(dir.path().join(lock::FILE), format!("{}\n", std::process::id())).unwrap();
    let error = write(both(&dir), "1a2b3c4d").unwrap_err();
    assert!(matches!(error, ConfirmError::NoAgent { .. }), "{error}");
    assert!(error.to_string().contains("no agent runs"), "{error}");
    assert!(!dir.path().join(FILE).exists());
}

#[test]
fn m11_a_single_pass_takes_no_confirmation_and_is_not_signalled() {
    let dir = tempfile::tempdir().unwrap();
    let _lock = InstanceLock::acquire(dir.path(), true).unwrap();
    let error = write(both(&dir), "1a2b3c4d").unwrap_err();
    assert!(matches!(error, ConfirmError::OnePass { pid } if pid == std::process::id()), "{error}");
}

#[test]
fn r3_what_is_left_can_be_taken_and_the_agent_is_woken() {
    use std::os::unix::process::ExitStatusExt;
    let dir = tempfile::tempdir().unwrap();
    // It locks the file, and ends of the signal that wakes an agent.
    let lock = dir.path().join(lock::FILE);
    fs::write(&lock, "").unwrap();
    let mut agent = std::process::Command::new("flock");
    let mut agent = agent.arg("--no-fork").arg(&lock).args(["sleep", "600"]).spawn().unwrap();
    fs::write(&lock, format!("{}\n", agent.id())).unwrap();
    let holder = std::iter::repeat_with(|| lock::holder(dir.path()).unwrap()).find_map(|held| held).unwrap();
    tell(dir.path(), &holder, "1a2b3c4d").unwrap();
    assert_eq!(agent.wait().unwrap().signal(), Some(Signal::HUP.as_raw()));
    assert_eq!(consume(dir.path()).unwrap(), Some("1a2b3c4d".to_owned()));
}

#[test]
fn l10_a_code_that_nothing_has_is_refused_with_what_is_held() {
    let held = ["1a2b3c4d".to_owned(), "5e6f7a8b".to_owned()];
    assert!(held.iter().all(|code| matches(&held, code).is_ok()));
    let error = matches(&held, "00000000").unwrap_err().to_string();
    assert!(error.contains("under 1a2b3c4d, 5e6f7a8b, not \"00000000\""), "{error}");
    let error = matches(&[], "00000000").unwrap_err().to_string();
    assert!(error.contains("holds no removals"), "{error}");
}

#[test]
fn l10_an_agent_that_holds_nothing_is_neither_told_nor_woken() {
    let dir = tempfile::tempdir().unwrap();
    let _lock = InstanceLock::acquire(dir.path(), false).unwrap();
    let error = write(both(&dir), "1a2b3c4d").unwrap_err();
    assert!(matches!(error, ConfirmError::NothingHeld { .. }), "{error}");
    fs::create_dir(dir.path().join(history::FILE)).unwrap();
    let error = write(both(&dir), "1a2b3c4d").unwrap_err();
    assert!(matches!(error, ConfirmError::History(_)), "{error}");
    assert!(!dir.path().join(FILE).exists());
}
