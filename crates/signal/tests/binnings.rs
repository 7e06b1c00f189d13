//! What every way in which samples become features has to keep, whatever else it does: the registry, walked.
#![expect(clippy::unwrap_used, reason = "a test that cannot build its subject has failed")]

#[path = "../../../tests/counting_allocator/mod.rs"]
mod counting_allocator;

use counting_allocator::TOUCHED;
use kalmind_signal::{BINNINGS, BinningEntry, FeatureExtractor};
use kalmind_types::{Binning, SampleRows, StreamFeatures};
use proptest::prelude::*;

const CHANNELS: usize = 3;

fn extractor(binning: Binning) -> FeatureExtractor {
    let other = StreamFeatures::of_channels(Binning::Sum, 1, None);
    let features = match binning {
        // as many units as values stand in a row, so that the rows of all are alike
        Binning::Events => StreamFeatures::of_units(CHANNELS, CHANNELS, None),
        _ => StreamFeatures::of_channels(binning, CHANNELS, None),
    };
    FeatureExtractor::new(&[features, other]).unwrap()
}

/// Those that make a feature of each value of a row.
fn by_channel() -> impl Iterator<Item = &'static BinningEntry> {
    BINNINGS.iter().filter(|entry| entry.binning != Binning::Events)
}

#[test]
fn events_are_counted_by_the_unit_that_they_name_and_no_event_is_a_count_of_zero() {
    let mut extractor = extractor(Binning::Events);
    let counts = |bits: [u64; CHANNELS]| bits.map(f64::from_bits).map(|count| count as i64);
    assert_eq!(bin(&mut extractor, &[], &[]), ([0.0_f64.to_bits(); CHANNELS], 0));
    // what follows the unit is its waveform, whatever it is
    let rows = [[2.0, f64::NAN, 1.0], [0.0, 0.0, 0.0], [2.0, -5.0, 1e300]];
    let (found, left_out) = bin(&mut extractor, &rows, &[1]);
    assert_eq!((counts(found), left_out), ([1, 0, 2], 0));
    let none = [3.0, -1.0, 0.5, f64::NAN, f64::INFINITY, 1e300, -0.5].map(|unit| [unit, 0.0, 0.0]);
    assert_eq!(
        bin(&mut extractor, &none, &[]),
        ([0.0_f64.to_bits(); CHANNELS], 7),
        "units that there are not"
    );
}

#[test]
fn every_sample_of_a_stream_of_one_unit_is_a_spike_of_it() {
    let mut extractor = FeatureExtractor::new(&[StreamFeatures::of_units(1, 2, None)]).unwrap();
    extractor.reset();
    extractor.accept(0, SampleRows::Double64(&[7.0, 1.0, -3.5, 2.0, f64::NAN, 0.0])).unwrap();
    let raw = extractor.finish();
    assert_eq!((raw.values, raw.nonfinite), (&[3.0][..], 0));
}

/// The bits of a bin's features, and how many values were left out; the rows come in runs of these lengths.
fn bin(extractor: &mut FeatureExtractor, rows: &[[f64; CHANNELS]], runs: &[usize]) -> ([u64; CHANNELS], u32) {
    extractor.reset();
    let mut rest = rows;
    for run in runs.iter().copied().chain([usize::MAX]) {
        let (now, later) = rest.split_at(run.min(rest.len()));
        rest = later;
        extractor.accept(0, SampleRows::Double64(now.as_flattened())).unwrap();
        // what other streams bring in between changes nothing
        extractor.accept(1, SampleRows::Int8(&[1])).unwrap();
    }
    let raw = extractor.finish();
    (core::array::from_fn(|channel| raw.values[channel].to_bits()), raw.nonfinite)
}

#[test]
fn each_is_in_the_registry_once_under_the_name_that_files_know() {
    assert_eq!(BINNINGS.iter().map(|entry| entry.binning).collect::<Vec<_>>(), Binning::ALL);
    let names: Vec<String> = Binning::ALL.iter().map(|binning| format!("\"{}\"", binning.name())).collect();
    let schema = include_str!("../../../docs/model.schema.json");
    assert!(schema.contains(&format!("\"binning\": {{ \"enum\": [{}] }}", names.join(", "))), "{names:?}");
    for entry in BINNINGS {
        assert!(!entry.about.is_empty() && !entry.about.ends_with('.'), "{entry:?}");
    }
}

#[test]
fn a_channel_without_a_valid_value_gives_none_and_leaves_the_others_alone() {
    for entry in by_channel() {
        let mut extractor = extractor(entry.binning);
        let (nothing, left_out) = bin(&mut extractor, &[], &[]);
        assert!(nothing.iter().all(|bits| f64::from_bits(*bits).is_nan()) && left_out == 0, "{entry:?}");
        let (alone, _) = bin(&mut extractor, &[[2.0, 5.0, -1.0]], &[]);
        let rows = [[f64::NAN, f64::INFINITY, f64::NAN], [2.0, f64::NAN, -1.0], [f64::NAN; CHANNELS]];
        let (found, left_out) = bin(&mut extractor, &rows, &[]);
        assert!(f64::from_bits(found[1]).is_nan() && left_out == 7, "{entry:?}");
        assert_eq!((found[0], found[2]), (alone[0], alone[2]), "{entry:?}: what is not finite is left out");
        let (after, _) = bin(&mut extractor, &[[2.0, 5.0, -1.0]], &[]);
        assert_eq!(after, alone, "{entry:?}: a bin knows nothing of the one before");
    }
}

#[test]
fn each_number_format_gives_the_same_features() {
    let values: [i8; 6] = [3, -7, 100, 4, 0, -128];
    for entry in BINNINGS {
        let features = |rows: SampleRows<'_>| {
            let mut extractor = extractor(entry.binning);
            extractor.accept(0, rows).unwrap();
            extractor.finish().values[..CHANNELS].to_vec()
        };
        let expected = features(SampleRows::Int8(&values));
        assert_eq!(features(SampleRows::Int16(&values.map(i16::from))), expected);
        assert_eq!(features(SampleRows::Int32(&values.map(i32::from))), expected);
        assert_eq!(features(SampleRows::Int64(&values.map(i64::from))), expected);
        assert_eq!(features(SampleRows::Float32(&values.map(f32::from))), expected);
        assert_eq!(features(SampleRows::Double64(&values.map(f64::from))), expected);
    }
}

#[test]
fn nothing_is_allocated_once_it_is_built() {
    let rows: Vec<[f64; CHANNELS]> = (0..600).map(|row| [f64::from(row), f64::NAN, 1e308]).collect();
    for entry in BINNINGS {
        let mut extractor = extractor(entry.binning);
        let before = TOUCHED.get();
        for _ in 0..100 {
            bin(&mut extractor, &rows, &[1, 0, 7]);
        }
        assert_eq!(TOUCHED.get(), before, "{entry:?}");
    }
}

proptest! {
    /// However a bin's rows are cut into runs, its features are the same, bit for bit; and no feature is infinite.
    #[test]
    fn any_cut_into_runs_gives_the_same_bits(
        rows in prop::collection::vec(prop::array::uniform3(prop::num::f64::ANY), 0..30),
        runs in prop::collection::vec(0_usize..8, 0..12),
    ) {
        for entry in BINNINGS {
            let mut extractor = extractor(entry.binning);
            let whole = bin(&mut extractor, &rows, &[]);
            prop_assert_eq!(bin(&mut extractor, &rows, &runs), whole, "{:?}", entry);
            let finite = |bits: &u64| f64::from_bits(*bits).is_finite() || f64::from_bits(*bits).is_nan();
            prop_assert!(whole.0.iter().all(finite), "{:?}", entry);
        }
    }
}
