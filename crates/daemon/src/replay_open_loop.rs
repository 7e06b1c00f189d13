//! `kalmind replay` with another model or decoder: what it would have decoded from the recorded features, judged by the
//! recorded targets.

use std::path::Path;

use crate::{
    cli::{EvaluateArguments, ReplayArguments, TableArguments},
    evaluate_command,
    failure::{OrFail as _, Outcome},
    recorded::{gather, label_tables},
};
use kalmind_session::TaskBlock;

/// What such figures do not say; stands in the table, the document and the page.
pub const NOTE: &str = "Open-loop error of the intent against the recorded targets. It says nothing of online control: \
                        the participant reacted to the decoder of the session, and would have done otherwise with this one.";

/// Runs the command.
///
/// # Errors
/// Exit code 2 where the recording, the model or the decoder cannot be used, 1 for a fit that fails.
pub fn run(arguments: &ReplayArguments) -> Outcome<()> {
    let recording = &arguments.recording;
    let (rows, open_loop) = rows(recording)?;
    let model = arguments.model.clone();
    let (train, test) =
        if model.is_some() { (None, format!("0..{rows}")) } else { split(arguments, rows, open_loop)? };
    evaluate_command::run(&EvaluateArguments {
        tables: TableArguments {
            recording: Some(recording.clone()),
            blocks: Some("all".to_owned()),
            states_stream: None,
            state_channels: None,
            features: None,
            states: None,
            rate: None,
            task: None,
            zscore: true,
        },
        train,
        test: Some(test),
        folds: None,
        decoders: arguments.decoder.clone(),
        model,
        seed: arguments.seed,
        seeds: 1,
        budget: None,
        perturb: Vec::new(),
        influence: false,
        saturate: None,
        intervals: false,
        resamples: 2000,
        predictions: None,
        report: arguments.report.clone(),
        json: arguments.json,
        note: Some(NOTE),
    })
}

/// Rows of the whole session, and how many of them are from its open loop, which stands first.
fn rows(recording: &Path) -> Outcome<(usize, usize)> {
    let gathered = gather(recording, Some("all")).or_usage()?;
    let tables = label_tables(&gathered).or_usage()?;
    let open = gathered.rows.iter().filter(|(_, block)| *block == Some(TaskBlock::OpenLoop));
    let last = open.map(|(time, _)| time.0).fold(f64::NEG_INFINITY, f64::max);
    Ok((tables.time.len(), tables.time.iter().filter(|time| **time <= last).count()))
}

/// The open loop trains and the rest tests, unless rows are given.
fn split(arguments: &ReplayArguments, rows: usize, open_loop: usize) -> Outcome<(Option<String>, String)> {
    if open_loop == 0 || open_loop == rows {
        let error = anyhow::anyhow!(
            "{}: a decoder is fitted to the open loop and judged on what came after, and of {rows} rows {open_loop} are \
             from an open loop; `kalmind evaluate RECORDING --blocks all --train A..B --test C..D` takes any rows",
            arguments.recording.display()
        );
        return Err(error).or_usage();
    }
    Ok((Some(format!("0..{open_loop}")), format!("{open_loop}..{rows}")))
}
