//! As much of Splunk's search language as the searches of splunk/ use; anything else panics. Rows come in the order of
//! their time, so the latest value is the last one.

use crate::expr::{Expr, Parser, Row, is_true, number, shown};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// What a search says of the log.
#[derive(Debug, Default)]
pub struct Named {
    /// Fields that it reads and has not made itself.
    pub fields: BTreeSet<String>,
    /// What it compares with the name of an event.
    pub events: BTreeSet<String>,
}

/// Runs a search at this time.
pub fn run(search: &str, rows: &[Row], now: f64) -> (Vec<Row>, Named) {
    let mut parser = Parser::new(search, now);
    let chosen = parser.terms();
    let mut rows: Vec<Row> = rows.iter().filter(|row| is_true(&chosen(row))).cloned().collect();
    while parser.takes("|") {
        rows = command(&mut parser, rows);
    }
    (rows, parser.end())
}

fn command(parser: &mut Parser, mut rows: Vec<Row>) -> Vec<Row> {
    match parser.word().as_str() {
        "where" => {
            let condition = parser.expr();
            rows.retain(|row| is_true(&condition(row)));
        }
        "eval" => loop {
            let name = parser.word();
            parser.wants("=");
            let value = parser.expr();
            rows.iter_mut().for_each(|row| put(row, &name, value(row)));
            parser.makes(&name);
            if !parser.takes(",") {
                break;
            }
        },
        "sort" => {
            parser.wants("-");
            let field = parser.word();
            rows.sort_by(|a, b| number(&b[&field]).total_cmp(&number(&a[&field])));
        }
        "table" => {
            let columns = parser.fields();
            rows.iter_mut().for_each(|row| row.retain(|column, _| columns.contains(column)));
        }
        "eventstats" => rows = with_sums(rows, &Sums::of(parser)),
        "stats" => rows = sums(parser, &rows),
        "timechart" => {
            // One bucket here; Splunk has one for each span.
            parser.word();
            parser.wants("=");
            parser.word();
            rows = sums(parser, &rows);
        }
        other => panic!("{other} is no command here"),
    }
    rows
}

/// `max(eval(...)) as started_at latest(pending) as pending_now by host`.
struct Sums {
    sums: Vec<(String, Expr, String)>,
    by: Vec<String>,
}

impl Sums {
    fn of(parser: &mut Parser) -> Sums {
        let mut sums = Vec::new();
        while !parser.takes("by") {
            let function = parser.word();
            parser.wants("(");
            parser.takes("eval");
            let value = parser.expr();
            parser.wants(")");
            let name = if parser.takes("as") { parser.word() } else { function.clone() };
            sums.push((function, value, name));
        }
        let by = parser.fields();
        sums.iter().for_each(|(_, _, name)| parser.makes(name));
        Sums { sums, by }
    }

    /// What lacks a field of the group is in none.
    fn group_of(&self, row: &Row) -> Option<Vec<String>> {
        self.by.iter().map(|field| row.get(field).map(shown)).collect()
    }

    fn groups<'a>(&self, rows: &'a [Row]) -> BTreeMap<Vec<String>, Vec<&'a Row>> {
        let mut groups: BTreeMap<_, Vec<&Row>> = BTreeMap::new();
        for row in rows {
            if let Some(group) = self.group_of(row) {
                groups.entry(group).or_default().push(row);
            }
        }
        groups
    }

    fn add(&self, row: &mut Row, group: &[&Row]) {
        for (function, value, name) in &self.sums {
            let mut values = group.iter().map(|row| value(row)).filter(|value| !value.is_null());
            let sum = match function.as_str() {
                "latest" => values.next_back(),
                "max" => values.max_by(|a, b| number(a).total_cmp(&number(b))),
                other => panic!("{other} is no function of stats here"),
            };
            put(row, name, sum.unwrap_or_default());
        }
    }
}

/// A row for each group.
fn sums(parser: &mut Parser, rows: &[Row]) -> Vec<Row> {
    let sums = Sums::of(parser);
    parser.leaves(&sums.by);
    let row = |group: Vec<&Row>| {
        let mut row: Row = sums.by.iter().map(|field| (field.clone(), group[0][field].clone())).collect();
        sums.add(&mut row, &group);
        row
    };
    sums.groups(rows).into_values().map(row).collect()
}

/// Every row, with what its group comes to.
fn with_sums(mut rows: Vec<Row>, sums: &Sums) -> Vec<Row> {
    let before = rows.clone();
    let groups = sums.groups(&before);
    for row in &mut rows {
        if let Some(group) = sums.group_of(row) {
            sums.add(row, &groups[&group]);
        }
    }
    rows
}

fn put(row: &mut Row, name: &str, value: Value) {
    match value.is_null() {
        true => row.remove(name),
        false => row.insert(name.to_owned(), value),
    };
}
