//! The text of a table: decoded, without comments, its cells separated by one byte.

use std::borrow::Cow;

use encoding_rs::{Encoding, WINDOWS_1252};

use super::error::TableError;

/// Characters of a comment that a remark quotes.
const QUOTED: usize = 60;

/// A table's text as the CSV reader takes it. Lines keep their numbers: what is left out is an empty line.
pub(crate) struct Text<'a> {
    pub(crate) bytes: Cow<'a, [u8]>,
    /// What separates the cells.
    pub(crate) delimiter: u8,
    /// The last line of comment above the first row, which may hold the names (numpy writes them so).
    pub(crate) heading: Option<String>,
    /// Whether a comment says that a program of `OpenBCI` wrote the file.
    pub(crate) from_openbci: bool,
    pub(crate) remarks: Vec<String>,
}

impl<'a> Text<'a> {
    pub(crate) fn new(bytes: &'a [u8], file: &str) -> Result<Self, TableError> {
        refuse_recordings(bytes, file)?;
        let mut remarks = Vec::new();
        let bytes = decoded(bytes, file, &mut remarks)?;
        let mut text = Self { bytes, delimiter: b',', heading: None, from_openbci: false, remarks };
        text.tidy();
        Ok(text)
    }

    /// Blanks comments and a `sep=` line, finds the delimiter, and makes one blank of many where blanks separate.
    fn tidy(&mut self) {
        let mut stated = None;
        let mut comments: Vec<(usize, String)> = Vec::new();
        let mut heading = None;
        let mut from_openbci = false;
        let mut first_row: Option<&[u8]> = None;
        let mut second_row: Option<&[u8]> = None;
        for (index, line) in self.bytes.split(|byte| *byte == b'\n').enumerate() {
            let trimmed = line.trim_ascii();
            if let Some(comment) = comment_of(trimmed) {
                let comment = String::from_utf8_lossy(comment).trim().to_owned();
                if first_row.is_none() {
                    from_openbci |= comment.starts_with("OpenBCI");
                    heading = Some(comment.clone());
                }
                comments.push((index + 1, comment));
            } else if let (None, Some(separator)) = (first_row, separator_line(trimmed)) {
                stated = Some(separator);
            } else if first_row.is_none() && !trimmed.is_empty() {
                first_row = Some(trimmed);
            } else if second_row.is_none() && !trimmed.is_empty() {
                second_row = Some(trimmed);
            }
        }
        self.delimiter = stated
            .unwrap_or_else(|| delimiter(first_row.unwrap_or_default(), second_row.unwrap_or_default()));
        self.from_openbci = from_openbci;
        self.heading = heading;
        if let [(line, first), ..] = comments.as_slice() {
            let quoted: String = first.chars().take(QUOTED).collect();
            let plural = if comments.len() == 1 { "line" } else { "lines" };
            self.remarks.push(format!(
                "{} {plural} of comment left out, the first is line {line}: {quoted:?}",
                comments.len()
            ));
        }
        if comments.is_empty() && stated.is_none() && self.delimiter != b' ' {
            return;
        }
        let blanks = self.delimiter == b' ';
        let mut tidied = Vec::with_capacity(self.bytes.len());
        let mut before_rows = true;
        for line in self.bytes.split(|byte| *byte == b'\n') {
            let trimmed = line.trim_ascii();
            let left_out = comment_of(trimmed).is_some()
                || (before_rows && stated.is_some() && separator_line(trimmed).is_some());
            if !left_out {
                before_rows &= trimmed.is_empty();
                if blanks { single_blanks(trimmed, &mut tidied) } else { tidied.extend_from_slice(line) }
            }
            tidied.push(b'\n');
        }
        // the text ended without a line of its own after its last newline
        tidied.pop();
        self.bytes = Cow::Owned(tidied);
    }
}

/// What a line of comment says; none where it is a row, also one whose first cell is an error of Excel's.
fn comment_of(line: &[u8]) -> Option<&[u8]> {
    const ERRORS: [&[u8]; 7] = [b"#N/A", b"#NUM!", b"#DIV/0!", b"#VALUE!", b"#REF!", b"#NAME?", b"#NULL!"];
    match line {
        [b'#', ..] if ERRORS.iter().any(|error| line.starts_with(error)) => None,
        [b'#' | b'%', comment @ ..] | [b'/', b'/', comment @ ..] => Some(comment),
        _ => None,
    }
}

/// Says what a file is that somebody took for a table.
fn refuse_recordings(bytes: &[u8], file: &str) -> Result<(), TableError> {
    let (kind, way) = match bytes {
        [b'X', b'D', b'F', b':', ..] => (
            "an XDF recording",
            format!("give it as a recording, `kalmind fit {file} ..`, or export tables from it"),
        ),
        _ if crate::edf::is_edf(bytes) && bytes.len() > 255 => {
            ("an EDF or BDF recording", "export tables from it".to_owned())
        }
        _ => return Ok(()),
    };
    Err(TableError::Recording { file: file.to_owned(), kind, way })
}

/// The text in UTF-8, without a byte order mark.
fn decoded<'a>(bytes: &'a [u8], file: &str, remarks: &mut Vec<String>) -> Result<Cow<'a, [u8]>, TableError> {
    // two bytes a letter, without the mark that says so
    let unmarked = match bytes {
        [letter, 0, next, 0, ..] if *letter != 0 && *next != 0 => Some(encoding_rs::UTF_16LE),
        [0, letter, 0, next, ..] if *letter != 0 && *next != 0 => Some(encoding_rs::UTF_16BE),
        _ => None,
    };
    let marked = Encoding::for_bom(bytes).or(unmarked.map(|encoding| (encoding, 0)));
    let body = bytes.get(marked.map_or(0, |(_, mark)| mark)..).unwrap_or_default();
    let encoding = match marked {
        Some((encoding, _)) if encoding != encoding_rs::UTF_8 => encoding,
        _ if str::from_utf8(body).is_ok() && !body.contains(&0) => return Ok(Cow::Borrowed(body)),
        _ if body.contains(&0) => {
            let before = body.split(|byte| *byte == 0).next().unwrap_or_default();
            let line = before.split(|byte| *byte == b'\n').count() as u64;
            return Err(TableError::NotText { file: file.to_owned(), line });
        }
        _ => WINDOWS_1252,
    };
    let (text, misfits) = encoding.decode_without_bom_handling(body);
    let misread = if misfits { ", and some of it cannot be (U+FFFD stands for it)" } else { "" };
    remarks.push(format!("the file is not UTF-8: read as {}{misread}", crate::encoding::name(encoding)));
    Ok(Cow::Owned(text.into_owned().into_bytes()))
}

/// The separator that a line `sep=;`, which Excel understands, states.
fn separator_line(line: &[u8]) -> Option<u8> {
    match line {
        [s, e, p, b'=', separator] if [*s, *e, *p].eq_ignore_ascii_case(b"sep") => Some(*separator),
        // the separator itself was trimmed
        [s, e, p, b'='] if [*s, *e, *p].eq_ignore_ascii_case(b"sep") => Some(b'\t'),
        _ => None,
    }
}

/// What separates the cells of a table that begins with these rows: what gives both as many cells, or else what the first
/// one holds. What stands in quotes separates nothing.
fn delimiter(row: &[u8], next: &[u8]) -> u8 {
    // numbers with decimal commas, between tabs or blanks
    let decimal = |cell: &[u8]| {
        let text = String::from_utf8_lossy(cell);
        let text = text.trim();
        text.matches(',').count() <= 1
            && !text.ends_with(',')
            && text.replacen(',', ".", 1).parse::<f64>().is_ok()
    };
    if row.contains(&b',') && !row.contains(&b';') {
        for separates in [b'\t', b' '] {
            let mut cells = row.split(|byte| *byte == separates).filter(|cell| !cell.trim_ascii().is_empty());
            if row.contains(&separates) && cells.all(decimal) {
                return separates;
            }
        }
    }
    // a semicolon before a comma: a file with decimal commas has both
    let delimiters = [b';', b',', b'\t', b'|', b' '];
    let (row, next) = (unquoted(row), unquoted(next));
    let cells = |row: &[u8], delimiter: u8| {
        let cells = row.split(|byte| *byte == delimiter);
        cells.filter(|cell| delimiter != b' ' || !cell.is_empty()).count()
    };
    let fits = |delimiter: &u8| {
        let count = cells(&row, *delimiter);
        count > 1 && count == cells(&next, *delimiter)
    };
    let held = || delimiters.into_iter().find(|delimiter| row.contains(delimiter));
    delimiters.into_iter().find(fits).or_else(held).unwrap_or(b',')
}

/// A row without what stands in quotes; as it is where a quote has no end.
fn unquoted(row: &[u8]) -> Vec<u8> {
    let parts = row.split(|byte| *byte == b'"');
    if parts.clone().count() % 2 == 0 {
        return row.to_vec();
    }
    // something stands for what was quoted, so that blanks around it still separate
    parts.step_by(2).collect::<Vec<_>>().join(&b'"')
}

/// One blank for every run of blanks outside quotes.
fn single_blanks(line: &[u8], into: &mut Vec<u8>) {
    let mut quoted = false;
    let mut after_blank = false;
    for byte in line {
        quoted ^= *byte == b'"';
        let blank = !quoted && byte.is_ascii_whitespace();
        if !(blank && after_blank) {
            into.push(if blank { b' ' } else { *byte });
        }
        after_blank = blank;
    }
}
