//! What a run will do, checked before any thread starts: the streams that were found, features laid out, the model fitting
//! to them.

use std::sync::Arc;

use kalmind_acquisition::{ArrivalSettings, InletConfig, MonitorLimits, StreamSelector, blocks_for, clock};
use kalmind_engine::{BinnerSettings, CursorSettings, EngineSettings, StreamBinning, WindowSettings};
use kalmind_offline::model::{Demand, IdentifiedModel};
use kalmind_session::MarkerTable;
use kalmind_types::{
    Actor, Binning, ChannelMask, FeatureLayout, ModelSource, NumberFormat, Position, Seconds,
    StreamDescription, StreamFeatures, StreamOutput,
};

use crate::{
    configuration::{ChannelReference, Configuration, Stream},
    failure::{OrFail as _, Outcome},
    models::run_models::Origin,
    running::arrival::ArrivalRules,
    starting::{
        finding::Found,
        plan_error::PlanError,
        planned_stream::PlannedStream,
        prepared::{Prepared, cursor_components},
        resuming::Resuming,
        stages::DerivedPlan,
        windows,
    },
};

/// A change of the time base by more than this starts a new epoch.
pub const EPOCH_JUMP: Seconds = Seconds(1.0);
/// The part of a long wait whose samples are kept in blocks; the configuration's `ring_blocks` can ask for more.
const LONGEST_HELD_MS: f64 = 500.0;
/// Blocks of a stream at most, unless the configuration asks for more.
const MOST_BLOCKS: usize = 8192;
/// Those of them that may hold a single sample each: faster senders push more than one at a time.
const MOST_BLOCKS_OF_ONE: usize = 512;
/// How wide bins may be, in milliseconds.
pub const BIN_MS: std::ops::RangeInclusive<f64> = 1.0..=200.0;
/// A leading stream's rate may differ from the bins' by this part.
const RATE_MATCH: f64 = 0.01;

/// A further stream to record.
#[derive(Clone, Debug)]
pub struct RecordedExtra {
    /// The name under which it is shown.
    pub key: String,
    /// What it is searched by.
    pub selector: StreamSelector,
    /// Its header, where it was there when the run began.
    pub description: Option<StreamDescription>,
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
    /// The features, one after the other.
    pub layout: Arc<FeatureLayout>,
    /// Channels switched off.
    pub masked: ChannelMask,
    /// Bin width in milliseconds.
    pub bin_ms: f64,
    /// What a model has to match.
    pub demand: Demand,
    /// The model to start with.
    pub model: Option<Arc<IdentifiedModel>>,
    /// How that one was found among the saved ones, where the run resumes.
    pub resuming: Option<Resuming>,
    /// What the task program's own texts mean.
    pub markers: MarkerTable,
    /// Windows at events.
    pub windows: Vec<WindowSettings>,
}

impl Plan {
    /// How the model to start with came to the run, now.
    #[must_use]
    pub fn origin(&self) -> Option<Origin> {
        let (source, by, file) = match (&self.resuming, &self.configuration.decoder.model) {
            (Some(resuming), _) => (ModelSource::Resumed, Actor::Signal, resuming.file()?.to_owned()),
            (None, Some(path)) => {
                let name = path.file_name()?.to_string_lossy().into_owned();
                (ModelSource::Configured, Actor::Configuration, name)
            }
            (None, None) => return None,
        };
        Some(Origin { source, by, added: clock::now(), train_bins: None, file: Some(file) })
    }
}

/// Checks everything against everything.
///
/// # Errors
/// Exit code 2 for a configuration or model that does not fit the streams.
pub fn plan(prepared: Prepared, found: &Found) -> Outcome<Plan> {
    let headers: Vec<StreamDescription> = found
        .streams
        .iter()
        .enumerate()
        .map(|(place, header)| header.clone().unwrap_or_else(|| assumed(&prepared, place)))
        .collect();
    let Prepared { mut configuration, mut model, mut resuming, markers, .. } = prepared;
    let bin_ms = bin_width(&configuration, &headers).or_usage()?;
    configuration.bins.bin_ms = bin_ms;
    let derived: Vec<Option<DerivedPlan>> = configuration
        .stream
        .iter()
        .zip(&headers)
        .map(|(stream, description)| DerivedPlan::of(stream, description, bin_ms))
        .collect::<Result<_, _>>()
        .or_usage()?;
    // the others' samples wait for the slowest
    let longest_delay = longest(derived.iter().flatten().map(|derived| derived.delay));
    let max_wait_ms = configuration.bins.max_wait_ms();
    let measure_arrival_s = configuration.bins.measure_arrival_s;
    let several = configuration.stream.len() > 1;
    let mut streams: Vec<PlannedStream> = configuration
        .stream
        .iter()
        .zip(headers.iter().zip(derived))
        .map(|(stream, (description, derived))| {
            let selector = configuration.not_own(&stream.selector);
            let times = (bin_ms, max_wait_ms, measure_arrival_s);
            let kept_for = Seconds(longest_delay.0 - derived.as_ref().map_or(0.0, |own| own.delay.0));
            planned(stream, selector, description, derived, times, kept_for, several)
        })
        .collect();
    let channels: Vec<usize> = headers.iter().map(|header| header.channels).collect();
    if let Some(learnt) = &configuration.reference.learnt {
        for (stream, configured) in streams.iter_mut().zip(&configuration.stream) {
            let is_learnt = learnt.document.streams.iter().any(|stream| stream.key == configured.key());
            stream.features.rest = is_learnt.then(|| learnt.document.text());
        }
    }
    let labels = model.as_ref().map(|model| model.stream_labels(&channels)).unwrap_or_default();
    for (place, (stream, header)) in streams.iter_mut().zip(&found.streams).enumerate() {
        if header.is_none() {
            stream.inlet.is_assumed = true;
            // it has to be what the model was fitted on when it comes
            stream.features.labels = labels.get(place).cloned().flatten();
            stream.inlet.description.labels = stream
                .features
                .labels
                .as_deref()
                .map(|labels| own_labels(labels, &stream.inlet.key, several));
        }
    }
    let demand = Demand {
        streams: streams.iter().map(|stream| stream.features.clone()).collect(),
        bin_ms,
        components: configuration.intent.components.clone(),
        participant: configuration.subject.code.clone(),
    };
    let layout = FeatureLayout::new(&demand.streams).or_usage()?;
    let masked = mask(&configuration, &streams).or_usage()?;
    if layout.switched_off(&masked).count() == layout.width() {
        return Err(PlanError::AllMasked).or_usage();
    }
    let differences = model.as_ref().map(|model| model.differences(&demand)).unwrap_or_default();
    match (&mut resuming, &configuration.decoder.model) {
        _ if differences.is_empty() => {}
        (Some(resuming), _) => {
            resuming.pass_over(&differences);
            model = Some(resuming.next_that_fits(|model| model.differences(&demand)).or_usage()?);
        }
        (None, Some(path)) => {
            return Err(PlanError::Model { path: path.clone(), differences }).or_usage();
        }
        (None, None) => {}
    }
    let further = configuration.record.stream.iter().enumerate().zip(&found.recorded);
    let recorded = further
        .map(|((place, stream), description)| RecordedExtra {
            key: stream.key(place),
            selector: configuration.not_own(&stream.selector),
            description: description.clone(),
        })
        .collect();
    let layout = Arc::new(layout);
    if let Some((model, resuming)) = model.as_ref().zip(resuming.as_mut()) {
        resuming.find_state(model, &demand.streams);
    }
    let windows = windows::planned(&configuration.window, &streams).or_usage()?;
    Ok(Plan {
        configuration,
        streams,
        recorded,
        layout,
        masked,
        bin_ms,
        demand,
        model,
        resuming,
        markers,
        windows,
    })
}

/// Labels of features as the stream's own header has them: those of several streams bear its key in front.
fn own_labels(features: &[String], key: &str, several: bool) -> Vec<String> {
    let own = |label: &String| {
        let own = label.strip_prefix(key).and_then(|rest| rest.strip_prefix('.')).filter(|_| several);
        own.unwrap_or(label).to_owned()
    };
    features.iter().map(own).collect()
}

/// What is known of a stream that is not there yet and not required, besides the labels that a model has.
fn assumed(prepared: &Prepared, place: usize) -> StreamDescription {
    let stream = prepared.configuration.stream.get(place).cloned().unwrap_or_default();
    StreamDescription {
        name: stream.key().to_owned(),
        content_type: stream.selector.content_type.unwrap_or_default(),
        channels: prepared.channels(place).unwrap_or_default(),
        format: Some(NumberFormat::Double64),
        nominal_rate_hz: stream.rate_hz.unwrap_or_default(),
        ..StreamDescription::default()
    }
}

/// The bin width: as configured, checked against the rate of a stream whose samples are bins.
fn bin_width(configuration: &Configuration, found: &[StreamDescription]) -> Result<f64, PlanError> {
    let configured = configuration.gives("bins.bin_ms").then_some(configuration.bins.bin_ms);
    let leader = configuration.stream.iter().zip(found).find(|(stream, _)| stream.binning == Binning::Sample);
    let Some((stream, description)) = leader else { return Ok(configuration.bins.bin_ms) };
    let key = stream.key().to_owned();
    let nominal = Some(description.nominal_rate_hz).filter(|rate| *rate > 0.0);
    let Some(received_hz) = stream.rate_hz.or(nominal) else { return Err(PlanError::NoRate { key }) };
    // what is binned is what the stages give
    let derived = DerivedPlan::of(stream, description, configuration.bins.bin_ms)?;
    let rate_hz = derived.map_or(received_hz, |derived| derived.description.nominal_rate_hz);
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
    selector: StreamSelector,
    description: &StreamDescription,
    derived: Option<DerivedPlan>,
    (bin_ms, max_wait_ms, measure_arrival_s): (f64, f64, f64),
    kept_for: Seconds,
    several: bool,
) -> PlannedStream {
    let key = stream.key().to_owned();
    let mut inlet = InletConfig::new(key.clone(), selector, description.clone());
    inlet.limits = MonitorLimits {
        stall_ms: stream.stall_ms(bin_ms),
        backlog_ms: stream.backlog_ms(bin_ms),
        bad_clock_ms: stream.bad_clock_s * 1e3,
        rate_tolerance: stream.rate_tolerance,
        ..MonitorLimits::for_bin(bin_ms)
    };
    inlet.arrival = ArrivalSettings {
        measure: Seconds(measure_arrival_s),
        sets_stall: stream.stall_ms.is_none() && stream.binning != Binning::Events,
        sets_backlog: stream.backlog_ms.is_none(),
    };
    inlet.rate_hz = stream.rate_hz;
    inlet.clock = stream.clock;
    // a block a sample, so that none waits for others: a bin and its wait
    let rate_hz = stream.rate_hz.unwrap_or(description.nominal_rate_hz);
    let held = (rate_hz * (bin_ms + max_wait_ms.min(LONGEST_HELD_MS)) * 1.5e-3).ceil() as usize + 8;
    // full blocks: chunks of 500 ms, and the longest wait that may follow from how the streams arrive
    let chunks = blocks_for(rate_hz, stream.block_samples);
    let blocks = stream.ring_blocks.max(held.min(MOST_BLOCKS_OF_ONE)).max(chunks.min(MOST_BLOCKS));
    // what a chain's look-ahead keeps waiting; blocks that are scarce are filled
    inlet.blocks = blocks + (rate_hz * kept_for.0 / stream.block_samples.max(1) as f64).ceil() as usize;
    inlet.block_samples = stream.block_samples;
    inlet.stages = derived.as_ref().map(|derived| derived.stages.clone());
    let decoded = derived.as_ref().map_or(description, |derived| &derived.description);
    let nominal = Some(decoded.nominal_rate_hz).filter(|rate| *rate > 0.0);
    let named = |name: &String| if several { format!("{key}.{name}") } else { name.clone() };
    let labels = description.labels.as_ref().map(|labels| labels.iter().map(named).collect());
    let units = stream.units.filter(|_| stream.binning == Binning::Events);
    let features = match units {
        Some(units) => StreamFeatures::of_units(units, description.channels, labels),
        None => StreamFeatures::of_channels(stream.binning, description.channels, labels),
    };
    let outputs =
        derived.as_ref().map(|derived| &derived.outputs).or(features.outputs.as_ref()).map(|outputs| {
            let named = |output: &StreamOutput| StreamOutput { name: named(&output.name), ..output.clone() };
            outputs.iter().map(named).collect()
        });
    // events come when they come; a rate says how much room they need
    let rate_hz = stream.rate_hz.filter(|_| derived.is_none()).or(nominal).filter(|_| units.is_none());
    PlannedStream {
        binning: StreamBinning {
            binning: stream.binning,
            rate_hz,
            required: stream.required,
            max_age: Seconds::from_millis(stream.max_age_ms),
            blocks: inlet.blocks,
            block_samples: inlet.block_samples,
        },
        features: StreamFeatures {
            outputs,
            generation: derived.as_ref().map(|derived| derived.stages.generation),
            ..features
        },
        inlet,
        derived,
    }
}

fn longest(delays: impl Iterator<Item = Seconds>) -> Seconds {
    Seconds(delays.map(|delay| delay.0).fold(0.0, f64::max))
}

fn mask(configuration: &Configuration, streams: &[PlannedStream]) -> Result<ChannelMask, PlanError> {
    let mut masked = ChannelMask::default();
    for (place, (stream, planned)) in configuration.stream.iter().zip(streams).enumerate() {
        let channels = planned.features.channels;
        let labels = planned.inlet.description.labels.as_deref().unwrap_or_default();
        for reference in &stream.masked {
            let shown = match reference {
                ChannelReference::Index(index) => index.to_string(),
                ChannelReference::Label(label) => format!("\"{label}\""),
            };
            match reference.find(labels).filter(|channel| *channel < channels) {
                Some(channel) if masked.mask(place, channel) => {}
                Some(_) => {
                    return Err(PlanError::BeyondMask { key: stream.key().to_owned(), channel: shown });
                }
                None => {
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
    }
    Ok(masked)
}

impl Configuration {
    /// Whether a run records, given a file that the command line names.
    #[must_use]
    pub fn records(&self, file: Option<&std::path::Path>) -> bool {
        file.is_some() || self.record.folder.is_some()
    }
}

impl Plan {
    /// What follows from how the streams arrive, and what the configuration fixes.
    #[must_use]
    pub fn arrival_rules(&self) -> ArrivalRules {
        let Configuration { bins, safety, .. } = &self.configuration;
        ArrivalRules {
            measured: bins.measure_arrival_s > 0.0,
            max_wait_ms: bins.max_wait_ms(),
            stages_ms: self.longest_delay().as_millis(),
            fixed_wait: bins.max_wait_ms.is_some(),
            fixed_stale_ms: safety.stale_after_ms,
            slow_allowed: safety.allow_slow_input,
        }
    }

    /// How much later samples are decoded for the stages that they pass, at most.
    fn longest_delay(&self) -> Seconds {
        longest(self.streams.iter().filter_map(|stream| stream.derived.as_ref()).map(|derived| derived.delay))
    }

    /// Settings of the binner.
    #[must_use]
    pub fn binner(&self) -> BinnerSettings {
        BinnerSettings {
            width: Seconds::from_millis(self.bin_ms),
            max_wait: Seconds::from_millis(self.arrival_rules().longest_wait_ms()),
            epoch_jump: EPOCH_JUMP,
            streams: self.streams.iter().map(|stream| stream.binning.clone()).collect(),
        }
    }

    /// Settings of the engine.
    #[must_use]
    pub fn engine(&self) -> EngineSettings {
        engine_settings(&self.configuration, &self.demand, self.longest_delay())
    }
}

/// Settings of the engine of a run with this configuration, whose stages delay samples by `delay` at most.
#[must_use]
pub fn engine_settings(configuration: &Configuration, demand: &Demand, delay: Seconds) -> EngineSettings {
    let cursor = &configuration.cursor;
    let stale_ms = configuration.safety.stale_after_ms(demand.bin_ms, delay.as_millis());
    EngineSettings {
        features: demand.streams.clone(),
        max_masked: configuration.bins.max_masked,
        restart_after: Seconds::from_millis(configuration.bins.restart_after_ms),
        stale_after: Seconds::from_millis(stale_ms),
        auto_resume: Seconds::from_millis(configuration.safety.auto_resume_ms),
        start: configuration.start,
        cursor: CursorSettings {
            // checked before the streams were looked for
            components: cursor_components(configuration, &demand.components).unwrap_or([0, 1]),
            gain: cursor.gain.0,
            smoothing: Seconds::from_millis(cursor.smoothing_ms),
            max_speed: cursor.max_speed,
            height: cursor.height,
            start: Position(cursor.start_position()),
            ramp: Seconds::from_millis(cursor.ramp_ms),
        },
        label_law: configuration.task.label_law,
        plausibility: configuration.decoder.plausibility,
        fallback_stale: Seconds::from_millis(configuration.decoder.fallback_stale_ms),
        doubted_calibrates: true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_key_in_front_of_a_label_is_not_the_streams_own() {
        let features = ["force.x", "force.force.y", "z"].map(str::to_owned);
        assert_eq!(own_labels(&features, "force", true), ["x", "force.y", "z"]);
        assert_eq!(own_labels(&features, "force", false), features);
    }
}
