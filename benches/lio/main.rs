//! How long the predecessor and this agent take to fill an empty target, and what a pass costs that changes nothing.
//! Runs inside the throw-away VM (`make bench`); prints Markdown and leaves it in /vm/results/bench.md.
//! The arguments are the numbers of images; without any, 25 100 200. With `tag-to-lun` only how long a tag takes to its LUN
//! is measured.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod agent;
mod latency;
mod predecessor;
mod report;
mod steady;

use report::{Point, Results};
use support::node::{Execs, Image, Node, squashfs};

/// Images that the predecessor adds to a full target: one more, and again.
const SAMPLES: usize = 3;
/// Passes without a change that are measured, one after the other.
const STEADY: usize = 3;

fn main() {
    // `cargo bench` and `cargo test --benches` add flags of a harness that is not here.
    let arguments = std::env::args().skip(1).filter(|argument| !argument.starts_with("--"));
    let arguments: Vec<String> = arguments.collect();
    // One for all: a run that switched the tracepoint on again and again ended in a soft lockup of the guest, once, on a
    // busy host. Whether that was the cause was not found out.
    let execs = Execs::watch();
    if arguments == ["tag-to-lun"] {
        return tag_to_lun(&execs);
    }
    let mut sizes: Vec<usize> = arguments.iter().map(|n| n.parse().expect("a number of images")).collect();
    if sizes.is_empty() {
        sizes = vec![25, 100, 200];
    }
    let content = squashfs(1, 64);
    let largest = *sizes.last().expect("a number of images");

    let smallest = sizes[0];
    println!("the predecessor: an empty target, {smallest} images");
    let (_, images) = site(smallest, 0, &content);
    let predecessor_fill: Vec<_> = images.iter().map(|image| predecessor::project(image, &execs)).collect();

    let mut points = Vec::new();
    let mut steady = Vec::new();
    let mut by_timer = Vec::new();
    let mut memory = Vec::new();
    for &size in &sizes {
        println!("the agent: an empty target, {size} images");
        let (node, images) = site(size, SAMPLES + 1, &content);
        let agent = agent::Bench::fill(&node, &execs);
        let fill = agent.filled();
        assert_eq!(fill.created_ms.len(), size, "one event for each LUN");
        if size == largest {
            println!("passes without a change, at {size} images");
            steady = (0..STEADY).map(|_| steady::pass(&agent, &node, &execs)).collect();
            by_timer = steady::by_timer(&agent, STEADY);
            memory = steady::memory(&agent);
        }
        println!("one more image, at {size} images");
        let alone = agent.one_more(&node, &id(size));
        drop(agent);
        let one_more = images[size + 1..].iter().map(|image| predecessor::project(image, &execs)).collect();
        points.push(Point { size, fill, alone, one_more });
    }

    let text = Results { predecessor_fill, points, steady, by_timer, memory }.to_string();
    println!("\n{text}");
    std::fs::write("/vm/results/bench.md", text).expect("the results' folder");
    tag_to_lun(&execs);
}

/// LUNs that are there before the first tag.
const LIVE: usize = 25;

fn tag_to_lun(execs: &Execs) {
    println!("from a tag to its LUN, beside {LIVE} LUNs");
    let content = squashfs(1, 64);
    let (node, images) = site(LIVE, 2 * latency::SAMPLES, &content);
    let agent = agent::Bench::fill(&node, execs);
    let late: Vec<(String, Image)> =
        images.into_iter().enumerate().skip(LIVE).map(|(n, image)| (id(n), image)).collect();
    let text = latency::measure(&agent, &node, LIVE, &late).to_string();
    println!("\n{text}");
    std::fs::write("/vm/results/tag-to-lun.md", text).expect("the results' folder");
}

/// An empty target, so many tagged images, and some more that are not.
fn site(tagged: usize, untagged: usize, content: &[u8]) -> (Node, Vec<Image>) {
    let node = Node::fresh();
    let add = |n| node.add_image(&id(n), content, 0, n < tagged);
    let images = (0..tagged + untagged).map(add).collect();
    (node, images)
}

fn id(n: usize) -> String {
    format!("{n:08x}-5392-41cf-b915-94f03a372d00")
}
