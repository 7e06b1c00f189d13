//! A grid of cells over the whole workspace, of which one is the target: staying in any of them selects it.

use core::ops::RangeInclusive;

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
        TaskOption::new("columns", "cells", 6.0, "cells side by side"),
        TaskOption::new("rows", "cells", 6.0, "cells one above another"),
        TaskOption::new("width", "workspace widths", 1.0, "width of the grid"),
        TaskOption::new("height", "workspace widths", 1.0, "height of the grid"),
        TaskOption::new("hold", "s", 1.0, "how long the cursor has to stay in a cell"),
        TaskOption::new("timeout", "s", 20.0, "how long a trial may take"),
        acquisition::SELECT,
        acquisition::LEAD,
        acquisition::REFRACTORY,
        acquisition::REST,
    ],
    build,
};

/// Smaller cells than those of 30 side by side are finer than the published grids.
const CELLS: RangeInclusive<f64> = 2.0..=30.0;

fn build(seed: u64, options: &OptionValues<'_>) -> Result<Box<dyn Task>, TaskError> {
    let expected = "a whole number from 2 to 30 is possible";
    let columns = acquisition::count(options, "columns", CELLS, expected)?;
    let rows = acquisition::count(options, "rows", CELLS, expected)?;
    let width = acquisition::positive(options, "width", "the grid needs a positive width")?;
    let height = acquisition::positive(options, "height", "the grid needs a positive height")?;
    let generator = ChaCha8Rng::seed_from_u64(seed);
    let grid = Grid { cells: [columns, rows], sides: [width, height], generator, target: None };
    let radius = 0.5 * (width / f64::from(columns)).min(height / f64::from(rows));
    Ok(Box::new(TargetAcquisition::new(grid, radius, options)?))
}

#[derive(Debug)]
struct Grid {
    /// Columns and rows.
    cells: [u32; 2],
    sides: [f64; 2],
    generator: ChaCha8Rng,
    /// The cell that is the target, counted along the rows from the bottom left.
    target: Option<u32>,
}

impl Grid {
    fn count(&self) -> u32 {
        self.cells[0] * self.cells[1]
    }

    /// The cell that a position is in; one past the edge is in the nearest.
    fn cell(&self, position: Position) -> u32 {
        let along = |axis: usize| {
            let cell = (position.0[axis] / self.sides[axis] * f64::from(self.cells[axis])).floor();
            cell.clamp(0.0, f64::from(self.cells[axis] - 1)) as u32
        };
        along(1) * self.cells[0] + along(0)
    }

    fn centre(&self, cell: u32) -> Position {
        let along =
            |cell: u32, axis: usize| (f64::from(cell) + 0.5) * self.sides[axis] / f64::from(self.cells[axis]);
        Position([along(cell % self.cells[0], 0), along(cell / self.cells[0], 1)])
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

    fn extent(&self, _radius: f64) -> [Position; 2] {
        [Position::default(), Position(self.sides)]
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
        let mut grid = Grid { cells: [9, 4], sides: [1.0, 0.5], generator, target: None };
        for cell in 0..36 {
            assert_eq!(grid.cell(grid.centre(cell)), cell);
        }
        assert_eq!(grid.cell(Position([0.0, 0.0])), 0);
        assert_eq!(grid.cell(Position([1.0, 0.5])), 35, "its edge belongs to it");
        assert_eq!(grid.cell(Position([1.0, 0.0])), 8, "cells are counted along the rows");
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
