//! An administrator's day: what the commands, the log and the metrics say of the same things.

use serde_json::Value;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::Output;
use std::time::Duration;
use support::node::{Agent, Initiator, Node, Reader, luns, run, squashfs, wait_for};

const LISTEN: &str = "127.0.0.1:9465";

/// No pass by itself but the second look: each one here is somebody's doing.
const BY_HAND: &str = "scan.frequency = 3600\nscan.tag_frequency = 3600";

fn id(n: u32) -> String {
    format!("{n:08x}-0000-4000-8000-00000000000d")
}

fn shown(output: &Output) -> String {
    assert!(output.status.success(), "{output:?}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn status() -> Value {
    serde_json::from_str(&shown(&Agent::command(&["status", "--json"]))).expect("a status")
}

/// The image's entry in a status.
fn projected(status: &Value, id: &str) -> Value {
    let all = status["projections"].as_array().expect("projections");
    all.iter().find(|one| one["image_id"] == id).cloned().unwrap_or_default()
}

fn http(path: &str, accept: &str) -> String {
    let mut stream = TcpStream::connect(LISTEN).expect("the port of http.listen");
    write!(stream, "GET {path} HTTP/1.1\r\nHost: vm1\r\nAccept: {accept}\r\nConnection: close\r\n\r\n")
        .expect("a question");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("an answer");
    answer
}

/// The metrics, without the head of the answer.
fn metrics() -> String {
    let answer = http("/metrics", "text/plain");
    answer.split_once("\r\n\r\n").expect("a body").1.to_owned()
}

fn metric(line: &str) -> String {
    let text = metrics();
    let value = text.lines().find_map(|shown| shown.strip_prefix(line)?.strip_prefix(' ').map(str::to_owned));
    value.unwrap_or_else(|| panic!("no {line} in {text}"))
}

#[test]
fn lio_an_administrators_day_is_the_same_in_status_log_and_metrics() {
    let node = Node::fresh();
    let content = squashfs(1, 3 * 1024);
    let first = node.add_image(&id(1), &content, 0, true);
    node.add_image(&id(2), &squashfs(2, 64), 0, false);
    node.add_pe("PE/CPE-base.x86_64-26.11.squashfs", &squashfs(3, 64));
    Agent::install(
        &node,
        &format!("spire.mode = \"none\"\nhttp.listen = \"{LISTEN}\"\nguard.quiet_period = 1\n{BY_HAND}"),
    );

    // Morning: is the node ready, and does it come up?
    let check = Agent::command(&["check"]);
    println!("{}", shown(&check));
    let down = Agent::command(&["status"]);
    let said = String::from_utf8_lossy(&down.stdout).into_owned();
    assert!(said.contains("down: this is what configfs and saveconfig.json show"), "{down:?}");
    let agent = Agent::start_installed();
    agent.wait_until_converged(2, 120);
    let morning = status();
    assert_eq!(projected(&morning, &id(1))["state"], "live");
    assert_eq!(projected(&morning, &id(1))["name"], first.name);
    assert_eq!(morning["conditions"], Value::Array(vec![]));
    assert_eq!(morning["agent"]["identity"]["way"], "none");
    for source in ["ims", "s3", "mount", "lio"] {
        assert_eq!(morning["agent"]["sources"][source]["up"], true, "{morning}");
        assert_eq!(metric(&format!("sbps_marshal_source_up{{source=\"{source}\"}}")), "1");
    }
    println!("{}", shown(&Agent::command(&["status"])));
    assert!(http("/readyz", "*/*").starts_with("HTTP/1.1 200"), "{}", http("/readyz", "*/*"));

    // An image is tagged, and wanted at once.
    node.ims.tag(&id(2), true);
    let resync = shown(&Agent::command(&["resync"]));
    println!("{resync}");
    assert!(resync.contains("lun_added") && resync.contains("changing LIO: 1 of 1"), "{resync}");
    assert_eq!(luns().len(), 3);
    let text = shown(&Agent::command(&["status"]));
    assert!(text.contains("3 LUNs, 0 images pending, 0 removals held"), "{text}");

    // A node reads; who and how much is seen.
    let initiator = Initiator::login();
    let reader = Reader::of(vec![(initiator.disk(&first), content)]);
    wait_for("it is read", Duration::from_secs(60), || (reader.good()[0] > 1).then_some(()));
    let now = status();
    assert_eq!(now["sessions"].as_array().map(Vec::len), Some(1), "{now}");
    assert!(projected(&now, &id(1))["read_bytes"].as_u64() > Some(0), "{now}");
    assert_eq!(metric("sbps_marshal_sessions"), "1");
    assert_eq!(metric("sbps_marshal_projections{kind=\"rootfs\",state=\"live\"}"), "2");
    let digest = now["map_digest"].as_str().expect("a digest");
    assert_eq!(metric(&format!("sbps_marshal_lun_map_info{{digest=\"{digest}\"}}")), "1");
    drop(reader);
    drop(initiator);

    // It is not wanted any more.
    node.ims.tag(&id(2), false);
    let seen = agent.passes();
    assert_eq!(Agent::command(&["resync"]).status.code(), Some(3), "it is seen a second time soon");
    agent.wait_for_pass("it goes", 120, seen, |pass| pass["removed"] == 1);
    let history = shown(&Agent::command(&["history", "--since", "1h"]));
    println!("{history}");
    let of_second: Vec<&str> = history.lines().filter(|line| line.contains(&id(2))).collect();
    assert!(of_second[0].contains("lun_added") && of_second[1].contains("lun_removed"), "{history}");
    assert!(of_second[1].contains("(untagged)"), "{history}");

    // IMS breaks: status, log and metrics say the same, and nothing goes.
    node.ims.refuses(true);
    let seen = agent.passes();
    let resync = Agent::command(&["resync"]);
    assert_eq!(resync.status.code(), Some(3), "{resync:?}");
    agent.wait_for_pass("IMS is unknown", 60, seen, |pass| {
        pass["unknown"].as_str().is_some_and(|u| u.starts_with("ims:"))
    });
    let told = agent.events_of("source_unknown").pop().expect("an event");
    let broken = status();
    let ims = &broken["agent"]["sources"]["ims"];
    assert_eq!((&ims["up"], &ims["reason"]), (&Value::Bool(false), &told["reason"]), "{broken}");
    assert!(ims["last_answer"].as_f64() > Some(1.7e9), "{broken}");
    assert_eq!(broken["conditions"][0]["event"], "source_unknown");
    assert_eq!(metric("sbps_marshal_source_up{source=\"ims\"}"), "0");
    assert_eq!(metric("sbps_marshal_conditions{event=\"source_unknown\",level=\"error\"}"), "1");
    assert!(http("/readyz", "*/*").starts_with("HTTP/1.1 503"));
    println!("{}", shown(&Agent::command(&["status"])));

    // It is mended.
    node.ims.refuses(false);
    let resync = shown(&Agent::command(&["resync"]));
    assert!(resync.trim_end().ends_with("; converged"), "{resync}");
    assert_eq!(status()["conditions"], Value::Array(vec![]));
    assert_eq!(metric("sbps_marshal_source_up{source=\"ims\"}"), "1");
    assert!(metric("sbps_marshal_passes_total{result=\"not_converged\"}") != "0");

    // Maintenance by hand: targetclid is free, and the agent waits.
    shown(&Agent::command(&["release", "10"]));
    node.ims.tag(&id(2), true);
    let seen = agent.passes();
    assert_eq!(Agent::command(&["resync"]).status.code(), Some(3));
    let waits = agent.wait_for_pass("it waits", 60, seen, |pass| pass["unknown"] == "lio:busy");
    assert_eq!((waits["added"].as_u64(), luns().len()), (Some(0), 2));
    assert_eq!(metric("sbps_marshal_session_released"), "1");
    run("targetcli", &["ls"]);
    shown(&Agent::command(&["release", "0"]));
    agent.wait_for_pass("it comes now", 60, seen + 1, |pass| {
        pass["result"] == "converged" && pass["live"] == 3
    });
    let kept = shown(&Agent::command(&["history", "--json"]));
    agent.stop();
    drop(agent);
    let after = shown(&Agent::command(&["history", "--json"]));
    assert_eq!(after, kept, "it is there without an agent");
    assert!(Agent::command(&["resync"]).status.code() == Some(1));
}

/// `promtool check metrics`, which reads the older form.
#[test]
fn lio_promtool_finds_nothing_to_say_about_the_metrics_and_the_alert_rules() {
    let node = Node::fresh();
    let textfile = "/run/sbps-marshal.prom";
    node.add_image(&id(1), &squashfs(1, 64), 0, true);
    let more =
        format!("spire.mode = \"none\"\nhttp.listen = \"{LISTEN}\"\nmetrics.textfile = \"{textfile}\"");
    let agent = Agent::start(&node, &more);
    agent.wait_until_converged(1, 120);
    let scraped = "/run/scraped.prom";
    std::fs::write(scraped, metrics()).expect("a file in /run");
    let written = wait_for("the file of the textfile collector", Duration::from_secs(30), || {
        std::fs::read_to_string(textfile).ok().filter(|text| text.contains("lun_read_bytes_total{"))
    });
    assert!(written.contains("sbps_marshal_lun_commands_total{"), "{written}");
    for file in [scraped, textfile] {
        assert_eq!(run("sh", &["-c", &format!("promtool check metrics < {file} 2>&1")]), "", "{file}");
    }
    assert!(http("/metrics", "application/openmetrics-text; version=1.0.0").contains("# EOF"));
    run("promtool", &["check", "rules", "/vm/monitoring/alerts.yml"]);
    run("promtool", &["test", "rules", "/vm/monitoring/alerts_test.yml"]);
}

/// Stops its Prometheus.
struct Prometheus(std::process::Child);

impl Drop for Prometheus {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Something to see on the panels: images come, a node reads, IMS is away for a while, an image goes.
fn some_busy_minutes(node: &Node, agent: &Agent) {
    let content = squashfs(1, 3 * 1024);
    let first = node.add_image(&id(1), &content, 0, true);
    agent.wait_until_converged(1, 120);
    let initiator = Initiator::login();
    let reader = Reader::of(vec![(initiator.disk(&first), content)]);
    for n in 2..5 {
        node.add_image(&id(n), &squashfs(n, 64), 0, true);
        shown(&Agent::command(&["resync"]));
    }
    node.ims.refuses(true);
    assert_eq!(Agent::command(&["resync"]).status.code(), Some(3));
    node.add_pe("PE/cut-short", b"no squashfs");
    wait_for("IMS is away", Duration::from_secs(60), || {
        (agent.events_of("source_unknown").len() == 1).then_some(())
    });
    let seen = agent.passes();
    agent.wait_for_pass("some more passes", 120, seen + 1, |_| true);
    let colours = "script -qec 'sbps-marshal status' /dev/null >/vm/results/status.ansi";
    run("sh", &["-c", colours]);
    node.ims.refuses(false);
    Agent::command(&["resync"]);
    let reads = reader.good()[0];
    wait_for("it is read on", Duration::from_secs(60), || (reader.good()[0] > reads + 3).then_some(()));
    node.ims.tag(&id(4), false);
    agent.wait_for_pass("one goes", 120, agent.passes(), |pass| pass["removed"] == 1);
    assert_eq!(reader.wrong(), 0);
}

#[test]
fn lio_every_query_of_the_dashboard_and_of_the_alerts_has_an_answer_from_a_real_prometheus() {
    let node = Node::fresh();
    std::fs::write("/run/token", "token").expect("a token");
    let more = format!("http.listen = \"{LISTEN}\"\nims.token_file = \"/run/token\"\nguard.quiet_period = 1");
    let agent = Agent::start(&node, &more);
    let config = format!(
        "global: {{scrape_interval: 1s}}\nscrape_configs: [{{job_name: sbps-marshal, static_configs: [{{targets: ['{LISTEN}']}}]}}]\n"
    );
    std::fs::write("/run/prometheus.yml", config).expect("a configuration");
    let flags = [
        "--config.file=/run/prometheus.yml",
        "--storage.tsdb.path=/run/prometheus",
        "--web.listen-address=127.0.0.1:9090",
    ];
    let started =
        std::process::Command::new("prometheus").args(flags).stderr(std::process::Stdio::null()).spawn();
    let _prometheus = Prometheus(started.expect("Debian's package prometheus"));
    let query = |query: &str| {
        let output = std::process::Command::new("promtool")
            .args(["query", "instant", "http://127.0.0.1:9090", query])
            .output()
            .expect("promtool");
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    };
    let enough = "count_over_time(sbps_marshal_start_timestamp_seconds[1m]) > 5";
    wait_for("some scrapes", Duration::from_secs(120), || (!query(enough).is_empty()).then_some(()));
    some_busy_minutes(&node, &agent);
    let dashboard: Value =
        serde_json::from_str(&std::fs::read_to_string("/vm/monitoring/grafana.json").expect("the dashboard"))
            .expect("JSON");
    let panels = dashboard["panels"].as_array().expect("panels");
    let queries = panels.iter().flat_map(|panel| panel["targets"].as_array().expect("targets"));
    let queries: Vec<&str> = queries.map(|target| target["expr"].as_str().expect("a query")).collect();
    assert!(queries.len() >= 12);
    // This site's token has no end that anybody knows.
    for text in queries.iter().filter(|text| !text.contains("token_expiry")) {
        assert!(!query(text).is_empty(), "{text}");
    }
    // For `make pictures`.
    let ranges = queries.iter().map(|query| (*query, range(query))).collect::<Vec<_>>();
    let results = serde_json::to_string(&ranges).expect("JSON");
    std::fs::write("/vm/results/panels.json", results).expect("the results of this run");
}

/// What a panel of ten minutes shows.
fn range(query: &str) -> Value {
    let at = |ago: &str| run("date", &["-u", "-d", ago, "+%Y-%m-%dT%H:%M:%SZ"]).trim().to_owned();
    let (start, end) = (at("600 seconds ago"), at("now"));
    let arguments = [
        "query",
        "range",
        "--format=json",
        "--step=2s",
        &format!("--start={start}"),
        &format!("--end={end}"),
    ];
    let output = std::process::Command::new("promtool")
        .args(arguments)
        .args(["http://127.0.0.1:9090", query])
        .output()
        .expect("promtool");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{query}: {error}: {output:?}"))
}
