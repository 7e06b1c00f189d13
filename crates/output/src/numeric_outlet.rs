//! An LSL outlet of plain numbers: how the simulated participant sends its counts, as any laboratory's program would.

use kalmind_types::LslTime;
use lsl::{ChannelFormat, ExPushable as _, StreamInfo, StreamOutlet};

use crate::LslError;

/// How many seconds the outlet keeps for a reader that is slow.
const KEPT_SECONDS: i32 = 360;

/// An outlet of regular 32-bit float samples.
#[derive(Clone, Debug, PartialEq)]
pub struct NumericOutletConfig {
    /// Stream name.
    pub name: String,
    /// Content type.
    pub content_type: String,
    /// The identity by which readers find it again; must not be empty.
    pub source_id: String,
    /// Samples a second.
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
        let outlet = StreamOutlet::new(&info, 0, KEPT_SECONDS).map_err(created)?;
        Ok(Self { outlet, values: vec![0.0; config.labels.len()], name: config.name.clone() })
    }

    /// Pushes one sample stamped `time`; values past the last channel are ignored, missing ones are zero.
    ///
    /// # Errors
    /// [`LslError::Push`] with what liblsl says.
    pub fn push(&mut self, values: &[f64], time: LslTime) -> Result<(), LslError> {
        self.values.fill(0.0);
        for (kept, value) in self.values.iter_mut().zip(values) {
            *kept = *value as f32;
        }
        self.outlet
            .push_sample_ex(&self.values, time.0, true)
            .map_err(|source| LslError::Push { outlet: self.name.clone(), source })
    }
}
