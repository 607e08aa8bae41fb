//! saveconfig.json after a power cut (M14).

use std::fs;
use support::node::{Agent, Node, SAVE_FOLDER as FOLDER, luns, project_as_the_predecessor, run, squashfs};

const FILE: &str = "/etc/rtslib-fb-target/saveconfig.json";

fn id(n: u32) -> String {
    format!("{n:08x}-0000-4000-8000-000000000000")
}

/// Number and name of each LUN.
fn numbers() -> Vec<(u16, String)> {
    luns().into_iter().map(|(number, lun)| (number, lun.name)).collect()
}

/// So many images under the numbers of the predecessor, which no hash gives, all saved and in the copy that targetcli
/// makes of what was saved before. Gives their numbers, and what is whole in the file.
fn saved(node: &Node, image: &[u8], count: u32) -> (Vec<(u16, String)>, Vec<u8>) {
    (0..count).for_each(|n| project_as_the_predecessor(&node.add_image(&id(n), image, 0, true)));
    run("targetcli", &["saveconfig"]);
    let before = numbers();
    assert!(before.iter().map(|(number, _)| u32::from(*number)).eq(0..count), "{before:?}");
    (before, fs::read(FILE).unwrap())
}

/// A power cut while rtslib copied, and the boot after it, which can restore nothing. Gives what is left of the file.
fn power_cut(whole: &[u8]) -> &[u8] {
    run("targetcli", &["clearconfig", "confirm=true"]);
    run("site", &["target"]);
    let torn = &whole[..whole.len() / 2];
    fs::write(FILE, torn).unwrap();
    assert!(luns().is_empty());
    torn
}

fn saved_backstores() -> usize {
    let saved: serde_json::Value = serde_json::from_slice(&fs::read(FILE).unwrap()).unwrap();
    saved["storage_objects"].as_array().unwrap().len()
}

#[test]
fn lio_m14_a_torn_saveconfig_is_set_aside_and_its_numbers_come_back_from_the_backup() {
    let node = Node::fresh();
    let (before, whole) = saved(&node, &squashfs(1, 64), 4);
    let torn = power_cut(&whole);

    let agent = Agent::start(&node, "");
    agent.wait_until_converged(4, 120);
    assert_eq!(numbers(), before);
    let entries = fs::read_dir(FOLDER).unwrap().map(|entry| entry.unwrap().path());
    let aside: Vec<_> =
        entries.filter(|path| path.to_string_lossy().contains("/saveconfig.json.torn-")).collect();
    assert_eq!(aside.len(), 1, "{aside:?}");
    assert_eq!(fs::read(&aside[0]).unwrap(), torn, "letter by letter");
    let told = agent.events_of("save_set_aside");
    assert!(told.len() == 1 && told[0].to_string().contains(".torn-"), "{told:?}");
    assert_eq!(saved_backstores(), 4);
}

#[test]
fn lio_m14_an_image_that_cannot_be_projected_yet_comes_back_under_its_number_of_the_backup_too() {
    let node = Node::fresh();
    let image = squashfs(1, 64);
    let (before, whole) = saved(&node, &image, 3);
    power_cut(&whole);
    // It is being uploaded anew: half of it is there.
    let key = format!("{}/rootfs", id(1));
    let etag = node.bucket.etag(&key);
    node.bucket.put(&key, &image[..image.len() / 2]);

    let agent = Agent::start(&node, "");
    agent.wait_for_pass("two are back", 120, 0, |pass| pass["live"] == 2);
    let seen = agent.passes();
    agent.reload();
    agent.wait_for_pass("one more pass", 60, seen, |pass| pass["live"] == 2);
    let mut two = before.clone();
    let late = two.remove(1);
    assert_eq!(numbers(), two);
    assert!(agent.events_of("image_pending").iter().any(|event| event["image_id"] == id(1)));

    assert_eq!(node.bucket.put(&key, &image), etag);
    let seen = agent.passes();
    agent.reload();
    agent.wait_for_pass("it is back", 120, seen, |pass| pass["live"] == 3);
    assert_eq!(numbers(), before, "{} is under another number", late.1);
    agent.wait_until_converged(3, 60);
    assert_eq!(saved_backstores(), 3);
}
