//! What is asked of the library, as plain data.

use std::{
    ops::{Range, RangeInclusive},
    path::{Path, PathBuf},
};

use encoding_rs::Encoding;
use kalmind_filter::DecoderSpec;
use kalmind_recording::kind::FileKind;
use kalmind_types::Seconds;
use serde::Serialize;

use crate::features::FeaturePlanner;

/// Where rows come from: recordings, or pairs of tables.
#[derive(Clone, Debug, Default)]
pub struct TableOptions {
    /// Recordings.
    pub recordings: Vec<PathBuf>,
    /// Blocks of sessions, separated by commas, or `all`; none for the open loop, or all where there was none.
    pub blocks: Option<String>,
    /// A stream of the recordings whose channels are the states, by name or key; none for labels from targets.
    pub states_stream: Option<String>,
    /// Its channels, or signals of an EDF file, by label or number from 0, separated by commas; none for all.
    pub state_channels: Option<String>,
    /// A stream of the recordings whose samples are the features; none for the features of the session.
    pub features_stream: Option<String>,
    /// Its channels, or signals of an EDF file.
    pub feature_channels: Option<String>,
    /// Tables of features.
    pub features: Vec<PathBuf>,
    /// Tables of states, one for each of the features.
    pub states: Vec<PathBuf>,
    /// Rows per second, where the tables have no times.
    pub rate: Option<f64>,
    /// Task tables: none, or one for each of the features.
    pub task: Vec<PathBuf>,
    /// The configuration that says how features are made of recordings.
    pub config: Option<PathBuf>,
    /// What plans the features that are made of recordings as a run would make them; none for the recorded ones.
    pub planner: Option<FeaturePlanner>,
    /// With that: whether the states are how fast the channels of the stream change.
    pub velocity: bool,
    /// What a recording's texts are in, where they are not UTF-8.
    pub encoding: Option<&'static Encoding>,
    /// Whether features of tables are z-scored; those of recordings always are.
    pub zscore: bool,
}

impl TableOptions {
    /// Every file that is read.
    pub fn files(&self) -> impl Iterator<Item = &Path> {
        let tables = [&self.features, &self.states, &self.task];
        let tables = tables.into_iter().flatten();
        self.recordings.iter().chain(tables).chain(&self.config).map(PathBuf::as_path)
    }

    /// Whether everything comes from recordings of Kalmind sessions: their features, and labels from their targets.
    #[must_use]
    pub fn are_sessions(&self) -> bool {
        let named =
            [&self.states_stream, &self.state_channels, &self.features_stream, &self.feature_channels];
        // a file that cannot be read is told by whoever reads it
        let is_xdf =
            |path: &PathBuf| FileKind::of(path).map_or(true, |kind| matches!(kind, FileKind::Xdf { .. }));
        !self.recordings.is_empty()
            && self.planner.is_none()
            && named.iter().all(|named| named.is_none())
            && self.recordings.iter().all(is_xdf)
    }

    /// Whether features are z-scored.
    #[must_use]
    pub fn is_scored(&self) -> bool {
        self.zscore || !self.recordings.is_empty()
    }
}

/// What is evaluated.
#[derive(Clone, Debug, PartialEq)]
pub enum Decoders {
    /// Decoders to fit and compare.
    Fitted(Vec<DecoderSpec>),
    /// A model file.
    Model(PathBuf),
}

/// Which rows train and which test. Rows are counted in each recording from 0.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Division {
    /// The same rows of each recording.
    Rows {
        /// To fit to; none where a model file is judged.
        train: Option<Range<usize>>,
        /// To judge on.
        test: Range<usize>,
    },
    /// Each recording cut into blocks, each block tested by a fit to the others.
    Folds {
        /// The rows that are cut; none for all.
        rows: Option<Range<usize>>,
        /// How many blocks.
        folds: usize,
    },
    /// These recordings tested by a fit to all others, or by a model file; of tables the files of features.
    Files(Vec<PathBuf>),
    /// Each recording tested by a fit to all others.
    LeaveOneOut,
}

/// How a live run would decode, where nothing is configured.
#[derive(Clone, Debug, PartialEq)]
pub struct LiveSettings {
    /// Bin widths of live runs, in milliseconds.
    pub bin_ms: RangeInclusive<f64>,
    /// Jump of the stamps that begins a new epoch.
    pub epoch_jump: Seconds,
    /// Gap after which the decoder starts anew.
    pub restart_after: Seconds,
    /// Whether features are watched for a dead array.
    pub plausibility: bool,
    /// Whether a guard stands in front of decoders whose options leave it open.
    pub guard: bool,
}

impl LiveSettings {
    /// The gap after which decoding starts anew where rows are so many milliseconds apart; rows further apart than any live
    /// bin have no live counterpart, and gaps are then counted in rows.
    #[must_use]
    pub fn restart_after(&self, bin_ms: f64) -> Seconds {
        if self.bin_ms.contains(&bin_ms) { self.restart_after } else { Seconds::from_millis(3.0 * bin_ms) }
    }
}

/// An evaluation.
#[derive(Clone, Debug)]
pub struct EvaluateOptions {
    /// Where rows come from.
    pub tables: TableOptions,
    /// Which of them train and test.
    pub division: Division,
    /// Whether rows are divided between trials alone.
    pub whole_trials: bool,
    /// What is evaluated.
    pub decoders: Decoders,
    /// Seed of the first fit, and of resampling.
    pub seed: u64,
    /// How many seeds each decoder is fitted with.
    pub seeds: u8,
    /// Seconds that a fit may take.
    pub budget: Option<f64>,
    /// Offsets on channels, `CHANNEL:OFFSET` each.
    pub perturb: Vec<String>,
    /// Whether the influence of each channel is measured.
    pub influence: bool,
    /// Limit on features, in training standard deviations.
    pub saturate: Option<f64>,
    /// Whether figures are put beside chance.
    pub chance: bool,
    /// How a model file would be run.
    pub live: LiveSettings,
}

impl EvaluateOptions {
    /// The recordings that are named as those to test on.
    pub fn test_files(&self) -> impl Iterator<Item = &Path> {
        let files = match &self.division {
            Division::Files(files) => files.as_slice(),
            _ => &[],
        };
        files.iter().map(PathBuf::as_path)
    }

    /// The model file that is evaluated.
    #[must_use]
    pub fn model(&self) -> Option<&Path> {
        match &self.decoders {
            Decoders::Model(path) => Some(path),
            Decoders::Fitted(_) => None,
        }
    }
}

/// Which stamps an export has.
#[derive(Clone, Copy, Debug, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Stamps {
    /// On the clock of the machine that recorded.
    Synchronized,
    /// That, and without jitter.
    Dejittered,
    /// As they were sent.
    Raw,
}

/// A recording to export.
#[derive(Clone, Debug)]
pub struct ExportOptions {
    /// The recording.
    pub file: PathBuf,
    /// Folder for the CSV files.
    pub csv: PathBuf,
    /// Which stamps they have.
    pub stamps: Stamps,
    /// What texts are in, where they are not UTF-8.
    pub encoding: Option<&'static Encoding>,
    /// Whether files that exist are overwritten.
    pub force: bool,
}
