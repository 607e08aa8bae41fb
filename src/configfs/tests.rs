//! Recorded and scratch trees.

use super::*;
use std::os::unix::fs::MetadataExt;
use std::time::Duration;
use support::configfs::{FOLDER, Tree};

const TPG: &str = "iscsi/iqn.2023-06.csm.iscsi:vm1/tpgt_1";

fn tpg() -> TpgPath {
    TpgPath::new(TPG)
}

fn grown(tree: &Tree) -> (tempfile::TempDir, Configfs) {
    let folder = tempfile::tempdir().unwrap();
    tree.grow(folder.path());
    let configfs = Configfs::new(folder.path());
    (folder, configfs)
}

#[test]
fn a_recorded_tree_shows_its_backstores_its_luns_and_its_tpg() {
    let (folder, configfs) = grown(&Tree::recorded());
    let backstores = configfs.backstores().unwrap();
    assert_eq!(backstores.len(), 3);
    let folder = std::fs::metadata(folder.path().join("core/fileio_0/aaaa00000000001")).unwrap();
    assert_eq!(
        backstores[0],
        Backstore {
            plugin: "fileio".into(),
            name: "aaaa00000000001".into(),
            file: "/var/lib/cps-local/boot-images/PE/a.squashfs".into(),
            serial: "0000000000000000000000000000001".into(),
            size: 8192,
            model_alias: true,
            enabled: true,
            inode: folder.ino(),
            opened: None,
        }
    );
    let luns = configfs.fabrics().unwrap().luns;
    assert_eq!(luns.iter().map(|lun| lun.lun).collect::<Vec<_>>(), [300, 301, 302]);
    assert_eq!(luns[2].tpg, tpg());
    assert_eq!((luns[2].plugin.as_str(), luns[2].name.as_str()), ("fileio", "rootfs000000003"));
    let traffic = [300, 301, 302].map(|lun| (lun, Traffic::default())).into();
    assert_eq!(
        configfs.tpg(&tpg()).unwrap(),
        Some(Tpg { enabled: true, write_protected: true, traffic, ..Tpg::default() })
    );
    assert_eq!(configfs.dbroot().unwrap(), Path::new("/etc/rtslib-fb-target"));
}

#[test]
fn a_backstore_that_another_tool_makes_moves_or_removes_is_found_where_it_is() {
    let (folder, configfs) = grown(&Tree::recorded());
    configfs.backstores().unwrap();
    let at = |path: &str| folder.path().join("core").join(path);
    assert_eq!(configfs.fileio("link").unwrap(), None);
    std::fs::create_dir_all(at("fileio_77")).unwrap();
    std::fs::rename(at("fileio_1/link00000000002"), at("fileio_77/link00000000002")).unwrap();
    assert_eq!(configfs.fileio("link00000000002").unwrap().unwrap().size, 529);
    std::fs::remove_dir_all(at("fileio_77")).unwrap();
    assert_eq!(configfs.fileio("link00000000002").unwrap(), None);
    // As many as before, when it is somebody else's turn.
    configfs.backstores().unwrap();
    configfs.count_no_more();
    std::fs::rename(at("fileio_0"), at("fileio_78")).unwrap();
    std::fs::rename(at("fileio_78/aaaa00000000001"), at("fileio_78/bbbb")).unwrap();
    assert!(configfs.fileio("bbbb").unwrap().is_some());
    std::fs::rename(at("fileio_78/bbbb"), at("fileio_78/aaaa00000000001")).unwrap();
    assert_eq!(configfs.fileio("aaaa00000000001").unwrap().unwrap().size, 8192);
}

#[test]
fn one_backstore_is_found_by_its_name_and_an_unknown_one_is_none() {
    let (_folder, configfs) = grown(&Tree::recorded());
    assert_eq!(configfs.fileio("link00000000002").unwrap().unwrap().size, 529);
    assert_eq!(configfs.fileio("nope").unwrap(), None);
}

#[test]
fn r10_a_tpg_is_write_protected_only_if_both_attributes_say_so() {
    for attribute in ["demo_mode_write_protect", "prod_mode_write_protect"] {
        let tree = Tree::recorded().with(&format!("{TPG}/attrib/{attribute}"), "0\n");
        let (_folder, configfs) = grown(&tree);
        assert!(!configfs.tpg(&tpg()).unwrap().unwrap().write_protected);
    }
}

#[test]
fn r4_what_initiators_have_asked_of_each_lun_and_who_is_logged_in_is_read() {
    let counts = |lun: u16| format!("{TPG}/lun/lun_{lun}/statistics/scsi_tgt_port");
    let tree = Tree::recorded()
        .with(&format!("{}/in_cmds", counts(300)), "97\n")
        .with(&format!("{}/read_mbytes", counts(300)), "5\n")
        .with(&format!("{}/read_mbytes", counts(301)), "many\n")
        .with(&format!("{TPG}/dynamic_sessions"), "iqn.x:nid2\niqn.x:nid1\n")
        .with(
            &format!("{TPG}/acls/iqn.x:nid3/info"),
            "No active iSCSI Session for Initiator Endpoint: iqn.x:nid3\n",
        )
        .with(&format!("{TPG}/acls/iqn.x:nid4/info"), "InitiatorName: iqn.x:nid4\nInitiatorAlias: nid4\n");
    let (_folder, configfs) = grown(&tree);
    let Tpg { sessions, traffic, .. } = configfs.tpg(&tpg()).unwrap().unwrap();
    assert_eq!(sessions.into_iter().collect::<Vec<_>>(), ["iqn.x:nid1", "iqn.x:nid2", "iqn.x:nid4"]);
    assert_eq!(traffic[&300], Traffic { commands: 97, read_mib: 5 });
    assert_eq!(traffic.keys().copied().collect::<Vec<_>>(), [300, 302], "what is no number is not known");
}

#[test]
fn a_tpg_that_was_never_made_is_none() {
    let (_folder, configfs) = grown(&Tree::recorded());
    assert_eq!(configfs.tpg(&TpgPath::new("iscsi/iqn.other/tpgt_1")).unwrap(), None);
}

#[test]
fn backstores_of_other_plugins_keep_the_names_of_targetcli_and_what_their_files_say() {
    let tree = Tree::default()
        .with("core/alua/lu_gps/default_lu_gp/lu_gp_id", "0\n")
        .with("core/iblock_0/disk/udev_path", "/dev/sdb\n")
        .with("core/iblock_0/disk/info", "Status: ACTIVATED  SectorSize: 512  HwMaxSectors: 1\n")
        .with("core/iblock_0/disk/wwn/vpd_unit_serial", "T10 VPD Unit Serial Number: abc\n")
        .with("core/pscsi_2/tape/wwn/vpd_unit_serial", "T10 VPD Unit Serial Number: XYZ\n")
        .with("core/rd_mcp_1/ram/udev_path", "")
        .with("core/user_3/glfs/info", "Status: ACTIVATED\n  Config: glfs/a Size: 1024  Mb: 1\n");
    let (_folder, configfs) = grown(&tree);
    let found = configfs.backstores().unwrap();
    let seen: Vec<_> = found.iter().map(|b| (b.plugin.as_str(), b.serial.as_str(), b.size)).collect();
    assert_eq!(seen, [("block", "abc", 0), ("pscsi", "", 0), ("ramdisk", "", 0), ("user", "", 1024)]);
}

#[test]
fn luns_of_every_fabric_are_found_and_half_made_ones_are_named() {
    let tree = Tree::default()
        .with("core/fileio_0/a/enable", "1\n")
        .with("iscsi/discovery_auth/userid", "\n")
        .with("iscsi/iqn.x/tpgt_2/lun/lun_7/alua_tg_pt_gp", "")
        .with("iscsi/iqn.x/tpgt_2/lun/lun_7/statistics/scsi_port/dev", "")
        .with("iscsi/iqn.x/tpgt_2/lun/lun_8", FOLDER)
        .with("iscsi/iqn.x/tpgt_2/acls/iqn.i/lun_0/mapped", "-> ../../../lun/lun_7")
        .with("iscsi/iqn.x/tpgt_2/acls/iqn.i/lun_1", FOLDER)
        .with("loopback/naa.1/tpgt_1/lun/lun_0/virtual", "-> ../../../../../../target/core/fileio_0/a");
    let (_folder, configfs) = grown(&tree);
    let fabrics = configfs.fabrics().unwrap();
    let tpg = TpgPath::new("loopback/naa.1/tpgt_1");
    let only = LunEntry { tpg, lun: 0, plugin: "fileio".into(), name: "a".into() };
    assert_eq!(fabrics.luns, [only]);
    let bare = |folder: &str, lun| BareLun { folder: folder.to_owned(), lun };
    let expected = [
        bare("iscsi/iqn.x/tpgt_2", 7),
        bare("iscsi/iqn.x/tpgt_2", 8),
        bare("iscsi/iqn.x/tpgt_2/acls/iqn.i", 1),
    ];
    assert_eq!(fabrics.bare_luns.into_iter().collect::<Vec<_>>(), expected);
    assert_eq!(configfs.lun(&TpgPath::new("iscsi/iqn.x/tpgt_2"), 7).unwrap(), None);
}

#[test]
fn m15_a_tpg_shows_its_node_acls_and_what_each_is_mapped_to() {
    let (_folder, configfs) = grown(&Tree::with_acls());
    let acls = configfs.tpg(&tpg()).unwrap().unwrap().acls;
    let both = BTreeSet::from([12, 21, 300]);
    let expected = [("iqn.2001-01.com.other:b", &both), ("iqn.2023-06.csm.iscsi:vm1-initiator", &both)];
    assert_eq!(acls.iter().map(|(name, luns)| (name.as_str(), luns)).collect::<Vec<_>>(), expected);
}

#[test]
fn m15_an_acl_without_a_lun_gets_it_under_its_number_or_the_lowest_free_one() {
    let b = "iqn.2001-01.com.other:b";
    let own = |lun| vec![AclMapping { initiator: b.to_owned(), lun }];
    let tree = Tree::with_acls().without(&format!("{TPG}/acls/{b}/lun_12/"));
    let (_folder, configfs) = grown(&tree);
    assert_eq!(configfs.unmapped(&tpg(), 12, &Mapped::new()).unwrap(), own(12));
    assert_eq!(configfs.unmapped(&tpg(), 21, &Mapped::new()).unwrap(), []);
    assert_eq!(
        configfs.unmapped(&tpg(), 300, &Mapped::new()).unwrap(),
        [],
        "it is mapped, under another number"
    );
    let next = configfs.unmapped(&tpg(), 15_000, &Mapped::new()).unwrap();
    assert_eq!(next.iter().map(|mapping| mapping.lun).collect::<Vec<_>>(), [1, 1], "0 leads to LUN 300");
    let at = |number| Mapped::from([(b.to_owned(), number)]);
    let again = |number| configfs.unmapped(&tpg(), 12, &at(number)).unwrap();
    assert_eq!(again(7), own(7), "the number that an operator chose");
    assert_eq!((again(21), again(256)), (own(12), own(12)), "it is taken, or none");
    assert_eq!(configfs.mapped(&tpg(), 300).unwrap().get(b), Some(&0));
    let mut full = Tree::with_acls();
    for number in 0..=255 {
        full = full.with(&format!("{TPG}/acls/{b}/lun_{number}/x"), "-> ../../../lun/lun_12");
    }
    let (_folder, configfs) = grown(&full);
    assert_eq!(configfs.unmapped(&tpg(), 300, &Mapped::new()).unwrap(), [], "no number is free");
}

#[test]
fn r10_mappings_that_an_initiator_may_write_to_are_named() {
    let (_folder, configfs) = grown(&Tree::with_acls());
    let writable = configfs.writable(&tpg()).unwrap();
    assert_eq!(writable.iter().map(|mapping| mapping.lun).collect::<Vec<_>>(), [12, 12]);
}

#[test]
fn m10_a_backstore_that_was_not_enabled_has_no_time_at_which_its_file_was_opened() {
    let backstore = "core/fileio_5/aaaa00000000001";
    let info = "Status: DEACTIVATED  Max Queue Depth: 0  SectorSize: 0  HwMaxSectors: 0\n        \
                TCM FILEIO ID: 0        File: /mnt/PE/a.squashfs  Size: 8192  Mode: O_DSYNC Async: 0\n";
    let tree = Tree::default()
        .with(&format!("{backstore}/enable"), "0\n")
        .with(&format!("{backstore}/udev_path"), "")
        .with(&format!("{backstore}/info"), info)
        .with(&format!("{backstore}/wwn/vpd_unit_serial"), "T10 VPD Unit Serial Number: \n")
        .with(&format!("{backstore}/statistics/scsi_lu/creation_time"), "1\n");
    let (_folder, configfs) = grown(&tree);
    let half_made = configfs.fileio("aaaa00000000001").unwrap().unwrap();
    assert_eq!((half_made.enabled, half_made.opened), (false, None));
    assert_eq!((half_made.file.as_str(), half_made.serial.as_str()), ("/mnt/PE/a.squashfs", ""));
}

#[test]
fn a_backstore_that_is_enabled_later_resized_or_made_anew_is_shown_as_it_is_now() {
    let backstore = "core/fileio_9/foreign";
    let tree = Tree::with_acls().with(&format!("{backstore}/enable"), "0\n");
    let (folder, configfs) = grown(&tree);
    let now = || configfs.fileio("foreign").unwrap().unwrap();
    let write = |attribute: &str, text: &str| {
        std::fs::write(folder.path().join(backstore).join(attribute), text).unwrap();
    };
    assert!(!now().enabled);
    write("enable", "1\n");
    let before = now();
    assert!(before.enabled);
    write("info", "TCM FILEIO ID: 0        File: /a  Size: 512  Mode: O_DSYNC Async: 0\n");
    assert_eq!((now().size, now().opened), (512, before.opened));
    // Another one of its name, which is half made: another folder, so nothing is remembered of it.
    std::fs::rename(folder.path().join(backstore), folder.path().join("core/fileio_9/other")).unwrap();
    Tree::default().with(&format!("{backstore}/enable"), "0\n").grow(folder.path());
    let after = now();
    assert!(!after.enabled && after.opened.is_none() && after.inode != before.inode);
}

#[test]
fn l3_a_backstore_says_when_its_file_was_opened_if_the_kernel_tells_its_jiffies() {
    let (folder, _) = grown(&Tree::with_acls());
    let read = |clock: Option<&opened::Clock>| {
        let backstore = read::Folder::open(folder.path().join("core/fileio_9/foreign")).unwrap().unwrap();
        opened::read(&backstore, clock).unwrap()
    };
    // Up 38.65 s when the tree was recorded; the backstore was made at the end.
    let clock = opened::Clock::of(Duration::from_millis(38_650), 4_294_901_916, 250).unwrap();
    assert_eq!(read(Some(&clock)).unwrap().as_millis() / 100, 313);
    assert_eq!(read(None), None);
}

#[test]
fn a_foreign_backstore_without_udev_path_has_the_file_that_its_info_names_as_rtslib_reads_it() {
    let (_folder, configfs) = grown(&Tree::with_acls());
    let foreign = configfs.fileio("foreign").unwrap().unwrap();
    assert_eq!(foreign.file, "/var/lib/cps-local/boot-images/PE/r.squashfs");
    let named = |info: &str| {
        let tree = Tree::with_acls().with("core/fileio_9/foreign/info", info);
        let (_folder, configfs) = grown(&tree);
        configfs.fileio("foreign").unwrap().unwrap().file
    };
    assert_eq!(named("TCM FILEIO ID: 0        File:   Size: 0  Mode: O_DSYNC Async: 0\n"), "");
    assert_eq!(named("TCM FILEIO ID: 0        File: /a:b  Size: 0  Mode: O_DSYNC Async: 0\n"), "/a");
}

#[test]
fn r2_a_tree_that_is_not_there_is_an_error_and_not_an_empty_one() {
    let configfs = Configfs::new("/nowhere/target");
    assert!(matches!(configfs.backstores(), Err(LioError::Configfs { .. })));
    assert!(matches!(configfs.fabrics(), Err(LioError::Configfs { .. })));
}

#[test]
fn r2_an_entry_that_cannot_be_read_is_an_error_and_not_a_missing_one() {
    // A folder in the place of the file: as unreadable as it gets where the tests run as root.
    let tree = Tree::default().with("core/fileio_0/a/udev_path/oops", "");
    let (_folder, configfs) = grown(&tree);
    assert!(matches!(configfs.backstores(), Err(LioError::Configfs { .. })));
}

#[test]
fn fuzz_an_info_gives_a_path_and_a_size_or_none_whatever_is_in_it() {
    support::fuzz::fuzz("configfs_info", backstore::fuzz);
}
