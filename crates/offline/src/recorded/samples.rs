//! The samples of a recording as the engine asks for them: by stream and index.

use std::collections::VecDeque;

use kalmind_engine::SampleSource;
use kalmind_types::{IndexRange, SampleRows, Samples, StreamTime};

/// Consecutive samples of one stream.
#[derive(Clone, Debug)]
struct Run {
    first: u64,
    stamps: Vec<StreamTime>,
    values: Samples,
}

impl Run {
    fn end(&self) -> u64 {
        self.first + self.stamps.len() as u64
    }
}

/// One stream's samples, as far back as a tick may reach.
#[derive(Clone, Debug)]
struct Kept {
    channels: usize,
    /// Samples that the live daemon kept at most.
    held: u64,
    runs: VecDeque<Run>,
}

/// The newest samples of every input stream. What is older than the live daemon could have kept is forgotten, so memory
/// does not grow with the recording.
#[derive(Clone, Debug, Default)]
pub struct RecordedSamples {
    streams: Vec<Kept>,
}

impl RecordedSamples {
    /// For streams of so many channels, each kept for so many samples.
    #[must_use]
    pub fn new(streams: impl Iterator<Item = (usize, u64)>) -> Self {
        let kept = |(channels, held)| Kept { channels, held, runs: VecDeque::new() };
        Self { streams: streams.map(kept).collect() }
    }

    /// Adds samples that follow on those before, from index `first` on.
    pub fn add(&mut self, stream: usize, first: u64, stamps: Vec<StreamTime>, values: Samples) {
        let Some(kept) = self.streams.get_mut(stream) else { return };
        if stamps.is_empty() {
            return;
        }
        let run = Run { first, stamps, values };
        let newest = run.end();
        kept.runs.push_back(run);
        while kept.runs.front().is_some_and(|oldest| oldest.end() + kept.held < newest) {
            kept.runs.pop_front();
        }
    }

    /// Whether every sample of a range is here.
    #[must_use]
    pub fn has(&self, stream: usize, range: IndexRange) -> bool {
        let mut next = range.first;
        self.pieces(stream, range).for_each(|(run, first, _)| {
            if run.first + first as u64 == next {
                next = run.end().min(range.end);
            }
        });
        next >= range.end
    }

    /// The runs that hold a part of the range, with the rows of each.
    fn pieces(&self, stream: usize, range: IndexRange) -> impl Iterator<Item = (&Run, usize, usize)> {
        let runs = self.streams.get(stream).map(|kept| &kept.runs);
        // indices rise from run to run
        let begin = runs.map_or(0, |runs| runs.partition_point(|run| run.end() <= range.first));
        runs.into_iter()
            .flat_map(move |runs| runs.range(begin..))
            .take_while(move |run| run.first < range.end)
            .map(move |run| {
                let first = range.first.saturating_sub(run.first) as usize;
                let end = (range.end.min(run.end()) - run.first) as usize;
                (run, first, end)
            })
    }
}

impl SampleSource for RecordedSamples {
    fn rows(&self, stream: usize, range: IndexRange, visit: &mut dyn FnMut(SampleRows<'_>)) {
        let channels = self.streams.get(stream).map_or(0, |kept| kept.channels);
        for (run, first, end) in self.pieces(stream, range) {
            visit(run.values.rows(channels, first, end));
        }
    }

    fn stamp(&self, stream: usize, index: u64) -> Option<StreamTime> {
        let one = IndexRange { first: index, end: index + 1 };
        self.pieces(stream, one).next().and_then(|(run, first, _)| run.stamps.get(first).copied())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(samples: &mut RecordedSamples, first: u64, count: u64) {
        let indices = first..first + count;
        let stamps = indices.clone().map(|index| StreamTime(index as f64)).collect();
        samples.add(0, first, stamps, Samples::Float32(indices.map(|index| index as f32).collect()));
    }

    fn values(samples: &RecordedSamples, first: u64, end: u64) -> Vec<f32> {
        let mut all = Vec::new();
        samples.rows(0, IndexRange { first, end }, &mut |rows| {
            if let SampleRows::Float32(values) = rows {
                all.extend_from_slice(values);
            }
        });
        all
    }

    #[test]
    fn a_range_over_several_runs_comes_in_order_and_a_hole_is_noticed() {
        let mut samples = RecordedSamples::new([(1, 100)].into_iter());
        run(&mut samples, 0, 3);
        run(&mut samples, 3, 4);
        run(&mut samples, 10, 2);
        assert_eq!(values(&samples, 2, 6), [2.0, 3.0, 4.0, 5.0]);
        assert!(samples.has(0, IndexRange { first: 0, end: 7 }));
        assert!(!samples.has(0, IndexRange { first: 5, end: 11 }));
        assert!(!samples.has(0, IndexRange { first: 11, end: 13 }));
        assert!(samples.has(0, IndexRange { first: 11, end: 12 }));
        assert_eq!(samples.stamp(0, 11), Some(StreamTime(11.0)));
        assert_eq!(samples.stamp(0, 8), None);
        assert_eq!(samples.stamp(1, 0), None);
    }

    #[test]
    fn what_no_tick_can_reach_is_forgotten() {
        let mut samples = RecordedSamples::new([(1, 10)].into_iter());
        for first in 0..100 {
            run(&mut samples, 5 * first, 5);
        }
        assert!(samples.streams[0].runs.len() <= 4);
        assert!(samples.has(0, IndexRange { first: 490, end: 500 }));
    }
}
