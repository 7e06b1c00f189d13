//! What the tick thread counts: each counter is declared here once, with its name, its help and what of a tick it counts.

#![deny(
    clippy::arithmetic_side_effects,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "this runs on the tick"
)]

use std::sync::atomic::{AtomicU64, Ordering};

use kalmind_engine::{Engine, SettlingStages};
use kalmind_types::{
    BinClose, FeatureLayout, FeatureSet, MAX_FEATURES, Seconds, TickOutput, WindowMissing, WindowResults,
};

/// A tick as the counters see it.
struct CountedTick<'a> {
    output: &'a TickOutput,
    closed_by: BinClose,
    late: bool,
}

/// Features that do not look as they did in training, where the tick thread shows them to everybody else: they are no part
/// of what it publishes, since names are asked for when a state changes and not in every tick. Never older than the
/// newest publication that a reader has seen; newer where that reader is slow.
#[derive(Debug)]
pub struct Suspects([AtomicU64; MAX_FEATURES / 64]);

impl Default for Suspects {
    fn default() -> Self {
        Self([const { AtomicU64::new(0) }; MAX_FEATURES / 64])
    }
}

impl Suspects {
    /// Shows those of a tick. Real-time; writes only what has changed.
    pub fn show(&self, suspects: &FeatureSet) {
        for (shown, word) in self.0.iter().zip(suspects.words()) {
            if shown.load(Ordering::Relaxed) != *word {
                shown.store(*word, Ordering::Relaxed);
            }
        }
    }

    /// The channels of those that are shown now, as people know them.
    #[must_use]
    pub fn channel_names(&self, layout: &FeatureLayout) -> Vec<String> {
        let now: FeatureSet = self.0.iter().map(|word| word.load(Ordering::Relaxed)).collect();
        layout.channel_names(now.features())
    }
}

/// The stages that settle, where the tick thread shows them to everybody else.
#[derive(Debug, Default)]
pub struct Settling(AtomicU64);

impl Settling {
    /// Shows those of a tick: the stream counted from 1 above, how many milliseconds they still take below.
    fn show(&self, settling: Option<SettlingStages>) {
        let word = settling.map_or(0, |SettlingStages { stream, left }| {
            let millis = (left.as_millis().ceil() as u64).min(u64::from(u32::MAX));
            (stream as u64).saturating_add(1) << 32 | millis
        });
        self.0.store(word, Ordering::Relaxed);
    }

    /// Position of the stream, and how long it still takes.
    #[must_use]
    pub fn get(&self) -> Option<(usize, Seconds)> {
        let word = self.0.load(Ordering::Relaxed);
        let stream = (word >> 32).checked_sub(1)?;
        Some((stream as usize, Seconds((word & u64::from(u32::MAX)) as f64 * 1e-3)))
    }
}

/// What became of windows at events. Written by the tick thread, but for markers that never reached it.
#[derive(Debug, Default)]
pub struct WindowCounts {
    read: AtomicU64,
    missing: [AtomicU64; WindowMissing::ALL.len()],
    /// Those for which there was no room.
    pub refused: AtomicU64,
}

impl WindowCounts {
    /// Counts those of a tick.
    pub(super) fn count(&self, results: &WindowResults) {
        let read = results.iter().flatten().count();
        self.read.fetch_add(read as u64, Ordering::Relaxed);
        self.count_missing(results.iter().filter_map(Result::err));
    }

    /// Counts those of which there is nothing.
    pub(super) fn count_missing(&self, missing: impl Iterator<Item = WindowMissing>) {
        for missing in missing {
            if let Some(counter) = self.missing.get(missing as usize) {
                counter.fetch_add(1, Ordering::Relaxed);
            }
        }
    }

    /// Name, help and value of each counter.
    pub fn named(&self) -> impl Iterator<Item = (&'static str, &'static str, u64)> {
        let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let missing = WindowMissing::ALL.into_iter().zip(&self.missing);
        [
            ("read", "Windows at events that were read.", count(&self.read)),
            ("refused", "Windows at events for which there was no room.", count(&self.refused)),
        ]
        .into_iter()
        .chain(missing.map(move |(missing, counter)| (missing.name(), missing.help(), count(counter))))
    }
}

macro_rules! counters {
    ($($counter:ident as $name:literal, $help:literal, $of:expr;)+) => {
        /// What the tick thread counts. Written by it alone, read by anyone.
        #[derive(Debug, Default)]
        pub struct TickCounts {
            $(#[doc = concat!("What is shown as `", $name, "`; the table below says what it is.")] pub $counter: AtomicU64,)+
            /// Features that did not look as in training in the newest tick.
            pub suspects: Suspects,
            /// The same in the newest tick that changed the output's state or its reason: why that one did.
            pub suspects_at_change: Suspects,
            /// What settled in that tick.
            pub settling_at_change: Settling,
            /// How many of [`kalmind_filter::CHECKS`] watch the input.
            pub checks: AtomicU64,
            /// Models refused at staging because they do not fit the streams.
            pub models_refused: AtomicU64,
            /// Models given back because they came too late for their swap, or in a tick that failed.
            pub models_late: AtomicU64,
            /// What became of windows at events.
            pub windows: WindowCounts,
            /// Ticks after which the adaptive state did not go on from the one before.
            pub states_turned: AtomicU64,
        }

        impl TickCounts {
            /// Name, help and value of each counter of ticks.
            pub fn named(&self) -> impl Iterator<Item = (&'static str, &'static str, u64)> {
                [$(($name, $help, self.$counter.load(Ordering::Relaxed))),+].into_iter()
            }

            /// Notes what stands behind the output's state in the newest tick, and whether the state or its reason changes.
            pub(super) fn note_causes(&self, engine: &Engine, changes: bool) {
                self.suspects.show(engine.suspects());
                if changes {
                    self.suspects_at_change.show(engine.suspects());
                    self.settling_at_change.show(engine.settling());
                }
            }

            /// Counts a tick.
            pub(super) fn count(&self, output: &TickOutput, closed_by: BinClose, late: bool) {
                let tick = CountedTick { output, closed_by, late };
                $(
                    let of: fn(&CountedTick<'_>) -> u64 = $of;
                    self.$counter.fetch_add(of(&tick), Ordering::Relaxed);
                )+
            }
        }
    };
}

counters! {
    ticks as "ticks", "Ticks.", |_| 1;
    incomplete as "incomplete", "Ticks with a time update only.", |tick| u64::from(tick.output.incomplete);
    deadlines as "deadlines", "Bins closed by max_wait_ms.",
        |tick| u64::from(tick.closed_by == BinClose::Deadline);
    late_ticks as "late", "Ticks that began more than a bin width late.", |tick| u64::from(tick.late);
    fallbacks as "fallbacks", "Steps in which the filter fell back to another form.",
        |tick| u64::from(tick.output.fallback);
    panics as "panics", "Panics caught.", |_| 0;
    nonfinite_values as "nonfinite_values", "Values left out of bins as not finite.",
        |tick| u64::from(tick.output.nonfinite_values);
    masked_features as "masked_features", "Features switched off or without a valid value, summed over ticks; not those that the guard masked.",
        |tick| u64::from(tick.output.masked_features);
    guarded_channels as "guarded_channels", "Channels that the guard corrected or masked, summed over ticks.",
        |tick| u64::from(tick.output.guarded_channels);
}
