//! Where the log goes, and how; and what systemd is told.

use super::agent::{Site, said};
use rustix::process::Signal;
use std::fs::File;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::net::UnixDatagram;
use std::process::{Command, Stdio};
use std::time::Duration;

const FORMATS: [&str; 3] = ["json", "hec", "text"];

/// What `run --once --sim` logs into a file in this format, with this JOURNAL_STREAM.
fn logged(format: &str, stream: impl FnOnce(u64, u64) -> String) -> String {
    let site = Site::new();
    let log = File::create(site.path("log")).unwrap();
    let metadata = log.metadata().unwrap();
    let status = Command::new(env!("CARGO_BIN_EXE_sbps-marshal"))
        .args(["run", "--once", "--sim", "--set", &format!("log.format={format}")])
        .env("JOURNAL_STREAM", stream(metadata.dev(), metadata.ino()))
        .stderr(Stdio::from(log))
        .status()
        .unwrap();
    assert!(status.success(), "{status}");
    std::fs::read_to_string(site.path("log")).unwrap()
}

#[test]
fn l8_each_line_has_its_priority_when_stderr_is_the_journal() {
    for (format, start) in FORMATS.into_iter().zip(["<6>{\"time\":\"", "<6>{\"time\":1", "<6>info "]) {
        let log = logged(format, |device, inode| format!("{device}:{inode}"));
        assert!(log.contains(start) && log.lines().all(|line| line.starts_with('<')), "{log}");
    }
}

#[test]
fn l8_no_line_has_a_priority_when_stderr_is_anything_else() {
    for (format, start) in FORMATS.into_iter().zip(['{', '{', '2']) {
        let log = logged(format, |device, inode| format!("{device}:{}", inode + 1));
        assert!(log.lines().all(|line| line.starts_with(start)), "{log}");
    }
}

#[test]
fn the_envelope_of_hec_has_the_name_of_the_node() {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap();
    let log = logged("hec", |_, _| String::new());
    let hosts =
        log.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap()["host"].take());
    assert!(hosts.into_iter().all(|host| host == name.trim()) && log.contains("\"pass_summary\""), "{log}");
}

#[test]
fn systemd_hears_that_the_agent_lives_again_and_again_and_that_a_refused_reload_is_done() {
    let site = Site::new();
    let socket = site.path("notify");
    let systemd = UnixDatagram::bind(&socket).unwrap();
    systemd.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    let hear = |wanted: &str| loop {
        let mut message = [0; 4096];
        let length = systemd.recv(&mut message).unwrap_or_else(|_| panic!("no {wanted}"));
        if String::from_utf8_lossy(&message[..length]).starts_with(wanted) {
            return;
        }
    };
    let variables = [("NOTIFY_SOCKET", socket.to_str().unwrap()), ("WATCHDOG_USEC", "100000")];
    let mut agent = site.start_with(&["run"], &variables);
    hear("READY=1");
    hear("WATCHDOG=1");
    hear("WATCHDOG=1");
    site.configure("scan.frequency = 0");
    agent.signal(Signal::HUP);
    hear("RELOADING=1");
    hear("READY=1");
    assert_eq!(agent.stop(), Some(0));
    hear("STOPPING=1\nEXTEND_TIMEOUT_USEC=315000000");
    assert_eq!(agent.count("reload_refused"), 1);
}

#[test]
fn a_key_file_that_others_can_read_is_told_at_start_and_by_check_config() {
    let site = Site::new();
    site.write("keys", "KEY:geheim\n");
    let open = std::fs::Permissions::from_mode(0o644);
    std::fs::set_permissions(site.path("keys"), open).unwrap();
    let mut agent = site.start(&["run"]);
    let note = agent.until("configuration_note");
    assert!(note["message"].as_str().unwrap().contains("keys has mode 0644"), "{note}");
    assert_eq!(note["level"], "warn");
    agent.until("started");
    assert_eq!(agent.stop(), Some(0));
    let check = site.run(&["check-config"]);
    assert!(check.status.success() && said(&check).contains("keys has mode 0644"), "{}", said(&check));
}
