//! What the text streams of a recording hold, as the recorder writes it and replay reads it (docs/recording.md).

use std::borrow::Cow;

use kalmind_engine::{EngineSettings, WindowSettings};
use kalmind_signal::{AdaptiveState, Given};
use kalmind_types::{
    Component, FeatureLayout, LslTime, MAX_COMPONENTS, MAX_STREAMS, Reason, Seconds, TickInput,
    TickPublication, WindowMissing, WindowResults,
};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::model_parts::{ModelPart, TickFeatures};
use super::stages::{CheckpointPart, StagesDocument};

/// The version of the documents that is written, and the newest that is read. Version 1 had features that are channels only,
/// and masks in another form (see [`ChannelMask`](kalmind_types::ChannelMask)).
pub const FORMAT: u32 = 2;

/// One sample of the stream `ticks`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of the tick, named in the file")]
pub struct TickDocument<'a> {
    /// Everything that entered the tick apart from samples.
    pub input: Cow<'a, TickInput>,
    /// When the deciding samples were received.
    pub received: LslTime,
    /// When the tick thread began with the bin.
    pub closed: LslTime,
    /// When the engine was done with it.
    pub decoded: LslTime,
    /// Age of the newest sample used at that time.
    pub age: Seconds,
    /// Whether the tick began more than a bin width late.
    pub late: bool,
    /// Whether the step panicked and was answered with a fault.
    pub panicked: bool,
    /// Why the state was what it was.
    pub reason: Option<Reason>,
    /// Whether the decoder started at row one.
    pub row_one: bool,
    /// Whether the filter fell back to another form.
    pub fallback: bool,
    /// Features masked.
    pub masked_features: u32,
    /// Values left out as not finite.
    pub nonfinite_values: u32,
    /// Channels that the guard corrected or masked.
    pub guarded_channels: u16,
    /// Ticks directly before this one that are not in the recording.
    pub lost_before: u64,
    /// What was read from the windows in its input, in their order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub windows: Vec<WindowResult>,
}

/// What was read from a window at an event.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WindowResult {
    /// Its values.
    Values(Vec<f64>),
    /// Why there are none.
    Missing(WindowMissing),
}

impl WindowResult {
    /// What came of a tick's windows.
    pub fn all_of(results: &WindowResults) -> impl Iterator<Item = Self> {
        results.iter().map(|result| match result {
            Ok(values) => Self::Values(values.to_vec()),
            Err(missing) => Self::Missing(missing),
        })
    }
}

impl<'a> TickDocument<'a> {
    /// What is recorded of a tick beside its features and its cursor.
    #[must_use]
    pub fn of(input: &'a TickInput, published: &TickPublication, panicked: bool, lost_before: u64) -> Self {
        let TickPublication { output, times, age, late } = published;
        Self {
            input: Cow::Borrowed(input),
            received: times.received,
            closed: times.closed,
            decoded: times.decoded,
            age: *age,
            late: *late,
            panicked,
            reason: output.reason,
            row_one: output.row_one,
            fallback: output.fallback,
            masked_features: output.masked_features,
            nonfinite_values: output.nonfinite_values,
            guarded_channels: output.guarded_channels,
            lost_before,
            windows: Vec::new(),
        }
    }

    /// The same, with what was read from its windows.
    #[must_use]
    pub fn with_windows(self, results: &WindowResults) -> Self {
        Self { windows: WindowResult::all_of(results).collect(), ..self }
    }
}

/// One sample of the stream `record`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum RecordDocument {
    /// What the session was, and every setting of the step.
    Session(Box<SessionDocument>),
    /// A part of a model's file, packed or as it stands.
    Model(ModelPart),
    /// Features of ticks that are not in this file, for the models that were fitted to them.
    Features(TickFeatures),
    /// From this row on the samples of an input stream have other indices than their place in the file says.
    Hole {
        /// The input stream.
        stream: usize,
        /// Row in the file, from 0.
        row: u64,
        /// Its sample index.
        index: u64,
        /// Whether it is the stream as it was received, of one that is decoded from what its stages make of it.
        #[serde(default, skip_serializing_if = "core::ops::Not::not")]
        raw: bool,
    },
    /// What was given to the stages of an input stream, in order.
    Given {
        /// The input stream.
        stream: usize,
        /// What.
        given: Given,
    },
    /// The settings of another generation of an input stream's stages; what was given to them says from where it was in force.
    Stages {
        /// The input stream.
        stream: usize,
        /// Its settings.
        stages: StagesDocument,
    },
    /// A part of what the stages of an input stream remembered, after all that was given to them before.
    Checkpoint(CheckpointPart),
    /// A checkpoint of the adaptive state of what decodes.
    Adaptive {
        /// The tick after which it was so.
        seq: u64,
        /// The state.
        state: AdaptiveState,
    },
    /// What could not be written.
    Loss {
        /// The input stream, for samples.
        stream: Option<usize>,
        /// What it was.
        what: LossKind,
        /// How many.
        count: u64,
        /// Why.
        because: String,
    },
    /// This file goes on from another one, which the recorder could not stay in. Its first ticks need what stands there:
    /// it can be read, but not replayed from its beginning.
    Continued {
        /// Name of the file before.
        file: String,
        /// What became of it.
        because: String,
        /// `seq` of the last tick before this file.
        last_seq: Option<u64>,
        /// The model that decodes at the beginning of this file: its identity.
        model: Option<String>,
    },
    /// The recording goes on in another file.
    ContinuesIn {
        /// Its name.
        file: String,
        /// Why.
        because: String,
    },
    /// The end of a session that ended in order.
    End {
        /// Who ended it.
        reason: String,
        /// The run's counters, streams and latencies.
        summary: Value,
    },
}

impl RecordDocument {
    /// The input stream whose stages it is about; none where it is about something else.
    #[must_use]
    pub fn stages_of(&self) -> Option<usize> {
        match self {
            Self::Given { stream, .. }
            | Self::Stages { stream, .. }
            | Self::Checkpoint(CheckpointPart { stream, .. }) => Some(*stream),
            _ => None,
        }
    }
}

/// What a recorder may lose.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LossKind {
    /// Samples of an input or further stream.
    Samples,
    /// Ticks.
    Ticks,
    /// Events.
    Events,
    /// Texts of a string stream.
    Texts,
}

impl LossKind {
    /// One of them, as texts call it.
    #[must_use]
    pub fn noun(self) -> &'static str {
        match self {
            Self::Samples => "sample",
            Self::Ticks => "tick",
            Self::Events => "event",
            Self::Texts => "text",
        }
    }
}

/// What the session was.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SessionDocument {
    /// Version of these documents.
    pub format: u32,
    /// Kalmind's version.
    pub version: String,
    /// The session's UUID.
    pub session: String,
    /// Start of the run, in Unix seconds.
    pub run: u64,
    /// Instance name.
    pub instance: String,
    /// Participant code, or empty.
    pub participant: String,
    /// The `[subject]` of the configuration.
    pub subject: Value,
    /// Bin width in milliseconds.
    pub bin_ms: f64,
    /// Components of the intent.
    pub components: Vec<Component>,
    /// The workspace: width 1, height.
    pub workspace: [f64; 2],
    /// Which path the kernels took on this processor.
    pub kernel_path: String,
    /// Whether a guard stands in front of decoders whose options leave it open.
    pub guard: bool,
    /// Every setting of the step.
    pub engine: EngineSettings,
    /// The input streams, in the order of the tick's input.
    pub streams: Vec<InputStream>,
    /// Windows at events.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub windows: Vec<WindowSettings>,
    /// The configuration as it was read.
    pub configuration: ConfigurationText,
    /// One instant on both clocks.
    pub clock: ClockReading,
    /// The adaptive state that the first model went on from, where the run resumed one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub adaptive: Option<AdaptiveState>,
}

impl SessionDocument {
    /// Whether the numbers that a step is built from make sense: a file may hold anything, and no configuration allows more.
    ///
    /// # Errors
    /// A sentence that names the first one that does not.
    pub fn check(&self) -> Result<(), String> {
        let within = |name: &str, value: f64, least: f64, most: f64| {
            let holds = (least..=most).contains(&value);
            if holds {
                Ok(())
            } else {
                Err(format!("{name} is {value}, but has to be from {least} to {most}"))
            }
        };
        let engine = &self.engine;
        let cursor = &engine.cursor;
        within("bin_ms", self.bin_ms, 0.001, 60_000.0)?;
        for (name, height) in
            [("the workspace's height", self.workspace[1]), ("cursor.height", cursor.height)]
        {
            within(name, height, 1e-3, 1e3)?;
        }
        for (name, duration) in [
            ("restart_after", engine.restart_after),
            ("stale_after", engine.stale_after),
            ("auto_resume", engine.auto_resume),
            ("cursor.smoothing", cursor.smoothing),
            ("cursor.ramp", cursor.ramp),
        ] {
            within(name, duration.0, 0.0, MOST_SECONDS)?;
        }
        within("max_masked", engine.max_masked, 0.0, 1.0)?;
        within("cursor.max_speed", cursor.max_speed, 0.0, 1e6)?;
        for (axis, gain) in ["x", "y"].iter().zip(cursor.gain) {
            within(&format!("cursor.gain of {axis}"), gain, -1e9, 1e9)?;
        }
        if !engine.label_law.is_valid() {
            return Err("the label law makes no sense".to_owned());
        }
        within("the number of components", self.components.len() as f64, 1.0, MAX_COMPONENTS as f64)?;
        for (index, component) in self.components.iter().enumerate() {
            if self.components.iter().take(index).any(|earlier| earlier.name == component.name) {
                return Err(format!("two components are called {:?}", component.name));
            }
        }
        within("the number of streams", self.streams.len() as f64, 0.0, MAX_STREAMS as f64)?;
        FeatureLayout::new(&engine.features).map_err(|error| error.to_string())?;
        Ok(())
    }

    /// The features; none where no bin could give any, which [`SessionDocument::check`] refuses.
    #[must_use]
    pub fn layout(&self) -> FeatureLayout {
        FeatureLayout::new(&self.engine.features).unwrap_or_default()
    }
}

/// The longest of the times in a session's settings, in seconds.
const MOST_SECONDS: f64 = 1e7;

/// An input stream of a session.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct InputStream {
    /// Its name in the configuration.
    pub key: String,
    /// How many samples the live daemon kept at most: no tick reaches further back.
    pub held_samples: u64,
    /// What its samples were made with, where they are those of a derived stream.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stages: Option<StagesDocument>,
}

/// The configuration of a session.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConfigurationText {
    /// File name as it was given.
    pub file: String,
    /// SHA-256 of the text.
    pub sha256: String,
    /// The text.
    pub toml: String,
}

/// One instant on both clocks, in seconds.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct ClockReading {
    /// The LSL clock.
    pub lsl: f64,
    /// Unix time.
    pub unix: f64,
}

#[cfg(test)]
mod tests {
    use kalmind_types::{StageTimes, TickOutput};

    use super::*;

    #[test]
    fn a_tick_comes_back_to_the_last_bit() {
        let mut input = TickInput::empty();
        input.start = LslTime(1234.1 + f64::EPSILON);
        input.time = LslTime(0.1 + 0.2);
        assert!(input.masked.mask(1, 1023));
        let published = TickPublication {
            output: TickOutput {
                row_one: true,
                masked_features: 1,
                nonfinite_values: 2,
                guarded_channels: 3,
                ..TickOutput::neutral(0, input.time)
            },
            times: StageTimes {
                received: LslTime(1.0 / 3.0),
                closed: LslTime(-0.0),
                decoded: LslTime(f64::MIN_POSITIVE),
            },
            age: Seconds(1e-300),
            late: true,
        };
        let document = TickDocument::of(&input, &published, false, 4);
        let text = serde_json::to_string(&document).expect("JSON");
        let read: TickDocument<'_> = serde_json::from_str(&text).expect("the same");
        assert_eq!(read, document);
        assert_eq!(read.closed.0.to_bits(), (-0.0_f64).to_bits());
    }
}
