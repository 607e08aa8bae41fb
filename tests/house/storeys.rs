//! The storeys of the inside: an arrow only goes down, and no file imports in a circle. `make lint` runs this. A `mod.rs`
//! and the private files of its folder are one module: what it names of them by their bare names is not looked at.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

/// Entries of `actors/src`: more than this is more than one screen shows at a glance.
const MOST_ENTRIES: usize = 12;

/// What each storey may import of the others, beside itself: all but the agent, which starts the rest.
const MAY_IMPORT: [(&str, &[&str]); 10] = [
    ("model", &[]),
    ("ports", &["model"]),
    ("decide", &["model"]),
    ("events", &["model"]),
    ("ims", &["decide", "events", "model", "ports"]),
    ("s3", &["decide", "events", "model", "ports"]),
    ("mount", &["decide", "events", "model", "ports"]),
    ("lio", &["decide", "events", "model", "ports", "mount"]),
    ("reconciler", &["decide", "events", "model", "ports", "ims", "s3", "mount", "lio"]),
    ("sim", &["decide", "model", "ports"]),
];

/// What `model` and `decide` do not name: whoever decides does not wait, log or ask.
const NOT_NAMED: [&str; 4] = ["actix", "tokio", "tracing", "ports"];

/// Rust files by their path below `actors/src`, without `.rs` and `/mod`.
type Sources = BTreeMap<String, String>;

fn sources(folder: &Path, prefix: &str, found: &mut Sources) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_stem().unwrap().to_string_lossy().into_owned();
        let inner = if prefix.is_empty() { name.clone() } else { format!("{prefix}/{name}") };
        if path.is_dir() {
            sources(&path, &inner, found);
        } else {
            let module = if name == "mod" { prefix.to_owned() } else { inner };
            found.insert(module, fs::read_to_string(&path).unwrap());
        }
    }
}

/// The code without comments, strings' contents and the tests at the end.
fn code(text: &str) -> String {
    let text = text.split("\n#[cfg(test)]").next().unwrap_or_default();
    text.lines().map(|line| line.split("//").next().unwrap_or_default()).collect::<Vec<_>>().join("\n")
}

/// `a::{b, c::{self, d}}` -> `a::b`, `a::c`, `a::c::d`.
fn paths(tree: &str) -> Vec<String> {
    let Some((head, rest)) = tree.split_once('{') else {
        return vec![tree.trim().trim_end_matches("::self").to_owned()];
    };
    let inner = rest.rsplit_once('}').map_or(rest, |(inner, _)| inner);
    let (mut parts, mut depth) = (vec![String::new()], 0);
    for c in inner.chars() {
        depth += i32::from(c == '{') - i32::from(c == '}');
        match (c, depth) {
            (',', 0) => parts.push(String::new()),
            _ => parts.last_mut().unwrap().push(c),
        }
    }
    let parts = parts.iter().filter(|part| !part.trim().is_empty());
    parts.flat_map(|part| paths(&format!("{}{}", head.trim(), part.trim()))).collect()
}

/// The modules that a module imports.
fn imports(module: &str, all: &Sources) -> BTreeSet<String> {
    let code = code(&all[module]);
    let uses = code.split(';').filter_map(|statement| {
        let statement = statement.trim_start_matches(|c: char| c != 'u' && c != 'p');
        let start = statement.find("use crate::").or_else(|| statement.find("use super::"))?;
        Some(statement[start + 4..].replace('\n', " "))
    });
    let parent = module.rsplit_once('/').map_or("", |(parent, _)| parent);
    let is_folder = all.keys().any(|other| other.starts_with(&format!("{module}/")));
    let mut found = BTreeSet::new();
    // What is named on the spot, without a `use`.
    let inline = code.split("crate::").skip(1).filter_map(|rest| {
        let path: String = rest.chars().take_while(|c| c.is_alphanumeric() || "_:".contains(*c)).collect();
        (!path.is_empty()).then(|| format!("crate::{}", path.trim_end_matches(':')))
    });
    for path in uses.flat_map(|tree| paths(&tree)).chain(inline) {
        let from_root = match (path.strip_prefix("crate::"), path.strip_prefix("super::")) {
            (Some(rest), _) => rest.replace("::", "/"),
            (_, Some(rest)) if parent.is_empty() && !is_folder => rest.replace("::", "/"),
            (_, Some(rest)) => format!("{parent}/{}", rest.replace("::", "/")),
            _ => continue,
        };
        // The longest beginning that is a module: what follows is an item.
        let mut name = from_root.as_str();
        while !all.contains_key(name) {
            match name.rsplit_once('/') {
                Some((shorter, _)) => name = shorter,
                None => break,
            }
        }
        if all.contains_key(name) && name != module {
            found.insert(name.to_owned());
        }
    }
    found
}

fn storey(module: &str) -> &str {
    module.split('/').next().unwrap_or_default()
}

/// Everything that breaks the law.
fn problems(all: &Sources) -> Vec<String> {
    let mut problems = Vec::new();
    let entries: BTreeSet<&str> = all.keys().map(|module| storey(module)).collect();
    if entries.len() > MOST_ENTRIES {
        problems.push(format!("actors/src has {} entries, at most {MOST_ENTRIES}", entries.len()));
    }
    let graph: BTreeMap<&str, BTreeSet<String>> =
        all.keys().map(|module| (module.as_str(), imports(module, all))).collect();
    for (module, imported) in &graph {
        let law = MAY_IMPORT.iter().find(|(name, _)| *name == storey(module));
        for other in imported {
            let to = storey(other);
            if law.is_some_and(|(own, below)| to != *own && !below.contains(&to)) {
                problems.push(format!("{module} imports {other}: an arrow only goes down"));
            }
        }
        if matches!(storey(module), "model" | "decide") {
            let code = code(&all[*module]);
            let words: BTreeSet<&str> = code.split(|c: char| !c.is_alphanumeric() && c != '_').collect();
            for name in NOT_NAMED.iter().filter(|name| words.contains(*name)) {
                problems.push(format!("{module} names {name}"));
            }
        }
        if let Some(way) = way_back(module, &graph) {
            problems.push(format!("a circle: {}", way.join(" -> ")));
        }
    }
    problems
}

/// A way along imports from a module to itself.
fn way_back(start: &str, graph: &BTreeMap<&str, BTreeSet<String>>) -> Option<Vec<String>> {
    let (mut seen, mut open) = (BTreeSet::new(), vec![vec![start.to_owned()]]);
    while let Some(way) = open.pop() {
        for next in graph.get(way.last()?.as_str()).into_iter().flatten() {
            let further: Vec<String> = way.iter().chain([next]).cloned().collect();
            if next == start {
                return Some(further);
            }
            if seen.insert(next.clone()) {
                open.push(further);
            }
        }
    }
    None
}

#[test]
fn every_arrow_goes_down_and_no_file_imports_in_a_circle() {
    let mut all = Sources::new();
    sources(&Path::new(env!("CARGO_MANIFEST_DIR")).join("actors/src"), "", &mut all);
    assert!(all.len() > 40, "{} files: are these all?", all.len());
    assert!(imports("lio/apply", &all).contains("lio/step"), "imports are found");
    assert_eq!(problems(&all), [""; 0]);
}

#[test]
fn each_law_that_is_broken_is_named() {
    let tree = |files: &[(&str, &str)]| -> Sources {
        files.iter().map(|(module, text)| ((*module).to_owned(), (*text).to_owned())).collect()
    };
    let sound = [
        ("model", "mod word;\npub use word::Word;"),
        ("model/word", "// no ports, no tokio\npub struct Word;"),
        ("ports", "use crate::model::Word;"),
        ("sim", "use crate::ports::LioPort;"),
        ("decide", "pub mod plan;"),
        ("decide/plan", "use crate::{\n    model::{Word},\n};"),
        ("lio", "use crate::decide::plan::Plan;\nuse crate::ports::LioPort;\nuse tokio::sync;"),
    ];
    assert_eq!(problems(&tree(&sound)), [""; 0]);
    for (module, text, named) in [
        ("decide/plan", "use crate::lio::Report;", "decide/plan imports lio"),
        ("decide/plan", "use crate::{model::Word, ports::LioPort};", "decide/plan imports ports"),
        ("model/word", "use crate::decide::plan::{self, Plan};", "model/word imports decide/plan"),
        ("ports", "use crate::decide::plan::Plan;", "ports imports decide/plan"),
        ("decide/plan", "fn f() { tracing::info!(); }", "decide/plan names tracing"),
        ("model/word", "use tokio::sync::watch;", "model/word names tokio"),
        ("decide/plan", "use actix::prelude::*;", "decide/plan names actix"),
        ("decide/plan", "fn f() { crate::lio::f() }", "decide/plan imports lio"),
        ("lio", "use crate::sim::Sim;", "lio imports sim"),
    ] {
        let mut broken = tree(&sound);
        broken.insert(module.to_owned(), text.to_owned());
        let found = problems(&broken);
        assert!(found.iter().any(|problem| problem.starts_with(named)), "{named}: {found:?}");
    }
    let mut circle = tree(&sound);
    circle.insert("lio/step".to_owned(), "use super::apply::carry_out;".to_owned());
    circle.insert("lio/apply".to_owned(), "use crate::lio::step;".to_owned());
    assert!(problems(&circle).iter().any(|problem| problem.starts_with("a circle: lio/apply -> lio/step")));
    let crowded: Sources = (0..13).map(|n| (format!("actor{n}"), String::new())).collect();
    assert_eq!(problems(&crowded), ["actors/src has 13 entries, at most 12"]);
}
