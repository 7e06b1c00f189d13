//! The ways in which the samples of a bin become features: a file for each, and the registry of them all.
//!
//! To add one: its variant in [`Binning`], a file here that implements [`Reduction`] for a type of its own, and a line in
//! the registry below. Names, configuration, model header and the conformance tests follow from that.
#![deny(
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic
)]

use kalmind_types::Binning;

/// What a bin makes of one channel's samples.
///
/// The life of a bin: it begins with nothing kept (0), [`take`](Self::take) is called with each valid sample in the order
/// of the rows, and [`finish`](Self::finish) once, where there was any. Both run on the tick: no allocation, no panic, and
/// nothing but the arguments counts, so that equal samples give equal bits however they are cut into runs.
trait Reduction {
    /// What it gives, in a sentence.
    const ABOUT: &'static str;
    /// What a bin without a valid sample gives: no number, where that does not mean anything.
    const OF_NONE: f64 = f64::NAN;
    /// What is kept after one more valid (finite) sample.
    fn take(kept: f64, sample: f64) -> f64;
    /// The feature of a channel that had `valid` valid samples, at least one.
    fn finish(kept: f64, valid: u64) -> f64;

    /// Takes a row: a value for each channel, unless the binning says otherwise. How many values were left out.
    fn take_row<T>(channels: &mut [Channel], row: &[T], to_f64: impl Fn(&T) -> f64) -> u32 {
        let mut left_out: u32 = 0;
        for (channel, value) in channels.iter_mut().zip(row) {
            let value = to_f64(value);
            if value.is_finite() {
                channel.kept = Self::take(channel.kept, value);
                channel.valid = channel.valid.saturating_add(1);
            } else {
                left_out = left_out.saturating_add(1);
            }
        }
        left_out
    }
}

/// One channel's state within the bin.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Channel {
    kept: f64,
    valid: u64,
}

/// A way in which samples become features, as documents show it.
#[derive(Clone, Copy, Debug)]
pub struct BinningEntry {
    /// Which.
    pub binning: Binning,
    /// What it gives, in a sentence.
    pub about: &'static str,
}

/// Declares every binning: its variant, its file and the type in it.
macro_rules! registry {
    ($($variant:ident => $file:ident),+ $(,)?) => {
        $(mod $file;)+

        /// Every way in which samples become features.
        pub const BINNINGS: &[BinningEntry] = &[$(
            BinningEntry { binning: Binning::$variant, about: <$file::$variant as Reduction>::ABOUT }
        ),+];

        /// Takes whole rows of so many values into the bin; how many values were left out, as not finite or as no unit's.
        pub(crate) fn take_rows<T>(
            binning: Binning,
            channels: &mut [Channel],
            width: usize,
            values: &[T],
            to_f64: impl Fn(&T) -> f64,
        ) -> u32 {
            match binning {
                $(Binning::$variant => take::<$file::$variant, T>(channels, width, values, to_f64)),+
            }
        }

        /// The features of the channels; NaN where one has none that is finite.
        pub(crate) fn finish_into(binning: Binning, channels: &[Channel], features: &mut [f64]) {
            match binning {
                $(Binning::$variant => finish::<$file::$variant>(channels, features)),+
            }
        }
    };
}

registry! {
    Sample => sample,
    Mean => mean,
    Sum => sum,
    Latest => latest,
    Events => events,
}

fn take<R: Reduction, T>(
    channels: &mut [Channel],
    width: usize,
    values: &[T],
    to_f64: impl Fn(&T) -> f64,
) -> u32 {
    let mut left_out: u32 = 0;
    for row in values.chunks_exact(width.max(1)) {
        left_out = left_out.saturating_add(R::take_row(channels, row, &to_f64));
    }
    left_out
}

fn finish<R: Reduction>(channels: &[Channel], features: &mut [f64]) {
    for (channel, feature) in channels.iter().zip(features) {
        let value = if channel.valid > 0 { R::finish(channel.kept, channel.valid) } else { R::OF_NONE };
        *feature = if value.is_finite() { value } else { f64::NAN };
    }
}
