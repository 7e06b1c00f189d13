//! Which rows train and which test.

use std::ops::Range;

use crate::{cli::EvaluateArguments, tables::Tables};

/// Rows to fit to and rows to judge on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Split {
    /// Training rows, in ascending ranges; none where a fitted model is judged.
    pub train: Vec<Range<usize>>,
    /// Test rows; decoded cold from the first.
    pub test: Range<usize>,
}

/// All splits of an evaluation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Splits {
    /// Training rows as asked for; with folds all rows that are cut.
    pub train: Option<Range<usize>>,
    /// Test rows as asked for; with folds all rows that are cut.
    pub test: Range<usize>,
    /// One, or one a fold.
    pub splits: Vec<Split>,
}

impl Splits {
    /// What the command line asks for.
    ///
    /// # Errors
    /// A range that is none or not in the tables, or fewer rows than folds need.
    pub fn of(arguments: &EvaluateArguments, tables: &Tables) -> anyhow::Result<Self> {
        let train = arguments.train.as_deref().map(|text| tables.range("--train", text)).transpose()?;
        if let Some(folds) = arguments.folds {
            let rows = train.unwrap_or(0..tables.features.rows);
            let folds = usize::from(folds);
            anyhow::ensure!(
                rows.len() >= 2 * folds,
                "--folds {folds}: {} rows are too few to cut; give fewer folds or more rows",
                rows.len()
            );
            let splits = blocked_folds(&rows, folds);
            return Ok(Self { train: Some(rows.clone()), test: rows, splits });
        }
        let test = tables.range("--test", arguments.test.as_deref().unwrap_or_default())?;
        let split = Split { train: train.iter().cloned().collect(), test: test.clone() };
        Ok(Self { train, test, splits: vec![split] })
    }

    /// Whether this is a cross-validation.
    #[must_use]
    pub fn folded(&self) -> bool {
        self.splits.len() > 1
    }
}

/// Contiguous blocks, as equal as can be; each tests what was fitted to the others.
fn blocked_folds(rows: &Range<usize>, folds: usize) -> Vec<Split> {
    let edge = |fold: usize| rows.start + fold * rows.len() / folds;
    (0..folds)
        .map(|fold| {
            let test = edge(fold)..edge(fold + 1);
            let train = [rows.start..test.start, test.end..rows.end];
            Split { train: train.into_iter().filter(|range| !range.is_empty()).collect(), test }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folds_are_contiguous_and_every_row_is_tested_once() {
        let splits = blocked_folds(&(100..203), 5);
        let mut at = 100;
        for Split { train, test } in &splits {
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
