//! What s3fs does to images: it shows the past, refuses one of them, shows a symlink, dies, and is not there at boot.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;
use support::node::{
    Agent, IQN, Image, Initiator, Node, Reader, Target, clear_target, luns, mount,
    project_as_the_predecessor, run, sha256_of_tree, source_of, squashfs, wait_for,
};

fn id(n: u32) -> String {
    format!("{n:08x}-0000-4000-8000-000000000000")
}

/// Number, name and serial of each LUN: what an initiator sees.
fn seen(target: &Target) -> Vec<(u16, String, String)> {
    target.iter().map(|(number, lun)| (*number, lun.name.clone(), lun.wwn.clone())).collect()
}

fn projected(image: &Image) -> bool {
    luns().values().any(|lun| lun.name == image.name && lun.wwn == image.wwn)
}

/// The default of s3fs, 900 s, in place of the 1 s of the VM's unit: what has been looked up once is shown for that
/// long. And what LIO has open is shown with the size it was opened with, whatever the cache, until LIO closes it, or
/// somebody opens it once more: which nobody should, for then s3fs 1.90 holds LIO's file for changed, and writes the old
/// content over the new object when LIO closes it.
#[test]
fn lio_h2_a_rootfs_and_manifest_replaced_in_place_keep_the_old_lun_and_are_never_opened_beside_it() {
    let node = Node::fresh();
    let _default_cache = mount::Remounted::with("");
    let first = squashfs(1, 64);
    let old = node.add_image(&id(0), &first, 0, true);
    let agent = Agent::start(&node, "guard.quiet_period = 10");
    agent.wait_until_converged(1, 120);
    let before = luns();
    let initiator = Initiator::login();
    let reader = Reader::of(vec![(initiator.disk(&old), first)]);
    wait_for("the old image is read", Duration::from_secs(60), || (reader.good()[0] > 0).then_some(()));

    let new = node.replace_image(&id(0), &squashfs(2, 256));
    let passes = agent.passes();
    agent.reload();
    let told = wait_for("the new image waits", Duration::from_secs(60), || {
        agent.events_of("image_pending").into_iter().find(|event| event["image_id"] == id(0))
    });
    assert_eq!(told["reason"], "size_differs", "{told}");
    assert!(told["detail"].to_string().contains("untag the image"), "{told}");
    agent.wait_for_pass("three passes", 120, passes + 2, |_| true);
    assert_eq!(luns(), before);
    let reads = reader.good()[0];
    wait_for("the old image is still read", Duration::from_secs(60), || {
        (reader.good()[0] > reads + 1).then_some(())
    });

    // The remedy that the event tells, once nobody reads any more (R4).
    assert_eq!(reader.wrong(), 0, "the old LUN had its own content or none");
    drop(reader);
    node.ims.tag(&id(0), false);
    agent.wait_for_pass("the old one is gone", 120, passes, |pass| pass["removed"] == 1);
    node.ims.tag(&id(0), true);
    wait_for("the new one is there", Duration::from_secs(120), || projected(&new).then_some(()));
    assert!(!projected(&old));
    assert_eq!(node.bucket.written_by_s3fs(), Vec::<String>::new());
    initiator.rescan();
    assert_eq!(initiator.disk(&new).sha256(), sha256_of_tree(&source_of(2)));
}

/// Behind this object is a file of sysfs that has a size and cannot be read: the S3 server lists it, answers its HEAD
/// and breaks off its GET, so that s3fs shows it, opens it, and answers EIO to whoever reads it.
struct Unreadable(String);

impl Unreadable {
    fn replace(key: &str) -> Self {
        let file = format!("/srv/s3/boot-images/{key}");
        run("mount", &["--bind", "/sys/class/net/lo/speed", &file]);
        Unreadable(file)
    }
}

impl Drop for Unreadable {
    fn drop(&mut self) {
        let _ = std::process::Command::new("umount").args(["-l", &self.0]).output();
    }
}

#[test]
fn lio_h5_an_object_that_s3fs_refuses_stops_no_other_image() {
    let node = Node::fresh();
    let _impatient = mount::Remounted::with(",stat_cache_expire=1,retries=1");
    let image = squashfs(1, 64);
    // First and last in every order, so that something comes after it in any.
    let refused = ["PE/0-refused", "PE/z-refused"];
    let _unreadable: Vec<Unreadable> = refused
        .into_iter()
        .map(|key| {
            node.add_pe(key, &[0; 4096]);
            Unreadable::replace(key)
        })
        .collect();
    let mut good: Vec<Image> = (0..4).map(|n| node.add_image(&id(n), &image, 0, true)).collect();
    good.push(node.add_pe("PE/good", &image));

    // s3fs tries for a while before it gives up: that is no mount that hangs.
    let agent = Agent::start(&node, "mount.timeout = 60");
    let pass = agent.wait_for_pass("all others are projected", 300, 0, |pass| pass["live"] == 5);
    assert_eq!(pass["unknown"], "mount:refused", "of these two files, and not of the mount: {pass}");
    assert!(good.iter().all(projected) && luns().len() == 5);
    let told: BTreeSet<String> = agent
        .events_of("image_unclear")
        .iter()
        .map(|event| event["image_id"].as_str().unwrap_or_default().to_owned())
        .collect();
    assert_eq!(told, refused.map(str::to_owned).into());

    // Nor does it hold any removal.
    node.ims.tag(&id(0), false);
    let seen = agent.passes();
    agent.reload();
    agent.wait_for_pass("the untagged one is removed", 300, seen, |pass| pass["removed"] == 1);
    assert!(!projected(&good[0]) && luns().len() == 4);
}

#[test]
fn lio_h6_a_symlink_under_a_live_lun_is_an_error_and_waits_for_confirmation() {
    let node = Node::fresh();
    let image = squashfs(1, 64);
    let other = node.add_pe("PE/other.squashfs", &image);
    let replaced = node.add_pe("PE/replaced.squashfs", &image);
    let agent = Agent::start(&node, "");
    agent.wait_until_converged(2, 120);
    let before = luns();

    std::fs::write("/srv/secret", &image).unwrap();
    node.bucket.put_symlink("PE/replaced.squashfs", "/srv/secret");
    let passes = agent.passes();
    agent.reload();
    let told =
        wait_for("the symlink is told", Duration::from_secs(120), || agent.events_of("export_escapes").pop());
    assert_eq!(told["level"], "error", "{told}");
    agent.wait_for_pass("a pass with the symlink", 60, passes, |pass| pass["result"] != "converged");
    let seen = agent.passes();
    agent.wait_for_pass("one more pass", 60, seen, |pass| pass["result"] != "converged");
    assert_eq!(luns(), before, "nothing is removed that nobody has confirmed");

    let code = agent.events_of("removals_held").pop().expect("a code to confirm it with");
    let code = code["subject"].as_str().expect("a code");
    let confirmed = Agent::command(&["confirm-removal", code]);
    assert!(confirmed.status.success(), "{confirmed:?}");
    wait_for("the LUN is removed", Duration::from_secs(120), || (!projected(&replaced)).then_some(()));
    assert!(projected(&other));
}

#[test]
fn lio_l3_after_s3fs_died_and_was_mounted_again_every_lun_reads_again_under_its_number() {
    let node = Node::fresh();
    let contents: Vec<Vec<u8>> = (0..4).map(|seed| squashfs(seed, 64)).collect();
    let images: Vec<Image> =
        (0..).zip(&contents).map(|(n, bytes)| node.add_image(&id(n), bytes, 0, true)).collect();
    let agent = Agent::start(&node, "");
    agent.wait_until_converged(4, 120);
    let before = luns();
    let initiator = Initiator::login();
    let disks = images.iter().map(|image| initiator.disk(image));
    let reader = Reader::of(disks.zip(contents.clone()).collect());
    let read_anew = |since: Vec<usize>| reader.good().iter().zip(since).all(|(good, was)| *good > was);
    let wait_until_read = |what: &str, seconds: u64| {
        let since = reader.good();
        wait_for(what, Duration::from_secs(seconds), || read_anew(since.clone()).then_some(()));
    };
    wait_until_read("every disk is read", 60);

    mount::kill();
    wait_for("no disk can be read", Duration::from_secs(120), || {
        // What the target itself still has in memory would hide it for a while.
        std::fs::write("/proc/sys/vm/drop_caches", "3").unwrap();
        reader.failed().iter().all(|failed| *failed > 0).then_some(())
    });
    let passes = agent.passes();
    agent.reload();
    let blind = agent.wait_for_pass("a pass without the mount", 120, passes, |_| true);
    assert!(blind["unknown"].to_string().contains("mount:"), "{blind}");
    assert_eq!(luns(), before, "nothing is remade while there is nothing to make it from");

    mount::start();
    agent.reload();
    let remade = wait_for("every LUN is remade", Duration::from_secs(240), || {
        Some(agent.events_of("lun_remade")).filter(|remade| remade.len() >= 4)
    });
    wait_until_read("every disk is read again", 180);
    let passes = agent.passes();
    agent.reload();
    agent.wait_for_pass("converged", 120, passes, |pass| pass["result"] == "converged" && pass["live"] == 4);
    let after = luns();
    assert_eq!(seen(&after), seen(&before), "the same images under the same numbers");
    for (number, lun) in &after {
        assert_ne!(lun.inode, before[number].inode, "LUN {number} was remade");
    }
    let numbers: BTreeSet<String> = remade.iter().map(|event| event["lun"].to_string()).collect();
    assert_eq!((numbers.len(), agent.events_of("lun_remade").len()), (4, 4), "each once: {remade:?}");
    assert_eq!(reader.wrong(), 0, "no disk ever had other bytes");
}

#[test]
fn lio_h1_a_boot_without_the_mount_and_one_empty_list_forget_no_saved_number() {
    let node = Node::fresh();
    let image = squashfs(1, 64);
    let images: Vec<Image> = (0..4).map(|n| node.add_image(&id(n), &image, 0, true)).collect();
    // The numbers of the predecessor: no hash gives them.
    images.iter().for_each(project_as_the_predecessor);
    let before = luns();
    let agent = Agent::start(&node, "");
    agent.wait_until_converged(4, 120);
    assert_eq!(luns(), before);
    agent.stop();
    drop(agent);
    let saved = std::fs::read("/etc/rtslib-fb-target/saveconfig.json").unwrap();

    // A boot: target.service finds no file to restore a backstore from, and restores the target.
    run("systemctl", &["stop", "targetclid.service"]);
    mount::stop();
    clear_target();
    run("site", &["target"]);
    assert!(luns().is_empty() && Path::new("/sys/kernel/config/target/iscsi").join(IQN).is_dir());
    let records = node.ims.clear();
    let agent = Agent::start(&node, "");
    agent.wait_for_pass("a pass that sees nothing", 120, 0, |_| true);
    let seen_so_far = agent.passes();
    agent.wait_for_pass("another one", 120, seen_so_far, |_| true);
    assert_eq!(std::fs::read("/etc/rtslib-fb-target/saveconfig.json").unwrap(), saved, "not forgotten");

    // The mount first: what is listed is still nothing.
    mount::start();
    let seen_so_far = agent.passes();
    agent.reload();
    agent.wait_for_pass("a pass with the mount", 120, seen_so_far, |_| true);
    node.ims.restore(records);
    agent.reload();
    agent.wait_until_converged(4, 180);
    assert_eq!(seen(&luns()), seen(&before), "the same images under the numbers that were saved");
}
