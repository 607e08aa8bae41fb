//! What LIO's adapter says to targetclid, and what it does itself, where a node has ACLs or a torn saveconfig.json.

use actors::model::{Request, Word};
use actors::model::{Saved, Step};
use actors::ports::{LioPort, PortError, Rest};
use sbps_marshal::config;
use sbps_marshal::lio::LioAdapter;
use sbps_marshal::targetclid::{Patience, ShellLock};
use std::path::Path;
use std::time::Duration;
use support::configfs::Tree;
use support::targetclid::Turn::{Answer, Farewell};
use support::targetclid::{Exchange, Peer, Transcript, Turn};

const TPG: &str = "iscsi/iqn.2023-06.csm.iscsi:vm1/tpgt_1";

/// An adapter for what is in this folder.
fn adapter(folder: &Path, tree: Tree) -> LioAdapter {
    tree.with("dbroot", &format!("{}\n", folder.display())).grow(&folder.join("target"));
    let shown = folder.display();
    let flags = [
        "lio.iqn=iqn.2023-06.csm.iscsi:vm1".to_owned(),
        format!("lio.configfs={shown}/target"),
        format!("lio.socket={shown}/targetclid.sock"),
    ];
    let flags = flags.iter().map(|flag| flag.parse().unwrap()).collect();
    let sources = config::Sources { file: folder.join("config.toml"), flags, ..Default::default() };
    // A lock of its own: whoever finds the node's one held hangs up, and the script would not fit.
    let lock = ShellLock::new(folder.join("targetcli.lock"), Duration::from_secs(20));
    LioAdapter::new(&config::load(&sources).unwrap().settings.lio).unwrap().with(lock, Patience::default())
}

/// The answer that was recorded to the last request that starts so.
fn recorded(start: &str) -> Turn {
    let acls = Transcript::acls().first;
    Answer(acls.into_iter().rfind(|exchange| exchange.request.starts_with(start)).unwrap())
}

#[test]
fn m15_r10_a_new_lun_is_mapped_to_the_acls_that_have_not_got_it_and_never_by_targetcli_itself() {
    let luns = "/iscsi/iqn.2023-06.csm.iscsi:vm1/tpg1/luns create storage_object=/backstores/fileio";
    let acls = "/iscsi/iqn.2023-06.csm.iscsi:vm1/tpg1/acls";
    let script = vec![
        Answer(Exchange::greeting()),
        recorded(&format!("{luns}/bbbb00000000002 lun=21 add_mapped_luns=false")),
        recorded(&format!("{acls} refresh%{acls}/iqn.2001-01.com.other:b create mapped_lun=21 ")),
        Farewell,
    ];
    let folder = tempfile::tempdir().unwrap();
    let peer = Peer::start(&folder.path().join("targetclid.sock"), vec![script]);
    // One of the two ACLs has it.
    let tree = Tree::with_acls().without(&format!("{TPG}/acls/iqn.2001-01.com.other:b/lun_21/"));
    let mut lio = adapter(folder.path(), tree);
    let name = Word::try_from("bbbb00000000002").unwrap();
    let reply = lio.apply(&Step::CreateLun { lun: 21, name, map_to_acls: true }.into()).unwrap();
    assert_eq!(reply, "Created LUN 21.\nCreated Mapped LUN 21.\n");
    lio.rest(Rest::ForGood);
    peer.finish();
}

#[test]
fn m15_a_lun_that_is_made_anew_is_mapped_under_the_numbers_that_it_had() {
    let target = "/iscsi/iqn.2023-06.csm.iscsi:vm1/tpg1";
    let (other, own) = ("iqn.2001-01.com.other:b", "iqn.2023-06.csm.iscsi:vm1-initiator");
    let create = "storage_object=/backstores/fileio/aaaa00000000001 lun=300 add_mapped_luns=false";
    let map = |initiator: &str, number: u16| {
        let command = format!("create mapped_lun={number} tpg_lun_or_backstore=lun300 write_protect=1");
        let request = format!("{target}/acls refresh%{target}/acls/{initiator} {command}");
        Answer(Exchange::new(&request, &format!("Created Mapped LUN {number}.\n")))
    };
    let folder = tempfile::tempdir().unwrap();
    let script = vec![
        Answer(Exchange::greeting()),
        Answer(Exchange::new(&format!("{target}/luns delete 300"), "Deleted LUN 300.\n")),
        Answer(Exchange::new(&format!("{target}/luns create {create}"), "Created LUN 300.\n")),
        map(other, 77),
        map(own, 0),
        Farewell,
    ];
    let peer = Peer::start(&folder.path().join("targetclid.sock"), vec![script]);
    // An operator chose 77 for it.
    let acls = format!("{TPG}/acls");
    let tree = Tree::with_acls()
        .without(&format!("{acls}/{other}/lun_0/"))
        .with(&format!("{acls}/{other}/lun_77/x"), "-> ../../../lun/lun_300");
    let mut lio = adapter(folder.path(), tree);
    let name = Word::try_from("aaaa00000000001").unwrap();
    lio.apply(&Step::DeleteLun { lun: 300, name: name.clone() }.into()).unwrap();
    for mapping in [format!("{other}/lun_77"), format!("{own}/lun_0")] {
        std::fs::remove_dir_all(folder.path().join("target").join(&acls).join(mapping)).unwrap();
    }
    lio.apply(&Step::CreateLun { lun: 300, name, map_to_acls: true }.into()).unwrap();
    lio.rest(Rest::ForGood);
    peer.finish();
}

#[test]
fn m15_what_was_not_created_is_not_mapped() {
    let luns = "/iscsi/iqn.2023-06.csm.iscsi:vm1/tpg1/luns create storage_object=/backstores/fileio";
    let request = format!("{luns}/bbbb00000000002 lun=22 add_mapped_luns=false");
    let broken = Exchange::new(&request, "Broken LUN in configFS, no storage object\n");
    let folder = tempfile::tempdir().unwrap();
    let script = vec![Answer(Exchange::greeting()), Answer(broken), Farewell];
    let peer = Peer::start(&folder.path().join("targetclid.sock"), vec![script]);
    let mut lio = adapter(folder.path(), Tree::with_acls());
    let name = Word::try_from("bbbb00000000002").unwrap();
    lio.apply(&Step::CreateLun { lun: 22, name, map_to_acls: true }.into()).unwrap();
    lio.rest(Rest::ForGood);
    peer.finish();
}

#[test]
fn m14_setting_a_torn_file_aside_is_nothing_that_targetclid_is_asked() {
    let folder = tempfile::tempdir().unwrap();
    let peer = Peer::start(&folder.path().join("targetclid.sock"), Vec::new());
    let mut lio = adapter(folder.path(), Tree::with_acls());
    assert_eq!(lio.apply(&Request::SetAside).unwrap_err().kind(), "configfs", "there is no file");
    std::fs::write(folder.path().join("saveconfig.json"), "{\"fabric_modules\": [").unwrap();
    let aside = lio.apply(&Request::SetAside).unwrap();
    assert!(Path::new(&aside).is_file());
    assert_eq!(lio.observe().unwrap().saved, Saved::Missing);
    peer.finish();
}
