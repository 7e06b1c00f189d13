//! An LSL outlet of plain numbers: how the simulated participant sends its signals, as any laboratory's program would.

use kalmind_types::LslTime;
use lsl::{ChannelFormat, ExPushable as _, StreamInfo, StreamOutlet};

use crate::LslError;

/// How many seconds the outlet keeps for a reader that is slow, and of how many values at most.
const KEPT_SECONDS: f64 = 360.0;
const KEPT_VALUES: f64 = 3e7;

/// An outlet of 32-bit float samples.
#[derive(Clone, Debug, PartialEq)]
pub struct NumericOutletConfig {
    /// Stream name.
    pub name: String,
    /// Content type.
    pub content_type: String,
    /// The identity by which readers find it again; must not be empty.
    pub source_id: String,
    /// Samples a second; 0 where they come when they come.
    pub rate_hz: f64,
    /// Channel labels, one a channel.
    pub labels: Vec<String>,
    /// Unit of every channel.
    pub unit: String,
}

/// The outlet. Stays in the thread that made it (liblsl's rule); readers can find it from then on.
pub struct NumericOutlet {
    outlet: StreamOutlet,
    values: Vec<f32>,
    name: String,
}

impl core::fmt::Debug for NumericOutlet {
    fn fmt(&self, formatter: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        formatter.debug_struct("NumericOutlet").field("name", &self.name).finish_non_exhaustive()
    }
}

impl NumericOutlet {
    /// Makes the outlet.
    ///
    /// # Errors
    /// [`LslError::Create`] and [`LslError::NoChannels`].
    pub fn new(config: &NumericOutletConfig) -> Result<Self, LslError> {
        if config.labels.is_empty() {
            return Err(LslError::NoChannels { outlet: config.name.clone() });
        }
        let created = |source| LslError::Create { outlet: config.name.clone(), source };
        let mut info = StreamInfo::new(
            &config.name,
            &config.content_type,
            config.labels.len() as u32,
            config.rate_hz,
            ChannelFormat::Float32,
            &config.source_id,
        )
        .map_err(created)?;
        let mut list = info.desc().append_child("channels");
        for label in &config.labels {
            let mut entry = list.append_child("channel");
            entry.append_child_value("label", label);
            entry.append_child_value("unit", &config.unit);
        }
        let values_a_second = config.rate_hz * config.labels.len() as f64;
        // liblsl makes room for all of it at once
        let kept = (KEPT_VALUES / values_a_second).clamp(2.0, KEPT_SECONDS) as i32;
        let outlet = StreamOutlet::new(&info, 0, kept).map_err(created)?;
        Ok(Self { outlet, values: vec![0.0; config.labels.len()], name: config.name.clone() })
    }

    /// Pushes one sample stamped `time`; values past the last channel are ignored, missing ones are zero.
    ///
    /// # Errors
    /// [`LslError::Push`] with what liblsl says.
    pub fn push(&mut self, values: &[f64], time: LslTime) -> Result<(), LslError> {
        self.push_one(values, time, true)
    }

    /// Pushes rows of values, one a channel, as one chunk; `stamp` says of each row when it was.
    ///
    /// # Errors
    /// [`LslError::Push`] with what liblsl says.
    pub fn push_rows(&mut self, rows: &[f64], stamp: impl Fn(usize) -> LslTime) -> Result<(), LslError> {
        let mut rows = rows.chunks(self.values.len()).enumerate().peekable();
        while let Some((row, values)) = rows.next() {
            self.push_one(values, stamp(row), rows.peek().is_none())?;
        }
        Ok(())
    }

    /// Pushes one sample, which goes out at once where nothing follows it.
    fn push_one(&mut self, values: &[f64], time: LslTime, is_last: bool) -> Result<(), LslError> {
        self.values.fill(0.0);
        for (kept, value) in self.values.iter_mut().zip(values) {
            *kept = *value as f32;
        }
        self.outlet
            .push_sample_ex(&self.values, time.0, is_last)
            .map_err(|source| LslError::Push { outlet: self.name.clone(), source })
    }
}
