//! `confirm-removal`, and what the agent makes of what was left for it.

use super::agent::{Site, exists, said};
use rustix::process::Signal;
use std::process::Command;
use std::time::Duration;

/// Seconds since boot, as a confirmation has them.
fn now() -> u64 {
    sbps_marshal::boot::since().as_secs()
}

#[test]
fn m11_without_an_agent_nobody_is_signalled_whatever_pid_the_lock_file_has() {
    let site = Site::new();
    let mut stranger = Command::new("sleep").arg("600").spawn().unwrap();
    std::fs::create_dir(site.path("run")).unwrap();
    site.write("run/lock", &format!("{}\n", stranger.id()));
    let refused = site.run(&["confirm-removal", "1a2b3c4d"]);
    assert_eq!(refused.status.code(), Some(1));
    assert!(said(&refused).contains("no agent runs"), "{}", said(&refused));
    assert!(stranger.try_wait().unwrap().is_none(), "it was signalled");
    stranger.kill().unwrap();
    stranger.wait().unwrap();
}

#[test]
fn l10_a_code_that_nothing_has_is_exit_code_1_and_wakes_nobody() {
    let site = Site::new();
    let mut agent = site.running();
    let refused = site.run(&["confirm-removal", "1a2b3c4d"]);
    assert_eq!((refused.status.code(), refused.stdout.len()), (Some(1), 0));
    assert!(said(&refused).contains("the agent holds no removals"), "{}", said(&refused));
    assert!(!exists(&site.path("run/confirm-removal")));
    assert_eq!(agent.stop(), Some(0));
    assert_eq!(agent.count("resync"), 0);
}

#[test]
fn m11_a_confirmation_is_taken_also_when_the_settings_have_changed_and_reaches_the_new_actors() {
    let site = Site::new();
    let mut agent = site.running();
    site.write("run/confirm-removal", &format!("1a2b3c4d {}\n", now()));
    site.configure("scan.frequency = 60");
    agent.signal(Signal::HUP);
    assert_eq!(agent.until("confirmation")["code"], "1a2b3c4d");
    agent.until("reloaded");
    agent.until("started");
    agent.until("resync");
    assert!(!exists(&site.path("run/confirm-removal")));
    assert_eq!(agent.stop(), Some(0));
}

#[test]
fn m11_a_confirmation_that_has_lain_there_is_dropped_and_told() {
    let site = Site::new();
    let mut agent = site.running();
    let old = Duration::from_secs(now()).checked_sub(Duration::from_secs(61));
    let (text, reason) = match old {
        Some(old) => (format!("1a2b3c4d {}\n", old.as_secs()), "old"),
        // This machine has just been booted.
        None => ("1a2b3c4d\n".to_owned(), "malformed"),
    };
    site.write("run/confirm-removal", &text);
    agent.signal(Signal::HUP);
    assert_eq!(agent.until("confirmation_dropped")["reason"], reason);
    agent.until("resync");
    assert_eq!(agent.count("confirmation"), 0);
    assert!(!exists(&site.path("run/confirm-removal")));
    assert_eq!(agent.stop(), Some(0));
}
