//! Why a table cannot be read.

/// The largest CSV file that is read, in bytes.
pub const MAX_TABLE_BYTES: u64 = 2 << 30;

/// Why a CSV file could not be read. Lines and columns count from 1.
#[derive(Debug, thiserror::Error)]
pub enum TableError {
    /// The file cannot be opened or read.
    #[error("{file}: {source}")]
    Io {
        /// The file.
        file: String,
        /// What the system says.
        source: std::io::Error,
    },
    /// The file is larger than [`MAX_TABLE_BYTES`].
    #[error("{file}: {bytes} bytes, more than the {MAX_TABLE_BYTES} that are read; cut it into parts")]
    TooLarge {
        /// The file.
        file: String,
        /// Its size.
        bytes: u64,
    },
    /// The file is a recording.
    #[error("{file} is {kind}, not a table: {way} with `kalmind recording export {file} --csv FOLDER`")]
    Recording {
        /// The file.
        file: String,
        /// What it is.
        kind: &'static str,
        /// What can be done with it.
        way: String,
    },
    /// The file is not text.
    #[error("{file}, line {line}: not text; export it as CSV in UTF-8")]
    NotText {
        /// The file.
        file: String,
        /// The line.
        line: u64,
    },
    /// The file is empty.
    #[error("{file}: empty; a row of numbers for each bin is expected")]
    Empty {
        /// The file.
        file: String,
    },
    /// There is a header and nothing below it.
    #[error("{file}: a header row but no rows below it; a row of numbers for each bin is expected")]
    NoRows {
        /// The file.
        file: String,
    },
    /// The header is not one.
    #[error("{file}, line {line}, column {column}: {problem}")]
    Header {
        /// The file.
        file: String,
        /// The line.
        line: u64,
        /// The column.
        column: usize,
        /// What is wrong and what to do.
        problem: String,
    },
    /// A row has more or fewer cells than the first one.
    #[error(
        "{file}, line {line}: {found} cells, but the first row has {expected}; every row needs as many (is there a delimiter at the \
         end of the line?)"
    )]
    Ragged {
        /// The file.
        file: String,
        /// The line.
        line: u64,
        /// Its cells.
        found: usize,
        /// Cells of the first row.
        expected: usize,
    },
    /// A cell does not hold what it should.
    #[error("{file}, line {line}, column {column}{}: found {found:?}; {expected}", named(.name.as_deref()))]
    Cell {
        /// The file.
        file: String,
        /// The line.
        line: u64,
        /// The column.
        column: usize,
        /// The column's name, where there is a header.
        name: Option<String>,
        /// What stands there, shortened.
        found: String,
        /// What would be right.
        expected: String,
    },
    /// A column of values can only be times.
    #[error("{file}, column {column}{}: {problem}", named(.name.as_deref()))]
    Times {
        /// The file.
        file: String,
        /// The column.
        column: usize,
        /// The column's name, where there is a header.
        name: Option<String>,
        /// Why it is refused and what to do.
        problem: String,
    },
    /// There is nothing but a time column.
    #[error("{file}: only a `time` column; at least one column of values is expected")]
    OnlyTime {
        /// The file.
        file: String,
    },
    /// A column that has to be there is not.
    #[error("{file}: no column `{column}`; expected {expected} (found {found})")]
    MissingColumn {
        /// The file.
        file: String,
        /// The column.
        column: &'static str,
        /// All columns expected.
        expected: String,
        /// The columns there are.
        found: String,
    },
}

fn named(name: Option<&str>) -> String {
    name.map(|name| format!(" ({name})")).unwrap_or_default()
}
