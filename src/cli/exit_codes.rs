//! The one table of exit codes: the end of each `--help`, the manual pages, and a test of the README's table go by it.

use super::NOT_CONVERGED;

/// An exit code of a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// What the shell sees.
    pub code: u8,
    /// When it is given, in one line.
    pub meaning: &'static str,
}

/// Of every command, unless its row says more: clap gives it.
const MISUSE: Outcome = Outcome { code: 2, meaning: "the command line is wrong" };

/// The program itself, then each subcommand. What has no row knows [`MISUSE`] alone, and a test finds it.
#[rustfmt::skip] // a table
const OUTCOMES: &[(&str, &[(u8, &str)])] = &[
    ("sbps-marshal", &[(0, "done, and all is well"), (1, "an error, told on stderr, such as a wrong configuration; check: warnings"), (2, "the command line is wrong; check: something is not met"), (NOT_CONVERGED, "something is not as it should be, or workers differ")]),
    ("run", &[(0, "SIGTERM or SIGINT ended it; with --once, everything is as it should be"), (1, "it could not start, or cannot go on"), (NOT_CONVERGED, "with --once, something is not as it should be")]),
    ("plan", &[(0, "a plan was made, whatever it would change"), (1, "nothing can be planned")]),
    ("check", &[(0, "all is well"), (1, "there are warnings"), (2, "something is not met, or the command line is wrong")]),
    ("locate", &[(0, "the image was found"), (1, "there is no such image, several fit, or it cannot be given in this format")]),
    ("check-config", &[(0, "the configuration is good"), (1, "it is not: one line on stderr for each error")]),
    ("status", &[(0, "the status was shown"), (1, "there is nothing to show: neither the agent nor configfs could be read")]),
    ("resync", &[(0, "everything is as it should be"), (1, "no agent answers, or it broke off"), (NOT_CONVERGED, "something is not as it should be")]),
    ("history", &[(0, "the changes were shown, if there are any"), (1, "they cannot be read")]),
    ("compare", &[(0, "the workers agree"), (1, "a file cannot be compared"), (NOT_CONVERGED, "the workers differ")]),
    ("release", &[(0, "the session was given away, or taken back"), (1, "no agent answers, or it refuses")]),
    ("confirm-removal", &[(0, "the removals were confirmed, and the pass has ended"), (1, "no agent answers, the code is not held any more, or a source did not answer")]),
];

/// The exit codes of the program or of one subcommand, in order.
pub fn of(command: &str) -> Vec<Outcome> {
    let own = OUTCOMES.iter().filter(|(name, _)| *name == command).flat_map(|(_, rows)| *rows);
    let mut all: Vec<_> = own.map(|&(code, meaning)| Outcome { code, meaning }).collect();
    if all.iter().all(|outcome| outcome.code != MISUSE.code) {
        all.push(MISUSE);
    }
    all.sort_by_key(|outcome| outcome.code);
    all
}

/// The same as `--help` ends with.
pub(super) fn help(command: &str) -> String {
    let rows: Vec<_> = of(command).iter().map(|row| format!("  {}  {}", row.code, row.meaning)).collect();
    format!("Exit codes:\n{}", rows.join("\n"))
}

#[cfg(test)]
mod tests {
    use super::super::Cli;
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn every_command_has_a_row_and_every_row_is_the_end_of_its_help() {
        let program = Cli::command();
        let commands: Vec<_> = std::iter::once(&program).chain(program.get_subcommands()).collect();
        let names: Vec<_> = commands.iter().map(|command| command.get_name()).collect();
        let rows: Vec<_> = OUTCOMES.iter().map(|(name, _)| *name).collect();
        assert_eq!(rows, names);
        for command in commands {
            let told = command.get_after_long_help().map(ToString::to_string);
            assert_eq!(told.as_deref(), Some(&*help(command.get_name())));
        }
    }

    /// The table in README.md has rows such as `run --once`, and leaves out what all commands have in common.
    #[test]
    fn the_readme_gives_each_command_the_codes_of_its_row() {
        let readme = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/README.md")).unwrap();
        let (_, table) = readme.split_once("| command | what it does | exit code |").unwrap();
        let (table, _) = table.split_once("\n\n").unwrap();
        let rows = table.lines().filter(|row| row.contains("| `") || row.contains("| [`"));
        let told: Vec<(&str, Vec<u8>)> = rows
            .map(|row| {
                let command = row.split(['`', ' ']).find(|word| word.starts_with(char::is_alphabetic));
                let codes = row.trim_end_matches([' ', '|']).rsplit('|').next().unwrap();
                let codes = codes.split(|c: char| !c.is_ascii_digit()).filter_map(|word| word.parse().ok());
                (command.unwrap(), codes.collect())
            })
            .collect();
        for (command, rows) in &OUTCOMES[1..] {
            let mut told: Vec<u8> = told
                .iter()
                .filter(|(name, _)| name == command)
                .flat_map(|(_, codes)| codes.clone())
                .collect();
            told.sort();
            told.dedup();
            assert_eq!(told, rows.iter().map(|(code, _)| *code).collect::<Vec<_>>(), "{command}");
        }
    }
}
