//! The table of `evaluate --csv`: one row a recording, decoder, fold and seed, with all figures.

use std::path::Path;

use kalmind_filter::OPTIONS;
use kalmind_fitting::chance_level::Scores;
use kalmind_recording::{Existing, write_new_file};

use super::{
    comparison::{Compared, Comparison, Run},
    text::step_us,
};

/// Writes the table. What a run does not know is an empty cell.
///
/// # Errors
/// When the file cannot be written.
pub fn write_figures(path: &Path, comparison: &Comparison) -> anyhow::Result<()> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    let options = options(comparison);
    writer.write_record(heads(comparison, &options))?;
    for decoder in &comparison.decoders {
        for run in &decoder.runs {
            writer.write_record(cells(comparison, &options, decoder, run))?;
        }
    }
    let text = writer.into_inner().map_err(|error| anyhow::anyhow!("{}: {error}", path.display()))?;
    Ok(write_new_file(path, Existing::Replace, &text)?)
}

/// The options that any of the decoders has, in their usual order: a column each.
fn options(comparison: &Comparison) -> Vec<&'static str> {
    let written = |name: &str| comparison.decoders.iter().any(|decoder| decoder.spec.get(name).is_some());
    OPTIONS.iter().map(|info| info.name).filter(|name| written(name)).collect()
}

fn heads(comparison: &Comparison, options: &[&'static str]) -> Vec<String> {
    let mut heads: Vec<String> = ["recording", "decoder"].map(str::to_owned).to_vec();
    heads.extend(options.iter().map(|name| (*name).to_owned()));
    let facts = ["fold", "seed", "train_rows", "test_from", "test_to", "rows_left_out"];
    let figures = [
        "nrmse",
        "r2",
        "correlation",
        "maae",
        "maae_moving",
        "nees",
        "coverage_50",
        "coverage_90",
        "coverage_99",
        "log_score",
    ];
    heads.extend(facts.into_iter().chain(figures).map(str::to_owned));
    for figure in ["r2", "correlation"] {
        heads.extend(comparison.components.iter().map(|component| format!("{figure}_{component}")));
    }
    for level in ["chance", "chance_5", "training_mean"] {
        heads.extend(["nrmse", "r2", "correlation", "maae"].map(|figure| format!("{figure}_{level}")));
    }
    let costs = ["fallback_steps", "fit_seconds", "step_us_p50", "step_us_p99", "step_us_max"];
    heads.extend(costs.map(str::to_owned));
    heads
}

fn cells(comparison: &Comparison, options: &[&'static str], decoder: &Compared, run: &Run) -> Vec<String> {
    let split = &comparison.splits.splits[run.split];
    let test = comparison.own_rows(&split.test, split.recording);
    let trained: usize = split.train.iter().map(ExactSizeIterator::len).sum();
    let mut cells =
        vec![comparison.recordings[split.recording].file.clone(), decoder.spec.decoder.as_str().to_owned()];
    cells.extend(options.iter().map(|name| decoder.spec.get(name).unwrap_or_default()));
    cells.extend([
        split.fold.to_string(),
        run.seed.to_string(),
        if trained > 0 { trained.to_string() } else { String::new() },
        test.start.to_string(),
        test.end.to_string(),
        run.accuracy.rows_left_out.to_string(),
    ]);
    let figures = run.figures();
    let scores = run.chance.as_ref().map(|chance| chance.scores);
    let of = |scores: Option<Scores>| scores.map_or([f64::NAN; 4], |scores| scores.values());
    let [_, r_squared, correlation, _] = of(scores);
    let coverage = figures.coverage;
    let moving = run.accuracy.maae_moving.unwrap_or(f64::NAN);
    let mut numbers = vec![
        figures.nrmse,
        r_squared,
        correlation,
        figures.maae,
        moving,
        figures.nees,
        coverage.half,
        coverage.ninety,
        coverage.ninety_nine,
        figures.log_score,
    ];
    let components = comparison.components.len();
    let r_squared = run.chance.as_ref().map(|chance| chance.r_squared.clone());
    numbers.extend(r_squared.unwrap_or_else(|| vec![f64::NAN; components]));
    numbers.extend(&run.accuracy.correlation);
    let level = run.chance.as_ref().and_then(super::chance::Chance::level);
    let constant = run.chance.as_ref().and_then(|chance| chance.constant);
    numbers.extend(of(level.map(|level| level[0])));
    numbers.extend(of(level.map(|level| level[1])));
    numbers.extend(of(constant));
    cells.extend(numbers.into_iter().map(number));
    cells.push(run.decoded.fallback_steps.to_string());
    cells.push(number(run.fit_seconds.unwrap_or(f64::NAN)));
    cells.extend(step_us(core::slice::from_ref(run)).map(number));
    cells
}

/// A number as it reads back, or nothing where it is none.
fn number(value: f64) -> String {
    if value.is_nan() { String::new() } else { value.to_string() }
}
