//! How long a target takes to be filled, four ways: by the predecessor, by the agent with either engine, and by the bare
//! writes; what a look costs when S3 is far away, and a pass that changes nothing. Runs inside the throw-away VM
//! (`make bench`); prints Markdown and leaves it in /vm/results/bench.md, and the numbers in bench.json. `quick` is a short
//! form; with `tag-to-lun` only how long a tag takes to its LUN is measured.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod agent;
mod far;
mod latency;
mod limit;
mod predecessor;
mod report;
mod steady;

use report::{Point, Results, Run};
use support::node::{Execs, Image, Node, squashfs};

/// Images that the predecessor adds to a full target: one more, and again.
const SAMPLES: usize = 3;
/// Passes without a change that are measured, one after the other.
const STEADY: usize = 3;

/// What is measured.
struct Scale {
    /// Numbers of images, by the bare writes and by the agent that writes.
    sizes: &'static [usize],
    /// Up to this one by the others, too.
    told_up_to: usize,
    /// A pass without a change is measured at these.
    steady: &'static [usize],
    /// Objects of others in the bucket, at the one of these numbers.
    foreign: Option<(usize, usize)>,
    /// Images that are looked at with S3 far away.
    far: usize,
}

const FULL: Scale = Scale {
    sizes: &[25, 100, 200, 400, 800, 1000],
    told_up_to: 400,
    steady: &[100, 200, 400, 800],
    foreign: Some((400, 100_000)),
    far: 200,
};

const QUICK: Scale = Scale { sizes: &[10, 50], told_up_to: 10, steady: &[50], foreign: None, far: 20 };

fn main() {
    // `cargo bench` and `cargo test --benches` add flags of a harness that is not here.
    let arguments = std::env::args().skip(1).filter(|argument| !argument.starts_with("--"));
    let arguments: Vec<String> = arguments.collect();
    // One for all: a run that switched the tracepoint on again and again ended in a soft lockup of the guest, once, on a
    // busy host. Whether that was the cause was not found out.
    let execs = Execs::watch();
    match &arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [] => {
            all(&FULL, &execs);
            tag_to_lun(&execs);
        }
        ["quick"] => all(&QUICK, &execs),
        ["tag-to-lun"] => tag_to_lun(&execs),
        other => panic!("neither nothing, quick nor tag-to-lun: {other:?}"),
    }
}

fn all(scale: &Scale, execs: &Execs) {
    let content = squashfs(1, 64);
    let smallest = scale.sizes[0];
    println!("the predecessor: an empty target, {smallest} images");
    let (_, images) = site(smallest, 0, &content);
    let predecessor_fill: Vec<_> = images.iter().map(|image| predecessor::project(image, execs)).collect();

    let (mut points, mut passes) = (Vec::new(), Vec::new());
    for &size in scale.sizes {
        println!("the bare writes: an empty target, {size} images");
        let (_, images) = site(size, 0, &content);
        let limit = limit::project(&images);

        println!("the agent that writes: an empty target, {size} images");
        let (node, _) = site(size, 1, &content);
        let agent = agent::Bench::fill(&node, execs, "configfs");
        if scale.steady.contains(&size) {
            println!("passes without a change, at {size} images");
            passes.push(steady::measure(&agent, &node, execs, size, 0, STEADY));
        }
        if let Some((_, objects)) = scale.foreign.filter(|(at, _)| *at == size) {
            println!("passes without a change, at {size} images beside {objects} objects of others");
            steady::add_foreign(objects);
            passes.push(steady::measure(&agent, &node, execs, size, objects, STEADY));
        }
        let alone = agent.one_more(&node, &id(size));
        let direct = Run { fill: agent.filled(), alone };
        drop(agent);

        let mut point = Point { size, limit, direct, told: None, one_more: Vec::new() };
        if size <= scale.told_up_to {
            println!("the agent that tells targetclid: an empty target, {size} images");
            let (node, images) = site(size, SAMPLES + 1, &content);
            let agent = agent::Bench::fill(&node, execs, "targetclid");
            let alone = agent.one_more(&node, &id(size));
            point.told = Some(Run { fill: agent.filled(), alone });
            drop(agent);
            println!("the predecessor: one more image, at {size} images");
            point.one_more =
                images[size + 1..].iter().map(|image| predecessor::project(image, execs)).collect();
        }
        points.push(point);
    }
    let far = far::measure(scale.far, &content, execs);

    let results = Results { predecessor_fill, points, passes, far };
    let (text, numbers) = (results.to_string(), results.numbers().to_string());
    println!("\n{text}");
    std::fs::write("/vm/results/bench.md", text).expect("the results' folder");
    std::fs::write("/vm/results/bench.json", numbers).expect("the results' folder");
}

/// LUNs that are there before the first tag.
const LIVE: usize = 25;

fn tag_to_lun(execs: &Execs) {
    println!("from a tag to its LUN, beside {LIVE} LUNs");
    let content = squashfs(1, 64);
    let (node, images) = site(LIVE, 2 * latency::SAMPLES, &content);
    let agent = agent::Bench::fill(&node, execs, "targetclid");
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
