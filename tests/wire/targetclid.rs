//! The session with targetclid, and LIO behind its port, against a scripted daemon on a real socket.

use actors::model::{Engine, Request, Word};
use actors::model::{Saved, Step};
use actors::ports::{LioError, LioPort, PortError, Rest};
use sbps_marshal::config;
use sbps_marshal::lio::{LioAdapter, SettingError};
use sbps_marshal::targetclid::{Command, Patience, Session, ShellLock};
use std::path::PathBuf;
use std::time::{Duration, Instant};
use support::configfs::Tree;
use support::targetclid::Turn::{Abandoned, Answer, Blurt, Drip, Farewell, Half, HangUp, Ignore};
use support::targetclid::{Exchange, Peer, Transcript, Turn};

/// Of a command that will not be answered: waited for to its end.
const SHORT: Duration = Duration::from_millis(200);

/// Of everything that will come by itself: the machine may be busy.
const LONG: Duration = Duration::from_secs(60);

/// A scratch folder with a daemon in it.
struct Scene {
    folder: tempfile::TempDir,
    peer: Peer,
}

impl Scene {
    fn new(script: Vec<Vec<Turn>>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let peer = Peer::start(&folder.path().join("targetclid.sock"), script);
        Scene { folder, peer }
    }

    fn socket(&self) -> PathBuf {
        self.folder.path().join("targetclid.sock")
    }

    fn session(&self) -> Session {
        Session::new(self.socket())
    }
}

fn ask(session: &mut Session, line: &str, limit: Duration) -> Result<String, LioError> {
    session.request(&Command::new(line.to_owned()).unwrap(), limit)
}

fn greeting() -> Turn {
    Answer(Exchange::greeting())
}

fn version() -> Exchange {
    Exchange::new("version", "targetcli version 2.1.53\n")
}

/// A command of the short limit has not been waited for by another one, on whatever machine.
fn in_time(start: Instant) -> bool {
    start.elapsed() < LONG / 2
}

/// A daemon that is away is not waited for longer than this.
fn impatient() -> Patience {
    Patience { restart: SHORT, client: SHORT, daemon: SHORT, again: SHORT }
}

/// The session that every misbehaviour is followed by.
fn recovery() -> Vec<Turn> {
    vec![greeting(), Answer(version()), Farewell]
}

/// One command meets this behaviour and ends with this kind of error, in time; the next one is answered.
fn one_fault(behaviour: Vec<Turn>, limit: Duration, kind: &str) {
    let script = [vec![greeting()], behaviour].concat();
    let scene = Scene::new(vec![script, recovery()]);
    let mut session = scene.session();
    let start = Instant::now();
    let error = ask(&mut session, "version", limit).unwrap_err();
    assert_eq!(error.kind(), kind, "{error}");
    assert!(in_time(start), "{:?}", start.elapsed());
    assert_eq!(ask(&mut session, "version", LONG).unwrap(), version().reply);
    drop(session);
    scene.peer.finish();
}

#[test]
fn two_recorded_sessions_of_the_real_daemon_are_replayed_to_the_letter() {
    let recorded = Transcript::recorded();
    for exchanges in [recorded.first, recorded.second] {
        let answers = exchanges.iter().cloned().map(Answer);
        let script = [greeting()].into_iter().chain(answers).chain([Farewell]).collect();
        let scene = Scene::new(vec![script]);
        let mut session = scene.session();
        for exchange in &exchanges {
            assert_eq!(ask(&mut session, &exchange.request, LONG).unwrap(), exchange.reply);
        }
        session.end();
        scene.peer.finish();
    }
}

#[test]
fn r14_a_silent_daemon_ends_with_a_timeout() {
    one_fault(vec![Ignore("version"), Abandoned], SHORT, "timeout");
}

#[test]
fn r14_the_deadline_is_of_the_whole_answer_and_not_of_each_byte() {
    // A byte each 100 ms: none of them is late, and the last of the 29 comes after 3 s.
    one_fault(vec![Drip(version(), Duration::from_millis(100))], Duration::from_millis(500), "timeout");
}

#[test]
fn r14_half_an_answer_ends_with_a_timeout() {
    one_fault(vec![Half(version()), Abandoned], SHORT, "timeout");
}

#[test]
fn r14_a_daemon_that_does_not_answer_a_greeting_is_left_with_a_farewell_and_no_change_is_in_its_queue() {
    let scene = Scene::new(vec![vec![Ignore("/ version"), Farewell], recovery()]);
    let mut session = scene.session().with_patience(impatient());
    let change = "/backstores/fileio delete 0d1e00000000001";
    assert_eq!(ask(&mut session, change, LONG).unwrap_err().kind(), "timeout");
    drop(session);
    assert_eq!(ask(&mut scene.session(), "version", LONG).unwrap(), version().reply);
    scene.peer.finish();
}

#[test]
fn an_answer_cut_off_in_the_middle_breaks_the_session() {
    one_fault(vec![Half(version()), HangUp], LONG, "session");
}

#[test]
fn a_daemon_that_hangs_up_without_an_answer_breaks_the_session_and_is_not_asked_again() {
    one_fault(vec![Ignore("version"), HangUp], LONG, "session");
}

#[test]
fn an_answer_longer_than_announced_breaks_the_session() {
    let mut surplus = version();
    surplus.length -= 1;
    one_fault(vec![Answer(surplus), Abandoned], LONG, "session");
}

#[test]
fn an_answer_whose_length_counts_characters_of_other_alphabets_breaks_the_session() {
    one_fault(vec![Answer(Exchange::new("version", &"é".repeat(50))), Abandoned], LONG, "session");
}

#[test]
fn a_negative_length_breaks_the_session() {
    let mut negative = version();
    negative.length = -1;
    one_fault(vec![Answer(negative), Abandoned], LONG, "session");
}

#[test]
fn a_byte_that_waits_before_a_command_drops_the_session_and_the_command_is_not_sent() {
    let first = vec![greeting(), Answer(version()), Blurt(b"!"), Abandoned];
    let scene = Scene::new(vec![first, recovery()]);
    let mut session = scene.session();
    ask(&mut session, "version", LONG).unwrap();
    scene.peer.cue();
    scene.peer.turns(3);
    let error = ask(&mut session, "/backstores/fileio delete nope", LONG).unwrap_err();
    assert_eq!(error.kind(), "session", "{error}");
    assert_eq!(ask(&mut session, "version", LONG).unwrap(), version().reply);
    drop(session);
    scene.peer.finish();
}

#[test]
fn a_daemon_that_restarted_between_two_commands_is_connected_anew() {
    let scene = Scene::new(vec![vec![greeting(), Answer(version()), HangUp], recovery()]);
    let mut session = scene.session();
    ask(&mut session, "version", LONG).unwrap();
    scene.peer.turns(3);
    assert_eq!(ask(&mut session, "version", LONG).unwrap(), version().reply);
    drop(session);
    scene.peer.finish();
}

#[test]
fn a_daemon_that_stops_before_it_is_our_turn_is_connected_anew() {
    let scene = Scene::new(vec![vec![HangUp], vec![Ignore("/ version"), HangUp], recovery()]);
    let mut session = scene.session();
    assert_eq!(ask(&mut session, "version", LONG).unwrap(), version().reply);
    drop(session);
    scene.peer.finish();
}

#[test]
fn a_socket_that_comes_back_within_the_deadline_is_no_error() {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("targetclid.sock");
    let mut session = Session::new(&socket);
    let asked = std::thread::spawn(move || ask(&mut session, "version", LONG));
    // Whether the session came first or the socket, the answer is the same.
    std::thread::yield_now();
    let peer = Peer::start(&socket, vec![recovery()]);
    assert_eq!(asked.join().unwrap().unwrap(), version().reply);
    peer.finish();
}

#[test]
fn r14_a_socket_that_stays_away_ends_with_a_connect_error() {
    let folder = tempfile::tempdir().unwrap();
    let mut session = Session::new(folder.path().join("targetclid.sock")).with_patience(impatient());
    let start = Instant::now();
    assert_eq!(ask(&mut session, "version", LONG).unwrap_err().kind(), "connect");
    assert!(start.elapsed() >= SHORT, "it might have come back");
    assert!(in_time(start), "{:?}", start.elapsed());
}

#[test]
fn r14_a_full_queue_is_a_daemon_that_serves_others() {
    use rustix::net::{AddressFamily, SocketAddrUnix, SocketType, bind, listen, socket};
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("targetclid.sock");
    let listener = socket(AddressFamily::UNIX, SocketType::STREAM, None).unwrap();
    bind(&listener, &SocketAddrUnix::new(&path).unwrap()).unwrap();
    listen(&listener, 0).unwrap();
    let _waiting = std::os::unix::net::UnixStream::connect(&path).unwrap();
    let start = Instant::now();
    let mut session = Session::new(&path).with_patience(impatient());
    assert_eq!(ask(&mut session, "version", LONG).unwrap_err().kind(), "busy");
    assert!(in_time(start), "{:?}", start.elapsed());
}

#[test]
fn r13_after_the_end_the_next_client_is_served() {
    let scene = Scene::new(vec![recovery(), recovery()]);
    let mut session = scene.session();
    ask(&mut session, "version", LONG).unwrap();
    let mut other = scene.session();
    session.end();
    assert_eq!(ask(&mut other, "version", LONG).unwrap(), version().reply);
    session.end();
    drop(other);
    scene.peer.finish();
}

/// Of a node with the recorded configfs tree, whose saveconfig.json would be in the scratch folder.
fn settings(scene: &Scene) -> config::Lio {
    let configfs = scene.folder.path().join("target");
    let dbroot = scene.folder.path().to_str().unwrap();
    Tree::recorded().with("dbroot", &format!("{dbroot}\n")).grow(&configfs);
    config::Lio {
        engine: Engine::Targetclid,
        iqn: "iqn.2023-06.csm.iscsi:vm1".into(),
        tpg: 1,
        configfs,
        socket: scene.socket(),
        command_timeout: LONG,
        tree_timeout: LONG,
        save_file: None,
        first_lun: 1,
        last_lun: 16383,
        quarantine: Duration::ZERO,
    }
}

/// With a lock of its own, that nobody else has.
fn adapter(scene: &Scene, settings: &config::Lio) -> LioAdapter {
    let lock = ShellLock::new(scene.folder.path().join("targetcli.lock"), LONG);
    LioAdapter::new(settings).unwrap().with(lock, Patience::default())
}

fn word(text: &str) -> Word {
    Word::try_from(text).unwrap()
}

#[test]
fn r9_each_step_is_the_request_that_was_recorded() {
    let recorded = Transcript::recorded();
    let of = |request: &str| {
        let is_it = |e: &&Exchange| e.request == request || e.request.starts_with(&format!("{request} "));
        Answer(recorded.first.iter().chain(&recorded.second).find(is_it).unwrap().clone())
    };
    let refresh = || Answer(Exchange::new("/ refresh", ""));
    let script = vec![
        greeting(),
        // Nobody knows yet which HBAs the daemon knows.
        refresh(),
        of("/backstores/fileio create name=aaaa00000000001"),
        of("/backstores/fileio/aaaa00000000001 set attribute emulate_model_alias=1"),
        of(
            "/iscsi/iqn.2023-06.csm.iscsi:vm1/tpg1/luns create storage_object=/backstores/fileio/aaaa00000000001",
        ),
        of("/iscsi/iqn.2023-06.csm.iscsi:vm1/tpg1/luns delete 7"),
        of("/backstores/fileio delete 0d1e00000000001"),
        refresh(),
        Farewell,
    ];
    let scene = Scene::new(vec![script]);
    let mut lio = adapter(&scene, &settings(&scene));
    let a = || word("aaaa00000000001");
    let steps = [
        Step::CreateBackstore {
            name: a(),
            file: word("/var/lib/cps-local/boot-images/PE/a.squashfs"),
            wwn: word("0000000000000000000000000000001"),
        },
        Step::EnableModelAlias { name: a() },
        Step::CreateLun { lun: 300, name: a(), map_to_acls: false },
        Step::DeleteLun { lun: 7, name: word("0d1e00000000001") },
        Step::DeleteBackstore { name: word("0d1e00000000001"), wwn: word("0000000000000000000000000000001") },
    ];
    let mut said: Vec<_> = steps.into_iter().map(|step| lio.apply(&step.into()).unwrap()).collect();
    said.push(lio.apply(&Request::Refresh).unwrap());
    assert_eq!(said[0], "Created fileio aaaa00000000001 with size 8192\n");
    assert_eq!(said[4], "Deleted storage object 0d1e00000000001.\n");
    lio.rest(Rest::ForGood);
    scene.peer.finish();
}

#[test]
fn r11_the_file_that_is_saved_is_the_one_that_is_compared() {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("targetclid.sock");
    let path = folder.path().join("saveconfig.json");
    let save = format!("/ saveconfig savefile={}", path.display());
    let reply = format!("Configuration saved to {}\n", path.display());
    let script = vec![greeting(), Answer(Exchange::new(&save, &reply)), Farewell];
    let scene = Scene { peer: Peer::start(&socket, vec![script]), folder };
    let mut lio = adapter(&scene, &settings(&scene));
    assert_eq!(lio.observe().unwrap().saved, Saved::Missing);
    std::fs::write(&path, "torn").unwrap();
    assert!(matches!(lio.observe().unwrap().saved, Saved::Unreadable { .. }));
    assert_eq!(lio.apply(&Request::Save { backup: true }).unwrap(), reply);
    drop(lio);
    scene.peer.finish();
}

#[test]
fn a_refresh_has_the_time_that_the_whole_tree_takes() {
    let slow = Drip(Exchange::new("/ refresh", "twenty characters..."), SHORT / 10);
    let scene = Scene::new(vec![vec![greeting(), slow, Farewell]]);
    let settings = config::Lio { command_timeout: SHORT, ..settings(&scene) };
    let mut lio = adapter(&scene, &settings);
    assert!(lio.apply(&Request::Refresh).is_ok());
    drop(lio);
    scene.peer.finish();
}

#[test]
fn the_state_of_a_node_is_read_without_the_daemon() {
    let scene = Scene::new(Vec::new());
    let mut lio = adapter(&scene, &settings(&scene));
    let actual = lio.observe().unwrap();
    assert_eq!(actual.tpg_path.as_str(), "iscsi/iqn.2023-06.csm.iscsi:vm1/tpgt_1");
    assert!(actual.tpg.as_ref().is_some_and(|tpg| tpg.enabled && tpg.write_protected));
    assert_eq!(actual.numbers().into_iter().collect::<Vec<_>>(), [300, 301, 302]);
    assert_eq!(actual.backstores.len(), 3);
    let one = lio.backstore(&word("aaaa00000000001")).unwrap();
    assert_eq!(one.as_ref(), actual.backstores.first());
    scene.peer.finish();
}

#[test]
fn r9_settings_that_cannot_be_said_to_the_daemon_are_refused() {
    let scene = Scene::new(Vec::new());
    let good = settings(&scene);
    let iqn = config::Lio { iqn: "iqn.x%y".into(), ..good.clone() };
    assert!(matches!(LioAdapter::new(&iqn), Err(SettingError::Iqn { .. })));
    let save_file = config::Lio { save_file: Some("/etc/my target/x".into()), ..good };
    assert!(matches!(LioAdapter::new(&save_file), Err(SettingError::SaveFile { .. })));
    scene.peer.finish();
}
