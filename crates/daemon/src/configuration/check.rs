//! What only shows when keys are seen together: conflicts, duplicates, and what needs something else. The checks stand with
//! their tables; this is what they are made of.

use std::{
    collections::{BTreeSet, HashMap},
    ops::Range,
};

use kalmind_acquisition::StreamSelector;

use super::{
    problem::Problem,
    reader::{Places, quoted},
};

/// Gathers conflicts between values that are right one by one. Values at or under a path in `spoiled` are not known, and
/// nothing is concluded from them.
pub(super) struct Conflicts<'a> {
    pub(super) places: &'a Places,
    pub(super) spoiled: &'a BTreeSet<String>,
    pub(super) problems: Vec<Problem>,
}

impl Conflicts<'_> {
    /// Where the value at `path` stands; the nearest table around it where it is not given.
    pub(super) fn value(&self, path: &str) -> Range<usize> {
        self.places.get(path).map_or_else(|| self.around(path), |place| place.value.clone())
    }

    /// Where the key at `path` stands, likewise.
    pub(super) fn key(&self, path: &str) -> Range<usize> {
        self.places.get(path).map_or_else(|| self.around(path), |place| place.key.clone())
    }

    fn around(&self, path: &str) -> Range<usize> {
        path.rsplit_once('.').map_or(0..0, |(outer, _)| self.key(outer))
    }

    pub(super) fn given(&self, path: &str) -> bool {
        self.places.contains_key(path)
    }

    /// Whether everything at and under these paths could be read.
    pub(super) fn known(&self, paths: &[&str]) -> bool {
        let under = |spoiled: &str, path: &str| {
            spoiled.strip_prefix(path).is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
                || path.strip_prefix(spoiled).is_some_and(|rest| rest.starts_with(['.', '[']))
        };
        !self.spoiled.iter().any(|spoiled| paths.iter().any(|path| under(spoiled, path)))
    }

    pub(super) fn at(
        &mut self,
        span: Range<usize>,
        title: impl Into<String>,
        found: &str,
        help: impl Into<String>,
    ) {
        self.problems.push(Problem::new(span, title, found, help));
    }

    /// Reports every name that stands in `named` (path, name) a second time.
    pub(super) fn duplicates(&mut self, what: &str, named: &[(String, String)], help: &str) {
        let mut first_of = HashMap::with_capacity(named.len());
        for (path, name) in named {
            let first = *first_of.entry(name).or_insert(path);
            if first != path {
                let title = format!("two {what} are called {}", quoted(name));
                let found = format!("the same as `{first}`");
                self.at(self.value(path), title, &found, help);
            }
        }
    }

    /// Reports a selector that says nothing.
    pub(super) fn selects(&mut self, path: &str, selector: &StreamSelector) {
        if *selector == StreamSelector::default() {
            self.at(
                self.key(path),
                format!("`{path}` does not say which stream it is"),
                "every stream would fit",
                "add at least one of `name`, `type`, `source_id`, `hostname`, `predicate`",
            );
        }
    }
}
