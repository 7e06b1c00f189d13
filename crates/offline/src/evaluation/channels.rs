//! Channels that are shifted, held or saturated on purpose, and what that does to a decoder.

use std::ops::Range;

use kalmind_fitting::{
    accuracy,
    sensitivity::{self, ChannelSummary},
};
use kalmind_types::Intent;
use nalgebra::DMatrix;
use rayon::prelude::*;

use crate::{
    evaluation::decode::{Alteration, Change, Decoded, Decoding, Saturation},
    model::IdentifiedModel,
    tables::Tables,
};

/// An offset asked for with `--perturb`.
#[derive(Clone, Debug, PartialEq)]
pub struct Perturbation {
    /// As written.
    pub text: String,
    /// The channels that get it, one after the other.
    pub channels: Vec<usize>,
    /// In standard deviations of the training rows.
    pub offset: f64,
}

impl Perturbation {
    /// Reads `CHANNEL:OFFSET`.
    ///
    /// # Errors
    /// What is wrong, with the nearest channel.
    pub fn read(text: &str, names: &[String]) -> anyhow::Result<Self> {
        let Some((channel, offset)) = text.rsplit_once(':') else {
            anyhow::bail!(
                "--perturb {text}: `CHANNEL:OFFSET` is expected, as in `all:5` or `{}:2`",
                names.first().map_or("0", String::as_str)
            );
        };
        let Some(offset) = offset.trim().parse::<f64>().ok().filter(|offset| offset.is_finite()) else {
            anyhow::bail!(
                "--perturb {text}: the offset `{offset}` is not a number (of training standard deviations)"
            );
        };
        let channel = channel.trim();
        let channels = if channel == "all" {
            (0..names.len()).collect()
        } else if let Some(found) = names.iter().position(|name| name == channel) {
            vec![found]
        } else if let Some(found) = channel.parse().ok().filter(|&found: &usize| found < names.len()) {
            vec![found]
        } else {
            let nearest = names.iter().min_by_key(|name| strsim::damerau_levenshtein(channel, name));
            anyhow::bail!(
                "--perturb {text}: there is no channel `{channel}`; did you mean `{}`? Known: `all`, {}",
                nearest.map_or("all", String::as_str),
                listed(names)
            );
        };
        Ok(Self { text: text.to_owned(), channels, offset })
    }
}

/// Names of the channels: those of the features' header, else their numbers from 0.
#[must_use]
pub fn channel_names(tables: &Tables) -> Vec<String> {
    match &tables.features.columns {
        Some(names) => names.clone(),
        None => (0..tables.features.width).map(|channel| channel.to_string()).collect(),
    }
}

fn listed(names: &[String]) -> String {
    const SHOWN: usize = 12;
    match names {
        [first, .., last] if names.len() > SHOWN => format!("{first} to {last} ({} channels)", names.len()),
        _ => names.join(", "),
    }
}

/// What the training rows (of a fitted model: the test rows, and the model) say of every channel.
#[derive(Clone, Debug)]
pub struct ChannelFacts {
    /// Means.
    pub mean: Vec<f64>,
    /// Standard deviations; `None` where a model does not store them.
    pub deviation: Option<Vec<f64>>,
    /// Signal-to-noise ratios.
    pub signal_to_noise: Vec<f64>,
}

impl ChannelFacts {
    /// Of training rows.
    #[must_use]
    pub fn of_training(tables: &Tables, rows: &[Range<usize>]) -> Self {
        let statistics = tables.statistics(rows);
        Self {
            mean: statistics.mean,
            deviation: Some(statistics.deviation),
            signal_to_noise: sensitivity::signal_to_noise(&tables.features_of(rows), &tables.states_of(rows)),
        }
    }

    /// Of a fitted model, with ratios from the rows at hand.
    #[must_use]
    pub fn of_model(model: &IdentifiedModel, tables: &Tables, test: &Range<usize>) -> Self {
        let rows = core::slice::from_ref(test);
        Self {
            mean: model.model.training_mean.clone(),
            deviation: model.model.zscore.as_ref().map(|zscore| zscore.standard_deviation.clone()),
            signal_to_noise: sensitivity::signal_to_noise(&tables.features_of(rows), &tables.states_of(rows)),
        }
    }
}

/// Errors of one course of intents.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Errors {
    /// See [`accuracy::nrmse`].
    pub nrmse: f64,
    /// See [`accuracy::maae`].
    pub maae: f64,
}

impl Errors {
    /// Of intents against the truth.
    #[must_use]
    pub fn of(truth: &DMatrix<f64>, intents: &[Intent]) -> Self {
        Self { nrmse: accuracy::nrmse(truth, intents), maae: accuracy::maae(truth, intents).mean }
    }

    /// The mean of each.
    #[must_use]
    pub fn mean(errors: &[Self]) -> Self {
        let count = errors.len() as f64;
        Self {
            nrmse: errors.iter().map(|errors| errors.nrmse).sum::<f64>() / count,
            maae: errors.iter().map(|errors| errors.maae).sum::<f64>() / count,
        }
    }
}

/// One channel of one run, perturbed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PerturbedChannel {
    /// Which.
    pub channel: usize,
    /// Of the decoder's output.
    pub filtered: Errors,
    /// Of what each bin says alone, where the decoder knows it.
    pub unfiltered: Option<Errors>,
}

/// What one channel means to one run.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Influence {
    /// Change of the output for one training standard deviation on the channel, relative to the truth (both root mean
    /// square); `None` where the standard deviation is not known.
    pub change: Option<f64>,
    /// Mean angle with the channel held at its training mean.
    pub maae_held: f64,
    /// The same, less the mean angle with all channels.
    pub maae_loss: f64,
}

/// A fitted decoder and the rows it is tried on.
#[derive(Clone, Copy, Debug)]
pub struct Trial<'a> {
    /// How rows are decoded.
    pub decoding: Decoding<'a>,
    /// The decoder.
    pub model: &'a IdentifiedModel,
    /// The tables.
    pub tables: &'a Tables,
    /// Test rows.
    pub test: &'a Range<usize>,
    /// Their states.
    pub truth: &'a DMatrix<f64>,
    /// The channels.
    pub facts: &'a ChannelFacts,
    /// Limits on the features.
    pub saturation: Option<&'a Saturation>,
}

impl Trial<'_> {
    /// Decodes the test rows with one channel changed.
    fn with(&self, channel: usize, change: Change) -> anyhow::Result<Decoded> {
        let alteration = Alteration { change: Some((channel, change)), saturation: self.saturation };
        self.decoding.rows(self.model, self.tables, self.test.clone(), &alteration)
    }

    /// Every channel of the perturbation in turn. Decodes the test rows once a channel, on all cores; `decoded_one` is
    /// called after each.
    ///
    /// # Errors
    /// What decoding finds, or a model that does not store standard deviations.
    pub fn perturbed(
        &self,
        perturbation: &Perturbation,
        decoded_one: &(dyn Fn() + Sync),
    ) -> anyhow::Result<Vec<PerturbedChannel>> {
        let Some(deviation) = &self.facts.deviation else {
            anyhow::bail!(
                "--perturb: this model does not store the standard deviations of its training rows; fit it with \
                 --zscore, or evaluate with --train and --decoders"
            );
        };
        perturbation
            .channels
            .par_iter()
            .map(|&channel| {
                let offset = perturbation.offset * deviation.get(channel).copied().unwrap_or_default();
                let decoded = self.with(channel, Change::Add(offset))?;
                decoded_one();
                Ok(PerturbedChannel {
                    channel,
                    filtered: Errors::of(self.truth, &decoded.intents),
                    unfiltered: decoded.unfiltered.map(|unfiltered| Errors::of(self.truth, &unfiltered)),
                })
            })
            .collect()
    }

    /// What each channel means to the output: `reference` as decoded unchanged. Decodes the test rows twice a channel, on
    /// all cores; `decoded_one` is called after each channel.
    ///
    /// # Errors
    /// What decoding finds.
    pub fn influences(
        &self,
        reference: &[Intent],
        decoded_one: &(dyn Fn() + Sync),
    ) -> anyhow::Result<Vec<Influence>> {
        let clean = accuracy::maae(self.truth, reference).mean;
        (0..self.tables.features.width)
            .into_par_iter()
            .map(|channel| {
                let change = match &self.facts.deviation {
                    Some(deviation) => {
                        let moved = self.with(channel, Change::Add(deviation[channel]))?;
                        Some(sensitivity::relative_change(self.truth, reference, &moved.intents))
                    }
                    None => None,
                };
                let held = self.with(channel, Change::Hold(self.facts.mean[channel]))?;
                decoded_one();
                let maae_held = accuracy::maae(self.truth, &held.intents).mean;
                Ok(Influence { change, maae_held, maae_loss: maae_held - clean })
            })
            .collect()
    }
}

/// The mean over runs (of the same channels in the same order).
#[must_use]
pub fn mean_influences(runs: &[&[Influence]]) -> Vec<Influence> {
    let Some(first) = runs.first() else { return Vec::new() };
    let mean = |of: &dyn Fn(&Influence) -> f64, channel: usize| {
        runs.iter().map(|run| of(&run[channel])).sum::<f64>() / runs.len() as f64
    };
    (0..first.len())
        .map(|channel| Influence {
            change: first[channel]
                .change
                .map(|_| mean(&|influence| influence.change.unwrap_or(f64::NAN), channel)),
            maae_held: mean(&|influence| influence.maae_held, channel),
            maae_loss: mean(&|influence| influence.maae_loss, channel),
        })
        .collect()
}

/// The mean over runs (of the same channels in the same order).
#[must_use]
pub fn mean_perturbed(runs: &[&[PerturbedChannel]]) -> Vec<PerturbedChannel> {
    let Some(first) = runs.first() else { return Vec::new() };
    (0..first.len())
        .map(|at| {
            let filtered: Vec<Errors> = runs.iter().map(|run| run[at].filtered).collect();
            let unfiltered: Option<Vec<Errors>> = runs.iter().map(|run| run[at].unfiltered).collect();
            PerturbedChannel {
                channel: first[at].channel,
                filtered: Errors::mean(&filtered),
                unfiltered: unfiltered.map(|errors| Errors::mean(&errors)),
            }
        })
        .collect()
}

/// Mean, best ten and worst of the mean angle over the channels of a perturbation: of the output, and of what each bin
/// says alone.
#[must_use]
pub fn summaries(
    channels: &[PerturbedChannel],
    top: &[usize],
) -> (Option<ChannelSummary>, Option<ChannelSummary>) {
    let filtered: Vec<(usize, f64)> =
        channels.iter().map(|perturbed| (perturbed.channel, perturbed.filtered.maae)).collect();
    let unfiltered: Option<Vec<(usize, f64)>> =
        channels.iter().map(|perturbed| Some((perturbed.channel, perturbed.unfiltered?.maae))).collect();
    (
        sensitivity::summarize_channels(&filtered, top),
        unfiltered.and_then(|angles| sensitivity::summarize_channels(&angles, top)),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn channels_are_found_by_name_then_by_number() {
        let names: Vec<String> = ["unit:a", "unit:b", "7"].map(str::to_owned).to_vec();
        let read = |text: &str| Perturbation::read(text, &names);
        assert_eq!(read("unit:b:-2.5").expect("a name with a colon").channels, [1]);
        assert_eq!(read("1:2").expect("a number").channels, [1]);
        assert_eq!(read("7:2").expect("a name before a number").channels, [2]);
        assert_eq!(read("all:5").expect("all").channels, [0, 1, 2]);
        let error = read("unit:c:5").expect_err("unknown").to_string();
        assert!(error.contains("no channel `unit:c`") && error.contains("did you mean `unit:"), "{error}");
        assert!(read("all:five").expect_err("no number").to_string().contains("`five` is not a number"));
        assert!(read("all:inf").is_err() && read("all").is_err());
    }
}
