//! What `kalmind evaluate` prints for people.

use std::fmt::Write as _;

use hdrhistogram::Histogram;
use kalmind_fitting::{
    bootstrap::Interval,
    chance_level::{LEAST_SHIFT, SHIFTS, Scores},
    scores::Figures,
    sensitivity::ChannelSummary,
};
use kalmind_types::CovarianceKind;

use crate::evaluation::{
    channels::summaries,
    comparison::{Compared, Comparison, Intervals, Run, Spread},
};

/// Microseconds of a step over all runs: median, 99th percentile, longest.
#[must_use]
pub fn step_us(runs: &[Run]) -> [f64; 3] {
    let mut steps: Option<Histogram<u64>> = None;
    for run in runs {
        match &mut steps {
            // the same bounds, so nothing can be out of range
            Some(steps) => drop(steps.add(&run.decoded.step_ns)),
            None => steps = Some(run.decoded.step_ns.clone()),
        }
    }
    steps.map_or([f64::NAN; 3], |steps| {
        [steps.value_at_quantile(0.5), steps.value_at_quantile(0.99), steps.max()].map(|ns| ns as f64 / 1e3)
    })
}

/// All tables.
#[must_use]
pub fn tables(comparison: &Comparison, intervals: &Intervals) -> String {
    let width = comparison.decoders.iter().map(|decoder| decoder.spec.to_string().chars().count()).max();
    let mut page = Page { text: String::new(), width: width.unwrap_or_default().max(TRAINING_MEAN.len()) };
    page.figures(comparison);
    page.chance(comparison);
    page.uncertainty(comparison);
    page.errors_by_uncertainty(comparison);
    page.recordings(comparison);
    page.spreads(comparison);
    page.intervals(comparison, intervals);
    page.perturbations(comparison);
    page.influences(comparison);
    page.text
}

/// Channels that are listed for each decoder.
const SHOWN: usize = 5;
/// Recordings that have a column of their own, and how wide it is.
const RECORDINGS: usize = 8;
const NAME: usize = 16;
/// What the row is called that answers with the mean of the training rows' states, whatever the features.
const TRAINING_MEAN: &str = "training mean";

struct Page {
    text: String,
    /// Of the column with the decoders.
    width: usize,
}

impl Page {
    fn line(&mut self, decoder: &str, cells: &str) {
        let _infallible = writeln!(self.text, "{decoder:<width$} {cells}", width = self.width);
    }

    fn say(&mut self, sentence: &str) {
        let _infallible = writeln!(self.text, "{sentence}");
    }

    fn figures(&mut self, comparison: &Comparison) {
        self.line(
            "decoder",
            &format!("{:>7} {:>7} {:>11} {:>7} {:>7}", "nRMSE", "R²", "correlation", "MAAE", "moving"),
        );
        let line = |scores: Option<Scores>, moving: Option<f64>| {
            let Scores { nrmse, r_squared, correlation, maae } =
                scores.unwrap_or(Scores::from_values([f64::NAN; 4]));
            format!(
                "{:>7} {:>7} {:>11} {:>7} {:>7}",
                known(nrmse, 4),
                known(r_squared, 4),
                known(correlation, 4),
                known(maae, 4),
                known(moving.unwrap_or(f64::NAN), 4)
            )
        };
        for decoder in &comparison.decoders {
            let moving = decoder.mean_of_some(|run| run.accuracy.maae_moving);
            self.line(&decoder.spec.to_string(), &line(decoder.scores(), moving));
        }
        let constant = comparison.decoders.first().and_then(Compared::constant);
        if constant.is_some() {
            self.line(TRAINING_MEAN, &line(constant, None));
        }
        let left_out = comparison.rows_left_out();
        match left_out {
            0 => {}
            1 => self.say("1 row with zero truth is left out of the angles"),
            rows => self.say(&format!("{rows} rows with zero truth are left out of the angles")),
        }
        if let Some(limit) = comparison.saturate {
            self.say(&format!("features are kept within {limit} standard deviations of their training mean"));
        }
    }

    /// What each decoder's output scores when it has nothing to do with the truth.
    fn chance(&mut self, comparison: &Comparison) {
        let least = 100.0 * LEAST_SHIFT;
        self.say(&format!(
            "\nChance level: the decoded rows against the truth shifted in time (in circles, {SHIFTS} shifts of at least {least:.0} % of \
             the rows): median, and the figure that 5 % of the shifts reach or better"
        ));
        let heading = format!("{:>17} {:>17} {:>17} {:>17}", "nRMSE", "R²", "correlation", "MAAE");
        self.line("decoder", &heading);
        for decoder in &comparison.decoders {
            let cells: Vec<String> = match decoder.chance_level() {
                Some([median, reached]) => median
                    .values()
                    .into_iter()
                    .zip(reached.values())
                    .map(|(median, reached)| {
                        format!("{:>17}", format!("{}, {}", known(median, 3), known(reached, 3)))
                    })
                    .collect(),
                None => vec!["too few rows".to_owned()],
            };
            self.line(&decoder.spec.to_string(), &cells.join(" "));
        }
    }

    /// Whether covariances are honest, and what a decoder costs.
    fn uncertainty(&mut self, comparison: &Comparison) {
        self.say("");
        self.line(
            "decoder",
            &format!(
                "{:>6} {:>20} {:>9} {:>9} {:>8} {:>8}",
                "NEES", "coverage 50/90/99 %", "log score", "fallbacks", "fit s", "step µs"
            ),
        );
        for decoder in &comparison.decoders {
            let Figures { nees, log_score, .. } = decoder.figures();
            let seconds = known(decoder.mean_of_some(|run| run.fit_seconds).unwrap_or(f64::NAN), 2);
            let coverage = coverage_text(&decoder.figures());
            let fallbacks: u64 = decoder.runs.iter().map(|run| run.decoded.fallback_steps).sum();
            let [p50, ..] = step_us(&decoder.runs);
            self.line(
                &decoder.spec.to_string(),
                &format!(
                    "{nees:>6.2} {coverage:>20} {log_score:>9.3} {fallbacks:>9} {seconds:>8} {p50:>8.2}"
                ),
            );
        }
    }

    /// The error in each recording, where there are several.
    fn recordings(&mut self, comparison: &Comparison) {
        let mut tested: Vec<usize> = comparison.splits.splits.iter().map(|split| split.recording).collect();
        tested.dedup();
        if tested.len() < 2 {
            return;
        }
        let shown = &tested[..tested.len().min(RECORDINGS)];
        let more = if tested.len() > RECORDINGS {
            format!(", the first {RECORDINGS} (--csv writes all)")
        } else {
            String::new()
        };
        self.say(&format!("\nnRMSE of each recording{more}"));
        let name = |recording: &usize| {
            let name = &comparison.recordings[*recording].name;
            let kept = name.chars().count().saturating_sub(NAME);
            format!("{:>NAME$}", name.chars().skip(kept).collect::<String>())
        };
        self.line("decoder", &shown.iter().map(name).collect::<Vec<_>>().join(" "));
        for decoder in &comparison.decoders {
            let cells: Vec<String> = shown
                .iter()
                .map(|recording| {
                    let own = |run: &Run| comparison.splits.splits[run.split].recording == *recording;
                    let error = decoder.mean_of_some(|run| own(run).then_some(run.accuracy.nrmse));
                    format!("{:>NAME$}", known(error.unwrap_or(f64::NAN), 4))
                })
                .collect();
            self.line(&decoder.spec.to_string(), &cells.join(" "));
        }
    }

    /// Whether each decoder knows when it is unsure, and whose coverage is far off.
    fn errors_by_uncertainty(&mut self, comparison: &Comparison) {
        self.say(
            "\nRMSE of the tenth of the rows with the largest covariance over that of the tenth with the smallest (1: it \
             says nothing), and rank correlation of covariance and error",
        );
        for decoder in &comparison.decoders {
            let cells = uncertainty_text(decoder);
            self.line(&decoder.spec.to_string(), &cells);
        }
        for decoder in &comparison.decoders {
            for warning in decoder.coverage_warnings(comparison.components.len()) {
                self.say(&format!("warning: {}: {warning}", decoder.spec));
            }
        }
    }

    fn spreads(&mut self, comparison: &Comparison) {
        if comparison.splits.folded() {
            self.say(&format!("\nMeans over {} ± standard deviation between them", comparison.means_over()));
            self.spread(comparison, Compared::folds);
        }
        if comparison.seeds.len() > 1 {
            let (first, count) = (comparison.seeds[0], comparison.seeds.len());
            if comparison.decoders.iter().all(|decoder| decoder.seeds().len() == 1) {
                self.say("\nNo seed changes these fits");
                return;
            }
            self.say(&format!(
                "\nMeans over {count} seeds from {first} up ± standard deviation between seeds (- where no seed changes \
                 the fit)"
            ));
            self.spread(comparison, |decoder| {
                decoder.seeds().into_iter().map(|(_, figures)| figures).collect()
            });
        }
    }

    fn spread(&mut self, comparison: &Comparison, groups: impl Fn(&Compared) -> Vec<Figures>) {
        self.line(
            "decoder",
            &format!(
                "{:>15} {:>15} {:>13} {:>13} {:>13}",
                "nRMSE", "MAAE", "NEES", "within 50 %", "within 90 %"
            ),
        );
        for decoder in &comparison.decoders {
            let groups = groups(decoder);
            let mean = Figures::mean(&groups);
            let spread = Spread::of(&groups);
            let cell = |of: fn(&Figures) -> f64, scale: f64, digits: usize| {
                let spread = spread.map_or_else(
                    || "-".to_owned(),
                    |spread| format!("{:.digits$}", scale * of(&spread.deviations)),
                );
                format!("{:.digits$} ± {spread}", scale * of(&mean))
            };
            self.line(
                &decoder.spec.to_string(),
                &format!(
                    "{:>15} {:>15} {:>13} {:>13} {:>13}",
                    cell(|figures| figures.nrmse, 1.0, 4),
                    cell(|figures| figures.maae, 1.0, 4),
                    cell(|figures| figures.nees, 1.0, 2),
                    cell(|figures| figures.coverage.half, 100.0, 1),
                    cell(|figures| figures.coverage.ninety, 100.0, 1),
                ),
            );
        }
    }

    fn intervals(&mut self, comparison: &Comparison, intervals: &Intervals) {
        let bootstrap = intervals.bootstrap;
        self.say(&format!(
            "\n95 % intervals: stationary bootstrap over test rows, {} resamples, blocks of {:.1} rows on average, seed {}",
            bootstrap.resamples, bootstrap.block_rows, bootstrap.seed
        ));
        let heading = format!(
            "{:>17} {:>17} {:>13} {:>13} {:>13} {:>13} {:>17}",
            "nRMSE", "MAAE", "NEES", "within 50 %", "within 90 %", "within 99 %", "log score"
        );
        self.line("decoder", &heading);
        for (decoder, of) in comparison.decoders.iter().zip(&intervals.decoders) {
            self.line(&decoder.spec.to_string(), &intervals_text(&of.figures));
        }
        let Some(first) = comparison.decoders.first().filter(|_| comparison.decoders.len() > 1) else {
            return;
        };
        self.say(&format!("\nDifferences to {} (paired), in the same order", first.spec));
        self.line("decoder", &heading);
        for (decoder, of) in comparison.decoders.iter().zip(&intervals.decoders) {
            if let Some(differences) = &of.differences {
                self.line(&decoder.spec.to_string(), &intervals_text(differences));
            }
        }
    }

    fn perturbations(&mut self, comparison: &Comparison) {
        let top = comparison.top_channels();
        for (index, perturbation) in comparison.perturbations.iter().enumerate() {
            let count = perturbation.channels.len();
            let which = if count == 1 { "one channel" } else { "each channel in turn" };
            self.say(&format!(
                "\nMAAE with {} ({which}, offset in training standard deviations): mean, ten channels of highest SNR, worst",
                perturbation.text
            ));
            self.line(
                "decoder",
                &format!(
                    "{:>7} {:>15} {:>15} {:>15}  {}",
                    "clean", "mean", "top ten", "worst", "worst channel"
                ),
            );
            for decoder in &comparison.decoders {
                let (filtered, unfiltered) = summaries(&decoder.perturbed(index), &top);
                let name = decoder.spec.to_string();
                if let Some(filtered) = filtered {
                    self.line(&name, &summary_text(comparison, decoder.figures().maae, &filtered));
                }
                if let (Some(clean), Some(unfiltered)) = (decoder.unfiltered(), unfiltered) {
                    self.line("  unfiltered", &summary_text(comparison, clean.maae, &unfiltered));
                }
            }
        }
    }

    fn influences(&mut self, comparison: &Comparison) {
        let all: Vec<_> = comparison.decoders.iter().map(Compared::influences).collect();
        if all.iter().all(Vec::is_empty) {
            return;
        }
        self.say(&format!(
            "\nChannels by loss of MAAE when held at the training mean (change of the output for one standard deviation), \
             the first {SHOWN}"
        ));
        for (decoder, influences) in comparison.decoders.iter().zip(&all) {
            let mut order: Vec<usize> = (0..influences.len()).collect();
            order.sort_by(|&left, &right| influences[right].maae_loss.total_cmp(&influences[left].maae_loss));
            let cells: Vec<String> = order
                .iter()
                .take(SHOWN)
                .map(|&channel| {
                    let change = influences[channel]
                        .change
                        .map_or_else(String::new, |change| format!(" ({:.0} %)", 100.0 * change));
                    let name = &comparison.channel_names[channel];
                    format!("{name} {:+.4}{change}", influences[channel].maae_loss)
                })
                .collect();
            self.line(&decoder.spec.to_string(), &cells.join(", "));
        }
    }
}

/// A number, or a dash where it is none.
fn known(value: f64, digits: usize) -> String {
    if value.is_nan() { "-".to_owned() } else { format!("{value:.digits$}") }
}

/// One decoder's errors by published uncertainty.
#[must_use]
pub fn uncertainty_text(decoder: &Compared) -> String {
    match (decoder.covariance(), decoder.by_uncertainty()) {
        (CovarianceKind::Constant, _) => "constant covariance".to_owned(),
        (CovarianceKind::Varying, None) => "too few rows".to_owned(),
        (CovarianceKind::Varying, Some(by)) => {
            format!("{:.2}, {:.2}", by.decile_ratio, by.rank_correlation)
        }
    }
}

fn coverage_text(figures: &Figures) -> String {
    let coverage = &figures.coverage;
    let [half, ninety, ninety_nine] =
        [coverage.half, coverage.ninety, coverage.ninety_nine].map(|part| 100.0 * part);
    format!("{half:.1}/{ninety:.1}/{ninety_nine:.1}")
}

fn intervals_text(intervals: &[Interval; 7]) -> String {
    let shown: [(f64, usize, usize); 7] = [
        (1.0, 4, 17),
        (1.0, 4, 17),
        (1.0, 2, 13),
        (100.0, 1, 13),
        (100.0, 1, 13),
        (100.0, 1, 13),
        (1.0, 3, 17),
    ];
    let cells: Vec<String> = intervals
        .iter()
        .zip(shown)
        .map(|(interval, (scale, digits, width))| {
            let cell = format!("{:.digits$}..{:.digits$}", scale * interval.low, scale * interval.high);
            format!("{cell:>width$}")
        })
        .collect();
    cells.join(" ")
}

fn summary_text(comparison: &Comparison, clean: f64, summary: &ChannelSummary) -> String {
    let cell = |angle: f64| format!("{angle:.4} ({:+.0} %)", 100.0 * (angle / clean - 1.0));
    let top = summary.top.map_or_else(|| "-".to_owned(), cell);
    let worst_channel = comparison.channel_names.get(summary.worst_channel).map_or("", String::as_str);
    format!("{clean:>7.4} {:>15} {top:>15} {:>15}  {worst_channel}", cell(summary.mean), cell(summary.worst))
}
