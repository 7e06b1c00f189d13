//! CSV files as people bring them, good and bad.
#![expect(clippy::unwrap_used, reason = "a table that is read where it has to be refused fails the test")]

use kalmind_recording::{TableError, read_table, require_same_rows, table_from_bytes, task_table_from_bytes};
use kalmind_types::Position;
use proptest::prelude::*;

fn refusal(text: &str) -> String {
    table_from_bytes(text.as_bytes(), "x.csv").unwrap_err().to_string()
}

#[test]
fn numbers_without_a_header_are_rows_from_the_first_line_on() {
    let table = table_from_bytes(b"1,2.5,-3e-2\n4,5,6\n", "x.csv").unwrap();
    assert_eq!((table.rows, table.width, &table.columns, &table.time), (2, 3, &None, &None));
    assert_eq!(table.values, [1.0, 2.5, -0.03, 4.0, 5.0, 6.0]);
    assert_eq!(table.row(1), [4.0, 5.0, 6.0]);
}

#[test]
fn a_header_names_columns_and_time_is_taken_out() {
    let text = "\u{feff}\"unit 1\", Time ,\"b,2\"\r\n1,0.02,2\r\n\r\n3,0.04,4\r\n5,0.2,6";
    let table = table_from_bytes(text.as_bytes(), "x.csv").unwrap();
    assert_eq!(table.columns, Some(vec!["unit 1".to_owned(), "b,2".to_owned()]));
    assert_eq!(table.time, Some(vec![0.02, 0.04, 0.2]));
    assert_eq!(table.values, [1.0, 2.0, 3.0, 4.0, 5.0, 6.0]);
    assert_eq!(table.segment_starts(), [2]);
}

#[test]
fn semicolons_tabs_and_spaces_separate_as_well() {
    for text in ["1;2\n3;4", "1\t2\n3\t4", "1 2\n3 4", "a;b\n1;2\n3;4\n"] {
        let table = table_from_bytes(text.as_bytes(), "x.csv").unwrap();
        assert_eq!(table.values, [1.0, 2.0, 3.0, 4.0], "{text:?}");
    }
}

#[test]
fn one_row_and_one_column_are_a_table() {
    let table = table_from_bytes(b"7", "x.csv").unwrap();
    assert_eq!((table.rows, table.width, table.row(0)), (1, 1, [7.0].as_slice()));
    assert!(table.segment_starts().is_empty());
}

#[test]
fn refusals_say_where_what_and_what_to_do() {
    for (text, expected) in [
        ("", "x.csv: empty; a row of numbers for each bin is expected"),
        ("\n \r\n", "x.csv: empty"),
        ("a,b\n", "x.csv: a header row but no rows below it"),
        ("1,2\n3\n", "x.csv, line 2: 1 cells, but the first row has 2"),
        ("1,2\n3,4,5\n", "x.csv, line 2: 3 cells, but the first row has 2"),
        ("1,2\n\n3,abc\n", "x.csv, line 3, column 2: found \"abc\"; a number is expected"),
        ("u,v\n3,abc\n", "x.csv, line 2, column 2 (v): found \"abc\"; a number is expected"),
        ("u,v\n3,\n", "x.csv, line 2, column 2 (v): found \"\"; a number is expected; the cell is empty"),
        ("1,2\nnan,3\n", "x.csv, line 2, column 1: found \"nan\"; a finite number is expected"),
        ("1,2\n3,-inf\n", "x.csv, line 2, column 2: found \"-inf\"; a finite number is expected"),
        ("1;2\n3;1e999\n", "x.csv, line 2, column 2: found \"1e999\"; a finite number is expected"),
        ("1,5;2,5\n", "x.csv, line 1, column 1: found \"1,5\"; write the decimal sign as a point"),
        ("0.1,o.2,0.3\n1,2,3\n", "found \"o.2\" beside the number \"0.1\""),
        ("a,b,a\n1,2,3\n", "x.csv, line 1, column 3: column 1 is called \"a\" as well"),
        ("a,,b\n1,2,3\n", "x.csv, line 1, column 2: a header without a name"),
        ("time\n1\n2\n", "x.csv: only a `time` column"),
        ("time,a\n1,2\n1,3\n", "x.csv, line 3, column 1 (time): found \"1\"; time has to rise"),
    ] {
        assert!(refusal(text).contains(expected), "{text:?}: {}", refusal(text));
    }
    assert!(refusal("a;b\n1,5;2\n").contains("write the decimal sign as a point"));
}

#[test]
fn what_is_not_text_is_refused_with_its_line() {
    let error = table_from_bytes(b"1,2\n\xff\xfe,3\n", "x.csv").unwrap_err();
    assert!(matches!(error, TableError::NotText { line: 2, .. }), "{error}");
}

#[test]
fn a_missing_file_is_named() {
    let error = read_table(std::path::Path::new("no such file.csv")).unwrap_err();
    assert!(matches!(error, TableError::Io { .. }));
    assert!(error.to_string().starts_with("no such file.csv: "));
}

#[test]
fn a_file_is_read_as_its_bytes_are() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("features.csv");
    std::fs::write(&path, "1,2\n3,4\n").unwrap();
    assert_eq!(read_table(&path).unwrap(), table_from_bytes(b"1,2\n3,4\n", "").unwrap());
}

#[test]
fn tables_of_different_length_are_refused_with_both_names() {
    assert!(require_same_rows(("x.csv", 6000), ("z.csv", 6000)).is_ok());
    assert_eq!(
        require_same_rows(("x.csv", 6000), ("z.csv", 5999)).unwrap_err().to_string(),
        "x.csv has 6000 rows, but z.csv has 5999; row by row they have to belong together"
    );
}

#[test]
fn a_task_table_is_read_by_the_names_of_its_columns() {
    let text = "time,hold,trial,target_x,target_y,cursor_x,cursor_y\n0.02,0,3,0.8,0.5,0.5,0.5\n0.04,1,3.0,,nan,0.6,0.5\n";
    let table = task_table_from_bytes(text.as_bytes(), "t.csv").unwrap();
    assert_eq!(table.time, Some(vec![0.02, 0.04]));
    assert_eq!((table.rows[0].trial, table.rows[0].target), (3, Some(Position([0.8, 0.5]))));
    assert_eq!((table.rows[1].target, table.rows[1].cursor), (None, Position([0.6, 0.5])));
    assert!(!table.rows[0].hold && table.rows[1].hold);
}

#[test]
fn a_wrong_task_table_is_refused() {
    let header = "trial,target_x,target_y,cursor_x,cursor_y,hold\n";
    for (text, expected) in [
        ("1,2,3,4,5,0\n".to_owned(), "no column `trial`"),
        (
            header.replace("hold", "held") + "1,2,3,4,5,0\n",
            "no column `hold`; expected time, trial, target_x",
        ),
        (header.to_owned(), "no rows below it"),
        (format!("{header}1.5,2,3,4,5,0\n"), "column 1 (trial): found \"1.5\"; the number of the trial"),
        (format!("{header}-1,2,3,4,5,0\n"), "the number of the trial"),
        (format!("{header}1,,3,4,5,0\n"), "column 2 (target_x): found \"\""),
        (format!("{header}1,2,3,nan,5,0\n"), "column 4 (cursor_x): found \"nan\""),
        (format!("{header}1,2,3,4,5,maybe\n"), "column 6 (hold): found \"maybe\"; 0 or 1 is expected"),
    ] {
        let error = task_table_from_bytes(text.as_bytes(), "t.csv").unwrap_err().to_string();
        assert!(error.contains(expected), "{text:?}: {error}");
    }
}

proptest! {
    /// Whatever numbers a program writes with full precision come back bit for bit.
    #[test]
    fn written_numbers_are_read_bit_for_bit(
        rows in prop::collection::vec(prop::array::uniform4(prop::num::f64::NORMAL | prop::num::f64::ZERO), 1..20),
    ) {
        let line = |row: &[f64; 4]| row.map(|value| format!("{value:e}")).join(",");
        let text = rows.iter().map(line).collect::<Vec<_>>().join("\n");
        let table = table_from_bytes(text.as_bytes(), "x.csv").unwrap();
        let bits = |values: &[f64]| values.iter().map(|value| value.to_bits()).collect::<Vec<_>>();
        prop_assert_eq!(bits(&table.values), bits(&rows.concat()));
    }

    /// Nothing panics, and what is accepted is a whole table.
    #[test]
    fn any_text_is_a_table_or_an_error(text in "[0-9a,;.\\-\"\n\r\t ]{0,60}|.{0,40}") {
        if let Ok(table) = table_from_bytes(text.as_bytes(), "x.csv") {
            prop_assert!(table.rows > 0 && table.width > 0);
            prop_assert_eq!(table.values.len(), table.rows * table.width);
            prop_assert!(table.values.iter().all(|value| value.is_finite()));
        }
        drop(task_table_from_bytes(text.as_bytes(), "t.csv"));
    }
}
