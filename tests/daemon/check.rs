//! `check` on a machine that has nothing of what the agent needs.

use super::agent::{Site, said};
use serde_json::Value;
use std::os::unix::fs::PermissionsExt;

/// The lines of a `check --json`: name, verdict, and all its text.
fn lines(site: &Site) -> (Option<i32>, Vec<(String, String, String)>) {
    let output = site.run(&["check", "--json"]);
    let lines: Vec<Value> = serde_json::from_slice(&output.stdout).unwrap_or_else(|error| {
        panic!("{error}: {}", String::from_utf8_lossy(&output.stdout));
    });
    let text = |line: &Value, key: &str| line[key].as_str().unwrap_or_default().to_owned();
    let line = |line: &Value| {
        let told = format!("{} {}", text(line, "detail"), text(line, "remedy"));
        (text(line, "name"), text(line, "verdict"), told)
    };
    (output.status.code(), lines.iter().map(line).collect())
}

/// The one line of this name.
fn line(site: &Site, name: &str) -> (String, String) {
    let (_, lines) = lines(site);
    let mut named = lines.into_iter().filter(|(found, ..)| found == name);
    let (_, verdict, told) = named.next().unwrap_or_else(|| panic!("no line {name}"));
    assert!(named.next().is_none(), "one line for {name}");
    (verdict, told)
}

#[test]
fn on_a_bare_machine_each_line_that_fails_says_what_to_do_and_the_exit_code_is_2() {
    let site = Site::new();
    let (code, lines) = lines(&site);
    assert_eq!(code, Some(2));
    let names: Vec<&str> = lines.iter().map(|(name, ..)| name.as_str()).collect();
    let wanted =
        ["user", "configuration", "tls", "credentials", "identity", "ims", "bucket", "mount", "kernel"];
    assert_eq!(names, wanted);
    let verdicts: Vec<&str> = lines.iter().map(|(_, verdict, _)| verdict.as_str()).collect();
    // The first says who runs this test.
    assert_eq!(verdicts[1..], ["ok", "ok", "ok", "ok", "failed", "failed", "failed", "failed"]);
    for (name, remedy) in [
        ("ims", "check ims.gateway"),
        ("bucket", "ACCESS_KEY:SECRET_KEY"),
        ("mount", "mount the boot bucket"),
        ("kernel", "sys-kernel-config.mount"),
    ] {
        let (.., told) = lines.iter().find(|(found, ..)| found == name).unwrap();
        assert!(told.contains(remedy), "{name}: {told}");
    }
    let text = site.run(&["check"]);
    let text = String::from_utf8(text.stdout).unwrap();
    let line = |line: &str| text.lines().any(|shown| shown.split_whitespace().take(2).eq(line.split(' ')));
    assert!(line("ok configuration") && line("failed kernel"), "{text}");
}

#[test]
fn a_configuration_that_cannot_be_read_is_the_only_line() {
    let site = Site::new();
    site.configure("scan.frequenzy = 5");
    let (code, lines) = lines(&site);
    assert_eq!(code, Some(2));
    let [(name, verdict, told)] = &lines[..] else { panic!("{lines:?}") };
    assert_eq!((name.as_str(), verdict.as_str()), ("configuration", "failed"));
    assert!(told.contains("scan.frequenzy"), "{told}");
}

#[test]
fn secrets_that_others_can_read_are_a_warning_and_a_broken_credential_file_fails() {
    let site = Site::new();
    site.write("keys", "no colon\n");
    std::fs::set_permissions(site.path("keys"), std::fs::Permissions::from_mode(0o644)).unwrap();
    let (verdict, told) = line(&site, "credentials");
    assert!(verdict == "warning" && told.contains("0644"), "{told}");
    let (verdict, told) = line(&site, "bucket");
    assert!(verdict == "failed" && told.contains("s3.credential_file"), "{told}");
}

#[test]
fn tls_insecure_is_a_warning_at_every_start_in_plan_and_in_check_each_with_its_remedy() {
    let site = Site::new();
    assert_eq!(line(&site, "tls").0, "ok");
    site.configure("tls.insecure = true");
    let (verdict, told) = line(&site, "tls");
    assert!(
        verdict == "warning" && told.ends_with("set ims.ca_bundle and s3.ca_bundle, and unset tls.insecure")
    );
    let remedy = "CA into ims.ca_bundle and s3.ca_bundle, and unset tls.insecure";
    for command in [&["plan"][..], &["plan", "--json"], &["check-config"]] {
        let told = said(&site.run(command));
        assert!(told.contains("tls.insecure is true") && told.contains(remedy), "{command:?}: {told}");
    }
    for _ in 0..2 {
        let mut agent = site.start(&["run"]);
        let note = agent.until("configuration_note");
        assert!(note["message"].as_str().unwrap().contains("tls.insecure is true"), "{note}");
        assert_eq!(note["level"], "warn");
        agent.until("started");
        assert_eq!(agent.stop(), Some(0));
    }
}

#[test]
fn an_identity_that_cannot_be_had_fails_with_spires_own_remedy() {
    let site = Site::new();
    site.configure(&format!(
        "spire.mode = \"workload-api\"\nspire.agent_sock_path = {:?}",
        site.path("no-spire")
    ));
    let (verdict, told) = line(&site, "identity");
    assert!(verdict == "failed" && told.contains("spire-agent runs"), "{told}");
    site.configure(&format!("ims.token_file = {:?}", site.path("no-token")));
    let (verdict, told) = line(&site, "identity");
    assert!(verdict == "failed" && told.contains("token file"), "{told}");
    site.write("no-token", "abc\n");
    assert_eq!(line(&site, "identity").0, "ok");
}

#[test]
fn a_plan_on_a_bare_machine_points_to_check() {
    let refused = Site::new().run(&["plan"]);
    assert_eq!(refused.status.code(), Some(1));
    assert!(said(&refused).contains("sbps-marshal check"), "{}", said(&refused));
}
