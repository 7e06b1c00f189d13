//! What a stretch of rest fixes of stages: thresholds by hand, dead and quietest channels, weights and their warning.
#![expect(clippy::unwrap_used, reason = "a test that cannot build its subject has failed")]

use std::{fs::File, io::Write as _, path::Path};

use kalmind_engine::BinnerSettings;
use kalmind_offline::{
    Quiet,
    features::{
        AverageBy, FeaturePlan, FeatureStages, FeatureStream, FeaturesError, ReferenceDocument,
        ReferenceOptions, ScaleBy, Stretch, learn_reference, learn_rest,
    },
    recorded::SessionDocument,
};
use kalmind_recording::xdf::{encode::HeaderFields, writer::Writer};
use kalmind_signal::{ChainSettings, ChannelName, ReferenceKind, Signal, StageSettings};
use kalmind_types::{
    Binning, ChannelMask, GenerationId, LslTime, NumberFormat, SampleRows, Seconds, StreamFeatures,
    StreamTime,
};

mod stretches;

const RATE_HZ: f64 = 1000.0;
/// Rows of a chunk of the file.
const CHUNK: usize = 50;
/// What brings the sender's clock to the recorder's.
const OFFSET_S: f64 = 2.0;

/// Own noise of different size, a shared one, and a channel without any.
fn rest() -> Vec<[f64; 4]> {
    let mut state = 3_u64;
    let mut noise = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 11) as f64 / (1_u64 << 52) as f64 - 1.0
    };
    (0..2000)
        .map(|_| {
            let shared = noise();
            [5.0 * noise() + shared, 2.0 * noise() + shared, noise() + shared, 0.0]
        })
        .collect()
}

/// What rest of these rows, at 1 kHz, makes of a stage.
fn learnt(
    stage: &str,
    rows: &[[f64; 4]],
    scale: ScaleBy,
    average: AverageBy,
) -> (StageSettings, Vec<String>) {
    let mut found = learnt_of(stage, rows, scale, average, 5.0).unwrap();
    // it is stored as text, and reads back the same
    let text = serde_json::to_string(&found).unwrap();
    assert_eq!(serde_json::from_str::<ReferenceDocument>(&text).unwrap(), found);
    assert_eq!((found.streams[0].channels.len(), found.streams[0].key.as_str()), (4, "array"));
    (found.streams[0].stages.0.remove(0), found.warnings)
}

/// The same, whose first sample has this stamp.
fn learnt_of(
    stage: &str,
    rows: &[[f64; 4]],
    scale: ScaleBy,
    average: AverageBy,
    first: f64,
) -> Result<ReferenceDocument, FeaturesError> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("rest.xdf");
    write(&path, rows, first, true);
    let to_s = rows.len() as f64 / RATE_HZ;
    let options = ReferenceOptions { scale, average, quietest: 2, ridge: 1e-3 };
    learn_reference(&path, &plan(&[stage]), &Stretch::Seconds([0.0, to_s]), &options, None, &Quiet(|| 0.0))
}

/// A recording of these rows, whose first sample has this stamp; or as far as it was written before it `ends`. The sender's
/// clock is 2 s behind.
fn write(path: &Path, rows: &[[f64; 4]], first: f64, ends: bool) {
    let mut writer = Writer::new(File::create_new(path).unwrap(), "1970-01-01T00:00:00+0000", "");
    let array = writer.add_stream(&HeaderFields {
        name: "Array",
        channels: 4,
        nominal_rate_hz: RATE_HZ,
        format: Some(NumberFormat::Double64),
        ..HeaderFields::default()
    });
    let mut stamps: Vec<StreamTime> =
        (0..rows.len()).map(|row| StreamTime(5.0 + row as f64 / RATE_HZ)).collect();
    stamps[0] = StreamTime(first);
    writer.clock_offset(array, 5.0, OFFSET_S);
    for (stamps, rows) in stamps.chunks(CHUNK).zip(rows.chunks(CHUNK)) {
        writer.rows(array, stamps, SampleRows::Double64(rows.as_flattened()));
    }
    if ends {
        writer.footers();
    }
    writer.commit().unwrap();
}

/// A stream of four channels with these stages.
fn plan(stages: &[&str]) -> FeaturePlan {
    let settings: Vec<StageSettings> =
        stages.iter().map(|stage| serde_json::from_str(stage).unwrap()).collect();
    let raw = Signal::raw(RATE_HZ, (0..4).map(|channel| (format!("e{channel}"), String::new())));
    let stages = FeatureStages {
        settings: ChainSettings(settings),
        generation: GenerationId([0; 32]),
        raw,
        channel_health: true,
        unwatched: Vec::new(),
    };
    FeaturePlan {
        streams: vec![FeatureStream {
            key: "array".to_owned(),
            called: "array".to_owned(),
            id: Some(1),
            channels: 4,
            rate_hz: RATE_HZ,
            rate_tolerance: 0.05,
            stages: Some(stages),
        }],
        binner: BinnerSettings {
            width: Seconds(0.02),
            max_wait: Seconds(0.02),
            epoch_jump: Seconds(1.0),
            streams: Vec::new(),
        },
        engine: SessionDocument::example(StreamFeatures::of_channels(Binning::Sum, 4, None)).engine,
        masked: ChannelMask::default(),
        bin_ms: 20.0,
        participant: None,
    }
}

const SPIKES: &str = r#"{"stage": "spikes", "scales": [10]}"#;
const AVERAGE: &str = r#"{"stage": "reference", "kind": "common_average"}"#;

#[test]
fn thresholds_are_multiples_of_what_was_measured_and_dead_channels_have_none() {
    // worked by hand: 1, -1, 3, -3 has the root mean square sqrt(5) and the median absolute deviation 2
    let of =
        [[1.0, 2.0, f64::NAN, 0.0], [-1.0, -2.0, 4.0, 0.0], [3.0, 6.0, -4.0, 0.0], [-3.0, -6.0, 4.0, 0.0]];
    let (StageSettings::Spikes(by_square), told) = learnt(SPIKES, &of, ScaleBy::Rms, AverageBy::All) else {
        panic!("spikes")
    };
    let expected = [5.0_f64.sqrt(), 20.0_f64.sqrt(), 4.0, 0.0];
    assert!(
        by_square.scales.iter().zip(expected).all(|(own, right)| (own - right).abs() < 1e-12),
        "{by_square:?}"
    );
    assert_eq!(told, ["stream \"array\": channel e3 is dead: it has no threshold, and no valid count"]);
    let (StageSettings::Spikes(by_median), _) = learnt(SPIKES, &of, ScaleBy::Mad, AverageBy::All) else {
        panic!("spikes")
    };
    // channel 2: 4, -4, 4 lie 0, 8 and 0 from their median
    let expected = [2.0 / 0.674_489_750_196_081_7, 4.0 / 0.674_489_750_196_081_7, 0.0, 0.0];
    assert!(
        by_median.scales.iter().zip(expected).all(|(own, right)| (own - right).abs() < 1e-12),
        "{by_median:?}"
    );
}

#[test]
fn an_average_is_of_the_quietest_and_never_of_a_dead_channel() {
    let of = rest();
    let dead = [ChannelName::Index(3)];
    let (StageSettings::Reference(all), told) = learnt(AVERAGE, &of, ScaleBy::Rms, AverageBy::All) else {
        panic!("a reference")
    };
    assert_eq!((all.excluded.as_slice(), all.average_of.len(), told.len()), (dead.as_slice(), 0, 1));
    let (StageSettings::Reference(quiet), _) = learnt(AVERAGE, &of, ScaleBy::Rms, AverageBy::Quietest) else {
        panic!("a reference")
    };
    assert_eq!(quiet.average_of, [ChannelName::Index(1), ChannelName::Index(2)]);
    assert_eq!(quiet.excluded, dead);
}

#[test]
fn a_regression_has_weights_and_warns_of_a_neighbour_that_takes_most() {
    let mut rows = rest();
    // what channel 3 sees is channel 2 and a little of its own
    let mut own = rest().into_iter().map(|row| 0.02 * row[0]);
    for row in &mut rows {
        row[3] = row[2] + own.next().unwrap_or_default();
    }
    let of = rows;
    let (StageSettings::Reference(reference), told) =
        learnt(AVERAGE, &of, ScaleBy::Rms, AverageBy::Regression)
    else {
        panic!("a reference")
    };
    assert_eq!((reference.kind, reference.weights.len()), (ReferenceKind::Regression, 4));
    assert!(reference.weights[3][2] > 0.5, "{:?}", reference.weights);
    assert!(
        told.iter().any(|told| told.contains("channel e3") && told.contains("use a common average")),
        "{told:?}"
    );
}

/// 20 s of 1, -1, 1, -1, .. in every channel, each ten times as large as the one before; some of it flat, at an offset.
fn partly_flat(flat: &[core::ops::Range<usize>; 4]) -> Vec<[f64; 4]> {
    let value = |row: usize, channel: usize| {
        let size = [1.0, 10.0, 100.0, 10.0][channel];
        if flat[channel].contains(&(row / 1000)) { 3.0 } else { [size, -size][row % 2] }
    };
    (0..20_000).map(|row| [0, 1, 2, 3].map(|channel| value(row, channel))).collect()
}

#[test]
fn a_channel_that_is_flat_for_a_while_is_named_and_has_its_scale_from_the_rest_of_them() {
    // two seconds of 20 are no tenth and more, three are, eleven are the most
    let rows = partly_flat(&[0..0, 5..7, 2..5, 9..20]);
    for by in [ScaleBy::Rms, ScaleBy::Mad] {
        let (StageSettings::Spikes(spikes), told) = learnt(SPIKES, &rows, by, AverageBy::All) else {
            panic!("spikes")
        };
        let per = if by == ScaleBy::Mad { 0.674_489_750_196_081_7 } else { 1.0 };
        let expected = [1.0 / per, 10.0 / per, 100.0 / per, 0.0];
        assert!(
            spikes
                .scales
                .iter()
                .zip(expected)
                .all(|(own, right)| (own - right).abs() < 1e-9 * right.max(1.0)),
            "{spikes:?}"
        );
        assert_eq!(
            told,
            [
                "stream \"array\": channel e3 is dead (flat for 11 s of the 20 s): it has no threshold, and no valid count",
                "stream \"array\": channel e2 was flat for 3 s of the 20 s: its threshold is of the rest of them",
            ]
        );
    }
}

#[test]
fn what_was_flat_as_it_was_received_is_so_behind_an_average_of_the_others() {
    let rows = rest().repeat(10);
    let mut flat = rows.clone();
    for row in &mut flat[14_000..] {
        row[1] = 7.0;
    }
    let scales = |rows: &[[f64; 4]]| {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("rest.xdf");
        write(&path, rows, 5.0, true);
        let (scale, average) = (ScaleBy::Rms, AverageBy::All);
        let options = ReferenceOptions { scale, average, quietest: 2, ridge: 1e-3 };
        let stretch = Stretch::Seconds([0.0, 20.0]);
        let found = learn_reference(&path, &plan(&CHAIN), &stretch, &options, None, &Quiet(|| 0.0)).unwrap();
        let StageSettings::Spikes(spikes) = found.streams[0].stages.0[2].clone() else { panic!("spikes") };
        (spikes.scales[1], found.warnings.join(" "))
    };
    let (whole, _) = scales(&rows);
    let (partly, told) = scales(&flat);
    assert!((partly / whole - 1.0).abs() < 0.02, "{partly} and {whole}");
    assert!(told.contains("channel e1 was flat for 6 s of the 20 s"), "{told}");
}

#[test]
fn a_channel_is_not_flat_while_the_stages_before_settle() {
    // a narrow notch settles for 6.6 of these 10 s
    let notch = r#"{"stage": "filter", "kind": "notch", "hz": 50, "quality": 150}"#;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("rest.xdf");
    write(&path, &rest().repeat(5), 5.0, true);
    for average in [AverageBy::All, AverageBy::Regression] {
        let options = ReferenceOptions { scale: ScaleBy::Rms, average, quietest: 2, ridge: 1e-3 };
        let stretch = Stretch::Seconds([0.0, 10.0]);
        let plan = plan(&[notch, AVERAGE, SPIKES]);
        let found = learn_reference(&path, &plan, &stretch, &options, None, &Quiet(|| 0.0)).unwrap();
        let StageSettings::Spikes(spikes) = &found.streams[0].stages.0[2] else { panic!("spikes") };
        assert!(spikes.scales[..3].iter().all(|scale| *scale > 0.3) && spikes.scales[3] == 0.0, "{spikes:?}");
        let told = found.warnings.join(" ");
        assert!(!told.contains("was flat") && !told.contains("% of the stretch"), "{told}");
        assert!(told.contains("channel e3 is dead (flat for 10 s of the 10 s)"), "{told}");
    }
}

#[test]
fn a_stretch_without_a_valid_value_teaches_nothing() {
    let error = learnt_of(SPIKES, &[[f64::NAN; 4]; 50], ScaleBy::Rms, AverageBy::All, 5.0).unwrap_err();
    assert!(matches!(error, FeaturesError::NoReference { .. }), "{error}");
}

#[test]
fn a_first_sample_without_a_stamp_does_not_lose_the_rest() {
    let found = learnt_of(SPIKES, &rest(), ScaleBy::Rms, AverageBy::All, f64::NAN).unwrap();
    let StageSettings::Spikes(spikes) = &found.streams[0].stages.0[0] else { panic!("spikes") };
    assert!(spikes.scales[..3].iter().all(|scale| *scale > 0.0), "{spikes:?}");
}

#[test]
fn a_long_stretch_is_thinned_evenly() {
    let rows: Vec<[f64; 4]> = rest().into_iter().cycle().take(130_000).collect();
    let (StageSettings::Spikes(all), _) = learnt(SPIKES, &rest(), ScaleBy::Mad, AverageBy::All) else {
        panic!("spikes")
    };
    let (StageSettings::Spikes(thinned), _) = learnt(SPIKES, &rows[..], ScaleBy::Mad, AverageBy::All) else {
        panic!("spikes")
    };
    for (all, thinned) in all.scales.iter().zip(&thinned.scales).take(3) {
        assert!((thinned / all - 1.0).abs() < 0.1, "{all} {thinned}");
    }
}

/// A high-pass, a regression learnt behind it, and thresholds learnt behind that.
const CHAIN: [&str; 3] = [r#"{"stage": "filter", "kind": "high_pass", "hz": 20}"#, AVERAGE, SPIKES];
