//! The input log of a derived stream: what was given to its chain, so that it can be given again.

use kalmind_types::{GenerationId, IndexRange};
use serde::{Deserialize, Serialize};

/// One thing that was given to a derived stream. With the raw samples that it names, a list of these, from a restart on,
/// makes the same derived samples again, bit for bit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Given {
    /// The chain forgot everything: the next sample is its first.
    Restart {
        /// Derived samples that had come out by then, since the start.
        derived: u64,
        /// The generation in force; none where a recording was made when there was one alone.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        generation: Option<GenerationId>,
        /// The one that follows it, where one was started before, and the first sample that that one describes.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        next: Option<(GenerationId, u64)>,
    },
    /// A short gap was filled: the last sample once more, so many times.
    Held(u32),
    /// Raw samples.
    Samples(IndexRange),
    /// A chain of another generation was started beside the one in force, which it follows at a sample to come.
    Generation {
        /// Its settings.
        generation: GenerationId,
        /// The first sample that it describes.
        at: u64,
    },
    /// From the next sample on, those of the 32 channels from `first` on whose bit is set in `channels` are left out, and the
    /// others are not. After a restart those that are left out are told once more.
    LeftOut {
        /// The first of them.
        first: u32,
        /// A bit each, the lowest for the first.
        channels: u32,
    },
    /// The log was full, and things from here on are not in it: what follows cannot be made again before the next restart.
    Lost,
}

/// What was given and not yet taken away by whoever records it. Runs of samples become one entry.
///
/// Bounded: where it is full, [`Given::Lost`] stands for what is not in it any more, and is counted.
#[derive(Clone, Debug)]
pub struct InputLog {
    entries: Vec<Given>,
    lost: u64,
}

/// Entries that a log holds: with one restart a second, those of a minute.
const ENTRIES: usize = 256;

impl Default for InputLog {
    fn default() -> Self {
        Self { entries: Vec::with_capacity(ENTRIES), lost: 0 }
    }
}

impl InputLog {
    /// What was given since the log was last cleared, in order.
    pub fn entries(&self) -> &[Given] {
        &self.entries
    }

    /// Forgets the entries: they are recorded.
    pub fn clear(&mut self) {
        self.entries.clear();
    }

    /// Entries that found no room, since the start.
    pub fn lost(&self) -> u64 {
        self.lost
    }

    pub(super) fn push(&mut self, given: Given) {
        if let (Some(Given::Samples(before)), Given::Samples(range)) = (self.entries.last_mut(), given)
            && before.end == range.first
        {
            before.end = range.end;
            return;
        }
        match ENTRIES.saturating_sub(self.entries.len()) {
            0 => self.lost = self.lost.saturating_add(1),
            1 => {
                self.lost = self.lost.saturating_add(1);
                self.entries.push(Given::Lost);
            }
            _ => self.entries.push(given),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RESTART: Given = Given::Restart { derived: 0, generation: None, next: None };

    fn samples(first: u64, end: u64) -> Given {
        Given::Samples(IndexRange { first, end })
    }

    #[test]
    fn runs_of_samples_become_one_entry() {
        let mut log = InputLog::default();
        for given in [RESTART, samples(0, 4), samples(4, 9), Given::Held(2), samples(11, 12)] {
            log.push(given);
        }
        assert_eq!(log.entries(), [RESTART, samples(0, 9), Given::Held(2), samples(11, 12)]);
    }

    #[test]
    fn a_full_log_says_that_something_is_missing_and_counts_it() {
        let mut log = InputLog::default();
        for _ in 0..266 {
            log.push(RESTART);
        }
        assert_eq!(
            (log.entries().len(), log.entries().last(), log.lost()),
            (ENTRIES, Some(&Given::Lost), 11)
        );
        log.clear();
        log.push(samples(7, 8));
        assert_eq!(log.entries(), [samples(7, 8)]);
    }
}
