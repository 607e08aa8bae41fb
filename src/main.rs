//! `sbps-marshal`: see `sbps-marshal help`.

use clap::Parser;
use sbps_marshal::cli::Cli;
use std::process::ExitCode;

fn main() -> ExitCode {
    Cli::parse().execute()
}
