//! Which rows of a calibration a click was meant in, by where the cursor was.

use kalmind_filter::TrainingData;

/// When somebody who is to click on targets is taken to do so, counted from the bin before which the cursor came to be
/// displayed in the target. The default fits the simulated participant.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ClickLabelLaw {
    /// How long the cursor has to stay there.
    pub stay_ms: f64,
    /// When the act begins.
    pub onset_ms: f64,
    /// How long it lasts.
    pub duration_ms: f64,
    /// Before and after it, so long, nobody knows.
    pub margin_ms: f64,
}

impl Default for ClickLabelLaw {
    fn default() -> Self {
        Self { stay_ms: 100.0, onset_ms: 280.0, duration_ms: 300.0, margin_ms: 40.0 }
    }
}

/// Whether a click was meant in each row; none where that is not known: beside an act, where the cursor came to the target
/// and did not stay, and where it stays after an act, so that there may be another. Nothing is known without a task.
pub fn click_labels(rows: &TrainingData, law: ClickLabelLaw, bin_ms: f64) -> Vec<Option<bool>> {
    let bins = |milliseconds: f64| (milliseconds / bin_ms).round().max(0.0) as usize;
    let (stay, onset, duration) = (bins(law.stay_ms), bins(law.onset_ms), bins(law.duration_ms).max(1));
    let margin = bins(law.margin_ms);
    let Some(task) = &rows.task else {
        return vec![None; rows.rows()];
    };
    let mut labels = vec![Some(false); rows.rows()];
    for segment in rows.segments() {
        let mut mark = |from: usize, to: usize, label: Option<bool>| {
            let end = segment.end;
            labels[from.min(end)..to.min(end)].fill(label);
        };
        let trial = |row: usize| Some(task[row].trial).filter(|_| task[row].hold);
        let mut acts = Vec::new();
        let mut first = segment.start;
        for row in segment.clone() {
            let ends = row + 1 == segment.end || trial(row + 1) != trial(row);
            if !ends {
                continue;
            }
            let (start, next) = (first, row + 1);
            first = next;
            if trial(row).is_none() {
                continue;
            }
            let (act, over) = (start + onset, start + onset + duration);
            mark(act.saturating_sub(margin), (over + margin).max(next + onset), None);
            if next - start > stay {
                acts.push((act, over));
            }
        }
        for (act, over) in acts {
            mark(act, over, Some(true));
        }
    }
    labels
}

#[cfg(test)]
mod tests {
    use kalmind_filter::TaskSample;
    use kalmind_types::Position;
    use nalgebra::DMatrix;

    use super::*;

    const LAW: ClickLabelLaw =
        ClickLabelLaw { stay_ms: 40.0, onset_ms: 80.0, duration_ms: 60.0, margin_ms: 20.0 };

    /// Labels as a text: of rows in which the cursor is in the target of a trial (`a`, `b`, ..) or in none (`.`), with gaps
    /// before these rows; `|` where a click was meant, `-` where none was, `?` where nobody knows.
    fn labels(shown: &str, gaps: &[usize]) -> String {
        let sample = |sign: u8| TaskSample {
            trial: u64::from(sign),
            target: Some(Position([0.5, 0.5])),
            cursor: Position([0.5, 0.5]),
            hold: sign != b'.',
        };
        let rows = shown.len();
        let mut data = TrainingData::new(DMatrix::zeros(rows, 1), DMatrix::zeros(rows, 2));
        data.task = Some(shown.bytes().map(sample).collect());
        data.segment_starts = gaps.to_vec();
        let sign = |label: Option<bool>| label.map_or('?', |meant| if meant { '|' } else { '-' });
        click_labels(&data, LAW, 20.0).into_iter().map(sign).collect()
    }

    #[test]
    fn an_act_follows_the_cursors_coming_also_where_another_trial_has_begun() {
        assert_eq!(labels("..aaa...............", &[]), "-----?|||?----------");
        assert_eq!(labels("..aaabbbb...........", &[]), "-----?||||||?-------");
    }

    #[test]
    fn where_the_cursor_stays_or_does_not_nobody_knows_of_a_second_or_a_first_act() {
        assert_eq!(labels("aaaaaaaaaaaa........", &[]), "---?|||?????????----");
        assert_eq!(labels("..a.................", &[]), "-----?????----------");
    }

    #[test]
    fn nothing_reaches_across_a_gap_and_without_a_task_nothing_is_known() {
        assert_eq!(labels("aaa.......", &[5]), "---?|-----");
        let data = TrainingData::new(DMatrix::zeros(3, 1), DMatrix::zeros(3, 2));
        assert_eq!(click_labels(&data, LAW, 20.0), [None; 3]);
    }
}
