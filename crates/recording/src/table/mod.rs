//! Tables of numbers: features and states as CSV, the way that spreadsheets, MATLAB, pandas and recording programs write it.
//!
//! What is not plain CSV is read where it is plain what was meant, and [`Table::remarks`] says what was assumed; else the
//! error names the line, the column and what to do.

mod cells;
mod columns;
mod error;
mod rising;
mod text;
mod times;

use std::{io::Read as _, path::Path};

pub(crate) use cells::Cells;
pub use error::{MAX_TABLE_BYTES, TableError};
use rising::Rising;
pub(crate) use text::Text;

use crate::xdf::Source;

/// Numbers, row-major, with the names and times that the file gives them.
#[derive(Clone, Debug, PartialEq)]
pub struct Table {
    /// Names of the columns of `values`, where the file has a header.
    pub columns: Option<Vec<String>>,
    /// Units of these columns, where every name states one in brackets.
    pub units: Option<Vec<String>>,
    /// Time of each row in seconds, where the file has a column of times.
    pub time: Option<Vec<f64>>,
    /// `rows * width` finite numbers.
    pub values: Vec<f64>,
    /// Rows, at least 1.
    pub rows: usize,
    /// Columns without time and what was left out, at least 1.
    pub width: usize,
    /// What was assumed and what was left out, a sentence each.
    pub remarks: Vec<String>,
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
/// One row a bin. A header row is optional; without one every cell is a number. A column of times (`time`, `timestamps`,
/// `time_ms`, `Time:250Hz`, ..; strictly rising) is taken out of the values. Cells are separated by commas, or else by
/// semicolons, tabs, bars or blanks (the first row decides). A byte order mark, UTF-16, gzip, CRLF, blank lines, quoted
/// cells, a delimiter at the ends of lines, lines that begin with `#`, `%` or `//`, a row of units below the names, dates as
/// times, and a first line `sep=;` are fine. So are decimal commas where commas separate no cells; a file that has decimal
/// points as well is refused, since thousands may be meant.
///
/// # Errors
/// See [`TableError`].
pub fn read_table(path: &Path) -> Result<Table, TableError> {
    table_from_bytes(&read_file(path)?, &path.display().to_string())
}

/// Reads a table of features, in which cells may be empty: such a value is its column's mean over the other rows, or 0 where no row
/// has one, and a remark counts them.
///
/// # Errors
/// See [`TableError`].
pub fn read_features(path: &Path) -> Result<Table, TableError> {
    read(&read_file(path)?, &path.display().to_string(), true)
}

/// Reads a table from memory; `file` is what errors call it.
///
/// # Errors
/// See [`TableError`].
pub fn table_from_bytes(bytes: &[u8], file: &str) -> Result<Table, TableError> {
    read(bytes, file, false)
}

fn read(bytes: &[u8], file: &str, has_gaps: bool) -> Result<Table, TableError> {
    let text = Text::new(bytes, file)?;
    let mut cells = Cells::new(&text, file)?;
    let roles = cells.columns.clone();
    let width = roles.values.len();
    if width == 0 {
        return Err(TableError::OnlyTime { file: file.to_owned() });
    }
    let mut time = roles.time.map(|_| Vec::new());
    let mut values = Vec::new();
    let mut rows = 0;
    let mut rising = vec![Rising::default(); width];
    while cells.next_row()? {
        rows += 1;
        if let Some(time) = &mut time {
            time.push(cells.time()?);
        }
        for (column, rising) in roles.values.iter().zip(&mut rising) {
            let value =
                if has_gaps { cells.number_or_nothing(*column)? } else { Some(cells.number(*column)?) };
            if let Some(value) = value {
                rising.saw(value);
            }
            values.push(value.unwrap_or(f64::NAN));
        }
    }
    if rows == 0 {
        return Err(TableError::NoRows { file: file.to_owned() });
    }
    let name = |place: usize| roles.names.as_ref().and_then(|names| names.get(place).cloned());
    for (place, rising) in rising.iter().enumerate() {
        let name = name(place);
        if let Some(problem) = rising.refusal(name.as_deref(), time.is_some()) {
            return Err(TableError::Times {
                file: file.to_owned(),
                column: roles.values[place] + 1,
                name,
                problem,
            });
        }
    }
    let mut told = Vec::new();
    if width > 1 {
        let rising = rising.iter().enumerate();
        told.extend(
            rising
                .filter_map(|(place, rising)| rising.remark(roles.values[place] + 1, name(place).as_deref())),
        );
        rising::shorten(&mut told);
    }
    let mut remarks = text.remarks.clone();
    remarks.extend(roles.remarks);
    remarks.extend(cells.remarks());
    remarks.extend(told);
    remarks.extend(fill_gaps(&mut values, width));
    Ok(Table { columns: roles.names, units: roles.units, time, values, rows, width, remarks })
}

/// Puts a column's mean where it has no value; what is to be said of it.
fn fill_gaps(values: &mut [f64], width: usize) -> Option<String> {
    let gaps = values.iter().filter(|value| value.is_nan()).count();
    if gaps == 0 {
        return None;
    }
    let mut sums = vec![(0.0, 0_u64); width];
    for row in values.chunks_exact(width) {
        for ((sum, count), value) in sums.iter_mut().zip(row).filter(|(_, value)| !value.is_nan()) {
            (*sum, *count) = (*sum + value, *count + 1);
        }
    }
    for row in values.chunks_exact_mut(width) {
        for ((sum, count), value) in sums.iter().zip(row).filter(|(_, value)| value.is_nan()) {
            *value = if *count > 0 { sum / *count as f64 } else { 0.0 };
        }
    }
    let never = sums.iter().filter(|(_, count)| *count == 0).count();
    let zero = if never > 0 { format!(" (0 in {never} without any)") } else { String::new() };
    Some(format!("empty cells ({gaps}) were taken as the mean of their column{zero}"))
}

pub(crate) fn read_file(path: &Path) -> Result<Vec<u8>, TableError> {
    let file = || path.display().to_string();
    let size = std::fs::metadata(path).map_err(|source| TableError::Io { file: file(), source })?.len();
    if size > MAX_TABLE_BYTES {
        return Err(TableError::TooLarge { file: file(), bytes: size });
    }
    let failed = |source| TableError::Io { file: file(), source };
    let (source, _) = Source::open(path).map_err(|error| failed(std::io::Error::other(error)))?;
    if let Some(problem) = source.problem() {
        return Err(failed(std::io::Error::other(problem.to_owned())));
    }
    let mut bytes = Vec::new();
    source.take(MAX_TABLE_BYTES + 1).read_to_end(&mut bytes).map_err(failed)?;
    if bytes.len() as u64 > MAX_TABLE_BYTES {
        return Err(TableError::TooLarge { file: file(), bytes: bytes.len() as u64 });
    }
    Ok(bytes)
}
