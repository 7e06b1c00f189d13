//! The reference of all keys, written from the same declarations that read them.

use std::fmt::Write as _;

use kalmind_session::Preset;

use super::{
    Configuration,
    reader::join,
    rule::Rule,
    setting::Setting as _,
    shape::{KeyInfo, Shape, TableInfo},
};

const INTRODUCTION: &str = "\
# Configuration

Kalmind reads one TOML file. Every key may be left out unless it says *required*; units are part of the names (`_ms`,
`_hz`, `_s`). An unknown key, a value of the wrong type or out of range, and keys that contradict each other are
errors; all of them are reported at once, each with line and column. No environment variable changes behaviour, except
`LSLAPICFG`, which wins over `[lsl]` and is shown at start.

`config/features.toml` lists every key as a comment with its default, ready to be changed.

This page is generated from the declarations by which the program reads the file, so the two cannot differ.
";

const PRESETS_INTRODUCTION: &str = "\
# Presets

A preset is what a session does, block by block: one TOML file. Those that come with Kalmind are in `config/presets/`, each
with a comment that says what it follows; they are built in, and called by name. Write your own beside them and give its path
in place of a name. Every key may be left out unless it says *required*; units are part of the names (`_s`). All problems
of a file are reported at once, each with line and column. What tasks there are, their options and what is computed of
them: [tasks.md](tasks.md).

This page is generated from the declarations by which the program reads the files, so the two cannot differ.
";

/// A key of the configuration, for whatever lists them all.
#[derive(Clone, Debug, PartialEq)]
pub struct DocumentedKey {
    /// The table's path (`output.lsl`); empty at the top of the file.
    pub table: String,
    /// The key's name.
    pub name: String,
    /// The line that opens its table in a file; empty at the top of the file.
    pub heading: String,
    /// What a value looks like.
    pub kind: String,
    /// The numbers that it may be, both ends included, where it is one and not every one is allowed.
    pub range: Option<(f64, f64)>,
    /// The default as it would stand in the file; none where it is not a constant.
    pub default: Option<String>,
}

/// The text of `docs/configuration.md`: every table and key with its meaning, type, range and default.
pub fn reference() -> String {
    let mut text = INTRODUCTION.to_owned();
    let Shape::Table(root) = Configuration::shape() else { return text };
    section(&mut text, "", "## At the top of the file", root);
    text
}

/// The text of `docs/presets.md`, likewise.
pub fn presets_reference() -> String {
    let mut text = PRESETS_INTRODUCTION.to_owned();
    let Shape::Table(root) = Preset::shape() else { return text };
    section(&mut text, "", "## At the top of the file", root);
    text
}

/// Every key that holds a value, in the order of the reference; keys of a free table (`[task.markers]`) under its path.
pub fn documented_keys() -> Vec<DocumentedKey> {
    let mut keys = Vec::new();
    if let Shape::Table(root) = Configuration::shape() {
        collect(&mut keys, "", "", root);
    }
    keys
}

fn collect(keys: &mut Vec<DocumentedKey>, path: &str, heading: &str, table: &TableInfo) {
    for key in table.keys() {
        let inner_path = join(path, key.name);
        match (key.shape)() {
            Shape::Value => keys.push(DocumentedKey {
                table: path.to_owned(),
                name: key.name.to_owned(),
                heading: heading.to_owned(),
                kind: (key.kind)(),
                range: match (key.rule)() {
                    Rule::Between(low, high) => Some((low, high)),
                    _ => None,
                },
                default: (key.default)().map(|value| value.to_string()),
            }),
            Shape::Table(inner) => collect(keys, &inner_path, &format!("[{inner_path}]"), inner),
            Shape::Tables(inner) => collect(keys, &inner_path, &format!("[[{inner_path}]]"), inner),
            Shape::Map(inner) => collect(keys, &inner_path, &format!("[{inner_path}.\"a\"]"), inner),
        }
    }
}

fn section(text: &mut String, path: &str, heading: &str, table: &TableInfo) {
    let _infallible = write!(text, "\n{heading}\n\n{}\n", prose(table.about));
    if table.keys().iter().any(|key| matches!((key.shape)(), Shape::Value)) {
        text.push_str("\n| key | meaning | value | default |\n|---|---|---|---|\n");
    }
    for key in table.keys() {
        if matches!((key.shape)(), Shape::Value) {
            row(text, key);
        }
    }
    for key in table.keys() {
        let inner_path = join(path, key.name);
        match (key.shape)() {
            Shape::Value => {}
            Shape::Table(inner) | Shape::Map(inner) => {
                section(text, &inner_path, &format!("## `[{inner_path}]`"), inner);
            }
            Shape::Tables(inner) => section(text, &inner_path, &format!("## `[[{inner_path}]]`"), inner),
        }
    }
}

fn row(text: &mut String, key: &KeyInfo) {
    let mut value = (key.kind)();
    if let Some(rule) = (key.rule)().documented(key.name) {
        let _infallible = write!(value, ", {rule}");
    }
    let default = match ((key.default)(), key.otherwise) {
        _ if key.required => "*required*".to_owned(),
        (_, Some(otherwise)) => otherwise.to_owned(),
        (Some(value), None) => format!("`{value}`"),
        (None, None) => "none".to_owned(),
    };
    let cells = [format!("`{}`", key.name), prose(key.about), value, default];
    let _infallible = writeln!(text, "| {} |", cells.map(|cell| cell.replace('|', "\\|")).join(" | "));
}

fn prose(lines: &[&str]) -> String {
    lines.iter().map(|line| line.trim()).collect::<Vec<_>>().join(" ")
}
