//! R6: a PE object that is replaced under its key.

use std::time::Duration;
use support::node::mount::Remounted;
use support::node::{
    Agent, Image, Initiator, Node, luns, run, sha256_of_tree, source_of, squashfs, wait_for,
};

const KEY: &str = "PE/CPE-base.x86_64-26.11.squashfs";

/// Of the image before, and of the one in its place, which has as many bytes.
const OLD: u32 = 1;
const NEW: u32 = 2;

/// Number and inode of its LUN.
fn lun_of(image: &Image) -> Option<(u16, u64)> {
    luns().into_iter().find(|(_, lun)| lun.name == image.name).map(|(number, lun)| (number, lun.inode))
}

/// Two images of one size.
fn contents() -> (Vec<u8>, Vec<u8>) {
    let (mut old, mut new) = (squashfs(OLD, 4 * 1024), squashfs(NEW, 4 * 1024));
    let size = old.len().max(new.len());
    old.resize(size, 0);
    new.resize(size, 0);
    (old, new)
}

/// From what is read of the LUN now to what was uploaded last: nothing of the old one, and nothing written back.
fn reads_as_new(node: &Node, image: &Image, new: &[u8]) {
    std::fs::write("/proc/sys/vm/drop_caches", "3").unwrap();
    let initiator = Initiator::login();
    let disk = initiator.disk(image);
    assert!(disk.read_direct().as_deref() == Some(new), "the LUN has other bytes than what was uploaded");
    assert_eq!(disk.sha256(), sha256_of_tree(&source_of(NEW)));
    assert!(node.bucket.get(KEY).as_deref() == Some(new), "the object is not what was uploaded");
    assert_eq!(node.bucket.written_by_s3fs(), [""; 0]);
}

#[test]
fn lio_r6_a_replaced_pe_image_of_the_same_size_is_held_and_told_and_by_an_operators_word_it_is_the_new_one() {
    let node = Node::fresh();
    let (old, new) = contents();
    let image = node.add_pe(KEY, &old);
    node.add_pe("PE/other.squashfs", &squashfs(3, 64));
    let agent = Agent::start(&node, "guard.quiet_period = 10");
    agent.wait_until_converged(2, 120);
    let before = lun_of(&image).unwrap();
    {
        let initiator = Initiator::login();
        assert_eq!(initiator.disk(&image).sha256(), sha256_of_tree(&source_of(OLD)));
    }
    node.bucket.put(KEY, &new);
    let told =
        wait_for("it is told", Duration::from_secs(90), || agent.events_of("projection_drifted").pop());
    assert_eq!((told["image_id"].as_str(), told["reason"].as_str()), (Some(KEY), Some("content_changed")));
    let code = wait_for("its code is told", Duration::from_secs(90), || {
        Some(agent.events_of("removals_held").pop()?["subject"].as_str()?.to_owned())
    });
    agent.wait_for_pass("two passes", 120, agent.passes() + 1, |_| true);
    assert_eq!(lun_of(&image), Some(before), "it is not touched");

    let confirmed = Agent::command(&["confirm-removal", &code]);
    assert!(confirmed.status.success(), "{confirmed:?}");
    let after = wait_for("it is made anew", Duration::from_secs(120), || {
        lun_of(&image).filter(|after| after.1 != before.1)
    });
    assert_eq!(after.0, before.0, "under its number");
    agent.wait_until_converged(2, 60);
    reads_as_new(&node, &image, &new);
}

#[test]
fn lio_r6_a_replaced_pe_image_is_replaced_by_itself_if_the_site_says_so_and_s3fs_keeps_files() {
    let node = Node::fresh();
    run("rm", &["-rf", "/var/lib/s3fs_cache"]);
    // As CSM mounts it, with the stat cache of its default.
    let _mount = Remounted::with(",use_cache=/var/lib/s3fs_cache");
    let (old, new) = contents();
    let image = node.add_pe(KEY, &old);
    node.add_pe("PE/other.squashfs", &squashfs(3, 64));
    let agent = Agent::start(&node, "guard.quiet_period = 10\npe.on_change = \"replace\"");
    agent.wait_until_converged(2, 120);
    let before = lun_of(&image).unwrap();
    {
        // Half of it: s3fs keeps that half.
        let initiator = Initiator::login();
        let source = format!("if={}", initiator.disk(&image).path().display());
        run("dd", &[&source, "of=/dev/null", "iflag=direct", "bs=1M", "count=2", "status=none"]);
    }
    node.bucket.put(KEY, &new);
    let after = wait_for("it is made anew", Duration::from_secs(180), || {
        lun_of(&image).filter(|after| after.1 != before.1)
    });
    assert_eq!(after.0, before.0, "under its number");
    let removed = agent.events_of("lun_removed");
    assert!(removed.len() == 1 && removed[0]["reason"] == "replaced", "{removed:?}");
    agent.wait_until_converged(2, 60);
    reads_as_new(&node, &image, &new);
}
