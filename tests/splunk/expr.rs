//! The expressions of a search: those of its first part, where words are values, and those of `where` and `eval`, where
//! they are fields.

use crate::spl::Named;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// An event, or what a search has made of some.
pub type Row = BTreeMap<String, Value>;

/// What comes of a row.
pub type Expr = Box<dyn Fn(&Row) -> Value>;

/// From the operator that binds least on.
const OPERATORS: &[&[&str]] = &[&["OR"], &["AND"], &["==", "!=", ">=", ">"], &["-"]];

/// A search as it is read, token by token. Quoted text keeps its first quote.
pub struct Parser {
    tokens: Vec<String>,
    at: usize,
    now: f64,
    made: BTreeSet<String>,
    /// Nothing is left but what the search has made.
    closed: bool,
    named: Named,
}

impl Parser {
    /// At its beginning.
    pub fn new(search: &str, now: f64) -> Parser {
        let (mut tokens, mut rest) = (Vec::new(), search.trim_start());
        let is_word = |c: char| c.is_alphanumeric() || "_:.*".contains(c);
        while let Some(first) = rest.chars().next() {
            let length = match first {
                '"' => rest[1..].find('"').expect("a closing quote") + 1,
                c if is_word(c) => rest.find(|c| !is_word(c)).unwrap_or(rest.len()),
                _ => 1 + usize::from(rest[1..].starts_with('=')),
            };
            tokens.push(rest[..length].to_owned());
            rest = &rest[length + usize::from(first == '"')..];
            rest = rest.trim_start();
        }
        Parser { tokens, at: 0, now, made: BTreeSet::new(), closed: false, named: Named::default() }
    }

    /// All has been read; what it names.
    pub fn end(self) -> Named {
        assert_eq!(self.tokens.get(self.at), None, "this is not understood");
        self.named
    }

    /// This token, if it is the next.
    pub fn takes(&mut self, token: &str) -> bool {
        let is_next = self.peeks(token);
        self.at += usize::from(is_next);
        is_next
    }

    /// This token must be the next.
    pub fn wants(&mut self, token: &str) {
        assert!(self.takes(token), "{token} is wanted before {:?}", self.tokens.get(self.at));
    }

    /// The next token.
    pub fn word(&mut self) -> String {
        self.at += 1;
        self.tokens.get(self.at - 1).expect("more").clone()
    }

    /// Names up to the next command.
    pub fn fields(&mut self) -> Vec<String> {
        let mut fields = Vec::new();
        while !self.peeks("|") && self.at < self.tokens.len() {
            fields.push(self.word());
            self.reads(&fields[fields.len() - 1].clone());
        }
        fields
    }

    /// From here on there is this column.
    pub fn makes(&mut self, column: &str) {
        self.made.insert(column.to_owned());
    }

    /// From here on there are only these, and what was made.
    pub fn leaves(&mut self, fields: &[String]) {
        self.made.extend(fields.iter().cloned());
        self.closed = true;
    }

    fn peeks(&self, token: &str) -> bool {
        self.tokens.get(self.at).is_some_and(|next| next == token)
    }

    fn reads(&mut self, field: &str) {
        if !self.made.contains(field) {
            assert!(!self.closed, "{field} is not there any more");
            self.named.fields.insert(field.to_owned());
        }
    }

    /// Of the first part: side by side is AND, which binds less than OR.
    pub fn terms(&mut self) -> Expr {
        let mut all = vec![self.alternatives()];
        while !self.peeks("|") && !self.peeks(")") && self.at < self.tokens.len() {
            all.push(self.alternatives());
        }
        Box::new(move |row| all.iter().all(|term| is_true(&term(row))).into())
    }

    fn alternatives(&mut self) -> Expr {
        let mut any = vec![self.term()];
        while self.takes("OR") {
            any.push(self.term());
        }
        Box::new(move |row| any.iter().any(|term| is_true(&term(row))).into())
    }

    fn term(&mut self) -> Expr {
        if self.takes("NOT") {
            return not(self.term());
        }
        if self.takes("(") {
            let inner = self.terms();
            self.wants(")");
            return inner;
        }
        let field = self.word();
        self.wants("=");
        let value = self.word();
        self.reads(&field);
        if matches!(field.as_str(), "event" | "was") {
            self.named.events.insert(value.clone());
        }
        Box::new(move |row| row.get(&field).is_some_and(|own| value == "*" || shown(own) == value).into())
    }

    /// Of `where` and `eval`.
    pub fn expr(&mut self) -> Expr {
        self.operators(OPERATORS)
    }

    fn operators(&mut self, levels: &'static [&'static [&'static str]]) -> Expr {
        let Some((own, tighter)) = levels.split_first() else { return self.value() };
        let mut left = self.operators(tighter);
        while let Some(sign) = own.iter().find(|sign| self.peeks(sign)) {
            let named = matches!(self.tokens[self.at - 1].as_str(), "event" | "state");
            self.at += 1;
            // A column `state` holds the name of an event.
            let event = self.tokens.get(self.at).and_then(|token| token.strip_prefix('"'));
            self.named.events.extend(event.filter(|_| named).map(str::to_owned));
            let (before, right) = (left, self.operators(tighter));
            left = Box::new(move |row| applied(sign, &before(row), &right(row)));
        }
        left
    }

    fn value(&mut self) -> Expr {
        if self.takes("NOT") {
            return not(self.value());
        }
        if self.takes("(") {
            let inner = self.expr();
            self.wants(")");
            return inner;
        }
        let word = self.word();
        if let Some(text) = word.strip_prefix('"').map(Value::from) {
            return Box::new(move |_| text.clone());
        }
        if let Ok(number) = word.parse::<f64>() {
            return Box::new(move |_| number.into());
        }
        if !self.takes("(") {
            self.reads(&word);
            return Box::new(move |row| row.get(&word).cloned().unwrap_or_default());
        }
        let (mut given, now) = (Vec::new(), self.now);
        while !self.takes(")") {
            given.push(self.expr());
            self.takes(",");
        }
        match (word.as_str(), given.len()) {
            ("now", 0) => Box::new(move |_| now.into()),
            ("if", 3) => Box::new(move |row| given[if is_true(&given[0](row)) { 1 } else { 2 }](row)),
            ("coalesce", 2) => Box::new(move |row| {
                Some(given[0](row)).filter(|v| !v.is_null()).unwrap_or_else(|| given[1](row))
            }),
            (_, count) => panic!("{word} of {count} values is no function here"),
        }
    }
}

fn not(value: Expr) -> Expr {
    Box::new(move |row| (!is_true(&value(row))).into())
}

fn applied(sign: &str, left: &Value, right: &Value) -> Value {
    let order = match (left.as_f64(), right.as_f64()) {
        (Some(left), Some(right)) => left.partial_cmp(&right),
        _ if left.is_string() && right.is_string() => Some(shown(left).cmp(&shown(right))),
        _ => None,
    };
    match sign {
        "AND" => (is_true(left) && is_true(right)).into(),
        "OR" => (is_true(left) || is_true(right)).into(),
        "-" => (number(left) - number(right)).into(),
        "==" => order.is_some_and(|order| order.is_eq()).into(),
        "!=" => order.is_some_and(|order| order.is_ne()).into(),
        ">=" => order.is_some_and(|order| order.is_ge()).into(),
        _ => order.is_some_and(|order| order.is_gt()).into(),
    }
}

/// A comparison that holds; nothing else is true.
pub fn is_true(value: &Value) -> bool {
    value.as_bool().unwrap_or_default()
}

/// A number, or it panics.
pub fn number(value: &Value) -> f64 {
    value.as_f64().unwrap_or_else(|| panic!("{value} is no number"))
}

/// As text.
pub fn shown(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}
