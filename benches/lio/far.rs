//! A look with S3 far away: every answer of it comes 50 ms late.

use crate::Site;
use crate::agent::{Bench, Fill};
use support::node::{Execs, Node, run};

/// One way there and back.
const LATENCY: &str = "50ms";

/// The look at so many images, which are all new; by how they lie in the bucket.
pub struct Far {
    pub images: usize,
    pub near: Fill,
    pub rootfs: Fill,
    pub pe: Fill,
}

/// What S3 answers is late until this is dropped.
struct Late;

impl Late {
    fn begin() -> Self {
        let tc = |arguments: &str| drop(run("tc", &arguments.split(' ').collect::<Vec<_>>()));
        tc("qdisc add dev lo root handle 1: prio");
        tc(&format!("qdisc add dev lo parent 1:3 handle 30: netem limit 100000 delay {LATENCY}"));
        tc("filter add dev lo parent 1: protocol ip prio 1 u32 match ip sport 7070 0xffff flowid 1:3");
        Late
    }
}

impl Drop for Late {
    fn drop(&mut self) {
        let _ = std::process::Command::new("tc").args(["qdisc", "del", "dev", "lo", "root"]).output();
    }
}

/// The same images three times: near, far, and far in one folder.
pub fn measure(site: &mut Site, images: usize, execs: &Execs) -> Far {
    let look = |node: &Node| Bench::fill(node, execs, "configfs").filled();
    println!("a look at {images} images, S3 near");
    site.empty_with(images, 0);
    let near = look(&site.node);
    println!("a look at {images} images, S3 {LATENCY} away");
    site.empty_with(images, 0);
    let rootfs = {
        let _late = Late::begin();
        look(&site.node)
    };
    println!("a look at {images} PE images, S3 {LATENCY} away");
    site.empty_with(0, 0);
    (0..images).for_each(|n| drop(site.node.add_pe(&format!("PE/{n}.squashfs"), &site.content)));
    let _late = Late::begin();
    let pe = look(&site.node);
    Far { images, near, rootfs, pe }
}
