//! Where trials start: for splits that leave every trial whole, and for what carries over from one into the next.

use std::ops::Range;

use kalmind_recording::segment_starts;

use crate::{options::LiveSettings, tables::Tables};

/// The trials of all recordings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trials {
    /// Whether a task numbers them; else a gap in time ends one.
    pub numbered: bool,
    /// The first row of each, ascending; a recording starts one.
    pub starts: Vec<usize>,
}

impl Trials {
    /// Those of tables.
    #[must_use]
    pub fn of(tables: &Tables) -> Self {
        let mut starts = Vec::new();
        for part in &tables.parts {
            let rows = part.rows.clone();
            starts.push(rows.start);
            match &tables.task {
                Some(task) => starts
                    .extend(rows.skip(1).filter(|&row| task.rows[row].trial != task.rows[row - 1].trial)),
                None => starts
                    .extend(segment_starts(&tables.time[rows.clone()]).into_iter().map(|at| rows.start + at)),
            }
        }
        Self { numbered: tables.task.is_some(), starts }
    }

    /// How many start within rows.
    #[must_use]
    pub fn count(&self, rows: &Range<usize>) -> usize {
        self.starts.iter().filter(|start| rows.contains(start)).count()
    }

    /// What ends a trial, in words.
    #[must_use]
    pub fn ended_by(&self) -> &'static str {
        if self.numbered { "the task's numbers" } else { "gaps in time" }
    }

    /// `rows` of a recording with both ends at the nearest start of a trial, or at the recording's end.
    ///
    /// # Errors
    /// No trial is left; `option` named the rows.
    pub fn whole(
        &self,
        option: &str,
        rows: &Range<usize>,
        recording: &Range<usize>,
    ) -> anyhow::Result<Range<usize>> {
        let edges = self.edges(recording);
        let moved = edges[nearest(&edges, rows.start)]..edges[nearest(&edges, rows.end)];
        anyhow::ensure!(
            !moved.is_empty(),
            "{option}: both ends of rows {}..{} are nearest to the same of {} starts of trials ({}), so no whole trial is left; \
             give more rows",
            rows.start - recording.start,
            rows.end - recording.start,
            edges.len() - 1,
            self.ended_by()
        );
        Ok(moved)
    }

    /// The edges of so many folds of `rows`, which are whole trials: where folds of equal rows would have them, moved to the
    /// nearest start of a trial.
    ///
    /// # Errors
    /// There are fewer trials than folds.
    pub fn fold_edges(&self, rows: &Range<usize>, folds: usize) -> anyhow::Result<Vec<usize>> {
        let edges = self.edges(rows);
        let trials = edges.len() - 1;
        anyhow::ensure!(
            trials >= folds,
            "--folds {folds}: the rows are {trials} whole trials ({}); give fewer folds, or --task with the number of each row's trial",
            self.ended_by()
        );
        let mut places = vec![0];
        for fold in 1..folds {
            let wanted = nearest(&edges, rows.start + fold * rows.len() / folds);
            // at least one trial for this fold, and for each to come
            places.push(wanted.clamp(places[fold - 1] + 1, trials - (folds - fold)));
        }
        places.push(trials);
        Ok(places.into_iter().map(|place| edges[place]).collect())
    }

    /// Starts of trials within `rows`, which begin with one, and their end.
    fn edges(&self, rows: &Range<usize>) -> Vec<usize> {
        self.starts.iter().copied().filter(|start| rows.contains(start)).chain([rows.end]).collect()
    }
}

/// The place of the edge nearest to a row, the first of two.
fn nearest(edges: &[usize], row: usize) -> usize {
    (0..edges.len()).min_by_key(|&place| edges[place].abs_diff(row)).unwrap_or_default()
}

/// What has to be said where trials of tables, within rows that are tested, are so close in time that decoding goes on from one into the next.
#[must_use]
pub fn carried_over(tables: &Tables, tests: &[Range<usize>], live: &LiveSettings) -> Option<String> {
    // gaps of a session are as they were in the run
    if tables.session.is_some() {
        return None;
    }
    let limit = live.restart_after(tables.bin_ms).0;
    let starts = Trials::of(tables).starts;
    let gap = |row: usize| tables.time[row] - tables.time[row - 1];
    let near: Vec<f64> = starts
        .into_iter()
        .filter(|row| tests.iter().any(|test| test.start < *row && *row < test.end))
        .map(gap)
        .filter(|gap| *gap > 1.5e-3 * tables.bin_ms && *gap <= limit)
        .collect();
    let shortest = near.iter().copied().reduce(f64::min)?;
    let limit = limit * 1e3;
    Some(format!(
        "{} of the gaps between test rows are not longer than {limit:.0} ms (the shortest {:.0} ms): as in a run the bins that \
         are missing there are incomplete, and the decoder goes on through them. Where a trial ends there, what it decoded goes \
         over into the next; to start each trial anew, leave more than {limit:.0} ms between their times",
        near.len(),
        shortest * 1e3
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ends_move_to_the_nearest_start_of_a_trial() {
        let trials = Trials { numbered: false, starts: vec![100, 110, 140, 150] };
        let all = 100..200;
        let whole = |rows| trials.whole("--train", &rows, &all);
        assert_eq!(whole(100..124).expect("the nearer below"), 100..110);
        assert_eq!(whole(100..126).expect("the nearer above"), 100..140);
        assert_eq!(whole(126..181).expect("the end"), 140..200);
        let error = whole(141..144).expect_err("no trial").to_string();
        assert!(error.contains("--train") && error.contains("rows 41..44"), "{error}");
        assert_eq!(trials.count(&(100..140)), 2);
    }

    #[test]
    fn every_fold_has_a_whole_trial() {
        let trials = Trials { numbered: true, starts: vec![0, 10, 20, 30] };
        // equal folds would end at 33 and 66
        assert_eq!(trials.fold_edges(&(0..100), 3).expect("enough trials"), [0, 20, 30, 100]);
        assert_eq!(trials.fold_edges(&(0..100), 4).expect("a trial each"), [0, 10, 20, 30, 100]);
        let error = trials.fold_edges(&(0..100), 5).expect_err("too few").to_string();
        assert!(error.contains("4 whole trials"), "{error}");
    }
}
