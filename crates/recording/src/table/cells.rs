//! The cells of a table row by row, with the place of each for errors.

use std::collections::VecDeque;

use csv::{ReaderBuilder, StringRecord, Trim};

use super::{
    columns::{Columns, first_repeated},
    error::TableError,
    text::Text,
    times,
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
    delimiter: u8,
    /// The line with the first decimal comma, and that with the first decimal point.
    comma: Option<u64>,
    point: Option<u64>,
    /// Rows that had empty cells behind the last one.
    trailing: u64,
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
            delimiter: text.delimiter,
            comma: None,
            point: None,
            trailing: 0,
            previous_time: None,
        };
        if !cells.read_record()? {
            return Err(TableError::Empty { file: file.to_owned() });
        }
        cells.read_header(text)?;
        Ok(cells)
    }

    /// Takes the first row as a header where it is one, and finds out what the columns are.
    fn read_header(&mut self, text: &Text<'_>) -> Result<(), TableError> {
        let first = self.record.clone();
        // also with a decimal comma: such a row is no header, and its cells say what is wrong
        let is_number = |cell: &str| is_missing(cell) || cell.replacen(',', ".", 1).parse::<f64>().is_ok();
        // old exports of OpenBCI have no names, and times of day
        let is_clock = |cell: &str| text.from_openbci && times::seconds(cell).is_some();
        let named = first.iter().position(|cell| !is_number(cell) && !cell.is_empty() && !is_clock(cell));
        let line = self.line();
        let more = self.read_record()?;
        let mut second = more.then(|| self.record.clone());
        let row = second.clone();
        let below: Vec<&str> = row.iter().flatten().collect();
        let mut remarks = Vec::new();
        let mut names: Vec<String> = first.iter().map(str::to_owned).collect();
        // a delimiter behind the last cell of each line, or of those below the header
        let empty = |cells: &[&str], from: usize| cells.iter().skip(from).all(|cell| cell.is_empty());
        self.width = names.len();
        while self.width > 1 && names[self.width - 1].is_empty() && empty(&below, self.width - 1) {
            self.width -= 1;
        }
        names.truncate(self.width);
        // R writes the numbers of the rows without a name for them
        if named.is_some() && below.len() == self.width + 1 && !empty(&below, self.width) {
            remarks.push(
                "the rows have one cell more than the header has names: the first numbers the rows"
                    .to_owned(),
            );
            names.insert(0, String::new());
            self.width += 1;
        }
        if named.is_some()
            && !below.is_empty()
            && below.iter().all(|cell| !is_number(cell))
            && !empty(&below, 0)
            && below.iter().all(|cell| is_word(cell))
        {
            remarks.push(format!("line {} was taken as the units of the columns", self.line()));
            with_units(&mut names, &below);
            second = self.read_record()?.then(|| self.record.clone());
        }
        if named.is_some() {
            self.header = Some(names);
        } else if numbers_columns(&first, &below) {
            let quoted: Vec<&str> = first.iter().filter(|cell| !cell.is_empty()).take(3).collect();
            let quoted = quoted.join(", ");
            remarks
                .push(format!("line {line} ({quoted}, ..) was taken as a header that numbers the columns"));
            self.header = Some(names);
        } else {
            self.header = heading_names(text, self.width);
            if self.header.is_some() {
                remarks.push("the last line of comment above the rows was taken as the header".to_owned());
            }
            self.ahead.push_back(first.clone());
        }
        self.ahead.extend(second);
        let header = self.header.take();
        self.columns = match &header {
            None if text.from_openbci => Columns::old_openbci(&first.iter().collect::<Vec<_>>()),
            None => Columns::unnamed(self.width),
            Some(names) => {
                self.check_names(names, named.filter(|_| !has_times(names)), line, text.from_openbci)?;
                let row: Vec<&str> = self.ahead.front().into_iter().flatten().collect();
                Columns::named(names, &row, text.from_openbci)
            }
        };
        self.columns.remarks.splice(0..0, remarks);
        self.header = header;
        self.require_names(line)
    }

    /// Refuses a first row that is neither names nor numbers, and names that are alike.
    fn check_names(
        &self,
        names: &[String],
        named: Option<usize>,
        line: u64,
        from_openbci: bool,
    ) -> Result<(), TableError> {
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
        // those of columns that are left out may be alike
        let row: Vec<&str> = self.ahead.front().into_iter().flatten().collect();
        let kept = Columns::named(names, &row, from_openbci).values;
        let values: Vec<String> = kept.iter().map(|column| names[*column].clone()).collect();
        if let Some((first, column)) =
            first_repeated(&values).map(|(first, again)| (kept[first], kept[again]))
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
        if self.record.len() > self.width && self.record.iter().skip(self.width).all(str::is_empty) {
            self.trailing += 1;
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

    /// A cell as a finite number; none where it is empty.
    pub(crate) fn number_or_nothing(&mut self, column: usize) -> Result<Option<f64>, TableError> {
        if self.text(column).is_empty() { Ok(None) } else { self.number(column).map(Some) }
    }

    /// A cell as a finite number.
    pub(crate) fn number(&mut self, column: usize) -> Result<f64, TableError> {
        let text = self.text(column);
        if let Ok(value) = text.parse::<f64>()
            && value.is_finite()
        {
            if text.contains('.') && self.point.is_none() {
                self.point = Some(self.line());
                self.require_one_sign(column)?;
            }
            return Ok(value);
        }
        if text.is_empty() {
            return Err(self.cell_error(column, "a number is expected; the cell is empty"));
        }
        if is_missing(text) || text.parse::<f64>().is_ok() {
            return Err(
                self.cell_error(column, "a finite number is expected; leave the row out, or fill the gap")
            );
        }
        match text.replacen(',', ".", 1).parse::<f64>() {
            Ok(value) if self.delimiter != b',' && value.is_finite() => {
                if self.comma.is_none() {
                    self.comma = Some(self.line());
                    self.require_one_sign(column)?;
                }
                Ok(value)
            }
            Ok(_) => Err(self.cell_error(column, "write the decimal sign as a point")),
            Err(_) if text.replace([',', '.', '\'', '\u{a0}', ' '], "").parse::<f64>().is_ok() => {
                Err(self.cell_error(column, "write numbers without a separator of thousands"))
            }
            Err(_) => {
                Err(self.cell_error(column, "a number is expected; correct the cell, or remove the column"))
            }
        }
    }

    /// Refuses a file with decimal commas and decimal points: one of them may separate thousands.
    fn require_one_sign(&self, column: usize) -> Result<(), TableError> {
        match (self.comma, self.point) {
            (Some(comma), Some(point)) => {
                let expected = format!(
                    "there are decimal commas (line {comma}) and decimal points (line {point}), so what a comma means is \
                     not known: write points alone"
                );
                Err(self.cell_error(column, &expected))
            }
            _ => Ok(()),
        }
    }

    /// What was assumed of the cells.
    pub(crate) fn remarks(&self) -> Vec<String> {
        let comma = self.comma.map(|line| format!("decimal commas were read as such, from line {line} on"));
        let trailing = (self.trailing > 0).then(|| {
            format!("rows with empty cells behind the last one ({}): those were left out", self.trailing)
        });
        comma.into_iter().chain(trailing).collect()
    }

    /// The row's time in seconds, which has to be later than that of the row before.
    pub(crate) fn time(&mut self) -> Result<f64, TableError> {
        let (column, mut unit) = self.columns.time.unwrap_or((0, 1.0));
        let value = match times::seconds(self.text(column)) {
            Some(seconds) => {
                unit = 1.0;
                seconds
            }
            None => self.number(column)?,
        };
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

/// Whether a cell may be a unit: numbers and dates in any notation begin otherwise.
fn is_word(cell: &str) -> bool {
    !cell.starts_with(|first: char| first.is_ascii_digit() || matches!(first, '+' | '-' | '.' | '\u{2212}'))
}

/// Texts by which programs say that there is no value.
fn is_missing(text: &str) -> bool {
    const MISSING: [&str; 10] = ["na", "n/a", "#n/a", "nan", "null", "none", "-", "--", "?", "missing"];
    MISSING.contains(&text.to_lowercase().as_str())
}

/// Puts units into the names, in brackets, where every column of values has one; a time's in any case.
fn with_units(names: &mut [String], units: &[&str]) {
    let bare = |unit: &str| unit.trim_matches(['(', ')', '[', ']', ' ']).to_owned();
    let time = Columns::named(names, &[], false).time.map(|(column, _)| column);
    let all = (0..names.len())
        .all(|column| Some(column) == time || units.get(column).is_some_and(|unit| !bare(unit).is_empty()));
    for (column, (name, unit)) in names.iter_mut().zip(units).enumerate() {
        let unit = bare(unit);
        if (all || Some(column) == time) && !unit.is_empty() {
            *name = format!("{name} ({unit})");
        }
    }
}

/// Whether a first row of numbers is a header that numbers the columns, as pandas writes it where columns have no names. Rows
/// of few columns may look like that by chance: then the row below has to be of another kind, with decimal points.
fn numbers_columns(first: &StringRecord, below: &[&str]) -> bool {
    let index = usize::from(first.get(0) == Some(""));
    let numbers = first.iter().skip(index);
    let counted_from = |begin: u32| {
        let is = |(cell, number): (&str, u32)| {
            cell.parse::<f64>().is_ok_and(|value| value.to_bits() == f64::from(number).to_bits())
        };
        numbers.clone().zip(begin..).all(is)
    };
    let with_points = below.iter().skip(index).all(|cell| cell.contains(['.', 'e', 'E']));
    let columns = first.len() - index;
    let from_zero = counted_from(0) && (columns > 2 || (columns > 0 && with_points));
    !below.is_empty() && (from_zero || (counted_from(1) && columns > 2 && with_points))
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
