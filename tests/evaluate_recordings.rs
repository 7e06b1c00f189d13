//! `kalmind evaluate` and `fit` with several recordings or tables, beside what numpy makes of the same rows.

#![expect(clippy::expect_used, reason = "a test ends by panicking")]

mod program;

use std::{collections::HashMap, fs, path::Path, process::Command};

use program::Folder;
use serde_json::{Value, json};

/// Three recordings out of the rows of the folder's tables, of different lengths.
const PARTS: [(&str, std::ops::Range<usize>); 3] = [("a", 0..250), ("b", 250..400), ("c", 400..600)];
const TABLES: &str = "--features ax.csv --states az.csv --features bx.csv --states bz.csv --features cx.csv --states cz.csv --rate 50";

fn folder() -> Folder {
    let folder = Folder::new();
    for table in ["x", "z"] {
        let text = fs::read_to_string(folder.path(&format!("{table}.csv"))).expect("a table");
        let rows: Vec<&str> = text.lines().collect();
        for (name, range) in PARTS {
            folder.write(&format!("{name}{table}.csv"), &(rows[range].join("\n") + "\n"));
        }
    }
    folder
}

fn document(folder: &Folder, arguments: &str) -> Value {
    serde_json::from_str(&folder.succeeds(&format!("{arguments} --json"))).expect("one JSON document")
}

fn number(value: &Value) -> f64 {
    value.as_f64().unwrap_or(f64::NAN)
}

/// The rows of a table with a header, by column.
fn table(folder: &Folder, file: &str) -> Vec<HashMap<String, String>> {
    let mut reader = csv::Reader::from_path(folder.path(file)).expect("a table");
    let heads = reader.headers().expect("a header").clone();
    let row = |row: csv::Result<csv::StringRecord>| {
        let row = row.expect("a row");
        heads.iter().map(str::to_owned).zip(row.iter().map(str::to_owned)).collect()
    };
    reader.records().map(row).collect()
}

/// Leave-one-out with so many lags, by numpy.
fn by_numpy(folder: &Folder, lags: usize) -> Value {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let status = Command::new(root.join(".venv/bin/python"))
        .arg(root.join("tests/python/evaluate_recordings.py"))
        .arg(folder.path("numpy.json"))
        .arg(lags.to_string())
        .args(
            PARTS
                .iter()
                .flat_map(|(name, _)| ["x", "z"].map(|table| folder.path(&format!("{name}{table}.csv")))),
        )
        .status()
        .expect("no Python peers: `make .venv/peers-ready` makes them");
    assert!(status.success(), "numpy evaluates");
    serde_json::from_slice(&fs::read(folder.path("numpy.json")).expect("its output")).expect("JSON")
}

#[test]
fn a_grid_with_each_recording_left_out_is_what_numpy_finds() {
    let folder = folder();
    let printed = folder.succeeds(&format!(
        "evaluate {TABLES} --leave-one-out --decoders wiener:lags=1,3,ridge=0 --csv figures.csv --predictions p"
    ));
    for part in [
        "training mean",
        "Chance level",
        "nRMSE of each recording",
        "Means over 3 recordings",
        "wiener:lags=3,ridge=0",
    ] {
        assert!(printed.contains(part), "{part} is missing in:\n{printed}");
    }
    let rows = table(&folder, "figures.csv");
    assert_eq!(rows.len(), 6, "two decoders, three recordings");
    for (decoder, lags) in [1, 3].into_iter().enumerate() {
        let theirs = by_numpy(&folder, lags);
        for (place, (name, range)) in PARTS.iter().enumerate() {
            let (row, theirs) = (&rows[3 * decoder + place], &theirs[place]);
            let text = |column: &str| row[column].as_str();
            assert_eq!((text("recording"), text("decoder")), (format!("{name}x.csv").as_str(), "wiener"));
            assert_eq!((text("lags"), text("ridge"), text("fold")), (lags.to_string().as_str(), "0", "0"));
            assert_eq!(text("train_rows"), (600 - range.len()).to_string());
            assert_eq!((text("test_from"), text("test_to")), ("0", range.len().to_string().as_str()));
            let close = |column: &str, expected: &Value| {
                let (own, expected) = (text(column).parse::<f64>().expect("a number"), number(expected));
                assert!((own - expected).abs() < 1e-8, "{name}, lags {lags}, {column}: {own} and {expected}");
            };
            for figure in ["nrmse", "r2", "correlation", "maae"] {
                close(figure, &theirs[figure]);
                close(&format!("{figure}_chance"), &theirs["chance"][figure][0]);
                close(&format!("{figure}_chance_5"), &theirs["chance"][figure][1]);
            }
            for (component, column) in ["vx", "vy"].into_iter().enumerate() {
                close(&format!("r2_{column}"), &theirs["r2_components"][component]);
                close(&format!("correlation_{column}"), &theirs["correlations"][component]);
            }
            close("nrmse_training_mean", &theirs["training_mean"]["nrmse"]);
            close("r2_training_mean", &theirs["training_mean"]["r2"]);
            let decoded = table(&folder, &format!("p/{decoder}-wiener-{name}x.csv"));
            assert_eq!(decoded.len(), range.len());
            for (row, expected) in decoded.iter().zip(theirs["estimate"].as_array().expect("rows")) {
                let own = ["vx", "vy"].map(|component| row[component].parse::<f64>().expect("a number"));
                assert!(
                    (own[0] - number(&expected[0])).abs() < 1e-8
                        && (own[1] - number(&expected[1])).abs() < 1e-8
                );
            }
        }
    }
}

#[test]
fn a_recording_to_test_on_is_left_out_of_training_and_the_document_says_so() {
    let folder = folder();
    let all = document(&folder, &format!("evaluate {TABLES} --leave-one-out --decoders kalman --chance"));
    assert_eq!(all["recordings"], json!(["ax.csv", "bx.csv", "cx.csv"]));
    assert_eq!((&all["train"], &all["test"]), (&Value::Null, &Value::Null));
    let last = json!({
        "recording": "cx.csv", "fold": 0, "test": [0, 200],
        "train": [{ "recording": "ax.csv", "rows": [0, 250] }, { "recording": "bx.csv", "rows": [0, 150] }],
    });
    assert_eq!(all["splits"][2], last);
    let folds = all["decoders"][0]["folds"].as_array().expect("a split each");
    let mean = folds.iter().map(|fold| number(&fold["nrmse"])).sum::<f64>() / 3.0;
    assert!((number(&all["decoders"][0]["nrmse"]) - mean).abs() < 1e-12);
    let one = document(&folder, &format!("evaluate {TABLES} --test cx.csv --decoders kalman"));
    assert_eq!(one["splits"], json!([last]));
    assert_eq!(one["decoders"][0]["nrmse"], folds[2]["nrmse"]);
    let (own, level) = (number(&all["decoders"][0]["r2"]), &all["decoders"][0]["chance"]);
    assert!(
        number(&level["reached_by_5"]["r2"]) < own
            && number(&level["median"]["r2"]) < number(&level["reached_by_5"]["r2"])
    );
    // a model fitted to the same rows, one after the other, is the same decoder
    let pairs = "--features ax.csv --states az.csv --features bx.csv --states bz.csv --rate 50";
    let fitted = document(&folder, &format!("fit {pairs} --decoder kalman:guard=off -o m.kalmind"));
    assert_eq!((&fitted["rows"], &fitted["recordings"]), (&json!([0, 400]), &json!(["ax.csv", "bx.csv"])));
    let model = document(&folder, &format!("evaluate {TABLES} --test cx.csv --model m.kalmind"));
    assert_eq!(model["decoders"][0]["nrmse"], folds[2]["nrmse"]);
}

#[test]
fn rows_and_folds_are_counted_in_each_recording() {
    let folder = folder();
    let rows =
        document(&folder, &format!("evaluate {TABLES} --train 0..100 --test 100..150 --decoders kalman"));
    assert_eq!((&rows["train"], &rows["test"]), (&json!([0, 100]), &json!([100, 150])));
    let alone = document(
        &folder,
        "evaluate --features bx.csv --states bz.csv --rate 50 --train 0..100 --test 100..150 --decoders kalman",
    );
    assert_eq!(rows["decoders"][0]["folds"][1]["nrmse"], alone["decoders"][0]["nrmse"]);
    let folds = document(&folder, &format!("evaluate {TABLES} --folds 2 --decoders kalman"));
    assert_eq!(folds["splits"].as_array().map(Vec::len), Some(6));
    assert_eq!(folds["splits"][5]["test"], json!([100, 200]));
    let page = format!("evaluate {TABLES} --folds 2 --decoders kalman --report page.html");
    folder.succeeds(&page);
    let page = fs::read_to_string(folder.path("page.html")).expect("a page");
    assert!(page.contains("2 folds of each of 3 recordings") && page.contains("Chance level"), "{page}");
}

#[test]
fn what_does_not_go_together_is_refused_by_name() {
    let folder = folder();
    let other = "evaluate --features ax.csv --states az.csv --features bz.csv --states bz.csv --rate 50";
    folder.refuses(
        &format!("{other} --leave-one-out --decoders kalman"),
        2,
        &["bz.csv", "2 features, not 4", "ax.csv"],
    );
    let evaluate = format!("evaluate {TABLES} --decoders kalman");
    folder.refuses(&evaluate, 2, &["--test FILE", "--leave-one-out"]);
    folder.refuses(&format!("{evaluate} --test none.csv"), 2, &["none.csv", "--features"]);
    folder.refuses(&format!("{evaluate} --train 0..160 --test 160..170"), 2, &["--train", "bx.csv", "150"]);
    folder.refuses(&format!("{evaluate} --folds 90"), 2, &["150 rows of bx.csv are too few"]);
    let alone = "evaluate --features ax.csv --states az.csv --rate 50 --decoders kalman";
    folder.refuses(&format!("{alone} --leave-one-out"), 2, &["ax.csv alone"]);
    folder.refuses(
        &format!("{alone} --features bx.csv --train 0..9 --test 9..20"),
        2,
        &["--features names 2", "--states 1"],
    );
    folder.refuses(
        &format!("fit {TABLES} --rows 0..100 --decoder kalman -o m"),
        2,
        &["--rows", "3 are given"],
    );
    let list = "evaluate --features ax.csv --states az.csv --rate 50 --folds 2 --decoders";
    folder.refuses(&format!("{list} dkf-nw:lags=1,kernl"), 2, &["`kernl`", "`lags` of `dkf-nw`"]);
    folder.refuses(&format!("{list} dkf-nw:lag=1"), 2, &["did you mean `lags`"]);
    folder.refuses(
        "fit --features ax.csv --states az.csv --rate 50 --decoder wiener:lags=1,2 -o m",
        2,
        &["second value of `lags`"],
    );
}

#[test]
fn sessions_are_fitted_together_and_left_out_in_turn() {
    let folder = Folder::new();
    let session = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/session/session.xdf");
    for copy in ["monday.xdf", "friday.xdf"] {
        fs::copy(&session, folder.path(copy)).expect("a copy");
    }
    let one = document(&folder, "fit monday.xdf --blocks all --decoder kalman -o one.kalmind");
    let two = document(&folder, "fit monday.xdf friday.xdf --blocks all --decoder kalman -o two.kalmind");
    assert_eq!(two["recordings"], json!(["monday.xdf", "friday.xdf"]));
    assert_eq!(two["train_bins"].as_u64(), one["train_bins"].as_u64().map(|bins| 2 * bins));
    let left_out =
        document(&folder, "evaluate monday.xdf friday.xdf --blocks all --leave-one-out --decoders kalman");
    let folds = left_out["decoders"][0]["folds"].as_array().expect("two");
    assert_eq!(folds.len(), 2);
    assert_eq!(folds[0], folds[1], "each is tested by the same rows");
    folder.refuses("fit monday.xdf fixture.xdf --decoder kalman -o m", 2, &["fixture.xdf"]);
}

/// An EDF file of 1 s records with 50 samples a signal, values in thousandths.
fn edf(signals: &[(&str, Vec<i16>)]) -> Vec<u8> {
    let records = signals[0].1.len() / 50;
    let field = |text: &str, width: usize| format!("{text:<width$}");
    let mut header = field("0", 8) + &field("X", 80) + &field("X", 80) + "01.01.2601.00.00";
    header += &(field(&(256 * (1 + signals.len())).to_string(), 8)
        + &field("", 44)
        + &field(&records.to_string(), 8));
    header += &(field("1", 8) + &field(&signals.len().to_string(), 4));
    let all = |width: usize, of: &dyn Fn(usize) -> String| -> String {
        (0..signals.len()).map(|signal| field(&of(signal), width)).collect()
    };
    header += &all(16, &|signal| signals[signal].0.to_owned());
    for (width, text) in [
        (80, ""),
        (8, "mm/s"),
        (8, "-32.768"),
        (8, "32.767"),
        (8, "-32768"),
        (8, "32767"),
        (80, ""),
        (8, "50"),
        (32, ""),
    ] {
        header += &all(width, &|_| text.to_owned());
    }
    let mut bytes = header.into_bytes();
    for record in 0..records {
        for (_, values) in signals {
            bytes.extend(values[50 * record..50 * record + 50].iter().flat_map(|value| value.to_le_bytes()));
        }
    }
    bytes
}

#[test]
fn signals_of_an_edf_file_are_features_and_states_by_name() {
    let folder = Folder::new();
    let table = |file: &str| -> Vec<Vec<f64>> {
        let text = fs::read_to_string(folder.path(file)).expect("a table");
        text.lines()
            .map(|line| line.split(',').map(|cell| cell.parse().expect("a number")).collect())
            .collect()
    };
    let (features, states) = (table("x.csv"), table("z.csv"));
    let column = |rows: &[Vec<f64>], column: usize| -> Vec<i16> {
        rows.iter().map(|row| (1000.0 * row[column]).round() as i16).collect()
    };
    let signals: Vec<(&str, Vec<i16>)> = [("C1", 0), ("C2", 1), ("C3", 2), ("C4", 3)]
        .into_iter()
        .map(|(name, place)| (name, column(&features, place)))
        .chain([("VX", column(&states, 0)), ("VY", column(&states, 1))])
        .collect();
    fs::write(folder.path("joystick.edf"), edf(&signals)).expect("a file");
    let rounded = |file: &str, rows: &[Vec<f64>]| {
        let line = |row: &Vec<f64>| {
            row.iter()
                .map(|value| ((1000.0 * value).round() / 1000.0).to_string())
                .collect::<Vec<_>>()
                .join(",")
        };
        folder.write(file, &rows.iter().map(line).collect::<Vec<_>>().join("\n"));
    };
    rounded("rx.csv", &features);
    rounded("rz.csv", &states);
    let split = "--train 0..400 --test 400..599 --decoders wiener";
    let of_edf = document(&folder, &format!("evaluate joystick.edf --state-channels VX,VY {split}"));
    let of_tables =
        document(&folder, &format!("evaluate --features rx.csv --states rz.csv --rate 50 --zscore {split}"));
    let (own, expected) =
        (number(&of_edf["decoders"][0]["nrmse"]), number(&of_tables["decoders"][0]["nrmse"]));
    assert!((own - expected).abs() < 1e-6, "{own} and {expected}");
    folder.refuses(&format!("evaluate joystick.edf {split}"), 2, &["joystick.edf", "--state-channels"]);
    folder.refuses(&format!("evaluate joystick.edf --state-channels VZ {split}"), 2, &["VZ", "C1, C2"]);
    let fitted = document(&folder, "fit joystick.edf --state-channels VX,VY --decoder wiener -o m.kalmind");
    assert_eq!(fitted["rows"], json!([0, 600]));
}

/// Writes the folder's tables as two streams of an XDF file.
const LAB: &str = "\
import sys
sys.path.insert(0, sys.argv[1])
import numpy as np
from make_xdf import write_xdf
x, z = (np.loadtxt(f'{sys.argv[2]}/{name}.csv', delimiter=',') for name in 'xz')
stamps = 100 + np.arange(len(x)) / 50
stream = lambda name, labels, rows: dict(
    name=name, type='Features', rate=50, format='double64', channels=[(label, 'Hz') for label in labels], stamps=stamps, rows=rows)
write_xdf(f'{sys.argv[2]}/lab.xdf', [
    stream('Rates', ['C1', 'C2', 'C3', 'C4'], x.tolist()), stream('Hand', ['t', 'vx', 'vy'], np.c_[stamps, z].tolist())])
";

#[test]
fn streams_of_a_recording_by_others_are_features_and_states_by_name() {
    let folder = Folder::new();
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let status = Command::new(root.join(".venv/bin/python"))
        .args(["-c", LAB])
        .arg(root.join("tests/python"))
        .arg(folder.path(""))
        .status()
        .expect("no Python peers: `make .venv/peers-ready` makes them");
    assert!(status.success(), "Python writes a recording");
    let split = "--train 0..400 --test 400..600 --decoders wiener";
    let streams = "lab.xdf --features-stream Rates --states-stream Hand";
    let of_xdf = document(&folder, &format!("evaluate {streams} --state-channels vx,vy {split}"));
    let of_tables =
        document(&folder, &format!("evaluate --features x.csv --states z.csv --rate 50 --zscore {split}"));
    let (own, expected) =
        (number(&of_xdf["decoders"][0]["nrmse"]), number(&of_tables["decoders"][0]["nrmse"]));
    assert!((own - expected).abs() < 1e-9, "{own} and {expected}");
    folder.refuses(
        &format!("evaluate {streams} --state-channels vz {split}"),
        2,
        &["lab.xdf", "vz", "t, vx, vy"],
    );
    let misspelt = format!("evaluate lab.xdf --features-stream Rate --states-stream Hand {split}");
    folder.refuses(&misspelt, 2, &["lab.xdf", "--features-stream Rate", "Rates, Hand"]);
    folder.refuses(
        &format!("evaluate lab.xdf {split}"),
        2,
        &["lab.xdf", "--features-stream", "--states-stream"],
    );
}

#[test]
fn what_is_no_recording_of_features_and_states_is_said() {
    let folder = Folder::new();
    let foreign = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/foreign/x15_marker_bytes.xdf");
    let evaluate = format!("evaluate {} --folds 2 --decoders wiener", foreign.display());
    folder.refuses(&evaluate, 2, &["x15_marker_bytes.xdf", "--features-stream", "--states-stream"]);
    folder.write("notes.csv", "time,x\n0,1\n1,2\n");
    folder.refuses("evaluate notes.csv --folds 2 --decoders wiener", 2, &["notes.csv", "a text file"]);
}
