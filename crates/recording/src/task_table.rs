//! What a task did, as CSV: one row a bin, beside the features.

use std::path::Path;

use kalmind_types::Position;

use crate::TableError;
use crate::table::{Cells, Text, read_file};

/// The columns after `time`, all of which have to be there.
const COLUMNS: [&str; 6] = ["trial", "target_x", "target_y", "cursor_x", "cursor_y", "hold"];

/// One bin of a task.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct TaskRow {
    /// Number of the trial.
    pub trial: u64,
    /// Where the target was; none while none was shown (both cells empty or `nan`).
    pub target: Option<Position>,
    /// The cursor as displayed at the bin's start.
    pub cursor: Position,
    /// Whether the cursor was being held in the target.
    pub hold: bool,
}

/// A task's rows.
#[derive(Clone, Debug, PartialEq)]
pub struct TaskTable {
    /// Time of each row in seconds, where the file has a `time` column.
    pub time: Option<Vec<f64>>,
    /// The rows, at least 1.
    pub rows: Vec<TaskRow>,
}

/// Reads a task table: a header with `trial, target_x, target_y, cursor_x, cursor_y, hold` in any order, optionally `time`.
///
/// # Errors
/// See [`TableError`].
pub fn read_task_table(path: &Path) -> Result<TaskTable, TableError> {
    task_table_from_bytes(&read_file(path)?, &path.display().to_string())
}

/// Reads a task table from memory; `file` is what errors call it.
///
/// # Errors
/// See [`TableError`].
pub fn task_table_from_bytes(bytes: &[u8], file: &str) -> Result<TaskTable, TableError> {
    let text = Text::new(bytes, file)?;
    let mut cells = Cells::new(&text, file)?;
    let [trial, target_x, target_y, cursor_x, cursor_y, hold] = find_columns(&cells, file)?;
    let mut time = cells.columns.time.map(|_| Vec::new());
    let mut rows = Vec::new();
    while cells.next_row()? {
        if let Some(time) = &mut time {
            time.push(cells.time()?);
        }
        let missing =
            |column| cells.text(column).is_empty() || cells.text(column).eq_ignore_ascii_case("nan");
        let target = match (missing(target_x), missing(target_y)) {
            (true, true) => None,
            _ => Some(Position([cells.number(target_x)?, cells.number(target_y)?])),
        };
        rows.push(TaskRow {
            trial: whole(&mut cells, trial)?,
            target,
            cursor: Position([cells.number(cursor_x)?, cells.number(cursor_y)?]),
            hold: match cells.text(hold) {
                "0" | "false" => false,
                "1" | "true" => true,
                _ => return Err(cells.cell_error(hold, "0 or 1 is expected")),
            },
        });
    }
    if rows.is_empty() {
        return Err(TableError::NoRows { file: file.to_owned() });
    }
    Ok(TaskTable { time, rows })
}

/// A number without a fraction, also where a program wrote it as `3.0`.
fn whole(cells: &mut Cells<'_>, column: usize) -> Result<u64, TableError> {
    let value = cells.number(column)?;
    if value >= 0.0 && value.fract() == 0.0 && value < 9e15 {
        return Ok(value as u64);
    }
    Err(cells.cell_error(column, "the number of the trial, a whole number from 0, is expected"))
}

fn find_columns(cells: &Cells<'_>, file: &str) -> Result<[usize; 6], TableError> {
    let names = cells.header.as_deref().unwrap_or_default();
    let mut places = [0; 6];
    for (place, column) in places.iter_mut().zip(COLUMNS) {
        *place = names.iter().position(|name| name == column).ok_or_else(|| TableError::MissingColumn {
            file: file.to_owned(),
            column,
            expected: format!("time, {}", COLUMNS.join(", ")),
            found: if names.is_empty() { "no header row".to_owned() } else { names.join(", ") },
        })?;
    }
    Ok(places)
}
