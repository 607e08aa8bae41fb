//! Inputs that nobody would write: recorded ones with bytes changed, cut out, doubled and mixed.

/// How many of each parser in an ordinary run; FUZZ_RUNS sets another number.
const RUNS: u64 = 20_000;

/// Feeds `parse` what comes of the seeds in `fuzz/seeds/TARGET`, recorded and nasty ones. The same inputs each time: a
/// panic comes back.
pub fn fuzz(target: &str, mut parse: impl FnMut(&[u8])) {
    let seeds = seeds(target);
    let corpus: Vec<&[u8]> = seeds.iter().map(Vec::as_slice).collect();
    let corpus = corpus.as_slice();
    let runs = std::env::var("FUZZ_RUNS").map_or(RUNS, |runs| runs.parse().expect("FUZZ_RUNS is a number"));
    let mut dice = Dice(0x9e37_79b9_7f4a_7c15);
    corpus.iter().for_each(|input| parse(input));
    for _ in 0..runs {
        let mut input = dice.one_of(corpus).to_vec();
        for _ in 0..=dice.below(4) {
            change(&mut input, corpus, &mut dice);
        }
        parse(&input);
    }
}

fn seeds(target: &str) -> Vec<Vec<u8>> {
    let folder = format!("{}/../../fuzz/seeds/{target}", env!("CARGO_MANIFEST_DIR"));
    let entries = std::fs::read_dir(&folder).unwrap_or_else(|error| panic!("{folder}: {error}"));
    let mut files: Vec<_> = entries.flatten().map(|entry| entry.path()).collect();
    files.sort();
    files.iter().map(|file| std::fs::read(file).expect("a seed")).collect()
}

fn change(input: &mut Vec<u8>, corpus: &[&[u8]], dice: &mut Dice) {
    let place = dice.below(input.len() + 1);
    let end = place + dice.below(input.len() + 1 - place);
    match dice.below(6) {
        0 => input.truncate(place),
        1 => drop(input.drain(place..end)),
        2 => input.insert(place, dice.byte()),
        3 if place < input.len() => input[place] = dice.byte(),
        4 => {
            let again = input[place..end.min(place + 64)].to_vec();
            drop(input.splice(place..place, again));
        }
        _ => {
            let other = dice.one_of(corpus);
            let from = dice.below(other.len() + 1);
            let to = from + dice.below((other.len() - from).min(64) + 1);
            drop(input.splice(place..place, other[from..to].iter().copied()));
        }
    }
}

/// Xorshift: its numbers need not be good, but the same.
struct Dice(u64);

impl Dice {
    fn roll(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, end: usize) -> usize {
        (self.roll() % end.max(1) as u64) as usize
    }

    /// What breaks parsers more often than others.
    fn byte(&mut self) -> u8 {
        let often = b"{}[]\",:\\0-9e.\n\0\xff/% ";
        match self.below(2) {
            0 => often[self.below(often.len())],
            _ => self.roll() as u8,
        }
    }

    fn one_of<'a>(&mut self, corpus: &[&'a [u8]]) -> &'a [u8] {
        corpus[self.below(corpus.len())]
    }
}
