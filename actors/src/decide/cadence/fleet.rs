//! What 50 agents ask of IMS, with the defaults, on a clock of its own: docs/architecture.md has these figures.

use super::{Cadence, first_poll, next_delay};
use crate::decide::status::Summary;
use std::time::Duration;

const AGENTS: usize = 50;
const CADENCE: Cadence = Cadence { scan: Duration::from_secs(180), tags: Duration::from_secs(15) };
/// All of them fail together here: each was to begin a pass at this very moment.
const DOWN: f64 = 1800.0;
const UP: f64 = DOWN + 3600.0;
const END: f64 = UP + 1800.0;
/// Requests are counted in each window of so many seconds.
const WINDOW: f64 = 10.0;

/// Xorshift: the same lots each time.
struct Lots(u64);

impl Lots {
    fn draw(&mut self) -> u32 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 32) as u32
    }
}

/// When one agent asks IMS. It started with all others, and a tag changes while IMS is down.
fn requests(lots: &mut Lots) -> Vec<f64> {
    let is_down = |time: f64| (DOWN..UP).contains(&time);
    let (mut asked, mut failures, mut has_seen_the_tag) = (Vec::new(), 0, false);
    let mut poll = first_poll(&CADENCE, lots.draw()).as_secs_f64();
    let mut pass = 0.0;
    while poll < END {
        if poll < pass {
            asked.push(poll);
            // A changed tag starts a pass at once; a poll that fails starts none.
            if poll >= UP && !std::mem::replace(&mut has_seen_the_tag, true) {
                pass = poll;
            }
            poll += CADENCE.tags.as_secs_f64();
        } else {
            asked.push(pass);
            failures = if is_down(pass) { failures + 1 } else { 0 };
            has_seen_the_tag |= pass >= UP;
            let delay = next_delay(&Summary::default(), failures, &CADENCE, Duration::MAX, lots.draw());
            // The last pass before is the one that all begin together.
            pass += delay.as_secs_f64();
        }
    }
    asked
}

/// The most requests a second of all agents in any window that begins in this time.
fn worst(requests: &[f64], from: f64, to: f64) -> f64 {
    let begins = requests.iter().filter(|time| (from..to).contains(*time));
    let within = |begin: f64| requests.iter().filter(|time| (begin..begin + WINDOW).contains(*time)).count();
    begins.map(|begin| within(*begin)).max().unwrap_or_default() as f64 / WINDOW
}

#[test]
fn what_the_documentation_says_of_a_fleet_is_what_comes_of_these_delays() {
    let mut lots = Lots(0x9e37_79b9_7f4a_7c15);
    let all: Vec<f64> = (0..AGENTS).flat_map(|_| requests(&mut lots)).collect();
    let page = include_str!("../../../../docs/architecture.md");
    for (phase, from, to) in [
        ("| is well, all agents started at one moment |", 0.0, DOWN - WINDOW),
        ("| is down, in the first minute |", DOWN, DOWN + 60.0),
        ("| is down, from the sixth minute on |", DOWN + 300.0, UP - WINDOW),
        ("| is back, and a tag has changed meanwhile |", UP - WINDOW, END - WINDOW),
    ] {
        let row =
            page.lines().find(|line| line.starts_with(phase)).unwrap_or_else(|| panic!("no row {phase}"));
        let (worst, cells) = (worst(&all, from, to), row.split('|').collect::<Vec<_>>());
        assert_eq!(cells[3].trim(), format!("{worst:.1}"), "{phase}");
    }
    let (well, back) = (worst(&all, 0.0, DOWN - WINDOW), worst(&all, UP - WINDOW, END - WINDOW));
    assert!(back <= well, "an outage is followed by no more than a common start is");
}
