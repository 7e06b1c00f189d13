//! Rows of trials: from a closed loop, and directions without a speed.

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
