//! Samples, markers and time from Lab Streaming Layer: everything that comes in, and what is known about how it came.
//!
//! One thread per stream pulls samples into pooled blocks and hands them to the tick thread through a wait-free ring;
//! a second thread per stream measures the sender's clock and watches for a replacement, off the data path. Monitors
//! judge each stream and say in one sentence what is wrong and what to do.
//!
//! *Invariants.* Nothing is lost in silence: every sample that LSL delivers is in a block or counted as dropped, and
//! the gap stands in the next block. A stream is never reconnected to an outlet of another shape. The tick thread meets
//! only [`ring`] and [`pool`], which take no lock and allocate nothing. Clocks are read in [`clock`] and nowhere else.

mod arrival;
pub mod clock;
mod companion;
mod health;
mod lsl_network;
mod markers;
mod monitor;
mod number;
mod numeric;
mod offset;
pub mod pool;
mod probe;
mod queue;
mod rate;
pub mod ring;
mod search;
mod sync;
mod waker;

pub use arrival::limits::{ArrivalSettings, limit_ms, wait_ms};
pub use arrival::meter::{ArrivalMeter, MEASURED_FOR};
pub use health::{Evidence, Fate, Link, MonitorLimits, judge};
pub use lsl_network::{Network, NetworkConfig, NetworkError, lslapicfg};
pub use markers::config::{AtOnce, Marker, MarkerConfig, TextSample};
pub use markers::inlet::MarkerInlet;
pub use monitor::StreamMonitor;
pub use numeric::config::{ClockSource, InletConfig, ThreadStart, blocks_for};
pub use numeric::delivery::{BlockSender, PullContext};
pub use numeric::generations::{GenerationControl, GenerationNews, NextGeneration};
pub use numeric::inlet::{InletGuard, NumericInlet, SpawnError};
pub use numeric::stages::{GivenTo, Stages, Tell, Told};
pub use probe::{Library, Probe, ProbeError, library, probe};
pub use rate::RateMeter;
pub use search::difference::{difference, is_rate};
pub use search::finder::{StreamFinder, find_one};
pub use search::resolve::{ResolveError, check_selector};
pub use search::selector::{SelectorError, StreamSelector};
pub use search::survey::{StreamSurvey, list_streams};
pub use waker::Waker;
