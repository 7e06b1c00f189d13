//! What a latency measurement found: each sample sent, matched with its arrival through either path.

use anyhow::Context as _;
use serde::Deserialize;

/// Stamps may differ by this much (in seconds) and still be those of one sample: the daemon corrects them by the clock
/// offset that it measures, which on one machine is some ten microseconds. Samples are 4 ms apart or more.
const SAME_SAMPLE: f64 = 1e-3;

/// What a consumer wrote.
#[derive(Debug, Deserialize)]
pub(crate) struct Consumed {
    pub(crate) labels: Option<Vec<Option<String>>>,
    pub(crate) stamps: Vec<f64>,
    pub(crate) arrivals: Vec<f64>,
    pub(crate) samples: Vec<Vec<f64>>,
}

/// One path of a measurement.
#[derive(Debug)]
pub(crate) struct Path {
    /// From push to pull, in milliseconds, sorted.
    pub(crate) latencies: Vec<f64>,
    /// Samples sent that did not arrive.
    pub(crate) lost: usize,
}

impl Path {
    /// Matches what was sent (push times) with what arrived. The first `warm_up` samples are left out of the latencies.
    pub(crate) fn new(sent: &[f64], arrived: &Consumed, warm_up: usize) -> Self {
        let mut latencies = Vec::with_capacity(sent.len());
        let mut lost = 0;
        for (index, push) in sent.iter().enumerate() {
            let at = arrived.stamps.partition_point(|stamp| *stamp < push - SAME_SAMPLE);
            let found = arrived.stamps.get(at).is_some_and(|stamp| (stamp - push).abs() <= SAME_SAMPLE);
            if !found {
                lost += 1;
            } else if index >= warm_up {
                latencies.push((arrived.arrivals[at] - push) * 1e3);
            }
        }
        latencies.sort_by(f64::total_cmp);
        Self { latencies, lost }
    }

    /// The latency that this part of the samples stays below, in milliseconds.
    pub(crate) fn quantile(&self, part: f64) -> f64 {
        let at = ((self.latencies.len() as f64 * part).ceil() as usize).saturating_sub(1);
        self.latencies.get(at).copied().unwrap_or(f64::NAN)
    }

    /// The longest latency, in milliseconds.
    pub(crate) fn max(&self) -> f64 {
        self.latencies.last().copied().unwrap_or(f64::NAN)
    }
}

/// Reads a JSON file.
pub(crate) fn read<T: for<'de> Deserialize<'de>>(path: &std::path::Path) -> anyhow::Result<T> {
    let text = std::fs::read_to_string(path).with_context(|| path.display().to_string())?;
    serde_json::from_str(&text).with_context(|| path.display().to_string())
}
