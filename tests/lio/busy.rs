//! Others at the real targetclid: who is in the way is named, and nobody is in anybody's way for long.

use actors::ports::LioError;
use sbps_marshal::targetclid::{Command as Line, Session, ShellLock};
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use support::node::{Agent, Node, luns, run, squashfs, wait_for};

const SOCKET: &str = "/run/targetclid.sock";
const LOCK: &str = "/run/targetcli.lock";

/// A change has to begin within this, once nobody is in the way any more.
const NOTICED: Duration = Duration::from_secs(2);

/// A client of the daemon's, which holds it.
struct Holder(UnixStream);

impl Holder {
    fn takes_the_daemon() -> Self {
        let mut stream = UnixStream::connect(SOCKET).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        stream.write_all(b"pwd").unwrap();
        stream.read_exact(&mut [0; 6]).unwrap();
        Holder(stream)
    }

    fn leaves(mut self) {
        self.0.write_all(b"-END@OF@DATA-").unwrap();
    }
}

/// An operator's shell. It takes the lock at once, and until it exits.
struct Shell(Child);

impl Shell {
    fn opens() -> Self {
        let mut shell = Command::new("targetcli");
        let shell =
            Shell(shell.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap());
        let lock = ShellLock::new(LOCK, Duration::ZERO);
        wait_for("targetcli has the lock", Duration::from_secs(60), || {
            lock.try_take().is_none().then_some(())
        });
        shell
    }

    fn exits(mut self) {
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

/// Connections that the daemon has accepted and not closed.
fn served() -> usize {
    let sockets = std::fs::read_to_string("/proc/net/unix").unwrap();
    let accepted =
        |line: &&str| line.ends_with("targetclid.sock") && line.split_whitespace().nth(5) == Some("03");
    sockets.lines().filter(accepted).count()
}

fn add_image(node: &Node, n: u32) {
    node.add_image(&format!("{n:08x}-0000-4000-8000-000000000000"), &squashfs(n, 64), 0, true);
}

/// The agent has told that this process is in the way, and nothing has been changed.
fn named(agent: &Agent, begun: Instant, pid: u32) {
    let name = format!("pid {pid} (");
    let event = wait_for("the one in the way is named", Duration::from_secs(60), || {
        agent
            .events_of("lio_busy")
            .into_iter()
            .find(|event| event["detail"].as_str().unwrap().contains(&name))
    });
    assert!(begun.elapsed() < Duration::from_secs(10), "told after {:?}: {event}", begun.elapsed());
    assert_eq!(event["reason"], "busy");
    assert_eq!(luns().len(), 1);
}

#[test]
fn lio_l5_a_client_that_holds_the_daemon_is_named_within_10_s_and_its_release_is_noticed_within_2_s() {
    let node = Node::fresh();
    add_image(&node, 1);
    let agent = Agent::start(&node, "");
    agent.wait_until_converged(1, 120);
    let holder = Holder::takes_the_daemon();
    add_image(&node, 2);
    agent.reload();
    named(&agent, Instant::now(), std::process::id());

    holder.leaves();
    let released = Instant::now();
    wait_for("the agent is served", Duration::from_secs(60), || {
        (served() > 0 || luns().len() == 2).then_some(())
    });
    assert!(released.elapsed() < NOTICED, "noticed after {:?}", released.elapsed());
    agent.wait_until_converged(2, 60);
}

#[test]
fn lio_m17_a_plain_targetcli_shell_that_holds_the_lock_is_named_and_nothing_is_changed_meanwhile() {
    let node = Node::fresh();
    add_image(&node, 1);
    let agent = Agent::start(&node, "");
    agent.wait_until_converged(1, 120);
    let shell = Shell::opens();
    add_image(&node, 2);
    agent.reload();
    wait_for("the shell is named", Duration::from_secs(60), || {
        let name = format!("pid {} (", shell.0.id());
        let told = agent.events_of("lio_busy");
        told.into_iter().find(|event| event["detail"].as_str().unwrap().contains(&name))
    });
    assert_eq!(luns().len(), 1);
    shell.exits();
    agent.wait_until_converged(2, 60);
}

/// Without the agent: what the session alone does beside the real daemon.
#[test]
fn lio_l5_a_wait_for_the_daemon_that_was_in_vain_leaves_no_traceback_and_no_file_behind() {
    let _node = Node::fresh();
    let files = || run("find", &["/tmp", "-mindepth", "1", "-name", "tmp*", "-newer", "/run/before"]);
    std::fs::write("/run/before", "").unwrap();
    let holder = Holder::takes_the_daemon();
    let mut session = Session::new(SOCKET);
    let version = Line::new("version".to_owned()).unwrap();
    let mut ask = || {
        let answer = session.ask(&version, Duration::from_secs(60));
        session.end();
        answer
    };

    let begun = Instant::now();
    let Err(LioError::Busy { holder: name, .. }) = ask() else { panic!("we hold the daemon") };
    println!("after {:?}: {name}", begun.elapsed());
    assert!(begun.elapsed() < Duration::from_secs(10));
    assert!(name.starts_with(&format!("pid {} (", std::process::id())), "{name}");
    for _ in 0..5 {
        assert_eq!(ask().unwrap_err().kind(), "busy");
    }

    holder.leaves();
    let released = Instant::now();
    assert_eq!(ask().unwrap(), "targetcli version 2.1.53\n");
    println!("served {:?} after the release", released.elapsed());
    assert!(released.elapsed() < NOTICED, "{:?}", released.elapsed());
    let journal = run("journalctl", &["-q", "-u", "targetclid.service", "--no-pager", "-o", "cat"]);
    assert!(!journal.contains("Traceback"), "{journal}");
    assert_eq!(files(), "");
}

/// With `auto_use_daemon` targetcli takes the lock first and waits for the daemon with it.
#[test]
fn lio_m17_a_targetcli_that_uses_the_daemon_is_served_while_the_session_is_open() {
    let _node = Node::fresh();
    run("targetcli", &["set", "global", "auto_use_daemon=true"]);
    let mut session = Session::new(SOCKET);
    let version = Line::new("version".to_owned()).unwrap();
    session.ask(&version, Duration::from_secs(60)).unwrap();
    let mut shell = Command::new("targetcli").arg("pwd").stdout(Stdio::null()).spawn().unwrap();
    let lock = ShellLock::new(LOCK, Duration::ZERO);
    let ended = wait_for("it has been served", Duration::from_secs(60), || {
        if lock.try_take().is_none() {
            // It has the lock: either it has not asked yet, or it waits for us, and the next command lets it in.
            session.ask(&version, Duration::from_secs(60)).unwrap();
        }
        shell.try_wait().unwrap()
    });
    assert!(ended.success());
    session.end();
}
