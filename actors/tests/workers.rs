//! R5 over several workers: how often their numbers differ. The README states what this measures;
//! `WORKER_RUNS=10000 cargo test --release -p actors --test workers -- --nocapture` prints it for as many runs.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use actors::decide::plan::numbers::allocate;
use actors::model::{Identity, ObjectKey};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

/// The default range.
const RANGE: std::ops::RangeInclusive<u16> = 1..=16383;

/// Runs of an ordinary test.
const RUNS: u32 = 200;

/// Percent of 10,000 runs that end with a difference, by images: tagged as uploaded, one pair in twenty not, in any order.
const STATED: [(usize, [f64; 3]); 3] =
    [(75, [1.5, 1.9, 6.6]), (400, [35.8, 45.4, 86.9]), (1000, [94.7, 98.1, 100.0])];

/// By so many percent the few runs of an ordinary test may miss that: three standard deviations.
const FEW_RUNS_MISS: f64 = 11.0;

/// One image: who it is, when it was uploaded, and when it is tagged.
#[derive(Clone)]
struct Image {
    identity: Identity,
    uploaded: u64,
    tagged: f64,
    /// It is untagged again before the last worker is rebuilt.
    goes: bool,
}

/// How images come.
#[derive(Clone, Copy, PartialEq)]
enum Order {
    /// Tagged as they are uploaded.
    Uploaded,
    /// One pair in twenty is tagged in another order than uploaded.
    OnePairInTwenty,
    /// Tagged in any order.
    Shuffled,
}

impl fmt::Display for Order {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Order::Uploaded => "as uploaded",
            Order::OnePairInTwenty => "one pair in twenty is not",
            Order::Shuffled => "any order",
        })
    }
}

/// SplitMix64: the same runs each time.
struct Dice(u64);

impl Dice {
    fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn fraction(&mut self) -> f64 {
        (self.roll() >> 11) as f64 / (1_u64 << 53) as f64
    }

    fn below(&mut self, end: usize) -> usize {
        (self.fraction() * end as f64) as usize
    }
}

/// So many images, of which one in ten goes again.
fn images(count: usize, order: Order, dice: &mut Dice) -> Vec<Image> {
    let image = |n: usize| {
        let identity = Identity::of_pe("b", &ObjectKey::new(format!("PE/{}", dice.roll())));
        let uploaded = n as f64 / count as f64;
        let tagged = match order {
            Order::Uploaded => uploaded,
            // Of two images at random places, the probability to be the other way round is a third of the spread.
            Order::OnePairInTwenty => uploaded + 0.15 * dice.fraction(),
            Order::Shuffled => dice.fraction(),
        };
        Image { identity, uploaded: n as u64, tagged, goes: dice.below(10) == 0 }
    };
    let mut images: Vec<Image> = (0..count).map(image).collect();
    images.sort_by(|a, b| a.tagged.total_cmp(&b.tagged));
    images
}

/// What one worker has given; nothing that was freed is given again (the quarantine is longer than a run).
#[derive(Default)]
struct Worker {
    numbers: BTreeMap<Identity, u16>,
    taken: BTreeSet<u16>,
}

impl Worker {
    /// One pass sees these images, in whatever order the sources list them.
    fn sees(&mut self, batch: &[Image]) {
        let mut batch: Vec<&Image> = batch.iter().collect();
        batch.sort_by_key(|image| (image.uploaded, &image.identity));
        let given = allocate(batch.into_iter().map(|image| &image.identity), &self.taken, RANGE);
        for (identity, number) in given {
            let number = number.unwrap();
            self.taken.insert(number);
            self.numbers.insert(identity, number);
        }
    }

    /// It sees all of these, from pass to pass as they are tagged: up to so many between two.
    fn follows(&mut self, mut images: &[Image], most: usize, dice: &mut Dice) {
        while !images.is_empty() {
            let (batch, rest) = images.split_at((1 + dice.below(most)).min(images.len()));
            self.sees(batch);
            images = rest;
        }
    }

    fn forgets(&mut self, image: &Image) {
        self.numbers.remove(&image.identity);
    }
}

/// Three workers at the end of one run: two that were there from the beginning, and one that is rebuilt twice from
/// nothing, once in the middle and once near the end, with more images after it. Gives how many LUNs differ.
fn run(count: usize, order: Order, dice: &mut Dice) -> usize {
    let images = images(count, order, dice);
    let (most, late) = ((count / 25).max(1), count - count / 10);
    let mut workers = [Worker::default(), Worker::default(), Worker::default()];
    for worker in &mut workers[..2] {
        worker.follows(&images[..late], most, dice);
        images[..late].iter().filter(|image| image.goes).for_each(|image| worker.forgets(image));
    }
    let stays: Vec<Image> = images[..late].iter().filter(|image| !image.goes).cloned().collect();
    workers[2].sees(&images[..count / 2]);
    workers[2] = Worker::default();
    workers[2].sees(&stays);
    for worker in &mut workers {
        worker.follows(&images[late..], most, dice);
    }
    let [first, second, rebuilt] = &workers;
    let differs = |(identity, number): &(&Identity, &u16)| {
        [second, rebuilt].iter().any(|other| other.numbers[*identity] != **number)
    };
    first.numbers.iter().filter(differs).count()
}

/// How many of so many runs end with workers that differ, and of how many LUNs in the mean.
fn measure(count: usize, order: Order, runs: u32) -> (f64, f64) {
    let mut dice = Dice(count as u64);
    let differing: Vec<usize> = (0..runs).map(|_| run(count, order, &mut dice)).collect();
    let share = differing.iter().filter(|luns| **luns > 0).count() as f64 / f64::from(runs);
    (100.0 * share, differing.iter().sum::<usize>() as f64 / f64::from(runs))
}

#[test]
fn r5_how_often_three_workers_differ_is_what_the_readme_says() {
    let runs = option_env!("WORKER_RUNS").map_or(RUNS, |runs| runs.parse().expect("WORKER_RUNS is a number"));
    println!("| images | tagged | runs that end with a difference | LUNs that differ, in the mean |");
    for (count, shares) in STATED {
        let row = format!("| {count} | {:.1} %, ", shares[0]);
        assert!(include_str!("../../README.md").contains(&row), "the README says something else than {row}");
        for (order, stated) in
            [Order::Uploaded, Order::OnePairInTwenty, Order::Shuffled].into_iter().zip(shares)
        {
            let (share, luns) = measure(count, order, runs);
            println!("| {count} | {order} | {share:.1} % | {luns:.2} |");
            assert!((share - stated).abs() < FEW_RUNS_MISS, "{count} {order}: {share} %, stated {stated} %");
        }
    }
}

#[test]
fn r5_workers_that_see_the_images_in_the_order_of_their_upload_differ_only_where_one_has_gone() {
    let mut dice = Dice(1);
    for _ in 0..RUNS {
        let mut images = images(400, Order::Uploaded, &mut dice);
        images.iter_mut().for_each(|image| image.goes = false);
        let (mut followed, mut rebuilt) = (Worker::default(), Worker::default());
        followed.follows(&images, 16, &mut dice);
        rebuilt.sees(&images);
        assert_eq!(followed.numbers, rebuilt.numbers);
    }
}
