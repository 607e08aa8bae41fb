//! saveconfig.json after a power cut (M14).

use crate::takeover::project_as_the_predecessor;
use std::fs;
use support::node::{Agent, Node, SAVE_FOLDER as FOLDER, luns, run, squashfs};

#[test]
fn lio_m14_a_torn_saveconfig_is_set_aside_and_its_numbers_come_back_from_the_backup() {
    let node = Node::fresh();
    let image = squashfs(1, 64);
    let images: Vec<_> = (0..4)
        .map(|n| node.add_image(&format!("{n:08x}-0000-4000-8000-000000000000"), &image, 0, true))
        .collect();
    images.iter().for_each(project_as_the_predecessor);
    // The copy that targetcli makes is of what was saved before.
    run("targetcli", &["saveconfig"]);
    let before: Vec<_> = luns().into_iter().map(|(number, lun)| (number, lun.name)).collect();
    assert_eq!(before.iter().map(|(number, _)| *number).collect::<Vec<_>>(), [0, 1, 2, 3]);

    // A power cut while rtslib copied, and the boot after it, which can restore nothing.
    let file = format!("{FOLDER}/saveconfig.json");
    let whole = fs::read(&file).unwrap();
    run("targetcli", &["clearconfig", "confirm=true"]);
    run("site", &["target"]);
    let torn = &whole[..whole.len() / 2];
    fs::write(&file, torn).unwrap();
    assert!(luns().is_empty());

    let agent = Agent::start(&node, "");
    agent.wait_until_converged(4, 120);
    let after: Vec<_> = luns().into_iter().map(|(number, lun)| (number, lun.name)).collect();
    assert_eq!(after, before);
    let entries = fs::read_dir(FOLDER).unwrap().map(|entry| entry.unwrap().path());
    let aside: Vec<_> =
        entries.filter(|path| path.to_string_lossy().contains("/saveconfig.json.torn-")).collect();
    assert_eq!(aside.len(), 1, "{aside:?}");
    assert_eq!(fs::read(&aside[0]).unwrap(), torn, "letter by letter");
    let told = agent.events_of("save_set_aside");
    assert!(told.len() == 1 && told[0].to_string().contains(".torn-"), "{told:?}");
    let saved: serde_json::Value = serde_json::from_slice(&fs::read(&file).unwrap()).unwrap();
    assert_eq!(saved["storage_objects"].as_array().unwrap().len(), 4);
}
