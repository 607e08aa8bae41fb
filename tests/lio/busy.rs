//! Others at the real targetclid: who is in the way is named, and nobody is in anybody's way for long.

use actors::ports::LioError;
use actors::ports::PortError;
use sbps_marshal::targetclid::{Command as Line, Session};
use serde_json::Value;
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use support::node::{Agent, Follow, Node, luns, micros_now, run, squashfs, wait_for};

const SOCKET: &str = "/run/targetclid.sock";

/// Who is in the way is named within this.
const NAMED: Duration = Duration::from_secs(10);

/// A change has to begin within this, once nobody is in the way any more.
const NOTICED: Duration = Duration::from_secs(2);

/// For whatever an emulated CPU may be busy with.
pub const WITHIN: Duration = Duration::from_secs(60);

/// A client of the daemon's, which holds it until it leaves.
pub struct Client(UnixStream);

impl Client {
    /// It has been served.
    pub fn comes() -> Self {
        let mut client = Client(UnixStream::connect(SOCKET).unwrap());
        client.0.set_read_timeout(Some(WITHIN)).unwrap();
        client.asks("pwd");
        client
    }

    /// Asks, and gets an answer.
    pub fn asks(&mut self, command: &str) -> String {
        self.0.write_all(command.as_bytes()).unwrap();
        let mut head = [0; 4];
        self.0.read_exact(&mut head).unwrap();
        let mut text = vec![0; usize::try_from(i32::from_ne_bytes(head)).unwrap()];
        self.0.read_exact(&mut text).unwrap();
        String::from_utf8(text).unwrap()
    }

    pub fn leaves(mut self) {
        self.0.write_all(b"-END@OF@DATA-").unwrap();
    }
}

/// An operator's shell. It takes the lock at once, and until it exits.
pub struct Shell(Child);

impl Shell {
    pub fn opens() -> Self {
        let mut shell = Command::new("targetcli");
        let shell =
            Shell(shell.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap());
        wait_for("targetcli has the lock", WITHIN, || shell.has_the_lock().then_some(()));
        shell
    }

    /// `1: FLOCK  ADVISORY  WRITE 3875 fe:00:5611603 0 EOF`
    fn has_the_lock(&self) -> bool {
        let locks = std::fs::read_to_string("/proc/locks").unwrap();
        let pid = self.0.id().to_string();
        locks.lines().any(|line| {
            let words: Vec<&str> = line.split_whitespace().collect();
            words[1] == "FLOCK" && words[4] == pid
        })
    }

    pub fn pid(&self) -> u32 {
        self.0.id()
    }

    pub fn exits(mut self) {
        self.0.stdin.take().unwrap().write_all(b"exit\n").unwrap();
        assert!(self.0.wait().unwrap().success());
    }
}

impl Drop for Shell {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// An agent that passes when it is told to, when it retries, and when it finds that nobody is in the way any more.
pub struct Watched {
    pub node: Node,
    pub agent: Agent,
    log: Follow,
}

impl Watched {
    /// With one image, which is projected.
    pub fn with_one_image() -> Self {
        let node = Node::fresh();
        let log = Follow::from_now();
        let agent = Agent::start(&node, "scan.frequency = 3600\nscan.tag_frequency = 3600");
        let watched = Watched { node, agent, log };
        watched.passes(1);
        watched.adds_image(1);
        watched.until("lun_added");
        watched.passes(1);
        watched
    }

    /// Adds a tagged image and asks for a pass; gives the moment at which the agent heard of it.
    pub fn adds_image(&self, n: u32) -> u64 {
        self.node.add_image(&format!("{n:08x}-0000-4000-8000-000000000000"), &squashfs(n, 64), 0, true);
        self.agent.reload();
        self.until("resync").0
    }

    /// When the next event of this name was logged, in microseconds since boot, and the event.
    pub fn until(&self, name: &str) -> (u64, Value) {
        let event = self.log.until(name, WITHIN).pop().unwrap();
        (event.micros, event.fields)
    }

    pub fn passes(&self, count: usize) {
        (0..count).for_each(|_| drop(self.until("pass_summary")));
    }

    /// How long it takes here from the beginning of a pass to its first LUN when nobody is in the way: what the
    /// emulated CPU, and whatever else the machine does, costs the same pass when somebody has been in the way.
    pub fn unobstructed(&self, n: u32) -> Duration {
        let began = self.adds_image(n);
        let (projected, _) = self.until("lun_added");
        self.passes(1);
        Duration::from_micros(projected - began)
    }

    /// The next image finds this process in the way, which is named. Gives the time that this takes.
    fn is_obstructed(&self, n: u32, pid: u32) -> Duration {
        let before = luns();
        let began = self.adds_image(n);
        let (told, event) = self.until("lio_busy");
        assert!(event["detail"].as_str().unwrap().contains(&format!("pid {pid} (")), "{event}");
        assert_eq!((&event["reason"], luns()), (&"busy".into(), before));
        Duration::from_micros(told - began)
    }

    /// The first LUN comes within two seconds of this moment, and what a pass takes until then.
    fn goes_on(&self, released: u64, usual: Duration) {
        let expected = luns().len() + 1;
        let (projected, _) = self.until("lun_added");
        assert_eq!(luns().len(), expected);
        self.passes(1);
        let took = Duration::from_micros(projected.saturating_sub(released));
        let usual = usual.max(self.unobstructed(99));
        println!("projected {took:?} after the release; a pass takes {usual:?} until then");
        assert!(took < NOTICED + usual, "{took:?} after the release, and a pass takes {usual:?} until then");
    }
}

#[test]
fn lio_l5_a_client_that_holds_the_daemon_is_named_within_10_s_and_its_release_is_noticed_within_2_s() {
    let watched = Watched::with_one_image();
    let usual = watched.unobstructed(2);
    let holder = Client::comes();
    let named = watched.is_obstructed(3, std::process::id());
    println!("named after {named:?}");
    assert!(named < NAMED, "{named:?}");
    // This pass and two more are in vain: the next one would come by itself after 20 s.
    watched.passes(3);
    let released = micros_now();
    holder.leaves();
    watched.goes_on(released, usual);
}

/// Without the agent: what the session alone does beside the real daemon.
#[test]
fn lio_l5_a_wait_for_the_daemon_that_was_in_vain_leaves_no_traceback_and_no_file_behind() {
    let _node = Node::fresh();
    let files = || run("find", &["/tmp", "-mindepth", "1", "-name", "tmp*", "-newer", "/run/before"]);
    std::fs::write("/run/before", "").unwrap();
    let mut session = Session::new(SOCKET);
    let version = Line::new("version".to_owned()).unwrap();
    let mut ask = || {
        let begun = Instant::now();
        let answer = session.request(&version, WITHIN);
        session.end();
        (answer, begun.elapsed())
    };
    let (answer, _) = ask();
    let answer = answer.unwrap();
    assert!(answer.starts_with("targetcli version "), "{answer}");
    let (_, usual) = ask();

    let holder = Client::comes();
    let (Err(LioError::Busy { holder: name, .. }), named) = ask() else { panic!("we hold the daemon") };
    println!("after {named:?}: {name}");
    assert!(named < NAMED, "{named:?}");
    assert!(name.starts_with(&format!("pid {} (", std::process::id())), "{name}");
    for _ in 0..5 {
        assert_eq!(ask().0.unwrap_err().kind(), "busy");
    }

    holder.leaves();
    let (again, took) = ask();
    assert_eq!(again.unwrap(), answer);
    println!("served {took:?} after the release, {usual:?} when nobody was there");
    assert!(took < NOTICED + usual, "{took:?}, {usual:?} when nobody was there");
    let journal = run("journalctl", &["-q", "-u", "targetclid.service", "--no-pager", "-o", "cat"]);
    assert!(!journal.contains("Traceback"), "{journal}");
    assert_eq!(files(), "");
}

/// With `auto_use_daemon` targetcli takes the lock first and waits for the daemon with it.
#[test]
fn lio_r13_m17_a_targetcli_that_uses_the_daemon_is_served_while_the_session_is_open_and_not_used() {
    let _node = Node::fresh();
    run("targetcli", &["set", "global", "auto_use_daemon=true"]);
    let mut session = Session::new(SOCKET);
    let version = Line::new("version".to_owned()).unwrap();
    session.request(&version, WITHIN).unwrap();
    run("targetcli", &["pwd"]);
    session.request(&version, WITHIN).unwrap();
    session.end();
    run("targetcli", &["--disable-daemon"]);
}
