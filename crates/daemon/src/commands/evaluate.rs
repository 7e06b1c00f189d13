//! `kalmind evaluate`: decoders on held-out rows, run by the engine of the live tick.

use std::{
    io::Write as _,
    path::{Path, PathBuf},
};

use kalmind_filter::DecoderSpec;
use kalmind_offline::{
    Decoders, Division, EvaluateOptions, Evaluation, LiveSettings,
    evaluation::{
        comparison::{Comparison, Intervals},
        document::document,
        figures_table::write_figures,
        predictions::write_predictions,
        text,
    },
    report::{self, Origin},
    tables::require_other_file,
};
use kalmind_recording::{Existing, parse_rows, write_new_file};
use kalmind_types::Seconds;

use crate::{
    commands::command_line::EvaluateArguments,
    configuration::Configuration,
    failure::{OrFail as _, Outcome},
    starting::plan::{BIN_MS, EPOCH_JUMP},
    terminal::Terminal,
};

/// Where the figures go.
#[derive(Clone, Debug)]
pub(crate) struct Outputs {
    /// Whether the JSON document has confidence intervals.
    pub(crate) intervals: bool,
    /// Whether the JSON document has the chance level.
    pub(crate) chance: bool,
    /// Bootstrap resamples for the intervals.
    pub(crate) resamples: u32,
    /// Table to write.
    pub(crate) csv: Option<PathBuf>,
    /// Folder for predictions.
    pub(crate) predictions: Option<PathBuf>,
    /// Page to write.
    pub(crate) report: Option<PathBuf>,
    /// Whether one JSON document is printed.
    pub(crate) json: bool,
    /// What the figures do not say.
    pub(crate) note: Option<&'static str>,
}

impl Outputs {
    /// Whether anybody reads the chance level.
    pub(crate) fn with_chance(&self) -> bool {
        !self.json || self.chance || self.csv.is_some() || self.report.is_some()
    }
}

/// Runs the command.
///
/// # Errors
/// Exit code 2 for arguments, tables and models that cannot be used, 1 for a fit that fails or a file that cannot be
/// written.
pub fn run(arguments: &EvaluateArguments) -> Outcome<()> {
    let outputs = Outputs {
        intervals: arguments.intervals,
        chance: arguments.chance,
        resamples: arguments.resamples,
        csv: arguments.csv.clone(),
        predictions: arguments.predictions.clone(),
        report: arguments.report.clone(),
        json: arguments.json,
        note: None,
    };
    let options = options(arguments, &outputs).or_usage()?;
    evaluate(&options, &outputs)
}

/// What the command line asks for.
fn options(arguments: &EvaluateArguments, outputs: &Outputs) -> anyhow::Result<EvaluateOptions> {
    Ok(EvaluateOptions {
        tables: arguments.tables.options(),
        division: division(arguments)?,
        decoders: match &arguments.model {
            Some(path) => Decoders::Model(path.clone()),
            None => Decoders::Fitted(DecoderSpec::parse_list(&arguments.decoders.join(","))?),
        },
        seed: arguments.seed,
        seeds: arguments.seeds,
        budget: arguments.budget,
        perturb: arguments.perturb.clone(),
        influence: arguments.influence || arguments.report.is_some(),
        saturate: arguments.saturate,
        chance: outputs.with_chance(),
        live: live_settings(),
    })
}

/// How a run would decode, where nothing is configured.
pub(crate) fn live_settings() -> LiveSettings {
    let configuration = Configuration::default();
    LiveSettings {
        bin_ms: BIN_MS,
        epoch_jump: EPOCH_JUMP,
        restart_after: Seconds::from_millis(configuration.bins.restart_after_ms),
        plausibility: configuration.decoder.plausibility,
        guard: configuration.decoder.guard,
    }
}

/// Whether a text after `--test` is meant as rows.
fn is_range(text: &str) -> bool {
    text.contains("..") && !text.contains(['/', '\\']) && !Path::new(text).is_file()
}

/// Which rows the command line names.
fn division(arguments: &EvaluateArguments) -> anyhow::Result<Division> {
    let rows = |option, text: &str| parse_rows(text).map_err(|source| anyhow::anyhow!("{option}: {source}"));
    let train = || arguments.train.as_deref().map(|text| rows("--train", text)).transpose();
    if let Some(folds) = arguments.folds {
        return Ok(Division::Folds { rows: train()?, folds: folds.into() });
    }
    if arguments.leave_one_out {
        return Ok(Division::LeaveOneOut);
    }
    let (ranges, files): (Vec<&String>, Vec<&String>) =
        arguments.test.iter().partition(|text| is_range(text));
    match (files.as_slice(), ranges.as_slice()) {
        ([], [test]) => {
            anyhow::ensure!(
                arguments.train.is_some() || arguments.model.is_some(),
                "--test {test}: say with --train A..B which rows to fit to"
            );
            Ok(Division::Rows { train: train()?, test: rows("--test", test)? })
        }
        ([], []) => anyhow::bail!(
            "nothing says which rows test: --test C..D (with --train A..B to fit), --folds N, or with several recordings \
             --test FILE or --leave-one-out"
        ),
        (files, []) => {
            anyhow::ensure!(
                arguments.train.is_none(),
                "--train counts the rows of a recording; with --test FILE all rows of the other recordings train"
            );
            Ok(Division::Files(files.iter().map(PathBuf::from).collect()))
        }
        _ => anyhow::bail!("--test: give one range of rows, or recordings, not both"),
    }
}

/// Evaluates, writes what is asked for and prints the rest.
///
/// # Errors
/// As [`run`].
pub(crate) fn evaluate(options: &EvaluateOptions, outputs: &Outputs) -> Outcome<()> {
    check_outputs(options, outputs).or_usage()?;
    let evaluation = Evaluation::prepare(options, &Terminal).or_usage()?;
    let comparison = evaluation.run(&Terminal).or_work()?;
    if let Some(folder) = &outputs.predictions {
        write_predictions(folder, &comparison).or_work()?;
    }
    if let Some(path) = &outputs.csv {
        write_figures(path, &comparison).or_work()?;
    }
    print(options, outputs, &comparison)
}

fn print(options: &EvaluateOptions, outputs: &Outputs, comparison: &Comparison) -> Outcome<()> {
    let wanted = outputs.intervals || outputs.report.is_some() || !outputs.json;
    let intervals = wanted.then(|| Intervals::of(comparison, outputs.resamples, options.seed));
    if let (Some(path), Some(intervals)) = (&outputs.report, &intervals) {
        let command: Vec<String> = std::env::args().collect();
        let origin = Origin { options, command: &command, note: outputs.note };
        let page = report::page(&origin, comparison, intervals).or_work()?;
        write_new_file(path, Existing::Replace, page.as_bytes()).or_work()?;
    }
    let mut out = std::io::stdout().lock();
    match &intervals {
        Some(intervals) if !outputs.json => {
            write!(out, "{}", text::tables(comparison, intervals)).or_work()?;
            outputs.note.map_or(Ok(()), |note| writeln!(out, "{note}")).or_work()
        }
        intervals => {
            let asked = intervals.as_ref().filter(|_| outputs.intervals);
            let mut document = document(comparison, asked, outputs.chance);
            if !comparison.remarks.is_empty() {
                document["remarks"] = comparison.remarks.clone().into();
            }
            if let Some(note) = outputs.note {
                document["note"] = note.into();
            }
            writeln!(out, "{document}").or_work()
        }
    }
}

/// Whether what is written at the end can be: no hour of fitting for a folder that is not there, and nothing over what is read.
fn check_outputs(options: &EvaluateOptions, outputs: &Outputs) -> anyhow::Result<()> {
    for (option, path) in [("--report", &outputs.report), ("--csv", &outputs.csv)] {
        if let Some(path) = path {
            check_writable(option, path)?;
            let others = options.model().into_iter().chain(options.test_files());
            require_other_file(option, path, options.tables.files().chain(others))?;
        }
    }
    Ok(())
}

/// Whether a file can be made there.
fn check_writable(option: &str, path: &Path) -> anyhow::Result<()> {
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    anyhow::ensure!(
        folder.is_dir(),
        "{option} {}: there is no folder {}; make it, or write elsewhere",
        path.display(),
        folder.display()
    );
    anyhow::ensure!(!path.is_dir(), "{option} {}: this is a folder; name a file in it", path.display());
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_told_from_files() {
        assert!(is_range("5..10") && is_range("0..x") && is_range(".."));
        assert!(!is_range("../friday.xdf") && !is_range("friday.xdf"));
    }
}
