//! What `kalmind run` says of streams that it cannot use, and `kalmind streams` of those that there are.

use std::fmt::Write as _;

use serde_json::Value;

use crate::harness::{Laboratory, Process};

/// Runs the daemon, which has to refuse to start; its exit code and what it says.
fn refused(laboratory: &Laboratory, configuration: &str) -> (Option<i32>, String) {
    // the name is claimed before any stream is looked for, and other tests run at the same time
    let configuration = format!("instance.name = \"{}\"\n{configuration}", laboratory.name);
    let configuration = laboratory.write("refused.toml", &configuration);
    let file = configuration.to_str().expect("a path");
    // on a busy machine it takes a while until all that is there has answered
    let output = laboratory.run(&["run", "--wait", "4", "--config", file]);
    assert!(output.stdout.is_empty(), "results alone go to stdout");
    (output.status.code(), String::from_utf8(output.stderr).expect("text"))
}

fn assert_says(said: &str, parts: &[&str]) {
    for part in parts {
        assert!(said.contains(part), "{part:?} is missing in:\n{said}");
    }
}

/// A model for six channels a..f, fitted to generated rows.
fn fit_model(laboratory: &Laboratory) {
    let mut features = String::from("a,b,c,d,e,f\n");
    let mut states = String::from("vx,vy\n");
    for row in 0..400 {
        let time = f64::from(row) / 50.0;
        let (x, y) =
            ((3.1 * time).sin() + 0.3 * (17.0 * time).sin(), (2.3 * time).cos() + 0.3 * (13.0 * time).sin());
        let cells: Vec<String> = (0..6)
            .map(|channel| {
                let angle = f64::from(channel);
                (x * angle.cos() + y * angle.sin() + 0.3 * (f64::from(row) * (1.7 + angle)).sin()).to_string()
            })
            .collect();
        features.push_str(&(cells.join(",") + "\n"));
        writeln!(states, "{x},{y}").expect("a string grows");
    }
    laboratory.write("x.csv", &features);
    laboratory.write("z.csv", &states);
    let arguments = "fit --features x.csv --states z.csv --rate 50 --decoder kalman -o model.kalmind";
    laboratory.succeed(&arguments.split(' ').collect::<Vec<_>>());
}

#[test]
fn a_stream_that_is_not_there_is_answered_with_what_is() {
    let laboratory = Laboratory::new("absent");
    let nothing = "[[stream]]\nname = \"Array\"\n";
    let (code, said) = refused(&laboratory, nothing);
    assert_eq!(code, Some(3), "{said}");
    assert_says(&said, &["\"Array\"", "no stream at all is visible"]);

    let _other = laboratory.outlet("Elsewhere", &["--type", "EEG"]);
    let (code, said) = refused(&laboratory, nothing);
    assert_eq!(code, Some(3), "{said}");
    assert_says(
        &said,
        &["name = \"Array\"", "1 stream is there instead", "\"Elsewhere\"", "EEG", "6 x float32", "50 Hz"],
    );
}

#[test]
fn two_streams_that_fit_are_both_listed_with_how_to_tell_them_apart() {
    let laboratory = Laboratory::new("twice");
    let _outlets: [Process; 2] =
        ["one", "two"].map(|source| laboratory.outlet("Array", &["--source-id", source]));
    let (code, said) = refused(&laboratory, "[[stream]]\nname = \"Array\"\n");
    assert_eq!(code, Some(3), "{said}");
    assert_says(
        &said,
        &[
            "2 streams match",
            "source_id \"one\"",
            "source_id \"two\"",
            "meant by its source_id, as in source_id = ",
        ],
    );
}

#[test]
fn two_streams_that_are_alike_come_with_a_way_out() {
    let laboratory = Laboratory::new("alike");
    let _outlets: [Process; 2] = [laboratory.outlet("Array", &[]), laboratory.outlet("Array", &[])];
    let (code, said) = refused(&laboratory, "[[stream]]\nname = \"Array\"\n");
    assert_eq!(code, Some(3), "{said}");
    assert_says(&said, &["2 streams match", "left over", "source_id of its own", "predicate = \"uid='"]);
    let uid = said.split("uid='").nth(1).and_then(|rest| rest.split('\'').next()).expect("a uid");
    let name = &laboratory.name;
    let one = format!(
        "instance.name = \"{name}\"\nserver.bind = \"127.0.0.1:0\"\n[[stream]]\npredicate = \"uid='{uid}'\"\n"
    );
    let configuration = laboratory.write("one.toml", &one);
    laboratory.daemon(&configuration, "30").end();
}

#[test]
fn a_stream_of_texts_is_no_stream_to_decode() {
    let laboratory = Laboratory::new("texts");
    let _outlet = laboratory.outlet("Array", &["--text"]);
    let (code, said) = refused(&laboratory, "[[stream]]\nname = \"Array\"\n");
    assert_eq!(code, Some(3), "{said}");
    assert_says(&said, &["carries text", "[task]"]);
}

#[test]
fn a_model_that_does_not_fit_the_stream_is_refused_with_every_difference() {
    let laboratory = Laboratory::new("misfit");
    fit_model(&laboratory);
    let on = |stream: &str, more: &str| {
        format!("decoder.model = \"model.kalmind\"\n{more}\n[[stream]]\nname = \"{stream}\"\n")
    };
    let _outlets = [
        laboratory.outlet("Seven", &["--channels", "7"]),
        laboratory.outlet("Other", &["--labels", "a,b,X,d,e,f"]),
        laboratory.outlet("Fast", &["--labels", "a,b,c,d,e,f", "--rate", "100"]),
        laboratory.outlet("Right", &["--labels", "a,b,c,d,e,f"]),
        laboratory.outlet("Irregular", &["--labels", "a,b,c,d,e,f", "--nominal", "0"]),
    ];
    let cases: &[(&str, &str, Option<i32>, &[&str])] = &[
        ("Seven", "", Some(2), &["model.kalmind", "1 stream with 6 channels", "1 stream with 7 channels"]),
        ("Other", "", Some(2), &["channel 2 is \"c\" in the model and \"X\" in the stream"]),
        ("Fast", "", Some(2), &["bins of 20 ms", "bins of 10 ms"]),
        ("Right", "bins.bin_ms = 40", Some(2), &["bins of 20 ms", "bins of 40 ms"]),
        (
            "Right",
            "intent.components = [{ name = \"speed\", unit = \"1\" }, { name = \"vy\", unit = \"1\" }]\n\
             cursor.components = [\"speed\", \"vy\"]",
            Some(2),
            &["the model decodes vx (a.u.), vy (a.u.)", "[intent] says speed (1), vy (1)"],
        ),
        ("Right", "cursor.components = [\"vx\", \"vz\"]", Some(2), &["\"vz\"", "vx, vy"]),
        ("Irregular", "", Some(2), &["irregular", "rate_hz"]),
    ];
    for (stream, more, code, parts) in cases {
        let (found, said) = refused(&laboratory, &on(stream, more));
        assert_eq!(found, *code, "{stream}: {said}");
        assert_says(&said, parts);
    }
    let (code, said) = refused(&laboratory, "bins.bin_ms = 40\n[[stream]]\nname = \"Right\"\n");
    assert_eq!(code, Some(2), "{said}");
    assert_says(&said, &["50 samples a second", "bin_ms = 20"]);
    let counted = format!("{}channels = 5\n", on("Right", ""));
    let (code, said) = refused(&laboratory, &counted);
    assert_eq!(code, Some(3), "{said}");
    assert_says(&said, &["has 6 channels", "channels = 5"]);
}

#[test]
fn streams_are_listed_with_what_was_measured() {
    let laboratory = Laboratory::new("listed");
    let _outlets = [
        laboratory.outlet("Array", &["--labels", "a,b,c"]),
        laboratory.outlet("Texts", &["--text", "--nominal", "0", "--type", "Markers"]),
    ];
    let printed = laboratory.succeed(&["streams", "--seconds", "2", "--json"]);
    let listed: Value = serde_json::from_str(&printed).expect("one JSON document");
    let streams = listed["streams"].as_array().expect("a list");
    assert_eq!(streams.len(), 2, "{listed:#}");
    let array = streams.iter().find(|stream| stream["name"] == "Array").expect("it is there");
    assert_eq!(array["channels"], 3);
    assert_eq!(array["nominal_rate_hz"], 50.0);
    assert!(array["measured_rate_hz"].as_f64().is_some_and(|rate| rate > 10.0 && rate < 200.0), "{array}");
    assert!(array["age_ms"].is_number(), "{array}");
    let table = laboratory.succeed(&["streams", "--seconds", "0.5"]);
    assert!(table.lines().any(|line| line.starts_with("Texts") && line.contains("text")), "{table}");
    let nowhere = Laboratory::new("nothing-listed").succeed(&["streams", "--seconds", "0.5"]);
    assert!(nowhere.starts_with("No stream is visible"), "{nowhere}");
}
