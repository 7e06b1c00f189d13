//! Reads tables against their documented keys and gathers every problem on the way.

use std::{
    collections::{BTreeMap, BTreeSet},
    ops::Range,
};

use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

use super::{
    problem::Problem,
    rule::{Rule, unit_of},
    secret::may_be_secret,
    shape::{KeyInfo, TableInfo},
};

/// How alike two names must be (Jaro-Winkler, 0 to 1) for one to be offered in place of the other.
pub(super) const ALIKE: f64 = 0.78;
/// From here on it is offered even where the name as it stands belongs to another table.
const SURELY_ALIKE: f64 = 0.9;

/// Where a key stands in the file, in bytes.
#[derive(Clone, Debug)]
pub(super) struct Place {
    /// The key, or the heading of a table.
    pub(super) key: Range<usize>,
    /// The value.
    pub(super) value: Range<usize>,
}

/// Where every key that the file gives stands, by path (`bins.bin_ms`, `stream[0].rate_hz`).
pub(super) type Places = BTreeMap<String, Place>;

/// Gathers problems and places while the tables are read.
#[derive(Debug)]
pub(super) struct Reader {
    root: &'static TableInfo,
    pub(super) problems: Vec<Problem>,
    pub(super) places: Places,
    /// Paths whose values are not known, because what stands there is wrong and reported.
    pub(super) spoiled: BTreeSet<String>,
    path: String,
}

impl Reader {
    pub(super) fn new(root: &'static TableInfo) -> Self {
        Self {
            root,
            problems: Vec::new(),
            places: Places::new(),
            spoiled: BTreeSet::new(),
            path: String::new(),
        }
    }

    /// Where in the configuration the reading stands (`stream[0].rate_hz`).
    pub(super) fn path(&self) -> &str {
        &self.path
    }

    /// The name of the key that is being read.
    pub(super) fn key_name(&self) -> &'static str {
        let name = self.path.rsplit('.').next().unwrap_or_default();
        let name = name.split('[').next().unwrap_or_default();
        known_keys(self.root, "").into_iter().find(|(_, key)| *key == name).map_or("", |(_, key)| key)
    }

    /// Goes one step down the path; [`leave`](Self::leave) takes what it returns.
    pub(super) fn enter(&mut self, step: &str, key: Range<usize>, value: Range<usize>) -> usize {
        let outer = self.path.len();
        let step = if self.path.is_empty() { step.trim_start_matches('.') } else { step };
        self.path.push_str(step);
        self.places.insert(self.path.clone(), Place { key, value });
        outer
    }

    /// Goes back up to where `enter` was called.
    pub(super) fn leave(&mut self, outer: usize) {
        self.path.truncate(outer);
    }

    /// The keys of a table, once the unknown ones among them are reported.
    pub(super) fn open<'v, 'i>(
        &mut self,
        value: &'v Spanned<DeValue<'i>>,
        info: &TableInfo,
    ) -> Option<&'v DeTable<'i>> {
        let DeValue::Table(table) = value.get_ref() else {
            return self.wrong_type(value, "table");
        };
        self.report_unknown_keys(table, info);
        Some(table)
    }

    /// Reports the keys of `table` that are not in `info`, each with the nearest one that is.
    pub(super) fn report_unknown_keys(&mut self, table: &DeTable<'_>, info: &TableInfo) {
        for key in table.keys() {
            let name = key.get_ref().as_ref();
            if !info.keys().iter().any(|known| known.name == name) {
                let title = format!("unknown key {} in {}", quoted(name), heading(&self.path));
                let help = self.help_for_unknown(name, info);
                let (_, meant) = nearest(name, info);
                self.spoiled.extend([join(&self.path, name), join(&self.path, meant)]);
                self.problems.push(Problem::new(key.span(), title, "not a key of this table", help));
            }
        }
    }

    fn help_for_unknown(&self, name: &str, info: &TableInfo) -> String {
        if self.path == "subject" && name.contains("name") {
            return "a recording never holds a name; use `code` for what the laboratory calls the participant"
                .to_owned();
        }
        let (likeness, nearest) = nearest(name, info);
        match known_keys(self.root, "").into_iter().find(|(_, key)| *key == name) {
            _ if likeness >= SURELY_ALIKE => format!("did you mean `{nearest}`?"),
            Some((table, key)) => format!("`{key}` belongs to {}", heading(&table)),
            None if likeness >= ALIKE => format!("did you mean `{nearest}`?"),
            None => {
                let all: Vec<&str> = info.keys().iter().map(|known| known.name).collect();
                format!("the nearest key is `{nearest}`; known here: {}", all.join(", "))
            }
        }
    }

    /// Reports that a key which has to be given is not.
    pub(super) fn report_missing(&mut self, info: &KeyInfo) {
        let span = self.places.get(&self.path).map_or(0..0, |place| place.key.clone());
        let title = format!("missing key `{}` in {}", info.name, heading(&self.path));
        let help = format!("add {} = ({})", info.name, (info.kind)());
        self.problems.push(Problem::new(span, title, "this key is required here", help));
        self.spoiled.insert(join(&self.path, info.name));
    }

    /// Reports a value of the wrong type; always none.
    pub(super) fn wrong_type<T>(&mut self, value: &Spanned<DeValue<'_>>, wanted: &str) -> Option<T> {
        let title = format!("{} has the wrong type", self.subject());
        let found = self.found(value.get_ref());
        self.spoil(Problem::new(value.span(), title, found, format!("expected: {wanted}")));
        None
    }

    /// Reports a value of the right type that is not allowed; always none.
    pub(super) fn refuse<T>(
        &mut self,
        value: &Spanned<DeValue<'_>>,
        objection: &str,
        wanted: &str,
    ) -> Option<T> {
        let title = format!("{} {objection}", self.subject());
        let found = self.found(value.get_ref());
        self.spoil(Problem::new(value.span(), title, found, format!("expected: {wanted}")));
        None
    }

    /// Reports what is wrong with a part of the value that is being read; always none.
    pub(super) fn refuse_at<T>(
        &mut self,
        span: Range<usize>,
        title: impl Into<String>,
        found: impl Into<String>,
        help: impl Into<String>,
    ) -> Option<T> {
        self.spoil(Problem::new(span, title, found, help));
        None
    }

    /// Whether the rule allows a number; one that it does not allow is reported.
    pub(super) fn number_in_range(&mut self, value: &Spanned<DeValue<'_>>, rule: &Rule, number: f64) -> bool {
        if rule.allows(number) {
            return true;
        }
        let key = self.key_name();
        let title = format!("{} is out of range", self.subject());
        let found = format!("found {number}{}", unit_of(key));
        let help = format!("expected: {}", rule.wanted(key));
        self.spoil(Problem::new(value.span(), title, found, help));
        false
    }

    /// What stands there, unless it may be a secret.
    fn found(&self, value: &DeValue<'_>) -> String {
        found_at(self.path.rsplit('.').next().unwrap_or_default(), value)
    }

    /// Reports that the value under the path is not known.
    fn spoil(&mut self, problem: Problem) {
        self.problems.push(problem);
        self.spoiled.insert(self.path.clone());
    }

    fn subject(&self) -> String {
        if self.path.is_empty() { "the file".to_owned() } else { format!("`{}`", shortened(&self.path, 80)) }
    }
}

/// What stands under a key, unless it may be a secret.
pub(super) fn found_at(key: &str, value: &DeValue<'_>) -> String {
    let is_text_with_one = matches!(value, DeValue::String(text) if text.to_lowercase().contains("token"));
    if may_be_secret(key) || is_text_with_one {
        return "found text, not shown because it may be a secret".to_owned();
    }
    format!("found {}", described(value))
}

/// Every known key as (path of its table, name), depth first.
fn known_keys(table: &'static TableInfo, path: &str) -> Vec<(String, &'static str)> {
    let mut known = Vec::new();
    for key in table.keys() {
        known.push((path.to_owned(), key.name));
        if let Some(inner) = (key.shape)().table() {
            known.extend(known_keys(inner, &join(path, key.name)));
        }
    }
    known
}

/// The key of a table that is most like `name`, and how like it is, 0 to 1.
fn nearest(name: &str, info: &TableInfo) -> (f64, &'static str) {
    most_alike(name, info.keys().into_iter().map(|known| known.name)).unwrap_or((0.0, ""))
}

/// Which of some names is most like `name`, and how like it is, 0 to 1.
pub(super) fn most_alike<'a>(name: &str, names: impl Iterator<Item = &'a str>) -> Option<(f64, &'a str)> {
    let likeness = |known: &'a str| (strsim::jaro_winkler(known, name), known);
    names.map(likeness).max_by(|one, other| one.0.total_cmp(&other.0))
}

/// The path of a key in the table at `path`.
pub(super) fn join(path: &str, name: &str) -> String {
    if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") }
}

/// How a table is named to people.
fn heading(path: &str) -> String {
    if path.is_empty() { "the top of the file".to_owned() } else { format!("[{}]", shortened(path, 80)) }
}

/// A value, short enough for one line.
fn described(value: &DeValue<'_>) -> String {
    match value {
        DeValue::String(text) => format!("the text {}", quoted(text)),
        DeValue::Integer(integer) => format!("the whole number {}", shortened(&integer.to_string(), 40)),
        DeValue::Float(float) => format!("the number {}", shortened(&float.to_string(), 40)),
        DeValue::Boolean(flag) => format!("{flag}"),
        DeValue::Datetime(_) => "a date or time".to_owned(),
        DeValue::Array(elements) => format!("a list of {}", elements.len()),
        DeValue::Table(_) => "a table".to_owned(),
    }
}

/// A text in quotes, with what cannot be printed escaped, and short.
pub(super) fn quoted(text: &str) -> String {
    format!("{:?}", shortened(text, 40))
}

/// At most `most` characters of a text.
fn shortened(text: &str, most: usize) -> String {
    if text.chars().count() <= most {
        return text.to_owned();
    }
    text.chars().take(most.saturating_sub(3)).chain("...".chars()).collect()
}
