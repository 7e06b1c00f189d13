//! Whether LSL works on this machine with the settings in force: an outlet is made, found, and read, all in one process.

use kalmind_types::{LslTime, Seconds};
use lsl::{ChannelFormat, ExPushable as _, Pullable as _, StreamInfo, StreamInlet, StreamOutlet};
use serde::{Deserialize, Serialize};

use crate::clock::{self, Deadline};

/// What is sent: numbers that no other bytes stand for by chance.
const SENT: [f64; 2] = [0.25, -1.5e300];
/// Samples whose way is measured.
const SAMPLES: usize = 50;
/// How long a sample is waited for before the next one is sent.
const NEXT: f64 = 0.05;

/// The library that this process has loaded.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Library {
    /// 100 times the major version, plus the minor one.
    pub version: i32,
    /// What it says of its build.
    pub build: String,
}

/// What came of a probe.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Probe {
    /// From the outlet's start to the first answer of a search for it, in milliseconds.
    pub found_ms: f64,
    /// From a sample's stamp to its arrival, in milliseconds: the middle one.
    pub under_way_ms: f64,
    /// The longest.
    pub longest_ms: f64,
}

/// Where a probe got stuck.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProbeError {
    /// No outlet could be made.
    #[error("no outlet could be made: {0}")]
    Outlet(String),
    /// The outlet was made, and no search found it.
    #[error("an outlet was made, and a search did not find it")]
    NotFound,
    /// It was found, and no connection came about.
    #[error("an outlet was found, and could not be connected to: {0}")]
    Connect(String),
    /// It was connected to, and no sample came through.
    #[error("an outlet was found and connected to, and no sample came through")]
    NoSample,
    /// A sample came through with other numbers.
    #[error("a sample came through changed")]
    Changed,
}

/// The library that this process has loaded.
#[must_use]
pub fn library() -> Library {
    Library { version: lsl::library_version(), build: lsl::library_info() }
}

/// Makes an outlet called `name`, finds and reads it. Each step may take `patience`; blocks the calling thread, a second or
/// so where all is well.
///
/// # Errors
/// See [`ProbeError`].
pub fn probe(name: &str, patience: Seconds) -> Result<Probe, ProbeError> {
    let outlet_failed = |error: lsl::Error| ProbeError::Outlet(error.to_string());
    let connect_failed = |error: lsl::Error| ProbeError::Connect(error.to_string());
    let info = StreamInfo::new(name, "Check", SENT.len() as u32, 0.0, ChannelFormat::Double64, name)
        .map_err(outlet_failed)?;
    let started = clock::now();
    let outlet = StreamOutlet::new(&info, 0, 1).map_err(outlet_failed)?;
    let found = lsl::resolve_byprop("source_id", name, 1, patience.0).unwrap_or_default();
    let Some(found) = found.first() else { return Err(ProbeError::NotFound) };
    let found_ms = (clock::now() - started).as_millis();
    let inlet = StreamInlet::new(found, 1, 0, false).map_err(connect_failed)?;
    inlet.open_stream(patience.0).map_err(connect_failed)?;
    let deadline = Deadline::after(patience);
    let sent = SENT.to_vec();
    let mut received = vec![0.0_f64; SENT.len()];
    let mut ways: Vec<f64> = Vec::with_capacity(SAMPLES);
    while ways.len() < SAMPLES && !deadline.passed() {
        outlet.push_sample_ex(&sent, clock::now().0, true).map_err(connect_failed)?;
        let stamp = inlet.pull_sample_buf(&mut received, NEXT).map_err(connect_failed)?;
        if stamp == 0.0 {
            continue;
        }
        if received.iter().zip(SENT).any(|(received, sent): (&f64, f64)| received.to_bits() != sent.to_bits())
        {
            return Err(ProbeError::Changed);
        }
        ways.push((clock::now() - LslTime(stamp)).as_millis());
    }
    ways.sort_by(f64::total_cmp);
    match (ways.get(ways.len() / 2), ways.last()) {
        (Some(&under_way_ms), Some(&longest_ms)) => Ok(Probe { found_ms, under_way_ms, longest_ms }),
        _ => Err(ProbeError::NoSample),
    }
}
