//! Which rows train and which test.

use std::{ops::Range, path::PathBuf};

use crate::{
    evaluation::trials::Trials,
    options::{Division, EvaluateOptions},
    tables::{Tables, same_file},
};

/// Rows to fit to and rows to judge on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Split {
    /// The recording whose rows are judged, by its place.
    pub recording: usize,
    /// Which fold of that recording; 0 where it is not cut.
    pub fold: usize,
    /// Training rows, in ascending ranges, each within one recording; none where a fitted model is judged.
    pub train: Vec<Range<usize>>,
    /// Test rows; decoded cold from the first.
    pub test: Range<usize>,
}

/// How rows were divided.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Scheme {
    /// The same rows of each recording, counted in it; no training rows where a fitted model is judged.
    Rows {
        /// To fit to.
        train: Option<Range<usize>>,
        /// To judge on.
        test: Range<usize>,
    },
    /// Each recording cut into blocks, each block tested by a fit to the others.
    Folds {
        /// Rows of each recording that were cut, counted in it, where they were given or there is one recording.
        rows: Option<Range<usize>>,
        /// How many.
        folds: usize,
    },
    /// Some recordings tested by a fit to all others, or by a fitted model.
    Files,
    /// Each recording tested by a fit to all others.
    LeaveOneOut,
}

/// All splits of an evaluation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Splits {
    /// How rows were divided.
    pub scheme: Scheme,
    /// At least one.
    pub splits: Vec<Split>,
    /// The trials, where rows were divided between them alone.
    pub whole_trials: Option<Trials>,
}

impl Splits {
    /// The splits that `options` ask for.
    ///
    /// # Errors
    /// A range that is not in the tables, fewer rows than folds need, or recordings that leave nothing to train on.
    pub fn of(options: &EvaluateOptions, tables: &Tables) -> anyhow::Result<Self> {
        let trials = options.whole_trials.then(|| Trials::of(tables));
        match &options.division {
            Division::Rows { train, test } => Self::rows(train.as_ref(), test, tables, trials),
            Division::Folds { rows, folds } => Self::folds(rows.as_ref(), tables, *folds, trials),
            Division::Files(files) => Self::files(files, tables, options.model().is_some()),
            Division::LeaveOneOut => {
                anyhow::ensure!(
                    tables.parts.len() > 1,
                    "--leave-one-out: {} alone leaves nothing to train on; give several recordings, or cut this one with --folds N",
                    tables.file_name(0)
                );
                let splits =
                    (0..tables.parts.len()).map(|recording| leaving_out(tables, &[recording], recording));
                Ok(Self { scheme: Scheme::LeaveOneOut, splits: splits.collect(), whole_trials: None })
            }
        }
    }

    fn rows(
        train: Option<&Range<usize>>,
        test: &Range<usize>,
        tables: &Tables,
        trials: Option<Trials>,
    ) -> anyhow::Result<Self> {
        let mut splits = Vec::new();
        for recording in 0..tables.parts.len() {
            let rows = |option, rows| asked_rows(tables, recording, option, rows, trials.as_ref());
            let train = train.map(|train| rows("--train", train)).transpose()?;
            let test = rows("--test", test)?;
            splits.push(Split { recording, fold: 0, train: train.into_iter().collect(), test });
        }
        // counted in each recording they are the same, unless they were moved to each one's trials
        let scheme = if tables.parts.len() == 1 {
            Scheme::Rows { train: splits[0].train.first().cloned(), test: splits[0].test.clone() }
        } else {
            Scheme::Rows { train: train.cloned(), test: test.clone() }
        };
        Ok(Self { scheme, splits, whole_trials: trials })
    }

    fn folds(
        asked: Option<&Range<usize>>,
        tables: &Tables,
        folds: usize,
        trials: Option<Trials>,
    ) -> anyhow::Result<Self> {
        let mut splits = Vec::new();
        let mut cut = None;
        for (recording, part) in tables.parts.iter().enumerate() {
            let rows = match asked {
                Some(rows) => asked_rows(tables, recording, "--train", rows, trials.as_ref())?,
                None => part.rows.clone(),
            };
            anyhow::ensure!(
                rows.len() >= 2 * folds,
                "--folds {folds}: {} rows of {} are too few to cut; give fewer folds or more rows",
                rows.len(),
                part.file.display()
            );
            let edges = match &trials {
                Some(trials) => trials.fold_edges(&rows, folds)?,
                None => (0..=folds).map(|fold| rows.start + fold * rows.len() / folds).collect(),
            };
            splits.extend(blocked_folds(recording, &edges));
            cut.get_or_insert(rows.start - part.rows.start..rows.end - part.rows.start);
        }
        let rows = cut.filter(|_| asked.is_some() || tables.parts.len() == 1);
        Ok(Self { scheme: Scheme::Folds { rows, folds }, splits, whole_trials: trials })
    }

    fn files(files: &[PathBuf], tables: &Tables, fitted: bool) -> anyhow::Result<Self> {
        let mut tested: Vec<usize> = Vec::new();
        for file in files {
            let place = tables.parts.iter().position(|part| same_file(&part.file, file));
            let place = place.ok_or_else(|| anyhow::anyhow!("--test {}: it was not read", file.display()))?;
            anyhow::ensure!(!tested.contains(&place), "--test {}: it is named twice", file.display());
            tested.push(place);
        }
        anyhow::ensure!(
            fitted || tested.len() < tables.parts.len(),
            "--test: every recording is tested and none is left to train on; give one more"
        );
        let splits = tested.iter().map(|&recording| {
            let mut split = leaving_out(tables, &tested, recording);
            if fitted {
                split.train.clear();
            }
            split
        });
        Ok(Self { scheme: Scheme::Files, splits: splits.collect(), whole_trials: None })
    }

    /// How rows were divided between trials, in words; `None` where they were divided anywhere.
    #[must_use]
    pub fn by_trials(&self) -> Option<String> {
        let trials = self.whole_trials.as_ref()?;
        let tested: Vec<String> =
            self.splits.iter().map(|split| trials.count(&split.test).to_string()).collect();
        let trained = match self.splits.as_slice() {
            [Split { train, .. }] if !train.is_empty() => {
                format!(", {} trained", train.iter().map(|rows| trials.count(rows)).sum::<usize>())
            }
            _ => String::new(),
        };
        Some(format!(
            "rows are divided between trials: {} trials by {}{trained}, {} tested",
            trials.starts.len(),
            trials.ended_by(),
            tested.join(" + ")
        ))
    }

    /// Whether figures are means over several splits.
    #[must_use]
    pub fn folded(&self) -> bool {
        self.splits.len() > 1
    }

    /// How many rows are judged.
    #[must_use]
    pub fn test_rows(&self) -> usize {
        self.splits.iter().map(|split| split.test.len()).sum()
    }

    /// From the first test row to the last.
    #[must_use]
    pub fn span(&self) -> Range<usize> {
        let starts = self.splits.iter().map(|split| split.test.start);
        let ends = self.splits.iter().map(|split| split.test.end);
        starts.min().unwrap_or_default()..ends.max().unwrap_or_default()
    }
}

/// The rows of all recordings but `without`, and those of `recording` as test.
fn leaving_out(tables: &Tables, without: &[usize], recording: usize) -> Split {
    let train = tables.parts.iter().enumerate().filter(|(place, _)| !without.contains(place));
    Split {
        recording,
        fold: 0,
        train: train.map(|(_, part)| part.rows.clone()).collect(),
        test: tables.parts[recording].rows.clone(),
    }
}

/// Rows of a recording that an option asks for, moved to whole trials where these are given.
fn asked_rows(
    tables: &Tables,
    recording: usize,
    option: &'static str,
    rows: &Range<usize>,
    trials: Option<&Trials>,
) -> anyhow::Result<Range<usize>> {
    let rows = tables.range(recording, option, rows)?;
    trials.map_or(Ok(rows.clone()), |trials| trials.whole(option, &rows, &tables.parts[recording].rows))
}

/// Contiguous blocks between edges; each tests what was fitted to the others.
fn blocked_folds(recording: usize, edges: &[usize]) -> Vec<Split> {
    let (Some(&first), Some(&last)) = (edges.first(), edges.last()) else { return Vec::new() };
    edges
        .windows(2)
        .enumerate()
        .map(|(fold, block)| {
            let test = block[0]..block[1];
            let train = [first..test.start, test.end..last];
            let train = train.into_iter().filter(|range| !range.is_empty()).collect();
            Split { recording, fold, train, test }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folds_are_contiguous_and_every_row_is_tested_once() {
        let splits = blocked_folds(0, &[100, 120, 141, 161, 182, 203]);
        let mut at = 100;
        for Split { train, test, .. } in &splits {
            assert_eq!(test.start, at);
            at = test.end;
            assert_eq!(train.iter().map(Range::len).sum::<usize>() + test.len(), 103);
            assert!(train.iter().all(|range| range.end <= test.start || range.start >= test.end));
        }
        assert_eq!(at, 203);
        assert_eq!(splits[0].train.len(), 1);
        assert_eq!(splits[1].train, [100..120, 141..203]);
    }
}
