//! What a check found, and how people read it.

use std::fmt::Write as _;

use serde::Serialize;
use serde_json::{Map, Value};

/// How well something is; the later one is worse.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// As it should be.
    Ok,
    /// A session can be run; something may be slower, less certain or less safe than it could be.
    Warning,
    /// A session cannot be run, or will lose something.
    Problem,
}

impl Status {
    fn name(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Warning => "warning",
            Self::Problem => "problem",
        }
    }
}

/// What one check found.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Finding {
    /// What was tried.
    pub name: &'static str,
    /// How well it is.
    pub status: Status,
    /// What was found, in one or two sentences.
    pub found: String,
    /// What to do; none where all is well.
    pub remedy: Option<String>,
    /// Figures behind it, for programs.
    pub details: Map<String, Value>,
}

impl Finding {
    /// All is well.
    pub(super) fn ok(name: &'static str, found: impl Into<String>) -> Self {
        Self { name, status: Status::Ok, found: found.into(), remedy: None, details: Map::new() }
    }

    /// Something is not.
    pub(super) fn bad(
        name: &'static str,
        status: Status,
        found: impl Into<String>,
        remedy: impl Into<String>,
    ) -> Self {
        Self { name, status, found: found.into(), remedy: Some(remedy.into()), details: Map::new() }
    }

    /// With a figure for programs.
    pub(super) fn with(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.details.insert(name.to_owned(), value.into());
        self
    }
}

/// Columns of the text beside the names.
const WIDTH: usize = 92;
/// Columns of status and name.
const INDENT: usize = 26;

/// The findings as a table, and a last line that sums them up.
#[must_use]
pub fn table(findings: &[Finding]) -> String {
    let mut text = String::new();
    for finding in findings {
        let head = format!("{:<9} {:<15} ", finding.status.name(), finding.name);
        let remedy = finding.remedy.as_ref().map(|remedy| format!("What to do: {remedy}"));
        let lines = wrapped(&finding.found).into_iter().chain(remedy.iter().flat_map(|text| wrapped(text)));
        for (index, line) in lines.enumerate() {
            let lead = if index == 0 { head.as_str() } else { "" };
            // writing into a String cannot fail
            let _infallible = writeln!(text, "{lead:<INDENT$}{line}");
        }
    }
    let count = |status| findings.iter().filter(|finding| finding.status == status).count();
    let _infallible = match (count(Status::Problem), count(Status::Warning)) {
        (0, 0) => writeln!(text, "\nAll is well."),
        (0, warnings) => writeln!(text, "\nNo problem; {warnings} to look at."),
        (problems, warnings) => writeln!(text, "\nProblems: {problems}; warnings: {warnings}."),
    };
    text
}

/// `text` in lines of at most [`WIDTH`] characters, where its words allow that.
fn wrapped(text: &str) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split_whitespace() {
        let fits = lines.last().is_some_and(|line| line.chars().count() + 1 + word.chars().count() <= WIDTH);
        match lines.last_mut() {
            Some(line) if line.is_empty() => line.push_str(word),
            Some(line) if fits => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_worst_is_the_greatest() {
        assert_eq!([Status::Problem, Status::Ok, Status::Warning].iter().max(), Some(&Status::Problem));
    }

    #[test]
    fn long_texts_are_wrapped_and_every_word_is_kept() {
        let remedy = "word ".repeat(60);
        let text =
            table(&[Finding::ok("timer", "fine"), Finding::bad("disk", Status::Warning, "slow", remedy)]);
        assert!(text.lines().all(|line| line.chars().count() <= INDENT + WIDTH), "{text}");
        assert_eq!(text.matches("word").count(), 60);
        assert!(
            text.starts_with("ok        timer           fine\nwarning   disk            slow\n"),
            "{text}"
        );
        assert!(text.contains("What to do: word") && text.ends_with("No problem; 1 to look at.\n"), "{text}");
    }
}
