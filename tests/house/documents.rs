//! What the documents point to is there.

use actors::events::{Event, Level};
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// The files below a folder that end so.
fn files(folder: &str, end: &str) -> Vec<PathBuf> {
    let (mut open, mut found) = (vec![root().join(folder)], Vec::new());
    while let Some(folder) = open.pop() {
        for entry in fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            match path.is_dir() {
                true => open.push(path),
                false if path.to_string_lossy().ends_with(end) => found.push(path),
                false => {}
            }
        }
    }
    found
}

fn documents() -> Vec<PathBuf> {
    let mut all = [files("docs", ".md"), files("splunk", ".md"), files("bench", ".md")].concat();
    all.extend(["README.md", "CONTRIBUTING.md"].map(|name| root().join(name)));
    assert!(all.len() > 6, "{all:?}");
    all
}

/// The heading `Where each rule lives` is linked as `where-each-rule-lives`.
fn anchors(text: &str) -> BTreeSet<String> {
    let headings =
        text.lines().filter(|line| line.starts_with('#')).map(|line| line.trim_start_matches('#').trim());
    let kept = |c: char| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_');
    headings
        .map(|h| h.to_lowercase().chars().filter(|c| kept(*c)).collect::<String>().replace(' ', "-"))
        .collect()
}

#[test]
fn every_link_of_a_document_leads_somewhere() {
    for document in documents() {
        let text = fs::read_to_string(&document).unwrap();
        let targets = text.split("](").skip(1).filter_map(|rest| rest.split(')').next());
        for target in targets.filter(|target| !target.contains("://")) {
            let (file, anchor) = target.split_once('#').unwrap_or((target, ""));
            let path = if file.is_empty() { document.clone() } else { document.parent().unwrap().join(file) };
            assert!(path.exists(), "{} links to {target}", document.display());
            let there = anchor.is_empty() || anchors(&fs::read_to_string(&path).unwrap()).contains(anchor);
            assert!(there, "{} links to {target}", document.display());
        }
    }
}

#[test]
fn every_alert_leads_to_its_section_and_asks_for_metrics_that_there_are() {
    let read = |name: &str| std::fs::read_to_string(root().join(name)).unwrap();
    let alerts = read("monitoring/alerts.yml");
    let runbooks = alerts.lines().filter_map(|line| line.trim().strip_prefix("runbook: "));
    let runbooks: Vec<&str> = runbooks.collect();
    assert_eq!(runbooks.len(), alerts.matches("- alert: ").count());
    for runbook in runbooks {
        let (file, anchor) = runbook.split_once('#').unwrap();
        assert!(anchors(&read(file)).contains(anchor), "{runbook}");
    }
    let registered = read("src/metrics/node.rs") + &read("src/metrics/counters.rs");
    for text in [alerts, read("monitoring/grafana.json"), read("monitoring/alerts_test.yml")] {
        for name in text.split("sbps_marshal_").skip(1) {
            let name = name.split(|c: char| !c.is_ascii_alphanumeric() && c != '_').next().unwrap();
            let name = name.trim_end_matches("_bucket").trim_end_matches("_total");
            assert!(registered.contains(&format!("\"{name}\"")), "{name}");
        }
    }
}

/// An event that needs nothing may have none.
#[test]
fn every_warning_and_every_error_leads_to_its_section() {
    let pages = root().join("docs");
    for Event { name, levels, section, .. } in actors::events::all() {
        let is_noted = levels.iter().any(|level| matches!(level, Level::Warn | Level::Error));
        let Some((page, anchor)) = section.split_once('#') else {
            assert!(!is_noted && section.is_empty(), "{name} leads nowhere: {section:?}");
            continue;
        };
        let page = fs::read_to_string(pages.join(page)).unwrap();
        assert!(anchors(&page).contains(anchor), "{name} leads to {section}");
    }
}

/// Its links to itself are its table of contents.
#[test]
fn the_book_of_operations_lists_its_sections_and_cites_tests_that_there_are() {
    let page = fs::read_to_string(root().join("docs/operations.md")).unwrap();
    for heading in page.lines().filter(|line| line.starts_with("## ")) {
        let anchor = anchors(heading).pop_first().unwrap();
        let contents = page.split("\n## ").next().unwrap();
        assert!(contents.contains(&format!("](#{anchor})")), "{heading} is not in the contents");
    }
    let mut tests = String::new();
    for folder in ["actors", "src", "tests"] {
        files(folder, ".rs").iter().for_each(|file| tests.push_str(&fs::read_to_string(file).unwrap()));
    }
    let cited = page.split('`').skip(1).step_by(2).filter(|name| name.matches('_').count() > 5);
    let cited: Vec<&str> = cited.filter(|name| !name.contains(['/', ' ', '"', '='])).collect();
    assert!(cited.len() > 15, "{cited:?}: are these all?");
    for name in cited {
        assert!(tests.contains(&format!("fn {name}(")), "{name} is no test");
    }
}

#[test]
fn every_fact_that_a_comment_cites_is_told() {
    let facts = fs::read_to_string(root().join("docs/facts.md")).unwrap();
    let headings = facts.lines().filter_map(|line| line.trim_start_matches('#').strip_prefix(' '));
    let told: BTreeSet<&str> = headings.filter_map(|heading| heading.split(' ').next()).collect();
    let sources = ["actors/src", "src", "tests"].into_iter().flat_map(|folder| files(folder, ".rs"));
    let mut cited = 0;
    for file in sources.filter(|file| !Path::new(file).ends_with("documents.rs")) {
        let text = fs::read_to_string(&file).unwrap();
        for rest in text.split("facts ").skip(1) {
            let number =
                rest.split(|c: char| !c.is_ascii_alphanumeric() && c != '.').next().unwrap_or_default();
            let number = number.trim_end_matches('.');
            if number.chars().any(|c| c.is_ascii_digit()) {
                cited += 1;
                assert!(told.contains(number), "{} cites facts {number}", file.display());
            }
        }
    }
    assert!(cited > 15, "{cited} citations: are these all?");
}

/// `a/{b,c}.rs` -> `a/b.rs`, `a/c.rs`.
fn expanded(name: &str) -> Vec<String> {
    let braces = name.split_once('{').and_then(|(head, rest)| Some((head, rest.split_once('}')?)));
    match braces {
        Some((head, (inner, tail))) => inner.split(',').map(|one| format!("{head}{one}{tail}")).collect(),
        None => vec![name.to_owned()],
    }
}

#[test]
fn every_file_that_the_rule_table_and_the_architecture_name_is_there() {
    let mut named = 0;
    for document in ["README.md", "docs/architecture.md"] {
        let text = fs::read_to_string(root().join(document)).unwrap();
        let names = text.split('`').skip(1).step_by(2);
        let names = names.filter(|name| name.ends_with(".rs") && name.contains('/'));
        for name in names.flat_map(expanded) {
            let folders = ["", "actors/src", "actors/tests"];
            let somewhere = folders.iter().any(|folder| root().join(folder).join(&name).exists());
            assert!(somewhere, "{document} names {name}");
            named += 1;
        }
    }
    assert!(named > 20, "{named} names: are these all?");
}

/// Of each row "`name` in `file`", and the prefixes of tests: `r3_*`.
#[test]
fn every_function_and_every_test_prefix_of_the_rule_tables_is_there() {
    let mut tests = String::new();
    for folder in ["actors", "src", "tests"] {
        files(folder, ".rs").iter().for_each(|file| tests.push_str(&fs::read_to_string(file).unwrap()));
    }
    let (mut functions, mut prefixes) = (0, 0);
    for document in ["README.md", "docs/architecture.md"] {
        let text = fs::read_to_string(root().join(document)).unwrap();
        for row in text.lines().filter(|line| line.starts_with("| R") || line.contains("live.rs`")) {
            let parts: Vec<&str> = row.split('`').collect();
            for (at, name) in parts.iter().enumerate().skip(1).step_by(2) {
                if let Some(prefix) = name.strip_suffix('*') {
                    assert!(tests.contains(&format!("fn {prefix}")), "{document}: no test begins {prefix}");
                    prefixes += 1;
                }
                if parts.get(at + 1) == Some(&" in ") {
                    let (name, file) = (name.rsplit("::").next().unwrap(), parts[at + 2]);
                    let folders = ["", "actors/src"].map(|folder| root().join(folder).join(file));
                    let code = folders.iter().find_map(|path| fs::read_to_string(path).ok());
                    let code = code.unwrap_or_else(|| panic!("{document} names {file}"));
                    let defined = ["fn", "struct", "enum"].iter().any(|kind| {
                        [" ", "(", "<", ";"].iter().any(|end| code.contains(&format!("{kind} {name}{end}")))
                    });
                    assert!(defined, "{document}: {file} has no {name}");
                    functions += 1;
                }
            }
        }
    }
    assert!(functions > 20 && prefixes > 40, "{functions} functions, {prefixes} prefixes: are these all?");
}

/// With `UPDATE` in the environment, it is written anew.
#[test]
fn the_page_of_events_is_the_table_of_events() {
    let (file, page) = (root().join("docs/events.md"), actors::events::page());
    if std::env::var_os("UPDATE").is_some() {
        fs::write(&file, &page).unwrap();
    }
    assert!(fs::read_to_string(file).unwrap() == page, "UPDATE=1 cargo test --test house writes it");
}

#[test]
fn every_event_of_the_table_is_emitted_and_no_line_is_logged_beside_it() {
    let (mut code, mut table) = (String::new(), BTreeSet::new());
    let sources = ["actors/src", "src"].into_iter().flat_map(|folder| files(folder, ".rs"));
    for file in sources.filter(|file| !file.ends_with("tests.rs")) {
        let text = fs::read_to_string(&file).unwrap();
        let live = text.split("\n#[cfg(test)]").next().unwrap_or_default();
        if file.to_string_lossy().contains("src/events/") {
            let rows = live.lines().filter(|line| line.ends_with(']') && line.contains(" \""));
            table.extend(rows.filter_map(|row| row.split_whitespace().next()).map(str::to_owned));
            code.push_str(live);
            continue;
        }
        for level in ["error", "warn", "info"] {
            assert!(!live.contains(&format!("{level}!(")), "{file:?} logs beside the table of events");
        }
        code.push_str(live);
    }
    let code = code.split_whitespace().collect::<String>().replace("emit!{", "emit!(");
    assert!(table.len() > 25, "{table:?}");
    for event in table {
        assert!(code.contains(&format!("emit!({event}")), "{event} is not emitted anywhere");
    }
}

/// The first table below this heading, as it stands there.
fn table<'a>(text: &'a str, heading: &str) -> &'a str {
    let (_, after) = text.split_once(&format!("\n{heading}\n")).unwrap();
    let after = &after[after.find("\n|").unwrap() + 1..];
    &after[..after.find("\n\n").unwrap()]
}

#[test]
fn what_the_readme_says_of_its_speed_is_what_the_bench_has_seen() {
    let (readme, results) = (root().join("README.md"), root().join("bench/RESULTS.md"));
    let (text, results) = (fs::read_to_string(&readme).unwrap(), fs::read_to_string(results).unwrap());
    let (shown, seen) = (table(&text, "## How fast"), table(&results, "## Targets"));
    if std::env::var_os("UPDATE").is_some() {
        return fs::write(readme, text.replace(shown, seen)).unwrap();
    }
    assert_eq!(shown, seen, "UPDATE=1 takes it over");
}
