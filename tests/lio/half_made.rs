//! What a tool that was killed half-way leaves: ours is finished, the others' is named and left (M10).

use serde_json::Value;
use std::time::Duration;
use support::node::configfs::{configfs, half_made_backstore, inode, make, remove, tpg};
use support::node::{Agent, Node, luns, squashfs, wait_for};

const OTHER: &str = "iscsi/iqn.2001-01.com.other:x/tpgt_1";

/// The numbers under which the agent would make its LUNs, by backstore name.
fn planned() -> Vec<(String, u16)> {
    let plan: Value = serde_json::from_slice(&Agent::command(&["plan", "--json"]).stdout).unwrap();
    let number = |change: &Value| u16::try_from(change["lun"].as_u64()?).ok();
    let changes = plan["changes"].as_array().unwrap().iter();
    changes.map(|change| (change["name"].as_str().unwrap().to_owned(), number(change).unwrap())).collect()
}

#[test]
fn lio_m10_a_half_made_backstore_and_a_half_made_lun_of_ours_are_finished_and_everything_else_goes_on() {
    let node = Node::fresh();
    let image = squashfs(1, 64);
    let images: Vec<_> = (0..3)
        .map(|n| node.add_image(&format!("{n:08x}-0000-4000-8000-000000000000"), &image, 0, true))
        .collect();
    Agent::install(&node, "");
    let planned = planned();
    assert_eq!(planned.len(), 3);
    let lun_of = |name: &str| planned.iter().find(|(planned, _)| planned == name).unwrap().1;

    // Of ours: one backstore whose file was never opened, and one LUN without its link.
    half_made_backstore(900, &images[0].name, &images[0].file);
    make(&format!("{}/lun/lun_{}", tpg(), lun_of(&images[1].name)));
    // And the same of somebody else's.
    std::fs::write("/srv/scratch.img", vec![0; 1 << 20]).unwrap();
    let foreign = [half_made_backstore(901, "scratch", "/srv/scratch.img"), format!("{OTHER}/lun/lun_4")];
    make(&foreign[1]);
    let before: Vec<_> = foreign.iter().map(|path| inode(path).unwrap()).collect();

    let agent = Agent::start(&node, "");
    wait_for("all LUNs are there", Duration::from_secs(240), || (luns().len() == 3).then_some(()));
    for (number, lun) in luns() {
        let image = images.iter().find(|image| image.name == lun.name).unwrap();
        assert_eq!((&lun.wwn, &lun.file, number), (&image.wwn, &image.file, lun_of(&lun.name)));
        assert!(lun.model_alias);
    }
    let named =
        |what: &str| agent.events_of("half_made").iter().any(|event| event.to_string().contains(what));
    wait_for("the foreign ones are named", Duration::from_secs(60), || {
        (named("scratch") && named(OTHER)).then_some(())
    });
    let left: Vec<_> = foreign.iter().map(|path| inode(path).unwrap()).collect();
    assert_eq!(left, before, "they are not touched");

    // They keep everybody from saving; without them all is well.
    remove(&foreign[1]);
    remove(&foreign[0]);
    assert!(!configfs(&foreign[0]).exists());
    agent.reload();
    agent.wait_until_converged(3, 120);
}
