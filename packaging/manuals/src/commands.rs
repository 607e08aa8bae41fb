//! The pages of section 8: one of the program, one of each subcommand, from what clap knows of them.

use crate::guide::{ENVIRONMENT, EXAMPLES, FILES, SIGNALS};
use crate::page::{Edition, MANUAL, Page};
use crate::{PROGRAM, configuration};
use clap::{Arg, Command};
use clap_mangen::Man;
use clap_mangen::roff::{Inline, bold, italic, roman};
use sbps_marshal::cli::exit_codes;
use std::io;

/// The pages by their names, `sbps-marshal-run`.
pub fn pages(program: &Command, edition: &Edition) -> Vec<(String, String)> {
    // `help` is not worth a page. A built command knows its full names, and the options that go with all subcommands.
    let mut program = program.clone().disable_help_subcommand(true);
    program.build();
    let subcommands = program.get_subcommands().map(|subcommand| page(subcommand, edition));
    std::iter::once(page(&program, edition)).chain(subcommands).collect()
}

fn page(command: &Command, edition: &Edition) -> (String, String) {
    let name = command.get_display_name().unwrap_or(command.get_name()).to_owned();
    let man = Man::new(command.clone())
        .title(name.to_uppercase())
        .section("8")
        .date(&edition.date)
        .source(&edition.source)
        .manual(MANUAL);
    let is_program = command.has_subcommands();
    let mut page = Page::new();
    part(&mut page, |to| man.render_title(to));
    page.whole_words();
    part(&mut page, |to| man.render_name_section(to));
    synopsis(&mut page, command);
    description(&mut page, command);
    part(&mut page, |to| man.render_options_section(to));
    if is_program {
        part(&mut page, |to| man.render_subcommands_section(to));
    }
    if is_program || command.get_name() == "run" {
        items(&mut page, "SIGNALS", SIGNALS);
    }
    page.section("EXIT STATUS");
    for outcome in exit_codes::of(command.get_name()) {
        page.item(&outcome.code.to_string(), &[&sentence(outcome.meaning)]);
    }
    if is_program {
        items(&mut page, "ENVIRONMENT", ENVIRONMENT);
        items(&mut page, "FILES", FILES);
    }
    examples(&mut page, command);
    page.see_also(&related(command));
    (name, page.source())
}

/// A part that clap_mangen makes. Nothing is lost: writing to memory does not fail.
fn part(page: &mut Page, render: impl FnOnce(&mut dyn io::Write) -> io::Result<()>) {
    let mut text = Vec::new();
    if render(&mut text).is_ok() {
        page.append(&String::from_utf8_lossy(&text));
    }
}

/// With the values that options take, which clap_mangen leaves out, and without `--help` and `--version`.
fn synopsis(page: &mut Page, command: &Command) {
    page.section("SYNOPSIS");
    let mut line = vec![bold(command.get_bin_name().unwrap_or(PROGRAM))];
    let told = |arg: &&Arg| !matches!(arg.get_id().as_str(), "help" | "version");
    let (values, options): (Vec<_>, Vec<_>) =
        command.get_arguments().filter(told).partition(|arg| arg.is_positional());
    for arg in options.into_iter().chain(values) {
        line.push(roman(" "));
        line.extend(usage(arg));
    }
    if command.has_subcommands() {
        line.extend([roman(" "), italic("SUBCOMMAND"), roman(" ...")]);
    }
    page.line(line);
}

/// `[--format FORMAT]`, `IMAGE`, `FILE FILE...`
fn usage(arg: &Arg) -> Vec<Inline> {
    let names = arg.get_value_names().map(|names| names.join(" ")).unwrap_or_default();
    let takes_value = arg.get_action().takes_values();
    let many = arg.get_num_args().is_some_and(|range| range.max_values() > 1);
    let mut parts = Vec::new();
    if let Some(long) = arg.get_long() {
        parts.push(bold(format!("--{long}")));
        if takes_value {
            parts.extend([roman(" "), italic(names)]);
        }
    } else {
        for _ in 1..arg.get_num_args().map_or(1, |range| range.min_values()) {
            parts.extend([italic(&*names), roman(" ")]);
        }
        parts.push(italic(names));
    }
    if !arg.is_required_set() {
        parts.insert(0, roman("["));
        parts.push(roman("]"));
    }
    if many || matches!(arg.get_action(), clap::ArgAction::Append) {
        parts.push(roman("..."));
    }
    parts
}

fn description(page: &mut Page, command: &Command) {
    page.section("DESCRIPTION");
    let text = command.get_long_about().or(command.get_about()).map(ToString::to_string).unwrap_or_default();
    for (n, paragraph) in text.split("\n\n").enumerate() {
        if n == 0 { page.text(&sentence(paragraph)) } else { page.paragraph(paragraph) }
    }
}

fn items(page: &mut Page, heading: &str, rows: &[(&str, &str)]) {
    page.section(heading);
    for (name, text) in rows {
        page.item(name, &[text]);
    }
}

/// Of the program all of them, of a subcommand its own.
fn examples(page: &mut Page, command: &Command) {
    let is_own = |line: &str| line.split(' ').nth(1) == Some(command.get_name());
    let mut own = EXAMPLES.iter().filter(|(line, _)| command.has_subcommands() || is_own(line)).peekable();
    if own.peek().is_some() {
        page.section("EXAMPLES");
    }
    for (line, meaning) in own {
        page.item(line, &[meaning]);
    }
}

fn related(command: &Command) -> Vec<String> {
    let configuration = format!("{}(5)", configuration::NAME);
    if !command.has_subcommands() {
        return vec![format!("{PROGRAM}(8)"), configuration];
    }
    let of_others = ["journalctl(1)", "systemctl(1)", "targetcli(8)", "targetclid(8)"].map(str::to_owned);
    let subcommands =
        command.get_subcommands().map(|subcommand| format!("{PROGRAM}-{}(8)", subcommand.get_name()));
    subcommands.chain([configuration]).chain(of_others).collect()
}

/// As a sentence: clap takes the full stop away, and the table has phrases.
fn sentence(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map(|first| format!("{}{}.", first.to_uppercase(), letters.as_str())).unwrap_or_default()
}
