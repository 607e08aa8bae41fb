//! The log of the unit as the journal has it, in each format: its priorities, and that no secret is in it.

use crate::spire::{PLAIN, PROGRAM, config};
use serde_json::Value;
use std::path::Path;
use std::time::Duration;
use support::node::{Agent, Node, run, squashfs, wait_for};
use support::spire::Spire;

const ID: &str = "0000000a-5392-41cf-b915-94f03a372d00";
/// tests/vm/no-secrets looks for it too, and for the secret of S3.
const TOKEN: &str = "vmtest-token";
const TOKEN_FILE: &str = "/run/vm/token";
/// Ours, and whatever the libraries can say that see a secret.
const EVERYTHING: &str = "hyper=trace,hyper_util=trace,reqwest=trace,h2=trace,tonic=trace,tower=trace,rustls=trace,\
                          spiffe=trace,aws_config=trace,aws_sdk_s3=trace,aws_sigv4=trace,aws_runtime=trace,\
                          aws_smithy_runtime=trace,aws_smithy_runtime_api=trace,aws_smithy_http_client=trace,trace";

/// The lines of this start, in whatever format, that journalctl chooses by these options. Not those after a cursor: one
/// that is no match itself costs the first line that is.
fn lines(invocation: &str, options: &[&str]) -> Vec<String> {
    run("journalctl", &["-q", "--sync"]);
    let start = format!("_SYSTEMD_INVOCATION_ID={invocation}");
    let ours = ["-q", "-o", "cat", "--no-pager", "-u", "sbps-marshal", &start];
    run("journalctl", &[ours.as_slice(), options].concat()).lines().map(str::to_owned).collect()
}

fn wait_for_line(invocation: &str, words: &[&str]) {
    wait_for(&format!("a line with {words:?}"), Duration::from_secs(240), || {
        let lines = lines(invocation, &["-p", "info"]);
        lines.iter().any(|line| words.iter().all(|word| line.contains(word))).then_some(())
    });
}

/// What a line says of itself.
fn level(format: &str, line: &str) -> String {
    let object = || serde_json::from_str::<Value>(line).unwrap_or_else(|error| panic!("{line}: {error}"));
    let level = match format {
        "json" => object()["level"].take(),
        "hec" => object()["event"]["level"].take(),
        _ => line.split(' ').next().into(),
    };
    level.as_str().expect("a level").to_owned()
}

fn check_priorities(invocation: &str, format: &str) {
    let all = lines(invocation, &[]);
    let of = |levels: &[&str]| -> Vec<String> {
        all.iter().filter(|line| levels.contains(&level(format, line).as_str())).cloned().collect()
    };
    let (errors, warnings) = (lines(invocation, &["-p", "err"]), lines(invocation, &["-p", "warning"]));
    assert_eq!(errors, of(&["error"]), "{format}");
    assert_eq!(warnings, of(&["error", "warn"]), "{format}");
    assert!(errors.iter().any(|line| line.contains("source_unknown")), "{errors:?}");
    assert!(!errors.iter().any(|line| line.contains("configuration_note")), "{errors:?}");
    assert!(warnings.iter().any(|line| line.contains("configuration_note")), "{warnings:?}");
    assert!(
        of(&["info"]).len() > 2 && of(&["debug"]).len() > 2 && of(&["trace"]).len() > 20,
        "{}",
        all.len()
    );
}

#[test]
fn lio_logs_each_format_has_its_priorities_and_at_the_level_trace_of_everything_no_secret() {
    let node = Node::fresh();
    node.add_image(ID, &squashfs(1, 64), 0, true);
    // The unit has a /tmp of its own.
    let spire = Spire::start_in(Path::new("/run/vm"));
    spire.add_entry(PLAIN, PROGRAM);
    node.ims.requires(spire.bundle());
    std::fs::write(TOKEN_FILE, format!("{TOKEN}\n")).expect("a token");
    for format in ["json", "hec", "text"] {
        let log = format!("log.format = {format:?}\nlog.level = {EVERYTHING:?}\n{}", config(&spire));
        let agent = Agent::start(&node, &log);
        let invocation = agent.property("InvocationID");
        // With a JWT; SPIRE's agent may need some passes to hear of the entry.
        wait_for_line(&invocation, &["identity_way", "workload-api"]);
        wait_for_line(&invocation, &["pass_summary", "1 live"]);
        let (callers, _) = node.ims.take_callers();
        assert!(callers.iter().any(|caller| caller == PLAIN), "{callers:?}");
        // With a token that IMS does not take.
        Agent::configure(&node, &format!("{log}\nims.token_file = {TOKEN_FILE:?}"));
        agent.reload();
        wait_for_line(&invocation, &["source_unknown", "token file"]);
        agent.stop();
        check_priorities(&invocation, format);
        for line in lines(&invocation, &[]) {
            let secret =
                ["vmtest-secret", TOKEN, "eyJ", "Bearer "].into_iter().find(|word| line.contains(word));
            assert_eq!(secret, None, "{format}: {line}");
            assert!(line.len() < 8 * 1024 && !line.contains(char::is_control), "{format}: {line}");
        }
    }
}
