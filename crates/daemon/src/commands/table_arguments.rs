//! Where the commands for offline work find features and states.

use std::path::PathBuf;

use clap::Args;
use encoding_rs::Encoding;
use kalmind_offline::TableOptions;

use super::values::{encoding, rate};

/// Where features and states come from.
#[derive(Args, Clone, Debug, Default)]
pub struct TableArguments {
    /// Recordings instead of tables. Kalmind sessions supply features, and labels from their targets; for other files name
    /// the streams or signals.
    #[arg(value_name = "RECORDING", conflicts_with_all = ["features", "states", "rate", "task"])]
    pub recordings: Vec<PathBuf>,
    /// Blocks of the recordings to use, separated by commas, or `all` [default: `open_loop`, or all where there was none].
    #[arg(long, value_name = "BLOCKS", requires = "recordings", conflicts_with_all = ["states_stream", "state_channels"])]
    pub blocks: Option<String>,
    /// A stream of the recordings, by name or key, whose channels are the states, instead of labels from targets.
    #[arg(long, value_name = "STREAM", requires = "recordings")]
    pub states_stream: Option<String>,
    /// Channels of that stream, by label or number from 0, separated by commas [default: all]; for an EDF or BDF file,
    /// the signals to use as states.
    #[arg(long, value_name = "CHANNELS", requires = "recordings")]
    pub state_channels: Option<String>,
    /// A stream of the recordings, by name or key, whose samples are the features, one row each [default: the features of
    /// the Kalmind session].
    #[arg(long, value_name = "STREAM", requires = "recordings", requires = "states_stream")]
    pub features_stream: Option<String>,
    /// Channels of that stream, by label or number from 0, separated by commas [default: all]; for an EDF or BDF file,
    /// the signals to use as features [default: all that are not states].
    #[arg(long, value_name = "CHANNELS", requires = "recordings")]
    pub feature_channels: Option<String>,
    /// Features, one row per bin; may be repeated, each with its own --states.
    #[arg(long, value_name = "X.csv", required_unless_present = "recordings")]
    pub features: Vec<PathBuf>,
    /// States to decode, one row per bin, as many rows as the features; may be repeated.
    #[arg(long, value_name = "Z.csv", required_unless_present = "recordings")]
    pub states: Vec<PathBuf>,
    /// Rows per second, where the files have no `time` column.
    #[arg(long, value_name = "HZ", value_parser = rate, allow_negative_numbers = true)]
    pub rate: Option<f64>,
    /// Task table: `time,trial,target_x,target_y,cursor_x,cursor_y,hold`; may be repeated, one for each --features.
    #[arg(long, value_name = "T.csv")]
    pub task: Vec<PathBuf>,
    /// Encoding of a recording's texts, such as latin1 or gbk [default: UTF-8, and windows-1252 where a text is not].
    #[arg(long, value_name = "NAME", value_parser = encoding, requires = "recordings")]
    pub encoding: Option<&'static Encoding>,
    /// Z-score the features with the training rows' mean and standard deviation; always with a recording.
    #[arg(long)]
    pub zscore: bool,
}

impl TableArguments {
    /// The same for the library.
    #[must_use]
    pub fn options(&self) -> TableOptions {
        TableOptions {
            recordings: self.recordings.clone(),
            blocks: self.blocks.clone(),
            states_stream: self.states_stream.clone(),
            state_channels: self.state_channels.clone(),
            features_stream: self.features_stream.clone(),
            feature_channels: self.feature_channels.clone(),
            features: self.features.clone(),
            states: self.states.clone(),
            rate: self.rate,
            task: self.task.clone(),
            encoding: self.encoding,
            zscore: self.zscore,
        }
    }
}
