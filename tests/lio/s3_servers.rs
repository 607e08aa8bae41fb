//! What the agent needs of S3, from two servers of different makes, each behind the real s3fs.

use std::collections::{BTreeMap, BTreeSet};
use support::node::{
    Agent, Image, Initiator, Node, Server, luns, mount, sha256_of_tree, source_of, squashfs,
};

const IDS: [&str; 3] = [
    "00000001-6a1d-4c5e-9a52-d0a25b0c0e11",
    "00000002-6a1d-4c5e-9a52-d0a25b0c0e11",
    "00000003-6a1d-4c5e-9a52-d0a25b0c0e11",
];
const PE: &str = "PE/CPE-base.x86_64-26.11.squashfs";

/// More than a page of a listing holds, so that continuation tokens are the server's own.
fn more_than_a_page(server: Server) -> usize {
    match server {
        Server::Versitygw => 1100,
        Server::Radosgw => 90, // its configuration in the VM has pages of 20
    }
}

fn projected(image: &Image) -> bool {
    luns().values().any(|lun| lun.name == image.name && lun.wwn == image.wwn && lun.file == image.file)
}

/// Beside what is there for the agent, before and after the keys that count.
fn add_foreign_objects(node: &Node) {
    node.bucket.put_many((0..more_than_a_page(node.bucket.server())).map(|n| match n % 2 {
        0 => format!("0000-foreign/{n:05}"),
        _ => format!("zzzz-foreign/{n:05}"),
    }));
}

fn main_job(server: Server) {
    let node = Node::fresh_on(server);
    add_foreign_objects(&node);
    let plain = node.add_image(IDS[0], &squashfs(1, 64), 0, true);
    // S3 takes no part but the last with less than 5 MiB.
    let multipart = node.add_image(IDS[1], &squashfs(2, 10 * 1024 + 64), 2, true);
    let untagged = node.add_image(IDS[2], &squashfs(3, 64), 0, false);
    let pe = node.add_pe(PE, &squashfs(4, 64));
    let etag = node.bucket.etag(&format!("{}/rootfs", IDS[1]));
    assert!(etag.ends_with("-2"), "{server:?}: {etag}");

    let agent = Agent::start(&node, "");
    agent.wait_until_converged(3, 240);
    assert!(!projected(&untagged));
    let initiator = Initiator::login();
    for (image, seed) in [(&plain, 1), (&multipart, 2), (&pe, 4)] {
        assert!(projected(image), "{server:?}: {image:?}");
        let disk = initiator.disk(image);
        assert_eq!(disk.sha256(), sha256_of_tree(&source_of(seed)), "{server:?}: {image:?}");
    }

    // The bucket changes while it is listed, and nothing of it is ours.
    let before = luns();
    let seen = agent.passes();
    for round in 0..4 {
        agent.reload();
        (0..10).for_each(|n| node.bucket.delete(&format!("0000-foreign/{:05}", 2 * (10 * round + n))));
        node.bucket.put_many((0..10).map(|n| format!("0000-new/{round}-{n}")));
    }
    agent.wait_for_pass("two more passes", 240, seen + 1, |pass| pass["result"] == "converged");
    assert_eq!(luns(), before, "{server:?}");

    // Refused keys are no empty bucket, and good ones are used without a restart.
    let keys = "/run/other-keys";
    std::fs::write(keys, "vmtest:wrong\n").expect("a key file");
    Agent::configure(&node, &format!("s3.credential_file = {keys:?}"));
    let seen = agent.passes();
    agent.reload();
    let denied = agent.wait_for_pass("a pass without S3", 120, seen, |pass| pass["result"] != "converged");
    assert!(denied["unknown"].to_string().contains("s3:denied"), "{server:?}: {denied}");
    assert_eq!(luns(), before, "{server:?}");
    std::fs::write(keys, "vmtest:wrong\nvmtest:vmtest-secret\n").expect("a key file");
    let seen = agent.passes();
    agent.wait_for_pass("S3 is back", 120, seen, |pass| pass["result"] == "converged");

    node.ims.tag(IDS[0], false);
    let seen = agent.passes();
    agent.wait_for_pass("the untagged image is gone", 120, seen, |pass| pass["removed"] == 1);
    assert!(!projected(&plain) && projected(&multipart) && projected(&pe));
    agent.stop();
    let by_s3fs = |line: &String| line.contains("s3fs/");
    assert!(node.bucket.access_log(0).iter().any(by_s3fs), "{server:?} logs what s3fs asks");
    assert_eq!(node.bucket.written_by_s3fs(), [""; 0], "{server:?}");
}

#[test]
fn lio_the_main_job_on_versitygw_with_pages_churn_and_refused_keys() {
    main_job(Server::Versitygw);
}

#[test]
fn lio_the_main_job_on_cephs_radosgw_with_pages_churn_and_refused_keys() {
    main_job(Server::Radosgw);
}

/// What a targetcli command may hold (R9).
fn is_harmless(c: char) -> bool {
    c.is_ascii_alphanumeric() || "_./:+@~-".contains(c)
}

/// Those that the server refuses, or stores as another key than it was given.
fn refused(server: Server) -> &'static [char] {
    match server {
        Server::Versitygw => &[],
        Server::Radosgw => &[],
    }
}

/// Each one in the middle of an otherwise good PE key.
fn key_of(c: char) -> String {
    format!("PE/a{c}z.squashfs")
}

fn each_character(server: Server) {
    let node = Node::fresh_on(server);
    // For each new backstore targetclid asks for the file of every other one.
    let _default_cache = mount::Remounted::before(server, "");
    let image = squashfs(1, 64);
    let (mut stored, mut lost) = (Vec::new(), Vec::new());
    for c in ' '..='~' {
        match node.bucket.try_put(&key_of(c), &image) {
            Ok(_) if node.bucket.get(&key_of(c)).is_some_and(|bytes| bytes == image) => stored.push(c),
            _ => lost.push(c),
        }
    }
    assert_eq!(lost, refused(server), "{server:?}");
    let harmless: BTreeMap<char, Image> =
        stored.iter().filter(|c| is_harmless(**c)).map(|c| (*c, Image::of_pe(&key_of(*c)))).collect();

    let agent = Agent::start(&node, "");
    agent.wait_until_converged(harmless.len(), 600);
    for (c, image) in &harmless {
        assert!(projected(image), "{server:?}: {c:?}");
    }
    // Not from the log, which names at most 20 of a kind.
    let plan = Agent::command(&["plan", "--json"]);
    let plan: serde_json::Value = serde_json::from_slice(&plan.stdout).expect("a plan");
    let text = |entry: &serde_json::Value, key: &str| entry[key].as_str().unwrap_or_default().to_owned();
    let pending = plan["pending"].as_array().expect("what is pending").iter();
    let told: BTreeSet<_> = pending.map(|entry| (text(entry, "image_id"), text(entry, "reason"))).collect();
    let rejected = stored.iter().filter(|c| !is_harmless(**c));
    let rejected: BTreeSet<_> = rejected.map(|c| (key_of(*c), "key_rejected".to_owned())).collect();
    assert_eq!(told, rejected, "{server:?}");
    assert_eq!(agent.events_of("image_pending").len(), rejected.len().min(20), "{server:?}");
    agent.stop();
}

#[test]
fn lio_r9_each_printable_character_in_a_key_on_versitygw_is_projected_or_rejected_by_name() {
    each_character(Server::Versitygw);
}

#[test]
fn lio_r9_each_printable_character_in_a_key_on_cephs_radosgw_is_projected_or_rejected_by_name() {
    each_character(Server::Radosgw);
}
