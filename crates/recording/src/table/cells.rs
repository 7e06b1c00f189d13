//! The cells of a table row by row, with the place of each for errors.

use std::collections::VecDeque;

use csv::{ReaderBuilder, StringRecord, Trim};

use super::{
    TableError, Text,
    columns::{Columns, first_repeated},
};

/// Characters of a cell that an error quotes.
const QUOTED: usize = 40;

/// Cells row by row, every row as long as the first, with the place of each for errors.
pub(crate) struct Cells<'a> {
    file: &'a str,
    /// The whole text.
    text: &'a [u8],
    reader: csv::Reader<&'a [u8]>,
    record: StringRecord,
    /// Rows that were read to see what the columns are.
    ahead: VecDeque<StringRecord>,
    /// The header's names, of all columns.
    pub(crate) header: Option<Vec<String>>,
    /// What the columns are.
    pub(crate) columns: Columns,
    /// Number of cells of a row.
    width: usize,
    previous_time: Option<f64>,
}

impl<'a> Cells<'a> {
    pub(crate) fn new(text: &'a Text<'_>, file: &'a str) -> Result<Self, TableError> {
        let reader = ReaderBuilder::new()
            .has_headers(false)
            .flexible(true)
            .trim(Trim::All)
            .delimiter(text.delimiter)
            .from_reader(text.bytes.as_ref());
        let mut cells = Self {
            file,
            text: &text.bytes,
            reader,
            record: StringRecord::new(),
            ahead: VecDeque::new(),
            header: None,
            columns: Columns::default(),
            width: 0,
            previous_time: None,
        };
        if !cells.read_record()? {
            return Err(TableError::Empty { file: file.to_owned() });
        }
        cells.width = cells.record.len();
        cells.read_header(text)?;
        Ok(cells)
    }

    /// Takes the first row as a header where it is one, and finds out what the columns are.
    fn read_header(&mut self, text: &Text<'_>) -> Result<(), TableError> {
        let first = self.record.clone();
        // also with a decimal comma: such a row is no header, and its cells say what is wrong
        let is_number = |cell: &str| cell.replacen(',', ".", 1).parse::<f64>().is_ok();
        let named = first.iter().position(|cell| !is_number(cell) && !cell.is_empty());
        let line = self.line();
        let more = self.read_record()?;
        let second = more.then(|| self.record.clone());
        let below: Vec<&str> = second.iter().flatten().collect();
        let mut remarks = Vec::new();
        let names: Vec<String> = first.iter().map(str::to_owned).collect();
        if named.is_some() {
            self.header = Some(names);
        } else if numbers_columns(&first, &below) {
            remarks.push(format!("line {line} (0, 1, 2, ..) was taken as a header that numbers the columns"));
            self.header = Some(names);
        } else {
            self.header = heading_names(text, first.len());
            if self.header.is_some() {
                remarks.push("the last line of comment above the rows was taken as the header".to_owned());
            }
            self.ahead.push_back(first.clone());
        }
        self.ahead.extend(second.clone());
        let header = self.header.take();
        self.columns = match &header {
            None => Columns::unnamed(self.width),
            Some(names) => {
                self.check_names(names, named.filter(|_| !has_times(names)), line)?;
                let row: Vec<&str> = self.ahead.front().into_iter().flatten().collect();
                Columns::named(names, &row, text.from_openbci)
            }
        };
        self.columns.remarks.splice(0..0, remarks);
        self.header = header;
        self.require_names(line)
    }

    /// Refuses a first row that is neither names nor numbers, and names that are alike.
    fn check_names(&self, names: &[String], named: Option<usize>, line: u64) -> Result<(), TableError> {
        let is_number = |cell: &str| cell.replacen(',', ".", 1).parse::<f64>().is_ok();
        if let Some(named) = named
            && let Some(number) = names.iter().position(|name| is_number(name))
        {
            let problem = format!(
                "found {:?} beside the number {:?}: the first row is neither a header (names only) nor a row of numbers; \
                 correct the cell, or name every column",
                shortened(&names[named]),
                shortened(&names[number])
            );
            return Err(self.header_error(line, named, problem));
        }
        if let Some((first, column)) = first_repeated(names)
            && !names[column].is_empty()
        {
            let problem = format!(
                "column {} is called {:?} as well; names have to differ",
                first + 1,
                shortened(&names[column])
            );
            return Err(self.header_error(line, column, problem));
        }
        Ok(())
    }

    /// Refuses a column of values without a name.
    fn require_names(&self, line: u64) -> Result<(), TableError> {
        let unnamed = self.columns.names.as_ref().and_then(|names| names.iter().position(String::is_empty));
        let Some(unnamed) = unnamed else { return Ok(()) };
        let problem = "a header without a name for this column; name it or remove it".to_owned();
        Err(self.header_error(line, self.columns.values[unnamed], problem))
    }

    fn header_error(&self, line: u64, column: usize, problem: String) -> TableError {
        TableError::Header { file: self.file.to_owned(), line, column: column + 1, problem }
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
        match self.ahead.pop_front() {
            Some(record) => self.record = record,
            None => {
                if !self.read_record()? {
                    return Ok(false);
                }
            }
        }
        if self.record.len() == self.width {
            return Ok(true);
        }
        Err(TableError::Ragged {
            file: self.file.to_owned(),
            line: self.line(),
            found: self.record.len(),
            expected: self.width,
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
            Err(_) => {
                Err(self.cell_error(column, "a number is expected; correct the cell, or remove the column"))
            }
        }
    }

    /// The row's time in seconds, which has to be later than that of the row before.
    pub(crate) fn time(&mut self) -> Result<f64, TableError> {
        let (column, unit) = self.columns.time.unwrap_or((0, 1.0));
        let value = self.number(column)?;
        if let Some(previous) = self.previous_time.replace(value)
            && value <= previous
        {
            let expected = format!("time has to rise from row to row, and the row before has {previous}");
            return Err(self.cell_error(column, &expected));
        }
        Ok(value * unit)
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

/// Whether a first row of numbers is a header that numbers the columns, as pandas writes it where columns have no names. Rows
/// of few columns may look like that by chance: then the row below has to be of another kind, with decimal points.
fn numbers_columns(first: &StringRecord, below: &[&str]) -> bool {
    let index = usize::from(first.get(0) == Some(""));
    let numbers = first.iter().skip(index);
    let counts = numbers.clone().enumerate().all(|(number, cell)| cell == number.to_string());
    let with_points = below.iter().skip(index).all(|cell| cell.contains(['.', 'e', 'E']));
    counts && !below.is_empty() && (first.len() - index > 2 || (first.len() > index && with_points))
}

/// Whether a column of times is among the names: then the others may be numbers.
fn has_times(names: &[String]) -> bool {
    Columns::named(names, &[], false).time.is_some()
}

/// The names that the last line of comment above the rows holds, where it holds as many as a row has cells.
fn heading_names(text: &Text<'_>, width: usize) -> Option<Vec<String>> {
    let heading = text.heading.as_deref()?;
    let delimiter = char::from(text.delimiter);
    let names: Vec<String> = heading
        .split(delimiter)
        .map(str::trim)
        .filter(|name| !(name.is_empty() && delimiter == ' '))
        .map(str::to_owned)
        .collect();
    let named = names.iter().all(|name| !name.is_empty() && name.parse::<f64>().is_err());
    (names.len() == width && width > 1 && named).then_some(names)
}

fn shortened(text: &str) -> String {
    let mut quoted: String = text.chars().take(QUOTED).collect();
    if quoted.len() < text.len() {
        quoted.push_str("..");
    }
    quoted
}
