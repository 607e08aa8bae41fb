//! JSON values as YAML. Every string is quoted, and what is not plain ASCII in it is escaped: whatever the bucket holds, it
//! stays the one string that it is.

use serde_json::Value;
use std::fmt::Write;

const INDENT: usize = 2;

/// One document.
pub(super) fn document(value: &Value) -> String {
    let mut out = String::new();
    block(value, 0, &mut out);
    out
}

fn block(value: &Value, indent: usize, out: &mut String) {
    let Value::Object(fields) = value else { return };
    for (name, field) in fields {
        // Writing to a String cannot fail. Names are our own, and plain.
        let _ = match field {
            Value::Object(_) => writeln!(out, "{:indent$}{name}:", ""),
            field => writeln!(out, "{:indent$}{name}: {}", "", inline(field)),
        };
        block(field, indent + INDENT, out);
    }
}

fn inline(value: &Value) -> String {
    match value {
        Value::String(text) => quoted(text),
        Value::Array(entries) => format!("[{}]", entries.iter().map(inline).collect::<Vec<_>>().join(", ")),
        other => other.to_string(),
    }
}

fn quoted(text: &str) -> String {
    let mut out = String::from('"');
    for c in text.chars() {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            ' '..='~' => out.push(c),
            c => {
                // Writing to a String cannot fail.
                let _ = write!(out, "\\U{:08x}", u32::from(c));
            }
        }
    }
    out + "\""
}
