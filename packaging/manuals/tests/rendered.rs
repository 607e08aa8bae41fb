//! What readers and shells make of it: `cargo test -p manuals --test rendered`. It wants mandoc, groff, bash, zsh and
//! fish, and fails without them.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod generated;

use generated::{commands, generated};
use std::path::Path;
use std::process::{Command, Output};

/// What a program has said; a program that is missing is an error.
fn run(program: &str, args: &[&str]) -> Output {
    Command::new(program).args(args).output().unwrap_or_else(|error| panic!("{program} is wanted: {error}"))
}

/// What a program says if it has nothing to complain of.
fn said(program: &str, args: &[&str]) -> String {
    let output = run(program, args);
    assert!(output.status.success() && output.stderr.is_empty(), "{program} {args:?}: {output:?}");
    String::from_utf8(output.stdout).unwrap()
}

/// Of mandoc's remarks on style, the one that is about the source and not about the page: paragraphs are not wrapped in
/// it. Warnings and everything above are never left out.
const OF_THE_SOURCE: &str = "STYLE: input text line longer than 80 bytes";

#[test]
fn every_page_is_free_of_warnings() {
    for (name, path) in generated().pages {
        let path = path.to_str().unwrap();
        let remarks = run("mandoc", &["-T", "lint", "-W", "style", path]);
        let remarks =
            String::from_utf8(remarks.stdout).unwrap() + &String::from_utf8(remarks.stderr).unwrap();
        let remarks: Vec<_> = remarks.lines().filter(|line| !line.contains(OF_THE_SOURCE)).collect();
        assert!(remarks.is_empty(), "{name}: {remarks:#?}");
        said("groff", &["-man", "-Tutf8", "-ww", "-z", path]);
    }
}

#[test]
fn a_terminal_of_80_columns_shows_every_option_and_every_value() {
    let generated = generated();
    for (name, command) in commands() {
        let (_, path) = generated.pages.iter().find(|(page, _)| *page == name).unwrap();
        // Without overstriking: plain words.
        let args = ["-man", "-Tascii", "-rLL=80n", "-P-c", "-P-b", "-P-u", path.to_str().unwrap()];
        let shown = said("groff", &args);
        assert!(shown.lines().all(|line| line.len() <= 80), "{name}: {shown}");
        for arg in command.get_arguments() {
            let long = arg.get_long().map(|long| format!("--{long}"));
            let values = arg.get_possible_values();
            let values = values
                .iter()
                .filter(|value| value.get_help().is_some())
                .map(|value| format!("{}:", value.get_name()));
            for word in long.into_iter().chain(values) {
                let is_there = shown.split([' ', '\n', ',', '[']).any(|shown| shown == word);
                assert!(is_there, "{name} does not show {word}: {shown}");
            }
        }
    }
}

#[test]
fn bash_completes_subcommands_options_and_formats() {
    let generated = generated();
    let file = generated.folder.path().join("share/bash-completion/completions/sbps-marshal");
    let completed = |words: &str| {
        // As bash does it: the function gets the command, the word that is completed and the one before it.
        let script = format!(
            "source {}; COMP_WORDS=({words}); COMP_CWORD=$((${{#COMP_WORDS[@]}} - 1))\n\
             function=$(complete -p sbps-marshal | sed 's/.*-F \\([^ ]*\\).*/\\1/')\n\
             $function sbps-marshal \"${{COMP_WORDS[-1]}}\" \"${{COMP_WORDS[-2]}}\"; printf '%s\\n' \"${{COMPREPLY[@]}}\"",
            file.display()
        );
        said("bash", &["--norc", "--noprofile", "-c", &script]).lines().map(str::to_owned).collect::<Vec<_>>()
    };
    let subcommands = completed("sbps-marshal ''");
    for (_, command) in commands().iter().filter(|(_, command)| !command.has_subcommands()) {
        assert!(subcommands.iter().any(|word| word == command.get_name()), "{subcommands:?}");
    }
    assert_eq!(completed("sbps-marshal lo"), ["locate"]);
    assert_eq!(completed("sbps-marshal status --wa"), ["--watch"]);
    assert_eq!(
        completed("sbps-marshal locate 14 --format ''"),
        ["table", "json", "pv", "dracut", "multipath"]
    );
}

#[test]
fn zsh_loads_the_function_for_the_program_and_it_knows_the_subcommands() {
    let generated = generated();
    let functions = generated.folder.path().join("share/zsh/site-functions");
    said("zsh", &["-f", "-n", functions.join("_sbps-marshal").to_str().unwrap()]);
    // The first call of the function defines those that it consists of. Outside of a line that is edited there is nothing to
    // complete: _arguments and _describe are ours, and show what they are given.
    let script = format!(
        "fpath=({} $fpath); autoload -Uz compinit; compinit -u -D; print $_comps[sbps-marshal]\n\
         _arguments() {{ return 1 }}; _describe() {{ print -l ${{(P)4}} }}\n\
         _sbps-marshal; _sbps-marshal_commands",
        functions.display()
    );
    let shown = said("zsh", &["-f", "-c", &script]);
    assert_eq!(shown.lines().next(), Some("_sbps-marshal"), "{shown}");
    for (_, command) in commands().iter().filter(|(_, command)| !command.has_subcommands()) {
        assert!(shown.lines().any(|line| line.starts_with(&format!("{}:", command.get_name()))), "{shown}");
    }
}

#[test]
fn fish_completes_subcommands_options_and_formats() {
    let generated = generated();
    let file = generated.folder.path().join("share/fish/vendor_completions.d/sbps-marshal.fish");
    let completed = |line: &str| {
        let script = format!("source {}; complete -C '{line}'", file.display());
        // Nothing of the person who runs this is read or written.
        let home = generated.folder.path().to_str().unwrap();
        let shown = said("env", &[&format!("HOME={home}"), "fish", "--no-config", "-c", &script]);
        shown.lines().filter_map(|line| line.split('\t').next()).map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(completed("sbps-marshal lo"), ["locate"]);
    assert_eq!(completed("sbps-marshal status --wa"), ["--watch"]);
    let mut formats = completed("sbps-marshal locate 14 --format ");
    formats.sort();
    assert_eq!(formats, ["dracut", "json", "multipath", "pv", "table"]);
}

#[test]
fn the_agent_has_neither_library_in_it() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../Cargo.toml");
    let root = root.to_str().unwrap();
    let args = [
        "tree",
        "--offline",
        "--manifest-path",
        root,
        "-p",
        "sbps-marshal",
        "-e",
        "normal,build",
        "--prefix",
        "none",
    ];
    let tree = run(env!("CARGO"), &args);
    let tree = String::from_utf8(tree.stdout).unwrap();
    assert!(tree.lines().any(|line| line.starts_with("clap v")), "{tree}");
    for library in ["clap_mangen", "clap_complete", "roff"] {
        assert!(!tree.lines().any(|line| line.starts_with(&format!("{library} v"))), "{library}");
    }
}
