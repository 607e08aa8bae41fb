//! R13 with the real programs, both ways: nobody waits for the agent's session, and the agent waits for nobody for long.

use super::busy::{Client, Shell, WITHIN, Watched};
use std::process::{Command, ExitStatus};
use std::time::{Duration, Instant};
use support::node::{Agent, Node, luns, run, squashfs, wait_for};

/// How long another client waits while the session is open and not used.
const BETWEEN_PASSES: Duration = Duration::from_secs(1);

/// How long somebody waits for the daemon in mid-pass, beyond the command under way; and how long a stop of it takes.
const BEYOND_THE_COMMAND: Duration = Duration::from_secs(2);

/// How long the lock is waited for.
const PATIENCE: Duration = Duration::from_secs(10);

/// LUNs of a pass that takes its time.
const MANY: usize = 30;

/// Backstores that somebody makes meanwhile: each makes targetcli slower, and nobody waits for it for more than 10 s.
const MEANWHILE: usize = 10;

fn id(n: usize) -> String {
    format!("{n:08x}-0000-4000-8000-000000000000")
}

/// An agent in its first pass, which adds many LUNs.
fn in_mid_pass(more: &str) -> (Node, Agent) {
    in_mid_pass_after(|| (), more)
}

/// The same, where this was done before: a run of targetcli, which makes root's preferences whole. Without them each of its
/// programs adds what it misses, while another may be reading the file that is empty then (facts P22).
fn in_mid_pass_after(prepare: impl FnOnce(), more: &str) -> (Node, Agent) {
    let node = Node::fresh();
    prepare();
    let image = squashfs(1, 64);
    (0..MANY).for_each(|n| drop(node.add_image(&id(n), &image, 0, true)));
    let agent = Agent::start(&node, more);
    wait_for("the pass is under way", WITHIN * 2, || (!luns().is_empty()).then_some(()));
    (node, agent)
}

/// The first pass has added all that it should, and nothing failed in it.
fn adds_many(agent: &Agent) {
    agent.wait_until_converged(MANY, 300);
    let first = &agent.events_of("pass_summary")[0];
    assert_eq!((&first["added"], &first["failed"]), (&MANY.into(), &0.into()), "{first}");
    assert_eq!(agent.events_of("change_failed"), Vec::<serde_json::Value>::new());
}

/// How long the longest of the agent's commands takes here now.
fn longest_command() -> Duration {
    let mut client = Client::comes();
    let mut took = |command: &str| {
        let begun = Instant::now();
        client.asks(command);
        begun.elapsed()
    };
    let longest = took("/ refresh").max(took("/ saveconfig savefile=/run/saved-by-a-test.json"));
    client.leaves();
    longest
}

/// The agent's side of its session with the daemon, if it has one.
fn session() -> Option<String> {
    let clients = run("ss", &["-xH", "state", "connected", "src", "/run/targetclid.sock"]);
    clients.lines().next().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" "))
}

#[test]
fn lio_r13_a_daemon_client_is_served_in_mid_pass_within_2_s_beyond_the_command_under_way() {
    let (_node, agent) = in_mid_pass("");
    let mut waited = Vec::new();
    while luns().len() < MANY {
        let begun = Instant::now();
        let client = Client::comes();
        waited.push(begun.elapsed());
        client.leaves();
        // So that the agent has its turn as well.
        std::thread::park_timeout(Duration::from_millis(200));
    }
    adds_many(&agent);
    let (count, longest, command) = (waited.len(), waited.into_iter().max().unwrap(), longest_command());
    println!("{count} clients, the longest wait {longest:?}, the longest command {command:?}");
    assert!(count >= 5, "they came in mid-pass");
    assert!(longest < BEYOND_THE_COMMAND + command, "{longest:?}, a command takes {command:?}");
    assert_eq!(agent.passes(), 1);
}

#[test]
fn lio_r13_between_passes_the_session_stays_open_and_a_daemon_client_is_served_within_1_s() {
    let watched = Watched::with_one_image();
    let open = session().expect("the session stays open");
    watched.adds_image(2);
    watched.until("lun_added");
    watched.passes(1);
    assert_eq!(session(), Some(open), "the same in the next pass");

    let (before, begun) = (cpu(), Instant::now());
    wait_for("some looks", WITHIN, || (begun.elapsed() > Duration::from_secs(5)).then_some(()));
    println!(
        "CPU while the session is open: {:.2} %",
        100.0 * (cpu() - before) / begun.elapsed().as_secs_f64()
    );

    let begun = Instant::now();
    let client = Client::comes();
    let waited = begun.elapsed();
    println!("served after {waited:?}");
    client.leaves();
    assert!(waited < BETWEEN_PASSES, "{waited:?}");
    wait_for("nobody has the daemon", WITHIN, || session().is_none().then_some(()));
    watched.adds_image(3);
    watched.until("lun_added");
    watched.passes(1);
    assert!(session().is_some(), "it is taken up again");
}

/// The agent's CPU seconds so far.
fn cpu() -> f64 {
    let stat = std::fs::read_to_string("/sys/fs/cgroup/system.slice/sbps-marshal.service/cpu.stat").unwrap();
    let micros = stat.lines().find_map(|line| line.strip_prefix("usage_usec ")).unwrap();
    micros.parse::<f64>().unwrap() / 1e6
}

/// How long systemd takes to stop the daemon.
fn stops() -> Duration {
    let begun = Instant::now();
    run("systemctl", &["stop", "targetclid.service"]);
    begun.elapsed()
}

#[test]
fn lio_r13_the_daemon_stops_within_2_s_between_passes_although_the_session_is_open() {
    let watched = Watched::with_one_image();
    assert!(session().is_some());
    let took = stops();
    println!("stopped in {took:?}");
    assert!(took < BEYOND_THE_COMMAND, "{took:?}");
    // It is started by the next use, which costs no step.
    watched.adds_image(2);
    watched.until("lun_added");
    watched.passes(1);
    assert_eq!(watched.agent.events_of("change_failed"), Vec::<serde_json::Value>::new());
}

#[test]
fn lio_r13_the_daemon_stops_in_mid_pass_within_2_s_beyond_the_command_under_way() {
    let (_node, agent) = in_mid_pass("");
    let took = stops();
    assert!(luns().len() < MANY, "it was in mid-pass");
    adds_many(&agent);
    let command = longest_command();
    println!("stopped in {took:?}, the longest command {command:?}");
    assert!(took < BEYOND_THE_COMMAND + command, "{took:?}, a command takes {command:?}");
}

/// From now on targetcli does its work itself.
fn plain_targetcli() {
    run("targetcli", &["--disable-daemon"]);
}

/// Runs targetcli: how it ended, and what it said. If it read root's preferences in the instant in which the daemon was writing
/// them, it dies before it has begun, and is run again as anybody would (facts P22). That is between the two of them; hardly ever
/// twice in a row.
fn targetcli(arguments: &[&str]) -> (ExitStatus, String) {
    let mut tries = (1..=3).map(|_| {
        let output = Command::new("targetcli").args(arguments).output().unwrap();
        let said = [output.stdout, output.stderr].concat();
        (output.status, String::from_utf8_lossy(&said).into_owned())
    });
    tries
        .find(|(_, said)| !said.contains("EOFError: Ran out of input"))
        .expect("the preferences are read whole at one of three tries")
}

/// Makes backstores with targetcli, one after the other, while the pass adds its LUNs: all are made. How many.
fn makes_backstores() -> usize {
    let mut made = 0;
    while luns().len() < MANY && made < MEANWHILE {
        let file = format!("/srv/scratch-{made}.img");
        std::fs::write(&file, vec![0; 1 << 20]).unwrap();
        let (status, said) = targetcli(&["/backstores/fileio", "create", &format!("scratch{made}"), &file]);
        // With the daemon it ends with 0 whatever was said.
        assert!(status.success() && said.contains("Created fileio"), "{made}: {status} {said}");
        made += 1;
    }
    made
}

#[test]
fn lio_r13_l7_plain_targetcli_makes_backstores_while_a_pass_adds_30_luns_and_neither_is_refused() {
    let (_node, agent) = in_mid_pass_after(plain_targetcli, "log.level = \"debug\"");
    let made = makes_backstores();
    adds_many(&agent);
    println!("{made} backstores were made meanwhile");
    assert!(made >= 3, "in mid-pass");
    assert_eq!(agent.events_of("step_tried_again"), Vec::<serde_json::Value>::new(), "the agent lost a race");
    assert_eq!(agent.passes(), 1);
}

#[test]
fn lio_r13_targetcli_over_the_daemon_makes_backstores_while_a_pass_adds_30_luns_and_neither_is_refused() {
    let over_the_daemon = || drop(run("targetcli", &["set", "global", "auto_use_daemon=true"]));
    let (_node, agent) = in_mid_pass_after(over_the_daemon, "log.level = \"debug\"");
    let made = makes_backstores();
    adds_many(&agent);
    println!("{made} backstores were made meanwhile");
    assert!(made >= 3, "in mid-pass");
    assert_eq!(agent.events_of("step_tried_again"), Vec::<serde_json::Value>::new(), "the agent lost a race");
}

#[test]
fn lio_r13_m17_beside_a_shell_that_is_left_open_an_image_gets_its_lun_after_10_s_and_no_lun_goes() {
    let watched = Watched::with_one_image();
    let usual = watched.unobstructed(2);
    let shell = Shell::opens();
    watched.node.ims.tag(&id(1), false);
    let began = watched.adds_image(3);
    let (came, _) = watched.until("lun_added");
    let took = Duration::from_micros(came - began);
    println!("LUN after {took:?}; a pass takes {usual:?} until then");
    assert!(took < PATIENCE + BEYOND_THE_COMMAND + usual * 2, "{took:?}");
    let (_, event) = watched.until("lio_busy");
    let detail = event["detail"].as_str().unwrap();
    let named = format!("pid {} (", shell.pid());
    assert!(detail.contains(&named) && detail.contains("targetcli"), "{detail}");
    assert!(took >= PATIENCE, "the lock is waited for");
    assert_eq!(event["reason"], "locked");
    watched.passes(1);
    // Seen gone for the second time, it waits.
    let (_, summary) = watched.until("pass_summary");
    assert_eq!(
        (&summary["removed"], &summary["failed"], luns().len()),
        (&0.into(), &1.into(), 3),
        "{summary}"
    );
    shell.exits();
    watched.until("lun_removed");
    assert_eq!(luns().len(), 2);
    watched.until("resolved");
}
