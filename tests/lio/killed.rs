//! `lio.engine = "configfs"`, and the agent is killed between any two of its writes (M10).
//!
//! Its note of what is under way is written by a rename, and removed by an unlink.

use super::engine::{fill, hbas, id};
use serde_json::Value;
use std::fs;
use std::os::unix::fs::symlink;
use std::os::unix::process::ExitStatusExt;
use std::process::{Command, Output};
use support::node::configfs::{INITIATOR, configfs, get, make, mappings, set, tpg};
use support::node::{Agent, Image, Node, SAVE_FOLDER, luns, run};

/// A node with one image and two node ACLs, which have to be mapped.
fn node_with_acls() -> (Node, Image) {
    let node = Node::fresh();
    let image = fill(&node, 1).remove(0);
    Agent::install(
        &node,
        "guard.confirm_after = 1\nguard.max_removals = 1000\nguard.max_removal_percent = 100",
    );
    set_up_acls();
    (node, image)
}

const ACLS: [&str; 2] = [INITIATOR, "iqn.2001-01.com.other:b"];
const JOURNAL: &str = "/run/sbps-marshal/configfs.json";

fn set_up_acls() {
    set(&format!("{}/attrib/generate_node_acls", tpg()), "0");
    ACLS.iter().for_each(|initiator| make(&format!("{}/acls/{initiator}", tpg())));
}

/// LIO as it was before the first pass.
fn empty_target() {
    run("targetctl", &["clear"]);
    let _none = fs::remove_file(format!("{SAVE_FOLDER}/saveconfig.json"));
    run("site", &["target"]);
    set_up_acls();
}

/// One of these is written to between any two moments at which the agent may be killed.
fn touched(hba: &str, image: &Image, lun: u16) -> Vec<String> {
    let home = format!("core/{hba}/{}", image.name);
    let below = ["wwn/vpd_unit_serial", "control", "enable", "udev_path", "attrib/emulate_model_alias"];
    let folder = format!("{}/lun/lun_{lun}", tpg());
    let mut paths = vec![format!("core/{hba}"), home.clone()];
    paths.extend(below.map(|file| format!("{home}/{file}")));
    paths.extend([folder.clone(), format!("{folder}/{}", image.name)]);
    for mapping in ACLS.map(|initiator| format!("{}/acls/{initiator}/lun_0", tpg())) {
        paths.extend([mapping.clone(), format!("{mapping}/lun_{lun}"), format!("{mapping}/write_protect")]);
    }
    paths.push(JOURNAL.to_owned());
    paths
}

const ENGINES: [&str; 2] = ["configfs", "targetclid"];

/// A pass by this engine.
fn pass_by(engine: &str) -> Output {
    Agent::command(&["run", "--once", "--set", &format!("lio.engine={engine}")])
}

/// The same, that comes about.
fn passes_by(engine: &str, moment: &str) {
    let Output { status, stdout, stderr } = pass_by(engine);
    assert!(status.success(), "{moment}: {}", String::from_utf8_lossy(&[stdout, stderr].concat()));
}

/// Runs a pass that is killed as it begins the nth of these calls at one of these paths.
fn killed_at(paths: &[String], call: &str, nth: usize) {
    // Of a rename, strace goes by the first of its two paths.
    let of_a_rename = [format!("{JOURNAL}.new")];
    let paths = if call == "rename" { &of_a_rename } else { paths };
    let paths = paths.iter().flat_map(|path| ["-P".to_owned(), configfs(path).display().to_string()]);
    let killed = Command::new("strace")
        .args(["-f", "-qq", "-o", "/run/strace.txt"])
        .args(paths)
        .args(["-e", &format!("inject={call}:signal=KILL:when={nth}")])
        .args(["/usr/bin/sbps-marshal", "run", "--once", "--set", "lio.engine=configfs"])
        .output()
        .unwrap();
    let said = [killed.stdout, killed.stderr].concat();
    assert_eq!(killed.status.signal(), Some(9), "{call} {nth}: {}", String::from_utf8_lossy(&said));
}

/// Some passes, as long as anything is left: it takes two looks.
fn passes_until_nothing_is_left(engine: &str) {
    let passes = (0..5).map(|_| drop(pass_by(engine)));
    let _last = passes.map(|()| left()).find(|left| *left == (0, 0, Vec::new()));
}

fn assert_nothing_is_left(moment: &str) {
    assert_eq!(left(), (0, 0, Vec::new()), "{moment}");
}

/// What is left: LUNs, whole or half made, of the TPG and of its ACL, and HBAs.
fn left() -> (usize, usize, Vec<String>) {
    let entries = |folder: &str| fs::read_dir(configfs(&format!("{}/{folder}", tpg()))).unwrap().flatten();
    let is_lun = |entry: &fs::DirEntry| entry.file_name().to_string_lossy().starts_with("lun_");
    let luns = entries("lun").filter(is_lun).count();
    let mapped = ACLS.iter().flat_map(|acl| entries(&format!("acls/{acl}"))).filter(is_lun).count();
    (luns, mapped, hbas())
}

/// The moments of an addition, by the call that begins there: HBA, backstore, LUN, mappings; serial, file, enable, path, name,
/// alias, the mappings' protection; the LUN's link, the mappings'; the note of the backstore, of the LUN, and their ends.
const ADDITION: [(&str, usize); 5] =
    [("mkdir", 5), ("write", 8), ("symlink", 3), ("rename", 2), ("unlink", 2)];

fn moments() -> impl Iterator<Item = (&'static str, usize)> {
    ADDITION.into_iter().flat_map(|(call, count)| (1..=count).map(move |nth| (call, nth)))
}

fn planned_number() -> u16 {
    let plan: Value = serde_json::from_slice(&Agent::command(&["plan", "--json"]).stdout).unwrap();
    u16::try_from(plan["changes"][0]["lun"].as_u64().unwrap()).unwrap()
}

#[test]
fn lio_m10_an_agent_that_is_killed_between_any_two_writes_leaves_what_the_next_one_of_either_engine_finishes_under_the_same_number()
 {
    let (_node, image) = node_with_acls();
    let number = planned_number();
    let paths = touched("fileio_1048576", &image, number);
    for ((call, nth), engine) in moments().zip(ENGINES.into_iter().cycle()) {
        let moment = format!("{call} {nth}, then {engine}");
        killed_at(&paths, call, nth);
        passes_by(engine, &moment);
        let live = luns();
        assert_eq!(live.keys().copied().collect::<Vec<_>>(), [number], "{moment}");
        let lun = &live[&number];
        assert_eq!((&lun.name, &lun.file, &lun.wwn), (&image.name, &image.file, &image.wwn));
        assert!(lun.model_alias && hbas().len() == 1, "{moment}: {:?}", hbas());
        assert_eq!(ACLS.map(mappings), [[(0, number, true)], [(0, number, true)]], "{moment}");
        let info = get(&format!("core/{}/{}/info", hbas()[0], lun.name));
        assert!(info.contains(&format!("File: {} ", lun.file)), "{moment}: {info}");
        empty_target();
    }
}

#[test]
fn lio_m10_what_an_agent_was_killed_beside_goes_although_its_image_is_not_wanted_any_more() {
    let (node, image) = node_with_acls();
    let paths = touched("fileio_1048576", &image, planned_number());
    for ((call, nth), engine) in moments().zip(ENGINES.into_iter().cycle()) {
        let moment = format!("{call} {nth}, then {engine}");
        node.ims.tag(&id(0), true);
        killed_at(&paths, call, nth);
        node.ims.tag(&id(0), false);
        // Settled at the start; a whole one is seen gone for the first time, and a second later for the second.
        passes_until_nothing_is_left(engine);
        assert_nothing_is_left(&moment);
        empty_target();
    }
}

#[test]
fn lio_m10_an_agent_that_is_killed_between_any_two_writes_of_a_removal_leaves_what_the_next_one_of_either_engine_finishes()
 {
    let (node, image) = node_with_acls();
    // The notes of LUN and backstore; the links of the mappings and of the LUN, and the ends of the notes; the folders of the
    // mappings, of the LUN, of the backstore and of its HBA.
    let moments = [("rename", 2), ("unlink", 5), ("rmdir", 5)];
    let moments = moments.iter().flat_map(|(call, count)| (1..=*count).map(move |nth| (*call, nth)));
    for (n, (call, nth)) in moments.enumerate() {
        let (made_by, then) = (ENGINES[n % 2], ENGINES[n / 2 % 2]);
        let moment = format!("made by {made_by}, {call} {nth}, then {then}");
        node.ims.tag(&id(0), true);
        passes_by(made_by, &moment);
        let number = *luns().keys().next().unwrap();
        assert_eq!(ACLS.map(mappings), [[(0, number, true)], [(0, number, true)]], "{moment}");
        let mut paths = touched(&hbas()[0], &image, number);
        // rtslib gives its links names of its own.
        let acls = ACLS.map(|initiator| format!("{}/acls/{initiator}/lun_0", tpg()));
        for folder in acls.into_iter().chain([format!("{}/lun/lun_{number}", tpg())]) {
            let entries = fs::read_dir(configfs(&folder)).unwrap().flatten();
            let links = entries.filter(|entry| entry.file_type().unwrap().is_symlink());
            paths.extend(links.map(|link| format!("{folder}/{}", link.file_name().to_string_lossy())));
        }
        node.ims.tag(&id(0), false);
        // Seen gone for the first time.
        drop(pass_by("configfs"));
        killed_at(&paths, call, nth);
        passes_until_nothing_is_left(then);
        assert_nothing_is_left(&moment);
    }
    // An empty HBA under one of its numbers would keep rtslib from making any.
    node.ims.tag(&id(0), true);
    passes_by("targetclid", "in the end");
    assert_eq!(luns().len(), 1);
}

#[test]
fn lio_r1_a_removal_that_was_cut_short_and_is_not_wanted_any_more_leaves_each_acl_as_somebody_had_mapped_it()
{
    let (node, image) = node_with_acls();
    passes_by("configfs", "at first");
    let number = *luns().keys().next().unwrap();
    // Somebody has let the other one write, and see it twice.
    set(&format!("{}/acls/{}/lun_0/write_protect", tpg(), ACLS[1]), "0");
    let second = format!("{}/acls/{}/lun_5", tpg(), ACLS[1]);
    make(&second);
    symlink(configfs(&format!("{}/lun/lun_{number}", tpg())), configfs(&format!("{second}/theirs"))).unwrap();
    let before = ACLS.map(mappings);
    let paths = touched(&hbas()[0], &image, number);
    // Before anything has gone, and after one and another mapping has.
    for (call, nth) in [("unlink", 1), ("rmdir", 1), ("unlink", 2), ("rmdir", 2)] {
        node.ims.tag(&id(0), false);
        drop(pass_by("configfs"));
        killed_at(&paths, call, nth);
        node.ims.tag(&id(0), true);
        // It does not converge: that somebody may write is an error.
        drop(pass_by("configfs"));
        assert_eq!(ACLS.map(mappings), before, "{call} {nth}");
        assert_eq!(luns().keys().copied().collect::<Vec<_>>(), [number], "{call} {nth}");
    }
}
