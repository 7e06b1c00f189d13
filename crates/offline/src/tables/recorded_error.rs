//! Why a recording gives no rows.

use std::path::PathBuf;

use kalmind_recording::{edf::EdfError, xdf::chunks::XdfError};
use kalmind_session::CalibrationError;
use kalmind_types::MAX_FEATURES;

use crate::features::FeaturesError;
use crate::recorded::{GatherError, ReadError};

/// Why a recording gives no tables.
#[derive(Debug, thiserror::Error)]
pub enum RecordedTablesError {
    /// There is nothing to gather.
    #[error(transparent)]
    Gather(#[from] GatherError),
    /// Too little was gathered.
    #[error(transparent)]
    Calibration(#[from] CalibrationError),
    /// The recording cannot be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// Its bytes are damaged.
    #[error("the recording {}: {source}", .path.display())]
    Xdf {
        /// The file.
        path: PathBuf,
        /// What is wrong, and where.
        source: XdfError,
    },
    /// It is no recording of a session, and nothing says which of its streams are what.
    #[error(
        "{} is not a recording of a Kalmind session: name the stream that holds the features, a row a sample, with --features-stream, \
         and the one that holds the states with --states-stream (`kalmind recording info` lists them)",
        .0.display()
    )]
    Foreign(PathBuf),
    /// There is no such stream.
    #[error("{option} {wanted}: no stream of numbers has this key or name; the recording has {}", .found.join(", "))]
    NoStream {
        /// The option.
        option: &'static str,
        /// What was asked for.
        wanted: String,
        /// Streams of numbers.
        found: Vec<String>,
    },
    /// More than one stream has this name, and none this key.
    #[error("{option} {wanted}: more than one stream has this name; name one by its key: {}", .found.join(", "))]
    AmbiguousStream {
        /// The option.
        option: &'static str,
        /// What was asked for.
        wanted: String,
        /// Streams of numbers.
        found: Vec<String>,
    },
    /// There is no such channel.
    #[error("{option} {wanted}: there is no such channel; there is {}", .found.join(", "))]
    NoChannel {
        /// The option.
        option: &'static str,
        /// What was asked for.
        wanted: String,
        /// What there is.
        found: Vec<String>,
    },
    /// No tick lies within the stream.
    #[error(
        "--states-stream {stream}: no complete tick lies between its first and its last sample{spans}: were they recorded at one time, \
         and stamped by one clock?"
    )]
    NoOverlap {
        /// What was asked for.
        stream: String,
        /// From when to when each is, where that is known.
        spans: String,
    },
    /// No features can be planned for it.
    #[error("{0}")]
    Plan(anyhow::Error),
    /// No features can be made of it.
    #[error(transparent)]
    Features(#[from] FeaturesError),
    /// Something that has to be said is not.
    #[error("{0}")]
    Unsaid(&'static str),
    /// The two streams are on different clocks.
    #[error("{0}")]
    MixedClocks(String),
    /// Signals that have to have one rate have several.
    #[error("{option}: these signals have different rates ({}); name such as have one", .found.join(", "))]
    Rates {
        /// The option.
        option: &'static str,
        /// Signals with their rates.
        found: Vec<String>,
    },
    /// More features than can be decoded.
    #[error("{0} features, and at most {max} can be decoded: name some with --feature-channels", max = MAX_FEATURES)]
    TooWide(usize),
    /// An EDF or BDF file that cannot be read.
    #[error(transparent)]
    Edf(#[from] EdfError),
    /// The file is empty.
    #[error("{}: the file is empty", .0.display())]
    Empty(PathBuf),
    /// It is a file of another kind.
    #[error("{}: this is {kind}; XDF, EDF and BDF files are taken in place of tables; {ways}", .path.display())]
    Kind {
        /// The file.
        path: PathBuf,
        /// What it is.
        kind: &'static str,
        /// What can be done with it.
        ways: &'static str,
    },
    /// The stream is on another clock than the ticks.
    #[error(
        "--states-stream {stream}: the times of {clocks}: they are on different clocks, so they cannot be matched"
    )]
    Clocks {
        /// What was asked for.
        stream: String,
        /// Where each begins.
        clocks: String,
    },
    /// Labels have two components.
    #[error(
        "labels from targets have 2 components (vx, vy), but the session's intent has {0}: use --states-stream"
    )]
    Components(usize),
}

impl RecordedTablesError {
    /// Says of a recording of no session how its streams can be used all the same.
    pub(crate) fn with_way_out(self) -> Self {
        match self {
            Self::Read(ReadError::NoSession(path))
            | Self::Gather(GatherError::Read(ReadError::NoSession(path))) => Self::Foreign(path),
            other => other,
        }
    }
}
