//! What is declared of tables and keys, apart from their values: what documents, errors and the reader go by.

use toml::Value;

use super::rule::Rule;

/// A documented table of the configuration: what its keys are.
#[derive(Debug)]
pub(super) struct TableInfo {
    /// What the table is for.
    pub(super) about: &'static [&'static str],
    /// Its keys and parts, in the order in which they are documented.
    pub(super) fields: &'static [KeyInfo],
}

impl TableInfo {
    /// The keys of the table, those of its parts among them.
    pub(super) fn keys(&self) -> Vec<&'static KeyInfo> {
        let mut keys = Vec::with_capacity(self.fields.len());
        for field in self.fields {
            match (field.shape)().table().filter(|_| field.is_part) {
                Some(part) => keys.extend(part.keys()),
                None => keys.push(field),
            }
        }
        keys
    }
}

/// A documented key of a table.
#[derive(Debug)]
pub(super) struct KeyInfo {
    /// Its name in the file.
    pub(super) name: &'static str,
    /// What it is for.
    pub(super) about: &'static [&'static str],
    /// What a value looks like.
    pub(super) kind: fn() -> String,
    /// Which values are allowed.
    pub(super) rule: fn() -> Rule,
    /// The value when the key is left out, where it is a constant.
    pub(super) default: fn() -> Option<Value>,
    /// What holds when the key is left out, where it is not a constant.
    pub(super) otherwise: Option<&'static str>,
    /// Whether it has to be given.
    pub(super) required: bool,
    /// Whether it is no key but a group of keys, which stand in the table beside the others.
    pub(super) is_part: bool,
    /// How it stands in the file.
    pub(super) shape: fn() -> Shape,
}

/// How a key stands in a file.
#[derive(Clone, Copy, Debug)]
pub(super) enum Shape {
    /// `key = value`.
    Value,
    /// `[key]`.
    Table(&'static TableInfo),
    /// `[[key]]`, any number of them.
    Tables(&'static TableInfo),
    /// `[key]` whose keys are free, each of them a table.
    Map(&'static TableInfo),
}

impl Shape {
    /// The table that the key is, if it is one.
    pub(super) fn table(self) -> Option<&'static TableInfo> {
        match self {
            Self::Value => None,
            Self::Table(table) | Self::Tables(table) | Self::Map(table) => Some(table),
        }
    }
}
