//! The stages of a stream, as they will run on the stream that was found, and the derived stream that comes of them.

use kalmind_acquisition::Stages;
use kalmind_signal::{ChainSettings, DerivedStream, Signal};
use kalmind_types::{
    Binning, GenerationId, NumberFormat, Seconds, StreamDescription, StreamOutput, unlabelled,
};
use sha2::{Digest as _, Sha256};

use crate::{configuration::Stream, starting::plan_error::PlanError};

/// Samples of a derived stream that a bin of fixed width has at least.
const LEAST_IN_A_BIN: f64 = 10.0;

/// What comes of a stream's stages.
#[derive(Clone, Debug)]
pub struct DerivedPlan {
    /// How it is made.
    pub stages: Stages,
    /// The derived stream, as its recording describes it.
    pub description: StreamDescription,
    /// What its values are.
    pub outputs: Vec<StreamOutput>,
    /// How much later a sample comes out than it went in, at most.
    pub delay: Seconds,
    /// How long nothing valid comes out after a start.
    pub settling: Seconds,
    /// What there is to know of its stages, a sentence each.
    pub warnings: Vec<String>,
    /// Bytes of a checkpoint, at most.
    pub checkpoint_bytes: usize,
}

impl DerivedPlan {
    /// Of a stream; none where it has no stages.
    ///
    /// # Errors
    /// Where its stages cannot run on it.
    pub(super) fn of(
        stream: &Stream,
        description: &StreamDescription,
        bin_ms: f64,
    ) -> Result<Option<Self>, PlanError> {
        if stream.stages.is_empty() {
            return Ok(None);
        }
        let key = || stream.key().to_owned();
        let settings = ChainSettings(stream.stages.clone());
        let rate_hz = stream.rate_hz.unwrap_or(description.nominal_rate_hz);
        let named = |texts: &Option<Vec<String>>, channel: usize| {
            texts.as_ref().and_then(|texts| texts.get(channel)).cloned()
        };
        let channels = (0..description.channels).map(|channel| {
            let name = named(&description.labels, channel).unwrap_or_else(|| unlabelled(channel));
            (name, named(&description.units, channel).unwrap_or_default())
        });
        let labels = description.labels.as_deref().unwrap_or_default();
        let stages = Stages {
            generation: generation(&settings),
            settings,
            raw: Signal::raw(rate_hz, channels),
            channel_health: stream.watches_channels(description.units.as_deref().unwrap_or_default()),
            unwatched: stream.masked.iter().filter_map(|masked| masked.find(labels)).collect(),
        };
        let chain = stages.chain().map_err(|error| PlanError::Stages { key: key(), error })?;
        let in_a_bin = chain.signal().rate_hz * bin_ms * 1e-3;
        if stream.binning != Binning::Sample && in_a_bin < LEAST_IN_A_BIN {
            return Err(PlanError::FewInABin { key: key(), in_a_bin, bin_ms, least: LEAST_IN_A_BIN });
        }
        let outputs = chain.signal().outputs.clone();
        let units: Vec<String> = outputs.iter().map(|output| output.unit.clone()).collect();
        let description = StreamDescription {
            name: format!("{} derived", description.name),
            channels: outputs.len(),
            format: Some(NumberFormat::Double64),
            nominal_rate_hz: chain.signal().rate_hz,
            labels: description
                .labels
                .as_ref()
                .map(|_| outputs.iter().map(|output| output.name.clone()).collect()),
            units: units.iter().any(|unit| !unit.is_empty()).then_some(units),
            desc: String::new(),
            ..description.clone()
        };
        let seconds = |rows: u64| Seconds(rows as f64 / rate_hz);
        let (delay, settling) = (seconds(chain.delay()), seconds(chain.settling()));
        let (channels, warnings) = (stages.raw.outputs.len(), chain.warnings());
        let checkpoint_bytes = DerivedStream::new(chain, channels, rate_hz).checkpoint_bytes();
        Ok(Some(Self { stages, description, outputs, delay, settling, warnings, checkpoint_bytes }))
    }

    /// What will be done, for people.
    #[must_use]
    pub fn text(&self) -> String {
        let raw = &self.stages.raw;
        let what: Vec<String> =
            self.stages.settings.0.iter().map(kalmind_signal::StageSettings::summary).collect();
        let warnings: Vec<String> = self.warnings.iter().map(|warning| format!("\n    {warning}")).collect();
        format!(
            "{} x {} -> {} -> {} x {}, delay {:.1} ms, valid {:.0} ms after a start{}",
            raw.outputs.len(),
            rate(raw.rate_hz),
            what.join(" -> "),
            self.description.channels,
            rate(self.description.nominal_rate_hz),
            self.delay.as_millis(),
            self.settling.as_millis(),
            warnings.concat()
        )
    }
}

fn rate(hz: f64) -> String {
    // a rate that comes of whole samples may have no end
    let rounded = |value: f64| (value * 1e3).round() / 1e3;
    if hz < 1000.0 { format!("{} Hz", rounded(hz)) } else { format!("{} kHz", rounded(hz / 1000.0)) }
}

/// What stands for a chain's settings: the SHA-256 of their JSON text.
pub(crate) fn generation(settings: &ChainSettings) -> GenerationId {
    let text = serde_json::to_vec(settings).unwrap_or_default();
    GenerationId(Sha256::digest(text).into())
}

#[cfg(test)]
mod tests {
    use super::rate;

    #[test]
    fn rates_are_shown_to_three_places() {
        let shown = [0.5, 250.0, 769.25, 1000.0, 10_000.0 / 3.0, 24_414.062].map(rate);
        assert_eq!(shown, ["0.5 Hz", "250 Hz", "769.25 Hz", "1 kHz", "3.333 kHz", "24.414 kHz"]);
    }
}
