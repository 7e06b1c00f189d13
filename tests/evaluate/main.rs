//! `kalmind evaluate` and `kalmind fit` beyond the plain table: intervals, folds, seeds, channels changed on purpose, the
//! page, and what a fit says of itself.

#![expect(clippy::expect_used, reason = "a test ends by panicking")]

#[path = "../program/mod.rs"]
mod program;
use program::{Folder, ROWS};
use serde_json::{Value, json};
use std::{collections::BTreeSet, fmt::Write as _, fs};

mod channels;
mod trials;

const TABLES: &str = "evaluate --features x.csv --states z.csv --rate 50";

const HELD_OUT: &str = "evaluate --features x.csv --states z.csv --rate 50 --train 0..400 --test 400..600";

fn document(folder: &Folder, arguments: &str) -> Value {
    let printed = folder.succeeds(&format!("{arguments} --json"));
    serde_json::from_str(&printed).expect("one JSON document and nothing else")
}

fn keys(value: &Value) -> BTreeSet<&str> {
    value.as_object().expect("an object").keys().map(String::as_str).collect()
}

fn number(value: &Value) -> f64 {
    value.as_f64().unwrap_or(f64::NAN)
}

/// The features' table as numbers.
fn features(folder: &Folder) -> Vec<Vec<f64>> {
    numbers(folder, "x.csv", 0)
}

/// A table as numbers, after some lines of header.
fn numbers(folder: &Folder, file: &str, header: usize) -> Vec<Vec<f64>> {
    let text = fs::read_to_string(folder.path(file)).expect("the table");
    text.lines()
        .skip(header)
        .map(|line| line.split(',').map(|cell| cell.parse().expect("a number")).collect())
        .collect()
}

fn write_features(folder: &Folder, file: &str, rows: &[Vec<f64>]) {
    let text = rows.iter().fold(String::new(), |mut text, row| {
        let cells: Vec<String> = row.iter().map(ToString::to_string).collect();
        writeln!(text, "{}", cells.join(",")).expect("a string grows");
        text
    });
    folder.write(file, &text);
}

/// Mean and standard deviation (as `numpy.std`) of a column over the training rows.
fn statistics(rows: &[Vec<f64>], column: usize) -> (f64, f64) {
    let values: Vec<f64> = rows[..400].iter().map(|row| row[column]).collect();
    let mean = values.iter().sum::<f64>() / 400.0;
    (mean, (values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / 400.0).sqrt())
}

#[test]
fn intervals_hold_their_figures_and_equal_decoders_do_not_differ() {
    let folder = Folder::new();
    let arguments = format!("{HELD_OUT} --decoders kalman,kalman,wiener --intervals --resamples 500");
    let found = document(&folder, &arguments);
    assert_eq!(
        keys(&found["intervals"]),
        BTreeSet::from(["method", "level", "resamples", "block_rows", "seed"])
    );
    assert_eq!(found["intervals"]["resamples"], 500);
    assert!(number(&found["intervals"]["block_rows"]) >= 1.0);
    let decoders = found["decoders"].as_array().expect("a list");
    for decoder in decoders {
        for figure in ["nrmse", "maae", "nees", "log_score"] {
            let interval = &decoder["intervals"][figure];
            let (low, high) = (number(&interval[0]), number(&interval[1]));
            assert!(low < number(&decoder[figure]) && number(&decoder[figure]) < high, "{figure}: {decoder}");
        }
        assert_eq!(keys(&decoder["intervals"]["coverage"]), BTreeSet::from(["50", "90", "99"]));
    }
    assert_eq!(decoders[0]["difference"], Value::Null);
    let same = &decoders[1]["difference"];
    assert_eq!(same["to"], "kalman");
    let interval = &same["intervals"]["nrmse"];
    assert!(number(&interval[0]) == 0.0 && number(&interval[1]) == 0.0, "{interval}");
    let difference = number(&decoders[2]["nrmse"]) - number(&decoders[0]["nrmse"]);
    assert!((number(&decoders[2]["difference"]["value"]["nrmse"]) - difference).abs() < 1e-12);
    assert_eq!(document(&folder, &arguments)["decoders"][2]["intervals"], decoders[2]["intervals"]);
}

#[test]
fn folds_test_every_row_once_and_print_means_with_their_spread() {
    let folder = Folder::new();
    let found = document(&folder, &format!("{TABLES} --folds 3 --decoders kalman"));
    assert_eq!(found["folds"], json!([[0, 200], [200, 400], [400, 600]]));
    let decoder = &found["decoders"][0];
    let folds: Vec<f64> =
        decoder["folds"].as_array().expect("folds").iter().map(|fold| number(&fold["nrmse"])).collect();
    let mean = folds.iter().sum::<f64>() / 3.0;
    let spread = (folds.iter().map(|fold| (fold - mean).powi(2)).sum::<f64>() / 2.0).sqrt();
    assert!((number(&decoder["nrmse"]) - mean).abs() < 1e-12);
    assert!((number(&decoder["folds_sd"]["nrmse"]) - spread).abs() < 1e-12);
    // the last fold is an evaluation like any other
    let last = document(&folder, &format!("{HELD_OUT} --decoders kalman"));
    assert!((number(&last["decoders"][0]["nrmse"]) - folds[2]).abs() < 1e-12);
    let table = folder.succeeds(&format!("{TABLES} --folds 3 --decoders kalman,wiener --predictions p"));
    assert!(table.contains("Means over 3 folds ±"), "{table}");
    for file in ["0-kalman-fold0.csv", "0-kalman-fold2.csv", "1-wiener-fold1.csv"] {
        assert!(folder.path("p").join(file).exists(), "{file}");
    }
}

#[test]
fn decoders_that_no_seed_changes_are_fitted_once() {
    let folder = Folder::new();
    let found = document(&folder, &format!("{HELD_OUT} --decoders kalman --seed 5 --seeds 4"));
    assert_eq!(found["seeds"], json!([5, 6, 7, 8]));
    let decoder = &found["decoders"][0];
    assert_eq!(decoder["seeds"].as_array().map(Vec::len), Some(1));
    assert_eq!(decoder["seeds"][0]["seed"], 5);
    assert_eq!(decoder["seeds_sd"], Value::Null);
}

#[test]
fn the_page_holds_every_decoder_and_asks_nobody_for_anything() {
    let folder = Folder::new();
    let rows = fs::read_to_string(folder.path("x.csv")).expect("the features");
    folder.write("named.csv", &format!("<script>alert(1)</script>,b'onload=,c & d,e\n{rows}"));
    let printed = folder.succeeds(
        "evaluate --features named.csv --states z.csv --rate 50 --train 0..400 --test 400..600 --decoders \
         kalman,dkf-linear:lags=2,wiener --perturb all:5 --resamples 200 --report page.html",
    );
    assert!(printed.starts_with("decoder"), "the table is printed all the same: {printed}");
    let page = fs::read_to_string(folder.path("page.html")).expect("the page");
    for decoder in ["kalman", "dkf-linear:lags=2", "wiener"] {
        assert!(page.contains(&format!("<th scope=\"row\">{decoder}</th>")), "{decoder} has no row");
        assert!(page.contains(&format!("<h3>{decoder}</h3>")), "{decoder} has no trace");
    }
    for reference in
        ["http:", "https:", "//", "src=", "<link", "<script", "<iframe", "<img", "@import", "url("]
    {
        assert!(!page.contains(reference), "the page refers to something: {reference}");
    }
    let links: Vec<&str> = page.split("href=\"").skip(1).filter_map(|rest| rest.split('"').next()).collect();
    assert!(!links.is_empty() && links.iter().all(|link| link.starts_with('#')), "{links:?}");
    for link in links {
        assert!(page.contains(&format!("id=\"{}\"", link.trim_start_matches('#'))), "{link} leads nowhere");
    }
    assert!(page.contains("&lt;script&gt;alert(1)&lt;/script&gt;") && page.contains("c &amp; d"));
    assert!(!page.contains("NaN") && !page.contains(" inf"), "a chart holds no number");
    for part in
        ["Accuracy", "Calibration", "Robustness", "What each fit chose", "Provenance", "SHA-256", "--perturb"]
    {
        assert!(page.contains(part), "{part} is missing");
    }
    for tag in
        ["section", "table", "tr", "td", "th", "figure", "svg", "details", "dl", "ul", "li", "g", "div"]
    {
        let opened = page.matches(&format!("<{tag}>")).count() + page.matches(&format!("<{tag} ")).count();
        assert_eq!(opened, page.matches(&format!("</{tag}>")).count(), "<{tag}> and </{tag}>");
    }
    for svg in page.split("<svg ").skip(1) {
        let head = svg.split('>').next().unwrap_or_default();
        assert!(
            head.contains("aria-label=") || head.contains("aria-hidden="),
            "a chart without words: {head}"
        );
    }
    folder.succeeds(&format!(
        "{TABLES} --folds 2 --decoders kalman --resamples 200 --report folds.html --json"
    ));
    folder.succeeds(
        "fit --features x.csv --states z.csv --rate 50 --rows 0..400 --decoder kalman -o m.kalmind",
    );
    folder
        .succeeds(&format!("{TABLES} --test 400..600 --model m.kalmind --resamples 200 --report model.html"));
    let page = fs::read_to_string(folder.path("model.html")).expect("the page");
    assert!(page.contains("A fitted model on rows 400..600") && page.contains("m.kalmind"));
}

#[test]
fn wrong_use_is_code_2_and_says_what_would_be_right() {
    let folder = Folder::new();
    folder.write("named.csv", &format!("left,right,up,down\n{}", "1,2,3,4\n".repeat(ROWS)));
    let named = "evaluate --features named.csv --states z.csv --rate 50 --train 0..400 --test 400..600 --decoders kalman";
    folder.refuses(
        &format!("{named} --perturb lefd:5"),
        2,
        &["`lefd`", "did you mean `left`", "left, right, up, down"],
    );
    folder.refuses(
        &format!("{named} --perturb left:five"),
        2,
        &["--perturb left:five", "`five`", "not a number"],
    );
    folder.refuses(
        &format!("{named} --perturb left"),
        2,
        &["--perturb left", "`CHANNEL:OFFSET`", "`left:2`"],
    );
    folder.refuses(
        &format!("{HELD_OUT} --decoders kalman --perturb 4:5"),
        2,
        &["no channel `4`", "0, 1, 2, 3"],
    );
    folder.refuses(
        &format!("{HELD_OUT} --decoders kalman --report nowhere/page.html"),
        2,
        &["--report", "no folder nowhere"],
    );
    folder.refuses(
        &format!("{HELD_OUT} --decoders kalman --report ."),
        2,
        &["--report .", "folder", "name a file"],
    );
    folder.refuses(
        &format!("{HELD_OUT} --decoders kalman --saturate 0"),
        2,
        &["'0'", "--saturate", "standard deviations"],
    );
    folder.refuses(
        &format!("{HELD_OUT} --decoders kalman --budget -1"),
        2,
        &["'-1'", "--budget", "number of seconds"],
    );
    folder.refuses(&format!("{HELD_OUT} --decoders kalman --seeds 0"), 2, &["'0'", "--seeds"]);
    folder.refuses(&format!("{HELD_OUT} --decoders kalman --resamples 3"), 2, &["'3'", "--resamples"]);
    folder.refuses(
        &format!("{HELD_OUT} --decoders kalman --folds 3"),
        2,
        &["--test", "cannot be used with", "--folds"],
    );
    folder.refuses(&format!("{TABLES} --decoders kalman --folds 1"), 2, &["'1'", "--folds"]);
    folder.refuses(
        &format!("{TABLES} --decoders kalman --folds 50 --train 0..60"),
        2,
        &["--folds 50", "60 rows", "fewer folds"],
    );
    folder.succeeds(
        "fit --features x.csv --states z.csv --rate 50 --rows 0..400 --decoder kalman -o m.kalmind",
    );
    let model = format!("{TABLES} --test 400..600 --model m.kalmind");
    folder.refuses(&format!("{model} --perturb all:5"), 2, &["m.kalmind", "standard deviations", "--zscore"]);
    folder.refuses(&format!("{model} --folds 3"), 2, &["cannot be used with"]);
    folder.refuses(&format!("{model} --saturate 2"), 2, &["--saturate", "cannot be used with"]);
}

#[test]
fn no_result_is_written_over_what_it_comes_from() {
    let folder = Folder::new();
    let before = fs::read_to_string(folder.path("x.csv")).expect("a table");
    let fit = "fit --features x.csv --states z.csv --rate 50 --decoder kalman";
    folder.refuses(&format!("{fit} -o x.csv"), 2, &["-o x.csv", "one of the files to read"]);
    folder.write("notes.txt", "precious");
    folder.refuses(&format!("{fit} -o notes.txt"), 2, &["notes.txt", "would replace it"]);
    folder.succeeds(&format!("{fit} -o m.kalmind"));
    folder.succeeds(&format!("{fit} -o m.kalmind"));
    let held_out = format!("{HELD_OUT} --decoders kalman");
    folder.refuses(&format!("{held_out} --csv z.csv"), 2, &["--csv z.csv", "one of the files to read"]);
    folder.refuses(&format!("{held_out} --report x.csv"), 2, &["--report x.csv"]);
    let model = format!("{TABLES} --test 400..600 --model m.kalmind --csv m.kalmind");
    folder.refuses(&model, 2, &["--csv m.kalmind", "one of the files to read"]);
    assert_eq!(fs::read_to_string(folder.path("x.csv")).expect("a table"), before);
}

#[test]
fn states_are_compared_with_the_components_of_their_name() {
    let folder = Folder::new();
    let table = |names: &str, columns: [usize; 2]| {
        let rows = numbers(&folder, "z.csv", 0);
        let rows: Vec<String> =
            rows.iter().map(|row| format!("{},{}", row[columns[0]], row[columns[1]])).collect();
        format!("{names}\n{}\n", rows.join("\n"))
    };
    folder.write("named.csv", &table("vx,vy", [0, 1]));
    folder.write("swapped.csv", &table("vy,vx", [1, 0]));
    folder.write("others.csv", &table("px,py", [0, 1]));
    folder.succeeds(
        "fit --features x.csv --states named.csv --rate 50 --rows 0..400 --decoder kalman -o m.kalmind",
    );
    let judged = |states: &str| {
        let command = format!(
            "evaluate --features x.csv --states {states} --rate 50 --test 400..600 --model m.kalmind"
        );
        document(&folder, &command)
    };
    let (named, swapped, others) = (judged("named.csv"), judged("swapped.csv"), judged("others.csv"));
    for found in [&swapped, &others] {
        assert_eq!(found["decoders"][0]["nrmse"], named["decoders"][0]["nrmse"]);
    }
    assert!(swapped["remarks"].to_string().contains("matched by name"), "{swapped:#}");
    assert!(others["remarks"].to_string().contains("px"), "{others:#}");
}

/// Errors by uncertainty once more, from the predictions that were written.
#[test]
fn errors_by_uncertainty_are_those_of_the_predictions() {
    let folder = Folder::new();
    let arguments =
        format!("{HELD_OUT} --decoders dkf-nw:q=kernel,kalman:covariance-scale=1 --predictions out");
    let found = document(&folder, &arguments);
    let truth = numbers(&folder, "z.csv", 0);
    let mut rows: Vec<(f64, f64)> = numbers(&folder, "out/0-dkf-nw.csv", 1)
        .iter()
        .map(|row| {
            let [vx, vy, xx, xy, yy] = [row[1], row[2], row[3], row[4], row[5]];
            let z = &truth[row[0] as usize];
            (xx * yy - xy * xy, (z[0] - vx).powi(2) + (z[1] - vy).powi(2))
        })
        .collect();
    rows.sort_by(|left, right| left.0.total_cmp(&right.0));
    let tenth = rows.len() / 10;
    let mean = |rows: &[(f64, f64)]| rows.iter().map(|row| row.1).sum::<f64>() / tenth as f64;
    let expected = (mean(&rows[rows.len() - tenth..]) / mean(&rows[..tenth])).sqrt();
    let uncertainty = &found["decoders"][0]["uncertainty"];
    assert_eq!(uncertainty["covariance"], "varying");
    let ratio = number(&uncertainty["decile_ratio"]);
    assert!((ratio / expected - 1.0).abs() < 1e-9, "{ratio} instead of {expected}");
    assert_eq!(
        found["decoders"][1]["uncertainty"],
        json!({ "covariance": "constant", "decile_ratio": null, "rank_correlation": null })
    );
}

#[test]
fn a_fit_says_what_it_tried_what_it_chose_and_how_honest_it_is() {
    let folder = Folder::new();
    let fit = "fit --features x.csv --states z.csv --rate 50 --decoder dkf-linear:lags=auto -o m.kalmind";
    let said = folder.succeeds(fit);
    for part in ["in use", "lags ", "held out", "nRMSE", "coverage 50/90/99 %", "tried", "<- chosen"] {
        assert!(said.contains(part), "{part} is missing in:\n{said}");
    }
    let report: Value = serde_json::from_str(&folder.succeeds(&format!("{fit} --json"))).expect("JSON");
    let tried = report["report"]["tried"].as_array().expect("a list").len();
    assert_eq!(report["chosen"].as_array().map(Vec::len), Some(tried));
    let lags = &report["report"]["hyperparameters"]["lags"];
    let chosen: Vec<&Value> = report["report"]["tried"]
        .as_array()
        .into_iter()
        .flatten()
        .zip(report["chosen"].as_array().into_iter().flatten())
        .filter(|(_, chosen)| **chosen == json!(true))
        .map(|(tried, _)| &tried["candidate"])
        .collect();
    assert!(chosen.contains(&&json!(format!("lags={lags}"))), "{chosen:?} but lags {lags}");
    let coverage = number(&report["report"]["held_out_coverage"]["90"]);
    assert!((coverage - 0.9).abs() < 0.06, "{coverage}");
    assert_eq!(report["report"]["budget_used_up"], false);
    let hurried: Value =
        serde_json::from_str(&folder.succeeds(&format!("{fit} --budget 0.000001 --json"))).expect("JSON");
    assert_eq!(hurried["report"]["budget_used_up"], true);
    assert_eq!(hurried["report"]["hyperparameters"]["lags"], 1);
    assert!(folder.succeeds(&format!("{fit} --budget 0.000001")).contains("budget     used up"));
    assert_eq!(
        folder.succeeds(&format!("{fit} --budget 1000 --json")).matches("\"budget_used_up\":false").count(),
        1
    );
}

#[test]
fn a_task_reaches_the_fit_of_both_commands() {
    let folder = Folder::new();
    let mut task = String::from("time,trial,target_x,target_y,cursor_x,cursor_y,hold\n");
    for row in 0..ROWS {
        writeln!(task, "{},{},0.5,0.5,0.1,0.2,0", row as f64 * 0.02, row / 100).expect("a string grows");
    }
    folder.write("t.csv", &task);
    let fit = "fit --features x.csv --states z.csv --rate 50 --rows 0..400 --task t.csv --decoder kalman:guard=off -o m.kalmind";
    let report: Value = serde_json::from_str(&folder.succeeds(&format!("{fit} --json"))).expect("JSON");
    let rows = number(&report["report"]["measurement_rows"]);
    assert!(
        rows < 400.0 && rows > 200.0,
        "rows in the first moments of a trial train the state only: {rows}"
    );
    let evaluated = document(&folder, &format!("{HELD_OUT} --task t.csv --decoders kalman"));
    let fitted = document(&folder, &format!("{TABLES} --test 400..600 --task t.csv --model m.kalmind"));
    assert_eq!(evaluated["decoders"][0]["nrmse"], fitted["decoders"][0]["nrmse"]);
}

#[test]
fn a_running_z_score_follows_features_that_drift_in_the_fit_as_in_the_test() {
    let folder = Folder::new();
    let mut seed = 1_u64;
    let mut noise = || {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (seed >> 11) as f64 / (1_u64 << 53) as f64 - 0.5
    };
    let (mut velocity, mut drift) = ([0.0_f64; 2], [0.0_f64; 6]);
    let (mut features, mut states) = (Vec::new(), Vec::new());
    for _ in 0..3000 {
        velocity = velocity.map(|value| 0.8 * value + noise());
        drift = drift.map(|value| value + 0.2 * noise());
        let tuned = |at: usize| velocity[0] * (at as f64).cos() + velocity[1] * (at as f64).sin();
        features.push((0..6).map(|at| tuned(at) + noise() + drift[at]).collect());
        states.push(velocity.to_vec());
    }
    write_features(&folder, "drifting.csv", &features);
    write_features(&folder, "velocity.csv", &states);
    let tables = "--features drifting.csv --states velocity.csv --rate 50";
    let decoders = "--train 0..2000 --test 2000..3000 --decoders kalman,kalman:running-zscore=1";
    let found = document(&folder, &format!("evaluate {tables} --zscore {decoders}"));
    let error = |place: usize| number(&found["decoders"][place]["nrmse"]);
    assert!(error(0) > 1.0 && error(1) < 0.7, "{} {}", error(0), error(1));
    // a model file is run by the same code, from where the fit began
    let decoder = "--decoder kalman:running-zscore=1,guard=off";
    folder.succeeds(&format!("fit {tables} --rows 0..2000 {decoder} -o m.kalmind"));
    let alone = document(&folder, &format!("evaluate {tables} --model m.kalmind --test 2000..3000"));
    assert!((number(&alone["decoders"][0]["nrmse"]) - error(1)).abs() < 1e-12, "{alone}");
}

#[test]
fn features_are_selected_and_put_together_in_the_fit_as_in_the_test() {
    let folder = Folder::new();
    let mut seed = 7_u64;
    let mut noise = || {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (seed >> 11) as f64 / (1_u64 << 53) as f64 - 0.5
    };
    let mut velocity = [0.0_f64; 2];
    let (mut features, mut states) = (Vec::new(), Vec::new());
    for _ in 0..600 {
        velocity = velocity.map(|value| 0.8 * value + noise());
        let tuned = |at: usize| velocity[0] * (at as f64).cos() + velocity[1] * (at as f64).sin();
        // six of sixty channels say something
        features.push((0..60).map(|at| noise() + if at % 10 == 4 { tuned(at) } else { 0.0 }).collect());
        states.push(velocity.to_vec());
    }
    write_features(&folder, "wide.csv", &features);
    write_features(&folder, "velocity.csv", &states);
    let tables = "--features wide.csv --states velocity.csv --rate 50";
    let decoders =
        "--train 0..200 --test 200..600 --decoders kalman,kalman:select=6,pca=4,dkf-linear:select=6";
    let found = document(&folder, &format!("evaluate {tables} --zscore {decoders}"));
    let error = |place: usize| number(&found["decoders"][place]["nrmse"]);
    assert!(error(1) < 0.9 * error(0), "{} {}", error(1), error(0));
    // a model file is run by the same code
    let decoder = "--decoder kalman:select=6,pca=4,guard=off";
    let fit = folder.succeeds(&format!("fit {tables} --zscore --rows 0..200 {decoder} -o m.kalmind"));
    assert!(fit.contains("selected [4, 14, 24, 34, 44, 54]"), "{fit}");
    let alone = document(&folder, &format!("evaluate {tables} --model m.kalmind --test 200..600"));
    assert!((number(&alone["decoders"][0]["nrmse"]) - error(1)).abs() < 1e-12, "{alone}");
}
