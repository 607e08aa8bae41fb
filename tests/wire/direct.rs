//! What is written into configfs without targetclid: not while an operator has that, nor while somebody has targetcli's lock.

use super::daemon::{LONG, Site, create, word};
use actors::model::{Engine, Request, Step};
use actors::ports::{LioError, LioPort, Rest};
use rustix::fs::{FlockOperation, flock};
use sbps_marshal::boot;
use sbps_marshal::config;
use sbps_marshal::configfs::Journal;
use sbps_marshal::lio::LioAdapter;
use sbps_marshal::mount::S3fsMount;
use sbps_marshal::targetclid::Access;
use std::fs::File;
use std::path::PathBuf;
use std::time::Duration;

/// An adapter that may write, after an agent that was killed in the middle of a change; and the HBA that it left.
fn after_a_kill(site: &Site, access: &Access) -> (LioAdapter, PathBuf) {
    let mount = config::Mount { path: site.file("."), timeout: LONG, fstype: "fuse.s3fs".into() };
    let files = S3fsMount::new(&mount).unwrap().files();
    let run = site.file("run");
    std::fs::create_dir(&run).unwrap();
    let change = r#"{"delete_backstore":{"hba":"fileio_1048576"}}"#;
    let journal = format!(r#"{{"boot":"{}","change":{change}}}"#, boot::id());
    std::fs::write(run.join("configfs.json"), journal).unwrap();
    let hba = site.daemon.kernel().root().join("core/fileio_1048576");
    std::fs::create_dir_all(&hba).unwrap();
    let lio = site.lio(Duration::from_millis(10), LONG).with_access(access.clone());
    (lio.with_files(files, Journal::new(&run)), hba)
}

#[test]
fn m17_while_an_operator_has_targetclid_nothing_is_written_and_what_was_cut_short_waits() {
    let (site, access) = (Site::new(), Access::default());
    access.release(Some(LONG));
    let (lio, hba) = after_a_kill(&site, &access);
    let mut lio = lio.settled();
    assert!(hba.exists());
    let error = lio.apply(&Engine::Configfs.request(create(&site, "a"))).unwrap_err();
    assert!(matches!(error, LioError::Busy { .. }), "{error}");
    assert!(hba.exists());
    access.release(None);
    lio.rest(Rest::UntilNextPass);
    assert!(!hba.exists(), "it is settled at the end of the pass");
    lio.rest(Rest::ForGood);
}

#[test]
fn r13_what_was_cut_short_is_not_settled_beside_somebody_who_has_targetclis_lock() {
    let (site, access) = (Site::new(), Access::default());
    let (lio, hba) = after_a_kill(&site, &access);
    let other = File::create(site.lock()).unwrap();
    flock(&other, FlockOperation::NonBlockingLockExclusive).unwrap();
    let mut lio = lio.settled();
    assert!(hba.exists());
    // Nor by a step that would go on without the lock.
    let discard = Step::DiscardBackstore { name: word("a"), file: word("/m/a") };
    let discard = Request::Unlocked(Box::new(Engine::Configfs.request(discard)));
    assert!(matches!(lio.apply(&discard), Err(LioError::Locked { .. })));
    assert!(hba.exists());
    drop(other);
    drop(lio.settled());
    assert!(!hba.exists());
}
