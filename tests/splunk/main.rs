//! The Splunk app in splunk/: it names only what the log has, and its searches find what they should in recorded lines.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod app;
mod expr;
mod spl;

use app::{APP, Stanzas, anchor_is_there, dashboard, expanded, read, stanzas};
use expr::Row;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;

/// What Splunk adds to each event, and what every line has. `time` and `epoch` are not in what HEC takes: `_time` is.
const EVERYWHERE: [&str; 7] = ["_time", "host", "index", "sourcetype", "level", "event", "message"];
/// By the lookup.
const LOOKED_UP: [&str; 2] = ["meaning", "remedy"];

/// The lines of an agent that were recorded in a run of `make test-lio`, under the name of their file as their host.
fn recorded(name: &str) -> Vec<Row> {
    let text =
        fs::read_to_string(format!("{}/tests/splunk/recorded/{name}.jsonl", env!("CARGO_MANIFEST_DIR")))
            .unwrap();
    let mut rows: Vec<Row> = text.lines().map(|line| indexed(name, line)).collect();
    rows.sort_by(|a, b| time(a).total_cmp(&time(b)));
    assert!(rows.len() > 5, "{name}: {} lines", rows.len());
    rows
}

/// A line as Splunk has it.
fn indexed(host: &str, line: &str) -> Row {
    let mut row: Row = serde_json::from_str(line).unwrap();
    row.insert("_time".to_owned(), row["epoch"].clone());
    for (field, value) in [("host", host), ("index", "main"), ("sourcetype", "sbps_marshal:json")] {
        row.insert(field.to_owned(), value.into());
    }
    let event = row["event"].clone();
    if let Some(event) = actors::events::all().find(|known| event == known.name) {
        row.insert("meaning".to_owned(), event.meaning.into());
        row.insert("remedy".to_owned(), event.remedy.into());
    }
    row
}

fn time(row: &Row) -> f64 {
    row["_time"].as_f64().unwrap()
}

fn alerts() -> Stanzas {
    let alerts = stanzas("default/savedsearches.conf");
    assert_eq!(alerts.len(), 4);
    alerts
}

/// What an alert finds in these lines, this many seconds after the last.
fn found(alert: &str, rows: &[Row], seconds: f64) -> Vec<Row> {
    let stanza = &alerts()[&format!("sbps-marshal: {alert}")];
    let earliest = match stanza["dispatch.earliest_time"].as_str() {
        "-15m" => 900.0,
        "-7d" => 7.0 * 86_400.0,
        other => panic!("{other} is no time here"),
    };
    let now = rows.iter().map(time).fold(0.0, f64::max) + seconds;
    let rows: Vec<Row> = rows.iter().filter(|row| time(row) >= now - earliest).cloned().collect();
    spl::run(&expanded(&stanza["search"]), &rows, now).0
}

/// Of the one row.
fn the_row(alert: &str, rows: &[Row], fields: &[&str]) -> Vec<String> {
    let found = found(alert, rows, 700.0);
    assert_eq!(found.len(), 1, "{alert}: {found:?}");
    fields
        .iter()
        .map(|field| found[0].get(*field).and_then(Value::as_str).unwrap_or_default().to_owned())
        .collect()
}

#[test]
fn every_search_names_only_events_and_fields_of_the_table() {
    let fields: BTreeSet<&str> = actors::events::all()
        .flat_map(|event| event.fields)
        .copied()
        .chain(EVERYWHERE)
        .chain(LOOKED_UP)
        .collect();
    let events: BTreeSet<&str> = actors::events::all().map(|event| event.name).collect();
    let saved = alerts().into_values().map(|alert| alert["search"].clone());
    let all: Vec<String> = saved.chain(dashboard()).collect();
    assert_eq!(all.len(), 4 + 5);
    for search in all {
        let (_, named) = spl::run(&expanded(&search), &[], 0.0);
        assert!(
            named.fields.len() > 3 && named.fields.iter().all(|field| fields.contains(&field[..])),
            "{search}: {named:?}"
        );
        assert!(named.events.iter().all(|event| events.contains(&event[..])), "{search}: {named:?}");
        assert!(!named.events.is_empty() || search.contains("level=error"), "{search}");
    }
}

#[test]
fn each_alert_is_described_scheduled_and_leads_to_what_should_be_done() {
    for (name, alert) in alerts() {
        let links: Vec<&str> =
            alert["description"].split(' ').filter(|word| word.starts_with("docs/")).collect();
        assert!(links.len() == 2 && links[0].starts_with("docs/events.md#"), "{name}: {links:?}");
        assert!(links.iter().all(|link| anchor_is_there(link)), "{name}: {links:?}");
        let expected = [
            ("enableSched", "1"),
            ("cron_schedule", "*/5 * * * *"),
            ("counttype", "number of events"),
            ("relation", "greater than"),
            ("quantity", "0"),
        ];
        expected.iter().for_each(|(key, value)| assert_eq!(alert[*key], *value, "{name}: {key}"));
        // Else every row of a result hides every other one.
        let columns = alert["search"].rsplit("| table ").next().unwrap();
        for field in alert["alert.suppress.fields"].split(',') {
            assert!(columns.split(' ').any(|column| column == field), "{name}: {field} is not in its rows");
        }
    }
}

#[test]
fn nothing_is_raised_by_a_worker_on_which_all_is_well_again() {
    for host in ["quiet", "confirmed", "all_resolved", "restarted"] {
        for alert in ["projection lost", "upstream unknown", "breaker open"] {
            assert_eq!(found(alert, &recorded(host), 700.0), [], "{host}: {alert}");
        }
    }
    for host in ["quiet", "confirmed", "all_resolved", "object_gone", "breaker_open"] {
        assert_eq!(found("image pending for 10 minutes", &recorded(host), 700.0), [], "{host}");
    }
}

#[test]
fn a_projection_is_lost_when_its_object_is_gone_or_its_file_leads_out_unless_an_operator_confirmed_it() {
    let fields = ["host", "event", "what", "reason"];
    let mut gone = recorded("object_gone");
    let image = "00000000-0000-4000-8000-000000000000";
    assert_eq!(
        the_row("projection lost", &gone, &fields),
        ["object_gone", "lun_removed", image, "object_gone"]
    );
    let escaped = the_row("projection lost", &recorded("escaped"), &fields);
    assert_eq!(escaped, ["escaped", "export_escapes", "PE/replaced.squashfs", "escapes"]);

    let removed = gone.iter().find(|row| row["event"] == "lun_removed").unwrap().clone();
    assert_eq!(found("projection lost", &gone, 1000.0), [], "it is told once");
    gone.push(Row::from_iter(
        [("event".to_owned(), "confirmed".into())].into_iter().chain(
            ["_time", "host", "scan_id", "index", "sourcetype"]
                .map(|field| (field.to_owned(), removed[field].clone())),
        ),
    ));
    gone.sort_by(|a, b| time(a).total_cmp(&time(b)));
    assert_eq!(found("projection lost", &gone, 700.0), []);
}

#[test]
fn an_upstream_is_unknown_until_it_has_answered() {
    let fields = ["host", "subject", "reason"];
    assert_eq!(
        the_row("upstream unknown", &recorded("mount_unknown"), &fields),
        ["mount_unknown", "mount", "not_mounted"]
    );
    let all = recorded("all_resolved");
    let first_pass: Vec<Row> =
        all.into_iter().filter(|row| row.get("scan_id").is_none_or(|id| id == 1)).collect();
    let unknown: Vec<_> =
        found("upstream unknown", &first_pass, 0.0).iter().map(|row| row["subject"].clone()).collect();
    assert_eq!(unknown, ["ims", "mount", "s3"]);
}

#[test]
fn the_breaker_is_open_until_the_code_is_confirmed_or_no_longer_due() {
    let open = the_row("breaker open", &recorded("breaker_open"), &["host", "code"]);
    assert_eq!(open, ["breaker_open", "43be1097"]);
    let held: Vec<Row> = recorded("confirmed")
        .into_iter()
        .filter(|row| row.get("scan_id").is_none_or(|id| id != 5 && id != 6))
        .collect();
    assert_eq!(the_row("breaker open", &held, &["code"]), ["0601cdf8"]);
}

#[test]
fn an_image_is_told_once_it_has_been_pending_for_ten_minutes() {
    let pending = recorded("pending");
    assert_eq!(found("image pending for 10 minutes", &pending, 500.0), []);
    let found = found("image pending for 10 minutes", &pending, 700.0);
    let images: Vec<&Value> = found.iter().map(|row| &row["image_id"]).collect();
    assert_eq!(images, ["PE/a z.squashfs", "PE/a!z.squashfs"]);
    assert!(
        found.iter().all(|row| row["reason"] == "key_rejected" && row.contains_key("detail")),
        "{found:?}"
    );
}

#[test]
fn every_panel_of_the_dashboard_shows_something_of_the_recorded_workers() {
    let hosts = ["quiet", "object_gone", "breaker_open", "mount_unknown", "pending", "escaped", "confirmed"];
    let mut rows: Vec<Row> = hosts.into_iter().flat_map(recorded).collect();
    rows.sort_by(|a, b| time(a).total_cmp(&time(b)));
    let now = rows.last().map(time).unwrap();
    let shown: Vec<Vec<Row>> =
        dashboard().iter().map(|query| spl::run(&expanded(query), &rows, now).0).collect();
    let [workers, live, conditions, changes, errors] = &shown[..] else { panic!("{} panels", shown.len()) };
    assert_eq!((workers.len(), live.len()), (hosts.len(), hosts.len()));
    let held: BTreeSet<&str> = conditions.iter().filter_map(|row| row["condition"].as_str()).collect();
    let expected =
        ["export_escapes", "image_pending", "projection_drifted", "removals_held", "source_unknown"];
    assert_eq!(held.into_iter().collect::<Vec<_>>(), expected);
    assert!(changes.len() > 10 && changes.windows(2).all(|two| time(&two[0]) >= time(&two[1])));
    assert!(errors.len() > 3 && errors.iter().all(|row| row["remedy"].as_str().is_some()), "{errors:?}");
}

#[test]
fn the_app_is_of_this_version_and_reads_the_lines_as_they_are() {
    assert_eq!(stanzas("default/app.conf")["launcher"]["version"], env!("CARGO_PKG_VERSION"));
    let props = &stanzas("default/props.conf")["sbps_marshal:json"];
    let prefix = props["TIME_PREFIX"].trim_start_matches(['^', '\\']);
    for line in fs::read_to_string(format!("{APP}/../../tests/splunk/recorded/quiet.jsonl")).unwrap().lines()
    {
        let time = line.strip_prefix(prefix).unwrap_or_else(|| panic!("{line}"));
        assert_eq!(time.find('"'), Some(props["MAX_TIMESTAMP_LOOKAHEAD"].parse().unwrap()));
    }
    assert!(props["TRUNCATE"].parse::<usize>().unwrap() > 8 * 1024);
    let lookup = props["LOOKUP-meaning"].split(' ').next().unwrap();
    assert_eq!(stanzas("default/transforms.conf")[lookup]["filename"], "sbps_marshal_events.csv");
}

/// With `UPDATE` in the environment, it is written anew.
#[test]
fn the_lookup_is_the_table_of_events() {
    let mut lookup = String::from("event,meaning,remedy\n");
    for event in actors::events::all() {
        let quoted = [event.meaning, event.remedy].map(|text| text.replace('"', "\"\""));
        lookup += &format!("{},\"{}\",\"{}\"\n", event.name, quoted[0], quoted[1]);
    }
    let file = format!("{APP}/lookups/sbps_marshal_events.csv");
    if std::env::var_os("UPDATE").is_some() {
        fs::write(&file, &lookup).unwrap();
    }
    assert!(read("lookups/sbps_marshal_events.csv") == lookup, "UPDATE=1 cargo test --test splunk writes it");
}

#[test]
fn no_recorded_line_is_of_an_event_that_the_table_does_not_have() {
    let table: BTreeMap<&str, &[&str]> =
        actors::events::all().map(|event| (event.name, event.fields)).collect();
    for file in fs::read_dir(format!("{APP}/../../tests/splunk/recorded")).unwrap() {
        let path = file.unwrap().path();
        for line in fs::read_to_string(&path).unwrap().lines() {
            let object: BTreeMap<String, Value> = serde_json::from_str(line).unwrap();
            let fields = table[object["event"].as_str().unwrap()];
            let own = object
                .keys()
                .filter(|key| !["time", "epoch", "level", "event", "message"].contains(&&key[..]));
            own.for_each(|key| assert!(fields.contains(&&key[..]), "{}: {key} in {line}", path.display()));
        }
    }
}
