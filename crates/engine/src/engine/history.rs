//! Bins that are over, as every model would have seen them: what warms a model before it takes over.

#![deny(
    clippy::arithmetic_side_effects,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "this runs on the tick"
)]

use kalmind_signal::{AdaptiveState, follow_running_zscore};
use kalmind_types::{ChannelMask, FeatureSet, LslTime, Position, Seconds, TickInput};

/// How far back a history reaches.
const SPAN: Seconds = Seconds(5.0);
/// The fewest rows of one, for wide bins: what fades has faded in them.
const FEWEST: usize = 128;
/// The most, for bins narrower than 0.6 ms, so that memory stays bounded.
const MOST: usize = 8192;

/// What the engine knew of a bin beside its input and its features.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of the bin by itself")]
pub struct BinFacts {
    /// Whether its features arrived, for what they are worth.
    pub arrived: bool,
    /// Whether the decoder moved the cursor, so that features unlike training were not decoded.
    pub decoding: bool,
    /// Whether decoding began anew in it because somebody resumed after a fault.
    pub restarted: bool,
    /// Where the cursor stood while its samples came in.
    pub displayed: Position,
    /// The weight that it has in the adaptive state; 0 where what decodes has none.
    pub weight: f64,
    /// Whether it does not go on from the bins before: the adaptive state after it does not follow from that before it (it
    /// began, ended, or is another one), or stages have other settings from it on.
    pub turned: bool,
}

/// A bin as a model sees it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct HistoryRow<'a> {
    /// Which tick it was.
    pub seq: u64,
    /// Its start.
    pub start: LslTime,
    /// Its end: the tick's time.
    pub time: LslTime,
    /// What was switched off.
    pub masked: &'a ChannelMask,
    /// What else the engine knew.
    pub facts: BinFacts,
    /// Raw features, before masking and z-score.
    pub raw: &'a [f64],
    /// Which of them moved the adaptive state, where that is known.
    pub moved: Option<&'a FeatureSet>,
    /// The adaptive state before it, in the first row of a history that knows it.
    pub before: Option<&'a AdaptiveState>,
}

impl<'a> HistoryRow<'a> {
    /// The bin of a tick.
    #[must_use]
    pub fn of(input: &'a TickInput, facts: BinFacts, raw: &'a [f64]) -> Self {
        let TickInput { seq, start, time, masked, .. } = input;
        Self { seq: *seq, start: *start, time: *time, masked, facts, raw, moved: None, before: None }
    }

    /// The same with the features that moved the adaptive state.
    #[must_use]
    pub fn moved(self, moved: Option<&'a FeatureSet>) -> Self {
        Self { moved, ..self }
    }
}

/// The newest bins, one after the other without a hole. Allocates at construction only. Full: the oldest goes. A bin that
/// does not follow the newest one makes it forget all the others, since nothing can be warmed across a hole; one after which
/// the adaptive state is another one makes it forget itself as well.
#[derive(Debug)]
pub struct History {
    /// At place `seq` modulo their number.
    rows: Vec<Kept>,
    /// Their features, row after row.
    raw: Vec<f64>,
    features: usize,
    /// `seq` of the oldest and of the newest.
    held: Option<(u64, u64)>,
    /// The adaptive state before the oldest row, or before the next one where there is none.
    before: Option<AdaptiveState>,
    /// `seq` of the newest bin that it was told of.
    newest: Option<u64>,
}

#[derive(Clone, Debug, Default)]
struct Kept {
    start: LslTime,
    time: LslTime,
    masked: ChannelMask,
    facts: BinFacts,
    moved: FeatureSet,
}

impl History {
    /// Room for so many bins, at least one, of so many features.
    #[must_use]
    pub fn new(features: usize, rows: usize) -> Self {
        let rows = rows.max(1);
        let raw = vec![f64::NAN; rows.saturating_mul(features)];
        let kept = Kept { moved: FeatureSet::none_of(features), ..Kept::default() };
        Self { rows: vec![kept; rows], raw, features, held: None, before: None, newest: None }
    }

    /// How many bins of this width the slow side keeps: those of 5 s, and at least 128.
    #[must_use]
    pub fn rows_of(width: Seconds) -> usize {
        ((SPAN.0 / width.0).ceil() as usize).clamp(FEWEST, MOST)
    }

    /// `seq` of the oldest bin and of the newest.
    #[must_use]
    pub fn held(&self) -> Option<(u64, u64)> {
        self.held
    }

    /// Takes the bin of a tick, and follows the adaptive state from bin to bin. Where it does not know it, it has to be told
    /// what it was `after` the bin; until then no bin is held. For the slow side.
    pub fn follow(&mut self, row: &HistoryRow<'_>, after: Option<&AdaptiveState>) {
        let adapts = row.facts.weight > 0.0;
        let follows = self.newest.is_some_and(|newest| newest.checked_add(1) == Some(row.seq));
        self.newest = Some(row.seq);
        if row.facts.turned || adapts != self.before.is_some() || (adapts && !follows) {
            self.held = None;
            self.before = after.filter(|_| adapts).cloned();
            return;
        }
        if let Some((oldest, newest)) = self.held
            && newest.saturating_sub(oldest).saturating_add(1) >= self.rows.len() as u64
        {
            let mut before = self.before.take();
            self.advance(&mut before, oldest);
            self.before = before;
        }
        self.push(row);
    }

    /// Whether it waits to be told the adaptive state.
    #[must_use]
    pub fn awaits(&self) -> bool {
        self.held.is_none() && self.newest.is_some()
    }

    /// The adaptive state before the bin of tick `seq`, which is held or the next one. For the slow side: allocates.
    #[must_use]
    pub fn before(&self, seq: u64) -> Option<AdaptiveState> {
        let mut before = self.before.clone();
        if let Some((oldest, newest)) = self.held {
            if seq < oldest || seq > newest.saturating_add(1) {
                return None;
            }
            for seq in oldest..seq {
                self.advance(&mut before, seq);
            }
        }
        before
    }

    /// The adaptive state after the newest bin. For the slow side: allocates.
    #[must_use]
    pub fn newest_state(&self) -> Option<AdaptiveState> {
        self.before(self.newest?.saturating_add(1))
    }

    fn advance(&self, state: &mut Option<AdaptiveState>, seq: u64) {
        if let (Some(state), Some(HistoryRow { raw, moved: Some(moved), facts, .. })) = (state, self.row(seq))
        {
            follow_running_zscore(state, raw, moved, facts.weight);
        }
    }

    /// Takes the bin of a tick.
    pub fn push(&mut self, row: &HistoryRow<'_>) {
        if row.facts.turned {
            self.held = None;
            return;
        }
        let most = self.rows.len() as u64;
        self.held = Some(match self.held {
            Some((oldest, newest)) if newest.checked_add(1) == Some(row.seq) => {
                (oldest.max(row.seq.saturating_add(1).saturating_sub(most)), row.seq)
            }
            // told once more, by a step that did not end
            Some((oldest, newest)) if newest == row.seq => (oldest, newest),
            _ => (row.seq, row.seq),
        });
        let place = self.place(row.seq);
        if let Some(kept) = self.rows.get_mut(place) {
            (kept.start, kept.time, kept.facts) = (row.start, row.time, row.facts);
            kept.masked.clone_from(row.masked);
            match row.moved {
                Some(moved) => kept.moved.copy_from(moved),
                None => kept.moved.clear(),
            }
        }
        let first = place.saturating_mul(self.features);
        if let Some(raw) = self.raw.get_mut(first..first.saturating_add(self.features)) {
            for (kept, value) in raw.iter_mut().zip(row.raw) {
                *kept = *value;
            }
        }
    }

    /// The bin of tick `seq`, where it is held.
    #[must_use]
    pub fn row(&self, seq: u64) -> Option<HistoryRow<'_>> {
        let (oldest, newest) = self.held?;
        if seq < oldest || seq > newest {
            return None;
        }
        let place = self.place(seq);
        let Kept { start, time, masked, facts, moved } = self.rows.get(place)?;
        let first = place.saturating_mul(self.features);
        let raw = self.raw.get(first..first.saturating_add(self.features))?;
        let before = self.before.as_ref().filter(|_| seq == oldest);
        let (start, time, facts) = (*start, *time, *facts);
        Some(HistoryRow { seq, start, time, masked, facts, raw, moved: Some(moved), before })
    }

    fn place(&self, seq: u64) -> usize {
        seq.checked_rem(self.rows.len() as u64).unwrap_or_default() as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn push(history: &mut History, seq: u64) {
        let mut input = TickInput::empty();
        input.seq = seq;
        let facts = BinFacts { arrived: seq.is_multiple_of(2), ..BinFacts::default() };
        history.push(&HistoryRow::of(&input, facts, &[seq as f64, 0.5]));
    }

    fn seen(history: &History) -> Vec<(u64, f64, bool)> {
        let rows = (0..100).filter_map(|seq| history.row(seq));
        rows.map(|row| (row.seq, row.raw.iter().sum::<f64>() - 0.5, row.facts.arrived)).collect()
    }

    #[test]
    fn the_oldest_goes_and_a_hole_forgets_the_rest() {
        let mut history = History::new(2, 3);
        assert_eq!((history.held(), seen(&history)), (None, vec![]));
        (7..=8).for_each(|seq| push(&mut history, seq));
        assert_eq!(seen(&history), [(7, 7.0, false), (8, 8.0, true)]);
        (9..=12).for_each(|seq| push(&mut history, seq));
        assert_eq!(seen(&history), [(10, 10.0, true), (11, 11.0, false), (12, 12.0, true)]);
        push(&mut history, 14);
        assert_eq!(history.held(), Some((14, 14)));
        push(&mut history, 15);
        assert_eq!(seen(&history), [(14, 14.0, true), (15, 15.0, false)]);
    }

    #[test]
    fn it_reaches_back_five_seconds_and_no_less_than_128_bins() {
        assert_eq!(History::rows_of(Seconds(0.02)), 250);
        assert_eq!(History::rows_of(Seconds(0.001)), 5000);
        assert_eq!(History::rows_of(Seconds(0.2)), 128);
        assert_eq!(History::rows_of(Seconds(1e-6)), 8192);
    }
}
