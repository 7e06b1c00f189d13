//! What every stage has to keep, whatever else it does: the registry, walked. And filters against scipy's.
#![expect(clippy::unwrap_used, reason = "a test that cannot build its subject has failed")]

#[path = "../../../../tests/counting_allocator/mod.rs"]
mod counting_allocator;

mod ar_spectrum;
mod filters;
mod plain;
mod rig;
mod signals;

use counting_allocator::TOUCHED;
use filters::numbers;
use kalmind_signal::{
    Chain, ChainError, ChainSettings, DerivedStream, Given, IirBackwardSettings, IirSettings, Rows, STAGES,
    Signal, StageSettings, StagedError,
};
use kalmind_types::{GenerationId, IndexRange, SampleRows};
use proptest::prelude::*;
use rig::{CHANNELS, Derived, Piece, RATE_HZ, chain, chains, raw, rows_of, run, stream, take};

#[test]
fn each_has_a_name_of_its_own_and_says_what_it_does() {
    for (number, entry) in STAGES.iter().enumerate() {
        assert_eq!((entry.example)().name(), entry.name);
        assert!(STAGES[..number].iter().all(|other| other.name != entry.name), "{entry:?}");
        assert!(!entry.about.is_empty() && !entry.about.ends_with('.'), "{entry:?}");
    }
}

#[test]
fn a_row_comes_out_exactly_as_late_as_is_declared() {
    for settings in chains() {
        let mut derived = stream(&settings, 0);
        let every = derived.chain().signal().every;
        let (mut output, mut described, mut longest) = (Rows::with_capacity(CHANNELS, 1), every - 1, 0);
        for index in 0..500 {
            output.clear();
            derived.take(index, 0, SampleRows::Double64(&raw(index)), &mut output);
            for row in output.iter() {
                assert_eq!(row.mark.index, described, "{settings:?}");
                described += every;
                longest = longest.max(index - row.mark.index);
            }
        }
        let delay = derived.chain().delay();
        if settings.0.len() == 1 {
            assert_eq!(longest, delay, "{settings:?}");
        }
        assert!(longest <= delay && described + delay >= 500, "{settings:?}");
    }
}

#[test]
fn nothing_is_allocated_once_it_is_built() {
    for (settings, is_watched) in
        chains().into_iter().flat_map(|settings| [(settings.clone(), false), (settings, true)])
    {
        let mut derived = stream(&settings, 0);
        if is_watched {
            derived = derived.with_channel_health(&settings);
        }
        let mut output = Rows::with_capacity(CHANNELS, derived.most_rows(97));
        let next = Box::new(chain(&settings, 1));
        let (mut checkpoint, mut other) =
            (Vec::with_capacity(derived.checkpoint_bytes()), stream(&settings, 0));
        let values: Vec<f64> = (0..2000).flat_map(raw).collect();
        let before = TOUCHED.get();
        let mut staged = Some(next);
        for (number, rows) in values.chunks(97 * CHANNELS).enumerate() {
            output.clear();
            // a short gap, a long one, none
            let missing = [0, 3, 0, 40][number % 4];
            derived.take((number * 97) as u64, missing, SampleRows::Double64(rows), &mut output);
            derived.log().clear();
            if number == 2 {
                assert!(derived.save(&mut checkpoint) && other.load(&checkpoint).is_ok());
            }
            if number == 6 {
                assert!(derived.stage(staged.take().unwrap(), 800).is_ok());
            }
        }
        assert_eq!(TOUCHED.get(), before, "{settings:?}");
        assert_eq!(derived.generation(), 1);
        assert!(derived.take_retired().is_some());
    }
}

#[test]
fn a_made_up_value_reaches_its_own_channel_alone_and_is_not_valid_until_it_is_forgotten() {
    for settings in chains() {
        let (mut clean, mut made_up) = (stream(&settings, 0), stream(&settings, 0));
        let (settling, delay) = (clean.chain().settling(), clean.chain().delay());
        // in an average of fewer channels the others are not what they were
        let mixes = settings.0.iter().any(|stage| matches!(stage, StageSettings::Reference(_)));
        let values: Vec<f64> = (0..1000).flat_map(raw).collect();
        let mut holed = values.clone();
        for index in 400..403 {
            holed[index * CHANNELS + 1] = [f64::NAN, f64::INFINITY, 1e300][index - 400];
        }
        let (clean, made_up) = (rows_of(&mut clean, &values), rows_of(&mut made_up, &holed));
        for (clean, made_up) in clean.iter().zip(&made_up) {
            let index = clean.mark.index;
            let expect_invalid =
                |channel: usize| clean.invalid[channel] || (channel == 1 && (400..403).contains(&index));
            for channel in 0..CHANNELS {
                let apart = (clean.value(channel) - made_up.value(channel)).abs();
                assert!(
                    mixes || apart < 0.01 || (channel == 1 && made_up.invalid[1]),
                    "{settings:?} {index}"
                );
                assert!(made_up.invalid[channel] || !expect_invalid(channel), "{settings:?} {index}");
                assert!(channel == 1 || made_up.invalid[channel] == clean.invalid[channel]);
            }
            let long_ago = index > 402 + settling || index + delay + settling < 400;
            assert!(!long_ago || made_up.invalid == clean.invalid, "{settings:?} {index}");
        }
    }
}

#[test]
fn after_a_long_gap_nothing_is_valid_until_the_filters_have_settled() {
    for settings in chains() {
        let (mut whole, mut cut) = (stream(&settings, 0), stream(&settings, 0));
        let settling = whole.chain().settling();
        let values: Vec<f64> = (0..1000).flat_map(rig::finite).collect();
        let whole = rows_of(&mut whole, &values);
        rows_of(&mut cut, &values[..500 * CHANNELS]);
        for row in take(&mut cut, 506, &values[506 * CHANNELS..900 * CHANNELS], &[]) {
            let same = whole.iter().find(|whole| whole.mark.index == row.mark.index).unwrap();
            for channel in 0..CHANNELS {
                assert!(row.invalid[channel] == (row.mark.index < 506 + settling), "{settings:?}");
                let apart = (row.value(channel) - same.value(channel)).abs();
                assert!(row.invalid[channel] || apart < 0.01, "{settings:?} {} {apart}", row.mark.index);
            }
        }
    }
}

#[test]
fn a_gap_of_five_milliseconds_is_filled_and_a_longer_one_restarts() {
    let settings = ChainSettings(vec![(STAGES[0].example)()]);
    for (gap, missing, filled) in [(3, 0, true), (2, 3, true), (6, 0, false), (0, 6, false)] {
        let pieces = [Piece { gap: 0, missing: 0, rows: 10 }, Piece { gap, missing, rows: 2 }];
        let outcome = run(&mut stream(&settings, 0), &pieces, &[]);
        let samples = |first: u64, end: u64| Given::Samples(IndexRange { first, end });
        let (first, end) = (10 + gap, 12 + gap);
        let restart =
            |derived| Given::Restart { derived, generation: Some(GenerationId([0; 32])), next: None };
        let middle = if filled { Given::Held((gap + missing) as u32) } else { restart(10) };
        assert_eq!(outcome.log, [restart(0), samples(0, 10), middle, samples(first, end)]);
        let held: Vec<u64> =
            outcome.rows.iter().filter(|row| row.mark.held > 0).map(|row| row.mark.index).collect();
        assert_eq!(held, vec![9; if filled { (gap + missing) as usize } else { 0 }]);
        let marks: Vec<_> = outcome.rows.iter().map(|row| row.mark).collect();
        assert!(marks.windows(2).all(|pair| pair[0] < pair[1]));
    }
}

#[test]
fn chains_that_cannot_be_run_are_refused() {
    let signal = |rate_hz| Signal::raw(rate_hz, [(String::from("a"), String::from("uV"))]);
    let build = |settings: Vec<StageSettings>, rate_hz| {
        Chain::new(&ChainSettings(settings), GenerationId::default(), &signal(rate_hz), 8).unwrap_err()
    };
    assert_eq!(build(vec![], 100.0), ChainError::NoStages);
    assert_eq!(build(vec![(STAGES[0].example)()], 0.0), ChainError::NoRate);
    let block = StageSettings::IirBackward(IirBackwardSettings {
        sections: vec![[1.0, 0.0, 0.0, 1.0, 0.0, 0.0]],
        block: 0,
    });
    let error = build(vec![(STAGES[0].example)(), block], 100.0).to_string();
    assert!(error.starts_with("stage 2 (iir_backward): `block` is 0"), "{error}");
}

#[test]
fn a_generation_that_cannot_follow_is_handed_back() {
    let settings = ChainSettings(vec![(STAGES[0].example)()]);
    let mut derived = stream(&settings, 0);
    rows_of(&mut derived, &(0..10).flat_map(raw).collect::<Vec<_>>());
    let stage = |derived: &mut DerivedStream, settings: &ChainSettings, at| {
        derived.stage(Box::new(chain(settings, 1)), at)
    };
    assert!(matches!(stage(&mut derived, &settings, 9), Err(StagedError::Past { at: 9, next: 10, .. })));
    let slower = ChainSettings(vec![StageSettings::IirBackward(IirBackwardSettings {
        sections: vec![[1.0, 0.0, 0.0, 1.0, 0.0, 0.0]],
        block: 4,
    })]);
    assert!(matches!(stage(&mut derived, &slower, 20), Err(StagedError::Unlike(_))));
    assert!(stage(&mut derived, &settings, 20).is_ok());
    assert!(matches!(stage(&mut derived, &settings, 30), Err(StagedError::Busy(_))));
}

/// Pieces of a stream with gaps before them: none, short, long, in the index or without one.
fn pieces() -> impl Strategy<Value = Vec<Piece>> {
    let gap = || prop_oneof![4 => Just(0_u64), 2 => 1..6_u64, 1 => 6..40_u64];
    let piece = (gap(), gap(), 0..80_usize).prop_map(|(gap, missing, rows)| Piece { gap, missing, rows });
    prop::collection::vec(piece, 1..12)
}

fn chunks() -> impl Strategy<Value = Vec<usize>> {
    prop::collection::vec(1..40_usize, 0..30)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// However the samples are cut into blocks, and wherever there are gaps, the derived samples are those that one pass
    /// over the input log makes, bit for bit.
    #[test]
    fn any_cut_into_blocks_gives_the_bits_of_one_pass_over_the_input_log(
        pieces in pieces(), chunks in chunks(), others in chunks(),
    ) {
        for settings in chains() {
            let outcome = run(&mut stream(&settings, 0), &pieces, &chunks);
            let other = run(&mut stream(&settings, 0), &pieces, &others);
            prop_assert_eq!(&outcome.rows, &other.rows, "{:?}", settings);
            prop_assert_eq!(&outcome.log, &other.log);
            prop_assert_eq!(rig::replay(&settings, &outcome.log), outcome.rows, "{:?}", settings);
        }
    }

    /// Another generation describes exactly the samples from the one that was named: before it the values are those of a
    /// stream that went on with the old one, from it on those of one that began when the new one was started; none is
    /// missing, and one pass over the log gives the same.
    #[test]
    fn a_generation_changes_exactly_at_its_sample(from in 1..120_u64, ahead in 0..90_u64, chunks in chunks()) {
        let at = from + ahead;
        let values: Vec<f64> = (0..400).flat_map(rig::finite).collect();
        let (head, tail) = values.split_at(from as usize * CHANNELS);
        for settings in chains() {
            let mut derived = stream(&settings, 0);
            let mut rows = take(&mut derived, 0, head, &chunks);
            prop_assert!(derived.stage(Box::new(chain(&settings, 1)), at).is_ok());
            rows.extend(take(&mut derived, from, tail, &chunks));
            let log = derived.log().entries().to_vec();
            let old = rows_of(&mut stream(&settings, 0), &values);
            let new = take(&mut stream(&settings, 0), from, tail, &[]);
            let bits = |row: &Derived| (row.mark.index, row.bits.clone(), row.invalid.clone());
            let expected: Vec<_> = old.iter().filter(|row| row.mark.index < at)
                .chain(new.iter().filter(|row| row.mark.index >= at)).map(bits).collect();
            prop_assert_eq!(rows.iter().map(bits).collect::<Vec<_>>(), expected, "{:?}", settings);
            for row in &rows {
                prop_assert_eq!(row.mark.generation, u32::from(row.mark.index >= at));
            }
            prop_assert_eq!(rig::replay_finite(&settings, &log), rows);
        }
    }

    /// A stream that goes on from a checkpoint gives the bits of the one that was saved.
    #[test]
    fn a_checkpoint_is_gone_on_from_bit_for_bit(cut in 1..200_u64, chunks in chunks()) {
        let values: Vec<f64> = (0..400).flat_map(raw).collect();
        let (head, tail) = values.split_at(cut as usize * CHANNELS);
        for settings in chains() {
            let (mut saved, mut loaded) = (stream(&settings, 0), stream(&settings, 0));
            take(&mut saved, 0, head, &chunks);
            let mut checkpoint = Vec::new();
            prop_assert!(saved.save(&mut checkpoint));
            prop_assert!(checkpoint.len() <= saved.checkpoint_bytes(), "{:?}", settings);
            prop_assert!(loaded.load(&checkpoint).is_ok());
            prop_assert_eq!(take(&mut loaded, cut, tail, &[]), take(&mut saved, cut, tail, &chunks));
            prop_assert!(stream(&settings, 1).load(&checkpoint).is_err(), "another generation's");
            prop_assert!(loaded.load(&checkpoint[..checkpoint.len() - 1]).is_err(), "a part of one");
        }
    }
}

#[test]
fn filters_give_what_those_of_scipy_give() {
    let lines: Vec<&str> = include_str!("by_scipy.txt").lines().collect();
    let x = numbers(lines[0]);
    let cases = lines[1..].chunks_exact(5);
    assert_eq!(cases.len(), 4);
    for case in cases {
        let sections: Vec<[f64; 6]> = numbers(case[1]).as_chunks().0.to_vec();
        let block = numbers(case[3])[0] as usize;
        let forward = StageSettings::Iir(IirSettings { sections: sections.clone() });
        let backward = StageSettings::IirBackward(IirBackwardSettings { sections, block });
        for (settings, expected) in [(forward, numbers(case[2])), (backward, numbers(case[4]))] {
            let signal = Signal::raw(RATE_HZ, ["a", "b"].map(|name| (name.to_owned(), String::new())));
            let chain =
                Chain::new(&ChainSettings(vec![settings]), GenerationId::default(), &signal, 16).unwrap();
            let mut derived = DerivedStream::new(chain, 2, RATE_HZ);
            let mut output = Rows::with_capacity(2, 0);
            derived.take(0, 0, SampleRows::Double64(&x), &mut output);
            let found: Vec<f64> = output.iter().flat_map(|row| row.values.to_vec()).collect();
            assert_eq!(found.len(), expected.len(), "{}", case[0]);
            let largest = x.iter().chain(&expected).fold(0.0_f64, |largest, value| largest.max(value.abs()));
            for (found, expected) in found.iter().zip(&expected) {
                assert!((found - expected).abs() <= 1e-12 * largest, "{}: {found} {expected}", case[0]);
            }
        }
    }
}
