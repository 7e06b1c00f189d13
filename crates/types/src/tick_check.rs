//! Whether a tick input that was read from a file makes sense. The live binner makes no other; a file may hold anything.

use crate::{Command, Seconds, TickInput, time::LATEST};

/// The longest bin, in seconds: the widest that can be configured is 0.2 s, and in `sample` mode a bin lasts a period.
const LONGEST_BIN: f64 = 120.0;
/// The longest that stages settle, in seconds.
pub const LONGEST_SETTLING: Seconds = Seconds(86_400.0);
/// The most samples of one stream in one bin.
const MOST_SAMPLES: u64 = 1 << 32;
/// The farthest from the workspace that anything stands, in workspace widths.
const FARTHEST: f64 = 1e6;

/// Why a tick input cannot be stepped.
#[derive(Clone, Debug, PartialEq)]
pub struct ImplausibleTick {
    /// Which tick.
    pub seq: u64,
    /// What is wrong, in words.
    pub problem: &'static str,
}

impl core::fmt::Display for ImplausibleTick {
    fn fmt(&self, formatter: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(formatter, "tick {}: {}", self.seq, self.problem)
    }
}

impl core::error::Error for ImplausibleTick {}

impl TickInput {
    /// Checks times, ranges and commands. For the slow side, before an input from a file is stepped.
    ///
    /// # Errors
    /// [`ImplausibleTick`] with the first thing that makes no sense.
    pub fn check(&self) -> Result<(), ImplausibleTick> {
        let ensure = |holds: bool, problem: &'static str| {
            if holds { Ok(()) } else { Err(ImplausibleTick { seq: self.seq, problem }) }
        };
        let is_time = |time: f64| time.abs() <= LATEST;
        ensure(is_time(self.start.0) && is_time(self.time.0), "its time is out of range")?;
        ensure(self.time.0 >= self.start.0, "it ends before it starts")?;
        ensure(self.time.0 - self.start.0 <= LONGEST_BIN, "its bin is longer than two minutes")?;
        for stream in &self.streams {
            let Seconds(offset) = stream.offset;
            ensure(is_time(offset), "a clock offset is out of range")?;
            let settles = stream.settling.is_none_or(|left| (0.0..=LONGEST_SETTLING.0).contains(&left.0));
            ensure(settles, "its stages settle for less than no time, or for more than a day")?;
            let mut samples = 0_u64;
            for range in &stream.ranges {
                ensure(range.first <= range.end, "a range of samples ends before it starts")?;
                samples = samples.saturating_add(range.end - range.first);
            }
            ensure(samples <= MOST_SAMPLES, "a stream has more samples in one bin than is possible")?;
        }
        for window in &self.windows {
            ensure(window.marker.is_recordable(), "the marker of a window is out of range")?;
            ensure(window.first.checked_add(u64::from(window.count)).is_some(), "a window has no end")?;
        }
        let is_place = |place: [f64; 2]| place.iter().all(|value| value.abs() <= FARTHEST);
        for command in &self.commands {
            match command {
                Command::PlaceCursor(position) => {
                    ensure(is_place(position.0), "it puts the cursor at a position out of range")?;
                }
                Command::Task(task) => {
                    if let Some(target) = task.target {
                        let has_radius = (0.0..=FARTHEST).contains(&target.radius);
                        ensure(
                            is_place(target.position.0) && has_radius,
                            "its target has a position or radius out of range",
                        )?;
                    }
                    ensure(
                        task.assistance.is_valid(),
                        "it helps the cursor by less than nothing or more than all",
                    )?;
                }
                Command::TuneCursor(tuning) => {
                    ensure(
                        tuning.is_valid(),
                        "it moves the cursor by a gain, smoothing or speed out of range",
                    )?;
                }
                Command::TuneClick(tuning) => {
                    ensure(tuning.is_valid(), "a click is pressed by a threshold or hold out of range")?;
                }
                _ => {}
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{IndexRange, LslTime, Position, StreamHealth, StreamTick, StreamTime, Target, TaskState};

    fn tick(change: impl FnOnce(&mut TickInput)) -> Result<(), &'static str> {
        let mut tick = TickInput::empty();
        tick.start = LslTime(100.0);
        tick.time = LslTime(100.02);
        tick.streams.push(StreamTick {
            ranges: [IndexRange { first: 3, end: 4 }].into_iter().collect(),
            offset: Seconds(-2.0),
            health: StreamHealth::Live,
            lost: 0,
            late: 0,
            generation: 0,
            settling: None,
        });
        change(&mut tick);
        tick.check().map_err(|error| error.problem)
    }

    #[test]
    fn what_the_binner_makes_passes_and_what_it_cannot_make_does_not() {
        assert_eq!(tick(|_| {}), Ok(()));
        assert_eq!(tick(|tick| tick.time = LslTime(1e300)), Err("its time is out of range"));
        assert_eq!(tick(|tick| tick.start = LslTime(f64::NAN)), Err("its time is out of range"));
        assert_eq!(tick(|tick| tick.time = LslTime(99.0)), Err("it ends before it starts"));
        assert_eq!(tick(|tick| tick.time = LslTime(86_500.0)), Err("its bin is longer than two minutes"));
        assert!(tick(|tick| tick.streams[0].offset = Seconds(f64::INFINITY)).is_err());
        assert!(tick(|tick| tick.streams[0].ranges[0] = IndexRange { first: 4, end: 3 }).is_err());
        assert!(tick(|tick| tick.streams[0].ranges[0] = IndexRange { first: 0, end: u64::MAX }).is_err());
        let window = |first, stamp| crate::EventWindow {
            event: 0,
            marker: crate::EventMarker { window: 0, text: 0, stamp, offset: Seconds(0.0) },
            stream: 0,
            first,
            count: 2,
            missing: None,
        };
        assert_eq!(tick(|tick| tick.windows.push(window(3, StreamTime(1.0)))), Ok(()));
        assert!(tick(|tick| tick.windows.push(window(u64::MAX, StreamTime(1.0)))).is_err());
        assert!(tick(|tick| tick.windows.push(window(3, StreamTime(f64::NAN)))).is_err());
        let place = Position([f64::NAN, 0.0]);
        assert!(tick(|tick| tick.commands.push(Command::PlaceCursor(place))).is_err());
        let target = Target { position: Position([0.5, 0.5]), radius: -1.0 };
        let task = TaskState { target: Some(target), ..TaskState::default() };
        assert!(tick(|tick| tick.commands.push(Command::Task(task))).is_err());
        let assistance = crate::Assistance { attenuation: 0.0, mixing: 1.5 };
        let task = TaskState { assistance, ..TaskState::default() };
        assert!(tick(|tick| tick.commands.push(Command::Task(task))).is_err());
        let tuning =
            |gain| crate::CursorTuning { gain, gain_growth: 0.0, smoothing: Seconds(0.1), max_speed: 1.0 };
        assert_eq!(tick(|tick| tick.commands.push(Command::TuneCursor(tuning(1.5)))), Ok(()));
        assert!(tick(|tick| tick.commands.push(Command::TuneCursor(tuning(f64::NAN)))).is_err());
        let click = |threshold| crate::ClickTuning { threshold: Some(threshold), hold: Some(Seconds(0.1)) };
        assert_eq!(tick(|tick| tick.commands.push(Command::TuneClick(click(0.9)))), Ok(()));
        assert!(tick(|tick| tick.commands.push(Command::TuneClick(click(1.0)))).is_err());
    }
}
