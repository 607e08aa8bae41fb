//! `manuals OUTDIR` writes the manual pages and the shell completions of sbps-marshal below OUTDIR, in the layout of an
//! installation: `share/man/man8`, `share/bash-completion/completions` and so on. They are made of the agent's own command
//! line, exit codes and keys. With SOURCE_DATE_EPOCH the pages carry its day, else none: the same sources give the same bytes.

mod commands;
mod configuration;
mod guide;
mod page;

use clap::{Command, CommandFactory};
use clap_complete::Shell;
use page::Edition;
use sbps_marshal::cli::Cli;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::{env, fs, io};
use time::OffsetDateTime;

/// The program that all of this is about.
const PROGRAM: &str = "sbps-marshal";

/// As man(7) wants an empty argument: the library leaves out one that is an empty string, and the next takes its place
/// (facts C6.2).
const NO_DATE: &str = "\"\"";

/// Why there are no manuals.
#[derive(Debug, thiserror::Error)]
enum ManualsError {
    #[error("SOURCE_DATE_EPOCH is {0:?}: it should be seconds since 1970")]
    Epoch(OsString),
    #[error("{} cannot be written: {source}", path.display())]
    Write { path: PathBuf, source: io::Error },
}

fn main() -> ExitCode {
    let Some(folder) = env::args_os().nth(1) else {
        eprintln!("usage: manuals OUTDIR");
        return ExitCode::from(2);
    };
    match write_all(Path::new(&folder)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("manuals: {error}");
            ExitCode::FAILURE
        }
    }
}

fn write_all(folder: &Path) -> Result<(), ManualsError> {
    let mut command = Cli::command();
    let edition = Edition { date: date()?, source: format!("{PROGRAM} {}", sbps_marshal::version::VERSION) };
    for (name, page) in commands::pages(&command, &edition) {
        write(&folder.join("share/man/man8").join(format!("{name}.8")), page.as_bytes())?;
    }
    let page = configuration::page(&edition);
    write(&folder.join("share/man/man5").join(format!("{}.5", configuration::NAME)), page.as_bytes())?;
    for (shell, path) in [
        (Shell::Bash, "share/bash-completion/completions/sbps-marshal"),
        (Shell::Zsh, "share/zsh/site-functions/_sbps-marshal"),
        (Shell::Fish, "share/fish/vendor_completions.d/sbps-marshal.fish"),
    ] {
        write(&folder.join(path), completion(shell, &mut command).as_bytes())?;
    }
    Ok(())
}

/// The script of a shell. That of bash calls a subcommand by two names if the program's has a hyphen, and completes nothing
/// after it (facts C6.1): it gets one. In a clap_complete that is mended this finds nothing to do.
fn completion(shell: Shell, command: &mut Command) -> String {
    let mut script = Vec::new();
    clap_complete::generate(shell, command, PROGRAM, &mut script);
    let script = String::from_utf8_lossy(&script);
    match shell {
        Shell::Bash => script.replace(&PROGRAM.replace('-', "__subcmd__"), &PROGRAM.replace('-', "__")),
        _ => script.into_owned(),
    }
}

/// The day of the sources in UTC, if the build says when they are of (reproducible-builds.org).
fn date() -> Result<String, ManualsError> {
    let Some(epoch) = env::var_os("SOURCE_DATE_EPOCH") else { return Ok(NO_DATE.to_owned()) };
    let seconds = epoch.to_str().and_then(|text| text.parse().ok());
    let moment = seconds.and_then(|seconds| OffsetDateTime::from_unix_timestamp(seconds).ok());
    moment.map(|moment| moment.date().to_string()).ok_or(ManualsError::Epoch(epoch))
}

fn write(path: &Path, bytes: &[u8]) -> Result<(), ManualsError> {
    let folder = path.parent().unwrap_or(path);
    let written = fs::create_dir_all(folder).and_then(|()| fs::write(path, bytes));
    written.map_err(|source| ManualsError::Write { path: path.to_owned(), source })
}
