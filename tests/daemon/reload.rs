//! SIGHUP: what is good is taken, what is not changes nothing, and both are told.

use super::agent::{Site, said};
use rustix::process::Signal;
use support::tls::Authority;

fn with_a_bundle(site: &Site, more: &str) {
    site.configure(&format!("s3.ca_bundle = {:?}\n{more}", site.path("ca.pem")));
}

#[test]
fn h7_a_reload_that_cannot_make_its_ports_keeps_the_old_agent_and_is_told_once() {
    let site = Site::new();
    site.write("ca.pem", Authority::new().pem());
    with_a_bundle(&site, "");
    let mut agent = site.running();

    site.write("ca.pem", "-----BEGIN CERTIFICATE-----\nAAAA\n");
    with_a_bundle(&site, "scan.frequency = 60");
    agent.signal(Signal::HUP);
    let refused = agent.until("reload_refused");
    assert_eq!((&refused["reason"], &refused["level"]), (&"s3".into(), &"error".into()));
    assert!(refused["detail"].as_str().unwrap().contains("ca.pem has a bad certificate"), "{refused}");
    agent.until("resync");
    let check = site.run(&["check-config"]);
    assert_eq!(check.status.code(), Some(1));
    assert!(said(&check).contains("ca.pem has a bad certificate"), "{}", said(&check));

    site.write("ca.pem", Authority::new().pem());
    assert_eq!(site.run(&["check-config"]).status.code(), Some(0));
    agent.signal(Signal::HUP);
    agent.until("started");
    assert_eq!((agent.count("reload_refused"), agent.count("reloaded")), (1, 1));
    assert_eq!(agent.stop(), Some(0));
}

#[test]
fn h7_what_cannot_be_said_to_targetclid_is_refused_by_check_config_and_by_a_reload() {
    let site = Site::new();
    let mut agent = site.running();
    site.configure("lio.save_file = \"/etc/my target/x\"");
    let check = site.run(&["check-config"]);
    assert_eq!(check.status.code(), Some(1));
    assert!(said(&check).contains("/etc/my target/x"), "{}", said(&check));
    agent.signal(Signal::HUP);
    assert_eq!(agent.until("reload_refused")["reason"], "lio");
    agent.until("resync");
    assert_eq!(agent.stop(), Some(0));
}

#[test]
fn h7_a_bundle_that_is_renewed_under_its_path_is_read_at_sighup() {
    let site = Site::new();
    site.write("ca.pem", Authority::new().pem());
    with_a_bundle(&site, "");
    let mut agent = site.running();
    agent.signal(Signal::HUP);
    agent.until("resync");
    assert_eq!(agent.count("reloaded"), 0);
    site.write("ca.pem", Authority::new().pem());
    agent.signal(Signal::HUP);
    agent.until("reloaded");
    agent.until("started");
    assert_eq!(agent.stop(), Some(0));
}

#[test]
fn m12_the_folder_of_the_lock_does_not_change_under_a_running_agent() {
    let site = Site::new();
    let mut agent = site.running();
    let config = std::fs::read_to_string(site.path("config.toml")).unwrap();
    site.write("config.toml", &config.replace("/run\"", "/elsewhere\""));
    agent.signal(Signal::HUP);
    assert_eq!(agent.until("reload_refused")["reason"], "needs_restart");
    assert_eq!(agent.stop(), Some(0));
}
