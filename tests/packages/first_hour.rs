//! docs/first-hour.md, done: what a new user types on a bare node, and what comes of it.

use super::site::{an_empty_node, package};
use std::process::Command;
use support::node::{Node, run};

const DOCUMENT: &str = "/vm/first-hour.md";
/// What the test does in between, which the reader does in another way.
const ASIDE: &str = "<!-- in the test: ";

/// What is written in the document for what is another thing in each run.
struct Names(Vec<(String, &'static str)>);

impl Names {
    fn of(node: &Node) -> Names {
        let ims = node.ims.gateway().trim_start_matches("http://").to_owned();
        let version = run("dpkg-deb", &["--field", &package("newer.deb"), "Version"]);
        let version = version.trim().trim_end_matches("-1").to_owned();
        Names(vec![(ims, "ims.site:8080"), (package("newer.deb"), "sbps-marshal.deb"), (version, "2.0.0")])
    }

    /// A version is only shown.
    fn real(&self, text: &str) -> String {
        self.0[..2].iter().fold(text.to_owned(), |text, (real, written)| text.replace(written, real))
    }

    fn written(&self, text: &str) -> String {
        self.0.iter().fold(text.to_owned(), |text, (real, written)| text.replace(real, written))
    }
}

/// What a terminal shows: as root (`#`) or as a user (`$`).
fn typed(prompt: &str, command: &str) -> String {
    let (shell, arguments): (&str, &[&str]) = match prompt {
        "#" => ("bash", &["-c"]),
        _ => ("runuser", &["--user", "nobody", "--", "bash", "-c"]),
    };
    let both = format!("exec 2>&1\n{command}");
    let output =
        Command::new("timeout").args(["300", shell]).args(arguments).arg(both).current_dir("/").output();
    String::from_utf8_lossy(&output.expect("a shell").stdout).into_owned()
}

/// Without what is another in each run: times, numbers of processes and of passes, and how long something took.
fn settled(text: &str) -> String {
    text.lines().map(|line| settled_line(line.trim_end())).collect::<Vec<_>>().join("\n")
}

fn settled_line(line: &str) -> String {
    let mut out = Vec::<String>::new();
    let mut words = line.split(' ').peekable();
    while let Some(word) = words.next() {
        let (stem, end) = stem_and_end(word);
        if is_number(stem)
            && let Some(unit) = words.next_if(|next| matches!(stem_and_end(next).0, "s" | "min"))
        {
            // `2 min 59 s,` is one thing.
            out.pop_if(|last| last == "...");
            out.push(format!("...{}", stem_and_end(unit).1));
        } else if is_time(stem) || is_number(stem) && follows(&out, ["process", "pass"]) {
            out.push(format!("...{end}"));
        } else {
            out.push(word.to_owned());
        }
    }
    out.join(" ")
}

/// A word, and what ends a clause after it.
fn stem_and_end(word: &str) -> (&str, &str) {
    word.split_at(word.trim_end_matches([',', ';', ':']).len())
}

fn is_number(word: &str) -> bool {
    !word.is_empty() && word.chars().all(|c| c.is_ascii_digit() || c == '.')
}

/// `18:48:18`, `2026-11-26`, or both in one word.
fn is_time(word: &str) -> bool {
    word.chars().all(|c| c.is_ascii_digit() || "-:.TZ".contains(c)) && word.matches(['-', ':']).count() >= 2
}

fn follows(words: &[String], one_of: [&str; 2]) -> bool {
    words.iter().rev().find(|word| !word.is_empty()).is_some_and(|last| one_of.contains(&last.as_str()))
}

/// The document as it is when each command in it is typed now.
fn done(document: &str, names: &Names) -> String {
    let mut out: Vec<String> = Vec::new();
    let mut lines = document.lines().peekable();
    let mut in_terminal = false;
    while let Some(line) = lines.next() {
        if let Some(command) = line.strip_prefix(ASIDE).and_then(|rest| rest.strip_suffix(" -->")) {
            out.push(line.to_owned());
            run("bash", &["-ec", &names.real(command)]);
        } else if line == "```console" || line == "```" {
            in_terminal = line == "```console";
            out.push(line.to_owned());
        } else if !in_terminal {
            out.push(line.to_owned());
        } else if let Some((prompt @ ("#" | "$"), command)) = line.split_once(' ') {
            let mut command = command.to_owned();
            out.push(line.to_owned());
            while command.contains("<<END") && !command.ends_with("\nEND") {
                let next = lines.next().expect("the end of what is typed");
                command += &format!("\n{next}");
                out.push(next.to_owned());
            }
            let shown = settled(&names.written(&typed(prompt, &names.real(&command))));
            out.extend(shown.lines().map(str::to_owned));
        }
        // What stands below a command is what it has shown: it is shown anew.
    }
    out.join("\n") + "\n"
}

/// Its identity is in the document.
fn the_same_each_time() -> Vec<u8> {
    let (folder, file) = ("/run/first-hour", "/run/first-hour.squashfs");
    std::fs::create_dir_all(folder).unwrap();
    std::fs::write(format!("{folder}/os-release"), "ID=first-hour\n").unwrap();
    let times = ["-mkfs-time", "0", "-all-time", "0", "-all-root"];
    run("mksquashfs", &[&[folder, file, "-quiet", "-no-progress", "-noappend"], times.as_slice()].concat());
    std::fs::read(file).unwrap()
}

#[test]
fn a_line_is_settled_where_it_is_another_in_each_run_and_nowhere_else() {
    let settled = |line: &str, expected: &str| assert_eq!(settled_line(line), expected);
    settled(
        "last pass  2, converged, 0 s ago, took 0.1 s, +0 -0",
        "last pass  ..., converged, ... ago, took ..., +0 -0",
    );
    settled("next pass  in 2 min 59 s", "next pass  in ...");
    settled("  2026-11-26 18:48:18 lun_added LUN 1397", "  ... ... lun_added LUN 1397");
    settled("2026-11-26T19:20:17.468429Z error", "... error");
    settled("by process 1022; stop", "by process ...; stop");
    settled(
        "at 127.0.0.1:7070, 69632 bytes; + 5165 95ae3d6a652d1a2",
        "at 127.0.0.1:7070, 69632 bytes; + 5165 95ae3d6a652d1a2",
    );
}

#[test]
fn lio_first_hour_a_new_user_is_told_at_each_error_what_to_do_next_and_the_document_says_so() {
    let node = an_empty_node();
    node.add_image("0000000a-5392-41cf-b915-94f03a372d00", &the_same_each_time(), 0, true);
    let names = Names::of(&node);
    let document = std::fs::read_to_string(DOCUMENT).unwrap();
    let now = done(&document, &names);
    std::fs::write("/vm/results/first-hour.md", &now).unwrap();
    let differ = Command::new("diff").args(["-u", DOCUMENT, "/vm/results/first-hour.md"]).output().unwrap();
    let shown = String::from_utf8_lossy(&differ.stdout).into_owned();
    assert!(now == document, "docs/first-hour.md is another now; `make first-hour` takes it over\n{shown}");
}
