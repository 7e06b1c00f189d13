//! Recordings by other programs, odd in every way, on the real program: nothing is misread, left out or overwritten in
//! silence. fixtures/foreign holds one of each kind.

#![expect(clippy::expect_used, reason = "a test ends by panicking")]

mod program;

use std::{fs, path::Path};

use serde_json::Value;

use program::Folder;

fn foreign(name: &str) -> String {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/foreign").join(name).display().to_string()
}

fn json(text: &str) -> Value {
    serde_json::from_str(text).expect("one JSON document and nothing else")
}

/// Names of the CSV files of an export, and how many rows each has.
fn exported(folder: &Folder, file: &str, more: &str) -> Vec<(String, usize)> {
    folder.succeeds(&format!("recording export {} --csv out --force {more}", foreign(file)));
    let described = json(&fs::read_to_string(folder.path("out/streams.json")).expect("the description"));
    described["streams"]
        .as_array()
        .expect("streams")
        .iter()
        .map(|stream| {
            let name = stream["file"].as_str().expect("a name").to_owned();
            let rows =
                fs::read_to_string(folder.path(&format!("out/{name}"))).expect("a table").lines().count();
            (name, rows - 1)
        })
        .collect()
}

#[test]
fn two_streams_never_go_into_one_file_and_names_fit() {
    let folder = Folder::new();
    let files = exported(&folder, "x18_two_kalminds.xdf", "");
    assert_eq!(files, [("cursor.csv".to_owned(), 200), ("cursor_02.csv".to_owned(), 200)]);
    for file in ["x13a_long_name.xdf", "x13c_odd_names.xdf"] {
        for (name, rows) in exported(&folder, file, "") {
            assert!(name.len() < 100 && !name.contains('/') && rows > 0, "{name}: {rows}");
        }
    }
}

#[test]
fn our_fit_takes_what_our_export_writes() {
    let folder = Folder::new();
    let files = exported(&folder, "x17a_dup_labels.xdf", "");
    let table = fs::read_to_string(folder.path(&format!("out/{}", files[0].0))).expect("a table");
    assert!(table.starts_with("time,Cz,Cz_2,time_2\n"), "{}", table.lines().next().unwrap_or_default());
    let states: Vec<String> = (0..200).map(|row| format!("{},{}", row % 7, row % 5)).collect();
    folder.write("states.csv", &states.join("\n"));
    folder.succeeds(&format!(
        "fit --features out/{} --states states.csv --rows 0..150 --decoder wiener:ridge=1 -o m.kalmind",
        files[0].0
    ));
}

#[test]
fn nothing_is_overwritten_unless_asked() {
    let folder = Folder::new();
    fs::create_dir_all(folder.path("out")).expect("a folder");
    folder.write("out/cursor_02.csv", "precious");
    let export = format!("recording export {} --csv out", foreign("x18_two_kalminds.xdf"));
    folder.refuses(&export, 1, &["cursor_02.csv exists already", "--force"]);
    assert!(!folder.path("out/cursor.csv").exists(), "nothing was written");
    assert_eq!(fs::read_to_string(folder.path("out/cursor_02.csv")).expect("the file"), "precious");
    folder.succeeds(&format!("{export} --force"));
}

#[test]
fn texts_in_another_encoding_are_told_or_named() {
    let folder = Folder::new();
    let read = |more: &str| {
        let files = exported(&folder, "x15_marker_bytes.xdf", more);
        fs::read_to_string(folder.path(&format!("out/{}", files[0].0))).expect("a table")
    };
    assert!(read("").contains("Reiz grün"));
    assert!(read("--encoding koi8-r").contains("Reiz grЭn"));
    let export =
        format!("recording export {} --csv other --encoding klingon", foreign("x15_marker_bytes.xdf"));
    folder.refuses(&export, 2, &["no such encoding"]);
}

#[test]
fn check_and_export_agree_and_repair_keeps_every_byte() {
    let folder = Folder::new();
    for name in [
        "x21_second_header.xdf",
        "x11b_control_char.xdf",
        "x11d_cut_header_xml.xdf",
        "x03b_damage_boundary4.xdf",
    ] {
        let file = foreign(name);
        let (_, told) = folder.warns(&format!("recording check {file}"));
        assert!(told.contains("byte ") && told.contains("`kalmind recording repair"), "{told}");
        let rows: usize = exported(&folder, name, "").iter().map(|(_, rows)| rows).sum();
        let info = json(&folder.succeeds(&format!("recording info {file} --json")));
        let samples: u64 = info["streams"]
            .as_array()
            .expect("streams")
            .iter()
            .filter_map(|stream| stream["samples"].as_u64())
            .sum();
        assert_eq!(rows as u64, samples, "{name}");
        let (done, told) = folder.warns(&format!("recording repair {file} -o mended.xdf --force"));
        assert!(
            done.contains("mended.xdf contains everything that could be saved") && told.contains("left"),
            "{done}{told}"
        );
        let (before, after) = (
            fs::read(&file).expect("the fixture"),
            fs::read(folder.path("mended.xdf")).expect("the mended one"),
        );
        if name != "x03b_damage_boundary4.xdf" {
            assert!(after.len() + 200 > before.len(), "{name}: {} of {}", after.len(), before.len());
        }
    }
    for (name, part) in
        [("x06d_rate.xdf", "-1"), ("x06a_rate.xdf", "100,0"), ("x12_header_late.xdf", "behind")]
    {
        let told = folder.succeeds(&format!("recording check {}", foreign(name)));
        assert!(told.contains("intact: 1 stream, 200 samples") && told.contains(part), "{told}");
        assert!(
            folder.succeeds(&format!("recording repair {}", foreign(name))).contains("nothing to repair")
        );
    }
}

#[test]
fn what_a_command_does_not_take_it_says_with_a_way_out() {
    let folder = Folder::new();
    fs::write(folder.path("a.mat"), b"MATLAB 5.0 MAT-file, Platform: GLNXA64").expect("written");
    for command in ["recording check", "recording repair", "replay --lsl", "replay"] {
        folder.refuses(&format!("{command} a.mat"), 1, &["a MATLAB file", "writematrix"]);
        folder.refuses(&format!("{command} {}", foreign("x20_empty_file.xdf")), 1, &["the file is empty"]);
    }
    folder.refuses("fit a.mat --decoder kalman -o m.kalmind", 2, &["a MATLAB file", "writematrix"]);
    assert!(folder.succeeds("recording info a.mat").contains("writematrix"));
    assert!(folder.succeeds("recording info x.csv").contains("a text file"));
    let packed = foreign("x19_packed.xdfz");
    let info = json(&folder.succeeds(&format!("recording info {packed} --json")));
    assert_eq!(info["kind"], "an XDF file packed with gzip");
    folder.refuses(&format!("recording repair {packed} --in-place"), 1, &["gunzip"]);
}

#[test]
fn streams_on_different_clocks_are_told_and_not_played_apart() {
    let folder = Folder::new();
    let file = foreign("x07_unix_stamps.xdf");
    for command in ["recording info", "recording check"] {
        let told = folder.succeeds(&format!("{command} {file}"));
        assert!(told.contains("Unix time, 2023-07-04"), "{told}");
    }
    folder.succeeds(&format!("recording export {file} --csv out"));
    let described = json(&fs::read_to_string(folder.path("out/streams.json")).expect("the description"));
    assert!(described["mixed_clocks"].as_str().is_some_and(|text| text.contains("Unix time")));
    folder.refuses(&format!("replay --lsl {file}"), 1, &["Unix time", "--align"]);
}

#[test]
fn encodings_are_named_to_info_and_check_as_to_export() {
    let folder = Folder::new();
    let file = foreign("x15_marker_bytes.xdf");
    for command in ["recording info", "recording check"] {
        assert!(folder.succeeds(&format!("{command} {file}")).contains("windows-1252"));
        let named = folder.succeeds(&format!("{command} {file} --encoding latin1"));
        assert!(!named.contains("windows-1252"), "{named}");
        folder.refuses(&format!("{command} {file} --encoding klingon"), 2, &["no such encoding"]);
    }
    assert!(
        folder
            .succeeds(&format!("recording info {} --encoding latin1", foreign("e01_dead_channel.edf")))
            .contains("EDF")
    );
}

#[test]
fn repair_is_recommended_where_it_can_help() {
    let folder = Folder::new();
    let (_, told) = folder.warns(&format!("recording check {}", foreign("x03b_damage_boundary4.xdf")));
    assert!(told.contains("writes a repaired copy"), "{told}");
    let (_, told) = folder.warns(&format!("recording check {}", foreign("x11b_control_char.xdf")));
    assert!(told.contains("`kalmind recording repair` cannot improve it"), "{told}");
    let json_of = |name: &str| json(&folder.warns(&format!("recording check {} --json", foreign(name))).0);
    assert_eq!(json_of("x11b_control_char.xdf")["can_be_mended"], false);
}

#[test]
fn one_is_singular() {
    let folder = Folder::new();
    assert!(
        folder
            .succeeds(&format!("recording check {}", foreign("x06d_rate.xdf")))
            .starts_with("intact: 1 stream, 200 samples")
    );
    assert!(
        folder
            .succeeds(&format!("recording export {} --csv out", foreign("x06d_rate.xdf")))
            .starts_with("1 stream in")
    );
}

#[test]
fn a_fit_takes_the_encoding_that_its_note_names() {
    let folder = Folder::new();
    let fit = format!(
        "fit {} --state-channels 1 --feature-channels 0 --decoder wiener:lags=1 -o m.kalmind --encoding",
        foreign("e02_decimal_comma.edf")
    );
    folder.succeeds(&format!("{fit} latin1"));
    folder.refuses(&format!("{fit} klingon"), 2, &["no such encoding"]);
}

#[test]
fn tables_on_different_clocks_are_refused_with_both() {
    let folder = Folder::new();
    let rows = |begin: f64| {
        let lines: Vec<String> =
            (0..40).map(|row| format!("{},{}\n", begin + f64::from(row) * 0.02, row % 7)).collect();
        lines.concat()
    };
    folder.write("u.csv", &("time,u\n".to_owned() + &rows(100.0)));
    folder.write("v.csv", &("time,v\n".to_owned() + &rows(1_690_000_000.0)));
    for command in [
        "fit --features u.csv --states v.csv --decoder kalman -o m.kalmind",
        "evaluate --features u.csv --states v.csv --train 0..20 --test 20..40 --decoders kalman",
    ] {
        folder.refuses(
            command,
            2,
            &["u.csv begin at 100 s", "v.csv begin at 1690000000 s (Unix time, 2023-07-22)"],
        );
    }
}
