//! What happens to the figures when channels fail.

use super::*;

#[test]
fn a_perturbed_channel_is_that_channel_shifted_in_the_file() {
    let folder = Folder::new();
    let found = document(
        &folder,
        &format!("{HELD_OUT} --decoders kalman,dkf-linear --perturb all:5 --perturb 2:-1.5"),
    );
    let rows = features(&folder);
    let shifted = |column: usize, offset: f64| {
        let (_, deviation) = statistics(&rows, column);
        let mut rows = rows.clone();
        for row in &mut rows[400..] {
            row[column] += offset * deviation;
        }
        write_features(&folder, "shifted.csv", &rows);
        let tables =
            "evaluate --features shifted.csv --states z.csv --rate 50 --train 0..400 --test 400..600";
        number(&document(&folder, &format!("{tables} --decoders kalman"))["decoders"][0]["maae"])
    };
    let angles: Vec<f64> = (0..4).map(|column| shifted(column, 5.0)).collect();
    let kalman = &found["decoders"][0];
    let all = &kalman["perturb"][0];
    for (column, angle) in angles.iter().enumerate() {
        let channel = &all["channels"][column];
        assert_eq!(channel["channel"], column.to_string());
        assert!((number(&channel["filtered"]["maae"]) - angle).abs() < 1e-9, "{channel}: {angle}");
    }
    let worst = angles.iter().copied().fold(0.0, f64::max);
    assert!((number(&kalman["maae_worst"]) - worst).abs() < 1e-9);
    // four channels are all among the ten best
    let mean = angles.iter().sum::<f64>() / 4.0;
    assert!((number(&kalman["maae_top10"]) - mean).abs() < 1e-9);
    assert!((number(&all["filtered"]["mean"]) - mean).abs() < 1e-9);
    assert_eq!(all["unfiltered"], Value::Null, "a Kalman filter has no output before its filter");
    let one = &kalman["perturb"][1];
    assert_eq!((&one["offset"], one["channels"].as_array().map(Vec::len)), (&json!(-1.5), Some(1)));
    assert!((number(&one["channels"][0]["filtered"]["maae"]) - shifted(2, -1.5)).abs() < 1e-9);
    let discriminative = &found["decoders"][1];
    assert!(discriminative["perturb"][0]["unfiltered"]["worst"].is_number(), "{discriminative}");
    assert!(discriminative["unfiltered"]["maae"].is_number());
}

#[test]
fn saturated_features_are_those_of_a_file_that_was_clipped() {
    let folder = Folder::new();
    let mut rows = features(&folder);
    for column in 0..4 {
        let (mean, deviation) = statistics(&rows.clone(), column);
        let (low, high) = (mean - 1.5 * deviation, mean + 1.5 * deviation);
        for row in &mut rows {
            row[column] = row[column].clamp(low, high);
        }
    }
    write_features(&folder, "clipped.csv", &rows);
    let found = document(&folder, &format!("{HELD_OUT} --decoders kalman,wiener --saturate 1.5"));
    let tables = "evaluate --features clipped.csv --states z.csv --rate 50 --train 0..400 --test 400..600";
    let expected = document(&folder, &format!("{tables} --decoders kalman,wiener"));
    assert_eq!(found["saturate"], 1.5);
    for decoder in 0..2 {
        let (found, expected) = (&found["decoders"][decoder], &expected["decoders"][decoder]);
        assert!((number(&found["nrmse"]) - number(&expected["nrmse"])).abs() < 1e-9, "{found}");
    }
}

#[test]
fn a_channel_without_influence_is_told_from_one_with() {
    let folder = Folder::new();
    let mut rows = features(&folder);
    // noise that no state is in
    for (index, row) in rows.iter_mut().enumerate() {
        row[3] = ((index * 7919) % 101) as f64;
    }
    write_features(&folder, "x.csv", &rows);
    let found = document(&folder, &format!("{HELD_OUT} --decoders kalman --influence"));
    let influence = found["decoders"][0]["influence"].as_array().expect("a list").clone();
    assert_eq!(keys(&influence[0]), BTreeSet::from(["channel", "change", "maae_held", "maae_loss"]));
    for signal in 0..3 {
        assert!(
            number(&influence[signal]["change"]) > 5.0 * number(&influence[3]["change"]),
            "{influence:?}"
        );
    }
    assert!(number(&influence[3]["maae_loss"]).abs() < 0.05, "{influence:?}");
    let table = folder.succeeds(&format!("{HELD_OUT} --decoders kalman --influence"));
    assert!(table.contains("Channels by loss of MAAE"), "{table}");
}
