//! Features made of recordings: those that an inlet and a binner give for the same samples, however the file cuts them.
#![expect(clippy::unwrap_used, reason = "a test that cannot build its subject has failed")]

use std::{fs::File, path::Path};

use kalmind_engine::{Binner, BinnerSettings, Engine, StreamBinning};
use kalmind_offline::{
    Quiet,
    features::{Crossing, FeaturePlan, FeatureStages, FeatureStream, FeaturesError, make_features},
    recorded::SessionDocument,
};
use kalmind_recording::xdf::{encode::HeaderFields, writer::Writer};
use kalmind_signal::{
    Chain, ChainSettings, DerivedStream, Rows, Signal, SpikesSettings, StageSettings, StampGaps,
};
use kalmind_types::{
    Binning, ChannelMask, GenerationId, LslTime, NumberFormat, SampleBlock, SampleRows, Samples, Seconds,
    StreamFeatures, StreamHealth, StreamTime, TickInput,
};

const RATE_HZ: f64 = 10_000.0;
const CHANNELS: usize = 3;
const SECONDS: f64 = 4.0;
/// Samples that the device lost: few, and more than are filled.
const LOST: [core::ops::Range<u64>; 2] = [12_000..12_020, 25_000..26_500];
/// Samples of channel 0 without a value, for more than a bin.
const NOT_A_NUMBER: core::ops::Range<u64> = 7_000..7_500;
const SPIKE_EVERY: u64 = 701;

/// Broadband noise with spikes on channel 1.
fn value(index: u64, channel: usize) -> f32 {
    if NOT_A_NUMBER.contains(&index) && channel == 0 {
        return f32::NAN;
    }
    let at = index * CHANNELS as u64 + channel as u64;
    let noise = (at.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 40) as f32 / 8_388_608.0 - 1.0;
    let spike = if channel == 1 && index % SPIKE_EVERY == 350 { -120.0 } else { 0.0 };
    5.0 * noise + spike
}

/// Indices on the device, stamps and values of what was received.
fn broadband() -> Vec<(f64, [f32; CHANNELS])> {
    (0..(SECONDS * RATE_HZ) as u64)
        .filter(|index| !LOST.iter().any(|lost| lost.contains(index)))
        .map(|index| (100.0 + index as f64 / RATE_HZ, [0, 1, 2].map(|channel| value(index, channel))))
        .collect()
}

/// A slow stream of two channels at 7 Hz.
fn slow() -> Vec<(f64, [f32; 2])> {
    (0..28).map(|index| (99.9 + f64::from(index) / 7.0, [index as f32, -0.5 * index as f32])).collect()
}

fn settings() -> ChainSettings {
    ChainSettings(vec![
        StageSettings::Filter(serde_json::from_str(r#"{"kind": "high_pass", "hz": 250}"#).unwrap()),
        StageSettings::Spikes(SpikesSettings {
            scales: vec![5.0],
            multiple: -4.5,
            refractory_ms: 1.0,
            output_ms: 1.0,
            power: true,
        }),
    ])
}

fn signal() -> Signal {
    Signal::raw(RATE_HZ, ["a", "b", "c"].map(|name| (name.to_owned(), "uV".to_owned())))
}

fn chain() -> Chain {
    Chain::new(&settings(), GenerationId([1; 32]), &signal(), 64).unwrap()
}

fn binning(binning: Binning, rate_hz: f64) -> StreamBinning {
    let max_age = Seconds(0.3);
    StreamBinning { binning, rate_hz: Some(rate_hz), required: true, max_age, blocks: 16, block_samples: 64 }
}

/// Spikes and power of the broadband, and the newest of the slow stream, in bins of 20 ms.
fn plan(nominal_hz: f64) -> FeaturePlan {
    let of_chain = StreamFeatures {
        outputs: Some(chain().signal().outputs.clone()),
        ..StreamFeatures::of_channels(Binning::Sum, CHANNELS, None)
    };
    let slow = StreamFeatures::of_channels(Binning::Latest, 2, None);
    let mut engine = SessionDocument::example(of_chain.clone()).engine;
    engine.features = vec![of_chain, slow];
    let stages = FeatureStages {
        settings: settings(),
        generation: GenerationId([1; 32]),
        raw: signal(),
        channel_health: false,
        unwatched: Vec::new(),
    };
    let stream = |key: &str, id, channels, rate_hz, stages| FeatureStream {
        key: key.to_owned(),
        called: key.to_owned(),
        id: Some(id),
        channels,
        rate_hz,
        rate_tolerance: 0.05,
        stages,
    };
    FeaturePlan {
        streams: vec![
            stream("array", 1, CHANNELS, nominal_hz, Some(stages)),
            stream("slow", 2, 2, 7.0, None),
        ],
        binner: BinnerSettings {
            width: Seconds(0.02),
            max_wait: Seconds(0.02),
            epoch_jump: Seconds(1.0),
            streams: vec![binning(Binning::Sum, 1000.0), binning(Binning::Latest, 7.0)],
        },
        engine,
        masked: ChannelMask::default(),
        bin_ms: 20.0,
        participant: None,
    }
}

/// Writes both streams as a recorder does that takes `chunk` samples of the broadband at once.
fn record(path: &Path, chunk: usize) {
    let mut writer = Writer::new(File::create_new(path).unwrap(), "1970-01-01T00:00:00+0000", "");
    let format = Some(NumberFormat::Float32);
    let fields = |name, channels, nominal_rate_hz| HeaderFields {
        name,
        channels,
        nominal_rate_hz,
        format,
        ..HeaderFields::default()
    };
    let array = writer.add_stream(&fields("Array", CHANNELS, RATE_HZ));
    let beside = writer.add_stream(&fields("Slow", 2, 7.0));
    let mut slow = slow().into_iter().peekable();
    for rows in broadband().chunks(chunk) {
        let stamps: Vec<StreamTime> = rows.iter().map(|(stamp, _)| StreamTime(*stamp)).collect();
        let values: Vec<f32> = rows.iter().flat_map(|(_, values)| *values).collect();
        writer.rows(array, &stamps, SampleRows::Float32(&values));
        while let Some((stamp, values)) = slow.next_if(|(stamp, _)| *stamp <= rows.last().unwrap().0) {
            writer.rows(beside, &[StreamTime(stamp)], SampleRows::Float32(&values));
        }
        writer.commit().unwrap();
    }
    writer.footers();
    writer.commit().unwrap();
}

type Row = (u64, bool, Vec<u64>);

fn bits(time: LslTime, incomplete: bool, values: &[f64]) -> Row {
    (time.0.to_bits(), incomplete, values.iter().map(|value| value.to_bits()).collect())
}

fn made(chunk: usize, nominal_hz: f64) -> Result<(Vec<Row>, Vec<Crossing>), FeaturesError> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("recording.xdf");
    record(&path, chunk);
    let (mut rows, mut crossings) = (Vec::new(), Vec::new());
    let mut take = |crossing| crossings.push(crossing);
    let mut show = |row: &kalmind_offline::features::FeatureRow<'_>| {
        rows.push(bits(row.time, row.incomplete, row.values));
        std::ops::ControlFlow::Continue(())
    };
    make_features(&path, &plan(nominal_hz), None, &Quiet(|| 0.0), &mut show, Some(&mut take))?;
    Ok((rows, crossings))
}

/// The same samples as an inlet gives them to its stages, in pulls of 37.
fn received() -> Vec<Row> {
    let plan = plan(RATE_HZ);
    let mut binner = Binner::new(plan.binner, ChannelMask::default()).unwrap();
    let mut engine = Engine::new(plan.engine).unwrap();
    let mut stream = DerivedStream::new(chain(), CHANNELS, RATE_HZ);
    let (mut gaps, mut output) = (StampGaps::new(RATE_HZ), Rows::with_capacity(6, 256));
    let (all, mut slow) = (broadband(), slow().into_iter().peekable());
    let (mut input, mut rows) = (TickInput::empty(), Vec::new());
    let (mut derived, mut beside) = (0, 0);
    let mut tick = |binner: &mut Binner, now: f64| {
        while binner.close_next(LslTime(now), &[], &mut input) {
            let incomplete = engine.step(&input, &*binner).incomplete;
            rows.push(bits(input.time, incomplete, engine.raw_features()));
        }
        binner.release(|_, block| drop(block));
    };
    let block = |stamps: &[f64], values: &[f64], channels: usize, first: u64| {
        let mut block = Box::new(SampleBlock::with_capacity(NumberFormat::Double64, channels, stamps.len()));
        block.stamps = stamps.iter().copied().map(StreamTime).collect();
        block.values = Samples::Double64(values.to_vec());
        (block.first_index, block.health) = (first, StreamHealth::Live);
        block.received = LslTime(stamps.last().copied().unwrap_or_default());
        block
    };
    for (pull, samples) in all.chunks(37).enumerate() {
        let mut from = 0;
        let first = pull as u64 * 37;
        output.clear();
        let run =
            |range: core::ops::Range<usize>, missing: u64, stream: &mut DerivedStream, output: &mut Rows| {
                let values: Vec<f32> =
                    samples[range.clone()].iter().flat_map(|(_, values)| *values).collect();
                stream.take(first + range.start as u64, missing, SampleRows::Float32(&values), output);
            };
        let mut missing = 0;
        for (at, (stamp, _)) in samples.iter().enumerate() {
            let before = gaps.before(StreamTime(*stamp));
            if before > 0 {
                if at > from {
                    run(from..at, missing, &mut stream, &mut output);
                }
                (from, missing) = (at, before);
            }
        }
        run(from..samples.len(), missing, &mut stream, &mut output);
        for row in output.iter() {
            let stamp = all[row.mark.index as usize].0 + f64::from(row.mark.held) * (1.0 / RATE_HZ);
            let valid = row.values.iter().zip(row.invalid);
            let values: Vec<f64> =
                valid.map(|(value, invalid)| if *invalid { f64::NAN } else { *value }).collect();
            // bins wait for none of the slow stream, so it matters when its samples come
            while let Some((at, values)) = slow.next_if(|(at, _)| *at <= stamp) {
                binner.accept(1, block(&[at], &values.map(f64::from), 2, beside));
                beside += 1;
                tick(&mut binner, at);
            }
            binner.accept(0, block(&[stamp], &values, 6, derived));
            derived += 1;
            tick(&mut binner, stamp);
        }
    }
    rows
}

#[test]
fn a_recording_gives_what_a_run_would_have_made_in_any_chunking() {
    let expected = received();
    assert!(expected.len() > 190, "{}", expected.len());
    // something of everything is in it: spikes, what is not valid, bins that are not complete
    assert!(expected.iter().any(|(_, incomplete, _)| *incomplete));
    assert!(expected.iter().any(|(_, incomplete, values)| {
        !incomplete && f64::from_bits(values[0]).is_nan() && f64::from_bits(values[1]) >= 0.0
    }));
    for chunk in [1, 7, 500, 11_111] {
        let (rows, _) = made(chunk, RATE_HZ).unwrap();
        for (at, (row, expected)) in rows.iter().zip(&expected).enumerate() {
            assert_eq!(row, expected, "bin {at}, chunks of {chunk}");
        }
        assert!(rows.len().abs_diff(expected.len()) <= 1, "{} {}", rows.len(), expected.len());
    }
}

#[test]
fn each_spike_is_told_with_its_channel_and_time() {
    let (rows, crossings) = made(500, RATE_HZ).unwrap();
    let planted: Vec<f64> =
        broadband().iter().filter(|(_, values)| values[1] < -100.0).map(|(stamp, _)| *stamp).collect();
    let found: Vec<f64> =
        crossings.iter().filter(|crossing| crossing.channel == 1).map(|crossing| crossing.time.0).collect();
    let missed = planted.iter().filter(|time| !found.contains(time)).count();
    // one may lie where the filter has not settled after the long gap
    assert!(missed <= 1 && planted.len() > 50, "{missed} of {}", planted.len());
    assert!(found.len() + missed <= planted.len() + 1, "{} {}", found.len(), planted.len());
    // they are those that the bins count
    let counted: f64 =
        rows.iter().map(|(_, _, values)| f64::from_bits(values[1])).filter(|value| value.is_finite()).sum();
    assert!(
        found.len() as f64 - counted >= 0.0 && found.len() as f64 - counted <= 3.0,
        "{counted} {}",
        found.len()
    );
}

#[test]
fn a_rate_that_the_stamps_do_not_show_is_told() {
    let error = made(500, 12_000.0).unwrap_err();
    let FeaturesError::Rate { key, nominal_hz, measured_hz } = &error else { panic!("{error}") };
    assert_eq!((key.as_str(), *nominal_hz), ("array", 12_000.0));
    assert!((measured_hz - RATE_HZ).abs() < 50.0, "{error}");
}
