//! Recorded and broken files.

use super::*;
use crate::configfs::Configfs;
use actors::model::Actual;
use support::configfs::Tree;

const TPG: &str = "iscsi/iqn.2023-06.csm.iscsi:vm1/tpgt_1";
const PREDECESSOR: &str = include_str!("../../fixtures/saveconfig-predecessor.json");

fn read_text(text: &str) -> Saved {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(FILE_NAME);
    fs::write(&path, text).unwrap();
    read(&path)
}

fn readable(text: &str) -> Inventory {
    match read_text(text) {
        Saved::Readable(inventory) => inventory,
        other => panic!("{other:?}"),
    }
}

#[test]
fn the_predecessors_file_is_understood() {
    let saved = readable(PREDECESSOR);
    assert_eq!((saved.backstores.len(), saved.luns.len()), (13, 13));
    assert!(saved.backstores.contains(&BackstoreEntry {
        plugin: "fileio".into(),
        name: "8b04c5169aa0b0b".into(),
        file: "/var/lib/cps-local/boot-images/c83a23e9-7d7a-4ff0-80be-fa74bdc15578/rootfs".into(),
        serial: "8b04c5169aa0b0b31adaa346eae9c98".into(),
    }));
    assert!(saved.luns.contains(&LunEntry {
        tpg: TpgPath::new(TPG),
        lun: 12,
        plugin: "fileio".into(),
        name: "8b04c5169aa0b0b".into(),
    }));
}

#[test]
fn r11_a_node_that_shows_what_its_file_says_is_saved() {
    let saved = readable(PREDECESSOR);
    assert_eq!(live(&restored(&saved)), saved);
}

#[test]
fn r11_what_a_real_node_shows_is_what_it_saved_also_acls_portals_and_a_backstore_without_udev_path() {
    let saved = readable(include_str!("../../fixtures/saveconfig-acls.json"));
    assert_eq!(live(&Tree::with_acls()), saved);
    let other = "iscsi/iqn.2001-01.com.other:x/tpgt_2";
    let initiator = "iqn.2023-06.csm.iscsi:vm1-initiator";
    let others = [
        format!("{other}/np/127.0.0.1:3261"),
        format!("{TPG}/acls/iqn.2001-01.com.other:b"),
        format!("{TPG}/acls/{initiator}"),
        format!("{TPG}/np/127.0.0.1:3260"),
        format!("{TPG}/np/[::1]:3260"),
    ];
    assert_eq!(saved.others.into_iter().collect::<Vec<_>>(), others);
}

#[test]
fn r11_a_save_in_the_tail_of_a_restore_is_seen_to_lose_a_portal_and_an_acl() {
    let saved = readable(include_str!("../../fixtures/saveconfig-acls.json"));
    let halfway = Tree::with_acls().without(&format!("{TPG}/np/")).without(&format!("{TPG}/acls/"));
    let lost = live(&halfway);
    assert_eq!((&lost.backstores, &lost.luns), (&saved.backstores, &saved.luns));
    assert_eq!(saved.others.difference(&lost.others).count(), 4);
}

/// What a node with this tree shows.
fn live(tree: &Tree) -> Inventory {
    let folder = tempfile::tempdir().unwrap();
    tree.grow(folder.path());
    let configfs = Configfs::new(folder.path());
    let fabrics = configfs.fabrics().unwrap();
    Actual {
        tpg_path: TpgPath::new(TPG),
        tpg: None,
        backstores: configfs.backstores().unwrap(),
        luns: fabrics.luns,
        bare_luns: fabrics.bare_luns,
        others: fabrics.others,
        saved: Saved::Missing,
    }
    .inventory()
}

/// The tree that the kernel has after this inventory was restored.
fn restored(saved: &Inventory) -> Tree {
    let mut tree = Tree::default();
    for (index, backstore) in saved.backstores.iter().enumerate() {
        let BackstoreEntry { plugin, name, file, serial } = backstore;
        let hba = format!("core/{plugin}_{index}/{name}");
        tree = tree
            .with(&format!("{hba}/udev_path"), &format!("{file}\n"))
            .with(&format!("{hba}/wwn/vpd_unit_serial"), &format!("T10 VPD Unit Serial Number: {serial}\n"));
        for lun in saved.luns.iter().filter(|lun| lun.name == *name) {
            let link = format!("{}/lun/lun_{}/0123456789", lun.tpg, lun.lun);
            tree = tree.with(&link, &format!("-> ../../../../../../target/{hba}"));
        }
    }
    for other in &saved.others {
        tree = tree.with(&format!("{other}/an-attribute"), "");
    }
    tree
}

#[test]
fn r11_a_file_that_is_not_there_is_missing() {
    assert_eq!(read(Path::new("/nowhere/saveconfig.json")), Saved::Missing);
}

#[test]
fn r11_a_torn_file_an_empty_one_and_a_folder_are_unreadable_for_a_reason() {
    let torn = &PREDECESSOR[..PREDECESSOR.len() / 2];
    for text in [torn, "", "[]", "{}"] {
        let Saved::Unreadable { why: reason, torn, .. } = read_text(text) else {
            panic!("{text:?} was understood")
        };
        assert!(torn, "{text:?} may be set aside");
        assert!(reason.contains("is torn or not a saved configuration"), "{reason}");
    }
    let strange = PREDECESSOR.replace("\"index\": 12", "\"index\": -1");
    let Saved::Unreadable { why: reason, torn, .. } = read_text(&strange) else {
        panic!("a LUN of a negative number was understood")
    };
    assert!(!torn && reason.contains("is not understood"), "{reason}");
    let folder = tempfile::tempdir().unwrap();
    let Saved::Unreadable { why: reason, torn, .. } = read(folder.path()) else {
        panic!("a folder was understood")
    };
    assert!(!torn, "a folder may not be set aside");
    assert!(reason.ends_with("is not a regular file"), "{reason}");
}

#[test]
fn targets_of_other_fabrics_have_the_names_of_their_folders() {
    assert_eq!(wwn_folder("iscsi", "iqn.a:b"), "iqn.a:b");
    assert_eq!(wwn_folder("loopback", "naa.50014"), "naa.50014");
    assert_eq!(wwn_folder("qla2xxx", "naa.2100000e1e"), "21:00:00:0e:1e");
    assert_eq!((fabric_folder("tcm_fc"), &*wwn_folder("tcm_fc", "naa.2100")), ("fc", "21:00"));
    assert_eq!(wwn_folder("srpt", "ib.fe80"), "0xfe80");
    assert_eq!(wwn_folder("sbp", "eui.0011"), "0011");
}

#[test]
fn m14_a_torn_file_is_set_aside_and_nothing_else_is() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(FILE_NAME);
    let refused = |why: &str| match set_aside(&path) {
        Err(LioError::Configfs { source, .. }) => assert!(source.to_string().contains(why), "{source}"),
        other => panic!("{other:?}"),
    };
    refused("No such file");
    fs::create_dir(&path).unwrap();
    refused("not torn");
    fs::remove_dir(&path).unwrap();
    fs::write(&path, PREDECESSOR).unwrap();
    refused("not torn");
    fs::write(&path, "").unwrap();
    let aside = set_aside(&path).unwrap();
    assert!(aside.to_string_lossy().contains("/saveconfig.json.torn-1"), "{aside:?}");
    assert_eq!((path.exists(), fs::read(&aside).unwrap().len()), (false, 0));
}

#[test]
fn m14_what_was_set_aside_before_is_not_written_over() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(FILE_NAME);
    // This second and the next: it may be over meanwhile.
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs();
    for second in now..now + 60 {
        fs::write(folder.path().join(format!("{FILE_NAME}.torn-{second}")), "earlier").unwrap();
    }
    fs::write(&path, "torn").unwrap();
    assert!(set_aside(&path).is_err());
    assert_eq!(fs::read(&path).unwrap(), b"torn");
    assert_eq!(fs::read(folder.path().join(format!("{FILE_NAME}.torn-{now}"))).unwrap(), b"earlier");
}

#[test]
fn fuzz_a_file_is_understood_or_unreadable_whatever_is_in_it() {
    support::fuzz::fuzz("saveconfig", fuzz);
}
