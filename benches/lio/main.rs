//! How long a target takes to be filled, four ways: by the predecessor, by the agent with either engine, and by the bare
//! writes; what a look costs when S3 is far away, and a pass that changes nothing. Runs inside the throw-away VM
//! (`make bench`); prints Markdown and leaves it in /vm/results/bench.md, and the numbers in bench.json. `quick` is a short
//! form; with `tag-to-lun` only how long a tag takes to its LUN is measured, with `steady` only passes that change nothing.
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

const QUICK: Scale = Scale { sizes: &[5, 25], told_up_to: 5, steady: &[25], foreign: None, far: 10 };

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
        ["steady"] => steady_passes(&execs),
        other => panic!("neither nothing, quick, steady nor tag-to-lun: {other:?}"),
    }
}

fn all(scale: &Scale, execs: &Execs) {
    let mut site = Site::new();
    let smallest = scale.sizes[0];
    println!("the predecessor: an empty target, {smallest} images");
    let images = site.empty_with(smallest, 0);
    let predecessor_fill: Vec<_> = images.iter().map(|image| predecessor::project(image, execs)).collect();

    let mut results = Results { predecessor_fill, points: Vec::new(), passes: Vec::new(), far: None };
    for &size in scale.sizes {
        println!("the bare writes: an empty target, {size} images");
        let limit = limit::project(site.empty_with(size, 0));
        println!("  {limit:.1} s");

        println!("the agent that writes: an empty target, {size} images");
        site.empty_with(size, agent::ALONE);
        let node = &site.node;
        let agent = agent::Bench::fill(node, execs, "configfs");
        if scale.steady.contains(&size) {
            println!("passes without a change, at {size} images");
            results.passes.push(steady::measure(&agent, node, execs, size, 0, STEADY));
        }
        if let Some((_, objects)) = scale.foreign.filter(|(at, _)| *at == size) {
            results.passes.push(steady_beside(objects, &agent, node, execs, size));
        }
        let alone = agent.one_more(node, [&id(size), &id(size + 1)]);
        let direct = Run { fill: agent.filled(), alone };
        drop(agent);

        let mut point = Point { size, limit, direct, told: None, one_more: Vec::new() };
        if size <= scale.told_up_to {
            println!("the agent that tells targetclid: an empty target, {size} images");
            site.empty_with(size, agent::ALONE + SAMPLES);
            let agent = agent::Bench::fill(&site.node, execs, "targetclid");
            let alone = agent.one_more(&site.node, [&id(size), &id(size + 1)]);
            point.told = Some(Run { fill: agent.filled(), alone });
            drop(agent);
            println!("the predecessor: one more image, at {size} images");
            let more = &site.images[size + agent::ALONE..][..SAMPLES];
            point.one_more = more.iter().map(|image| predecessor::project(image, execs)).collect();
        }
        results.points.push(point);
        // Should the next one fail, this much is there.
        keep(&results);
    }
    results.far = Some(far::measure(&mut site, scale.far, execs));
    keep(&results);
    println!("\n{results}");
}

/// Beside so many objects of others, which are gone afterwards.
fn steady_beside(
    objects: usize,
    agent: &agent::Bench,
    node: &Node,
    execs: &Execs,
    images: usize,
) -> steady::Steady {
    println!("passes without a change, at {images} images beside {objects} objects of others");
    steady::add_foreign(objects);
    let passes = steady::measure(agent, node, execs, images, objects, STEADY);
    steady::remove_foreign();
    passes
}

/// At the number of images beside which there are objects of others.
fn steady_passes(execs: &Execs) {
    let (images, objects) = FULL.foreign.expect("the whole run has them");
    println!("passes without a change, at {images} images");
    let mut site = Site::new();
    site.empty_with(images, 0);
    let node = &site.node;
    let agent = agent::Bench::fill(node, execs, "configfs");
    let alone = steady::measure(&agent, node, execs, images, 0, STEADY);
    let beside = steady_beside(objects, &agent, node, execs, images);
    let text = report::Passes(vec![alone, beside]).to_string();
    println!("\n{text}");
    std::fs::write("/vm/results/steady.md", text).expect("the results' folder");
}

fn keep(results: &Results) {
    std::fs::write("/vm/results/bench.md", results.to_string()).expect("the results' folder");
    std::fs::write("/vm/results/bench.json", results.numbers().to_string()).expect("the results' folder");
}

/// LUNs that are there before the first tag.
const LIVE: usize = 25;

fn tag_to_lun(execs: &Execs) {
    println!("from a tag to its LUN, beside {LIVE} LUNs");
    let mut site = Site::new();
    site.empty_with(LIVE, 2 * latency::SAMPLES);
    let Site { node, images, .. } = &site;
    let agent = agent::Bench::fill(node, execs, "targetclid");
    let late = images.iter().cloned().enumerate().skip(LIVE);
    let late: Vec<(String, Image)> = late.map(|(n, image)| (id(n), image)).collect();
    let text = latency::measure(&agent, node, LIVE, &late).to_string();
    println!("\n{text}");
    std::fs::write("/vm/results/tag-to-lun.md", text).expect("the results' folder");
}

/// A site whose bucket only grows: uploads are most of what a run would take otherwise.
struct Site {
    node: Node,
    images: Vec<Image>,
    content: Vec<u8>,
}

impl Site {
    fn new() -> Self {
        Site { node: Node::fresh(), images: Vec::new(), content: squashfs(1, 64) }
    }

    /// An empty target, so many tagged images, and at least so many more that are not. The tagged ones.
    fn empty_with(&mut self, tagged: usize, untagged: usize) -> &[Image] {
        self.node.empty();
        for n in self.images.len()..tagged + untagged {
            self.images.push(self.node.add_image(&id(n), &self.content, 0, false));
        }
        (0..self.images.len()).for_each(|n| self.node.ims.tag(&id(n), n < tagged));
        &self.images[..tagged]
    }
}

fn id(n: usize) -> String {
    format!("{n:08x}-5392-41cf-b915-94f03a372d00")
}
