//! The JSON document of `kalmind evaluate`: always the same keys, and more for each option that asks for more
//! (`docs/evaluate.md` describes all of them).

use std::ops::Range;

use kalmind_fitting::{
    bootstrap::Interval,
    chance_level::{LEAST_SHIFT, SHIFTS, Scores},
    scores::Figures,
    sensitivity::ChannelSummary,
};
use serde_json::{Map, Value, json};

use crate::evaluation::{
    channels::{Errors, summaries},
    comparison::{Compared, Comparison, DecoderIntervals, Intervals, LEVEL, Spread},
    split::Scheme,
    text::step_us,
};

/// The document.
#[must_use]
pub fn document(comparison: &Comparison, intervals: Option<&Intervals>, chance: bool) -> Value {
    let mut document = Map::new();
    let mut put = |key: &str, value: Value| document.insert(key.to_owned(), value);
    let (train, test) = match &comparison.splits.scheme {
        Scheme::Rows { train, test } => (train.as_ref(), Some(test)),
        Scheme::Folds { rows, .. } => (rows.as_ref(), rows.as_ref()),
        Scheme::Files | Scheme::LeaveOneOut => (None, None),
    };
    put("train", train.map_or(Value::Null, range));
    put("test", test.map_or(Value::Null, range));
    put("rows_left_out", json!(comparison.rows_left_out()));
    if comparison.across_recordings() {
        put("recordings", comparison.recordings.iter().map(|recording| json!(recording.file)).collect());
        put(
            "splits",
            (0..comparison.splits.splits.len()).map(|split| split_document(comparison, split)).collect(),
        );
    } else if comparison.splits.folded() {
        put("folds", comparison.splits.splits.iter().map(|split| range(&split.test)).collect());
    }
    if let Some(trials) = &comparison.splits.whole_trials {
        let splits = comparison.splits.splits.iter().map(|split| {
            let train: usize = split.train.iter().map(|rows| trials.count(rows)).sum();
            json!({ "train": train, "test": trials.count(&split.test) })
        });
        let by = if trials.numbered { "task" } else { "gaps" };
        let splits: Vec<Value> = splits.collect();
        put("whole_trials", json!({ "by": by, "trials": trials.starts.len(), "splits": splits }));
    }
    if chance {
        put("chance", json!({ "shifts": SHIFTS, "least_shift": LEAST_SHIFT }));
    }
    if comparison.seeds.len() > 1 {
        put("seeds", json!(comparison.seeds));
    }
    if let Some(limit) = comparison.saturate {
        put("saturate", json!(limit));
    }
    if let Some(Intervals { bootstrap, .. }) = intervals {
        put(
            "intervals",
            json!({
                "method": "stationary bootstrap", "level": LEVEL, "resamples": bootstrap.resamples,
                "block_rows": bootstrap.block_rows, "seed": bootstrap.seed,
            }),
        );
    }
    let decoders = comparison.decoders.iter().enumerate();
    put(
        "decoders",
        decoders
            .map(|(index, decoder)| {
                let intervals = intervals.map(|intervals| &intervals.decoders[index]);
                decoder_document(comparison, decoder, intervals, chance)
            })
            .collect(),
    );
    Value::Object(document)
}

fn decoder_document(
    comparison: &Comparison,
    decoder: &Compared,
    intervals: Option<&DecoderIntervals>,
    chance: bool,
) -> Value {
    let figures = decoder.figures();
    let [p50, p99, max] = step_us(&decoder.runs);
    let options: Map<String, Value> =
        decoder.spec.set_options().map(|(name, value)| (name.to_owned(), json!(value))).collect();
    let mut document = Map::new();
    let mut put = |key: &str, value: Value| document.insert(key.to_owned(), value);
    put("name", json!(decoder.spec.decoder.as_str()));
    put("options", Value::Object(options));
    put("nrmse", json!(figures.nrmse));
    put("maae", json!(figures.maae));
    put("maae_moving", json!(decoder.mean_of_some(|run| run.accuracy.maae_moving)));
    put(
        "correlation",
        (0..comparison.components.len())
            .map(|component| {
                json!(
                    decoder.mean(|run| run.accuracy.correlation.get(component).copied().unwrap_or(f64::NAN))
                )
            })
            .collect(),
    );
    put("nees", json!(figures.nees));
    put("coverage", json!(figures.coverage));
    let by_uncertainty = decoder.by_uncertainty();
    put(
        "uncertainty",
        json!({
            "covariance": decoder.covariance(),
            "decile_ratio": by_uncertainty.map(|by| by.decile_ratio),
            "rank_correlation": by_uncertainty.map(|by| by.rank_correlation),
        }),
    );
    put("warnings", json!(decoder.coverage_warnings(comparison.components.len())));
    put("fallback_steps", json!(decoder.runs.iter().map(|run| run.decoded.fallback_steps).sum::<u64>()));
    put("fit_seconds", json!(decoder.mean_of_some(|run| run.fit_seconds)));
    put("step_us", json!({ "p50": p50, "p99": p99, "max": max }));
    if let Some(scores) = decoder.scores().filter(|_| chance) {
        put("r2", json!(scores.r_squared));
        put("r2_components", json!(decoder.r_squared()));
        let (median, reached) = decoder.chance_level().map(|[median, reached]| (median, reached)).unzip();
        put(
            "chance",
            json!({ "median": scores_document(median), "reached_by_5": scores_document(reached), "training_mean": scores_document(decoder.constant()) }),
        );
    }
    if comparison.splits.folded() {
        let folds = decoder.folds();
        put("folds", folds.iter().map(figures_document).collect());
        put("folds_sd", spread_document(Spread::of(&folds)));
    }
    if comparison.seeds.len() > 1 {
        let seeds = decoder.seeds();
        let documents = seeds.iter().map(|(seed, figures)| {
            let mut document = figures_document(figures);
            document["seed"] = json!(seed);
            document
        });
        put("seeds", documents.collect());
        let figures: Vec<Figures> = seeds.iter().map(|(_, figures)| *figures).collect();
        put("seeds_sd", spread_document(Spread::of(&figures)));
    }
    if let Some(intervals) = intervals {
        put("log_score", json!(figures.log_score));
        put("intervals", intervals_document(&intervals.figures));
        let first = comparison.decoders[0].figures().values();
        let own = figures.values();
        put(
            "difference",
            match &intervals.differences {
                Some(differences) => json!({
                    "to": comparison.decoders[0].spec.to_string(),
                    "value": figures_document(&Figures::from_values(core::array::from_fn(|at| own[at] - first[at]))),
                    "intervals": intervals_document(differences),
                }),
                None => Value::Null,
            },
        );
    }
    if !comparison.perturbations.is_empty() {
        perturbed_keys(comparison, decoder, &mut put);
    }
    let influences = decoder.influences();
    if !influences.is_empty() {
        let channels = comparison.channel_names.iter().zip(&influences);
        put(
            "influence",
            channels
                .map(|(channel, influence)| {
                    json!({
                        "channel": channel, "change": influence.change, "maae_held": influence.maae_held,
                        "maae_loss": influence.maae_loss,
                    })
                })
                .collect(),
        );
    }
    Value::Object(document)
}

/// What `--perturb` adds. `maae_worst` and `maae_top10` are of the output, the worst over all offsets given.
fn perturbed_keys(
    comparison: &Comparison,
    decoder: &Compared,
    put: &mut dyn FnMut(&str, Value) -> Option<Value>,
) {
    let top = comparison.top_channels();
    let name = |channel: usize| comparison.channel_names.get(channel);
    let summary = |summary: Option<ChannelSummary>| {
        summary.map(|summary| {
            json!({
                "mean": summary.mean, "top10": summary.top, "worst": summary.worst,
                "worst_channel": name(summary.worst_channel),
            })
        })
    };
    let (mut worst, mut top10) = (f64::NEG_INFINITY, None::<f64>);
    let entries: Vec<Value> = comparison
        .perturbations
        .iter()
        .enumerate()
        .map(|(index, perturbation)| {
            let channels = decoder.perturbed(index);
            let (filtered, unfiltered) = summaries(&channels, &top);
            if let Some(filtered) = filtered {
                worst = worst.max(filtered.worst);
                top10 = match (top10, filtered.top) {
                    (Some(before), Some(top)) => Some(before.max(top)),
                    (before, top) => top.or(before),
                };
            }
            let channels: Vec<Value> = channels
                .iter()
                .map(|perturbed| {
                    json!({
                        "channel": name(perturbed.channel),
                        "filtered": errors_document(Some(perturbed.filtered)),
                        "unfiltered": errors_document(perturbed.unfiltered),
                    })
                })
                .collect();
            json!({
                "perturb": perturbation.text, "offset": perturbation.offset, "filtered": summary(filtered),
                "unfiltered": summary(unfiltered), "channels": channels,
            })
        })
        .collect();
    put("maae_worst", json!(worst));
    put("maae_top10", json!(top10));
    put("unfiltered", errors_document(decoder.unfiltered()));
    put("perturb", Value::Array(entries));
}

/// Which rows of which recordings a split trains and tests.
fn split_document(comparison: &Comparison, split: usize) -> Value {
    let split = &comparison.splits.splits[split];
    let train: Vec<Value> = split
        .train
        .iter()
        .map(|rows| {
            let recordings = comparison.recordings.iter();
            let place = recordings.take_while(|recording| recording.first_row <= rows.start).count() - 1;
            let file = &comparison.recordings[place].file;
            json!({ "recording": file, "rows": range(&comparison.own_rows(rows, place)) })
        })
        .collect();
    let test = range(&comparison.own_rows(&split.test, split.recording));
    json!({ "recording": comparison.recordings[split.recording].file, "fold": split.fold, "train": train, "test": test })
}

fn scores_document(scores: Option<Scores>) -> Value {
    scores.map_or(Value::Null, |scores| {
        json!({ "nrmse": scores.nrmse, "r2": scores.r_squared, "correlation": scores.correlation, "maae": scores.maae })
    })
}

fn range(rows: &Range<usize>) -> Value {
    json!([rows.start, rows.end])
}

fn errors_document(errors: Option<Errors>) -> Value {
    errors.map_or(Value::Null, |errors| json!({ "nrmse": errors.nrmse, "maae": errors.maae }))
}

fn figures_document(figures: &Figures) -> Value {
    json!(figures)
}

fn spread_document(spread: Option<Spread>) -> Value {
    spread.map_or(Value::Null, |spread| figures_document(&spread.deviations))
}

fn intervals_document(intervals: &[Interval; 7]) -> Value {
    let [nrmse, maae, nees, half, ninety, ninety_nine, log_score] =
        intervals.map(|interval| [interval.low, interval.high]);
    json!({
        "nrmse": nrmse, "maae": maae, "nees": nees,
        "coverage": { "50": half, "90": ninety, "99": ninety_nine }, "log_score": log_score,
    })
}
