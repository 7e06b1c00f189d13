//! Tables of numbers: features and states as CSV.

use std::{collections::HashMap, path::Path};

use csv::{ReaderBuilder, StringRecord, Trim};

/// The largest CSV file that is read, in bytes.
pub const MAX_TABLE_BYTES: u64 = 2 << 30;
/// Characters of a cell that an error quotes.
const QUOTED: usize = 40;

/// Numbers, row-major, with the names and times that the file gives them.
#[derive(Clone, Debug, PartialEq)]
pub struct Table {
    /// Names of the columns of `values`, where the file has a header.
    pub columns: Option<Vec<String>>,
    /// Time of each row in seconds, where the file has a `time` column.
    pub time: Option<Vec<f64>>,
    /// `rows * width` finite numbers.
    pub values: Vec<f64>,
    /// Rows, at least 1.
    pub rows: usize,
    /// Columns without `time`, at least 1.
    pub width: usize,
}

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
    /// The file is not UTF-8 text.
    #[error("{file}, line {line}: not UTF-8 text; export it as CSV in UTF-8")]
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
    #[error("{file}, line {line}: {found} cells, but the first row has {expected}; every row needs as many")]
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

/// Two tables that belong together have different numbers of rows.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{first} has {first_rows} rows, but {second} has {second_rows}; row by row they have to belong together"
)]
pub struct RowCountMismatch {
    /// One file.
    pub first: String,
    /// Its rows.
    pub first_rows: usize,
    /// The other file.
    pub second: String,
    /// Its rows.
    pub second_rows: usize,
}

impl Table {
    /// One row of values.
    ///
    /// # Panics
    /// When there is no such row.
    pub fn row(&self, row: usize) -> &[f64] {
        &self.values[row * self.width..(row + 1) * self.width]
    }

    /// The rows before which time has a gap; none where the file states no times.
    pub fn segment_starts(&self) -> Vec<usize> {
        self.time.as_deref().map(crate::segment_starts).unwrap_or_default()
    }
}

/// Refuses two tables (each as its name and number of rows) that cannot belong together row by row.
///
/// # Errors
/// When the numbers differ.
pub fn require_same_rows(first: (&str, usize), second: (&str, usize)) -> Result<(), RowCountMismatch> {
    if first.1 == second.1 {
        return Ok(());
    }
    Err(RowCountMismatch {
        first: first.0.to_owned(),
        first_rows: first.1,
        second: second.0.to_owned(),
        second_rows: second.1,
    })
}

/// Reads a table of features or states.
///
/// One row a bin. A header row is optional; without one every cell is a number. A column called `time` (seconds, strictly
/// rising) is taken out of the values. Cells are separated by commas, or else by semicolons, tabs or single spaces (the
/// first row decides); a byte order mark, CRLF, blank lines and quoted cells are fine. Decimal commas are not.
///
/// # Errors
/// See [`TableError`].
pub fn read_table(path: &Path) -> Result<Table, TableError> {
    table_from_bytes(&read_file(path)?, &path.display().to_string())
}

/// Reads a table from memory; `file` is what errors call it.
///
/// # Errors
/// See [`TableError`].
pub fn table_from_bytes(bytes: &[u8], file: &str) -> Result<Table, TableError> {
    let mut cells = Cells::new(bytes, file)?;
    let width = cells.columns - usize::from(cells.time_column.is_some());
    if width == 0 {
        return Err(TableError::OnlyTime { file: file.to_owned() });
    }
    let mut time = cells.time_column.map(|_| Vec::new());
    let mut values = Vec::new();
    let mut rows = 0;
    while cells.next_row()? {
        rows += 1;
        for column in 0..cells.columns {
            let value = cells.number(column)?;
            match &mut time {
                Some(time) if cells.time_column == Some(column) => cells.push_time(time, value, column)?,
                _ => values.push(value),
            }
        }
    }
    if rows == 0 {
        return Err(TableError::NoRows { file: file.to_owned() });
    }
    let columns = cells.header.map(|mut names| {
        if let Some(column) = cells.time_column {
            names.remove(column);
        }
        names
    });
    Ok(Table { columns, time, values, rows, width })
}

pub(crate) fn read_file(path: &Path) -> Result<Vec<u8>, TableError> {
    let file = || path.display().to_string();
    let size = std::fs::metadata(path).map_err(|source| TableError::Io { file: file(), source })?.len();
    if size > MAX_TABLE_BYTES {
        return Err(TableError::TooLarge { file: file(), bytes: size });
    }
    std::fs::read(path).map_err(|source| TableError::Io { file: file(), source })
}

/// Cells row by row, every row as long as the first, with the place of each for errors.
pub(crate) struct Cells<'a> {
    file: &'a str,
    /// The whole text, without a byte order mark.
    text: &'a [u8],
    reader: csv::Reader<&'a [u8]>,
    record: StringRecord,
    /// A first row of numbers that was read to see whether it is a header.
    pending: bool,
    /// The header's names.
    pub(crate) header: Option<Vec<String>>,
    /// Number of columns.
    pub(crate) columns: usize,
    /// Which of them is `time`.
    pub(crate) time_column: Option<usize>,
    previous_time: Option<f64>,
}

impl<'a> Cells<'a> {
    pub(crate) fn new(bytes: &'a [u8], file: &'a str) -> Result<Self, TableError> {
        let text = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
        let reader = ReaderBuilder::new()
            .has_headers(false)
            .flexible(true)
            .trim(Trim::All)
            .delimiter(delimiter(text))
            .from_reader(text);
        let mut cells = Self {
            file,
            text,
            reader,
            record: StringRecord::new(),
            pending: false,
            header: None,
            columns: 0,
            time_column: None,
            previous_time: None,
        };
        if !cells.read_record()? {
            return Err(TableError::Empty { file: file.to_owned() });
        }
        cells.columns = cells.record.len();
        cells.read_header()?;
        Ok(cells)
    }

    /// Takes the first row as a header where it is one.
    fn read_header(&mut self) -> Result<(), TableError> {
        // also with a decimal comma: such a row is no header, and its cells say what is wrong
        let is_number = |cell: &str| cell.replacen(',', ".", 1).parse::<f64>().is_ok();
        let Some(named) = self.record.iter().position(|cell| !is_number(cell) && !cell.is_empty()) else {
            self.pending = true;
            return Ok(());
        };
        let names: Vec<String> = self.record.iter().map(str::to_owned).collect();
        self.time_column = names.iter().position(|name| name.eq_ignore_ascii_case("time"));
        let line = self.line();
        let header = |column: usize, problem: String| {
            Err(TableError::Header { file: self.file.to_owned(), line, column: column + 1, problem })
        };
        if self.time_column.is_none()
            && let Some(number) = names.iter().position(|name| is_number(name))
        {
            return header(
                named,
                format!(
                    "found {:?} beside the number {:?}: the first row is neither a header (names only) nor a row of \
                     numbers; correct the cell, or name every column",
                    shortened(&names[named]),
                    shortened(&names[number])
                ),
            );
        }
        let mut first_of = HashMap::with_capacity(names.len());
        for (column, name) in names.iter().enumerate() {
            if name.is_empty() {
                return header(
                    column,
                    "a header without a name for this column; name it or remove it".to_owned(),
                );
            }
            if let Some(first) = first_of.insert(name, column) {
                let problem = format!(
                    "column {} is called {:?} as well; names have to differ",
                    first + 1,
                    shortened(name)
                );
                return header(column, problem);
            }
        }
        self.header = Some(names);
        Ok(())
    }

    /// Reads the next row that is not blank; false at the end.
    fn read_record(&mut self) -> Result<bool, TableError> {
        loop {
            let more = self.reader.read_record(&mut self.record).map_err(|error| {
                let line = error.position().map_or(0, csv::Position::line);
                match error.into_kind() {
                    csv::ErrorKind::Io(source) => TableError::Io { file: self.file.to_owned(), source },
                    _ => TableError::NotText { file: self.file.to_owned(), line },
                }
            })?;
            let blank = self.record.len() == 1 && self.record[0].is_empty();
            if !(more && blank) {
                return Ok(more);
            }
        }
    }

    /// Goes to the next row; false at the end.
    pub(crate) fn next_row(&mut self) -> Result<bool, TableError> {
        if !core::mem::take(&mut self.pending) && !self.read_record()? {
            return Ok(false);
        }
        if self.record.len() == self.columns {
            return Ok(true);
        }
        Err(TableError::Ragged {
            file: self.file.to_owned(),
            line: self.line(),
            found: self.record.len(),
            expected: self.columns,
        })
    }

    /// The line that the current row starts on. The reader's own position is before the blank lines that it skipped.
    fn line(&self) -> u64 {
        let Some(position) = self.record.position() else {
            return 1;
        };
        let rest = self.text.get(position.byte() as usize..).unwrap_or_default();
        let skipped =
            rest.iter().take_while(|byte| matches!(byte, b'\n' | b'\r')).filter(|byte| **byte == b'\n');
        position.line() + skipped.count() as u64
    }

    /// The text of a cell; empty where there is none.
    pub(crate) fn text(&self, column: usize) -> &str {
        self.record.get(column).unwrap_or_default()
    }

    /// A cell as a finite number.
    pub(crate) fn number(&self, column: usize) -> Result<f64, TableError> {
        let text = self.text(column);
        match text.parse::<f64>() {
            Ok(value) if value.is_finite() => Ok(value),
            Ok(_) => {
                Err(self
                    .cell_error(column, "a finite number is expected; leave the row out, or fill the gap"))
            }
            Err(_) if text.is_empty() => {
                Err(self.cell_error(column, "a number is expected; the cell is empty"))
            }
            Err(_) if text.replacen(',', ".", 1).parse::<f64>().is_ok() => {
                Err(self.cell_error(column, "write the decimal sign as a point"))
            }
            Err(_) => Err(self.cell_error(column, "a number is expected")),
        }
    }

    /// Adds a row's time, which has to be later than the one before.
    pub(crate) fn push_time(
        &mut self,
        time: &mut Vec<f64>,
        value: f64,
        column: usize,
    ) -> Result<(), TableError> {
        if let Some(previous) = self.previous_time.replace(value)
            && value <= previous
        {
            let expected = format!("time has to rise from row to row, and the row before has {previous}");
            return Err(self.cell_error(column, &expected));
        }
        time.push(value);
        Ok(())
    }

    pub(crate) fn cell_error(&self, column: usize, expected: &str) -> TableError {
        TableError::Cell {
            file: self.file.to_owned(),
            line: self.line(),
            column: column + 1,
            name: self.header.as_ref().and_then(|names| names.get(column).map(|name| shortened(name))),
            found: shortened(self.text(column)),
            expected: expected.to_owned(),
        }
    }
}

/// What separates the cells, by the first line that is not blank.
fn delimiter(text: &[u8]) -> u8 {
    let blank = |line: &&[u8]| line.iter().all(u8::is_ascii_whitespace);
    let first =
        text.split(|byte| matches!(byte, b'\n' | b'\r')).find(|line| !blank(line)).unwrap_or_default();
    let first = first.trim_ascii();
    // a semicolon before a comma: a file with decimal commas has both, and then the cells say what is wrong
    [b';', b',', b'\t', b' '].into_iter().find(|delimiter| first.contains(delimiter)).unwrap_or(b',')
}

fn shortened(text: &str) -> String {
    let mut quoted: String = text.chars().take(QUOTED).collect();
    if quoted.len() < text.len() {
        quoted.push_str("..");
    }
    quoted
}
