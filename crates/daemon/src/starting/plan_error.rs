//! Why a run cannot start.

use std::path::PathBuf;

use kalmind_acquisition::{ResolveError, is_rate};
use kalmind_signal::ChainError;
use kalmind_types::{ChannelMask, StreamDescription};

/// What `bin_ms` can be at most.
const LONGEST_BIN_MS: f64 = 200.0;

/// Why a run cannot start as configured.
#[derive(Debug, thiserror::Error)]
pub enum PlanError {
    /// A stream was not found.
    #[error("stream \"{key}\": {source}")]
    Resolve {
        /// Its key in the configuration.
        key: String,
        /// What was found instead.
        source: ResolveError,
    },
    /// A further stream to record was not found.
    #[error("[[record.stream]] \"{key}\": {source}; set required = false there to start without it")]
    ResolveRecorded {
        /// Its key in the configuration.
        key: String,
        /// What was found instead.
        source: ResolveError,
    },
    /// A stream that is not required was not found, and what it would contribute is not known.
    #[error(
        "stream \"{key}\": {source}; it is not required, but a run can begin without it only where `channels` says how \
         many features it contributes (or a model with as many streams does)"
    )]
    ResolveOptional {
        /// Its key in the configuration.
        key: String,
        /// What was found instead.
        source: ResolveError,
    },
    /// Several streams were not found.
    #[error("{} streams were not found:{}", .problems.len(), bullets(.problems))]
    ResolveSeveral {
        /// One sentence each.
        problems: Vec<String>,
    },
    /// A string stream was named where numbers are needed.
    #[error(
        "stream \"{key}\" carries text; only streams of numbers can be decoded (a task's markers go into [task])"
    )]
    NotNumeric {
        /// Its key.
        key: String,
    },
    /// Another number of channels.
    #[error("stream \"{key}\" has {found} channels, the configuration says channels = {expected}")]
    Channels {
        /// Its key.
        key: String,
        /// Configured.
        expected: usize,
        /// Found.
        found: usize,
    },
    /// A stream in another unit than its settings are in.
    #[error(
        "stream \"{key}\" is in \"{found}\", and the configuration says unit = \"{expected}\": scales and limits in its stages \
         would mean something else; correct them and `unit`, or what the sender says"
    )]
    Unit {
        /// Its key.
        key: String,
        /// Configured.
        expected: String,
        /// Found.
        found: String,
    },
    /// A leading stream without a rate.
    #[error("stream \"{key}\" is irregular (nominal rate 0); with binning = \"sample\" it needs rate_hz")]
    NoRate {
        /// Its key.
        key: String,
    },
    /// A stream's stages cannot run on it.
    #[error("stream \"{key}\": {error}")]
    Stages {
        /// Its key.
        key: String,
        /// Why.
        error: ChainError,
    },
    /// A derived stream of which too few samples make up a bin.
    #[error(
        "stream \"{key}\": {in_a_bin:.1} samples of its stages make a bin of {bin_ms} ms, and it takes {least}: {}",
        longer_bins(.bin_ms * .least / .in_a_bin)
    )]
    FewInABin {
        /// Its key.
        key: String,
        /// Samples in a bin.
        in_a_bin: f64,
        /// Width of a bin.
        bin_ms: f64,
        /// How many it takes.
        least: f64,
    },
    /// A window that cannot be cut.
    #[error("[[window]] \"{key}\": {problem}")]
    Window {
        /// Its key.
        key: String,
        /// Why not.
        problem: String,
    },
    /// A header with a rate that no stream has.
    #[error(
        "stream \"{key}\" says that it sends {rate_hz} samples a second; rates from 0 (irregular) to 1000000 are possible: correct the \
         nominal rate in the sending program"
    )]
    NoSuchRate {
        /// Its key.
        key: String,
        /// What its header says.
        rate_hz: f64,
    },
    /// A stream of places (`[cursor.position_from]`, `[task.targets_from]`) that has none.
    #[error("stream \"{key}\": {problem}")]
    NoPlaces {
        /// What it is followed for.
        key: String,
        /// What is missing.
        problem: String,
    },
    /// The leading stream's rate and the bins differ.
    #[error(
        "stream \"{key}\" sends {rate_hz} samples a second, one bin each, so bins are {period_ms} ms wide; the \
         configuration says bin_ms = {bin_ms}: set [bins] bin_ms = {period_ms}, or another binning"
    )]
    BinWidth {
        /// Its key.
        key: String,
        /// Its rate.
        rate_hz: f64,
        /// The bin width that this means.
        period_ms: f64,
        /// The width configured.
        bin_ms: f64,
    },
    /// A leading stream that is too fast or too slow for bins.
    #[error(
        "stream \"{key}\" sends {rate_hz} samples a second; with binning = \"sample\" each is a bin, and bins are 1 to \
         200 ms wide (5 to 1000 samples a second): use binning = \"mean\" or \"sum\""
    )]
    Rate {
        /// Its key.
        key: String,
        /// Its rate.
        rate_hz: f64,
    },
    /// Every channel is switched off.
    #[error("every channel of every stream is masked; there is nothing left to decode from")]
    AllMasked,
    /// A masked channel that there is not.
    #[error("stream \"{key}\" has no channel {channel} to mask; it has {channels}")]
    NoSuchChannel {
        /// Its key.
        key: String,
        /// As configured.
        channel: String,
        /// What there is.
        channels: String,
    },
    /// A masked channel that no mask can name.
    #[error(
        "stream \"{key}\": channel {channel} cannot be masked; only the first {} channels of a stream can",
        ChannelMask::CHANNELS
    )]
    BeyondMask {
        /// Its key.
        key: String,
        /// As configured.
        channel: String,
    },
    /// The cursor is to follow a component that is not decoded.
    #[error("[cursor] components names \"{name}\", but the intent's components are {known}")]
    NoSuchComponent {
        /// As configured.
        name: String,
        /// What there is.
        known: String,
    },
    /// The model does not fit the run.
    #[error("the model {} does not fit this run:{}", .path.display(), bullets(.differences))]
    Model {
        /// Its file.
        path: PathBuf,
        /// What differs.
        differences: Vec<String>,
    },
    /// None of the participant's saved models fits the run.
    #[error(
        "no saved model in {} fits this run:{}\nstart without --resume, and calibrate",
        .folder.display(), bullets(&nothing_at_all(.passed_over))
    )]
    NothingToResume {
        /// Where they are.
        folder: PathBuf,
        /// Why not, a sentence each.
        passed_over: Vec<String>,
    },
    /// `--resume` without a participant.
    #[error("--resume takes the newest saved model of a participant: set [subject] code")]
    ResumeWithoutParticipant,
    /// `start = "control"` and nothing to control with.
    #[error("start = \"control\" needs a model: set [decoder] model, or start = \"idle\"")]
    ControlWithoutModel,
}

/// One line each.
fn bullets(lines: &[String]) -> String {
    lines.iter().fold(String::new(), |text, line| text + "\n  - " + line)
}

/// The same, where there are none.
fn nothing_at_all(lines: &[String]) -> Vec<String> {
    if lines.is_empty() { vec!["there is none".to_owned()] } else { lines.to_vec() }
}

/// Whether a stream can send as often as its header says.
///
/// # Errors
/// [`PlanError::NoSuchRate`].
pub(crate) fn check_rate(key: &str, found: &StreamDescription) -> Result<(), PlanError> {
    let rate_hz = found.nominal_rate_hz;
    if is_rate(rate_hz) { Ok(()) } else { Err(PlanError::NoSuchRate { key: key.to_owned(), rate_hz }) }
}

/// What to do where a bin has to be so long for the samples of its stages.
fn longer_bins(needed_ms: f64) -> String {
    if needed_ms <= LONGEST_BIN_MS {
        format!("set bin_ms = {} or more under [bins], or binning = \"sample\"", needed_ms.ceil())
    } else {
        format!(
            "a bin has at most {LONGEST_BIN_MS} ms, so have the stages give more (a shorter `output_ms`, a smaller `factor`), or set \
             binning = \"sample\" or \"latest\""
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bins_are_not_asked_for_that_are_too_long() {
        let told = |in_a_bin| {
            PlanError::FewInABin { key: "array".to_owned(), in_a_bin, bin_ms: 20.0, least: 10.0 }.to_string()
        };
        assert!(
            told(4.0).ends_with("set bin_ms = 50 or more under [bins], or binning = \"sample\""),
            "{}",
            told(4.0)
        );
        assert!(told(1.0).contains("bin_ms = 200 or more"), "{}", told(1.0));
        assert!(told(0.7).contains("at most 200 ms") && !told(0.7).contains("bin_ms ="), "{}", told(0.7));
    }
}
