//! How a command fails: one error chain for people, one exit code for programs.

use std::fmt;

/// What went wrong, by exit code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FailureKind {
    /// The work failed (1).
    Work,
    /// Bad usage or configuration (2).
    Usage,
    /// Input stream problem (3).
    Stream,
}

/// A failed command: the error chain and the exit code it ends with.
#[derive(Debug)]
pub struct Failure {
    kind: FailureKind,
    error: anyhow::Error,
}

/// What every command returns.
pub type Outcome<T> = Result<T, Failure>;

impl Failure {
    /// The process's exit code.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        match self.kind {
            FailureKind::Work => 1,
            FailureKind::Usage => 2,
            FailureKind::Stream => 3,
        }
    }
}

impl Failure {
    /// The same, with the file that it is about in front, where it does not name it itself.
    #[must_use]
    pub(crate) fn about(self, file: &std::path::Path) -> Self {
        let (file, text) = (file.display().to_string(), self.to_string());
        if text.contains(&file) {
            return self;
        }
        Self { kind: self.kind, error: anyhow::anyhow!("{file}: {text}") }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        // an error that shows its cause in its own text, as those of files do, is not said twice
        let mut said = String::new();
        for error in self.error.chain() {
            let text = error.to_string();
            if said.is_empty() {
                said = text;
            } else if !said.contains(&text) {
                said.push_str(": ");
                said.push_str(&text);
            }
        }
        formatter.write_str(&said)
    }
}

/// Says which exit code an error ends the program with.
pub trait OrFail<T> {
    /// The work failed: exit code 1.
    ///
    /// # Errors
    /// The error, with that code.
    fn or_work(self) -> Outcome<T>;
    /// Bad usage or configuration: exit code 2.
    ///
    /// # Errors
    /// The error, with that code.
    fn or_usage(self) -> Outcome<T>;
    /// Input stream problem: exit code 3.
    ///
    /// # Errors
    /// The error, with that code.
    fn or_stream(self) -> Outcome<T>;
}

impl<T, E: Into<anyhow::Error>> OrFail<T> for Result<T, E> {
    fn or_work(self) -> Outcome<T> {
        self.map_err(|error| Failure { kind: FailureKind::Work, error: error.into() })
    }

    fn or_usage(self) -> Outcome<T> {
        self.map_err(|error| Failure { kind: FailureKind::Usage, error: error.into() })
    }

    fn or_stream(self) -> Outcome<T> {
        self.map_err(|error| Failure { kind: FailureKind::Stream, error: error.into() })
    }
}
