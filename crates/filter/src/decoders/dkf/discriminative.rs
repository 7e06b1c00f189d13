//! What a discriminative filter brings along: its name, its options and the kind of its f.

use crate::decoders::kind::Taken;

/// A discriminative filter: [`DecoderKind`](crate::decoders::kind::DecoderKind), as far as they differ.
pub(crate) trait Discriminative {
    /// Its name in text.
    const NAME: &'static str;

    /// What it is, in one line.
    const SUMMARY: &'static str;

    /// The options that it takes.
    const OPTIONS: &'static [Taken];

    /// Whether a guard stands in front of it where nobody says.
    const GUARDED: bool = false;

    /// The kind of its f; `None` for any.
    const REGRESSOR: Option<&'static str>;
}

/// The options of a discriminative filter, with the default of `direction` and of `guard`, and those of its own f.
macro_rules! discriminative_options {
    ($direction:literal, $guard:expr, $($own:expr),*) => {
        &[
            ("lags", "1", ""),
            $($own,)*
            ("direction", $direction, ""),
            ("form", "auto", ""),
            ("q", "constant", ""),
            ("q-scale", "auto", ""),
            ("residuals", "cross-fitted", ""),
            ("state-order", "auto", "1 with `dynamics=ekf` or `ukf`"),
            $crate::decoders::kind::MEAN,
            ("stationary", "training", ""),
            ("start", "first", ""),
            ("dynamics", "linear", ""),
            $crate::decoders::kind::SCALE,
            $guard,
        ]
    };
}
pub(crate) use discriminative_options;
