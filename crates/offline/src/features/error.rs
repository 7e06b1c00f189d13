//! Why a recording gives no features.

use std::path::PathBuf;

use kalmind_engine::{BinnerError, EngineError};
use kalmind_recording::signals::SignalsError;
use kalmind_signal::ChainError;

/// Why no features can be made of a recording.
#[derive(Debug, thiserror::Error)]
pub enum FeaturesError {
    /// It cannot be read.
    #[error("the recording {}: {source}", .path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What is wrong, and where.
        source: SignalsError,
    },
    /// A stream's stages cannot be built.
    #[error("stream \"{key}\": {error}")]
    Stages {
        /// Its key.
        key: String,
        /// Why.
        error: ChainError,
    },
    /// The streams cannot be binned together.
    #[error(transparent)]
    Binner(#[from] BinnerError),
    /// Their features cannot be laid out.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// A stream sends at another rate than its header says.
    #[error(
        "stream \"{key}\" says that it sends {nominal_hz} samples a second, and its stamps are those of {measured_hz:.1}: filters for \
         the one are wrong for the other. Set rate_hz under [[stream]] to what it sends, or a larger rate_tolerance where samples \
         are missing"
    )]
    Rate {
        /// Its key.
        key: String,
        /// What its header, or the configuration, says.
        nominal_hz: f64,
        /// What its stamps say.
        measured_hz: f64,
    },
    /// The stretch of rest is not in it.
    #[error(
        "stream \"{key}\": the stretch from {from_s} to {to_s} s is not in the recording, which ends {length_s:.1} s after its first \
         sample: --from and --to say which seconds of it are rest"
    )]
    NoStretch {
        /// Its key.
        key: String,
        /// The stretch, in seconds from the first sample.
        from_s: f64,
        /// Likewise.
        to_s: f64,
        /// How long the recording is.
        length_s: f64,
    },
    /// There is no valid sample in the stretch of rest.
    #[error(
        "stream \"{key}\": none of the {received} samples between {from_s} and {to_s} s from the first one is valid: they are too few, or \
         no numbers, and filters have to settle before ({settling_s:.1} s). Take a longer stretch by --from and --to"
    )]
    NoReference {
        /// Its key.
        key: String,
        /// The stretch, in seconds from the first sample.
        from_s: f64,
        /// Likewise.
        to_s: f64,
        /// Samples in it.
        received: u64,
        /// How long the stages before settle.
        settling_s: f64,
    },
    /// What is asked for cannot be learnt.
    #[error("stream \"{key}\": {problem}")]
    Reference {
        /// Its key.
        key: String,
        /// Why not.
        problem: String,
    },
    /// No stage takes anything from it.
    #[error(
        "no stage takes anything from a stretch of rest: `spikes` and `reference` (common_average or regression) do"
    )]
    NothingToLearn,
    /// No bin was closed.
    #[error("no bin is complete: {}", .streams.join("; "))]
    NoRows {
        /// What is there of each stream.
        streams: Vec<String>,
    },
}
