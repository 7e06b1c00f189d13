//! `kalmind evaluate`: decoders on held-out rows, run by the engine of the live tick.

use std::{
    io::Write as _,
    path::{Path, PathBuf},
};

use clap::Args;
use kalmind_filter::DecoderSpec;
use kalmind_offline::{
    Decoders, Division, EvaluateOptions, Evaluation, LiveSettings, TableOptions,
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
    commands::{
        beginning,
        command::Command,
        table_arguments::TableArguments,
        values::{budget, deviations},
    },
    configuration::Configuration,
    failure::{OrFail as _, Outcome},
    starting::plan::{BIN_MS, EPOCH_JUMP},
    terminal::Terminal,
};

/// What figures of rows from a closed loop do not say; stands in the table, the document and the page.
pub(crate) const NOTE: &str = "Open-loop error of the intent against the recorded targets. It says nothing of online control: \
                        the participant reacted to the decoder of the session, and would have done otherwise with this one.";

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
    /// What the figures do not say, where that is known before the rows are read.
    pub(crate) note: Option<&'static str>,
}

impl Outputs {
    /// Whether anybody reads the chance level.
    pub(crate) fn with_chance(&self) -> bool {
        !self.json || self.chance || self.csv.is_some() || self.report.is_some()
    }
}

/// Compare decoders on held-out rows, as the live daemon would run them.
#[expect(clippy::struct_excessive_bools, reason = "each is a switch of the command line")]
#[derive(Args, Clone, Debug)]
#[command(
    after_help = "Example: kalmind evaluate --features x.csv --states z.csv --rate 10 --train 0..5000 --test 5000..6000 --decoders kalman,dkf-nw:lags=1,5,10\n         kalmind evaluate monday.xdf tuesday.xdf friday.xdf --leave-one-out --decoders kalman,wiener --csv figures.csv\n`kalmind evaluate --help DECODER` lists a decoder's options."
)]
pub struct EvaluateArguments {
    /// Tables.
    #[command(flatten)]
    pub tables: TableArguments,
    /// Training rows of each recording, half-open, from 0; with --folds the rows that are cut into folds [default there: all].
    #[arg(long, value_name = "A..B", conflicts_with = "model")]
    pub train: Option<String>,
    /// Test rows of each recording, half-open, from 0; or a recording (of tables the file of its features) to test on after
    /// training on all others, which may be repeated.
    #[arg(long, value_name = "C..D|FILE", conflicts_with = "folds")]
    pub test: Vec<String>,
    /// Cross-validate instead: cut the rows of each recording into N blocks, test on each after training on the others.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u8).range(2..=100), conflicts_with = "model")]
    pub folds: Option<u8>,
    /// Test on each recording in turn after training on all others.
    #[arg(long, conflicts_with_all = ["model", "folds", "train", "test"])]
    pub leave_one_out: bool,
    /// Keep every trial in one piece: move the ends of --train and --test, and the edges of folds, to the nearest start of a trial.
    /// Where there is no task (--task, a session's targets), a gap in time ends a trial.
    #[arg(long, conflicts_with = "leave_one_out")]
    pub whole_trials: bool,
    /// The rows are from a closed loop: say with the figures that they are none of online control. Known of the closed loop of
    /// Kalmind sessions.
    #[arg(long)]
    pub closed_loop: bool,
    /// Decoders to compare, separated by commas; may be repeated. Several values of an option make a grid:
    /// `dkf-nw:lags=1,5,10`. Differences are to the first.
    #[arg(long, value_name = "LIST", required_unless_present = "model", conflicts_with = "model")]
    pub decoders: Vec<String>,
    /// A fitted model instead of decoders to fit.
    #[arg(long, value_name = "MODEL")]
    pub model: Option<PathBuf>,
    /// Seed of whatever is random in the fits, and of the bootstrap.
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub seed: u64,
    /// Fit with N seeds, from --seed up, and print means; decoders that no seed changes are fitted once.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u8).range(1..=100), conflicts_with = "model")]
    pub seeds: u8,
    /// Time limit for each fit, in seconds [default: none].
    #[arg(long, value_name = "SECONDS", value_parser = budget, allow_negative_numbers = true, conflicts_with = "model")]
    pub budget: Option<f64>,
    /// Offset on a channel (column name or number from 0; `all` for each in turn) during the test, in standard deviations
    /// of its training rows; may be repeated.
    #[arg(long, value_name = "CHANNEL:OFFSET", allow_hyphen_values = true)]
    pub perturb: Vec<String>,
    /// Measure the influence of each channel on the output: decodes the test rows twice per channel.
    #[arg(long)]
    pub influence: bool,
    /// Keep features within Z training standard deviations of the training mean, in training and test.
    #[arg(long, value_name = "Z", value_parser = deviations, allow_negative_numbers = true, conflicts_with = "model")]
    pub saturate: Option<f64>,
    /// Confidence intervals in the JSON document as well.
    #[arg(long)]
    pub intervals: bool,
    /// Put R squared and the chance level into the JSON document as well.
    #[arg(long)]
    pub chance: bool,
    /// Bootstrap resamples for the intervals.
    #[arg(long, value_name = "N", default_value_t = 2000, value_parser = clap::value_parser!(u32).range(100..=100_000))]
    pub resamples: u32,
    /// Table to write: one row per recording, decoder and fold, with all figures.
    #[arg(long, value_name = "FILE.csv")]
    pub csv: Option<PathBuf>,
    /// Folder for one CSV per decoder: row, mean, covariance (lower triangle).
    #[arg(long, value_name = "DIR")]
    pub predictions: Option<PathBuf>,
    /// Report page to write: figures with intervals, traces, calibration, robustness, what each fit chose; loads nothing
    /// from a network.
    #[arg(long, value_name = "FILE.html")]
    pub report: Option<PathBuf>,
    /// Print one JSON document on stdout.
    #[arg(long)]
    pub json: bool,
}

impl Command for EvaluateArguments {
    const TAKES_DECODERS: bool = true;

    fn run(&self) -> Outcome<()> {
        beginning::offline()?;
        run(self)
    }
}

/// Runs the command.
///
/// # Errors
/// Exit code 2 for arguments, tables and models that cannot be used, 1 for a fit that fails or a file that cannot be
/// written.
fn run(arguments: &EvaluateArguments) -> Outcome<()> {
    let outputs = Outputs {
        intervals: arguments.intervals,
        chance: arguments.chance,
        resamples: arguments.resamples,
        csv: arguments.csv.clone(),
        predictions: arguments.predictions.clone(),
        report: arguments.report.clone(),
        json: arguments.json,
        note: arguments.closed_loop.then_some(NOTE),
    };
    let tables = arguments.tables.options()?;
    let options = options(arguments, tables, &outputs).or_usage()?;
    evaluate(&options, &outputs)
}

/// What the command line asks for.
fn options(
    arguments: &EvaluateArguments,
    tables: TableOptions,
    outputs: &Outputs,
) -> anyhow::Result<EvaluateOptions> {
    Ok(EvaluateOptions {
        tables,
        division: division(arguments)?,
        whole_trials: arguments.whole_trials,
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
                !arguments.whole_trials,
                "--whole-trials: with --test FILE no recording is divided; leave it out, or give rows or --folds"
            );
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
    let note = outputs.note.or(comparison.closed_loop.then_some(NOTE));
    if let Some(folder) = &outputs.predictions {
        write_predictions(folder, &comparison).or_work()?;
    }
    if let Some(path) = &outputs.csv {
        write_figures(path, &comparison).or_work()?;
    }
    print(options, outputs, note, &comparison)
}

fn print(
    options: &EvaluateOptions,
    outputs: &Outputs,
    note: Option<&str>,
    comparison: &Comparison,
) -> Outcome<()> {
    let wanted = outputs.intervals || outputs.report.is_some() || !outputs.json;
    let intervals = wanted.then(|| Intervals::of(comparison, outputs.resamples, options.seed));
    if let (Some(path), Some(intervals)) = (&outputs.report, &intervals) {
        let command: Vec<String> = std::env::args().collect();
        let origin = Origin { options, command: &command, note };
        let page = report::page(&origin, comparison, intervals).or_work()?;
        write_new_file(path, Existing::Replace, page.as_bytes()).or_work()?;
    }
    let mut out = std::io::stdout().lock();
    match &intervals {
        Some(intervals) if !outputs.json => {
            write!(out, "{}", text::tables(comparison, intervals)).or_work()?;
            note.map_or(Ok(()), |note| writeln!(out, "{note}")).or_work()
        }
        intervals => {
            let asked = intervals.as_ref().filter(|_| outputs.intervals);
            let mut document = document(comparison, asked, outputs.chance);
            if !comparison.remarks.is_empty() {
                document["remarks"] = comparison.remarks.clone().into();
            }
            if let Some(note) = note {
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
