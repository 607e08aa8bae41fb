//! A look with S3 far away: every answer of it comes 50 ms late.

use crate::agent;
use support::node::{Execs, Node, run};

/// One way there and back.
const LATENCY: &str = "50ms";

/// Seconds of the look at so many images, which are all new; by how they lie in the bucket.
pub struct Far {
    pub images: usize,
    pub near: f64,
    pub rootfs: f64,
    pub pe: f64,
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
pub fn measure(images: usize, content: &[u8], execs: &Execs) -> Far {
    let look = |node: &Node| agent::Bench::fill(node, execs, "configfs").filled().look;
    println!("a look at {images} images, S3 near");
    let (node, _) = crate::site(images, 0, content);
    let near = look(&node);
    println!("a look at {images} images, S3 {LATENCY} away");
    let (node, _) = crate::site(images, 0, content);
    let rootfs = {
        let _late = Late::begin();
        look(&node)
    };
    println!("a look at {images} PE images, S3 {LATENCY} away");
    let node = Node::fresh();
    (0..images).for_each(|n| drop(node.add_pe(&format!("PE/{n}.squashfs"), content)));
    let _late = Late::begin();
    let pe = look(&node);
    Far { images, near, rootfs, pe }
}
