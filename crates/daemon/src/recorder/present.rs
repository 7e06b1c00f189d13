//! Which ticks' features stand in the file.

use std::{collections::BTreeMap, ops::Range};

/// Ranges that are known at most: the first ones are forgotten, and their features written again where a model needs them.
const MOST: usize = 4096;

/// Ticks whose features stand in the file.
#[derive(Debug, Default)]
pub(super) struct PresentTicks {
    /// Ends by beginnings; they do not touch.
    ranges: BTreeMap<u64, u64>,
}

impl PresentTicks {
    /// Notes ticks.
    pub(super) fn add(&mut self, ticks: Range<u64>) {
        let Range { mut start, mut end } = ticks;
        while let Some((&first, &last)) =
            self.ranges.range(..=end).next_back().filter(|(_, last)| **last >= start)
        {
            self.ranges.remove(&first);
            (start, end) = (start.min(first), end.max(last));
        }
        self.ranges.insert(start, end);
        if self.ranges.len() > MOST {
            self.ranges.pop_first();
        }
    }

    /// Those of some ticks that are not there.
    pub(super) fn absent(&self, wanted: &[Range<u64>]) -> Vec<Range<u64>> {
        let mut absent = Vec::new();
        for Range { start, end } in wanted.iter().cloned() {
            let mut at = start;
            let from = self.ranges.range(..=start).next_back().map_or(start, |(first, _)| *first);
            for (&first, &last) in self.ranges.range(from..end.max(from)) {
                if first > at {
                    absent.push(at..first);
                }
                at = at.max(last);
            }
            if at < end {
                absent.push(at..end);
            }
        }
        absent
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn absent(present: &PresentTicks, wanted: &[(u64, u64)]) -> Vec<(u64, u64)> {
        let wanted: Vec<Range<u64>> = wanted.iter().map(|(start, end)| *start..*end).collect();
        present.absent(&wanted).into_iter().map(|ticks| (ticks.start, ticks.end)).collect()
    }

    #[test]
    fn ticks_are_there_once_they_were_noted() {
        let mut present = PresentTicks::default();
        assert_eq!(absent(&present, &[(3, 5)]), [(3, 5)]);
        for seq in [1, 2, 3, 7, 8, 12] {
            present.add(seq..seq + 1);
        }
        let wanted = [(0, 14), (2, 4), (8, 13)];
        assert_eq!(absent(&present, &wanted), [(0, 1), (4, 7), (9, 12), (13, 14), (9, 12)]);
        present.add(3..8);
        assert_eq!(present.ranges.iter().collect::<Vec<_>>(), [(&1, &9), (&12, &13)]);
        assert_eq!(absent(&present, &[(1, 9), (5, 6), (20, 22)]), [(20, 22)]);
    }

    #[test]
    fn of_too_many_ranges_the_first_are_forgotten() {
        let mut present = PresentTicks::default();
        let count = MOST as u64 + 2;
        (0..count).for_each(|seq| present.add(2 * seq..2 * seq + 1));
        assert_eq!(absent(&present, &[(0, 1), (2, 3), (4, 5)]), [(0, 1), (2, 3)]);
    }
}
