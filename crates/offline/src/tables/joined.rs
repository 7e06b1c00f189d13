//! Rows of several recordings, or of several pairs of tables, one after the other.
//!
//! They have to be of one kind: the same features and states by name and unit, rows as far apart. No window and no step of
//! the state reaches from one recording into the next: ranges of rows are within one of them.

use std::path::Path;

use kalmind_recording::TaskTable;

use super::{Part, Table, Tables, TablesError, order_columns};
use crate::model::SAME_WIDTH;

/// Whether two paths lead to one file.
pub(crate) fn same_file(one: &Path, other: &Path) -> bool {
    match (one.canonicalize(), other.canonicalize()) {
        (Ok(one), Ok(other)) => one == other,
        _ => one == other,
    }
}

/// Refuses to write a result over one of the files that it comes from.
///
/// # Errors
/// It is one of them; `option` named the output.
pub fn require_other_file(
    option: &str,
    output: &Path,
    mut inputs: impl Iterator<Item = impl AsRef<Path>>,
) -> anyhow::Result<()> {
    anyhow::ensure!(
        !inputs.any(|input| same_file(input.as_ref(), output)),
        "{option} {}: this is one of the files to read; name another one",
        output.display()
    );
    Ok(())
}

/// Puts the rows of `all` one after the other.
pub(crate) fn join(all: Vec<Tables>) -> Result<Tables, TablesError> {
    let mut all = all.into_iter();
    let mut joined = all.next().ok_or(TablesError::Nothing)?;
    for mut next in all {
        require_alike(&joined, &mut next).map_err(|problem| TablesError::Apart {
            first: joined.file_name(0),
            other: next.file_name(0),
            problem,
        })?;
        let before = joined.features.rows;
        joined.parts.extend(next.parts.iter().map(|part| Part {
            file: part.file.clone(),
            rows: part.rows.start + before..part.rows.end + before,
        }));
        append(&mut joined.features, next.features);
        append(&mut joined.states, next.states);
        joined.time.extend(next.time);
        if let (Some(task), Some(further)) = (&mut joined.task, next.task) {
            append_task(task, further);
        }
        if let (Some(session), Some(other)) = (&mut joined.session, next.session) {
            session.blocks.extend(other.blocks);
            if session.participant != other.participant {
                session.participant = None;
                joined.remarks.push(format!(
                    "{} and {} are of different participants: a model fitted to them names none",
                    joined.parts[0].file.display(),
                    next.parts[0].file.display()
                ));
            }
        }
        joined.remarks.extend(next.remarks);
        joined.implausible = joined.implausible.or(next.implausible);
    }
    Ok(joined)
}

/// Whether `other` has what `first` has, its columns brought into the same order; else how they differ.
fn require_alike(first: &Tables, other: &mut Tables) -> Result<(), String> {
    let mut reordered = Vec::new();
    for (what, first, other) in
        [("features", &first.features, &mut other.features), ("states", &first.states, &mut other.states)]
    {
        let (expected, found) = (first.width, other.width);
        if expected != found {
            return Err(format!("it has {found} {what}, not {expected}"));
        }
        if let Some(columns) = &first.columns {
            let labels: Vec<&str> = columns.iter().map(String::as_str).collect();
            if order_columns(other, &labels) {
                reordered.push(what);
            }
        }
        if let (Some(expected), Some(found)) = (&first.columns, &other.columns)
            && let Some((expected, found)) =
                expected.iter().zip(found).find(|(expected, found)| expected != found)
        {
            return Err(format!("among its {what} is \"{found}\" where \"{expected}\" is expected"));
        }
        if let (Some(expected), Some(found)) = (&first.units, &other.units)
            && let Some((expected, found)) =
                expected.iter().zip(found).find(|(expected, found)| expected != found)
        {
            return Err(format!("its {what} are in \"{found}\", not in \"{expected}\""));
        }
    }
    for what in reordered {
        let file = other.file_name(0);
        other.remarks.push(format!("{file}: its {what} are in another order: they were matched by name"));
    }
    let (expected, found) = (first.bin_ms, other.bin_ms);
    if (expected - found).abs() > SAME_WIDTH * expected {
        return Err(format!("its rows are {found} ms apart, not {expected} ms"));
    }
    if first.task.is_some() != other.task.is_some() {
        return Err("one of them has a task, the other has none".to_owned());
    }
    match (&first.session, &other.session) {
        (Some(first), Some(other)) if first.streams != other.streams => {
            Err("its features come from other streams, or are binned in another way".to_owned())
        }
        (Some(first), Some(other)) if first.components != other.components => {
            Err("its intent has other components, or other units".to_owned())
        }
        (Some(first), Some(other)) if first.label_law != other.label_law => {
            Err("its labels were made by another law".to_owned())
        }
        _ => Ok(()),
    }
}

fn append(table: &mut Table, further: Table) {
    table.values.extend(further.values);
    table.rows += further.rows;
    table.columns = table.columns.take().or(further.columns);
    table.units = table.units.take().or(further.units);
}

/// Trials are numbered on, so that none goes over into the next recording.
fn append_task(task: &mut TaskTable, further: TaskTable) {
    let next = task.rows.iter().map(|row| row.trial + 1).max().unwrap_or_default();
    task.time = None;
    task.rows.extend(further.rows.into_iter().map(|mut row| {
        row.trial += next;
        row
    }));
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;

    fn tables(file: &str, columns: &[&str], rows: usize) -> Tables {
        let table = |columns: &[&str], first: f64| Table {
            columns: Some(columns.iter().map(|name| (*name).to_owned()).collect()),
            units: None,
            time: None,
            values: (0..rows * columns.len()).map(|value| first + value as f64).collect(),
            rows,
            width: columns.len(),
            remarks: Vec::new(),
        };
        Tables {
            parts: vec![Part { file: PathBuf::from(file), rows: 0..rows }],
            features: table(columns, 0.0),
            states: table(&["vx"], 100.0),
            task: None,
            bin_ms: 20.0,
            time: (0..rows).map(|row| 0.02 * row as f64).collect(),
            session: None,
            remarks: Vec::new(),
            implausible: None,
        }
    }

    #[test]
    fn rows_follow_each_other_with_columns_matched_by_name_and_no_segment_across() {
        let joined = join(vec![tables("a", &["x", "y"], 3), tables("b", &["y", "x"], 2)]).unwrap();
        assert_eq!(joined.all_rows(), [0..3, 3..5]);
        assert_eq!(joined.features.values, [0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 1.0, 0.0, 3.0, 2.0]);
        assert_eq!(joined.states.values, [100.0, 101.0, 102.0, 100.0, 101.0]);
        assert_eq!(joined.training(&joined.all_rows(), None, 0.0).segment_starts, [3]);
        assert_eq!(joined.range(1, "--test", &(1..2)).unwrap(), 4..5);
        let error = joined.range(1, "--test", &(1..3)).unwrap_err().to_string();
        assert!(error.starts_with("--test: b: "), "{error}");
    }

    #[test]
    fn what_does_not_go_together_is_named_with_its_file() {
        let said = |other: Tables| join(vec![tables("a", &["x", "y"], 3), other]).unwrap_err().to_string();
        assert_eq!(
            said(tables("b", &["x"], 3)),
            "b cannot be used together with a: it has 1 features, not 2"
        );
        assert_eq!(
            said(tables("b", &["x", "z"], 3)),
            "b cannot be used together with a: among its features is \"z\" where \"y\" is expected"
        );
        let slower = Tables { bin_ms: 25.0, ..tables("b", &["x", "y"], 3) };
        assert_eq!(said(slower), "b cannot be used together with a: its rows are 25 ms apart, not 20 ms");
    }

    #[test]
    fn trials_of_two_recordings_are_never_one() {
        let row = |trial| kalmind_recording::TaskRow {
            trial,
            target: None,
            cursor: kalmind_types::Position([0.5, 0.5]),
            hold: false,
        };
        let mut task = TaskTable { time: None, rows: vec![row(0), row(4)] };
        append_task(&mut task, TaskTable { time: None, rows: vec![row(4), row(5)] });
        assert_eq!(task.rows.iter().map(|row| row.trial).collect::<Vec<_>>(), [0, 4, 9, 10]);
    }
}
