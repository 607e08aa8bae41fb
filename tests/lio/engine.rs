//! `lio.engine = "configfs"`: what the agent writes into configfs itself is what targetclid would have made.

use actors::model::{Engine, Step, Word};
use actors::ports::{LioError, LioPort, Rest};
use sbps_marshal::config;
use sbps_marshal::configfs::Journal;
use sbps_marshal::lio::LioAdapter;
use sbps_marshal::mount::S3fsMount;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::time::Duration;
use support::node::configfs::{INITIATOR, configfs, make, mappings, remove, set, tpg};
use support::node::{
    Agent, DropIn, IQN, Image, Initiator, MOUNT, Node, SAVE_FOLDER, UNIT, luns, run, squashfs, wait_for,
};

const DROP_IN: &str = include_str!("../../systemd/lio-engine-configfs.conf");
const IMAGES: usize = 20;

pub fn id(n: usize) -> String {
    format!("{n:08x}-0000-4000-8000-000000000000")
}

pub fn fill(node: &Node, count: usize) -> Vec<Image> {
    let image = squashfs(1, 64);
    (0..count).map(|n| node.add_image(&id(n), &image, 0, true)).collect()
}

/// Every attribute below LIO's root by its path, but for counters and times. The number of an HBA and the name of a link are
/// left out of both: nobody goes by them.
fn attributes() -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    collect(&configfs(""), "", &mut found);
    found
}

fn collect(folder: &Path, shown: &str, found: &mut BTreeMap<String, String>) {
    for entry in fs::read_dir(folder).unwrap().flatten() {
        let (name, path) = (entry.file_name().to_string_lossy().into_owned(), entry.path());
        let name = match name.strip_prefix("fileio_") {
            Some(_) => "fileio".to_owned(),
            None => name,
        };
        // Counters; and what is the target's own, which a restore fills in.
        if ["statistics", "discovery_auth"].contains(&name.as_str()) {
            continue;
        }
        let kind = entry.file_type().unwrap();
        if kind.is_symlink() {
            let target = fs::read_link(&path).unwrap();
            found.insert(format!("{shown}/link"), target.file_name().unwrap().to_string_lossy().into_owned());
        } else if kind.is_dir() {
            collect(&path, &format!("{shown}/{name}"), found);
        } else if let Ok(bytes) = fs::read(&path) {
            let text = String::from_utf8_lossy(&bytes).into_owned();
            // `HBA Index: 7 plugin: fileio version: v6.1.0`; `TCM FILEIO ID: 0        File: ...`: the kernel's own counters.
            let text = text.split("HBA Index: ").next().unwrap_or_default();
            let text = match text.split_once("TCM FILEIO ID: ") {
                Some((before, after)) => {
                    format!("{before}{}", after.trim_start_matches(|c: char| c.is_ascii_digit()))
                }
                None => text.to_owned(),
            };
            found.insert(format!("{shown}/{name}"), without_hbas(&text));
        }
    }
}

/// saveconfig.json, without the names of links.
fn saved() -> Value {
    fn strip(value: &mut Value) {
        match value {
            Value::Object(fields) => {
                fields.remove("alias");
                fields.values_mut().for_each(strip);
            }
            Value::Array(values) => {
                values.iter_mut().for_each(strip);
                values.sort_by_key(Value::to_string);
            }
            _ => {}
        }
    }
    let bytes = fs::read(format!("{SAVE_FOLDER}/saveconfig.json")).unwrap();
    let mut saved = serde_json::from_slice(&bytes).unwrap();
    strip(&mut saved);
    saved
}

/// Attribute by attribute: what differs is told, all of it.
fn assert_same(told: &BTreeMap<String, String>, direct: &BTreeMap<String, String>) {
    let paths: BTreeSet<&String> = told.keys().chain(direct.keys()).collect();
    let pairs = paths.into_iter().map(|path| (path, told.get(path), direct.get(path)));
    let differences: Vec<_> = pairs.filter(|(_, told, direct)| told != direct).collect();
    assert!(differences.is_empty(), "{differences:#?}");
}

/// An attribute without the numbers of HBAs, its lines in order.
fn without_hbas(text: &str) -> String {
    let mut lines: Vec<String> = text
        .lines()
        .map(|line| match line.split_once("fileio_") {
            Some((before, after)) => {
                format!("{before}fileio{}", after.trim_start_matches(|c: char| c.is_ascii_digit()))
            }
            None => line.to_owned(),
        })
        .collect();
    lines.sort();
    lines.join("\n")
}

/// What an engine makes of an empty target: as it is, saved, and as the distribution's service brings it back.
fn made_by(node: &Node, engine: &str) -> (BTreeMap<String, String>, Value, BTreeMap<String, String>) {
    let agent = Agent::start(node, &format!("lio.engine = \"{engine}\""));
    agent.wait_until_converged(IMAGES, 300);
    let direct = fs::read_dir(configfs("core")).unwrap().flatten();
    let direct = direct.filter(|hba| hba.file_name().to_string_lossy().starts_with("fileio_1048")).count();
    assert_eq!(direct, if engine == "configfs" { IMAGES } else { 0 });
    agent.stop();
    let (live, saved) = (attributes(), saved());
    run("targetctl", &["clear"]);
    run("targetctl", &["restore", &format!("{SAVE_FOLDER}/saveconfig.json")]);
    (live, saved, attributes())
}

#[test]
fn lio_twenty_images_are_the_same_by_either_engine_in_configfs_in_saveconfig_json_and_after_a_restore() {
    let node = Node::fresh();
    fill(&node, IMAGES);
    let _drop_in = DropIn::of(UNIT, DROP_IN);
    let told = made_by(&node, "targetclid");
    run("targetctl", &["clear"]);
    fs::remove_file(format!("{SAVE_FOLDER}/saveconfig.json")).unwrap();
    run("systemctl", &["restart", "targetclid.service"]);
    run("site", &["target"]);
    let direct = made_by(&node, "configfs");
    assert!(told.0.len() > IMAGES * 50, "{} attributes", told.0.len());
    println!("{} attributes, {} after a boot", told.0.len(), told.2.len());
    assert_same(&told.0, &direct.0);
    assert_eq!(told.1, direct.1);
    assert_same(&told.2, &direct.2);
}

#[test]
fn lio_luns_that_were_written_are_read_by_an_initiator_and_deleted_by_targetcli_and_by_the_other_engine() {
    let node = Node::fresh();
    let images = fill(&node, 4);
    let _drop_in = DropIn::of(UNIT, DROP_IN);
    let agent = Agent::start(&node, "lio.engine = \"configfs\"");
    agent.wait_until_converged(4, 120);
    {
        let initiator = Initiator::login();
        for image in &images {
            let disk = initiator.disk(image);
            assert_eq!(fs::read(disk.path()).unwrap(), node_file(image));
        }
    }
    // targetclid has been told: its clients see them. Two backstores go with their LUNs, by the predecessor's command.
    agent.stop();
    assert!(run("targetcli", &["ls", "/iscsi"]).contains(&images[0].name));
    run("targetcli", &["/backstores/fileio", "delete", &images[0].name]);
    let number = luns().into_iter().find(|(_, lun)| lun.name == images[1].name).unwrap().0;
    run("targetcli", &[&format!("/iscsi/{IQN}/tpg1/luns"), "delete", &number.to_string()]);
    run("targetcli", &["/backstores/fileio", "delete", &images[1].name]);
    assert_eq!(luns().len(), 2);
    // The others by an agent that tells targetclid.
    (0..4).for_each(|n| node.ims.tag(&id(n), false));
    let agent = Agent::start(&node, "guard.max_removals = 10\nguard.max_removal_percent = 100");
    agent.wait_for_pass("both are gone", 120, 0, |pass| pass["live"] == 0);
    assert!(luns().is_empty());
    let left =
        fs::read_dir(configfs("core")).unwrap().flatten().map(|entry| entry.file_name()).collect::<Vec<_>>();
    assert!(!left.iter().any(|name| name.to_string_lossy().contains('_')), "{left:?}");
}

fn node_file(image: &Image) -> Vec<u8> {
    fs::read(&image.file).unwrap()
}

#[test]
fn lio_h4_beside_a_backstore_whose_file_is_gone_a_new_image_is_written_into_configfs_and_that_is_told() {
    let node = Node::fresh();
    let images = fill(&node, 1);
    let file = "/srv/of-somebody-else.img";
    fs::write(file, vec![0; 1 << 20]).unwrap();
    run("targetcli", &["/backstores/fileio", "create", "theirs", file]);
    fs::remove_file(file).unwrap();
    // The unit as it is shipped may not write there: both reasons are told.
    let agent = Agent::start(&node, "");
    // A daemon that takes its time to start is a failure too, and passes.
    let is_told = |event: &Value| {
        let detail = event["detail"].as_str().unwrap_or_default();
        detail.contains(file) && detail.contains("Read-only file system")
    };
    wait_for("it fails", Duration::from_secs(120), || {
        agent.events_of("change_failed").iter().any(is_told).then_some(())
    });
    assert!(luns().is_empty());
    agent.stop();
    let _drop_in = DropIn::of(UNIT, DROP_IN);
    let agent = Agent::start(&node, "");
    agent.wait_for_pass("it is added", 120, 0, |pass| pass["added"] == 1);
    assert_eq!(luns().values().next().unwrap().name, images[0].name);
    assert_eq!(agent.events_of("created_directly")[0]["missing"], file);
    agent.stop();
    assert!(run("targetcli", &["ls", "/iscsi"]).contains(&images[0].name), "targetclid knows of it");
}

/// Where the unit has it.
fn journal() -> Journal {
    Journal::new(Path::new("/run/sbps-marshal"))
}

/// An adapter of our own, which has the kernel open files of the mount.
fn adapter() -> LioAdapter {
    let flags = vec![format!("lio.iqn={IQN}").parse().unwrap()];
    let sources = config::Sources { file: "/nowhere/config.toml".into(), flags, ..Default::default() };
    let settings = config::load(&sources).unwrap().settings;
    let mount = S3fsMount::new(&settings.mount).unwrap();
    LioAdapter::new(&settings.lio).unwrap().with_files(mount.files(), journal())
}

fn word(text: &str) -> Word {
    Word::try_from(text).unwrap()
}

fn create(image: &Image) -> Step {
    Step::CreateBackstore { name: word(&image.name), file: word(&image.file), wwn: word(&image.wwn) }
}

fn create_lun(image: &Image, lun: u16) -> Step {
    Step::CreateLun { lun, name: word(&image.name), map_to_acls: true }
}

fn direct(lio: &mut LioAdapter, step: Step) -> Result<String, LioError> {
    lio.apply(&Engine::Configfs.request(step))
}

pub fn hbas() -> Vec<String> {
    let entries = fs::read_dir(configfs("core")).unwrap().flatten();
    let names = entries.map(|entry| entry.file_name().to_string_lossy().into_owned());
    names.filter(|name| name.contains('_')).collect()
}

#[test]
fn lio_r8_a_file_that_is_gone_or_leads_elsewhere_is_not_opened_and_no_empty_object_is_made_of_it() {
    let node = Node::fresh();
    let image = node.add_pe("PE/a.squashfs", &squashfs(1, 64));
    let mut lio = adapter();
    node.bucket.delete("PE/a.squashfs");
    node.bucket.put_symlink("PE/link.squashfs", "/etc/shadow");
    for image in [&image, &Image::of_pe("PE/link.squashfs")] {
        let error = direct(&mut lio, create(image)).unwrap_err();
        assert!(matches!(error, LioError::File { .. }), "{error}");
    }
    assert_eq!(hbas(), [""; 0]);
    assert_eq!(node.bucket.get("PE/a.squashfs"), None);
    lio.rest(Rest::ForGood);
}

#[test]
fn lio_a_write_that_fails_leaves_nothing_of_ours_and_what_is_not_ours_stays() {
    let node = Node::fresh();
    let image = node.add_pe("PE/a.squashfs", &squashfs(1, 64));
    let mut lio = adapter();
    // The kernel opens the file to write: the last write but two fails.
    run("mount", &["-o", "remount,bind,ro", MOUNT]);
    let error = direct(&mut lio, create(&image)).unwrap_err();
    run("mount", &["-o", "remount,bind,rw", MOUNT]);
    assert!(matches!(&error, LioError::Write { path, .. } if path.ends_with("enable")), "{error}");
    assert_eq!(hbas(), [""; 0]);
    direct(&mut lio, create(&image)).unwrap();
    // A LUN that is there, and leads to nothing, is nobody's to take back.
    make(&format!("{}/lun/lun_7", tpg()));
    assert!(matches!(direct(&mut lio, create_lun(&image, 7)), Err(LioError::Write { .. })));
    assert!(configfs(&format!("{}/lun/lun_7", tpg())).exists());
    remove(&format!("{}/lun/lun_7", tpg()));
    direct(&mut lio, create_lun(&image, 7)).unwrap();
    lio.rest(Rest::ForGood);
}

#[test]
fn lio_m15_r10_a_lun_that_is_written_is_mapped_to_each_acl_write_protected_and_goes_with_its_mappings() {
    let node = Node::fresh();
    let image = node.add_pe("PE/a.squashfs", &squashfs(1, 64));
    let mut lio = adapter();
    set(&format!("{}/attrib/generate_node_acls", tpg()), "0");
    let other = "iqn.2001-01.com.other:b";
    [INITIATOR, other].iter().for_each(|initiator| make(&format!("{}/acls/{initiator}", tpg())));
    direct(&mut lio, create(&image)).unwrap();
    direct(&mut lio, Step::EnableModelAlias { name: word(&image.name) }).unwrap();
    direct(&mut lio, create_lun(&image, 15_000)).unwrap();
    assert_eq!(mappings(INITIATOR), [(0, 15_000, true)]);
    assert_eq!(mappings(other), [(0, 15_000, true)]);
    direct(&mut lio, Step::DeleteLun { lun: 15_000, name: word(&image.name) }).unwrap();
    assert!(mappings(other).is_empty() && luns().is_empty());
    direct(&mut lio, Step::DeleteBackstore { name: word(&image.name), wwn: word(&image.wwn) }).unwrap();
    assert_eq!(hbas(), [""; 0]);
    lio.rest(Rest::ForGood);
}
