//! Stages at work, on samples that are handed in one by one.

use std::sync::{Arc, Mutex};

use kalmind_signal::{
    ChainSettings, IdentitySettings, IirBackwardSettings, IirSettings, PowerSettings, Signal, StageSettings,
};
use kalmind_types::{GenerationId, SampleBlock};

use super::*;
use crate::numeric::delivery::BlockSender;
use crate::numeric::generations::{GenerationControl, generations};
use crate::pool::{PoolReader, pool};

const ROOM: usize = 8;

fn stages(generation: u8) -> Stages {
    stages_of(StageSettings::Identity(IdentitySettings {}), generation)
}

fn stages_of(stage: StageSettings, generation: u8) -> Stages {
    Stages {
        settings: ChainSettings(vec![stage]),
        generation: GenerationId([generation; 32]),
        raw: Signal::raw(1000.0, [(String::from("a"), String::new())]),
        channel_health: false,
        unwatched: Vec::new(),
    }
}

fn derivation() -> (Derivation, Senders, PoolReader<SampleBlock>) {
    derivation_of(StageSettings::Identity(IdentitySettings {}))
}

fn derivation_of(stage: StageSettings) -> (Derivation, Senders, PoolReader<SampleBlock>) {
    let (derivation, senders, reader, _) = begun(&stages_of(stage, 0), None);
    (derivation, senders, reader)
}

fn begun(
    stages: &Stages,
    given_to: Option<GivenTo>,
) -> (Derivation, Senders, PoolReader<SampleBlock>, GenerationControl) {
    let chain = stages.chain().unwrap();
    let (writer, reader) = pool(16, || Stages::block(&chain, ROOM));
    let senders = Senders { tick: BlockSender::new(writer, ROOM), recorder: None, derived: None };
    let (control, port) = generations();
    (Derivation::new(stages, chain, 64, given_to, port), senders, reader, control)
}

fn take(derivation: &mut Derivation, senders: &mut Senders, stamp: f64, value: f64) {
    let append = |samples: &mut Samples| {
        if let Samples::Double64(values) = samples {
            values.push(value);
        }
    };
    let missing = derivation.missing_before(Some(StreamTime(stamp)));
    if missing > 0 {
        derivation.run(senders, PullContext::default());
    }
    derivation.take(StreamTime(stamp), missing, append);
}

fn received(reader: &mut PoolReader<SampleBlock>) -> Vec<(f64, f64)> {
    let mut samples = Vec::new();
    while let Some(block) = reader.receive() {
        let Samples::Double64(values) = &block.values else { panic!("doubles") };
        samples.extend(block.stamps.iter().map(|stamp| stamp.0).zip(values.iter().copied()));
        reader.give_back(block);
    }
    samples
}

#[test]
fn derived_samples_bear_the_stamps_of_those_that_they_describe_and_a_short_gap_is_filled() {
    let (mut derivation, mut senders, mut reader) = derivation();
    for index in (0..30).filter(|index| !(20..23).contains(index)) {
        let value = if index == 5 { f64::NAN } else { f64::from(index) };
        take(&mut derivation, &mut senders, 10.0 + f64::from(index) * 1e-3, value);
    }
    derivation.run(&mut senders, PullContext::default());
    senders.flush(PullContext::default());
    let samples = received(&mut reader);
    assert_eq!(samples.len(), 30);
    for (index, (stamp, value)) in samples.iter().enumerate() {
        assert!((stamp - 10.0 - index as f64 * 1e-3).abs() < 1e-9, "{samples:?}");
        match index {
            5 => assert!(value.is_nan(), "a value that was made up is not valid"),
            20..23 => assert!((value - 19.0).abs() < 1e-12),
            _ => assert!((value - index as f64).abs() < 1e-12),
        }
    }
    assert_eq!(derivation.counts().held, 3);
}

#[test]
fn a_sample_made_of_several_bears_the_stamp_of_the_last_and_none_counts_as_lost() {
    let power = PowerSettings { output_ms: 4.0, over_ms: None, relative_to: vec![], log: false };
    let (mut derivation, mut senders, mut reader) = derivation_of(StageSettings::Power(power));
    let room = derivation.stamps.waiting.capacity();
    for index in 0..200 {
        take(&mut derivation, &mut senders, 10.0 + f64::from(index) * 1e-3, f64::from(index % 4));
        // a run is over in the middle of what makes a sample
        if index % 7 == 6 {
            let ran = derivation.run(&mut senders, PullContext::default());
            assert_eq!(ran.lost, 0);
        }
        if index % 28 == 27 {
            senders.flush(PullContext::default());
            for (stamp, value) in received(&mut reader) {
                let last = ((stamp - 10.0) * 1e3).round() as u64;
                assert!(last % 4 == 3 && (value - 3.5).abs() < 1e-12, "{stamp} {value}");
            }
        }
    }
    assert_eq!(derivation.counts().derived, 49);
    assert_eq!(derivation.stamps.waiting.capacity(), room, "nothing is allocated once it is built");
}

#[test]
fn a_sample_that_is_refused_and_another_connection_leave_no_sample_behind() {
    let (mut derivation, mut senders, mut reader) = derivation();
    take(&mut derivation, &mut senders, 1.0, 1.0);
    derivation.run(&mut senders, PullContext::default());
    for index in 1..11 {
        let missing = derivation.missing_before(Some(StreamTime(1.0 + f64::from(index) * 1e-3)));
        derivation.lose(missing);
    }
    take(&mut derivation, &mut senders, 1.011, 2.0);
    derivation.run(&mut senders, PullContext::default());
    derivation.reconnected();
    take(&mut derivation, &mut senders, 7.0, 3.0);
    derivation.run(&mut senders, PullContext::default());
    senders.flush(PullContext::default());
    assert_eq!(received(&mut reader), [(1.0, 1.0), (1.011, 2.0), (7.0, 3.0)]);
    let counts = derivation.counts();
    assert_eq!((counts.samples, counts.held, counts.restarts), (3, 0, 3));
}

#[test]
fn another_generation_is_in_force_from_its_sample_on_and_no_block_is_of_two() {
    let (mut derivation, mut senders, mut reader, mut control) = begun(&stages(0), None);
    let sample = |derivation: &mut Derivation, senders: &mut Senders, index: i32| {
        take(derivation, senders, 10.0 + f64::from(index) * 1e-3, f64::from(index));
    };
    (0..3).for_each(|index| sample(&mut derivation, &mut senders, index));
    derivation.run(&mut senders, PullContext::default());
    let next = |generation| Box::new(stages(generation).chain().unwrap());
    for (generation, at) in [(1, 5), (2, 0)] {
        assert!(control.send(NextGeneration { chain: next(generation), at }).is_ok());
    }
    assert!(control.send(NextGeneration { chain: next(3), at: 9 }).is_err(), "two are on their way");
    for index in 3..12 {
        sample(&mut derivation, &mut senders, index);
        derivation.run(&mut senders, PullContext::default());
    }
    senders.flush(PullContext { generation: derivation.generation(), ..PullContext::default() });
    let mut blocks = Vec::new();
    while let Some(block) = reader.receive() {
        blocks.push((block.generation, block.first_index, block.end_index()));
    }
    // the second one waits until the first change is over
    assert_eq!(blocks, [(0, 0, 5), (1, 5, 6), (2, 6, 12)]);
    let mut told = Vec::new();
    while let Some(news) = control.news() {
        told.push(match news {
            GenerationNews::Started { generation, at } => (generation.0[0], "started", at),
            GenerationNews::InForce { generation, number, first } => {
                assert_eq!(u32::from(generation.0[0]), number);
                (generation.0[0], "in force", first)
            }
            GenerationNews::Refused(chain) => (chain.generation().0[0], "refused", 0),
            GenerationNews::Retired(chain) => (chain.generation().0[0], "retired", 0),
        });
    }
    let expected = [
        (1, "started", 5),
        (1, "in force", 5),
        (0, "retired", 0),
        (2, "started", 6),
        (2, "in force", 6),
        (1, "retired", 0),
    ];
    assert_eq!(told, expected);
}

#[test]
fn what_stages_remember_is_told_once_a_minute_after_what_was_given_to_them() {
    let told = Arc::new(Mutex::new((Vec::new(), 0)));
    let kept = Arc::clone(&told);
    let given_to = GivenTo(Arc::new(move |told| {
        let mut kept = kept.lock().unwrap();
        match told {
            Told::Given(given) => kept.0.extend_from_slice(given),
            Told::Checkpoint { derived, state } => {
                kept.1 += 1;
                // a restart and the first sample, and then those of a second each time
                assert_eq!(derived, (kept.0.len() as u64 - 2) * 1000 + 1);
                assert_eq!(state.len(), 32 + 8 + 8 + 1, "generation, index, value, whether it was made up");
                // there was no room the first time
                return kept.1 > 1;
            }
        }
        true
    }));
    let (mut derivation, mut senders, mut reader, _control) = begun(&stages(0), Some(given_to));
    for index in 0..125_000 {
        take(&mut derivation, &mut senders, 10.0 + f64::from(index) * 1e-3, 0.5);
        derivation.run(&mut senders, PullContext::default());
        received(&mut reader);
    }
    assert_eq!(told.lock().unwrap().1, 3, "at 60 s, at 61 s, and at 121 s");
}

#[test]
fn samples_of_a_block_that_a_restart_cuts_off_are_counted_as_lost() {
    let sections = vec![[1.0, 0.0, 0.0, 1.0, 0.0, 0.0]];
    let settings = IirBackwardSettings { sections, block: 4 };
    let (mut derivation, mut senders, mut reader) = derivation_of(StageSettings::IirBackward(settings));
    let room = derivation.stamps.waiting.capacity();
    let (mut lost, mut given) = (0, 0);
    // ten samples, then nothing for longer than is filled, again and again; the block before the last is out each time
    for burst in 0..50 {
        for index in 0..10 {
            take(&mut derivation, &mut senders, f64::from(burst) + f64::from(index) * 1e-3, 1.0);
            given += 1;
        }
        lost += derivation.run(&mut senders, PullContext::default()).lost;
        senders.flush(PullContext::default());
        received(&mut reader);
    }
    assert_eq!((given, lost), (500, 49 * 6), "four are out of each ten, and the last six still wait");
    assert_eq!(derivation.stamps.waiting.capacity(), room);
}

#[test]
fn stages_slower_than_the_samples_for_a_second_are_too_slow_until_they_are_not() {
    let mut load = Load::default();
    let second = |load: &mut Load, taken: f64| {
        for _ in 0..100 {
            load.note(Seconds(taken / 100.0), Seconds(0.010_01));
        }
        load.is_too_high
    };
    assert!(!second(&mut load, 0.5) && second(&mut load, 1.5) && second(&mut load, 1.5));
    assert!(!second(&mut load, 0.9));
}

#[test]
fn blocks_say_how_long_the_stages_settle_and_hold_nothing_else_meanwhile() {
    let sections = vec![[1.0, -1.0, 0.0, 1.0, -0.9, 0.0]];
    let (mut derivation, mut senders, mut reader) =
        derivation_of(StageSettings::Iir(IirSettings { sections }));
    let rows = derivation.stream.chain().settling();
    assert!(rows > 50);
    let mut settling = Vec::new();
    for index in 0..400_u32 {
        // twenty samples are missing before the two hundredth
        let missing = if index == 200 { 20 } else { 0 };
        let stamp = StreamTime(10.0 + f64::from(index) * 1e-3);
        if missing > 0 {
            derivation.run(&mut senders, PullContext::default());
        }
        derivation.take(stamp, missing, |samples| {
            if let Samples::Double64(values) = samples {
                values.push(f64::from(index));
            }
        });
        if index % 7 == 6 {
            derivation.run(&mut senders, PullContext::default());
        }
        if index % 56 == 55 {
            senders.flush(PullContext::default());
        }
        while let Some(block) = reader.receive() {
            let Samples::Double64(values) = &block.values else { panic!("doubles") };
            let settles = block.settling.0 > 0.0;
            assert!(values.iter().all(|value| value.is_nan() == settles), "{index}: {values:?}");
            if settles {
                settling.push((block.first_index, (block.settling.0 * 1e3).round() as u64));
            }
            reader.give_back(block);
        }
    }
    // each says what is left from its first sample on
    assert_eq!(settling[0], (0, rows));
    assert!(settling.iter().all(|(first, left)| *left == rows - first % 200), "{settling:?}");
    assert!(settling.iter().any(|(first, _)| *first == 200));
}
