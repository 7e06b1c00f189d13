//! What was published beside what replay computes, to the last bit.

use std::fmt;

use kalmind_types::TickOutput;
use serde::Serialize;
use sha2::{Digest as _, Sha256};

/// Channels of the cursor that depend on a clock, or on what was not decoded: they are not compared.
const NOT_COMPARED: [&str; 3] = ["newest", "age_ms", "run"];

/// The first place where replay gave something else than what was published.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Difference {
    /// The tick.
    pub seq: u64,
    /// `feature` and its number, the channel of the cursor stream, `time`, `samples` (the recording lacks some that the tick used) or `tick` (the
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
    /// Labels of the channels.
    pub labels: Vec<String>,
    /// Writes a tick's values, one a channel, over those that are there.
    pub write: Box<WriteRow>,
}

impl fmt::Debug for PublishedRow {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("PublishedRow").field("labels", &self.labels).finish_non_exhaustive()
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
    features: Vec<f64>,
    /// The newest tick: seq and time; compared when what was recorded of it comes.
    waiting: Option<(u64, f64)>,
    /// Ticks computed.
    pub ticks: u64,
    /// Ticks whose published row was there to be compared with.
    pub compared_ticks: u64,
    /// The first difference.
    pub first_difference: Option<Difference>,
}

impl Comparison {
    /// For a session whose ticks were published so.
    #[must_use]
    pub fn new(row: PublishedRow) -> Self {
        let labels = row.labels.iter().enumerate();
        let compared = labels
            .filter(|(_, label)| !NOT_COMPARED.contains(&label.as_str()))
            .map(|(index, label)| (index, label.clone()))
            .collect();
        Self {
            row,
            compared,
            hash: Sha256::new(),
            values: Vec::new(),
            features: Vec::new(),
            waiting: None,
            ticks: 0,
            compared_ticks: 0,
            first_difference: None,
        }
    }

    /// Takes what replay gave: the tick's raw features, and what is published of it.
    pub fn replayed(&mut self, features: &[f64], output: &TickOutput) {
        self.features.clear();
        self.features.extend_from_slice(features);
        (self.row.write)(output, &mut self.values);
        self.hash.update(output.time.0.to_le_bytes());
        for (index, _) in &self.compared {
            self.hash.update(self.values[*index].to_le_bytes());
        }
        self.ticks += 1;
        self.waiting = Some((output.seq, output.time.0));
    }

    /// Takes the features recorded of the newest tick. Those of another tick are left alone.
    pub fn recorded_features(&mut self, time: f64, values: &[f64]) {
        let Some((seq, replayed_time)) = self.waiting else { return };
        if self.first_difference.is_some() || time.to_bits() != replayed_time.to_bits() {
            return;
        }
        let pairs = self.features.iter().zip(values).enumerate();
        // a channel without a sample is not a number on both sides
        let differ = |ours: f64, theirs: f64| {
            ours.to_bits() != theirs.to_bits() && !(ours.is_nan() && theirs.is_nan())
        };
        self.first_difference = pairs.into_iter().find(|(_, (ours, theirs))| differ(**ours, **theirs)).map(
            |(feature, (ours, theirs))| Difference {
                seq,
                field: format!("feature {feature}"),
                recorded: (*theirs).into(),
                replayed: (*ours).into(),
            },
        );
    }

    /// Takes what was published of the newest tick. A row of another tick is left alone.
    pub fn recorded(&mut self, time: f64, values: &[f64], seq_channel: Option<usize>) {
        let seq = seq_channel.and_then(|channel| values.get(channel)).map(|seq| *seq as u64);
        let Some((replayed, replayed_time)) = self.waiting.take_if(|(waiting, _)| Some(*waiting) == seq)
        else {
            return;
        };
        self.compared_ticks += 1;
        if self.first_difference.is_some() {
            return;
        }
        let differs = |field: &str, recorded: f64, ours: f64| Difference {
            seq: replayed,
            field: field.to_owned(),
            recorded: recorded.into(),
            replayed: ours.into(),
        };
        if time.to_bits() != replayed_time.to_bits() {
            self.first_difference = Some(differs("time", time, replayed_time));
            return;
        }
        self.first_difference = self.compared.iter().find_map(|(index, label)| {
            let (ours, theirs) = (self.values.get(*index)?, values.get(*index)?);
            (ours.to_bits() != theirs.to_bits()).then(|| differs(label, *theirs, *ours))
        });
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
    /// 64-bit floats.
    #[must_use]
    pub fn output_sha256(&self) -> String {
        kalmind_types::ModelId(self.hash.clone().finalize().into()).to_hex()
    }
}
