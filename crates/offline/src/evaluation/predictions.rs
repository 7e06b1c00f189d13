//! What decoders gave, row by row, as CSV.

use std::{fmt::Write as _, fs, path::Path};

use kalmind_filter::Model;
use kalmind_recording::{Existing, write_new_file};
use kalmind_types::Intent;

use super::{comparison::Comparison, split::Scheme};

/// Writes one CSV for each run of each decoder into a folder.
///
/// # Errors
/// When the folder or a file cannot be written.
pub fn write_predictions(folder: &Path, comparison: &Comparison) -> anyhow::Result<()> {
    for (index, decoder) in comparison.decoders.iter().enumerate() {
        let name = decoder.spec.decoder.as_str();
        for run in &decoder.runs {
            let mut file = format!("{index}-{name}");
            let split = &comparison.splits.splits[run.split];
            if comparison.recordings.len() > 1 {
                let recording = &comparison.recordings[split.recording];
                let _infallible = write!(file, "-{}", recording.name.replace(['/', '\\'], "_"));
            }
            if matches!(comparison.splits.scheme, Scheme::Folds { .. }) {
                let _infallible = write!(file, "-fold{}", split.fold);
            }
            if comparison.seeds.len() > 1 {
                let _infallible = write!(file, "-seed{}", run.seed);
            }
            let first_row = comparison.own_rows(&split.test, split.recording).start;
            let intents = &run.decoded.intents;
            write_run(folder, &run.model.model, &format!("{file}.csv"), intents, first_row)?;
        }
    }
    Ok(())
}

/// One CSV: row, mean, covariance (lower triangle).
fn write_run(
    folder: &Path,
    model: &Model,
    file: &str,
    intents: &[Intent],
    first_row: usize,
) -> anyhow::Result<()> {
    fs::create_dir_all(folder)?;
    let names: Vec<&str> = model.components.iter().map(|component| component.name.as_str()).collect();
    let mut text = String::from("row");
    for name in &names {
        let _infallible = write!(text, ",{name}");
    }
    for (row, a) in names.iter().enumerate() {
        for b in names.iter().take(row + 1) {
            let _infallible = write!(text, ",covariance_{a}_{b}");
        }
    }
    for (row, intent) in intents.iter().enumerate() {
        let _infallible = write!(text, "\n{}", first_row + row);
        for value in intent.mean().iter().chain(intent.covariance()) {
            let _infallible = write!(text, ",{value}");
        }
    }
    text.push('\n');
    let path = folder.join(file);
    Ok(write_new_file(&path, Existing::Replace, text.as_bytes())?)
}
