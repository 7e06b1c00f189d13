//! A grid of cells over the whole workspace, of which one is the target: staying in any of them selects it.

use kalmind_types::{Position, Target};
use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;

use super::acquisition::{self, Place, TargetAcquisition, Targets};
use crate::task::{OptionValues, Task, TaskError, TaskKind, TaskOption};

/// The task. The cursor starts in the middle; each selection, right or wrong, is followed by another target at once, which is
/// never the one before. What it gives is an information rate: see [`bit_rate`](crate::bit_rate).
pub(super) const GRID: TaskKind = TaskKind {
    name: "grid",
    about: "one cell of a grid over the workspace after another; staying in any cell selects it",
    options: &[
        TaskOption::new("cells", "cells", 6.0, "cells in a row and in a column"),
        TaskOption::new("width", "workspace widths", 1.0, "width of the grid"),
        TaskOption::new("height", "workspace widths", 1.0, "height of the grid"),
        TaskOption::new("hold", "s", 1.0, "how long the cursor has to stay in a cell"),
        acquisition::SELECT,
        TaskOption::new("timeout", "s", 20.0, "how long a trial may take"),
    ],
    build,
};

/// The most cells in a row: smaller ones are finer than a cursor is shown.
const MOST_CELLS: f64 = 100.0;

fn build(seed: u64, options: &OptionValues<'_>) -> Result<Box<dyn Task>, TaskError> {
    let cells = options.get("cells");
    if !(2.0..=MOST_CELLS).contains(&cells) || cells.fract() != 0.0 {
        return Err(TaskError::OutOfRange {
            option: "cells",
            value: cells,
            expected: "a whole number from 2 to 100 is possible",
        });
    }
    let width = acquisition::positive(options, "width", "the grid needs a positive width")?;
    let height = acquisition::positive(options, "height", "the grid needs a positive height")?;
    let (cells, generator) = (cells as u32, ChaCha8Rng::seed_from_u64(seed));
    let grid = Grid { cells, sides: [width, height], generator, target: None };
    let radius = 0.5 * width.min(height) / f64::from(cells);
    Ok(Box::new(TargetAcquisition::new(grid, radius, options)?))
}

#[derive(Debug)]
struct Grid {
    cells: u32,
    sides: [f64; 2],
    generator: ChaCha8Rng,
    /// The cell that is the target, counted along the rows from the bottom left.
    target: Option<u32>,
}

impl Grid {
    fn count(&self) -> u32 {
        self.cells * self.cells
    }

    /// The cell that a position is in; one past the edge is in the nearest.
    fn cell(&self, position: Position) -> u32 {
        let mut along = position.0.iter().zip(self.sides).map(|(value, side)| {
            let cell = (value / side * f64::from(self.cells)).floor();
            cell.clamp(0.0, f64::from(self.cells - 1)) as u32
        });
        let (column, row) = (along.next().unwrap_or_default(), along.next().unwrap_or_default());
        row * self.cells + column
    }

    fn centre(&self, cell: u32) -> Position {
        let along = |cell: u32, side: f64| (f64::from(cell) + 0.5) * side / f64::from(self.cells);
        Position([along(cell % self.cells, self.sides[0]), along(cell / self.cells, self.sides[1])])
    }
}

impl Targets for Grid {
    fn begin(&mut self) -> Position {
        self.target = None;
        Position([0.5 * self.sides[0], 0.5 * self.sides[1]])
    }

    fn next(&mut self, radius: f64) -> Target {
        let others = self.count() - u32::from(self.target.is_some());
        let drawn = self.generator.random_range(0..others);
        let cell = drawn + u32::from(self.target.is_some_and(|last| drawn >= last));
        self.target = Some(cell);
        Target { position: self.centre(cell), radius }
    }

    fn under(&self, position: Position, _target: Target) -> Option<Place> {
        let cell = self.cell(position);
        position
            .0
            .iter()
            .all(|value| value.is_finite())
            .then_some(Place { number: cell, is_target: self.target == Some(cell) })
    }

    fn choices(&self) -> Option<u64> {
        Some(u64::from(self.count()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_cover_the_workspace_and_no_target_comes_twice_in_a_row() {
        let generator = ChaCha8Rng::seed_from_u64(1);
        let mut grid = Grid { cells: 6, sides: [1.0, 0.5], generator, target: None };
        for cell in 0..36 {
            assert_eq!(grid.cell(grid.centre(cell)), cell);
        }
        assert_eq!(grid.cell(Position([0.0, 0.0])), 0);
        assert_eq!(grid.cell(Position([1.0, 0.5])), 35, "its edge belongs to it");
        let mut drawn = vec![0; 36];
        let mut last = None;
        for _ in 0..3600 {
            let target = grid.next(0.04);
            assert_ne!(grid.target, last);
            last = grid.target;
            drawn[grid.cell(target.position) as usize] += 1;
        }
        assert!(drawn.iter().all(|count| (60..=140).contains(count)), "{drawn:?}");
    }
}
