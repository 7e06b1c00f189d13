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

#[test]
fn a_rest_in_a_recording_that_is_still_written_is_learnt_from_as_it_is_afterwards() {
    let folder = tempfile::tempdir().unwrap();
    let (written, whole) = (folder.path().join("written.xdf"), folder.path().join("whole.xdf"));
    let rows = rest().repeat(3);
    write(&written, &rows, 5.0, false);
    // half a chunk
    std::fs::OpenOptions::new()
        .append(true)
        .open(&written)
        .unwrap()
        .write_all(&[4, 200, 0, 0, 0, 3])
        .unwrap();
    write(&whole, &rows, 5.0, true);
    let of =
        ReferenceOptions { scale: ScaleBy::Mad, average: AverageBy::Regression, quietest: 2, ridge: 1e-3 };
    // on the recorder's clock the first sample came at 7 s
    let times = [LslTime(7.5), LslTime(9.5)];
    let live = learn_rest(&written, &plan(&CHAIN), times, &of, &Quiet(|| 0.0)).unwrap();
    assert_eq!((live.seconds, live.recording.as_str()), ([0.5, 2.5], "written.xdf"));
    assert_eq!(live.warnings.len(), 2, "only the dead channel, twice: {:?}", live.warnings);
    assert_eq!(live.streams[0].samples, [500, 2500]);
    let after = learn_reference(&whole, &plan(&CHAIN), &live.stretch(), &of, None, &Quiet(|| 0.0)).unwrap();
    assert_eq!((&live.streams, &live.warnings), (&after.streams, &after.warnings), "to the bit");
    let StageSettings::Spikes(spikes) = &live.streams[0].stages.0[2] else { panic!("spikes") };
    assert!(spikes.scales[..3].iter().all(|scale| *scale > 0.0) && spikes.scales[3] == 0.0, "{spikes:?}");
}

#[test]
fn a_rest_that_is_not_whole_in_the_recording_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("written.xdf");
    write(&path, &rest(), 5.0, false);
    let options = ReferenceOptions { scale: ScaleBy::Rms, average: AverageBy::All, quietest: 2, ridge: 1e-3 };
    let why = |times: [f64; 2]| {
        let times = times.map(LslTime);
        learn_rest(&path, &plan(&[SPIKES]), times, &options, &Quiet(|| 0.0)).unwrap_err().to_string()
    };
    // there are samples from 7 s to 9 s
    assert!(why([6.5, 8.5]).contains("only 1.5 s of the 2.0 s"), "{}", why([6.5, 8.5]));
    assert!(why([8.0, 10.0]).contains("only 1.0 s of the 2.0 s"), "{}", why([8.0, 10.0]));
}

#[test]
fn what_comes_long_before_a_stretch_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("long.xdf");
    let rows = rest().repeat(40);
    write(&path, &rows, 5.0, true);
    let learnt = |path: &Path, from_s: f64, to_s: f64| {
        let (scale, average) = (ScaleBy::Rms, AverageBy::All);
        let options = ReferenceOptions { scale, average, quietest: 2, ridge: 1e-3 };
        let stretch = Stretch::Seconds([from_s, to_s]);
        let found = learn_reference(path, &plan(&CHAIN), &stretch, &options, None, &Quiet(|| 0.0)).unwrap();
        let StageSettings::Spikes(spikes) = found.streams[0].stages.0[2].clone() else { panic!("spikes") };
        spikes.scales
    };
    let late = learnt(&path, 72.0, 74.0);
    // the same rows, with all that came before
    let short = folder.path().join("short.xdf");
    write(&short, &rows[..62_000], 5.0, true);
    let early = learnt(&short, 52.0, 54.0);
    assert!(
        late.iter().zip(&early).all(|(late, early)| (late - early).abs() <= 1e-9 * early),
        "{late:?} {early:?}"
    );
}

#[test]
fn what_the_recording_has_not_of_the_stretch_is_said() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("rest.xdf");
    let rows: Vec<[f64; 4]> =
        (0..2000).map(|row| [0, 1, 2, 3].map(|at| f64::from((row * (7 + at)) % 11))).collect();
    write(&path, &rows, 5.0, true);
    let average = AverageBy::Regression;
    let options = ReferenceOptions { scale: ScaleBy::Rms, average, quietest: 2, ridge: 1e-3 };
    let learnt = |from_s: f64, plan: &FeaturePlan| {
        learn_reference(&path, plan, &Stretch::Seconds([from_s, 600.0]), &options, None, &Quiet(|| 0.0))
    };
    let plan = plan(&[r#"{ "stage": "spikes", "scales": [1], "multiple": -4.5 }"#]);
    let found = learnt(0.0, &plan).unwrap();
    let told = found.warnings.join("\n");
    assert!(told.contains("s of the 600.0 s of rest are in the recording"), "{told}");
    assert!(told.contains("no stage averages channels"), "{told}");
    let refused = learnt(500.0, &plan).unwrap_err().to_string();
    assert!(refused.contains("has 0 samples between 500 and 600 s"), "{refused}");
}

/// Two streams on clocks of their own, one of which begins 10 s late and is on a computer that restarts before the rest.
#[test]
fn a_rest_is_the_same_time_of_streams_that_begin_apart_and_of_one_whose_clock_is_reset() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("two.xdf");
    let mut writer = Writer::new(File::create_new(&path).unwrap(), "1970-01-01T00:00:00+0000", "");
    let fields = |name| HeaderFields {
        name,
        channels: 4,
        nominal_rate_hz: RATE_HZ,
        format: Some(NumberFormat::Double64),
        ..HeaderFields::default()
    };
    let streams = [writer.add_stream(&fields("First")), writer.add_stream(&fields("Second"))];
    // the recorder's clock shows 1000 s at the first sample of the one, 1010 s at that of the other
    let mut sample = [0_usize; 2];
    for second in 0..60 {
        let now = 1000.0 + f64::from(second);
        for (place, stream) in streams.into_iter().enumerate() {
            // the other one's clock is behind by 400 s, and from the thirtieth second on by 1025 s
            let offset = if place == 0 {
                0.0
            } else if second < 30 {
                400.0
            } else {
                1025.0
            };
            if place == 1 && second < 10 {
                continue;
            }
            writer.clock_offset(stream, now - offset, offset);
            let stamps: Vec<StreamTime> =
                (0..1000).map(|row| StreamTime(now - offset + f64::from(row) / RATE_HZ)).collect();
            // twice as large from the fortieth second on
            let scale = if second < 40 { 1.0 } else { 2.0 };
            let rows: Vec<[f64; 4]> = (0..1000)
                .map(|row| {
                    [1.0, 2.0, 3.0, 4.0].map(|size| if row % 2 == 0 { scale * size } else { -scale * size })
                })
                .collect();
            writer.rows(stream, &stamps, SampleRows::Double64(rows.as_flattened()));
            sample[place] += 1000;
        }
    }
    assert_eq!(sample, [60_000, 50_000]);
    writer.commit().unwrap();
    let mut both = plan(&[SPIKES]);
    both.streams[0].id = Some(1);
    let mut second = both.streams[0].clone();
    (second.key, second.id) = ("second".to_owned(), Some(2));
    both.streams.push(second);
    // nothing is learnt of it, and it does not begin at all
    let mut third = plan(&[CHAIN[0]]).streams.remove(0);
    (third.key, third.id) = ("third".to_owned(), Some(3));
    both.streams.push(third);
    let options = ReferenceOptions { scale: ScaleBy::Rms, average: AverageBy::All, quietest: 2, ridge: 1e-3 };
    let times = [LslTime(1041.0), LslTime(1050.0)];
    let found = learn_rest(&path, &both, times, &options, &Quiet(|| 0.0)).unwrap();
    let samples: Vec<(&str, [u64; 2])> =
        found.streams.iter().map(|stream| (stream.key.as_str(), stream.samples)).collect();
    let [first, other] = samples.as_slice() else { panic!("{samples:?}") };
    assert_eq!((first.0, first.1, other.0), ("array", [41_000, 50_000], "second"));
    // a line through the offsets, whose rounding may move the edge by a sample
    assert!(other.1[0].abs_diff(31_000) <= 1 && other.1[1].abs_diff(40_000) <= 1, "{samples:?}");
    assert_eq!(found.seconds, [41.0, 50.0]);
    for stream in &found.streams {
        let StageSettings::Spikes(spikes) = &stream.stages.0[0] else { panic!("{stream:?}") };
        assert_eq!(spikes.scales, [2.0, 4.0, 6.0, 8.0], "of the rest alone");
    }
    let again = learn_reference(&path, &both, &found.stretch(), &options, None, &Quiet(|| 0.0)).unwrap();
    assert_eq!(again.streams, found.streams);
}
