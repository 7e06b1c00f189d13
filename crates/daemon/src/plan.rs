//! What a run will do, checked before anything starts: streams found, features laid out, the model fitting to them.

use std::path::PathBuf;

use kalmind_acquisition::{
    ClockSource, InletConfig, MonitorLimits, ResolveError, StreamSelector, clock::Deadline, find_one,
};
use kalmind_engine::{BinnerSettings, CursorSettings, EngineSettings, StreamBinning};
use kalmind_filter::{LabelKind, LabelLaw};
use kalmind_session::MarkerTable;
use kalmind_types::{
    Binning, ChannelMask, EventKind, NumberFormat, Position, Seconds, StreamDescription, StreamFeatures,
};
use serde_json::json;

use crate::{
    configuration::{ChannelReference, Configuration, LawKind, SampleClock, Selection, Stream},
    failure::{OrFail as _, Outcome},
    model::{Demand, IdentifiedModel},
};

/// A change of the time base by more than this starts a new epoch.
pub const EPOCH_JUMP: Seconds = Seconds(1.0);
/// The part of a long wait whose samples are kept in blocks; the configuration's `ring_blocks` can ask for more.
const LONGEST_HELD_MS: f64 = 500.0;
/// Blocks of a stream at most, unless the configuration asks for more.
const MOST_BLOCKS: usize = 8192;
/// Bytes of a recorded sample's stamp.
const STAMP_BYTES: usize = 9;
/// Bytes of a recorded tick's input and frames, more or less.
const TICK_BYTES: usize = 900;
/// How wide bins may be, in milliseconds.
pub const BIN_MS: std::ops::RangeInclusive<f64> = 1.0..=200.0;
/// A leading stream's rate may differ from the bins' by this part.
const RATE_MATCH: f64 = 0.01;

/// Why a run cannot start as configured.
#[derive(Debug, thiserror::Error)]
pub enum PlanError {
    /// A stream is not to be found.
    #[error("stream \"{key}\": {source}")]
    Resolve {
        /// Its key in the configuration.
        key: String,
        /// What was found instead.
        source: ResolveError,
    },
    /// A string stream was named where numbers are needed.
    #[error(
        "stream \"{key}\" carries text; only streams of numbers can be decoded (a task's markers go into [task])"
    )]
    NotNumeric {
        /// Its key.
        key: String,
    },
    /// Another number of channels.
    #[error("stream \"{key}\" has {found} channels, the configuration says channels = {expected}")]
    Channels {
        /// Its key.
        key: String,
        /// Configured.
        expected: usize,
        /// Found.
        found: usize,
    },
    /// A leading stream without a rate.
    #[error("stream \"{key}\" is irregular (nominal rate 0); with binning = \"sample\" it needs rate_hz")]
    NoRate {
        /// Its key.
        key: String,
    },
    /// The leading stream's rate and the bins differ.
    #[error(
        "stream \"{key}\" sends {rate_hz} samples a second, one bin each, so bins are {period_ms} ms wide; the \
         configuration says bin_ms = {bin_ms}: set [bins] bin_ms = {period_ms}, or another binning"
    )]
    BinWidth {
        /// Its key.
        key: String,
        /// Its rate.
        rate_hz: f64,
        /// The bin width that this means.
        period_ms: f64,
        /// The width configured.
        bin_ms: f64,
    },
    /// A leading stream that is too fast or too slow for bins.
    #[error(
        "stream \"{key}\" sends {rate_hz} samples a second; with binning = \"sample\" each is a bin, and bins are 1 to \
         200 ms wide (5 to 1000 samples a second): use binning = \"mean\" or \"sum\""
    )]
    Rate {
        /// Its key.
        key: String,
        /// Its rate.
        rate_hz: f64,
    },
    /// Every channel is switched off.
    #[error("every channel of every stream is masked; there is nothing left to decode from")]
    AllMasked,
    /// A masked channel that there is not.
    #[error("stream \"{key}\" has no channel {channel} to mask; it has {channels}")]
    NoSuchChannel {
        /// Its key.
        key: String,
        /// As configured.
        channel: String,
        /// What there is.
        channels: String,
    },
    /// The cursor is to follow a component that is not decoded.
    #[error("[cursor] components names \"{name}\", but the intent's components are {known}")]
    NoSuchComponent {
        /// As configured.
        name: String,
        /// What there is.
        known: String,
    },
    /// The model does not fit the run.
    #[error("the model {} does not fit this run:{}", .path.display(), bullets(.differences))]
    Model {
        /// Its file.
        path: PathBuf,
        /// What differs.
        differences: Vec<String>,
    },
    /// `start = "control"` and nothing to control with.
    #[error("start = \"control\" needs a model: set [decoder] model, or start = \"idle\"")]
    ControlWithoutModel,
}

/// One line each.
fn bullets(lines: &[String]) -> String {
    lines.iter().fold(String::new(), |text, line| text + "\n  - " + line)
}

/// A stream as configured and as found.
#[derive(Clone, Debug)]
pub struct PlannedStream {
    /// How it is received.
    pub inlet: InletConfig,
    /// How it takes part in the bins.
    pub binning: StreamBinning,
    /// The features it contributes.
    pub features: StreamFeatures,
}

/// A further stream to record, as found.
#[derive(Clone, Debug)]
pub struct RecordedExtra {
    /// The name under which it is shown.
    pub key: String,
    /// What it is searched by.
    pub selector: StreamSelector,
    /// Its header.
    pub description: StreamDescription,
}

/// Everything needed to start a run.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The configuration in force.
    pub configuration: Configuration,
    /// The streams, in order.
    pub streams: Vec<PlannedStream>,
    /// Further streams to record.
    pub recorded: Vec<RecordedExtra>,
    /// Features switched off.
    pub masked: ChannelMask,
    /// Bin width in milliseconds.
    pub bin_ms: f64,
    /// What a model has to match.
    pub demand: Demand,
    /// The model to start with.
    pub model: Option<IdentifiedModel>,
    /// What the task program's own texts mean.
    pub markers: MarkerTable,
}

/// The configuration's selection as acquisition takes it.
#[must_use]
pub fn selector(selection: Selection) -> StreamSelector {
    StreamSelector {
        name: selection.name,
        content_type: selection.content_type,
        source_id: selection.source_id,
        hostname: selection.hostname,
        predicate: selection.predicate,
    }
}

/// The configuration's label law as filter and engine take it.
#[must_use]
pub fn label_law(configuration: &Configuration) -> LabelLaw {
    let law = &configuration.task.label_law;
    LabelLaw {
        kind: match law.kind {
            LawKind::Limited => LabelKind::Limited,
            LawKind::Unit => LabelKind::Unit,
            LawKind::Vector => LabelKind::Vector,
        },
        time_constant_s: law.time_constant_s,
        max_speed: law.max_speed,
        skip_ms: law.skip_ms,
        lag_ms: law.lag_ms,
    }
}

/// Finds the streams (waiting up to `wait` for all of them together) and checks everything against everything.
///
/// # Errors
/// Exit code 3 for a stream that is missing, ambiguous or of the wrong kind; 2 for a configuration or model that does
/// not fit.
pub fn plan(mut configuration: Configuration, wait: Seconds) -> Outcome<Plan> {
    let deadline = Deadline::after(wait);
    let mut found = Vec::with_capacity(configuration.stream.len());
    for stream in &configuration.stream {
        let key = stream.key().to_owned();
        let description = resolve(&key, &selector(stream.selection()), deadline)?;
        if description.format.is_none() {
            return Err(PlanError::NotNumeric { key }).or_stream();
        }
        if let Some(expected) = stream.channels
            && expected != description.channels
        {
            return Err(PlanError::Channels { key, expected, found: description.channels }).or_stream();
        }
        found.push(description);
    }
    let recorded = recorded(&configuration, deadline)?;
    let bin_ms = bin_width(&configuration, &found).or_usage()?;
    configuration.bins.bin_ms = bin_ms;
    let max_wait_ms = configuration.bins.max_wait_ms();
    let several = configuration.stream.len() > 1;
    let streams: Vec<PlannedStream> = configuration
        .stream
        .iter()
        .zip(&found)
        .map(|(stream, description)| planned(stream, description, (bin_ms, max_wait_ms), several))
        .collect();
    let masked = mask(&configuration, &streams).or_usage()?;
    let demand = Demand {
        streams: streams.iter().map(|stream| stream.features.clone()).collect(),
        bin_ms,
        components: configuration.intent.components.clone(),
        participant: configuration.subject.code.clone(),
    };
    let (configuration, demand, model) = with_model(configuration, demand)?;
    cursor_components(&configuration, &demand).or_usage()?;
    let entries = configuration.task.markers.iter().map(|(text, marker)| {
        (text.clone(), json!({ "kind": EventKind::from(marker.kind), "data": marker.data() }))
    });
    let markers = MarkerTable::new(entries).or_usage()?;
    Ok(Plan { configuration, streams, recorded, masked, bin_ms, demand, model, markers })
}

/// The further streams to record.
fn recorded(configuration: &Configuration, deadline: Deadline) -> Outcome<Vec<RecordedExtra>> {
    let streams = configuration.record.stream.iter().enumerate();
    streams
        .map(|(place, stream)| {
            let (key, selector) = (stream.key(place), selector(stream.selection()));
            let description = resolve(&key, &selector, deadline)?;
            Ok(RecordedExtra { key, selector, description })
        })
        .collect()
}

/// The one stream that fits.
fn resolve(key: &str, selector: &StreamSelector, deadline: Deadline) -> Outcome<StreamDescription> {
    find_one(selector, deadline.remaining()).or_else(|source| {
        let wrong = source.is_configuration();
        let error = Err(PlanError::Resolve { key: key.to_owned(), source });
        if wrong { error.or_usage() } else { error.or_stream() }
    })
}

/// The bin width: as configured, checked against the rate of a stream whose samples are bins.
fn bin_width(configuration: &Configuration, found: &[StreamDescription]) -> Result<f64, PlanError> {
    let configured = configuration.gives("bins.bin_ms").then_some(configuration.bins.bin_ms);
    let leader = configuration.stream.iter().zip(found).find(|(stream, _)| stream.binning == Binning::Sample);
    let Some((stream, description)) = leader else { return Ok(configuration.bins.bin_ms) };
    let key = stream.key().to_owned();
    let nominal = Some(description.nominal_rate_hz).filter(|rate| *rate > 0.0);
    let Some(rate_hz) = stream.rate_hz.or(nominal) else { return Err(PlanError::NoRate { key }) };
    let period_ms = 1e3 / rate_hz;
    match configured {
        Some(bin_ms) if (bin_ms - period_ms).abs() > RATE_MATCH * period_ms => {
            Err(PlanError::BinWidth { key, rate_hz, period_ms, bin_ms })
        }
        _ if !BIN_MS.contains(&period_ms) => Err(PlanError::Rate { key, rate_hz }),
        Some(bin_ms) => Ok(bin_ms),
        None => Ok(period_ms),
    }
}

fn planned(
    stream: &Stream,
    description: &StreamDescription,
    (bin_ms, max_wait_ms): (f64, f64),
    several: bool,
) -> PlannedStream {
    let key = stream.key().to_owned();
    let mut inlet = InletConfig::new(key.clone(), selector(stream.selection()), description.clone());
    inlet.limits = MonitorLimits {
        stall_ms: stream.stall_ms(bin_ms),
        backlog_ms: stream.backlog_ms(bin_ms),
        bad_clock_ms: stream.bad_clock_s * 1e3,
        rate_tolerance: stream.rate_tolerance,
        ..MonitorLimits::for_bin(bin_ms)
    };
    inlet.clock = match stream.clock {
        SampleClock::Sender => ClockSource::Sender,
        SampleClock::Arrival => ClockSource::Arrival,
    };
    // one block a sample is the worst case: a bin and its wait must fit
    let held = (description.nominal_rate_hz * (bin_ms + max_wait_ms.min(LONGEST_HELD_MS)) * 1.5e-3).ceil()
        as usize
        + 8;
    inlet.blocks = stream.ring_blocks.max(held.min(MOST_BLOCKS));
    inlet.block_samples = stream.block_samples;
    let nominal = Some(description.nominal_rate_hz).filter(|rate| *rate > 0.0);
    let labels = description.labels.as_ref().map(|labels| {
        labels.iter().map(|label| if several { format!("{key}.{label}") } else { label.clone() }).collect()
    });
    PlannedStream {
        binning: StreamBinning {
            binning: stream.binning,
            rate_hz: stream.rate_hz.or(nominal),
            required: stream.required,
            blocks: inlet.blocks,
            block_samples: inlet.block_samples,
        },
        features: StreamFeatures { binning: stream.binning, channels: description.channels, labels },
        inlet,
    }
}

fn mask(configuration: &Configuration, streams: &[PlannedStream]) -> Result<ChannelMask, PlanError> {
    let mut masked = ChannelMask::default();
    let mut offset = 0;
    for (stream, planned) in configuration.stream.iter().zip(streams) {
        let channels = planned.features.channels;
        let labels = planned.inlet.description.labels.as_deref().unwrap_or_default();
        for reference in &stream.masked {
            let (channel, shown) = match reference {
                ChannelReference::Index(index) => (Some(*index), index.to_string()),
                ChannelReference::Label(label) => {
                    (labels.iter().position(|known| known == label), format!("\"{label}\""))
                }
            };
            match channel.filter(|channel| *channel < channels) {
                Some(channel) if masked.mask(offset + channel) => {}
                _ => {
                    let channels = if labels.is_empty() {
                        format!("{channels} channels without labels")
                    } else {
                        labels.join(", ")
                    };
                    return Err(PlanError::NoSuchChannel {
                        key: stream.key().to_owned(),
                        channel: shown,
                        channels,
                    });
                }
            }
        }
        offset += channels;
    }
    if (0..offset).all(|feature| masked.is_masked(feature)) {
        return Err(PlanError::AllMasked);
    }
    Ok(masked)
}

/// Loads the configured model and checks it. Where `[intent]` is not written, the model's components count.
fn with_model(
    mut configuration: Configuration,
    mut demand: Demand,
) -> Outcome<(Configuration, Demand, Option<IdentifiedModel>)> {
    let Some(path) = configuration.decoder.model.clone() else {
        if configuration.start == crate::configuration::Start::Control {
            return Err(PlanError::ControlWithoutModel).or_usage();
        }
        return Ok((configuration, demand, None));
    };
    let model = crate::model::load(&path).or_usage()?;
    if !configuration.gives("intent.components") {
        demand.components.clone_from(&model.model.components);
        configuration.intent.components.clone_from(&model.model.components);
        let names: Vec<&str> = demand.components.iter().map(|component| component.name.as_str()).collect();
        // what is written stands, and is checked against the model like everything else
        if !configuration.gives("cursor.components")
            && !configuration.cursor.components.iter().all(|name| names.contains(&name.as_str()))
            && let [x, y, ..] = names.as_slice()
        {
            configuration.cursor.components = [(*x).to_owned(), (*y).to_owned()];
        }
    }
    let differences = model.differences(&demand);
    if !differences.is_empty() {
        return Err(PlanError::Model { path, differences }).or_usage();
    }
    Ok((configuration, demand, Some(model)))
}

fn cursor_components(configuration: &Configuration, demand: &Demand) -> Result<[usize; 2], PlanError> {
    let place = |name: &String| {
        demand.components.iter().position(|component| component.name == *name).ok_or_else(|| {
            let known: Vec<&str> =
                demand.components.iter().map(|component| component.name.as_str()).collect();
            PlanError::NoSuchComponent { name: name.clone(), known: known.join(", ") }
        })
    };
    if demand.components.len() == 1 && !configuration.gives("cursor.components") {
        // one component moves x; y has none
        return Ok([0, usize::MAX]);
    }
    let [x, y] = &configuration.cursor.components;
    Ok([place(x)?, place(y)?])
}

impl Plan {
    /// Share of all features that may be without a valid value in a row that trains a decoder: those that are switched
    /// off always are.
    #[must_use]
    pub fn calibration_mask(&self) -> f64 {
        let features: usize = self.demand.streams.iter().map(|stream| stream.channels).sum();
        let off = (0..features).filter(|&feature| self.masked.is_masked(feature)).count() as f64;
        let features = features as f64;
        (self.configuration.bins.max_masked * (features - off) + off) / features.max(1.0)
    }

    /// What a recording of this run grows by, in bytes a second, as far as rates are known.
    #[must_use]
    pub fn bytes_per_second(&self) -> f64 {
        let sample = |description: &StreamDescription| {
            let width = match description.format {
                Some(NumberFormat::Int8) => 1,
                Some(NumberFormat::Int16) => 2,
                Some(NumberFormat::Float32 | NumberFormat::Int32) => 4,
                _ => 8,
            };
            description.nominal_rate_hz.max(0.0) * (description.channels * width + STAMP_BYTES) as f64
        };
        let decoded = self.streams.iter().map(|stream| sample(&stream.inlet.description));
        let further = self.recorded.iter().map(|stream| sample(&stream.description));
        let features: usize = self.demand.streams.iter().map(|stream| stream.channels).sum();
        let components = self.demand.components.len();
        let cursor = 13 + components + components * (components + 1) / 2;
        let tick = TICK_BYTES + 8 * (features + cursor);
        decoded.chain(further).sum::<f64>() + tick as f64 * 1e3 / self.bin_ms
    }

    /// Settings of the binner.
    #[must_use]
    pub fn binner(&self) -> BinnerSettings {
        BinnerSettings {
            width: Seconds::from_millis(self.bin_ms),
            max_wait: Seconds::from_millis(self.configuration.bins.max_wait_ms()),
            epoch_jump: EPOCH_JUMP,
            streams: self.streams.iter().map(|stream| stream.binning.clone()).collect(),
        }
    }

    /// Settings of the engine.
    #[must_use]
    pub fn engine(&self) -> EngineSettings {
        let configuration = &self.configuration;
        let cursor = &configuration.cursor;
        EngineSettings {
            features: self.demand.streams.clone(),
            max_masked: configuration.bins.max_masked,
            restart_after: Seconds::from_millis(configuration.bins.restart_after_ms),
            stale_after: Seconds::from_millis(configuration.safety.stale_after_ms(self.bin_ms)),
            auto_resume: Seconds::from_millis(configuration.safety.auto_resume_ms),
            start: configuration.start.into(),
            cursor: CursorSettings {
                // checked when the plan was made
                components: cursor_components(configuration, &self.demand).unwrap_or([0, 1]),
                gain: cursor.gain.0,
                smoothing: Seconds::from_millis(cursor.smoothing_ms),
                max_speed: cursor.max_speed,
                height: cursor.height,
                start: Position(cursor.start_position()),
                ramp: Seconds::from_millis(cursor.ramp_ms),
            },
            label_law: label_law(configuration),
            plausibility: configuration.decoder.plausibility,
            fallback_stale: Seconds::from_millis(configuration.decoder.fallback_stale_ms),
        }
    }
}
