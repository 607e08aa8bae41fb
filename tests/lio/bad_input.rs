//! Bad input, all of it at once on one real node: each has its named event, and harms nothing else.

use serde_json::{Value, json};
use support::node::{Agent, Image, Node, luns, manifest, squashfs};

const BUCKET: &str = "s3://boot-images";

/// Adds a tagged image whose manifest is these bytes.
fn image_with_manifest(node: &Node, id: &str, bytes: &[u8]) {
    node.bucket.put(&format!("{id}/manifest.json"), bytes);
    node.ims.add(id, true);
}

fn reasons(agent: &Agent) -> Vec<(String, String)> {
    let text = |event: &Value, field: &str| event[field].as_str().unwrap_or_default().to_owned();
    let pending = agent.events_of("image_pending");
    pending.iter().map(|event| (text(event, "image_id"), text(event, "reason"))).collect()
}

#[test]
fn lio_bad_input_gets_a_named_event_and_harms_nothing_else() {
    let node = Node::fresh();
    let good = squashfs(1, 64);
    let mut expected: Vec<(String, &str)> = Vec::new();

    // Keys that targetclid must never hear (R9), of files that are perfectly good.
    let long = format!("PE/{}/{}/{}", "k".repeat(250), "l".repeat(250), "m".repeat(519 - 250));
    let longest = format!("{long}/{}", "n".repeat(1024 - long.len() - 1));
    assert_eq!(longest.chars().count(), 1024);
    for key in ["PE/a b.squashfs", "PE/a%b.squashfs", "PE/a\"b.squashfs", "PE/\u{e9}.squashfs", &longest] {
        if node.bucket.try_put(key, &good).is_err() {
            println!("the S3 server itself refuses {key:?}");
            continue;
        }
        expected.push((key.to_owned(), "key_rejected"));
    }
    // This S3 server refuses a key that leaves the bucket and stores any other `..` resolved, so that the bucket never
    // lists one. What the inside does with a listed one is r8 in actors/; here it comes through a manifest, below.
    assert!(node.bucket.try_put("PE/../../etc/shadow", &good).is_err());
    node.bucket.put("PE/../resolved.squashfs", &good);
    node.bucket.put_symlink("PE/link.squashfs", "/etc/shadow");
    expected.push(("PE/link.squashfs".into(), "file_escapes"));
    node.bucket.put("PE/empty.squashfs", b"");
    expected.push(("PE/empty.squashfs".into(), "file_empty"));
    node.bucket.put("PE/odd.squashfs", &[b'h'; 1001]);
    expected.push(("PE/odd.squashfs".into(), "odd_size"));
    node.bucket.put("PE/text.squashfs", &[b'x'; 4096]);
    expected.push(("PE/text.squashfs".into(), "not_squashfs"));

    let etag = node.bucket.put("good/rootfs", &good);
    let (path, artifact) =
        (format!("{BUCKET}/good/rootfs"), manifest(&format!("{BUCKET}/good/rootfs"), &etag));
    let two = json!({"version": "1.0", "artifacts": [artifact["artifacts"][0], artifact["artifacts"][0]]});
    let mut no_etag = manifest(&path, "");
    no_etag["artifacts"][0]["link"].as_object_mut().unwrap().remove("etag");
    for (id, bytes, reason) in [
        ("not-json", "{ this is not JSON".into(), "manifest_not_json"),
        ("no-artifacts", json!({"version": "1.0"}).to_string(), "manifest_no_artifacts"),
        ("two-rootfs", two.to_string(), "manifest_many_rootfs"),
        ("no-etag", no_etag.to_string(), "manifest_no_etag"),
        ("elsewhere", manifest("s3://secrets/x/rootfs", &etag).to_string(), "manifest_link_elsewhere"),
        ("escape", manifest(&format!("{BUCKET}/../../etc/shadow"), &etag).to_string(), "key_escapes"),
        ("other-etag", manifest(&path, "00000000000000000000000000000000").to_string(), "etag_differs"),
    ] {
        image_with_manifest(&node, id, bytes.as_bytes());
        expected.push((id.into(), reason));
    }
    image_with_manifest(&node, "too-large", &vec![b' '; (1 << 20) + 1]);
    expected.push(("too-large".into(), "manifest_too_large"));
    node.ims.add("no-manifest", true);
    expected.push(("no-manifest".into(), "manifest_missing"));
    node.ims.add_record(json!({"id": "no-link", "link": null, "metadata": {"sbps-project": "true"}}));
    expected.push(("no-link".into(), "no_link"));
    let misplaced = json!({"key": "sbps-project", "value": "true"});
    node.ims.add_record(json!({"id": "misplaced", "link": null, "metadata": misplaced}));
    expected.push(("misplaced".into(), "tag_misplaced"));

    // And what is good.
    let fine: Vec<Image> = vec![
        node.add_image("00000000-0000-4000-8000-000000000000", &good, 0, true),
        node.add_pe("PE/CPE-base.x86_64-26.11.squashfs", &good),
    ];

    let agent = Agent::start(&node, "");
    agent.wait_until_converged(2, 180);
    let live = luns();
    for image in &fine {
        assert!(live.values().any(|lun| lun.wwn == image.wwn), "{image:?} is not projected");
    }
    assert_eq!(live.len(), 2, "only what is good is projected: {live:?}");
    let told = reasons(&agent);
    for (label, reason) in &expected {
        let found: Vec<&str> =
            told.iter().filter(|(image, _)| image == label).map(|(_, reason)| reason.as_str()).collect();
        assert!(found == [*reason], "{label:?}: expected {reason}, told {found:?}");
    }
    assert_eq!(told.len(), expected.len(), "told once each, and nothing else: {told:?}");

    // Told once: the next pass is silent about what has not changed.
    let seen = agent.passes();
    agent.reload();
    agent.wait_for_pass("one more pass", 60, seen, |_| true);
    assert_eq!(reasons(&agent).len(), told.len());
}
