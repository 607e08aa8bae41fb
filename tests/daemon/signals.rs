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
