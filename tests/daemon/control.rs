//! The control socket, the TCP port, and the commands that ask the running agent.

use super::agent::{Site, said, wait_for};
use serde_json::Value;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::process::Output;

fn shown(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn status(site: &Site) -> Value {
    let output = site.run(&["status", "--json"]);
    serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{}", said(&output)))
}

#[test]
fn a_status_names_who_does_not_answer_and_says_the_same_as_the_log() {
    let site = Site::new();
    let mut agent = site.running();
    let told = agent.until("source_unknown");
    agent.until("pass_summary");
    let document =
        wait_for("the pass", || Some(status(&site)).filter(|status| !status["agent"]["pass"].is_null()));
    assert_eq!(document["schema"], 1);
    let lio = &document["agent"]["sources"]["lio"];
    assert_eq!(
        (&lio["up"], &lio["reason"], &lio["detail"]),
        (&false.into(), &told["reason"], &told["detail"])
    );
    let open = &document["conditions"][0];
    assert_eq!((&open["event"], &open["detail"]), (&"source_unknown".into(), &told["detail"]));
    let page = site.run(&["status"]);
    assert_eq!(page.status.code(), Some(0));
    let page = shown(&page);
    assert!(page.contains("source_unknown") && !page.contains('\u{1b}'), "{page}");
    assert_eq!(agent.stop(), Some(0));
}

#[test]
fn without_an_agent_each_of_its_commands_says_what_to_do_and_is_exit_code_1() {
    let site = Site::new();
    for command in [["resync"].as_slice(), &["release", "5"], &["confirm-removal", "1a2b3c4d"]] {
        let output = site.run(command);
        assert_eq!(output.status.code(), Some(1), "{command:?}");
        assert!(said(&output).contains("is it running? systemctl status sbps-marshal"), "{}", said(&output));
    }
}

#[test]
fn the_socket_is_for_root_alone_and_one_that_a_dead_agent_left_is_no_hindrance() {
    let site = Site::new();
    std::fs::create_dir(site.path("run")).unwrap();
    drop(std::os::unix::net::UnixListener::bind(site.path("run/control.sock")).unwrap());
    let mut agent = site.running();
    let mode = std::fs::metadata(site.path("run/control.sock")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    assert_eq!(status(&site)["agent"]["session"]["state"], "closed");
    assert_eq!(agent.stop(), Some(0));
}

#[test]
fn a_resync_is_a_pass_of_its_own_told_step_by_step_and_its_exit_code_says_whether_all_is_well() {
    let site = Site::new();
    let mut agent = site.running();
    agent.until("pass_summary");
    let output = site.run(&["resync"]);
    assert_eq!(output.status.code(), Some(3), "{}", said(&output));
    let lines = shown(&output);
    assert!(lines.starts_with("looking at IMS"), "{lines}");
    let last = lines.lines().last().unwrap();
    assert!(last.starts_with("pass ") && last.ends_with("see `sbps-marshal status`"), "{lines}");
    assert_eq!(agent.until("resync")["reason"], "operator");
    agent.until("pass_summary");
    assert_eq!(agent.stop(), Some(0));
}

#[test]
fn l10_a_code_is_refused_while_no_pass_has_seen_the_node_and_asks_for_no_pass() {
    let site = Site::new();
    let mut agent = site.running();
    agent.until("pass_summary");
    for code in ["1a2b3c4d", "a&b=c", ""] {
        let refused = site.run(&["confirm-removal", code]);
        assert_eq!((refused.status.code(), refused.stdout.len()), (Some(1), 0), "{code}");
        assert!(said(&refused).contains("no pass has seen the node yet: ask again"), "{}", said(&refused));
    }
    assert_eq!(agent.stop(), Some(0));
    assert_eq!((agent.count("confirmation"), agent.count("resync")), (0, 0));
}

#[test]
fn clients_that_say_nothing_or_read_nothing_hold_up_no_pass_and_no_stop() {
    let site = Site::new();
    let mut agent = site.running();
    let connect = || UnixStream::connect(site.path("run/control.sock")).unwrap();
    let silent: Vec<UnixStream> = (0..40).map(|_| connect()).collect();
    let asks = b"POST /v1/resync HTTP/1.1\r\nHost: agent\r\n\r\n";
    silent.iter().take(20).for_each(|mut deaf| deaf.write_all(asks).unwrap());
    for _ in 0..20 {
        agent.until("pass_summary");
    }
    assert_eq!(agent.stop(), Some(0));
}

#[test]
fn what_was_released_stays_so_over_a_reload_and_is_taken_back_at_once() {
    let site = Site::new();
    let mut agent = site.running();
    let released = site.run(&["release", "5"]);
    assert!(shown(&released).starts_with("targetclid is yours for 5 min"), "{}", said(&released));
    site.configure("scan.frequency = 60");
    agent.signal(rustix::process::Signal::HUP);
    agent.until("reloaded");
    agent.until("started");
    assert_eq!(status(&site)["agent"]["session"]["state"], "released");
    assert!(shown(&site.run(&["status"])).contains("session    released for 4 min"));
    assert_eq!(site.run(&["release", "0"]).status.code(), Some(0));
    assert_eq!(status(&site)["agent"]["session"]["state"], "closed");
    assert_eq!(site.run(&["release", "1441"]).status.code(), Some(2), "a day is the most");
    assert_eq!(agent.stop(), Some(0));
}

/// The answer to a GET, head and body.
fn get(address: &str, path: &str) -> String {
    let mut stream = wait_for("the TCP port", || TcpStream::connect(address).ok());
    write!(stream, "GET {path} HTTP/1.1\r\nHost: agent\r\nConnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

#[test]
fn over_tcp_there_are_metrics_and_health_and_nothing_else() {
    let site = Site::new();
    let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    let textfile = site.path("metrics.prom");
    site.configure(&format!("http.listen = \"{address}\"\nmetrics.textfile = {textfile:?}"));
    let mut agent = site.running();
    agent.until("pass_summary");
    let metrics = get(&address, "/metrics");
    for line in [
        "# TYPE sbps_marshal_passes_total counter",
        "sbps_marshal_source_up{source=\"lio\"} 0",
        "sbps_marshal_conditions{event=\"source_unknown\",level=\"error\"} 1",
        "sbps_marshal_passes_total{result=\"not_converged\"} 1",
        "sbps_marshal_projections{kind=\"pe\",state=\"live\"} 0",
    ] {
        let metrics = wait_for(line, || Some(get(&address, "/metrics")).filter(|text| text.contains(line)));
        assert!(metrics.starts_with("HTTP/1.1 200"), "{metrics}");
    }
    assert!(metrics.contains("text/plain; version=0.0.4"), "{metrics}");
    assert!(get(&address, "/healthz").starts_with("HTTP/1.1 200"));
    assert!(get(&address, "/readyz").starts_with("HTTP/1.1 503"));
    for path in ["/v1/status", "/v1/resync", "/", "/metrics/x"] {
        assert!(get(&address, path).starts_with("HTTP/1.1 404"), "{path}");
    }
    let file = wait_for("the file", || std::fs::read_to_string(&textfile).ok());
    assert!(file.contains("sbps_marshal_build_info{version=") && !file.contains("# EOF"), "{file}");
    assert_eq!(agent.stop(), Some(0));
}

#[test]
fn a_port_that_is_taken_is_told_and_the_agent_runs_all_the_same() {
    let site = Site::new();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    site.configure(&format!("http.listen = \"{}\"", taken.local_addr().unwrap()));
    let mut agent = site.running();
    if agent.count("control_not_served") == 0 {
        agent.until("control_not_served");
    }
    agent.until("pass_summary");
    assert!(status(&site)["agent"].is_object(), "operators need not suffer from it");
    let address = taken.local_addr().unwrap().to_string();
    drop(taken);
    wait_for("the port, once it is free", || TcpStream::connect(&address).ok());
    assert_eq!(agent.stop(), Some(0));
}
