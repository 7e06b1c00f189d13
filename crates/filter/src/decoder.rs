//! The seam between the engine and every decoder: one feature vector in, one intent out, once a bin.

use kalmind_types::{FeatureSet, Intent, Position};

/// A fitted decoder at work: feature vectors in, intent out, with whatever it remembers between bins.
///
/// [`Decoder::step`] is called once a bin on the tick thread, in the order of the bins. It is real-time: no allocation,
/// lock, input or output, and no panic; the same calls give the same bits on every machine that uses the same
/// [kernel path](crate::kernel_path()).
pub trait Decoder: Send + core::fmt::Debug {
    /// Length of the feature vector of one bin (as the model wants it, so z-scored where the model says so), before lags.
    fn features(&self) -> usize;

    /// Number of intent components, 1..=8.
    fn dimension(&self) -> usize;

    /// Forgets the past: lagged bins hold the background (the training mean) and the next `Some` is row one.
    fn restart(&mut self);

    /// Handles one bin and writes what it believes to `intent`.
    ///
    /// `Some` is a time update followed by a measurement update; `None`, a bin without valid features, is a time update
    /// only. `intent` is left as it was where [`StepReport::valid`] is false. A slice of another length than
    /// [`Decoder::features`], or with a value that is not finite or beyond 1e60, counts as `None`, with
    /// [`StepReport::fallback`]. What is written is finite; should a decoder's arithmetic overflow all the same, it starts
    /// anew and this bin has no intent.
    fn step(&mut self, features: Option<&[f64]>, intent: &mut Intent) -> StepReport;

    /// How far back it looks: what a model that takes over has to be shown before it speaks as one that ran all along.
    fn look_back(&self) -> LookBack;

    /// What the newest measurement alone said of the intent, d values: the unfiltered output that published protocols
    /// score (Brandman, Burkhart et al. 2018). `None` before row one and for decoders that do not know it.
    fn unfiltered(&self) -> Option<&[f64]> {
        None
    }

    /// What a guard in front of the decoder takes each channel for; empty without one.
    fn channel_conditions(&self) -> &[ChannelCondition] {
        &[]
    }

    /// Features that it does not look at, where there are such: whether they have a value changes nothing that it says.
    fn left_out(&self) -> Option<&FeatureSet> {
        None
    }

    /// Whether the decoder wants [`observe_cursor`](Self::observe_cursor) before every step.
    fn takes_cursor(&self) -> bool {
        false
    }

    /// Tells the cursor's position of the tick before, in workspace widths: what the participant saw.
    fn observe_cursor(&mut self, _cursor: Position) {}

    /// The filter's belief, to be carried over to another model; `None` before row one and for decoders without one.
    fn state(&self) -> Option<FilterState<'_>>;

    /// Takes over the belief of another decoder at a model swap, so that the next `Some` is not row one. Lagged bins
    /// keep what they hold. False, and nothing changed, where dimension or order differ or the decoder has no belief.
    fn adopt(&mut self, state: FilterState<'_>) -> bool;
}

/// How far back a decoder looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LookBack {
    /// Bins that the output depends on by themselves, the newest among them: lags, the blocks of a stacked state.
    pub bins: usize,
    /// Whether older ones count as well, ever less: in a belief, in a recurrent layer, in a guard. Where not, two decoders
    /// that were shown the same so many bins, one with features among them, say the same to the bit.
    pub fades: bool,
}

/// Bins in which what fades is taken to have faded. Filters fitted to neural data take a tenth to a half of a measurement in,
/// so that a hundredth at most is left of how they started.
const FADED: usize = 50;

impl LookBack {
    /// Bins after which it hardly matters how the decoder started.
    #[must_use]
    pub fn settled(self) -> usize {
        if self.fades { self.bins.saturating_add(FADED) } else { self.bins }
    }
}

/// What the guard takes a channel for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ChannelCondition {
    /// As in training.
    #[default]
    Healthy,
    /// Its mean is elsewhere than in training; the difference is subtracted.
    Shifted,
    /// It changes from bin to bin far more than in training; it is replaced by its mean.
    Noisy,
    /// It hardly changes any more; it is replaced by its mean.
    Silent,
}

/// Writes the methods that a decoder around another one passes on as they are.
macro_rules! forward {
    ($to:ident: features) => {
        fn features(&self) -> usize {
            self.$to.features()
        }
    };
    ($to:ident: dimension) => {
        fn dimension(&self) -> usize {
            self.$to.dimension()
        }
    };
    ($to:ident: restart) => {
        fn restart(&mut self) {
            self.$to.restart();
        }
    };
    ($to:ident: unfiltered) => {
        fn unfiltered(&self) -> Option<&[f64]> {
            self.$to.unfiltered()
        }
    };
    ($to:ident: left_out) => {
        fn left_out(&self) -> Option<&kalmind_types::FeatureSet> {
            self.$to.left_out()
        }
    };
    ($to:ident: look_back) => {
        fn look_back(&self) -> $crate::LookBack {
            self.$to.look_back()
        }
    };
    ($to:ident: takes_cursor) => {
        fn takes_cursor(&self) -> bool {
            self.$to.takes_cursor()
        }
    };
    ($to:ident: observe_cursor) => {
        fn observe_cursor(&mut self, cursor: kalmind_types::Position) {
            self.$to.observe_cursor(cursor);
        }
    };
    ($to:ident: state) => {
        fn state(&self) -> Option<$crate::FilterState<'_>> {
            self.$to.state()
        }
    };
    ($to:ident: adopt) => {
        fn adopt(&mut self, state: $crate::FilterState<'_>) -> bool {
            self.$to.adopt(state)
        }
    };
    ($to:ident: $first:ident, $($rest:ident),+) => {
        $crate::decoder::forward!($to: $first);
        $crate::decoder::forward!($to: $($rest),+);
    };
}
pub(crate) use forward;

/// What one [`Decoder::step`] did.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
#[expect(clippy::struct_excessive_bools, reason = "facts of one step, each read by itself")]
pub struct StepReport {
    /// Whether there is an intent: false for bins without features before row one.
    pub valid: bool,
    /// Whether this bin was row one.
    pub row_one: bool,
    /// Whether the filter fell back to another form in this step (see [`Form`](crate::Form)).
    pub fallback: bool,
    /// Whether there were features and no measurement was taken in: the step was a time update, or the decoder started
    /// anew. Always a `fallback`; another form of the update is not `unused`.
    pub unused: bool,
    /// How many training points spoke for the measurement, (sum w)^2 / sum w^2, where the decoder knows it. Near one
    /// means far from all training data.
    pub effective_samples: Option<f64>,
    /// Channels that a guard in front of the decoder corrected or masked in this step.
    pub guarded_channels: u16,
}

/// The belief of a filter over its stacked state: the newest block of `dimension` components first, then older ones.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct FilterState<'a> {
    /// Intent components d.
    pub dimension: usize,
    /// Blocks p in the stacked state (the order of the autoregression).
    pub order: usize,
    /// The mean, `dimension * order` values.
    pub mean: &'a [f64],
    /// The covariance, row-major, `(dimension * order)^2` values.
    pub covariance: &'a [f64],
}
