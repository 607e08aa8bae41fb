//! What is written, as it is written: no other program is needed.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod generated;

use generated::{EPOCH, Generated, commands, generated, program};
use sbps_marshal::cli::exit_codes;
use sbps_marshal::config::KEYS;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use tempfile::TempDir;

/// The source of a page without fonts and escapes.
fn plain(generated: &Generated, name: &str) -> String {
    let page = generated.pages.iter().find(|(page, _)| page == name);
    let source = fs::read_to_string(&page.unwrap_or_else(|| panic!("there is no {name}")).1).unwrap();
    [(r"\fB", ""), (r"\fI", ""), (r"\fR", ""), (r"\-", "-"), (r"\*(Aq", "'"), (r"\(ti", "~")]
        .iter()
        .fold(source, |source, (from, to)| source.replace(from, to))
}

/// The lines from a heading to the next one.
fn section<'a>(page: &'a str, heading: &str) -> &'a str {
    let (_, rest) =
        page.split_once(&format!("\n.SH {heading}\n")).unwrap_or_else(|| panic!("no {heading}: {page}"));
    rest.split("\n.SH ").next().unwrap()
}

/// The names of the items of a section.
fn items(section: &str) -> Vec<&str> {
    section.split(".TP\n").skip(1).map(|item| item.lines().next().unwrap()).collect()
}

#[test]
fn every_subcommand_has_a_page_and_the_main_page_names_every_page() {
    let generated = generated();
    let mut wanted: Vec<_> = commands().into_iter().map(|(page, _)| page).collect();
    wanted.push("man5/sbps-marshal.toml.5".to_owned());
    wanted.sort();
    let pages: Vec<_> = generated.pages.iter().map(|(page, _)| page.clone()).collect();
    assert_eq!(pages, wanted);
    let main = plain(&generated, "man8/sbps-marshal.8");
    for page in pages.iter().filter(|page| *page != "man8/sbps-marshal.8") {
        let (_, file) = page.split_once('/').unwrap();
        let (name, number) = file.rsplit_once('.').unwrap();
        let reference = format!("{name}({number})");
        assert!(section(&main, "\"SEE ALSO\"").contains(&reference), "{reference}");
        assert!(number == "5" || items(section(&main, "SUBCOMMANDS")).contains(&&*reference), "{reference}");
    }
}

#[test]
fn every_page_of_a_command_has_the_sections_of_one() {
    let generated = generated();
    for (name, command) in commands() {
        let page = plain(&generated, &name);
        for heading in
            ["NAME", "SYNOPSIS", "DESCRIPTION", "OPTIONS", "\"EXIT STATUS\"", "EXAMPLES", "\"SEE ALSO\""]
        {
            assert!(!section(&page, heading).trim().is_empty(), "{name}: {heading}");
        }
        let wants_signals = matches!(command.get_name(), "sbps-marshal" | "run");
        assert_eq!(page.contains("\n.SH SIGNALS\n"), wants_signals, "{name}");
        assert!(!page.contains('`') && !page.contains(r"\(ga"), "{name} shows a mark of ours");
    }
}

/// A test of the agent's own holds the README's table against the same.
#[test]
fn every_page_has_the_exit_codes_of_the_one_table() {
    let generated = generated();
    for (name, command) in commands() {
        let page = plain(&generated, &name);
        let codes: Vec<_> =
            exit_codes::of(command.get_name()).iter().map(|row| row.code.to_string()).collect();
        assert_eq!(items(section(&page, "\"EXIT STATUS\"")), codes, "{name}");
    }
}

#[test]
fn every_key_is_in_the_page_of_the_configuration_with_all_that_the_table_says() {
    let generated = generated();
    let page = plain(&generated, "man5/sbps-marshal.toml.5");
    let keys = section(&page, "KEYS");
    assert_eq!(items(keys), KEYS.iter().map(|key| key.name).collect::<Vec<_>>());
    for key in KEYS.iter() {
        let default = if key.default.is_empty() { "empty" } else { key.default };
        let row = format!(
            ".TP\n{}\n{}.\n.br\nDefault: {default}\n.br\nAllowed: {}\n.br\nVariables: {}\n",
            key.name,
            key.doc,
            key.allowed,
            key.variables().join(", ")
        );
        assert!(format!("{keys}\n").contains(&row), "{row}");
    }
}

fn files(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries
        .flat_map(|path| match path.is_dir() {
            true => files(&path).into_iter().collect(),
            false => vec![(path.clone(), fs::read(&path).unwrap())],
        })
        .collect()
}

#[test]
fn the_same_day_gives_the_same_bytes_and_no_day_is_no_date() {
    let written = |epoch: Option<&str>| {
        let folder = TempDir::new().unwrap();
        let status =
            program().envs(epoch.map(|epoch| ("SOURCE_DATE_EPOCH", epoch))).arg(folder.path()).status();
        assert!(status.unwrap().success());
        let files = files(folder.path()).into_iter();
        files
            .map(|(path, bytes)| (path.strip_prefix(folder.path()).unwrap().to_owned(), bytes))
            .collect::<Vec<_>>()
    };
    let with_day = written(Some(EPOCH));
    assert_eq!(with_day.len(), commands().len() + 4);
    assert!(with_day == written(Some(EPOCH)));
    let without_day = written(None);
    let version = format!("\"sbps-marshal {}\"", env!("CARGO_PKG_VERSION"));
    for ((path, dated), (_, undated)) in with_day.iter().zip(&without_day) {
        if path.starts_with("share/man") {
            let (dated, undated) = (String::from_utf8_lossy(dated), String::from_utf8_lossy(undated));
            assert!(dated.contains(&format!(" 2026-11-26 {version} ")), "{}", path.display());
            assert!(undated.contains(&format!(" \"\" {version} ")), "{}", path.display());
        }
    }
}

#[test]
fn a_day_that_is_none_is_refused() {
    let folder = TempDir::new().unwrap();
    let output = program().env("SOURCE_DATE_EPOCH", "yesterday").arg(folder.path()).output().unwrap();
    assert!(!output.status.success());
    assert!(String::from_utf8_lossy(&output.stderr).contains("seconds since 1970"));
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
}
