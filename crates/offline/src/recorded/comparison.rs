//! What was published beside what replay computes, to the last bit.

use std::fmt;

use kalmind_signal::AdaptiveState;
use kalmind_types::{TickOutput, WindowResults};
use serde::Serialize;
use serde_json::json;
use sha2::{Digest as _, Sha256};

use super::{RecordedTick, WindowResult};

/// The first place where replay gave something else than what was published.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Difference {
    /// The tick.
    pub seq: u64,
    /// `feature` and its number, the channel of the cursor stream, an adaptive state and the place of a value in it, `time`, `window at event` and its number, `samples` (the recording lacks some that the tick used) or `tick` (the
    /// recording lacks ticks before this one).
    pub field: String,
    /// What was published; what is missing.
    pub recorded: serde_json::Value,
    /// What replay gave.
    pub replayed: serde_json::Value,
}

/// Writes a tick's values, one a channel, over those that are there.
type WriteRow = dyn FnMut(&TickOutput, &mut Vec<f64>);

/// How a session's ticks are published.
pub struct PublishedRow {
    /// Places and labels of the channels that are compared.
    pub compared: Vec<(usize, String)>,
    /// Writes a tick's values, one a channel, over those that are there.
    pub write: Box<WriteRow>,
}

impl fmt::Debug for PublishedRow {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("PublishedRow").field("compared", &self.compared).finish_non_exhaustive()
    }
}

/// Ticks computed, hashed and compared.
#[derive(Debug)]
pub struct Comparison {
    row: PublishedRow,
    /// Channels that are compared, with their labels.
    compared: Vec<(usize, String)>,
    hash: Sha256,
    values: Vec<f64>,
    /// The recorded cursor's channel of `seq`.
    seq_channel: Option<usize>,
    /// Ticks computed.
    pub ticks: u64,
    /// Ticks whose published row was there to be compared with.
    pub compared_ticks: u64,
    /// Checkpoints of the adaptive state that were compared.
    pub checkpoints: u64,
    /// The first difference.
    pub first_difference: Option<Difference>,
}

impl Comparison {
    /// For a session whose ticks were published so, and a recorded cursor with `seq` in this channel.
    #[must_use]
    pub fn new(mut row: PublishedRow, seq_channel: Option<usize>) -> Self {
        let compared = core::mem::take(&mut row.compared);
        Self {
            row,
            compared,
            hash: Sha256::new(),
            values: Vec::new(),
            seq_channel,
            ticks: 0,
            compared_ticks: 0,
            checkpoints: 0,
            first_difference: None,
        }
    }

    /// Takes a tick: the raw features, the output and what was read from windows, as replay gave them, and what was recorded of
    /// all.
    pub fn tick(
        &mut self,
        features: &[f64],
        output: &TickOutput,
        windows: &WindowResults,
        recorded: &RecordedTick,
    ) {
        (self.row.write)(output, &mut self.values);
        self.hash.update(output.time.0.to_le_bytes());
        for (index, _) in &self.compared {
            self.hash.update(self.values[*index].to_le_bytes());
        }
        for (window, result) in recorded.document.input.windows.iter().zip(windows.iter()) {
            self.hash.update(window.event.to_le_bytes());
            match result {
                Ok(values) => {
                    for value in values {
                        self.hash.update(value.to_le_bytes());
                    }
                }
                Err(missing) => self.hash.update(missing.name()),
            }
        }
        self.ticks += 1;
        let published = recorded.cursor.as_ref().filter(|(_, values)| {
            let seq = self.seq_channel.and_then(|channel| values.get(channel));
            seq.map(|seq| *seq as u64) == Some(output.seq)
        });
        self.compared_ticks += u64::from(published.is_some());
        if self.first_difference.is_none() {
            self.first_difference = Self::features_differ(features, output, recorded)
                .or_else(|| {
                    published.and_then(|(time, values)| self.published_differs(output, *time, values))
                })
                .or_else(|| Self::windows_differ(output, windows, recorded));
        }
    }

    fn features_differ(features: &[f64], output: &TickOutput, recorded: &RecordedTick) -> Option<Difference> {
        // a channel without a sample is not a number on both sides
        let differ = |ours: f64, theirs: f64| {
            ours.to_bits() != theirs.to_bits() && !(ours.is_nan() && theirs.is_nan())
        };
        let mut pairs = features.iter().zip(&recorded.features).enumerate();
        let (feature, (ours, theirs)) = pairs.find(|(_, (ours, theirs))| differ(**ours, **theirs))?;
        Some(difference(output.seq, &format!("feature {feature}"), *theirs, *ours))
    }

    /// The first window from which something else was read.
    fn windows_differ(
        output: &TickOutput,
        windows: &WindowResults,
        recorded: &RecordedTick,
    ) -> Option<Difference> {
        let theirs = &recorded.document.windows;
        let ours: Vec<WindowResult> = WindowResult::all_of(windows).collect();
        let same = |ours: &WindowResult, theirs: &WindowResult| match (ours, theirs) {
            (WindowResult::Values(ours), WindowResult::Values(theirs)) => {
                ours.iter().map(|value| value.to_bits()).eq(theirs.iter().map(|value| value.to_bits()))
            }
            _ => ours == theirs,
        };
        let place = (0..ours.len().max(theirs.len())).find(|place| {
            !ours.get(*place).zip(theirs.get(*place)).is_some_and(|(ours, theirs)| same(ours, theirs))
        })?;
        let window = recorded.document.input.windows.get(place);
        let field =
            window.map_or_else(|| "window".to_owned(), |window| format!("window at event {}", window.event));
        Some(Difference {
            seq: output.seq,
            field,
            recorded: json!(theirs.get(place)),
            replayed: json!(ours.get(place)),
        })
    }

    fn published_differs(&self, output: &TickOutput, time: f64, values: &[f64]) -> Option<Difference> {
        if time.to_bits() != output.time.0.to_bits() {
            return Some(difference(output.seq, "time", time, output.time.0));
        }
        self.compared.iter().find_map(|(index, label)| {
            let (ours, theirs) = (self.values.get(*index)?, values.get(*index)?);
            (ours.to_bits() != theirs.to_bits()).then(|| difference(output.seq, label, *theirs, *ours))
        })
    }

    /// Takes a checkpoint of the adaptive state after tick `seq`, and what replay had then.
    pub fn checkpoint(&mut self, seq: u64, recorded: &AdaptiveState, replayed: Option<&AdaptiveState>) {
        self.checkpoints += 1;
        if self.first_difference.is_some() {
            return;
        }
        self.first_difference = match replayed {
            None => Some(difference(seq, recorded.name(), f64::NAN, f64::NAN)),
            Some(ours) => recorded.difference(ours).map(|(place, theirs, ours)| {
                difference(seq, &format!("{}, value {place}", recorded.name()), theirs, ours)
            }),
        };
    }

    /// Notes that something is missing, where nothing has differed before.
    pub fn missing(&mut self, seq: u64, field: &str, what: String) {
        self.first_difference.get_or_insert(Difference {
            seq,
            field: field.to_owned(),
            recorded: what.into(),
            replayed: serde_json::Value::Null,
        });
    }

    /// SHA-256 of what replay gave: for each tick its time and the compared channels in their order, as little-endian
    /// 64-bit floats; then for each window that was read at it the number of its event and its values, likewise, or why there
    /// are none.
    #[must_use]
    pub fn output_sha256(&self) -> String {
        kalmind_types::ModelId(self.hash.clone().finalize().into()).to_hex()
    }
}

fn difference(seq: u64, field: &str, recorded: f64, replayed: f64) -> Difference {
    Difference { seq, field: field.to_owned(), recorded: recorded.into(), replayed: replayed.into() }
}

#[cfg(test)]
mod tests {
    use std::borrow::Cow;

    use kalmind_types::{
        EventMarker, EventWindow, LslTime, Seconds, StageTimes, StreamTime, TickInput, TickPublication,
        WindowMissing,
    };

    use super::*;
    use crate::recorded::TickDocument;

    /// What is found, and the hash, where this was read from a window and the other thing recorded.
    fn compared(replayed: Option<f64>, recorded: Option<f64>) -> (Option<Difference>, String) {
        let results = |value: Option<f64>| {
            let mut results = WindowResults::with_room(1);
            match value {
                Some(value) => results.push(1, |values| values.fill(value)),
                None => results.push_missing(WindowMissing::Gap),
            }
            results
        };
        let mut input = TickInput::empty();
        input.windows.push(EventWindow {
            event: 7,
            marker: EventMarker { window: 0, text: 0, stamp: StreamTime(1.0), offset: Seconds(0.0) },
            stream: 0,
            first: 3,
            count: 4,
            missing: None,
        });
        let output = TickOutput::neutral(5, LslTime(2.0));
        let published =
            TickPublication { output, times: StageTimes::default(), age: Seconds(0.0), late: false };
        let document = TickDocument::of(&input, &published, false, 0).with_windows(&results(recorded));
        let text = serde_json::to_string(&document).expect("JSON");
        let read: TickDocument<'_> = serde_json::from_str(&text).expect("the same");
        assert_eq!(read, document);
        let input = Cow::Owned(read.input.into_owned());
        let tick =
            RecordedTick { document: TickDocument { input, ..read }, features: Vec::new(), cursor: None };
        let mut comparison =
            Comparison::new(PublishedRow { compared: Vec::new(), write: Box::new(|_, _| {}) }, None);
        comparison.tick(&[], &output, &results(replayed), &tick);
        (comparison.first_difference.clone(), comparison.output_sha256())
    }

    #[test]
    fn what_was_read_from_a_window_is_compared_to_the_last_bit() {
        let value = 0.1 + 0.2;
        let (same, hash) = compared(Some(value), Some(value));
        assert_eq!(same, None);
        let (differs, other) = compared(Some(value), Some(0.3));
        let differs = differs.expect("another last bit");
        assert_eq!((differs.seq, differs.field.as_str()), (5, "window at event 7"));
        assert_eq!(other, hash, "the hash is that of what replay gave");
        assert_ne!(compared(Some(0.3), Some(0.3)).1, hash);
        assert_eq!(compared(None, None).0, None);
        assert!(compared(None, Some(value)).0.is_some() && compared(Some(value), None).0.is_some());
    }

    #[test]
    fn a_checkpoint_of_other_bits_or_of_nothing_is_a_difference() {
        let recorded = AdaptiveState::new("normaliser", &[2]);
        let mut other = recorded.clone();
        other.values_mut().fill(-0.0);
        for (replayed, field) in [
            (Some(&recorded), None),
            (Some(&other), Some("normaliser, value 0".to_owned())),
            (None, Some("normaliser".to_owned())),
        ] {
            let row = PublishedRow { compared: Vec::new(), write: Box::new(|_, _| {}) };
            let mut comparison = Comparison::new(row, None);
            comparison.checkpoint(7, &recorded, replayed);
            assert_eq!(comparison.checkpoints, 1);
            let found = comparison.first_difference.map(|difference| (difference.seq, difference.field));
            assert_eq!(found, field.map(|field| (7, field)));
        }
    }
}
