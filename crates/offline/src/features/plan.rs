//! What features are made of, and how.

use std::{fmt, path::Path, sync::Arc};

use kalmind_engine::{BinnerSettings, EngineSettings};
use kalmind_signal::{Chain, ChainError, ChainSettings, Signal, StageSettings};
use kalmind_types::{ChannelMask, FeatureLayout, GenerationId, LayoutError, StreamOutput};

/// The stages of a stream, for the stream that a recording holds.
#[derive(Clone, Debug, PartialEq)]
pub struct FeatureStages {
    /// The stages.
    pub settings: ChainSettings,
    /// What stands for them.
    pub generation: GenerationId,
    /// What goes in: the stream's channels, and its rate.
    pub raw: Signal,
    /// Whether channels are left out while they are not healthy.
    pub channel_health: bool,
    /// Channels of which that is not told, as those that are masked anyway.
    pub unwatched: Vec<usize>,
}

impl FeatureStages {
    /// The stages up to the last that finds spikes, which tells each by its sample; none where no stage does.
    pub(super) fn of_crossings(&self) -> Option<ChainSettings> {
        let ChainSettings(stages) = &self.settings;
        let last = stages.iter().rposition(|stage| matches!(stage, StageSettings::Spikes(_)))?;
        let mut stages = stages.get(..=last)?.to_vec();
        if let Some(StageSettings::Spikes(spikes)) = stages.last_mut() {
            // counted in each sample, so that a count is a spike
            (spikes.output_ms, spikes.power) = (0.0, false);
        }
        Some(ChainSettings(stages))
    }

    /// The channels in which the last stage that finds spikes finds them; none where no stage does.
    ///
    /// # Errors
    /// Where the stages cannot be built.
    pub fn spiking(&self) -> Result<Vec<StreamOutput>, ChainError> {
        let Some(ChainSettings(mut stages)) = self.of_crossings() else { return Ok(Vec::new()) };
        stages.pop();
        self.outputs_of(&ChainSettings(stages))
    }

    /// What comes out of the first of these stages.
    pub(super) fn outputs_of(&self, first: &ChainSettings) -> Result<Vec<StreamOutput>, ChainError> {
        if first.0.is_empty() {
            return Ok(self.raw.outputs.clone());
        }
        Ok(Chain::new(first, self.generation, &self.raw, 1)?.signal().outputs.clone())
    }
}

/// A stream that features are made of.
#[derive(Clone, Debug, PartialEq)]
pub struct FeatureStream {
    /// The name under which the configuration knows it.
    pub key: String,
    /// The name by which people know it: the same, or the recorded stream's where the configuration has none.
    pub called: String,
    /// The number by which the file knows it; none where it holds no such stream, and a run would go on without.
    pub id: Option<u32>,
    /// Its channels.
    pub channels: usize,
    /// Samples a second; 0 where it is irregular.
    pub rate_hz: f64,
    /// By which part the rate that its stamps show may differ from that.
    pub rate_tolerance: f64,
    /// Its stages, where it has any.
    pub stages: Option<FeatureStages>,
}

/// What features are made of in one recording, and how.
#[derive(Clone, Debug, PartialEq)]
pub struct FeaturePlan {
    /// The streams, in the configuration's order.
    pub streams: Vec<FeatureStream>,
    /// How bins are made.
    pub binner: BinnerSettings,
    /// What is made of them.
    pub engine: EngineSettings,
    /// Channels that are switched off.
    pub masked: ChannelMask,
    /// Width of a bin in milliseconds.
    pub bin_ms: f64,
    /// The participant's code, where it is known.
    pub participant: Option<String>,
}

impl FeaturePlan {
    /// The features, one after the other.
    ///
    /// # Errors
    /// Where they cannot be laid out.
    pub fn layout(&self) -> Result<FeatureLayout, LayoutError> {
        FeatureLayout::new(&self.engine.features)
    }

    /// How the features of another recording differ from these, where they do.
    #[must_use]
    pub fn difference(&self, other: &Self) -> Option<String> {
        if let (Ok(own), Ok(others)) = (self.layout(), other.layout()) {
            if own.width() != others.width() {
                return Some(format!(
                    "it gives {} features, the first recording {}",
                    others.width(),
                    own.width()
                ));
            }
            let pairs = own.features().iter().zip(others.features());
            for (own, others) in pairs {
                if own.name != others.name {
                    let name = |name: &Option<String>| {
                        name.clone().unwrap_or_else(|| "one without a name".to_owned())
                    };
                    return Some(format!(
                        "among its features is {} where the first recording has {}",
                        name(&others.name),
                        name(&own.name)
                    ));
                }
                if own.unit != others.unit {
                    return Some(format!(
                        "its features are in \"{}\", those of the first recording in \"{}\"",
                        others.unit, own.unit
                    ));
                }
            }
        }
        let rates = self.streams.iter().zip(&other.streams);
        let mut others = rates.filter(|(own, other)| own.rate_hz.to_bits() != other.rate_hz.to_bits());
        if let Some((own, other)) = others.next() {
            return Some(format!(
                "its stream \"{}\" sends {} samples a second, that of the first recording {}",
                own.called, other.rate_hz, own.rate_hz
            ));
        }
        (self.engine.features != other.engine.features)
            .then(|| "its features are made in another way than those of the first recording".to_owned())
    }

    /// Whether any stage finds spikes.
    #[must_use]
    pub fn finds_spikes(&self) -> bool {
        let mut stages = self.streams.iter().filter_map(|stream| stream.stages.as_ref());
        stages.any(|stages| stages.of_crossings().is_some())
    }
}

/// Finds the configured streams in a recording, and plans what is made of them.
#[derive(Clone)]
pub struct FeaturePlanner(pub Arc<PlanOf>);

/// What plans features.
type PlanOf = dyn Fn(&Path) -> anyhow::Result<FeaturePlan> + Send + Sync;

impl fmt::Debug for FeaturePlanner {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("FeaturePlanner")
    }
}
