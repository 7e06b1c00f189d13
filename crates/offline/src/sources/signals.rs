//! Some channels beside others: a row for every sample of the features that has a state.
//!
//! Raw signals sampled faster than a decoder runs are no features yet, and nothing here makes any of them.

use std::path::Path;

use kalmind_types::MAX_FEATURES;

use super::streams::{fill_with_means, interpolated, table};
use crate::tables::{Part, RecordedTablesError, Tables, median_step};

/// Some channels over time.
pub(super) struct Signals {
    pub(super) names: Vec<String>,
    pub(super) units: Option<Vec<String>>,
    pub(super) stamps: Vec<f64>,
    /// Row by row, a value a name.
    pub(super) values: Vec<f64>,
}

impl Signals {
    /// Leaves out samples that are not stamped later than those before; how many there were.
    fn keep_rising(&mut self) -> usize {
        let width = self.names.len().max(1);
        let (mut stamps, mut values) = (Vec::with_capacity(self.stamps.len()), Vec::new());
        for (stamp, row) in self.stamps.iter().zip(self.values.chunks_exact(width)) {
            if stamp.is_finite() && stamps.last().is_none_or(|last| stamp > last) {
                stamps.push(*stamp);
                values.extend_from_slice(row);
            }
        }
        let left_out = self.stamps.len() - stamps.len();
        (self.stamps, self.values) = (stamps, values);
        left_out
    }
}

/// A row for every sample of the features that has a state.
pub(super) fn rows(
    path: &Path,
    from: Signals,
    mut beside: Signals,
    states_named: &str,
) -> Result<Tables, RecordedTablesError> {
    let (width, components) = (from.names.len(), beside.names.len());
    if width > MAX_FEATURES {
        return Err(RecordedTablesError::TooWide(width));
    }
    let places: Vec<usize> = (0..components).collect();
    let unplaced = beside.keep_rising();
    let (mut features, mut states, mut time) = (Vec::new(), Vec::new(), Vec::<f64>::new());
    let (mut unordered, mut stateless, mut missing) = (0_usize, 0_usize, 0_usize);
    for (stamp, row) in from.stamps.iter().zip(from.values.chunks_exact(width.max(1))) {
        if !stamp.is_finite() || time.last().is_some_and(|last| stamp <= last) {
            unordered += 1;
            continue;
        }
        let state = interpolated(&beside.stamps, &beside.values, components, &places, *stamp);
        let valid = row.iter().filter(|value| value.is_finite()).count();
        let (Some(state), true) = (state, valid > 0) else {
            stateless += 1;
            continue;
        };
        missing += width - valid;
        features.extend(row);
        states.extend(state);
        time.push(*stamp);
    }
    let Some(period) = median_step(&time) else {
        let stream = states_named.to_owned();
        return Err(RecordedTablesError::NoOverlap { stream, spans: String::new() });
    };
    fill_with_means(&mut features, width);
    let (file, count) = (path.display(), time.len());
    let remark = |count: usize, what: &str| (count > 0).then(|| format!("{file}: {count} {what}"));
    let bin_ms = 1e3 * period;
    let implausible = (!(0.999..=200.2).contains(&bin_ms)).then(|| {
        format!(
            "{file}: its samples are {bin_ms:.3} ms apart, and a run decodes bins of 1 to 200 ms: raw signals are no features yet, so make \
             a table of features first"
        )
    });
    let remarks = [
        remark(unordered, "samples were left out: they are not stamped later than the one before"),
        remark(unplaced, "states were left out: they are not stamped later than the one before"),
        remark(
            stateless,
            "samples were left out: no state lies within a second on either side, or they hold no number",
        ),
        remark(missing, "values that are no number were replaced by the mean of their feature"),
        implausible.clone(),
    ];
    let mut states = table(Some(beside.names.clone()), states, count, components);
    states.units.clone_from(&beside.units);
    Ok(Tables {
        parts: vec![Part { file: path.to_owned(), rows: 0..count }],
        features: table(Some(from.names), features, count, width),
        states,
        task: None,
        bin_ms,
        time,
        session: None,
        remarks: remarks.into_iter().flatten().collect(),
        implausible,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_is_a_sample_with_a_state_beside_it() {
        let features = Signals {
            names: vec!["a".into(), "b".into()],
            units: None,
            stamps: vec![0.0, 0.1, 0.2, 0.15, 0.3, 0.4],
            values: vec![1.0, 2.0, 3.0, f64::NAN, 5.0, 6.0, 7.0, 8.0, f64::NAN, f64::NAN, 9.0, 10.0],
        };
        let states = Signals {
            names: vec!["x".into()],
            units: Some(vec!["mm".into()]),
            stamps: vec![0.1, 0.5],
            values: vec![0.0, 4.0],
        };
        let tables = rows(Path::new("r.xdf"), features, states, "Hand").expect("rows");
        assert_eq!(tables.time, [0.1, 0.2, 0.4]);
        assert_eq!(
            tables.features.values,
            [3.0, 8.0, 5.0, 6.0, 9.0, 10.0],
            "a missing value is its feature's mean"
        );
        assert!(
            tables.states.values.iter().zip([0.0, 1.0, 3.0]).all(|(own, right)| (own - right).abs() < 1e-12)
        );
        assert_eq!(tables.states.units.as_deref(), Some(&["mm".to_owned()][..]));
        assert_eq!(tables.remarks.len(), 3, "{:?}", tables.remarks);
        assert!(tables.implausible.is_none());
    }
}
