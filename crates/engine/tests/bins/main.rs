//! Which samples belong to which bin, and when a bin is closed.
#![expect(clippy::expect_used, reason = "a test that cannot build its subject has failed")]
#![expect(clippy::unnecessary_box_returns, reason = "blocks travel in boxes")]
#![expect(clippy::float_cmp, reason = "stamps in these tests are exact binary fractions")]

use kalmind_engine::{BinCounts, Binner, BinnerError, BinnerSettings, StreamBinning};
use kalmind_types::{
    BinClose, Binning, ChannelMask, ClockOffset, IndexRange, LslTime, NumberFormat, SampleBlock, Samples,
    Seconds, StreamTime, TickInput,
};
use proptest::prelude::*;

mod events;

/// 1/64 s: exact in binary, so that bin edges are exact too.
const PERIOD: f64 = 0.015_625;

fn stream(binning: Binning, rate_hz: Option<f64>) -> StreamBinning {
    StreamBinning { binning, rate_hz, required: true, max_age: Seconds(0.0), blocks: 1024, block_samples: 64 }
}

fn binner(width: f64, streams: Vec<StreamBinning>) -> Binner {
    let settings =
        BinnerSettings { width: Seconds(width), max_wait: Seconds(0.05), epoch_jump: Seconds(1.0), streams };
    Binner::new(settings, ChannelMask::default()).expect("settings are valid")
}

/// A block of one-channel samples with these stamps, received as the last one was stamped.
fn block(first_index: u64, stamps: &[f64]) -> Box<SampleBlock> {
    block_with(first_index, stamps, 0.0, stamps.last().copied().unwrap_or(0.0))
}

fn block_with(first_index: u64, stamps: &[f64], offset: f64, received: f64) -> Box<SampleBlock> {
    let mut block = SampleBlock::with_capacity(NumberFormat::Double64, 1, stamps.len());
    block.first_index = first_index;
    block.received = LslTime(received);
    block.clock = ClockOffset { offset: Seconds(offset), uncertainty: Seconds(0.0) };
    block.stamps.extend(stamps.iter().map(|stamp| StreamTime(*stamp)));
    block.values = Samples::Double64(stamps.to_vec());
    Box::new(block)
}

fn close_all(binner: &mut Binner, now: f64) -> Vec<TickInput> {
    let mut closed = Vec::new();
    let mut one = TickInput::empty();
    while binner.close_next(LslTime(now), &[], &mut one) {
        closed.push(one.clone());
        binner.release(|_, _| {});
    }
    closed
}

fn samples(tick: &TickInput, stream: usize) -> Vec<IndexRange> {
    tick.streams[stream].ranges.to_vec()
}

#[test]
fn a_bin_tells_how_long_stages_go_on_settling_where_it_has_samples_from_before_they_had() {
    let mut binner = binner(4.0 * PERIOD, vec![stream(Binning::Mean, Some(1.0 / PERIOD))]);
    let mut settling = Vec::new();
    // they settle for eight samples from the start, and again for five from the seventeenth, after two that were lost
    for (first, end, lost, left) in
        [(0, 6, 0, 8.0), (6, 8, 0, 2.0), (8, 16, 0, 0.0), (18, 23, 2, 5.0), (23, 37, 0, 0.0)]
    {
        let stamps: Vec<f64> = (first..end).map(|index| 1.0 + f64::from(index) * PERIOD).collect();
        let mut block = block(u64::from(first as u32), &stamps);
        (block.lost_before, block.settling) = (lost, Seconds(left * PERIOD));
        binner.accept(0, block);
        let ticks = close_all(&mut binner, 1.0 + f64::from(end) * PERIOD);
        settling.extend(ticks.iter().map(|tick| tick.streams[0].settling.map(|left| left.0 / PERIOD)));
    }
    let expected = [Some(4.5), Some(0.5), None, None, Some(3.5), Some(0.0)];
    assert_eq!(settling[..6], expected, "{settling:?}");
    assert!(settling[6..].iter().all(Option::is_none) && settling.len() > 7);
}

#[test]
fn a_bin_is_of_the_oldest_generation_that_made_samples_of_it() {
    let mut binner = binner(4.0 * PERIOD, vec![stream(Binning::Mean, Some(1.0 / PERIOD))]);
    let mut generations = Vec::new();
    // bins hold four samples; the second generation begins in the middle of the third bin, and the next with the sixth
    for (first, end, generation) in [(0, 10, 0), (10, 20, 1), (20, 33, 2)] {
        let stamps: Vec<f64> = (first..end).map(|index| 10.0 + index as f64 * PERIOD).collect();
        let mut block = block(first, &stamps);
        block.generation = generation;
        binner.accept(0, block);
        generations.extend(close_all(&mut binner, 10.0).iter().map(|tick| tick.streams[0].generation));
    }
    // one without samples is of the generation before it
    generations.extend(close_all(&mut binner, 60.0).iter().take(3).map(|tick| tick.streams[0].generation));
    assert_eq!(generations, [0, 0, 0, 1, 1, 2, 2, 2, 2, 2, 2]);
}

#[test]
fn a_value_that_came_before_the_first_bin_and_still_holds_is_in_it() {
    let latest = StreamBinning { max_age: Seconds(1.0), ..stream(Binning::Latest, Some(1.0)) };
    let mut binner = binner(2.0 * PERIOD, vec![latest, stream(Binning::Mean, Some(1.0 / PERIOD))]);
    binner.accept(0, block(0, &[8.25, 9.25]));
    binner.accept(1, block(0, &[10.0, 10.0 + PERIOD, 10.0 + 2.0 * PERIOD]));
    let ticks = close_all(&mut binner, 10.0 + 2.0 * PERIOD);
    assert_eq!(samples(&ticks[0], 0), [IndexRange { first: 1, end: 2 }]);
    let counts = binner.counts(0);
    assert_eq!((counts.binned, counts.dropped), (1, 1), "{counts:?}");
}

#[test]
fn the_first_bin_starts_half_a_period_before_the_first_stamp_of_the_latest_stream() {
    let mut binner =
        binner(4.0 * PERIOD, vec![stream(Binning::Mean, Some(64.0)), stream(Binning::Mean, Some(64.0))]);
    binner.accept(0, block(0, &[10.0, 10.0 + PERIOD, 10.0 + 2.0 * PERIOD, 10.0 + 3.0 * PERIOD]));
    binner.accept(1, block(0, &[10.0 + 2.0 * PERIOD]));
    binner.accept(0, block(4, &[10.0 + 4.0 * PERIOD, 10.0 + 5.0 * PERIOD]));
    binner.accept(1, block(1, &[10.0 + 3.0 * PERIOD, 10.0 + 4.0 * PERIOD, 10.0 + 5.0 * PERIOD]));
    let ticks = close_all(&mut binner, 10.1);
    assert_eq!(ticks.len(), 1);
    assert_eq!(ticks[0].start, LslTime(10.0 + 1.5 * PERIOD));
    assert_eq!(ticks[0].time, LslTime(10.0 + 5.5 * PERIOD));
    assert_eq!(samples(&ticks[0], 0), [IndexRange { first: 2, end: 6 }]);
    assert_eq!(samples(&ticks[0], 1), [IndexRange { first: 0, end: 4 }]);
    assert_eq!(binner.counts(0).dropped, 2, "two samples came before the first bin");
}

#[test]
fn a_regular_stream_closes_its_bin_with_the_last_promised_sample() {
    let mut binner = binner(2.0 * PERIOD, vec![stream(Binning::Mean, Some(64.0))]);
    binner.accept(0, block(0, &[1.0]));
    assert!(close_all(&mut binner, 1.0).is_empty());
    binner.accept(0, block(1, &[1.0 + PERIOD]));
    let ticks = close_all(&mut binner, 1.0 + PERIOD);
    assert_eq!(ticks.len(), 1);
    assert_eq!((ticks[0].closed_by, ticks[0].incomplete), (BinClose::Filled, false));
}

#[test]
fn an_irregular_stream_closes_its_bin_with_the_first_sample_past_the_end() {
    let mut binner = binner(0.25, vec![stream(Binning::Sum, None)]);
    binner.accept(0, block(0, &[1.0, 1.125]));
    assert!(close_all(&mut binner, 1.2).is_empty());
    binner.accept(0, block(2, &[1.25]));
    let ticks = close_all(&mut binner, 1.25);
    assert_eq!(ticks.len(), 1);
    assert_eq!(ticks[0].closed_by, BinClose::Passed);
    assert_eq!(samples(&ticks[0], 0), [IndexRange { first: 0, end: 2 }]);
}

#[test]
fn a_bin_whose_stream_is_silent_is_closed_incomplete_after_the_wait_and_late_samples_are_counted() {
    let mut binner = binner(2.0 * PERIOD, vec![stream(Binning::Mean, Some(64.0))]);
    binner.accept(0, block(0, &[1.0]));
    let end = 1.0 + 1.5 * PERIOD;
    assert_eq!(binner.next_deadline(), Some(LslTime(end + 0.05)));
    assert!(close_all(&mut binner, end + 0.049).is_empty());
    let ticks = close_all(&mut binner, end + 0.05);
    assert_eq!((ticks[0].closed_by, ticks[0].incomplete), (BinClose::Deadline, true));
    binner.accept(0, block(1, &[1.0 + PERIOD, 1.0 + 2.0 * PERIOD, 1.0 + 3.0 * PERIOD]));
    let ticks = close_all(&mut binner, end + 0.06);
    assert_eq!(samples(&ticks[0], 0), [IndexRange { first: 2, end: 4 }]);
    assert_eq!(ticks[0].streams[0].late, 1);
    assert_eq!(binner.counts(0).late, 1);
}

#[test]
fn a_stream_that_is_not_required_is_not_waited_for() {
    let optional =
        StreamBinning { required: false, max_age: Seconds(0.0), ..stream(Binning::Mean, Some(64.0)) };
    let mut binner = binner(PERIOD, vec![stream(Binning::Mean, Some(64.0)), optional]);
    binner.accept(0, block(0, &[1.0]));
    assert_eq!(close_all(&mut binner, 1.0).len(), 1);
}

#[test]
fn sample_mode_makes_one_bin_a_sample_and_incomplete_ones_for_those_that_never_came() {
    let mut binner = binner(PERIOD, vec![stream(Binning::Sample, Some(64.0))]);
    binner.accept(0, block(0, &[1.0, 1.0 + PERIOD, 1.0 + 4.0 * PERIOD]));
    let ticks = close_all(&mut binner, 1.1);
    let seen: Vec<(u64, f64, bool)> =
        ticks.iter().map(|tick| (tick.seq, tick.time.0, tick.incomplete)).collect();
    let expected = [
        (0, 1.0, false),
        (1, 1.0 + PERIOD, false),
        (2, 1.0 + 2.0 * PERIOD, true),
        (3, 1.0 + 3.0 * PERIOD, true),
        (4, 1.0 + 4.0 * PERIOD, false),
    ];
    assert_eq!(seen, expected);
    assert_eq!(ticks[3].closed_by, BinClose::Skipped);
    assert_eq!(ticks[0].start, LslTime(1.0 - PERIOD));
}

#[test]
fn sample_mode_counts_a_repeated_or_backward_stamp_as_late() {
    let mut binner = binner(PERIOD, vec![stream(Binning::Sample, Some(64.0))]);
    binner.accept(0, block(0, &[1.0, 1.0, 1.0 - PERIOD, 1.0 + PERIOD]));
    let ticks = close_all(&mut binner, 1.1);
    assert_eq!(ticks.len(), 2);
    assert_eq!(binner.counts(0).late, 2);
    assert_eq!(binner.counts(0).binned, 2);
}

#[test]
fn a_second_stream_is_aligned_to_the_samples_that_lead() {
    let mut binner =
        binner(4.0 * PERIOD, vec![stream(Binning::Sample, Some(16.0)), stream(Binning::Sum, Some(64.0))]);
    let side: Vec<f64> = (0..16).map(|index| 1.0 + (f64::from(index) + 0.5) * PERIOD).collect();
    binner.accept(0, block(0, &[1.0 + 8.0 * PERIOD, 1.0 + 12.0 * PERIOD]));
    assert!(close_all(&mut binner, 1.0).is_empty(), "waits for the other stream");
    binner.accept(1, block(0, &side));
    let ticks = close_all(&mut binner, 1.0);
    assert_eq!(samples(&ticks[0], 1), [IndexRange { first: 4, end: 8 }]);
    assert_eq!(samples(&ticks[1], 1), [IndexRange { first: 8, end: 12 }]);
    assert_eq!(binner.counts(1).dropped, 4);
}

#[test]
fn a_jump_of_more_than_a_second_starts_an_epoch_and_seq_goes_on() {
    let mut binner = binner(PERIOD, vec![stream(Binning::Sample, Some(64.0))]);
    binner.accept(0, block(0, &[1.0, 1.0 + PERIOD]));
    binner.accept(0, block(2, &[5.0, 5.0 + PERIOD]));
    binner.accept(0, block(4, &[2.0]));
    let ticks = close_all(&mut binner, 5.1);
    let seen: Vec<(u64, u32, f64)> = ticks.iter().map(|tick| (tick.seq, tick.epoch, tick.time.0)).collect();
    // what was pending when the stamps jumped back is dropped and counted
    assert_eq!(seen, [(0, 2, 2.0)]);
    assert_eq!(binner.counts(0).dropped, 4);

    let mut binner = self::binner(PERIOD, vec![stream(Binning::Sample, Some(64.0))]);
    let mut seen = Vec::new();
    for (index, stamp) in [1.0, 1.0 + PERIOD, 5.0, 5.0 + PERIOD].into_iter().enumerate() {
        binner.accept(0, block(index as u64, &[stamp]));
        seen.extend(close_all(&mut binner, stamp).iter().map(|tick| (tick.seq, tick.epoch, tick.time.0)));
    }
    assert_eq!(seen, [(0, 0, 1.0), (1, 0, 1.0 + PERIOD), (2, 1, 5.0), (3, 1, 5.0 + PERIOD)]);
}

#[test]
fn a_pause_without_a_clock_jump_keeps_the_epoch_in_fixed_bins() {
    let mut binner = binner(PERIOD, vec![stream(Binning::Mean, Some(64.0))]);
    binner.accept(0, block(0, &[1.0]));
    let before = close_all(&mut binner, 1.0).len();
    let idle = close_all(&mut binner, 4.0);
    assert!(idle.iter().all(|tick| tick.incomplete && tick.epoch == 0));
    binner.accept(0, block(1, &[4.0]));
    let after = close_all(&mut binner, 4.0);
    assert!(after.iter().all(|tick| tick.epoch == 0));
    let bins = before + idle.len() + after.len();
    assert_eq!(bins as f64, 3.0 / PERIOD + 1.0, "every bin is closed once");
}

#[test]
fn a_measured_offset_is_slewed_and_stamps_never_run_backwards() {
    let mut binner = binner(PERIOD, vec![stream(Binning::Sample, Some(64.0))]);
    let mut times = Vec::new();
    for index in 0..640_u64 {
        let stamp = 1.0 + index as f64 * PERIOD;
        let measured = if index < 10 { 0.0 } else { -0.004 };
        binner.accept(0, block_with(index, &[stamp], measured, stamp));
        times
            .extend(close_all(&mut binner, stamp).iter().map(|tick| (tick.time.0, tick.streams[0].offset.0)));
    }
    assert_eq!(times.len(), 640);
    assert!(times.windows(2).all(|pair| pair[1].0 > pair[0].0));
    let steepest = times.windows(2).map(|pair| (pair[1].1 - pair[0].1).abs()).fold(0.0, f64::max);
    assert!(steepest <= 1e-3 * PERIOD * (1.0 + 1e-12), "{steepest}");
    assert!((times[639].1 + 0.004).abs() < 1e-12, "the offset has arrived");
}

#[test]
fn blocks_come_back_while_another_stream_has_not_begun() {
    let streams = vec![stream(Binning::Mean, Some(64.0)), stream(Binning::Mean, Some(64.0))];
    let mut binner = binner(2.0 * PERIOD, streams);
    let mut returned = 0;
    for index in 0..640_u64 {
        binner.accept(0, block(index, &[1.0 + index as f64 * PERIOD]));
        assert!(close_all(&mut binner, 1.0 + index as f64 * PERIOD).is_empty());
        binner.release(|_, _| returned += 1);
    }
    assert!(returned > 600, "{returned} of 640 blocks are free again");
    assert_eq!(binner.counts(0).dropped, returned, "what was let go is counted");
    binner.accept(1, block(0, &[1.0 + 639.0 * PERIOD, 1.0 + 640.0 * PERIOD]));
    binner.accept(0, block(640, &[1.0 + 640.0 * PERIOD]));
    assert_eq!(close_all(&mut binner, 11.0).len(), 1, "and the first bin is complete");
}

#[test]
fn a_bin_knows_when_it_could_have_been_closed() {
    let mut binner = binner(2.0 * PERIOD, vec![stream(Binning::Mean, Some(64.0))]);
    let mut one = TickInput::empty();
    binner.accept(0, block_with(0, &[1.0], 0.0, 1.25));
    binner.accept(0, block_with(1, &[1.0 + PERIOD], 0.0, 1.5));
    binner.accept(0, block_with(2, &[1.0 + 2.0 * PERIOD], 0.0, 1.75));
    assert!(binner.close_next(LslTime(9.0), &[], &mut one));
    assert_eq!(binner.ready(), LslTime(1.75), "the sample past the end had come");
    binner.release(|_, _| {});
    assert!(binner.close_next(LslTime(9.0), &[], &mut one));
    assert_eq!(one.closed_by, BinClose::Deadline);
    assert_eq!(binner.ready(), LslTime(one.time.0 + 0.05));
}

#[test]
fn streams_that_cannot_be_binned_together_are_refused() {
    let make = |streams| {
        let settings = BinnerSettings {
            width: Seconds(0.02),
            max_wait: Seconds(0.02),
            epoch_jump: Seconds(1.0),
            streams,
        };
        Binner::new(settings, ChannelMask::default()).err()
    };
    let sample = || stream(Binning::Sample, Some(50.0));
    assert_eq!(make(vec![]), Some(BinnerError::StreamCount(0)));
    assert_eq!(make(vec![sample(), sample()]), Some(BinnerError::TwoLeaders));
    assert_eq!(make(vec![stream(Binning::Sample, None)]), Some(BinnerError::BadLeader));
    let optional =
        StreamBinning { required: false, max_age: Seconds(0.0), ..stream(Binning::Mean, Some(50.0)) };
    assert_eq!(make(vec![optional]), Some(BinnerError::NothingRequired));
}

#[test]
fn a_tick_input_survives_serialisation() {
    let mut binner = binner(PERIOD, vec![stream(Binning::Sample, Some(64.0))]);
    binner.accept(0, block(0, &[1.0]));
    let tick = close_all(&mut binner, 1.0).remove(0);
    let text = serde_json::to_string(&tick).expect("serialises");
    assert_eq!(serde_json::from_str::<TickInput>(&text).expect("parses"), tick);
}

proptest! {
    #[test]
    fn every_sample_is_binned_late_dropped_or_pending(
        jitter in proptest::collection::vec(-0.012..0.012_f64, 1..300),
        blocks in 1_usize..20,
        width in prop::sample::select(vec![0.5 * PERIOD, PERIOD, 2.5 * PERIOD, 7.0 * PERIOD]),
        wait in 0.0..0.1_f64,
        mode in prop::sample::select(vec![Binning::Sample, Binning::Mean]),
    ) {
        let stamps: Vec<f64> = jitter.iter().enumerate().map(|(k, j)| 1.0 + k as f64 * PERIOD + j).collect();
        let settings = BinnerSettings {
            width: Seconds(if mode == Binning::Sample { PERIOD } else { width }),
            max_wait: Seconds(wait),
            epoch_jump: Seconds(1.0),
            streams: vec![stream(mode, Some(64.0))],
        };
        let mut binner = Binner::new(settings, ChannelMask::default()).expect("settings are valid");
        let mut ticks = Vec::new();
        let mut index = 0;
        for part in stamps.chunks(blocks) {
            binner.accept(0, block(index, part));
            index += part.len() as u64;
            ticks.extend(close_all(&mut binner, part[part.len() - 1]));
        }
        ticks.extend(close_all(&mut binner, 30.0));
        let counts = binner.counts(0);
        let binned: u64 = ticks.iter().map(|tick| tick.streams[0].samples()).sum();
        prop_assert_eq!(binned, counts.binned);
        prop_assert_eq!(counts.binned + counts.late + counts.dropped, stamps.len() as u64);
        prop_assert!(ticks.iter().enumerate().all(|(k, tick)| tick.seq == k as u64));
        prop_assert!(ticks.windows(2).all(|pair| pair[1].time > pair[0].time));
        // no sample twice, and each inside its bin
        let mut seen = std::collections::HashSet::new();
        for tick in &ticks {
            for range in &tick.streams[0].ranges {
                for sample in range.first..range.end {
                    prop_assert!(seen.insert(sample));
                    let stamp = stamps[sample as usize];
                    prop_assert!(stamp <= tick.time.0 && (mode == Binning::Sample || stamp >= tick.start.0));
                }
            }
        }
    }
}

#[test]
fn the_newest_sample_is_kept_until_it_is_too_old_and_no_bin_waits_for_it() {
    let kept = StreamBinning { max_age: Seconds(0.5), ..stream(Binning::Latest, None) };
    let mut binner = binner(0.25, vec![stream(Binning::Mean, Some(4.0)), kept]);
    binner.accept(1, block(0, &[0.75, 0.875, 1.0]));
    for number in 0..5 {
        binner.accept(0, block(number, &[1.0 + 0.25 * number as f64]));
    }
    let ticks = close_all(&mut binner, 2.25);
    // bins end at 1.125, 1.375, 1.625 and on
    let one = |first: u64| vec![IndexRange { first, end: first + 1 }];
    let taken: Vec<_> = ticks.iter().map(|tick| samples(tick, 1)).collect();
    assert_eq!(taken, [one(2), one(2), vec![], vec![], vec![]]);
    assert!(ticks.iter().all(|tick| !tick.incomplete));
    binner.accept(1, block(3, &[2.25]));
    binner.accept(0, block(5, &[2.25]));
    assert_eq!(samples(&close_all(&mut binner, 2.3)[0], 1), one(3));
    // that one comes after the bin it lies in was closed, as all do behind a filter that looks ahead
    binner.accept(1, block(4, &[2.3]));
    binner.accept(0, block(6, &[2.5]));
    assert_eq!(samples(&close_all(&mut binner, 2.55)[0], 1), one(4));
    assert_eq!(binner.counts(1), BinCounts { late: 0, dropped: 0, binned: 5 }, "each counts once");
}

#[test]
fn a_stream_whose_newest_sample_is_kept_closes_no_bin_alone() {
    let alone = BinnerSettings {
        width: Seconds(0.25),
        max_wait: Seconds(0.05),
        epoch_jump: Seconds(1.0),
        streams: vec![stream(Binning::Latest, None)],
    };
    assert_eq!(Binner::new(alone, ChannelMask::default()).err(), Some(BinnerError::NothingRequired));
}
