//! Windows at events, from the binner through a tick's input to what is read from their samples.
#![expect(clippy::unwrap_used, reason = "a test that cannot build its subject has failed")]
#![expect(clippy::float_cmp, reason = "stamps and values in these tests are exact binary fractions")]

use kalmind_engine::{
    Binner, BinnerSettings, CursorSettings, Engine, EngineSettings, MAX_PENDING_WINDOWS, StreamBinning,
    WindowSettings,
};
use kalmind_filter::{LabelLaw, READERS};
use kalmind_types::{
    Binning, ChannelMask, ClockOffset, EventMarker, EventWindow, LslTime, MAX_WINDOWS, Mode, NumberFormat,
    SampleBlock, Samples, Seconds, StreamFeatures, StreamTime, TickInput, WindowMissing,
};

/// 1/64 s: exact in binary.
const PERIOD: f64 = 0.015_625;
const COUNT: u32 = 8;
const T0: f64 = 100.0;

/// A stream of two channels that hold the index of the sample, and minus twice that.
struct Bench {
    binner: Binner,
    engine: Engine,
    /// Index, stamp, connection, generation of stages and clock offset of the next sample.
    index: u64,
    stamp: f64,
    connection: u32,
    generation: u32,
    offset: f64,
    /// Held by the sample with this index, on the second channel.
    broken: Option<(u64, f64)>,
}

/// A window as it entered a tick, and its values or why there are none.
type Read = (EventWindow, Result<Vec<f64>, WindowMissing>);

fn window(offset: f64) -> WindowSettings {
    WindowSettings {
        name: "flash".to_owned(),
        texts: vec!["S1".to_owned()],
        stream: 0,
        channels: vec!["a".to_owned(), "b".to_owned()],
        offset: Seconds(offset),
        count: COUNT,
        reader: (READERS[0].example)(),
    }
}

impl Bench {
    fn new(windows: &[WindowSettings]) -> Self {
        let stream = StreamBinning {
            binning: Binning::Mean,
            rate_hz: Some(64.0),
            required: true,
            max_age: Seconds(0.0),
            blocks: 64,
            block_samples: 64,
        };
        let settings = BinnerSettings {
            width: Seconds(4.0 * PERIOD),
            max_wait: Seconds(0.05),
            epoch_jump: Seconds(1.0),
            streams: vec![stream],
        };
        let cuts = windows.iter().map(WindowSettings::cut).collect();
        let binner = Binner::new(settings, ChannelMask::default()).unwrap().with_windows(cuts, |_| 2);
        let engine = Engine::new(EngineSettings {
            features: vec![StreamFeatures::of_channels(Binning::Mean, 2, None)],
            max_masked: 0.25,
            restart_after: Seconds(0.5),
            stale_after: Seconds(0.1),
            auto_resume: Seconds(2.0),
            start: Mode::Idle,
            cursor: CursorSettings::default(),
            label_law: LabelLaw::default(),
            plausibility: false,
            fallback_stale: Seconds(0.3),
            doubted_calibrates: true,
        })
        .unwrap()
        .with_windows(windows)
        .unwrap();
        Self { binner, engine, index: 0, stamp: T0, connection: 0, generation: 0, offset: 0.0, broken: None }
    }

    /// Samples come, a block each, and no bin is closed.
    fn receive(&mut self, samples: u64) {
        for _ in 0..samples {
            let mut block = SampleBlock::with_capacity(NumberFormat::Float32, 2, 1);
            block.first_index = self.index;
            block.connection = self.connection;
            block.generation = self.generation;
            block.received = LslTime(self.stamp + self.offset);
            block.clock = ClockOffset { offset: Seconds(self.offset), uncertainty: Seconds(0.0) };
            block.stamps.push(StreamTime(self.stamp));
            let value = self.index as f64;
            let second =
                self.broken.filter(|(index, _)| *index == self.index).map_or(-2.0 * value, |(_, is)| is);
            block.values = Samples::Float32(vec![value as f32, second as f32]);
            self.binner.accept(0, Box::new(block));
            self.index += 1;
            self.stamp += PERIOD;
        }
    }

    /// Local time.
    fn now(&self) -> f64 {
        self.stamp + self.offset
    }

    /// Closes what can be closed now; what was read at each tick.
    fn ticks(&mut self) -> Vec<Vec<Read>> {
        self.ticks_at(self.now())
    }

    fn ticks_at(&mut self, now: f64) -> Vec<Vec<Read>> {
        let mut ticks = Vec::new();
        let mut input = TickInput::empty();
        while self.binner.close_next(LslTime(now), &[], &mut input) {
            input.check().unwrap();
            self.engine.step(&input, &self.binner);
            let results = self.engine.windows().iter().map(|result| result.map(<[f64]>::to_vec));
            ticks.push(input.windows.iter().copied().zip(results).collect());
            self.binner.release(|_, _| {});
        }
        ticks
    }

    /// Samples come in real time; everything that is read meanwhile.
    fn run(&mut self, samples: u64) -> Vec<Read> {
        let mut read = Vec::new();
        for _ in 0..samples {
            self.receive(1);
            read.extend(self.ticks().into_iter().flatten());
        }
        read
    }

    /// A marker is stamped then, and comes now; whether its window is waited for.
    fn mark(&mut self, time: f64) -> bool {
        self.mark_under(time, 0.0)
    }

    /// The same, under an offset of its clock.
    fn mark_under(&mut self, stamp: f64, offset: f64) -> bool {
        let marker = EventMarker { window: 0, text: 0, stamp: StreamTime(stamp), offset: Seconds(offset) };
        self.binner.mark(marker, LslTime(self.now()))
    }
}

/// The mean of the numbers from `first` on.
fn mean(first: u64) -> f64 {
    first as f64 + f64::from(COUNT - 1) / 2.0
}

fn whys(read: &[Read]) -> Vec<WindowMissing> {
    read.iter().filter_map(|(_, result)| result.clone().err()).collect()
}

#[test]
fn a_window_begins_with_the_first_sample_stamped_at_or_after_its_marker() {
    let mut bench = Bench::new(&[window(0.0)]);
    assert!(bench.run(10).is_empty());
    bench.mark(T0 + 12.0 * PERIOD);
    bench.mark(T0 + 12.0 * PERIOD + 0.001);
    let read = bench.run(20);
    let firsts: Vec<(u64, u64)> = read.iter().map(|(window, _)| (window.event, window.first)).collect();
    assert_eq!(firsts, [(0, 12), (1, 13)]);
    for (window, result) in read {
        assert_eq!(result.unwrap(), [mean(window.first), -2.0 * mean(window.first)]);
    }
}

#[test]
fn a_marker_whose_stamp_is_no_time_is_refused_and_what_is_recorded_is_read() {
    let mut bench = Bench::new(&[window(0.0)]);
    bench.run(10);
    for (stamp, offset) in [
        (f64::NAN, 0.0),
        (f64::INFINITY, 0.0),
        (T0, f64::NAN),
        // Unix time in milliseconds, and what would make it the time of arrival
        (1.76e12, 0.0),
        (1.76e12, T0 - 1.76e12),
    ] {
        assert!(!bench.mark_under(stamp, offset), "{stamp} {offset}");
    }
    // Unix time in seconds is another clock; every tick is checked as a recording of it is
    assert!(bench.mark(1.76e9));
    assert_eq!(whys(&bench.run(40)), [WindowMissing::Ahead]);
}

#[test]
fn a_window_of_two_generations_of_stages_has_a_gap() {
    let mut bench = Bench::new(&[window(0.0)]);
    bench.run(10);
    bench.mark(T0 + 6.0 * PERIOD);
    bench.generation = 1;
    bench.mark(T0 + 10.0 * PERIOD);
    let read = bench.run(40);
    assert_eq!(whys(&read), [WindowMissing::Gap]);
    assert_eq!(read.iter().filter(|(_, result)| result.is_ok()).count(), 1, "the second is wholly of one");
}

#[test]
fn an_offset_moves_the_window_and_may_reach_back() {
    for (offset, first) in [(5.0 * PERIOD, 25), (-5.0 * PERIOD, 15)] {
        let mut bench = Bench::new(&[window(offset)]);
        bench.run(21);
        bench.mark(T0 + 20.0 * PERIOD);
        let read = bench.run(40);
        assert_eq!((read.len(), read[0].0.first), (1, first));
        assert_eq!(read[0].1.as_ref().unwrap()[0], mean(first));
    }
}

#[test]
fn a_marker_that_comes_late_finds_its_samples_within_the_look_back_and_not_beyond() {
    let mut bench = Bench::new(&[window(0.0)]);
    bench.run(3000);
    let newest = bench.stamp - PERIOD;
    bench.mark(newest - 9.99);
    bench.mark(newest - 10.01);
    bench.mark(T0);
    let read = bench.run(4);
    let first = read[0].0.first;
    assert_eq!(first, ((newest - 9.99 - T0) / PERIOD).ceil() as u64);
    assert_eq!(read[0].1.as_ref().unwrap()[0], mean(first));
    assert_eq!(whys(&read), [WindowMissing::Late; 2]);
}

#[test]
fn a_marker_before_the_first_sample_has_no_window_and_one_less_than_a_period_before_it_has() {
    let mut bench = Bench::new(&[window(0.0)]);
    bench.mark(T0 - 0.5 * PERIOD);
    bench.mark(T0 - 3.0 * PERIOD);
    let read = bench.run(20);
    assert_eq!(whys(&read), [WindowMissing::BeforeStream]);
    assert_eq!(read.iter().find(|(window, _)| window.event == 0).unwrap().1.as_ref().unwrap()[0], mean(0));
}

#[test]
fn a_marker_stamped_on_another_clock_waits_for_nothing() {
    let mut bench = Bench::new(&[window(0.0)]);
    bench.run(10);
    bench.mark(1.7e9);
    assert_eq!(whys(&bench.run(4)), [WindowMissing::Ahead]);
}

/// What becomes of a window that begins at sample 20 when this happens before sample 24, and of one that begins then.
fn broken_by(incident: impl FnOnce(&mut Bench) -> Vec<Read>) -> Vec<WindowMissing> {
    let mut bench = Bench::new(&[window(0.0)]);
    bench.run(18);
    bench.mark(T0 + 20.0 * PERIOD);
    let mut read = bench.run(6);
    read.extend(incident(&mut bench));
    let stamp = bench.stamp;
    // begins where the samples are missing, and is whole but for that
    bench.mark(stamp - 3.0 * PERIOD);
    bench.mark(stamp + 2.0 * PERIOD);
    read.extend(bench.run(40));
    assert_eq!(read.len(), 3, "{read:?}");
    assert!(read[2].1.is_ok(), "what begins after it is whole");
    whys(&read)
}

#[test]
fn lost_samples_leave_a_gap() {
    let lost = |bench: &mut Bench| {
        bench.index += 3;
        bench.stamp += 3.0 * PERIOD;
        Vec::new()
    };
    assert_eq!(broken_by(lost), [WindowMissing::Gap; 2]);
}

#[test]
fn samples_that_the_device_never_sent_leave_a_gap() {
    let unsent = |bench: &mut Bench| {
        bench.stamp += 3.0 * PERIOD;
        Vec::new()
    };
    assert_eq!(broken_by(unsent), [WindowMissing::Gap; 2]);
}

#[test]
fn a_restart_of_the_stream_leaves_a_gap() {
    let restart = |bench: &mut Bench| {
        bench.connection += 1;
        bench.stamp += 20.0 * PERIOD;
        Vec::new()
    };
    assert_eq!(broken_by(restart), [WindowMissing::Gap; 2]);
}

#[test]
fn a_new_epoch_leaves_a_gap_and_nothing_before_it() {
    let jump = |bench: &mut Bench| {
        bench.stamp -= 50.0;
        bench.run(1)
    };
    let mut whys = broken_by(jump);
    assert_eq!(whys.remove(0), WindowMissing::Gap);
    assert_eq!(whys, [WindowMissing::BeforeStream]);
}

#[test]
fn sixteen_windows_overlap_and_the_seventeenth_is_refused() {
    let mut bench = Bench::new(&[window(0.0)]);
    bench.run(10);
    for number in 0..=MAX_PENDING_WINDOWS {
        let taken = bench.mark(T0 + 20.0 * PERIOD + number as f64 * 0.001);
        assert_eq!(taken, number < MAX_PENDING_WINDOWS);
    }
    let read = bench.run(40);
    let events: Vec<u64> = read.iter().map(|(window, _)| window.event).collect();
    assert_eq!(events, (0..MAX_PENDING_WINDOWS as u64).collect::<Vec<_>>());
    assert!(read.iter().all(|(_, result)| result.is_ok()));
    // there is room again, and the one that was refused is a hole
    bench.mark(bench.stamp);
    let read = bench.run(20);
    assert_eq!(read[0].0.event, MAX_PENDING_WINDOWS as u64 + 1);
}

#[test]
fn a_fifth_window_waits_for_the_next_tick() {
    let mut bench = Bench::new(&[window(0.0)]);
    bench.run(40);
    for number in 0..5 {
        bench.mark(T0 + f64::from(10 + number) * PERIOD);
    }
    bench.receive(12);
    let ticks = bench.ticks();
    let events: Vec<Vec<u64>> =
        ticks.iter().map(|read| read.iter().map(|(window, _)| window.event).collect()).collect();
    assert_eq!(events.first().map(Vec::len), Some(MAX_WINDOWS));
    assert_eq!(events.concat(), [0, 1, 2, 3, 4]);
    assert_eq!(events[1], [4]);
}

#[test]
fn a_later_offset_of_either_clock_moves_nothing() {
    let mut bench = Bench::new(&[window(0.0)]);
    bench.run(30);
    // one stamp under two offsets, as its clock is measured better; the second is of no concern to the first
    bench.mark_under(0.0, T0 + 28.0 * PERIOD);
    bench.mark_under(0.0, T0 + 26.0 * PERIOD);
    // the stream's own clock is measured anew by half a second, and slewed after
    bench.offset = 0.5;
    let mut read = bench.run(40);
    read.sort_by_key(|(window, _)| window.event);
    let firsts: Vec<u64> = read.iter().map(|(window, _)| window.first).collect();
    assert_eq!(firsts, [28, 26]);
    assert_eq!(read[0].0.marker.offset, Seconds(T0 + 28.0 * PERIOD));
    assert_eq!(read[0].1.as_ref().unwrap()[0], mean(28));
}

#[test]
fn a_value_that_is_not_finite_gives_no_result() {
    let mut bench = Bench::new(&[window(0.0)]);
    bench.broken = Some((23, f64::NAN));
    bench.run(18);
    bench.mark(T0 + 20.0 * PERIOD);
    bench.mark(T0 + 24.0 * PERIOD);
    let read = bench.run(30);
    assert_eq!(whys(&read), [WindowMissing::NotFinite]);
    assert_eq!(read[1].1.as_ref().unwrap()[0], mean(24));
}

#[test]
fn samples_that_never_come_are_waited_for_as_long_as_the_look_back() {
    let mut bench = Bench::new(&[window(0.0)]);
    bench.run(20);
    bench.mark(bench.stamp);
    let end = bench.stamp + f64::from(COUNT) * PERIOD;
    assert!(bench.ticks_at(end + 9.99).concat().is_empty());
    assert_eq!(whys(&bench.ticks_at(end + 10.1).concat()), [WindowMissing::NoSamples]);
}

#[test]
fn an_input_without_windows_is_written_as_it_always_was() {
    let text = serde_json::to_string(&TickInput::empty()).unwrap();
    assert!(!text.contains("windows"), "{text}");
    let mut bench = Bench::new(&[]);
    bench.run(100);
    assert!(!bench.mark(T0), "no such window is configured");
    assert!(bench.run(8).is_empty());
}
