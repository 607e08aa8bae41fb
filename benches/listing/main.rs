//! What a bucket costs the agent that is full of other things: 200 images among very many foreign objects. Measured is the
//! real program, by the kernel's own account of its process; IMS and LIO are stand-ins, and nothing is mounted.
//! `make bench-listing`. Arguments: URLs of S3 servers that have a bucket `boot-images`, which is filled with 100,000 objects
//! if it is empty; before them, a paging server of this process lists 100,000 and 1,000,000. Prints Markdown.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod agent;
mod bucket;

use agent::Measured;
use bucket::{Paging, fill};
use std::time::Duration;
use tokio::runtime::Runtime;
use wiremock::MockServer;

/// Images that count.
pub const IMAGES: usize = 200;
/// Foreign objects in a bucket of a real server.
const IN_REAL: usize = 100_000;
/// Foreign objects that the paging server lists.
const LISTED: [usize; 2] = [100_000, 1_000_000];

fn main() {
    // `cargo bench` adds flags of a harness that is not here.
    let servers = std::env::args().skip(1).filter(|argument| !argument.starts_with("--"));
    let runtime = Runtime::new().expect("a runtime");
    println!(
        "| S3 server | foreign objects | pass | s | CPU s of the agent | pages | objects read | VmHWM MiB |"
    );
    println!("|:--|--:|:--|--:|--:|--:|--:|--:|");
    for foreign in LISTED {
        let server = runtime.block_on(MockServer::start());
        runtime.block_on(Paging::new(foreign).mount(&server));
        let passes = agent::measure(&runtime, &server.uri());
        // What the agent's log tells of is all that it has asked.
        let told: usize = passes.iter().map(|pass| pass.pages + pass.objects).sum();
        let asked = runtime.block_on(server.received_requests()).map(|requests| requests.len());
        assert_eq!(asked, Some(told));
        rows("paging stand-in", foreign, &passes);
    }
    for server in servers {
        runtime.block_on(fill(&server, IN_REAL));
        rows(&server, IN_REAL, &agent::measure(&runtime, &server));
    }
}

fn rows(server: &str, foreign: usize, passes: &[Measured]) {
    for (name, pass) in ["first", "second", "third"].iter().zip(passes) {
        let seconds = |time: Duration| time.as_secs_f64();
        println!(
            "| {server} | {foreign} | {name} | {:.1} | {:.2} | {} | {} | {:.1} |",
            seconds(pass.took),
            seconds(pass.cpu),
            pass.pages,
            pass.objects,
            pass.peak_kib as f64 / 1024.0
        );
    }
}

/// The images' ids, spread over the keys as random ones are.
pub fn id(n: usize) -> String {
    let spread = (n as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    format!("{:08x}-5392-41cf-b915-94f03a372d00", spread >> 32)
}
