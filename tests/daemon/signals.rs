//! SIGTERM is heard whatever hangs, and one pass is not killed by a signal that is meant for the agent.

use super::agent::{Site, said};
use rustix::process::Signal;

#[test]
fn a_stop_is_exit_code_0_and_leaves_the_lock_free() {
    let site = Site::new();
    let mut agent = site.running();
    assert_eq!(agent.stop(), Some(0));
    assert_eq!(agent.count("stopped"), 1);
    assert_eq!(site.running().stop(), Some(0));
}

#[test]
fn m2_a_token_file_that_hangs_deafens_nobody_for_a_stop() {
    let site = Site::new();
    site.mkfifo("token");
    site.configure(&format!("ims.token_file = {:?}\nims.timeout = 3600\n", site.path("token")));
    let mut agent = site.running();
    let _hung = site.hang("token");
    assert_eq!(agent.stop(), Some(0));
}

#[test]
fn m2_a_configuration_that_hangs_at_a_reload_deafens_nobody_for_a_stop() {
    let site = Site::new();
    let mut agent = site.running();
    std::fs::create_dir(site.path("conf.d")).unwrap();
    site.mkfifo("conf.d/10.toml");
    agent.signal(Signal::HUP);
    let _hung = site.hang("conf.d/10.toml");
    assert_eq!(agent.stop(), Some(0));
}

#[test]
fn m11_a_single_pass_ignores_sighup_and_ends_its_step_at_sigterm() {
    let site = Site::new();
    site.mkfifo("token");
    site.configure(&format!("ims.token_file = {:?}\nims.timeout = 3600\n", site.path("token")));
    let mut pass = site.start(&["run", "--once"]);
    let _hung = site.hang("token");
    pass.signal(Signal::HUP);
    assert_eq!(pass.stop(), Some(3), "neither killed nor converged");
}

#[test]
fn r12_a_second_instance_ends_with_one_event_that_names_the_first() {
    let site = Site::new();
    let _agent = site.running();
    let second = site.run(&["run", "--once"]);
    assert_eq!(second.status.code(), Some(1));
    let event: serde_json::Value = serde_json::from_str(&said(&second)).expect("one line of JSON");
    assert_eq!((&event["event"], &event["reason"]), (&"agent_failed".into(), &"lock".into()));
    assert!(
        event["detail"].as_str().unwrap().contains("is held by another sbps-marshal, process "),
        "{event}"
    );
}

/// What an agent has left that was killed while it removed a backstore: the note of it, and an empty HBA.
fn leave_half_done(site: &Site) -> std::path::PathBuf {
    let hba = site.path("configfs/core/fileio_7");
    std::fs::create_dir_all(&hba).unwrap();
    std::fs::create_dir_all(site.path("run")).unwrap();
    let boot = sbps_marshal::boot::id();
    site.write(
        "run/configfs.json",
        &format!(r#"{{"boot":"{boot}","change":{{"delete_backstore":{{"hba":"fileio_7"}}}}}}"#),
    );
    hba
}

#[test]
fn m10_what_an_agent_has_left_half_done_is_settled_by_the_next_one_and_never_by_plan_or_status() {
    let site = Site::new();
    let hba = leave_half_done(&site);
    for looks in [["plan"], ["status"], ["check-config"]] {
        site.run(&looks);
        assert!(hba.exists() && site.path("run/configfs.json").exists(), "{looks:?}");
    }
    site.run(&["run", "--once"]);
    assert!(!hba.exists() && !site.path("run/configfs.json").exists());
}

#[test]
fn m10_a_note_of_it_that_cannot_be_read_is_told_with_its_path_and_changes_nothing() {
    let site = Site::new();
    let hba = leave_half_done(&site);
    site.write("run/configfs.json", "{");
    // It may be told before the start is.
    let mut agent = site.start(&["run"]);
    let detail = agent.until("not_settled")["detail"].as_str().unwrap().to_owned();
    assert!(detail.contains("configfs.json cannot be read"), "{detail}");
    agent.until("pass_summary");
    assert_eq!(agent.stop(), Some(0));
    assert!(hba.exists());
}
