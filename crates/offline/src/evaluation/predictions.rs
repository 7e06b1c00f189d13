//! What decoders gave, row by row, as CSV.

use std::{fmt::Write as _, fs, path::Path};

use kalmind_filter::Model;
use kalmind_recording::{Existing, write_new_file};
use kalmind_types::Intent;

/// One CSV a decoder: row, mean, covariance (lower triangle).
///
/// # Errors
/// When the folder or the file cannot be written.
pub fn write_predictions(
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
