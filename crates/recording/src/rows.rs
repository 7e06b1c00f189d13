//! Ranges of rows, as the command line writes them.

use core::ops::Range;

/// Why a text is no range of rows.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RowsError {
    /// It is not written `A..B`.
    #[error("rows {text:?}: write A..B, 0-based, B not included (0..5000 is the first 5000 rows)")]
    Malformed {
        /// The text.
        text: String,
    },
    /// It holds no row.
    #[error("rows {text:?} are no rows: B has to be greater than A")]
    Empty {
        /// The text.
        text: String,
    },
    /// It reaches past the last row.
    #[error("rows {text:?} reach past the end: there are {rows} rows, so B is at most {rows}")]
    PastTheEnd {
        /// The text.
        text: String,
        /// Rows there are.
        rows: usize,
    },
}

/// Reads `A..B` (0-based, half-open).
///
/// # Errors
/// When it is written otherwise, or empty.
pub fn parse_rows(text: &str) -> Result<Range<usize>, RowsError> {
    let quoted = || text.chars().take(60).collect::<String>();
    let malformed = || RowsError::Malformed { text: quoted() };
    let (first, end) = text.trim().split_once("..").ok_or_else(malformed)?;
    // `parse` alone would take a leading plus sign
    let number = |part: &str| {
        let part = part.trim();
        part.bytes().all(|byte| byte.is_ascii_digit()).then(|| part.parse::<usize>().ok()).flatten()
    };
    let (first, end) = (number(first).ok_or_else(malformed)?, number(end).ok_or_else(malformed)?);
    if end <= first {
        return Err(RowsError::Empty { text: quoted() });
    }
    Ok(first..end)
}

/// Whether a range lies within so many rows.
///
/// # Errors
/// [`RowsError::PastTheEnd`].
pub fn require_rows(range: &Range<usize>, rows: usize) -> Result<(), RowsError> {
    if range.end > rows {
        let text = format!("{}..{}", range.start, range.end);
        return Err(RowsError::PastTheEnd { text, rows });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn half_open_ranges_within_the_rows_are_read() {
        assert_eq!(parse_rows("0..5000"), Ok(0..5000));
        assert_eq!(parse_rows(" 5000 .. 6000 "), Ok(5000..6000));
        assert_eq!(require_rows(&(5000..6000), 6000), Ok(()));
    }

    #[test]
    fn anything_else_is_refused_with_what_to_write() {
        for text in [
            "",
            "5",
            "1-3",
            "..",
            "1..",
            "..3",
            "-1..3",
            "+1..3",
            "1...3",
            "1..=3",
            "a..b",
            "1..99999999999999999999",
        ] {
            assert!(matches!(parse_rows(text), Err(RowsError::Malformed { .. })), "{text}");
        }
        assert!(matches!(parse_rows("3..3"), Err(RowsError::Empty { .. })));
        assert!(matches!(parse_rows("4..3"), Err(RowsError::Empty { .. })));
        assert_eq!(
            require_rows(&(0..11), 10).unwrap_err().to_string(),
            "rows \"0..11\" reach past the end: there are 10 rows, so B is at most 10"
        );
    }
}
