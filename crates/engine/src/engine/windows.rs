//! Windows at events, the pure half: what is read from the samples that a tick's input names.

#![deny(
    clippy::arithmetic_side_effects,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "this runs on the tick"
)]

use crate::{SampleSource, WindowError, WindowSettings};
use kalmind_filter::WindowReader;
use kalmind_types::{EventWindow, TickInput, WindowMissing, WindowResults};

/// The readers of a run's windows and the newest tick's results. Allocates at construction only.
#[derive(Debug, Default)]
pub(super) struct Windows {
    readers: Vec<Box<dyn WindowReader>>,
    /// Values of a sample of each.
    widths: Vec<usize>,
    /// A sample, as numbers of one kind.
    row: Vec<f64>,
    pub(super) results: WindowResults,
}

impl Windows {
    pub(super) fn new(settings: &[WindowSettings]) -> Result<Self, WindowError> {
        let readers: Vec<Box<dyn WindowReader>> =
            settings.iter().map(WindowSettings::reader).collect::<Result<_, _>>()?;
        let widths: Vec<usize> = settings.iter().map(|window| window.channels.len()).collect();
        let widest = widths.iter().copied().max().unwrap_or(0);
        let mut windows = Self { readers, widths, row: vec![0.0; widest], results: WindowResults::default() };
        windows.results = WindowResults::with_room(windows.most_values());
        Ok(windows)
    }

    /// The most values that a result has.
    pub(super) fn most_values(&self) -> usize {
        self.readers.iter().map(|reader| reader.names().len()).max().unwrap_or(0)
    }

    /// Reads a tick's windows.
    pub(super) fn read(&mut self, input: &TickInput, samples: &dyn SampleSource) {
        self.results.clear();
        for window in &input.windows {
            match window.missing {
                Some(missing) => self.results.push_missing(missing),
                None => self.read_one(window, samples),
            }
        }
    }

    fn read_one(&mut self, window: &EventWindow, samples: &dyn SampleSource) {
        let Self { readers, widths, row, results } = self;
        let place = usize::from(window.marker.window);
        let width = widths.get(place).copied().filter(|width| *width > 0);
        let Some((reader, width)) = readers.get_mut(place).zip(width) else {
            results.push_missing(WindowMissing::Failed);
            return;
        };
        let row = row.get_mut(..width).unwrap_or_default();
        let (mut rows, mut is_finite) = (0_u32, true);
        reader.begin();
        samples.window_rows(usize::from(window.stream), window.range(), &mut |piece| {
            piece.each_row(row, |row| {
                is_finite &= row.iter().all(|value| value.is_finite());
                if is_finite {
                    reader.row(row);
                    rows = rows.saturating_add(1);
                }
            });
        });
        if !is_finite {
            results.push_missing(WindowMissing::NotFinite);
        } else if rows != window.count {
            // a recording that lacks samples; a live stream has them
            results.push_missing(WindowMissing::Gap);
        } else {
            results.push(reader.names().len(), |values| reader.finish(values));
        }
    }

    /// The step failed: nothing was read.
    pub(super) fn fail(&mut self, input: &TickInput) {
        self.results.clear();
        for window in &input.windows {
            self.results.push_missing(window.missing.unwrap_or(WindowMissing::Failed));
        }
    }
}
