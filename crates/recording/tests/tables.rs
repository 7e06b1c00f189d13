//! CSV files as people bring them, good and bad.
#![expect(clippy::unwrap_used, reason = "a table that is read where it has to be refused fails the test")]

use kalmind_recording::{
    TableError, read_features, read_table, require_same_rows, table_from_bytes, task_table_from_bytes,
};
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
        ("a,b\n1.5D+00,2.5D+00\n", "line 2, column 1 (a): found \"1.5D+00\"; a number is expected"),
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
        ("\"1,5\",2\n", "x.csv, line 1, column 1: found \"1,5\"; write the decimal sign as a point"),
        (
            "a;b\n1,5;2.5\n",
            "line 2, column 2 (b): found \"2.5\"; there are decimal commas (line 2) and decimal points",
        ),
        (
            "a;b\n1.000,5;2\n",
            "column 1 (a): found \"1.000,5\"; write numbers without a separator of thousands",
        ),
        ("a,b\n\"1,000.5\",2\n", "write numbers without a separator of thousands"),
        (
            "a,b\n1,2\nNA,3\n",
            "line 3, column 1 (a): found \"NA\"; a finite number is expected; leave the row out",
        ),
        ("a,b\n1,2\n#N/A,3\n", "line 3, column 1 (a): found \"#N/A\"; a finite number is expected"),
        ("0.1,o.2,0.3\n1,2,3\n", "found \"o.2\" beside the number \"0.1\""),
        ("a,b,a\n1,2,3\n", "x.csv, line 1, column 3: column 1 is called \"a\" as well"),
        ("a,,b\n1,2,3\n", "x.csv, line 1, column 2: a header without a name"),
        ("time\n1\n2\n", "x.csv: only a `time` column"),
        ("time,a\n1,2\n1,3\n", "x.csv, line 3, column 1 (time): found \"1\"; time has to rise"),
    ] {
        assert!(refusal(text).contains(expected), "{text:?}: {}", refusal(text));
    }
}

#[test]
fn what_is_not_text_is_refused_with_its_line() {
    let error = table_from_bytes(b"1,2\n\0\x01,3\n", "x.csv").unwrap_err();
    assert!(matches!(error, TableError::NotText { line: 2, .. }), "{error}");
    let error = table_from_bytes(b"XDF:\x01\x02", "x.xdf").unwrap_err().to_string();
    assert!(error.contains("XDF recording") && error.contains("recording export"), "{error}");
}

/// Values and remarks of a table that has to be read.
fn read(bytes: &[u8]) -> (Vec<f64>, String) {
    let table = table_from_bytes(bytes, "x.csv").unwrap();
    (table.values, table.remarks.join("; "))
}

#[test]
fn other_encodings_are_read_and_told() {
    let (values, remarks) = read(b"\xb5,b\n1,2\n");
    assert_eq!(values, [1.0, 2.0]);
    assert!(remarks.contains("windows-1252"), "{remarks}");
    let utf16: Vec<u8> =
        [0xff, 0xfe].into_iter().chain("a,b\n1,2\n".bytes().flat_map(|byte| [byte, 0])).collect();
    assert!(read(&utf16).1.contains("UTF-16LE"));
}

#[test]
fn comments_are_left_out_and_lines_keep_their_numbers() {
    let (values, remarks) = read(b"# recorded 2026\nu0,u1\n1,2\n# pause\n3,4\n");
    assert_eq!(values, [1.0, 2.0, 3.0, 4.0]);
    assert!(remarks.contains("2 lines of comment") && remarks.contains("recorded 2026"), "{remarks}");
    assert!(refusal("# a\n\n# b\n1,2\n# c\n3,x\n").contains("line 6, column 2"));
    // as numpy.savetxt writes a header
    let table = table_from_bytes(b"# u0,u1\n1,2\n", "x.csv").unwrap();
    assert_eq!(table.columns, Some(vec!["u0".to_owned(), "u1".to_owned()]));
    let table = table_from_bytes(b"# u0 u1\n1.0e+00 2.0e+00\n", "x.txt").unwrap();
    assert_eq!(table.columns, Some(vec!["u0".to_owned(), "u1".to_owned()]));
}

#[test]
fn spreadsheets_and_matlab_are_understood() {
    assert_eq!(read(b"sep=;\r\nu0;u1\r\n1;2\r\n").0, [1.0, 2.0]);
    assert_eq!(read(b"SEP=|\n1|2\n").0, [1.0, 2.0]);
    assert!(refusal("sep=;\nu0;u1\n1;x\n").contains("line 3, column 2 (u1)"));
    let (values, remarks) = read(b"  -1.5e-01   2.0e-03\n   1.0e+00  -4.0e+00\n");
    assert_eq!((values, remarks), (vec![-0.15, 0.002, 1.0, -4.0], String::new()));
}

#[test]
fn a_delimiter_within_names_separates_nothing() {
    for text in [
        "\"vx; left\",\"vy; right\"\n1,2\n3,4\n",
        "vx (m/s; filtered),vy\n1,2\n3,4\n",
        "vx, left|vy, right\n1|2\n3|4\n",
        "\"vx, left\"\t\"vy, right\"\n1\t2\n3\t4\n",
        "\"vx, left\" \"vy, right\"\n1  2\n3 4\n",
        "vx left\tvy\n1\t2\n3\t4\n",
    ] {
        let table = table_from_bytes(text.as_bytes(), "x.csv").unwrap();
        assert_eq!((table.values, table.width), (vec![1.0, 2.0, 3.0, 4.0], 2), "{text:?}");
        assert!(table.columns.unwrap()[0].starts_with("vx"), "{text:?}");
    }
}

#[test]
fn decimal_commas_are_read_where_commas_separate_no_cells() {
    for text in [
        "u;v\n-1,5;2\n0,25;1e2\n",
        "u\tv\n-1,5\t2\n0,25\t1e2\n",
        "-1,5\t2\n0,25\t1e2\n",
        "-1,5 2\n0,25 1e2\n",
        "sep=;\r\nu;v\r\n-1,5;2\r\n0,25;1e2\r\n",
        "timestamp;u;v\n0,02;-1,5;2\n0,04;0,25;1e2\n",
    ] {
        let (values, remarks) = read(text.as_bytes());
        assert_eq!(values, [-1.5, 2.0, 0.25, 100.0], "{text:?}");
        assert!(remarks.contains("decimal commas were read as such"), "{text:?}: {remarks}");
    }
    let table = table_from_bytes(b"u;timestamp\n1,5;0,02\n2,5;0,04\n", "x.csv").unwrap();
    assert_eq!((table.time, table.width), (Some(vec![0.02, 0.04]), 1));
    assert_eq!(read(b"u|v\n1|2\n").0, [1.0, 2.0]);
    assert_eq!(read(b"1, 2\n3, 4\n").0, [1.0, 2.0, 3.0, 4.0], "blanks behind commas separate nothing");
}

#[test]
fn what_programs_put_around_the_cells_is_read_and_told() {
    for (text, told) in [
        ("u,v\n1,2,\n3,4,\n", "rows with empty cells behind the last one (2)"),
        ("u,v,\n1,2,\n3,4,\n", "rows with empty cells behind the last one (2)"),
        ("u;v;\n1;2;\n3;4;\n", "rows with empty cells behind the last one (2)"),
        ("u,v\nuV,uV\n1,2\n3,4\n", "line 2 was taken as the units"),
        ("u v\n\"1\" 1 2\n\"2\" 3 4\n", "the first numbers the rows"),
        ("// by hand\nu,v\n1,2\n3,4\n", "1 line of comment"),
        ("1,2,3\n0.5,1.5,2.5\n", "(1, 2, 3, ..) was taken as a header"),
    ] {
        let table = table_from_bytes(text.as_bytes(), "x.csv").unwrap();
        if table.width == 2 {
            assert_eq!(table.values, [1.0, 2.0, 3.0, 4.0], "{text:?}");
        }
        assert!(table.remarks.join("; ").contains(told), "{text:?}: {:?}", table.remarks);
    }
    let table = table_from_bytes(b"time,u,v\n(ms),(uV),(uV)\n0,1,2\n20,3,4\n", "x.csv").unwrap();
    assert_eq!((table.time, table.units), (Some(vec![0.0, 0.02]), Some(vec!["uV".to_owned(); 2])));
    // as `iconv -t UTF-16LE` writes it
    let utf16: Vec<u8> = "a,b\n1,2\n".bytes().flat_map(|byte| [byte, 0]).collect();
    assert!(read(&utf16).1.contains("UTF-16LE"));
}

#[test]
fn dates_are_times_and_columns_that_rise_evenly_are_told() {
    let rows = |first: &dyn Fn(u32) -> String| {
        let lines: Vec<String> = (0..30).map(|row| format!("{},{}\n", first(row), row * row % 7)).collect();
        lines.concat()
    };
    let text =
        "datetime,u\n".to_owned() + &rows(&|row| format!("2026-01-01 10:00:{:05.2}", f64::from(row) * 0.02));
    let table = table_from_bytes(text.as_bytes(), "x.csv").unwrap();
    let time = table.time.unwrap();
    assert!((time[1] - time[0] - 0.02).abs() < 1e-6 && table.width == 1, "{time:?}");
    let (_, remarks) = read(rows(&|row| format!("{}", 0.5 + f64::from(row) * 0.02)).as_bytes());
    assert!(remarks.contains("column 1 rises evenly, by 0.020000"), "{remarks}");
    let (_, remarks) = read(rows(&|row| (row * row).to_string()).as_bytes());
    assert!(remarks.contains("column 1 rises from row to row and was read as values"), "{remarks}");
    let (_, remarks) = read(rows(&|row| (row / 2).to_string()).as_bytes());
    assert_eq!(remarks, "");
}

/// Thirty rows below a header: a value that falls and rises, and what `rising` makes of the number of the row.
fn beside_values(header: &str, rising: impl Fn(u32) -> f64) -> Vec<u8> {
    let line = |row: u32| format!("{},{}\n", row * row % 7, rising(row));
    (header.to_owned() + &(0..30).map(line).collect::<String>()).into_bytes()
}

#[test]
fn columns_that_can_only_be_times_are_refused_as_values_and_others_that_rise_are_told() {
    // steps differ by a tenth, as stamps of a device do
    let jittered = |row: u32| f64::from(row) * 0.02 + f64::from(row % 3) * 0.001;
    let refused = |header: &str, rising: &dyn Fn(u32) -> f64| {
        table_from_bytes(&beside_values(header, rising), "x.csv").unwrap_err().to_string()
    };
    let error = refused("u,stim time\n", &jittered);
    assert!(error.starts_with("x.csv, column 2 (stim time): its name says that it holds times"), "{error}");
    assert!(error.ends_with("rename it to `time` if it is in seconds, or leave it out"), "{error}");
    assert!(refused("u,FrameStamp\n", &jittered).contains("(FrameStamp)"));
    let error = refused("u,v\n", &|row| 1.7e9 + jittered(row));
    assert!(
        error.starts_with("x.csv, column 2 (v): its numbers rise from row to row and are Unix"),
        "{error}"
    );
    let error = refused("", &|row| 1.7e9 + jittered(row));
    assert!(error.contains("column 2: ") && error.contains("call it `time` in a header"), "{error}");

    for header in ["u,x\n", "u,timer\n"] {
        let (_, remarks) = read(&beside_values(header, jittered));
        assert!(remarks.contains("rises from row to row and was read as values"), "{remarks}");
    }
    assert_eq!(read(&beside_values("u,reaction time\n", |row| f64::from(row % 5))).1, "");
    assert_eq!(read(&beside_values("u,v\n", |row| 1.7e9 + f64::from(row % 5))).1, "");
    let (_, remarks) = read(&beside_values("u,ts\n", jittered));
    assert!(remarks.contains("column 2 (ts) was taken as time in seconds"), "{remarks}");
}

#[test]
fn names_that_are_alike_matter_only_where_values_stand() {
    let openbci = "%OpenBCI Raw EXG Data\nSample Index, EXG Channel 0, Other, Other, Timestamp\n\
        0, 1.5, 0, 0, 1700000000.000\n1, 3.5, 0, 0, 1700000000.004\n";
    assert_eq!(read(openbci.as_bytes()).0, [1.5, 3.5]);
}

#[test]
fn columns_that_pandas_numbers_are_a_header() {
    let table = table_from_bytes(b"0,1,2\n0.5,1.5,2.5\n", "x.csv").unwrap();
    assert_eq!((table.rows, table.columns), (1, Some(["0", "1", "2"].map(str::to_owned).to_vec())));
    assert!(table.remarks[0].contains("numbers the columns"), "{:?}", table.remarks);
    assert_eq!(table_from_bytes(b"0,1\n0.5,1.5\n", "x.csv").unwrap().rows, 1);
    assert_eq!(table_from_bytes(b"0,1\n1,0\n", "x.csv").unwrap().rows, 2, "states may be counts");
    assert_eq!(table_from_bytes(b"0,1,3\n1,0,2\n", "x.csv").unwrap().rows, 2);
    // with its index in front
    let table = table_from_bytes(b",u0,u1\n0,5,6\n1,7,8\n", "x.csv").unwrap();
    assert_eq!(table.values, [5.0, 6.0, 7.0, 8.0]);
    assert!(table.remarks[0].contains("numbers the rows"), "{:?}", table.remarks);
}

#[test]
fn times_and_units_are_taken_from_their_names() {
    for (header, first) in
        [("timestamps,u", 0.5), ("time_ms,u", 0.0005), ("Time (ms),u", 0.0005), ("t,u", 0.5)]
    {
        let table = table_from_bytes(format!("{header}\n0.5,1\n1.5,2\n").as_bytes(), "x.csv").unwrap();
        assert_eq!(table.values, [1.0, 2.0], "{header}");
        assert!((table.time.as_ref().unwrap()[0] - first).abs() < 1e-15, "{header}");
        assert!(table.remarks[0].contains("taken as time"), "{:?}", table.remarks);
    }
    let table = table_from_bytes(b"u0 (spikes/s),u1 [Hz]\n1,2\n", "x.csv").unwrap();
    assert_eq!(table.columns, Some(vec!["u0".to_owned(), "u1".to_owned()]));
    assert_eq!(table.units, Some(vec!["spikes/s".to_owned(), "Hz".to_owned()]));
    let table = table_from_bytes(b"u0 (a),u1\n1,2\n", "x.csv").unwrap();
    assert_eq!(
        (table.units, table.columns.unwrap()[0].as_str()),
        (None, "u0 (a)"),
        "not every name states a unit"
    );
}

#[test]
fn what_recording_programs_put_beside_the_channels_is_left_out_and_named() {
    let openvibe =
        "Time:250Hz,Epoch,C3,C4,Event Id,Event Date,Event Duration\n0.0,0,1,2,,,\n0.004,0,3,4,769,0.004,0\n";
    let (values, remarks) = read(openvibe.as_bytes());
    assert_eq!(values, [1.0, 2.0, 3.0, 4.0]);
    assert!(remarks.contains("(Event Id) was left out") && remarks.contains("(Epoch)"), "{remarks}");
    let openbci = "%OpenBCI Raw EXG Data\n%Number of channels = 2\n%Sample Rate = 250 Hz\n\
        Sample Index, EXG Channel 0, EXG Channel 1, Accel Channel 0, Timestamp, Timestamp (Formatted)\n\
        0, 1.5, 2.5, 0.1, 1700000000.000, 2026-01-01 12:00:00.000\n\
        1, 3.5, 4.5, 0.1, 1700000000.004, 2026-01-01 12:00:00.004\n";
    let table = table_from_bytes(openbci.as_bytes(), "x.txt").unwrap();
    assert_eq!(table.values, [1.5, 2.5, 3.5, 4.5]);
    assert_eq!(table.time.unwrap().len(), 2);
    let remarks = table.remarks.join("; ");
    assert!(remarks.contains("Accel Channel 0") && remarks.contains("Sample Index"), "{remarks}");
}

#[test]
fn exports_of_openbci_without_names_of_channels_are_read() {
    let old = "%OpenBCI Raw EEG Data\n%Number of channels = 2\n%First Column = SampleIndex\n%Last Column = Timestamp \n\
        0, 1.5, 2.5, 10:00:00.000\n1, 3.5, 4.5, 10:00:00.020\n";
    let table = table_from_bytes(old.as_bytes(), "x.txt").unwrap();
    assert_eq!((table.rows, table.width, &table.columns), (2, 2, &None));
    assert_eq!(table.values, [1.5, 2.5, 3.5, 4.5]);
    let time = table.time.unwrap();
    assert!((time[0] - 36_000.0).abs() < 1e-9 && (time[1] - 36_000.02).abs() < 1e-9, "{time:?}");
    let remarks = table.remarks.join("; ");
    assert!(
        remarks.contains("column 1 was left out") && remarks.contains("column 4 was taken as time"),
        "{remarks}"
    );
    // names of another program's: all of them are kept
    let named = "%OpenBCI Raw EEG Data\nC3, C4\n1.5, 2.5\n";
    assert_eq!(read(named.as_bytes()).0, [1.5, 2.5]);
}

#[test]
fn tables_of_other_programs_hold_the_same_numbers() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/foreign");
    let table = |name: &str| read_table(&folder.join(name)).unwrap_or_else(|error| panic!("{error}"));
    let reference = table("sx.csv");
    for name in ["sx_ts.csv", "sx_num.csv", "sx_ms.csv"] {
        let other = table(name);
        assert_eq!((other.rows, other.values), (reference.rows, reference.values.clone()), "{name}");
    }
    let reference = table("c09_units_in_header.csv");
    for name in ["c18_comment.csv", "c37_sep_line.csv", "d5_matlab_ascii.txt"] {
        let other = table(name);
        assert_eq!((other.rows, other.values), (reference.rows, reference.values.clone()), "{name}");
    }
    assert!(table("sx_ts.csv").time.is_some());
    let states = table("sz_num.csv");
    assert_eq!(states.values, table("sz.csv").values);
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
    // gzip of "1,2\n3,4\n", as `gzip -n` packs it
    let packed = [
        31, 139, 8, 0, 0, 0, 0, 0, 0, 3, 51, 212, 49, 226, 50, 214, 49, 225, 2, 0, 71, 147, 108, 175, 8, 0,
        0, 0,
    ];
    std::fs::write(&path, packed).unwrap();
    assert_eq!(read_table(&path).unwrap().values, [1.0, 2.0, 3.0, 4.0]);
    std::fs::write(&path, &packed[..20]).unwrap();
    assert!(read_table(&path).unwrap_err().to_string().contains("gzip"));
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

#[test]
fn empty_cells_of_features_are_their_columns_mean_and_refused_elsewhere() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("features.csv");
    let text = b"time,a,b,c\n0.02,1,,\n0.04,,5,\n0.06,3,8,\n";
    std::fs::write(&path, text).unwrap();
    let table = read_features(&path).unwrap();
    assert_eq!(table.values, [1.0, 6.5, 0.0, 2.0, 5.0, 0.0, 3.0, 8.0, 0.0]);
    let told = "empty cells (5) were taken as the mean of their column (0 in 1 without any)";
    assert!(table.remarks.iter().any(|remark| remark == told), "{:?}", table.remarks);
    let error = read_table(&path).unwrap_err().to_string();
    assert!(error.contains("the cell is empty"), "{error}");
}
