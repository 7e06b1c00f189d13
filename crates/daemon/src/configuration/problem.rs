//! What is wrong with a configuration, where, and what would be right.

use std::{fmt, ops::Range};

use annotate_snippets::{AnnotationKind, Level, Renderer, Snippet};

/// One problem of a configuration file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    pub(super) span: Range<usize>,
    pub(super) title: String,
    pub(super) found: String,
    pub(super) help: String,
    pub(super) line: usize,
    pub(super) column: usize,
}

impl Problem {
    pub(super) fn new(
        span: Range<usize>,
        title: impl Into<String>,
        found: impl Into<String>,
        help: impl Into<String>,
    ) -> Self {
        Self { span, title: title.into(), found: found.into(), help: help.into(), line: 1, column: 1 }
    }

    /// Line of the file, counted from 1.
    pub fn line(&self) -> usize {
        self.line
    }

    /// Column in that line, in characters, counted from 1.
    pub fn column(&self) -> usize {
        self.column
    }

    /// What is wrong, in one sentence that names the key.
    pub fn title(&self) -> &str {
        &self.title
    }

    /// What stands there; empty where there is nothing to show.
    pub fn found(&self) -> &str {
        &self.found
    }

    /// What would be right.
    pub fn help(&self) -> &str {
        &self.help
    }

    /// The bytes of the file's text that it is about.
    pub fn span(&self) -> Range<usize> {
        self.span.clone()
    }
}

/// Everything that is wrong with a configuration file, in the order of the file; at least one problem.
///
/// `Display` shows each with file, line, column and a caret, without colours;
/// [`render`](Self::render) also with them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigurationErrors {
    file_name: String,
    text: String,
    problems: Vec<Problem>,
}

impl ConfigurationErrors {
    /// Puts the problems in order and works out where each one stands in `text`, of which `shown` is kept.
    pub(super) fn new(file_name: &str, text: &str, shown: String, mut problems: Vec<Problem>) -> Self {
        problems.sort_by_key(|problem| problem.span.start);
        problems.dedup();
        for problem in &mut problems {
            problem.span = one_line_of(text, &problem.span);
            let before = text.get(..problem.span.start).unwrap_or_default();
            problem.line = before.matches('\n').count() + 1;
            problem.column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
        }
        Self { file_name: file_name.to_owned(), text: shown, problems }
    }

    /// The file could not be read, so there is nothing to point at.
    pub(super) fn unreadable(file_name: &str, reason: &str, help: &str) -> Self {
        let problem = Problem::new(0..0, "cannot read the configuration", reason, help);
        Self { file_name: file_name.to_owned(), text: String::new(), problems: vec![problem] }
    }

    /// The problems, in the order of the file.
    pub fn problems(&self) -> &[Problem] {
        &self.problems
    }

    /// The file's name, as it was given.
    pub fn file_name(&self) -> &str {
        &self.file_name
    }

    /// The text for people; `styled` adds colours for a terminal.
    pub fn render(&self, styled: bool) -> String {
        let renderer = if styled { Renderer::styled() } else { Renderer::plain() };
        let mut text = String::new();
        for problem in &self.problems {
            let report = if self.text.is_empty() {
                let place = format!("{}:{}:{}", self.file_name, problem.line, problem.column);
                let title = format!("{}: {}", problem.title, problem.found);
                let group = Level::ERROR
                    .primary_title(title)
                    .element(Level::NOTE.message(place))
                    .element(Level::HELP.message(problem.help.as_str()));
                renderer.render(&[group])
            } else {
                let caret = AnnotationKind::Primary.span(problem.span.clone()).label(problem.found.as_str());
                let snippet =
                    Snippet::source(self.text.as_str()).path(self.file_name.as_str()).annotation(caret);
                let group = Level::ERROR
                    .primary_title(problem.title.as_str())
                    .element(snippet)
                    .element(Level::HELP.message(problem.help.as_str()));
                renderer.render(&[group])
            };
            text.push_str(&report);
            text.push_str("\n\n");
        }
        let count = self.problems.len();
        let plural = if count == 1 { "problem" } else { "problems" };
        text + &format!("{count} {plural} in {}", self.file_name)
    }
}

impl fmt::Display for ConfigurationErrors {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.render(false))
    }
}

impl std::error::Error for ConfigurationErrors {}

/// `span` cut to the text, to whole characters, and to its first line, so that a caret never covers half a file.
fn one_line_of(text: &str, span: &Range<usize>) -> Range<usize> {
    let start = text.floor_char_boundary(span.start.min(text.len()));
    let end = text.ceil_char_boundary(span.end.clamp(start, text.len()));
    let line = text.get(start..end).unwrap_or_default();
    let length = line.find('\n').unwrap_or(line.len());
    let length = line.get(..length).unwrap_or_default().trim_end().len();
    start..start + length
}
