//! Which samples of a recording a rest is: by the recorder's clock, while it is written, and by the samples that were told.

use super::*;

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
    assert_eq!(live.streams[0].samples, Some([500, 2500]));
    let after =
        learn_reference(&whole, &plan(&CHAIN), &live.stretch().unwrap(), &of, None, &Quiet(|| 0.0)).unwrap();
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
    assert!(
        refused.contains("from 500 to 600 s is not in the recording, which ends 2.0 s after"),
        "{refused}"
    );
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
        found.streams.iter().map(|stream| (stream.key.as_str(), stream.samples.unwrap())).collect();
    let [first, other] = samples.as_slice() else { panic!("{samples:?}") };
    assert_eq!((first.0, first.1, other.0), ("array", [41_000, 50_000], "second"));
    // a line through the offsets, whose rounding may move the edge by a sample
    assert!(other.1[0].abs_diff(31_000) <= 1 && other.1[1].abs_diff(40_000) <= 1, "{samples:?}");
    assert!((found.seconds[0] - 41.0).abs() < 1e-9 && (found.seconds[1] - 50.0).abs() < 1e-9);
    for stream in &found.streams {
        let StageSettings::Spikes(spikes) = &stream.stages.0[0] else { panic!("{stream:?}") };
        assert_eq!(spikes.scales, [2.0, 4.0, 6.0, 8.0], "of the rest alone");
    }
    let again =
        learn_reference(&path, &both, &found.stretch().unwrap(), &options, None, &Quiet(|| 0.0)).unwrap();
    assert_eq!(again.streams, found.streams);
    assert_eq!(again.seconds.map(f64::to_bits), found.seconds.map(f64::to_bits));
    // one from before samples were told is read, and does not tell
    let mut text = serde_json::to_value(&found).unwrap();
    for stream in text["streams"].as_array_mut().unwrap() {
        stream.as_object_mut().unwrap().remove("samples");
    }
    let old: ReferenceDocument = serde_json::from_value(text).unwrap();
    assert_eq!((old.stretch(), &old.streams[0].stages), (None, &found.streams[0].stages));
}
