//! Why tables cannot be used.

use std::path::{Path, PathBuf};

use kalmind_recording::{RowCountMismatch, RowsError, TableError};
use kalmind_types::MAX_FEATURES;

use super::RecordedTablesError;

/// Why tables cannot be used together.
#[derive(Debug, thiserror::Error)]
pub enum TablesError {
    /// A file cannot be read.
    #[error(transparent)]
    Table(#[from] TableError),
    /// Lengths differ.
    #[error(transparent)]
    Rows(#[from] RowCountMismatch),
    /// A range of rows is no range, or not in the file.
    #[error("{option}: {file}{source}")]
    Range {
        /// The option.
        option: &'static str,
        /// The file and a colon, where there are several.
        file: String,
        /// What is wrong.
        source: RowsError,
    },
    /// No time and no rate.
    #[error(
        "{file} has no column of times (`time`, `timestamps`, `time_ms`, ..): say how many rows there are per second with --rate HZ"
    )]
    NoRate {
        /// The features' file.
        file: String,
    },
    /// A rate and times that disagree.
    #[error(
        "{file}: --rate {rate} means {rate_ms} ms from row to row, but the `time` column has {time_ms} ms (in seconds?): leave \
         --rate out, or correct the column"
    )]
    RateAgainstTime {
        /// The features' file.
        file: String,
        /// As given.
        rate: f64,
        /// What it means.
        rate_ms: f64,
        /// What the column says.
        time_ms: f64,
    },
    /// Two files whose times are not those of the same rows.
    #[error(
        "row {row} is at {first_time} s in {first} and at {second_time} s in {second}; the rows must be the same bins"
    )]
    TimesDiffer {
        /// The first row that differs.
        row: usize,
        /// A file.
        first: String,
        /// Its time.
        first_time: f64,
        /// The other file.
        second: String,
        /// Its time.
        second_time: f64,
    },
    /// Two files whose times are days apart.
    #[error(
        "the times of {0}: they are on different clocks; convert them to one clock, or remove the time column from one \
         file"
    )]
    Clocks(String),
    /// Neither a recording nor tables.
    #[error("give a recording, or --features and --states")]
    Nothing,
    /// A recording that gives no tables.
    #[error("{}", said_of(.path, .source))]
    Recording {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        source: RecordedTablesError,
    },
    /// Files that do not come in pairs.
    #[error(
        "--features names {features} files, --states {states} and --task {tasks}: each file of features needs its own, in the same order"
    )]
    Unpaired {
        /// Files of features.
        features: usize,
        /// Files of states.
        states: usize,
        /// Task tables.
        tasks: usize,
    },
    /// A file to test on that is not among the files given.
    #[error(
        "--test {0}: with tables, one of the files given with --features is expected, or a range of rows such as 100..200"
    )]
    NoPair(String),
    /// Tables that cannot be used together.
    #[error("{other} cannot be used together with {first}: {problem}")]
    Apart {
        /// The first of them.
        first: String,
        /// The one that differs.
        other: String,
        /// How.
        problem: String,
    },
    /// More features than can be decoded; found out before anything of that size squared is made.
    #[error("{file} has {width} columns of features, and at most {max} can be decoded", max = MAX_FEATURES)]
    TooWide {
        /// The features' file.
        file: String,
        /// Its columns.
        width: usize,
    },
    /// Rows so far apart, or so close, that no run could make such bins.
    #[error("{0}")]
    Implausible(String),
}

impl TablesError {
    /// Why a recording gives no rows, with its file.
    pub(crate) fn of_recording(path: &Path, source: RecordedTablesError) -> Self {
        Self::Recording { path: path.to_owned(), source }
    }
}

/// An error of a recording, with its file where it does not name it itself.
fn said_of(path: &Path, source: &RecordedTablesError) -> String {
    let (file, text) = (path.display().to_string(), source.to_string());
    if text.contains(&file) { text } else { format!("{file}: {text}") }
}
