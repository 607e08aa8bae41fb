//! The main job, told as it happens: `make demo` shows this test's output.

use std::path::Path;
use std::time::Instant;
use support::node::{Agent, Image, Initiator, Node, luns, sha256_of_tree, source_of, squashfs};
use support::spire::Spire;

const SPIFFE_ID: &str = "spiffe://shasta/ncn/workload/sbps-marshal";

struct Story(Instant);

impl Story {
    fn tell(&self, text: &str) {
        println!("[{:6.1} s] {text}", self.0.elapsed().as_secs_f32());
    }

    fn table(&self) {
        println!("\n    {:>5}  {:<15}  file", "LUN", "product");
        for (number, lun) in luns() {
            println!("    {number:>5}  {:<15}  {}", lun.name, lun.file);
        }
        println!();
    }
}

const PE: [&str; 4] = [
    "PE/CPE-base.x86_64-26.11.squashfs",
    "PE/CPE-amd.x86_64-26.11.squashfs",
    "PE/CPE-nvidia.x86_64-26.11.squashfs",
    "PE/CPE-base.aarch64-26.11.squashfs",
];

fn id(n: u32) -> String {
    format!("{n:08x}-5392-41cf-b915-94f03a372d00")
}

fn projected(image: &Image) -> bool {
    luns().values().any(|lun| lun.name == image.name && lun.wwn == image.wwn && lun.file == image.file)
}

#[test]
fn lio_tagged_images_become_read_only_luns_that_an_initiator_mounts() {
    let story = Story(Instant::now());
    story.tell("a fresh node: real LIO, targetclid, s3fs, S3 server, SPIRE and open-iscsi");
    let node = Node::fresh();
    let spire = Spire::start_in(Path::new("/run/vm"));
    spire.add_entry(SPIFFE_ID, "/usr/bin/sbps-marshal");
    node.ims.requires(spire.bundle());
    story.tell("real SPIRE: the agent's program has an entry; IMS answers only whom SPIRE's keys vouch for");

    let rootfs: Vec<Image> = (0..12)
        .map(|n| {
            // Every third one is uploaded in parts; one in two, which needs 5 MiB for the first.
            let (kib, parts) = match n {
                0 => (10 * 1024 + 64, 2),
                n if n % 3 == 0 => (64, 1),
                _ => (64, 0),
            };
            node.add_image(&id(n), &squashfs(n, kib), parts, n < 9)
        })
        .collect();
    let pe: Vec<Image> =
        PE.iter().zip(100..).map(|(key, seed)| node.add_pe(key, &squashfs(seed, 128))).collect();
    story.tell("seeded: 9 tagged and 3 untagged root file systems, plain and multipart; 4 PE images");

    let agent = Agent::start(&node, &format!("spire.agent_sock_path = {:?}", spire.socket()));
    story.tell("the agent runs under systemd");
    agent.wait_until_converged(13, 240);
    story.tell("converged: 13 LUNs");
    let (callers, _) = node.ims.take_callers();
    assert!(!callers.is_empty() && callers.iter().all(|caller| caller == SPIFFE_ID), "{callers:?}");
    story.tell(&format!("IMS verified {} tokens: each is of {SPIFFE_ID}", callers.len()));
    story.table();
    for image in rootfs[..9].iter().chain(&pe) {
        assert!(projected(image), "{image:?} is not projected");
    }
    assert!(luns().values().all(|lun| lun.model_alias), "initiators see each name as the product");
    assert!(!rootfs[9..].iter().any(projected), "an untagged image is projected");

    let initiator = Initiator::login();
    for (image, seed) in [(&rootfs[0], 0), (&rootfs[3], 3), (&rootfs[5], 5), (&pe[1], 101)] {
        let disk = initiator.disk(image);
        assert!(disk.is_read_only(), "{image:?} could be written to");
        assert!(disk.product().starts_with(&image.name), "product {}", disk.product());
        let (mounted, source) = (disk.sha256(), sha256_of_tree(&source_of(seed)));
        assert_eq!(mounted, source, "{image:?}");
        story.tell(&format!(
            "initiator: {} mounted read-only, SHA-256 {}... as its source",
            image.name,
            &mounted[..16]
        ));
    }

    let before = luns();
    node.ims.tag(&id(9), true);
    agent.reload();
    agent.wait_until_converged(14, 60);
    assert!(projected(&rootfs[9]));
    story.tell(&format!("tagged one more image, sent SIGHUP: {} is there", rootfs[9].name));
    initiator.rescan();
    let (mounted, source) = (initiator.disk(&rootfs[9]).sha256(), sha256_of_tree(&source_of(9)));
    assert_eq!(mounted, source);
    story.tell("initiator: found after a rescan, content as its source");

    node.ims.tag(&id(1), false);
    let seen = agent.passes();
    agent.wait_for_pass("the untagged image is gone", 90, seen, |pass| pass["removed"] == 1);
    assert!(!projected(&rootfs[1]));
    story.tell(&format!("untagged one: {} is gone, after a second look", rootfs[1].name));
    for (number, lun) in luns() {
        let was = before.get(&number);
        assert!(was == Some(&lun) || lun.name == rootfs[9].name, "LUN {number} was touched: {was:?} {lun:?}");
    }
    story.table();

    drop(initiator);
    agent.stop();
    story.tell("stopped with exit code 0; the LUNs stay");
    assert_eq!(luns().len(), 13);
}
