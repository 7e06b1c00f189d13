//! The program as people and scripts start it: exit codes, what it prints, and what it says of input that is wrong.

#![expect(clippy::expect_used, reason = "a test ends by panicking")]

mod program;

use std::{collections::BTreeSet, fmt::Write as _, fs, path::Path};

use program::{Folder, ROWS};
use serde_json::Value;

const FIT: &str = "fit --features x.csv --states z.csv --rate 50 -o m.kalmind";

#[test]
fn help_of_every_command_shows_an_example() {
    let folder = Folder::new();
    let help = folder.succeeds("--help");
    let commands: Vec<&str> = help
        .lines()
        .skip_while(|line| !line.starts_with("Commands:"))
        .skip(1)
        .take_while(|line| !line.is_empty())
        .filter_map(|line| line.split_whitespace().next())
        .filter(|command| *command != "help")
        .collect();
    assert!(commands.len() >= 6, "{commands:?}");
    assert!(help.contains("Example: kalmind"), "{help}");
    for command in commands {
        let help = folder.succeeds(&format!("{command} --help"));
        assert!(help.contains(&format!("Example: kalmind {command}")), "{help}");
    }
    assert!(folder.succeeds("--version").starts_with("kalmind "));
}

#[test]
fn usage_that_is_wrong_is_code_2_and_names_the_nearest() {
    let folder = Folder::new();
    folder.refuses("fitt", 2, &["fitt", "similar", "'fit'"]);
    folder.refuses("run", 2, &["--config"]);
    folder.refuses("run --confg x", 2, &["--confg", "--config"]);
    folder.refuses(&format!("{FIT} --decoder kalmann"), 2, &["`kalmann`", "did you mean `kalman`", "dkf-nw"]);
    folder.refuses(&format!("{FIT} --decoder dkf-nw:lag=2"), 2, &["no option `lag`", "did you mean `lags`"]);
    folder.refuses(&format!("{FIT} --decoder dkf-nw:lags=x"), 2, &["`lags`", "`x`", "whole number"]);
    folder.refuses(&format!("{FIT} --decoder dkf-nw:form=robst"), 2, &["`robst`", "`robust`"]);
    folder.refuses(&format!("{FIT} --decoder kalman --binning max"), 2, &["--binning max", "`mean`"]);
    folder.refuses(&format!("{FIT} --decoder kalman --components a,b,c"), 2, &["3 components", "2 columns"]);
    folder.refuses(
        "demo --headless --seconds -1",
        2,
        &["'-1'", "--seconds", "a number of seconds from 0 to"],
    );
    folder.refuses("run --config x --wait never", 2, &["'never'", "--wait", "a number of seconds from 0 to"]);
    folder.refuses("demo --headless --decoder kalmann", 2, &["did you mean `kalman`"]);
    folder.refuses("demo --mouse --headless", 2, &["--mouse", "--headless", "cannot be used with"]);
    folder.refuses("simulate --offset 3", 2, &["--offset 3", "CHANNEL:Z"]);
}

#[test]
fn tables_that_are_wrong_are_named_with_file_line_and_column() {
    let folder = Folder::new();
    folder.write("ragged.csv", "1,2\n3\n4,5\n");
    folder.write("text.csv", "1,2\n3,four\n4,5\n");
    folder.write("empty.csv", "");
    folder.write("header.csv", "a,b\n");
    folder.write("one.csv", "1,2\n");
    folder.write("short.csv", &"1,2\n".repeat(ROWS - 1));
    folder.write("nan.csv", &("1,2\n".repeat(ROWS - 1) + "nan,1\n"));
    let fit = |features: &str, states: &str| {
        format!("fit --features {features} --states {states} --rate 50 --decoder kalman -o m.kalmind")
    };
    folder.refuses(&fit("none.csv", "z.csv"), 2, &["none.csv", "No such file"]);
    folder.refuses(&fit("ragged.csv", "z.csv"), 2, &["ragged.csv, line 2", "1 cell", "has 2"]);
    folder.refuses(&fit("text.csv", "z.csv"), 2, &["text.csv, line 2, column 2", "\"four\"", "a number"]);
    folder.refuses(&fit("empty.csv", "z.csv"), 2, &["empty.csv", "empty"]);
    folder.refuses(&fit("header.csv", "z.csv"), 2, &["header.csv", "no rows"]);
    folder.refuses(&fit("x.csv", "short.csv"), 2, &["x.csv has 600 rows", "short.csv has 599"]);
    folder.refuses(&fit("x.csv", "nan.csv"), 2, &["nan.csv, line 600, column 1", "\"nan\"", "finite"]);
    folder.refuses(&fit("one.csv", "one.csv"), 1, &["at least", "record longer"]);
    folder.refuses(
        "fit --features x.csv --states z.csv --decoder kalman -o m",
        2,
        &["x.csv", "`time`", "--rate HZ"],
    );
    folder.refuses(
        "fit --features x.csv --states z.csv --rate 0 --decoder kalman -o m",
        2,
        &["'0'", "--rate <HZ>", "rows per second"],
    );
    for (rows, says) in [("0..5000", "600"), ("9..3", "greater"), ("all", "A..B"), ("3..3", "no rows")] {
        folder.refuses(&format!("{FIT} --decoder kalman --rows {rows}"), 2, &["--rows", rows, says]);
    }
    folder.refuses(&format!("{FIT} --decoder kalman --rows 0..1"), 1, &["at least", "record longer"]);
    let evaluate = "evaluate --features x.csv --states z.csv --rate 50 --decoders kalman --json";
    folder.refuses(&format!("{evaluate} --train 0..400 --test 590..601"), 2, &["--test", "590..601", "600"]);
    folder.refuses(&format!("{evaluate} --test 590..600"), 2, &["--train"]);
}

#[test]
fn a_fit_that_cannot_be_made_is_code_1_with_the_remedy() {
    let folder = Folder::new();
    folder.write("still.csv", &"1,2,3,4\n".repeat(ROWS));
    let growing: String = (0..ROWS).fold(String::new(), |mut text, row| {
        let row = f64::from(u32::try_from(row).expect("few rows"));
        writeln!(text, "{},{}", 1.05_f64.powf(row), 1.04_f64.powf(row)).expect("a string grows");
        text
    });
    folder.write("growing.csv", &growing);
    folder.write("standing.csv", &"1,0\n".repeat(ROWS));
    for decoder in ["kalman", "kalman-steady", "wiener", "dkf-linear", "dkf-nw"] {
        let still =
            format!("fit --features still.csv --states z.csv --rate 50 --decoder {decoder} -o m.kalmind");
        folder.refuses(&still, 1, &["no feature column moves", "check the sender"]);
        let standing =
            format!("fit --features x.csv --states standing.csv --rate 50 --decoder {decoder} -o m.kalmind");
        folder.refuses(&standing, 1, &["state column", "leave it out"]);
        if decoder != "wiener" {
            let growing = format!(
                "fit --features x.csv --states growing.csv --rate 50 --decoder {decoder} -o m.kalmind"
            );
            folder.refuses(&growing, 1, &["unstable", "velocities instead of positions"]);
        }
    }
    assert!(!folder.path("m.kalmind").exists(), "a fit that failed writes nothing");
    folder.refuses(
        "fit --features x.csv --states z.csv --rate 50 --decoder kalman -o nowhere/m",
        1,
        &["nowhere/m"],
    );
}

#[test]
fn model_files_that_are_wrong_are_named_with_what_to_do() {
    let folder = Folder::new();
    folder.succeeds(&format!("{FIT} --decoder kalman"));
    let whole = fs::read(folder.path("m.kalmind")).expect("a model");
    let text = String::from_utf8_lossy(&whole).into_owned();
    let length =
        usize::try_from(u64::from_le_bytes(whole[..8].try_into().expect("8 bytes"))).expect("a length");
    fs::write(folder.path("cut.kalmind"), &whole[..whole.len() - 8]).expect("written");
    fs::write(folder.path("stub.kalmind"), &whole[..20]).expect("written");
    fs::write(folder.path("foreign.kalmind"), b"PK\x03\x04 a zip file, say, of some length")
        .expect("written");
    assert!(text.contains("\\\"version\\\":1"));
    let mut future = whole[..8].to_vec();
    let header = String::from_utf8(whole[8..8 + length].to_vec()).expect("JSON");
    future.extend(header.replace("\\\"version\\\":1", "\\\"version\\\":9").as_bytes());
    future.extend(&whole[8 + length..]);
    fs::write(folder.path("future.kalmind"), future).expect("written");
    let other = br#"{"__metadata__":{"format":"pt"}}"#;
    let foreign: Vec<u8> =
        (other.len() as u64).to_le_bytes().into_iter().chain(other.iter().copied()).collect();
    fs::write(folder.path("torch.kalmind"), foreign).expect("written");
    for (file, parts) in [
        ("cut.kalmind", &["cut off", "copy it anew"][..]),
        ("stub.kalmind", &["cut off", "copy it anew"]),
        ("foreign.kalmind", &["not a model"]),
        ("future.kalmind", &["version 9", "up to 2", "newer Kalmind"]),
        ("torch.kalmind", &["no Kalmind model"]),
        ("none.kalmind", &["No such file"]),
    ] {
        let arguments =
            format!("evaluate --features x.csv --states z.csv --rate 50 --test 0..600 --model {file}");
        folder.refuses(&arguments, 2, &[&[file], parts].concat());
    }
    let arguments = "evaluate --features z.csv --states z.csv --rate 50 --test 0..600 --model m.kalmind";
    folder.refuses(arguments, 2, &["4 features", "the data have 2"]);
    let arguments = "evaluate --features x.csv --states z.csv --rate 40 --test 0..600 --model m.kalmind";
    folder.refuses(arguments, 2, &["bins of 20 ms", "25 ms apart", "--rate"]);
}

fn keys(value: &Value) -> BTreeSet<&str> {
    value.as_object().expect("an object").keys().map(String::as_str).collect()
}

#[test]
fn evaluate_prints_one_json_document_of_the_documented_form() {
    let folder = Folder::new();
    let printed = folder.succeeds(
        "evaluate --features x.csv --states z.csv --rate 50 --train 0..400 --test 400..600 --decoders \
         kalman,dkf-nw:lags=2,form=robust --decoders wiener --json",
    );
    let document: Value = serde_json::from_str(&printed).expect("one JSON document and nothing else");
    assert_eq!(keys(&document), BTreeSet::from(["train", "test", "rows_left_out", "decoders"]));
    assert_eq!(document["train"], serde_json::json!([0, 400]));
    assert_eq!(document["test"], serde_json::json!([400, 600]));
    let decoders = document["decoders"].as_array().expect("a list");
    let named: Vec<_> = decoders.iter().map(|decoder| decoder["name"].as_str().expect("a name")).collect();
    assert_eq!(named, ["kalman", "dkf-nw", "wiener"]);
    assert_eq!(decoders[1]["options"], serde_json::json!({ "lags": "2", "form": "robust" }));
    for decoder in decoders {
        assert_eq!(
            keys(decoder),
            BTreeSet::from([
                "name",
                "options",
                "nrmse",
                "maae",
                "maae_moving",
                "correlation",
                "nees",
                "coverage",
                "uncertainty",
                "warnings",
                "fallback_steps",
                "fit_seconds",
                "step_us"
            ])
        );
        assert_eq!(keys(&decoder["coverage"]), BTreeSet::from(["50", "90", "99"]));
        assert_eq!(
            keys(&decoder["uncertainty"]),
            BTreeSet::from(["covariance", "decile_ratio", "rank_correlation"])
        );
        assert!(decoder["warnings"].is_array(), "{decoder}");
        assert_eq!(keys(&decoder["step_us"]), BTreeSet::from(["p50", "p99", "max"]));
        for figure in ["nrmse", "maae", "maae_moving", "nees", "fit_seconds"] {
            assert!(decoder[figure].is_number(), "{figure}: {decoder}");
        }
        assert_eq!(decoder["correlation"].as_array().map(Vec::len), Some(2));
    }
    let table = folder.succeeds(
        "evaluate --features x.csv --states z.csv --rate 50 --train 0..400 --test 400..600 --decoders kalman",
    );
    assert!(table.lines().nth(1).is_some_and(|line| line.starts_with("kalman")), "{table}");
}

#[test]
fn fit_prints_one_json_document_and_a_fitted_model_evaluates_like_its_decoder() {
    let folder = Folder::new();
    let printed = folder.succeeds(&format!("{FIT} --decoder kalman:guard=off --rows 0..400 --json"));
    let report: Value = serde_json::from_str(&printed).expect("one JSON document and nothing else");
    assert_eq!(report["rows"], serde_json::json!([0, 400]));
    assert_eq!(report["sha256"].as_str().map(str::len), Some(64));
    let tables = "evaluate --features x.csv --states z.csv --rate 50 --test 400..600 --json";
    let of = |text: &str| serde_json::from_str::<Value>(text).expect("JSON")["decoders"][0]["nrmse"].clone();
    let fitted = folder.succeeds(&format!("{tables} --model m.kalmind"));
    let fresh = folder.succeeds(&format!("{tables} --train 0..400 --decoders kalman"));
    assert_eq!(of(&fitted), of(&fresh), "without the guard a model file is the decoder that was fitted");
}

#[test]
fn all_problems_of_a_configuration_are_told_at_once_with_line_column_and_nearest_key() {
    let folder = Folder::new();
    folder.write(
        "wrong.toml",
        "[[stream]]\nname = \"Array\"\nbining = \"mean\"\n\n[bins]\nbin_ms = 900\n\n[cursr]\ngain = 2\n",
    );
    folder.refuses(
        "run --config wrong.toml",
        2,
        &[
            "wrong.toml:3:1",
            "bining",
            "did you mean `binning`",
            "wrong.toml:6:10",
            "from 1 to 200",
            "wrong.toml:8:2",
            "cursr",
            "did you mean `cursor`",
            "3 problems",
        ],
    );
    folder.refuses("run --config none.toml", 2, &["none.toml", "No such file", "config/features.toml"]);
    folder.write("broken.toml", "[bins\nbin_ms = 20\n");
    folder.refuses("run --config broken.toml", 2, &["broken.toml:1:6"]);
    folder.write("nothing.toml", "[bins]\nbin_ms = 20\n");
    folder.refuses("run --config nothing.toml", 2, &["[[stream]]"]);
    folder.write("decoder.toml", "[[stream]]\nname = \"Array\"\n[task]\ndecoder = \"kalmann\"\n");
    folder.refuses("run --config decoder.toml", 2, &["kalmann", "did you mean `kalman`"]);
}

#[test]
fn every_file_in_config_is_accepted_as_far_as_the_search_for_its_streams() {
    let folder = Folder::new();
    let config = Path::new(env!("CARGO_MANIFEST_DIR")).join("config");
    let mut seen = 0;
    for entry in fs::read_dir(config).expect("config/ is there") {
        let path = entry.expect("config/ can be listed").path();
        if path.extension().is_some_and(|extension| extension == "toml") {
            let file = path.to_str().expect("a path");
            folder.refuses(&format!("run --wait 0.5 --config {file}"), 3, &["no stream", "is visible"]);
            seen += 1;
        }
    }
    assert!(seen >= 2, "config/ holds only {seen} files");
}

#[test]
fn the_demonstration_prints_one_json_document_with_exactly_its_keys() {
    let folder = Folder::new();
    let printed = folder.succeeds("demo --headless --calibration-seconds 5 --seconds 5 --json");
    let document: Value = serde_json::from_str(&printed).expect("one JSON document and nothing else");
    assert_eq!(
        keys(&document),
        BTreeSet::from([
            "seconds",
            "ticks",
            "incomplete_bins",
            "fit",
            "targets",
            "simulated",
            "bit_rate",
            "bit_rate_ci",
            "bit_rate_dwell",
            "first_target_s",
            "assistance",
            "verdict",
            "time_to_target_s",
            "latency_us",
            "lost_samples"
        ])
    );
    assert_eq!(document["seconds"], 5.0);
    assert_eq!(keys(&document["fit"]), BTreeSet::from(["decoder", "train_bins", "poor", "quality"]));
    assert!(document["fit"]["poor"].is_boolean(), "{document}");
    assert!(document["fit"]["quality"]["chance"]["result"].is_string(), "{document}");
    assert_eq!(document["fit"]["decoder"], "kalman-steady");
    assert!(document["fit"]["train_bins"].as_u64().is_some_and(|bins| bins > 100), "{document}");
    assert_eq!(keys(&document["targets"]), BTreeSet::from(["presented", "acquired", "incorrect"]));
    assert_eq!(keys(&document["time_to_target_s"]), BTreeSet::from(["p50"]));
    let stages = document["latency_us"].as_object().expect("stages");
    assert!(stages.len() >= 3, "{document}");
    for stage in stages.values() {
        assert_eq!(keys(stage), BTreeSet::from(["p50", "p99", "max"]));
    }
    assert!(document["ticks"].as_u64().is_some_and(|ticks| ticks > 250), "{document}");
}

#[test]
fn a_link_that_lies_in_wait_is_never_written_through() {
    let folder = Folder::new();
    folder.write("precious", "precious");
    let precious = folder.path("precious");
    for name in ["m.kalmind.part", "linked.kalmind", "page.html"] {
        std::os::unix::fs::symlink(&precious, folder.path(name)).expect("a link");
    }
    folder.succeeds(&format!("{FIT} --decoder kalman"));
    let fit = FIT.replace("m.kalmind", "linked.kalmind");
    folder.refuses(&format!("{fit} --decoder kalman"), 1, &["linked.kalmind is a link"]);
    let evaluate =
        "evaluate --features x.csv --states z.csv --rate 50 --train 0..400 --test 400..600 --decoders kalman";
    folder.refuses(&format!("{evaluate} --json --report page.html"), 1, &["page.html is a link"]);
    assert_eq!(fs::read_to_string(&precious).expect("a file"), "precious");
    assert!(fs::symlink_metadata(folder.path("m.kalmind")).expect("the model").is_file());
    // a device is no place for a model either; as root it could be replaced
    let fit = FIT.replace("m.kalmind", "/dev/null");
    folder.refuses(&format!("{fit} --decoder kalman"), 1, &["/dev/null is a device"]);
}

#[test]
fn absurd_numbers_are_refused_in_words() {
    let folder = Folder::new();
    for rate in ["1e300", "-50", "0", "nan", "inf"] {
        let fit = FIT.replace("--rate 50", &format!("--rate {rate}"));
        folder.refuses(&format!("{fit} --decoder kalman"), 2, &["rows per second"]);
    }
    folder.refuses("streams --seconds 1e300", 2, &["number of seconds from 0 to"]);
    folder.refuses("simulate --delay-ms -5", 2, &["number of milliseconds from 0 to"]);
    folder.refuses("simulate --noise nan", 2, &["a number from 0 to 10"]);
    let rows: Vec<String> = (0..ROWS).map(|row| format!("{}e200", row + 1)).collect();
    folder.write(
        "far.csv",
        &format!("time,a\n{}\n", rows.iter().map(|time| format!("{time},1")).collect::<Vec<_>>().join("\n")),
    );
    folder.refuses(
        "fit --features far.csv --states z.csv --decoder kalman -o m.kalmind",
        2,
        &["far.csv", "ms apart", "1 to 200 ms"],
    );
}
