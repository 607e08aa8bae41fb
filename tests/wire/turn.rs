//! Our turn at the daemon, which serves one client at a time, and plain targetcli's lock: who is in the way is told,
//! and nobody waits for us.

use super::daemon::{LONG, Site, create, word};
use actors::model::{Request, Step};
use actors::ports::{LioError, LioPort, PortError, Rest};
use rustix::fs::{FlockOperation, flock};
use sbps_marshal::targetclid::{Command, Patience, Session, ShellLock};
use std::fs::File;
use std::io::{Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::time::{Duration, Instant};

/// For a turn that will not come.
const SHORT: Duration = Duration::from_millis(300);

fn impatient() -> Patience {
    Patience { restart: SHORT, client: SHORT, daemon: SHORT * 2, again: SHORT / 3 }
}

/// Another client of the daemon's, in this very process.
struct Other(UnixStream);

impl Other {
    /// It has connected and asked; whether it is served is another matter.
    fn asks(socket: &Path, request: &str) -> Self {
        let mut stream = UnixStream::connect(socket).unwrap();
        stream.set_read_timeout(Some(LONG)).unwrap();
        stream.write_all(request.as_bytes()).unwrap();
        Other(stream)
    }

    /// It is being served, and stays.
    fn holds(socket: &Path) -> Self {
        let mut other = Other::asks(socket, "version");
        assert_eq!(other.hears(), "targetcli version 2.1.53\n");
        other
    }

    fn hears(&mut self) -> String {
        let mut head = [0; 4];
        self.0.read_exact(&mut head).unwrap();
        let mut text = vec![0; usize::try_from(i32::from_ne_bytes(head)).unwrap()];
        self.0.read_exact(&mut text).unwrap();
        String::from_utf8(text).unwrap()
    }

    fn leaves(mut self) {
        self.0.write_all(b"-END@OF@DATA-").unwrap();
    }
}

fn ask(session: &mut Session) -> Result<String, LioError> {
    session.request(&Command::new("version".to_owned()).unwrap(), LONG)
}

/// A daemon that accepts nobody, and a session with it.
fn asleep(patience: Patience) -> ((tempfile::TempDir, UnixListener), Session) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("targetclid.sock");
    let listener = UnixListener::bind(&path).unwrap();
    ((folder, listener), Session::new(&path).with_patience(patience))
}

/// The holder that a refusal names.
fn holder(error: LioError) -> String {
    match error {
        LioError::Busy { holder, .. } => holder,
        LioError::Locked { holder, path, .. } => format!("{holder}, which holds {path}"),
        other => panic!("{other}"),
    }
}

/// Asks, pass by pass, until our turn has come.
fn ask_until_served(session: &mut Session) -> String {
    let begun = Instant::now();
    loop {
        match ask(session) {
            Ok(reply) => return reply,
            Err(error) => assert!(begun.elapsed() < LONG, "{error}"),
        }
        session.end();
    }
}

fn this_process() -> String {
    format!("pid {} (", std::process::id())
}

#[test]
fn l5_the_client_that_is_served_is_named_and_when_it_has_left_our_turn_comes() {
    let site = Site::new();
    let mut session = Session::new(site.daemon.socket()).with_patience(impatient());
    let other = Other::holds(site.daemon.socket());
    let named = holder(ask(&mut session).unwrap_err());
    assert!(named.starts_with(&this_process()), "{named}");
    session.end();
    assert_eq!(holder(ask(&mut session).unwrap_err()), named, "still");
    other.leaves();
    session.end();
    assert_eq!(ask_until_served(&mut session), "targetcli version 2.1.53\n");
}

#[test]
fn l5_the_client_is_named_within_ten_seconds_of_the_first_command() {
    let patience = Patience::default();
    assert!(patience.client <= Duration::from_secs(6) && patience.daemon <= Duration::from_secs(10));
    assert!(patience.again <= Duration::from_secs(1), "a release is noticed at the next look");
}

#[test]
fn l5_a_wait_of_many_passes_costs_the_daemon_one_connection_and_leaves_no_litter() {
    let site = Site::new();
    let mut session = Session::new(site.daemon.socket()).with_patience(impatient());
    let other = Other::holds(site.daemon.socket());
    for _ in 0..10 {
        assert_eq!(ask(&mut session).unwrap_err().kind(), "busy");
        session.end();
    }
    other.leaves();
    let mut session = session.with_patience(Patience::default());
    ask_until_served(&mut session);
    assert_eq!(site.daemon.accepted(), 3, "the other, the wait that was in vain, the one that is served");
    assert_eq!(site.daemon.litter(), 0);
    session.end();
    Other::holds(site.daemon.socket()).leaves();
}

#[test]
fn m2e_our_turn_is_waited_for_once_in_a_pass() {
    let site = Site::new();
    let second = Duration::from_secs(1);
    let patience = Patience { client: second, daemon: second, again: second, ..impatient() };
    let mut session = Session::new(site.daemon.socket()).with_patience(patience);
    let _other = Other::holds(site.daemon.socket());
    let begun = Instant::now();
    ask(&mut session).unwrap_err();
    assert!(begun.elapsed() >= patience.client);
    let begun = Instant::now();
    for _ in 0..30 {
        assert_eq!(ask(&mut session).unwrap_err().kind(), "busy");
    }
    assert!(begun.elapsed() < patience.client * 30, "each has waited: {:?}", begun.elapsed());
}

#[test]
fn m2e_a_daemon_that_takes_no_connection_is_waited_for_once_in_a_pass_and_no_client_is_named() {
    let second = Duration::from_secs(1);
    let patience = Patience { daemon: second, again: second, ..impatient() };
    let (_asleep, mut session) = asleep(patience);
    let begun = Instant::now();
    assert_eq!(ask(&mut session).unwrap_err().kind(), "timeout");
    assert!(begun.elapsed() >= patience.daemon);
    let begun = Instant::now();
    for _ in 0..30 {
        assert_eq!(ask(&mut session).unwrap_err().kind(), "timeout");
    }
    assert!(begun.elapsed() < patience.daemon * 30, "each has waited: {:?}", begun.elapsed());
}

#[test]
fn a_daemon_that_may_be_reading_many_luns_is_waited_for_as_much_longer() {
    let (_at_its_tree, mut session) = asleep(impatient());
    session.expect_tree(SHORT * 3);
    let begun = Instant::now();
    assert_eq!(ask(&mut session).unwrap_err().kind(), "timeout");
    assert!(begun.elapsed() >= impatient().daemon + SHORT * 3, "{:?}", begun.elapsed());
}

#[test]
fn a_command_whose_client_has_hung_up_is_still_in_the_way_and_told_as_what_it_is() {
    let site = Site::new();
    let mut session = Session::new(site.daemon.socket()).with_patience(impatient());
    site.daemon.freeze_at("version");
    let gone = Other::asks(site.daemon.socket(), "version");
    site.daemon.wait_until_frozen();
    drop(gone);
    for _ in 0..3 {
        let named = holder(ask(&mut session).unwrap_err());
        assert!(named.starts_with("a client that has hung up"), "{named}");
        session.end();
    }
    site.daemon.thaw();
    let mut session = session.with_patience(Patience::default());
    ask_until_served(&mut session);
    assert_eq!(
        site.daemon.accepted(),
        3,
        "the one that has gone, the wait that was in vain, the one that is served"
    );
}

#[test]
fn a_daemon_whose_thread_died_with_our_connection_is_left_and_answers_the_next_one() {
    let site = Site::new();
    let mut session = Session::new(site.daemon.socket()).with_patience(impatient());
    site.daemon.let_a_thread_die();
    assert_eq!(ask(&mut session).unwrap_err().kind(), "timeout");
    session.end();
    ask_until_served(&mut session);
}

#[test]
fn r13_a_client_that_waits_is_served_after_the_command_under_way_and_not_after_the_pass() {
    let site = Site::new();
    let mut session = Session::new(site.daemon.socket());
    ask(&mut session).unwrap();
    let mut other = Other::asks(site.daemon.socket(), "pwd");
    ask(&mut session).unwrap();
    assert_eq!(other.hears(), "/\n");
    other.leaves();
    assert_eq!(ask(&mut session).unwrap(), "targetcli version 2.1.53\n");
    assert_eq!(site.daemon.litter(), 0);
}

#[test]
fn r13_between_passes_the_session_stays_open_until_another_client_comes_which_is_served() {
    let site = Site::new();
    let mut session = Session::new(site.daemon.socket());
    for _ in 0..3 {
        ask(&mut session).unwrap();
        session.renew();
    }
    assert_eq!(site.daemon.accepted(), 1);
    let mut other = Other::asks(site.daemon.socket(), "pwd");
    // The session is not used meanwhile.
    assert_eq!(other.hears(), "/\n");
    other.leaves();
    assert_eq!(ask(&mut session).unwrap(), "targetcli version 2.1.53\n");
    assert_eq!((site.daemon.accepted(), site.daemon.litter()), (3, 0));
}

#[test]
fn r13_a_daemon_that_is_told_to_stop_ends_although_a_session_was_open_and_is_found_again() {
    let mut site = Site::new();
    let mut session = Session::new(site.daemon.socket());
    ask(&mut session).unwrap();
    site.daemon.terminate();
    // The session is not used meanwhile.
    site.daemon.wait_until(|daemon| daemon.has_ended());
    site.daemon.start_again();
    assert_eq!(ask(&mut session).unwrap(), "targetcli version 2.1.53\n", "it costs no failed step");
    assert_eq!(site.daemon.litter(), 0);
}

#[test]
fn r13_a_daemon_that_is_told_to_stop_in_mid_pass_ends_after_the_command_under_way() {
    let mut site = Site::new();
    let mut session = Session::new(site.daemon.socket());
    site.daemon.freeze_at("pwd");
    let command = Command::new("pwd".to_owned()).unwrap();
    let asked = std::thread::spawn(move || session.request(&command, LONG).map(|answer| (answer, session)));
    site.daemon.wait_until_frozen();
    site.daemon.terminate();
    site.daemon.thaw();
    let (answer, mut session) = asked.join().unwrap().unwrap();
    assert_eq!(answer, "/\n");
    site.daemon.wait_until(|daemon| daemon.has_ended());
    site.daemon.start_again();
    ask(&mut session).unwrap();
}

#[test]
fn r13_a_daemon_that_forgets_to_stop_during_a_session_is_left_after_each_command() {
    let site = Site::new();
    site.daemon.set_version("3.0.1");
    let mut session = Session::new(site.daemon.socket());
    for times in 1..4 {
        ask(&mut session).unwrap();
        assert_eq!(site.daemon.accepted(), times);
    }
    assert_eq!(site.daemon.litter(), 0);
}

/// Plain targetcli's lock, taken by somebody else.
fn locked(site: &Site) -> File {
    let file = File::options().read(true).write(true).create(true).truncate(false).open(site.lock()).unwrap();
    flock(&file, FlockOperation::LockExclusive).unwrap();
    file
}

pub fn is_locked(site: &Site) -> bool {
    let file = File::options().read(true).write(true).create(true).truncate(false).open(site.lock()).unwrap();
    flock(&file, FlockOperation::NonBlockingLockExclusive).is_err()
}

#[test]
fn r13_m17_a_change_waits_for_plain_targetclis_lock_and_without_it_only_what_is_said_to_be_so_is_made() {
    let site = Site::new();
    let mut lio = site.lio(SHORT, LONG);
    let shell = locked(&site);
    assert!(lio.apply(&Request::Refresh).is_ok(), "nothing is changed by looking");
    let begun = Instant::now();
    let named = holder(lio.apply(&create(&site, "a").into()).unwrap_err());
    assert!(begun.elapsed() >= SHORT, "it may be given back");
    assert!(named.starts_with(&this_process()) && named.contains("targetcli.lock"), "{named}");
    assert_eq!(site.daemon.kernel().stores(), []);
    lio.apply(&Request::Unlocked(Box::new(create(&site, "a").into()))).unwrap();
    assert!(site.daemon.kernel().store("a").is_some());
    assert_eq!(lio.apply(&Request::Save { backup: true }).unwrap_err().kind(), "locked");
    lio.apply(&Request::Unlocked(Box::new(Request::Save { backup: true }))).unwrap();
    assert!(site.file("saveconfig.json").exists());
    drop(shell);
    lio.rest(Rest::UntilNextPass);
    lio.apply(&create(&site, "b").into()).unwrap();
    assert!(site.daemon.kernel().store("b").is_some());
}

#[test]
fn r13_the_lock_is_waited_for_once_in_a_pass_and_the_session_stays_ours_meanwhile() {
    let site = Site::new();
    let second = Duration::from_secs(1);
    let mut lio = site.lio(second, LONG);
    let _shell = locked(&site);
    let begun = Instant::now();
    lio.apply(&create(&site, "a").into()).unwrap_err();
    assert!(begun.elapsed() >= second);
    lio.apply(&Request::Refresh).unwrap();
    let (begun, accepted) = (Instant::now(), site.daemon.accepted());
    for _ in 0..30 {
        assert_eq!(lio.apply(&create(&site, "a").into()).unwrap_err().kind(), "locked");
    }
    assert!(begun.elapsed() < second * 30, "each has waited: {:?}", begun.elapsed());
    lio.apply(&Request::Refresh).unwrap();
    assert_eq!(site.daemon.accepted(), accepted);
}

#[test]
fn m17_l5_whether_a_change_is_possible_is_asked_of_the_lock_and_of_the_daemon_and_nobody_waits() {
    let site = Site::new();
    let mut lio = site.lio(LONG, LONG).with(ShellLock::new(site.lock(), LONG), impatient());
    let shell = locked(&site);
    let begun = Instant::now();
    let named = holder(lio.apply(&Request::Probe).unwrap_err());
    assert!(begun.elapsed() < LONG / 2, "the lock was waited for");
    assert!(named.starts_with(&this_process()) && named.contains("targetcli.lock"), "{named}");
    assert_eq!(site.daemon.accepted(), 0);
    drop(shell);
    let other = Other::holds(site.daemon.socket());
    assert_eq!(lio.apply(&Request::Probe).unwrap_err().kind(), "busy");
    other.leaves();
    let begun = Instant::now();
    while let Err(error) = lio.apply(&Request::Probe) {
        assert!(begun.elapsed() < LONG, "{error}");
        lio.rest(Rest::ForGood);
    }
    assert!(!is_locked(&site));
    assert!(site.daemon.heard().iter().all(|heard| ["/ version", "version"].contains(&heard.as_str())));
}

#[test]
fn m17_the_lock_is_held_for_the_command_and_no_longer() {
    let site = Site::new();
    let mut lio = site.lio(LONG, LONG);
    site.daemon.freeze_at("create");
    let step = create(&site, "a");
    let applied = std::thread::spawn(move || lio.apply(&step.into()).map(|_| lio));
    site.daemon.wait_until_frozen();
    assert!(is_locked(&site));
    site.daemon.thaw();
    let _lio = applied.join().unwrap().unwrap();
    assert!(!is_locked(&site), "the session is still open");
}

#[test]
fn m17_a_targetcli_that_has_the_lock_and_waits_for_the_daemon_is_served_while_we_wait_for_the_lock() {
    let site = Site::new();
    let mut lio = site.lio(LONG, LONG);
    lio.apply(&Request::Refresh).unwrap();
    let lock = locked(&site);
    let step = create(&site, "a");
    let applied = std::thread::spawn(move || lio.apply(&step.into()).map(|_| ()));
    // With auto_use_daemon.
    let mut shell = Other::asks(site.daemon.socket(), "pwd");
    assert_eq!(shell.hears(), "/\n");
    shell.leaves();
    drop(lock);
    applied.join().unwrap().unwrap();
    assert!(site.daemon.kernel().store("a").is_some());
}

#[test]
fn m17_the_lock_is_not_held_while_we_wait_for_our_turn() {
    let site = Site::new();
    let mut lio = site.lio(LONG, LONG).with(ShellLock::new(site.lock(), LONG), impatient());
    let other = Other::holds(site.daemon.socket());
    let step = Step::DeleteBackstore { name: word("a"), wwn: word("a") };
    let applied = std::thread::spawn(move || lio.apply(&step.into()).map(|_| ()));
    while !applied.is_finished() {
        assert!(!is_locked(&site));
        std::thread::park_timeout(Duration::from_millis(1));
    }
    assert_eq!(applied.join().unwrap().unwrap_err().kind(), "busy");
    other.leaves();
}

#[test]
fn r14_the_end_of_a_session_that_waits_for_its_turn_blocks_nobody() {
    let site = Site::new();
    let mut session = Session::new(site.daemon.socket()).with_patience(impatient());
    let other = Other::holds(site.daemon.socket());
    ask(&mut session).unwrap_err();
    let begun = Instant::now();
    session.end();
    drop(session);
    assert!(begun.elapsed() < LONG / 2, "{:?}", begun.elapsed());
    other.leaves();
}
