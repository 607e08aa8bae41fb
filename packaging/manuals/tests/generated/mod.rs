//! What `manuals` writes, in a scratch folder.
#![allow(dead_code)] // each of the two tests needs a part of it

use clap::{Command, CommandFactory};
use sbps_marshal::cli::Cli;
use std::fs;
use std::path::PathBuf;
use std::process;
use tempfile::TempDir;

/// Some day, 2026-11-26.
pub const EPOCH: &str = "1795699984";

/// The installation, and its pages by path, such as `man8/sbps-marshal.8`.
pub struct Generated {
    pub folder: TempDir,
    pub pages: Vec<(String, PathBuf)>,
}

/// `manuals`, to be told where and when.
pub fn program() -> process::Command {
    let mut program = process::Command::new(env!("CARGO_BIN_EXE_manuals"));
    program.env_remove("SOURCE_DATE_EPOCH");
    program
}

pub fn generated() -> Generated {
    let folder = TempDir::new().unwrap();
    let output = program().env("SOURCE_DATE_EPOCH", EPOCH).arg(folder.path()).output().unwrap();
    assert!(output.status.success() && output.stderr.is_empty(), "{output:?}");
    let man = folder.path().join("share/man");
    let mut pages = Vec::new();
    for section in ["man5", "man8"] {
        for entry in fs::read_dir(man.join(section)).unwrap() {
            let entry = entry.unwrap();
            pages.push((format!("{section}/{}", entry.file_name().to_str().unwrap()), entry.path()));
        }
    }
    pages.sort();
    Generated { folder, pages }
}

/// The program and its subcommands, each with its page.
pub fn commands() -> Vec<(String, Command)> {
    let mut program = Cli::command().disable_help_subcommand(true);
    program.build();
    let subcommands = program.get_subcommands().cloned();
    let named = subcommands.map(|command| (format!("man8/sbps-marshal-{}.8", command.get_name()), command));
    let mut all: Vec<_> = named.collect();
    all.push(("man8/sbps-marshal.8".to_owned(), program));
    all
}
