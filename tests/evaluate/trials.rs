//! Rows of trials: divided between them, apart in time, from a closed loop, and directions without a speed.

use super::*;

/// The states' directions, which all have the length 1 but for rounding.
fn write_directions(folder: &Folder) {
    let directions: Vec<Vec<f64>> = numbers(folder, "z.csv", 0)
        .iter()
        .map(|row| {
            let length = (row[0] * row[0] + row[1] * row[1]).sqrt();
            vec![row[0] / length, row[1] / length]
        })
        .collect();
    write_features(folder, "directions.csv", &directions);
}

#[test]
fn figures_of_a_closed_loop_say_what_they_do_not_say() {
    let folder = Folder::new();
    let arguments = format!("{HELD_OUT} --decoders kalman --resamples 100");
    assert_eq!(document(&folder, &arguments)["note"], Value::Null);
    let found = document(&folder, &format!("{arguments} --closed-loop"));
    let note = found["note"].as_str().expect("a note");
    assert!(note.contains("Open-loop error") && note.contains("nothing of online control"), "{note}");
    let printed = folder.succeeds(&format!("{arguments} --closed-loop --report page.html"));
    let page = fs::read_to_string(folder.path("page.html")).expect("the page");
    assert!(printed.contains(note) && page.contains(note), "{printed}");
}

#[test]
fn directions_have_no_angle_of_faster_rows() {
    let folder = Folder::new();
    write_directions(&folder);
    let directions = HELD_OUT.replace("z.csv", "directions.csv");
    let found = document(&folder, &format!("{directions} --decoders kalman"));
    let decoder = &found["decoders"][0];
    assert!(number(&decoder["maae"]) > 0.0 && decoder["maae_moving"] == Value::Null, "{decoder}");
    let found = document(&folder, &format!("{HELD_OUT} --decoders kalman"));
    assert!(number(&found["decoders"][0]["maae_moving"]) > 0.0);
}

/// Ten trials of one state and one feature, so many milliseconds apart, of 40 rows of 20 ms and one that is longer; `t.csv` is
/// their task.
fn write_trials(folder: &Folder, apart_ms: usize) -> (Vec<f64>, Vec<f64>, Vec<usize>) {
    let (noise, mut starts) = (numbers(folder, "x.csv", 0), Vec::new());
    let (mut states, mut features, mut ms) = (Vec::<f64>::new(), Vec::<f64>::new(), 0);
    let (mut x, mut z) = (String::from("time,unit\n"), String::from("time,z\n"));
    let mut task = String::from("time,trial,target_x,target_y,cursor_x,cursor_y,hold\n");
    for trial in 0..10 {
        starts.push(states.len());
        for row in 0..if trial == 4 { 70 } else { 40 } {
            let noise = &noise[states.len()];
            let from = if row == 0 {
                if trial % 2 == 0 { 3.0 } else { -3.0 }
            } else {
                0.95 * states[states.len() - 1]
            };
            states.push(from + 0.1 * noise[0]);
            features.push(2.0 * states[states.len() - 1] + 2.0 * noise[1]);
            ms += if row == 0 { apart_ms } else { 20 };
            let time = ms as f64 / 1e3;
            writeln!(x, "{time},{}", features[features.len() - 1]).expect("a string grows");
            writeln!(z, "{time},{}", states[states.len() - 1]).expect("a string grows");
            writeln!(task, "{time},{trial},0.5,0.5,0.1,0.2,0").expect("a string grows");
        }
    }
    folder.write("tx.csv", &x);
    folder.write("tz.csv", &z);
    folder.write("t.csv", &task);
    (features, states, starts)
}

/// A Kalman filter of one state and one feature, fitted to the rows before `test` and run over the others; `missing` bins lie
/// between trials, or so many that it starts anew (`None`).
fn scalar_kalman(
    features: &[f64],
    states: &[f64],
    starts: &[usize],
    test: usize,
    missing: Option<usize>,
) -> Vec<f64> {
    let steps: Vec<usize> = (0..test).filter(|row| !starts.contains(row)).collect();
    let sum = |of: &dyn Fn(usize) -> f64| steps.iter().map(|&row| of(row)).sum::<f64>();
    let a = sum(&|row| states[row] * states[row - 1]) / sum(&|row| states[row - 1].powi(2));
    let q = sum(&|row| (states[row] - a * states[row - 1]).powi(2)) / steps.len() as f64;
    let all = |of: &dyn Fn(usize) -> f64| (0..test).map(of).sum::<f64>();
    let h = all(&|row| features[row] * states[row]) / all(&|row| states[row].powi(2));
    let r = all(&|row| (features[row] - h * states[row]).powi(2)) / test as f64;
    let (mut mean, mut variance) = (0.0, 0.0);
    (test..states.len())
        .map(|row| {
            let begins = starts.contains(&row);
            if row == test || begins && missing.is_none() {
                // what the first measurement says alone
                (mean, variance) = (features[row] / h, r / (h * h));
                return mean;
            }
            for _ in 0..if begins { missing.unwrap_or_default() + 1 } else { 1 } {
                (mean, variance) = (a * mean, a * a * variance + q);
            }
            let gain = variance * h / (h * h * variance + r);
            mean += gain * (features[row] - h * mean);
            variance *= 1.0 - gain * h;
            mean
        })
        .collect()
}

#[test]
fn a_short_gap_is_so_many_time_updates_and_a_long_one_a_start() {
    let evaluate = "evaluate --features tx.csv --states tz.csv --train 0..230 --test 230..430 --decoders kalman:intercept=off,start=first --predictions p";
    for (apart_ms, missing) in [(40, Some(1)), (300, Some(14)), (480, Some(23)), (520, None), (3000, None)] {
        let folder = Folder::new();
        let (features, states, starts) = write_trials(&folder, apart_ms);
        let found = document(&folder, evaluate);
        let theirs = scalar_kalman(&features, &states, &starts, 230, missing);
        let own = numbers(&folder, "p/0-kalman.csv", 1);
        assert_eq!(own.len(), theirs.len());
        for (own, theirs) in own.iter().zip(theirs) {
            let row = own[0];
            assert!((own[1] - theirs).abs() < 1e-9, "{apart_ms} ms, row {row}: {} and {theirs}", own[1]);
        }
        let remarks = found["remarks"].to_string();
        let told = format!(
            "4 of the gaps between test rows are not longer than 500 ms (the shortest {apart_ms} ms)"
        );
        assert_eq!(remarks.contains(&told), missing.is_some(), "{apart_ms} ms: {remarks}");
    }
}

#[test]
fn ends_and_folds_move_to_whole_trials() {
    let folder = Folder::new();
    write_trials(&folder, 3000);
    let tables = "evaluate --features tx.csv --states tz.csv --decoders kalman";
    let asked = "--train 0..211 --test 211..430 --whole-trials";
    for (more, by) in [("", "gaps"), (" --task t.csv", "task")] {
        let found = document(&folder, &format!("{tables} {asked}{more}"));
        let trials = json!({ "by": by, "trials": 10, "splits": [{ "train": 5, "test": 5 }] });
        assert_eq!(found["whole_trials"], trials);
        assert_eq!((&found["train"], &found["test"]), (&json!([0, 230]), &json!([230, 430])));
        let exact = document(&folder, &format!("{tables} --train 0..230 --test 230..430{more}"));
        assert_eq!(found["decoders"][0]["nrmse"], exact["decoders"][0]["nrmse"]);
        assert_eq!(exact["whole_trials"], Value::Null);
    }
    // equal folds would end at 107, 215 and 322
    let found = document(&folder, &format!("{tables} --folds 4 --whole-trials"));
    assert_eq!(found["folds"], json!([[0, 120], [120, 230], [230, 310], [310, 430]]));
    let printed =
        folder.succeeds(&format!("{tables} --folds 4 --whole-trials --resamples 100 --report page.html"));
    let page = fs::read_to_string(folder.path("page.html")).expect("the page");
    assert!(
        printed.starts_with("decoder") && page.contains("10 trials by gaps in time, 3 + 2 + 2 + 3 tested")
    );
    folder.refuses(&format!("{tables} --folds 11 --whole-trials"), 2, &["10 whole trials", "--task"]);
    folder.refuses(
        &format!("{tables} --train 0..9 --test 9..430 --whole-trials"),
        2,
        &["--train", "no whole trial"],
    );
    folder.refuses(
        &format!("{TABLES} --decoders kalman --folds 3 --whole-trials"),
        2,
        &["1 whole trials (gaps in time)", "--task"],
    );
    folder.refuses(&format!("{tables} --test tx.csv --whole-trials"), 2, &["--whole-trials", "--test FILE"]);
}
