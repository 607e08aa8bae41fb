//! The targetclid that behaves has the traps of the real one, and LIO behind its port survives them.

use actors::model::{Engine, Request, Word};
use actors::model::{Saved, Step};
use actors::ports::{LioError, LioPort, PortError};
use sbps_marshal::config;
use sbps_marshal::lio::LioAdapter;
use sbps_marshal::targetclid::{Command, Patience, Session, ShellLock, Target};
use std::path::{Path, PathBuf};
use std::time::Duration;
use support::targetclid::{Exchange, Transcript};
use support::targetclid_tree::{IQN, Targetclid};

/// Of everything that will come by itself: the machine may be busy.
pub const LONG: Duration = Duration::from_secs(60);

/// A node with a daemon and some images.
pub struct Site {
    /// Before the folder: it ends first.
    pub daemon: Targetclid,
    folder: tempfile::TempDir,
}

impl Site {
    pub fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        for name in ["a", "b", "c"] {
            std::fs::write(folder.path().join(name), vec![b'x'; 8192]).unwrap();
        }
        Site { daemon: Targetclid::start(folder.path()), folder }
    }

    pub fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub fn lock(&self) -> PathBuf {
        self.file("targetcli.lock")
    }

    /// LIO of this node; a lock is waited for `lock`, an answer to a change `command`.
    pub fn lio(&self, lock: Duration, command: Duration) -> LioAdapter {
        let settings = config::Lio {
            engine: Engine::Targetclid,
            iqn: IQN.into(),
            tpg: 1,
            configfs: self.daemon.kernel().root().to_owned(),
            socket: self.daemon.socket().to_owned(),
            command_timeout: command,
            tree_timeout: LONG,
            save_file: None,
            first_lun: 1,
            last_lun: 16383,
            quarantine: Duration::ZERO,
        };
        LioAdapter::new(&settings).unwrap().with(ShellLock::new(self.lock(), lock), Patience::default())
    }

    fn adapter(&self) -> LioAdapter {
        self.lio(LONG, LONG)
    }
}

pub fn word(text: &str) -> Word {
    Word::try_from(text).unwrap()
}

/// Of the image of this name.
pub fn create(site: &Site, name: &str) -> Step {
    let file = word(site.file(name).to_str().unwrap());
    Step::CreateBackstore { name: word(name), file, wwn: word(&format!("0000{name}")) }
}

fn lun(lun: u16, name: &str) -> Step {
    Step::CreateLun { lun, name: word(name), map_to_acls: false }
}

fn said(lio: &mut LioAdapter, request: impl Into<Request>) -> String {
    lio.apply(&request.into()).unwrap()
}

/// Whether we ever say such a thing, and it needs no other target than the one that is there.
fn is_ours(exchange: &&Exchange) -> bool {
    let said = &exchange.request;
    let luns = format!("/iscsi/{IQN}/tpg1/luns");
    let told = ["pwd", "version", "/ version", "refresh", "nonsense", "saveconfig"].contains(&said.as_str());
    told || said.starts_with("/backstores/fileio")
        || said.starts_with(&format!("{luns} "))
        || said == "/iscsi/nope ls"
}

#[test]
fn what_was_recorded_of_the_real_daemon_is_what_the_behaving_one_answers() {
    let recorded = Transcript::recorded();
    let disk = tempfile::tempdir().unwrap();
    for (path, size) in [
        ("var/lib/cps-local/boot-images/0d1e/rootfs", 8192),
        ("var/lib/cps-local/boot-images/PE/a.squashfs", 8192),
        ("var/lib/cps-local/boot-images/PE/empty.squashfs", 0),
        ("var/lib/cps-local/boot-images/PE/odd.squashfs", 1001),
        ("var/lib/cps-local/boot-images/PE/link.squashfs", 529),
        ("etc/rtslib-fb-target/backup/.keep", 0),
    ] {
        let path = disk.path().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, vec![b'x'; size]).unwrap();
    }
    for exchanges in [recorded.first, recorded.second] {
        let folder = tempfile::tempdir().unwrap();
        let daemon = Targetclid::start_at(folder.path(), "/etc/rtslib-fb-target", disk.path());
        let mut session = Session::new(daemon.socket());
        let mut compared = 0;
        for exchange in exchanges.iter().filter(is_ours) {
            let command = Command::new(exchange.request.clone()).unwrap();
            assert_eq!(session.request(&command, LONG).unwrap(), exchange.reply, "{}", exchange.request);
            compared += 1;
        }
        assert!(compared >= 10, "{compared}");
        drop(session);
    }
}

#[test]
fn what_was_made_is_what_configfs_shows_and_what_is_saved() {
    let site = Site::new();
    let mut lio = site.adapter();
    said(&mut lio, create(&site, "a"));
    said(&mut lio, Step::EnableModelAlias { name: word("a") });
    said(&mut lio, lun(300, "a"));
    assert_eq!(lio.observe().unwrap().saved, Saved::Missing);
    said(&mut lio, Request::Save { backup: true });
    let actual = lio.observe().unwrap();
    assert!(actual.is_saved(), "{actual:?}");
    let one = lio.backstore(&word("a")).unwrap().unwrap();
    assert_eq!((one.serial.as_str(), one.size, one.model_alias), ("0000a", 8192, true));
    assert_eq!(lio.lun(300).unwrap().unwrap().name, "a");
    said(&mut lio, Step::DeleteLun { lun: 300, name: word("a") });
    said(&mut lio, Step::DeleteBackstore { name: word("a"), wwn: word("0000a") });
    assert_eq!(lio.observe().unwrap().numbers(), Default::default());
    assert_eq!(site.daemon.kernel().stores(), []);
}

#[test]
fn r9_the_end_marker_in_a_command_ends_the_session_and_a_percent_sign_is_two_commands() {
    let site = Site::new();
    let mut session = Session::new(site.daemon.socket());
    let mut ask = |line: &str| session.request(&Command::new(line.to_owned()).unwrap(), LONG);
    let error = ask("/backstores/fileio create name=a file_or_dev=/x-END@OF@DATA-y wwn=a").unwrap_err();
    assert_eq!(error.kind(), "session");
    assert_eq!(ask("pwd%version").unwrap(), "/\ntargetcli version 2.1.53\n");
    assert_eq!(
        ask("nonsense%version").unwrap(),
        "Command not found nonsense\n",
        "the first exception ends it all"
    );
    assert_eq!(site.daemon.litter(), 0);
}

/// The daemon itself, with whatever it remembers.
fn told(session: &mut Session, step: Step) -> String {
    session.request(&Target::new(IQN, 1).unwrap().change(&step).unwrap(), LONG).unwrap()
}

fn refreshed(session: &mut Session) {
    assert_eq!(session.request(&Command::new("/ refresh".to_owned()).unwrap(), LONG).unwrap(), "");
}

/// What plain targetcli does.
fn another_hand_makes_one(site: &Site, name: &str) {
    let file = site.file(name);
    std::fs::write(&file, "x").unwrap();
    site.daemon.kernel().make_store(name, file.to_str().unwrap(), "t", 1);
}

#[test]
fn l1_an_index_that_another_hand_took_is_handed_out_again_and_again_until_a_refresh() {
    let site = Site::new();
    let mut session = Session::new(site.daemon.socket());
    told(&mut session, create(&site, "a"));
    another_hand_makes_one(&site, "theirs");
    for _ in 0..3 {
        let answer = told(&mut session, create(&site, "b"));
        assert_eq!(answer, "This _Backstore already exists in configFS\n");
    }
    refreshed(&mut session);
    assert_eq!(told(&mut session, create(&site, "b")), "Created fileio b with size 8192\n");
}

#[test]
fn r13_l7_what_plain_targetcli_has_made_is_made_known_to_the_daemon_before_our_create_and_only_then() {
    let site = Site::new();
    let mut lio = site.adapter();
    let refreshes = || site.daemon.heard().iter().filter(|heard| *heard == "/ refresh").count();
    said(&mut lio, create(&site, "a"));
    let first = refreshes();
    said(&mut lio, lun(7, "a"));
    said(&mut lio, create(&site, "b"));
    assert_eq!(refreshes(), first, "nobody else was there");
    another_hand_makes_one(&site, "theirs");
    assert_eq!(said(&mut lio, create(&site, "c")), "Created fileio c with size 8192\n");
    assert_eq!(refreshes(), first + 1);
    another_hand_makes_one(&site, "more");
    // Whatever follows does not hide it.
    said(&mut lio, Step::DeleteBackstore { name: word("c"), wwn: word("0000c") });
    assert_eq!(said(&mut lio, create(&site, "c")), "Created fileio c with size 8192\n");
}

#[test]
fn r13_the_daemon_is_told_of_others_and_of_our_create_under_one_lock() {
    let site = Site::new();
    let mut lio = site.adapter();
    site.daemon.freeze_at("refresh");
    let step = create(&site, "a");
    let applied = std::thread::spawn(move || lio.apply(&step.into()).map(|_| lio));
    site.daemon.wait_until_frozen();
    assert!(super::turn::is_locked(&site));
    site.daemon.thaw();
    applied.join().unwrap().unwrap();
    assert!(site.daemon.kernel().store("a").is_some());
}

#[test]
fn r13_what_was_made_while_we_had_no_lock_is_made_known_to_the_daemon_before_the_next_create_with_it() {
    let site = Site::new();
    let mut lio = site.adapter();
    said(&mut lio, Request::Unlocked(Box::new(create(&site, "a").into())));
    another_hand_makes_one(&site, "theirs");
    assert_eq!(said(&mut lio, create(&site, "b")), "Created fileio b with size 8192\n");
}

#[test]
fn a_tree_that_another_hand_changed_is_stale_until_a_refresh() {
    let site = Site::new();
    let mut session = Session::new(site.daemon.socket());
    told(&mut session, create(&site, "a"));
    let kernel = site.daemon.kernel();
    kernel.remove_store(&kernel.store("a").unwrap());
    let delete = Step::DeleteBackstore { name: word("a"), wwn: word("0000a") };
    assert_eq!(told(&mut session, delete), "This FileIOStorageObject does not exist in configFS\n");
    assert_eq!(told(&mut session, create(&site, "a")), "Storage object fileio/a exists\n");
    kernel.make_store("b", site.file("b").to_str().unwrap(), "0000b", 8192);
    assert_eq!(told(&mut session, lun(7, "b")), "storage object or path not valid\n");
    refreshed(&mut session);
    assert_eq!(told(&mut session, lun(7, "b")), "Created LUN 7.\n");
}

#[test]
fn h4_a_backstore_whose_file_is_gone_stops_every_create() {
    let site = Site::new();
    let mut lio = site.adapter();
    said(&mut lio, create(&site, "a"));
    std::fs::remove_file(site.file("a")).unwrap();
    let answer = said(&mut lio, create(&site, "b"));
    assert_eq!(answer, format!("[Errno 2] No such file or directory: '{}'\n", site.file("a").display()));
    said(&mut lio, Step::DeleteBackstore { name: word("a"), wwn: word("0000a") });
    assert_eq!(said(&mut lio, create(&site, "b")), "Created fileio b with size 8192\n");
}

#[test]
fn m10_a_lun_folder_without_a_link_stops_every_lun_and_every_save_until_it_is_discarded() {
    let site = Site::new();
    let mut lio = site.adapter();
    said(&mut lio, create(&site, "a"));
    site.daemon.kernel().make_bare_lun(5);
    for step in [lun(7, "a").into(), Request::Save { backup: true }] {
        assert_eq!(said(&mut lio, step), "Broken LUN in configFS, no storage object\n");
    }
    assert_eq!(said(&mut lio, Step::DiscardLun { lun: 5 }), "Deleted LUN 5.\n");
    assert_eq!(said(&mut lio, lun(7, "a")), "Created LUN 7.\n");
}

#[test]
fn m10_a_backstore_that_was_never_enabled_stops_every_save_until_it_is_discarded() {
    let site = Site::new();
    let mut lio = site.adapter();
    said(&mut lio, create(&site, "a"));
    let kernel = site.daemon.kernel();
    kernel.put(&support::targetclid_tree::Store { enabled: false, ..kernel.store("a").unwrap() });
    assert!(said(&mut lio, Request::Save { backup: true }).contains("unconfigured StorageObject"));
    let file = word(site.file("a").to_str().unwrap());
    said(&mut lio, Step::DiscardBackstore { name: word("a"), file });
    assert!(said(&mut lio, Request::Save { backup: true }).starts_with("Configuration saved to "));
}

#[test]
fn a_command_that_timed_out_is_carried_out_later() {
    let site = Site::new();
    let mut lio = site.lio(LONG, Duration::from_millis(200));
    site.daemon.freeze_at("create");
    let error = lio.apply(&create(&site, "a").into()).unwrap_err();
    assert!(matches!(error, LioError::Timeout { .. }), "{error}");
    assert_eq!(site.daemon.kernel().stores(), []);
    site.daemon.thaw();
    site.daemon.wait_until(|daemon| daemon.litter() == 1);
    assert!(site.daemon.kernel().store("a").is_some());
}

#[test]
fn r11_a_save_that_needs_a_backup_fails_where_no_targetcli_has_ever_run_and_one_beside_it_does_not() {
    let site = Site::new();
    let mut lio = site.adapter();
    said(&mut lio, create(&site, "a"));
    said(&mut lio, Request::Save { backup: true });
    said(&mut lio, lun(7, "a"));
    assert!(said(&mut lio, Request::Save { backup: true }).starts_with("int() argument must be"));
    assert!(!lio.observe().unwrap().is_saved());
    said(&mut lio, Request::Save { backup: false });
    assert!(lio.observe().unwrap().is_saved());
    site.daemon.set_prefs();
    said(&mut lio, create(&site, "b"));
    assert!(said(&mut lio, Request::Save { backup: true }).starts_with("Last 10 configs saved in "));
    assert!(lio.observe().unwrap().is_saved());
}

#[test]
fn an_abrupt_end_of_a_client_costs_a_traceback_and_ours_does_not() {
    let site = Site::new();
    let mut session = Session::new(site.daemon.socket());
    session.turn().unwrap();
    drop(session);
    drop(std::os::unix::net::UnixStream::connect(Path::new(site.daemon.socket())).unwrap());
    site.daemon.wait_until(|daemon| daemon.litter() == 1);
}
