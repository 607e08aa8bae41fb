//! What is not ours stays as it is.

use support::node::{Agent, IQN, Node, luns, run, squashfs};

#[test]
fn lio_r1_a_foreign_backstore_and_lun_are_still_there_at_the_end_untouched() {
    let node = Node::fresh();
    let image = squashfs(1, 64);
    node.add_image("00000000-0000-4000-8000-000000000000", &image, 0, true);
    std::fs::write("/srv/scratch.img", vec![0; 1 << 20]).unwrap();
    run("targetcli", &["/backstores/fileio", "create", "scratch", "/srv/scratch.img"]);
    let tpg = format!("/iscsi/{IQN}/tpg1/luns");
    run("targetcli", &[&tpg, "create", "/backstores/fileio/scratch", "77"]);
    run("targetcli", &["saveconfig"]);
    let foreign = luns().remove(&77).unwrap();

    let agent = Agent::start(&node, "");
    agent.wait_until_converged(1, 120);
    node.ims.tag("00000000-0000-4000-8000-000000000000", false);
    agent.wait_for_pass("ours is removed", 90, 0, |pass| pass["removed"] == 1);
    agent.stop();
    let left = luns();
    assert_eq!(left.keys().copied().collect::<Vec<_>>(), [77]);
    assert_eq!(left[&77], foreign);
}

#[test]
fn lio_r10_no_lun_is_added_while_the_tpg_could_be_written_to() {
    let node = Node::fresh();
    node.add_image("00000000-0000-4000-8000-000000000000", &squashfs(1, 64), 0, true);
    let attribute = format!("/sys/kernel/config/target/iscsi/{IQN}/tpgt_1/attrib/demo_mode_write_protect");
    std::fs::write(&attribute, "0").unwrap();
    let agent = Agent::start(&node, "");
    agent.wait_for_pass("a pass with the image pending", 60, 0, |pass| pass["pending"] == 1);
    assert!(luns().is_empty());
    assert_eq!(agent.events_of("image_pending")[0]["reason"], "not_write_protected");
    std::fs::write(&attribute, "1").unwrap();
    agent.reload();
    agent.wait_until_converged(1, 60);
}

#[test]
fn lio_r10_h8_write_protection_that_is_lost_under_live_luns_is_an_error_until_it_is_back() {
    let node = Node::fresh();
    node.add_image("00000000-0000-4000-8000-000000000000", &squashfs(1, 64), 0, true);
    let agent = Agent::start(&node, "");
    agent.wait_until_converged(1, 120);
    let attribute = format!("/sys/kernel/config/target/iscsi/{IQN}/tpgt_1/attrib/prod_mode_write_protect");
    std::fs::write(&attribute, "0").unwrap();
    let seen = agent.passes();
    agent.reload();
    agent.wait_for_pass("a pass that says so", 60, seen, |pass| pass["result"] == "not_converged");
    let told = agent.events_of("target_problem");
    assert_eq!((told.len(), &told[0]["reason"]), (1, &"not_write_protected".into()));
    assert_eq!(luns().len(), 1, "what nodes run from stays");
    std::fs::write(&attribute, "1").unwrap();
    let seen = agent.passes();
    agent.reload();
    agent.wait_for_pass("it is back", 60, seen, |pass| pass["result"] == "converged");
}
