//! Where the commands for offline work find features and states.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use clap::Args;
use encoding_rs::Encoding;
use kalmind_offline::{TableOptions, features::FeaturePlanner};

use super::{
    beginning,
    values::{encoding, rate},
};
use crate::{configuration::Configuration, failure::Outcome, log::say, starting::recorded::plan_features};

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
    /// Configuration of the daemon: make the features of the recordings' signals as it says, with its stages and bins, instead
    /// of taking recorded ones.
    #[arg(long, value_name = "FILE", requires = "recordings", requires = "states_stream", conflicts_with_all = ["features_stream", "feature_channels"])]
    pub config: Option<PathBuf>,
    /// With --config: the states are how fast the channels of --states-stream change, per second.
    #[arg(long, requires = "config")]
    pub velocity: bool,
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
    ///
    /// # Errors
    /// Exit code 2 where the configuration cannot be used.
    pub fn options(&self) -> Outcome<TableOptions> {
        let encoding = self.encoding;
        let planner = |configuration: Configuration| {
            FeaturePlanner(Arc::new(move |path: &Path| {
                let planned = plan_features(&configuration, path, encoding);
                let (plan, texts) = planned.map_err(|failure| anyhow::anyhow!("{failure}"))?;
                for text in &texts {
                    say(&format!("{}: {text}", path.display()));
                }
                Ok(plan)
            }))
        };
        Ok(TableOptions {
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
            config: self.config.clone(),
            planner: self.config.as_deref().map(beginning::load_offline).transpose()?.map(planner),
            velocity: self.velocity,
            encoding,
            zscore: self.zscore,
        })
    }
}
