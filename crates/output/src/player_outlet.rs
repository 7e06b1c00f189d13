//! An LSL outlet of any format: how a recording is played to other programs.

use kalmind_types::{LslTime, NumberFormat, SampleRows};
use lsl::{ChannelFormat, ExPushable as _, StreamInfo, StreamOutlet};

use crate::LslError;

/// How many seconds the outlet keeps for a reader that is slow.
const KEPT_SECONDS: i32 = 360;

/// The stream to be played.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct PlayerOutletConfig {
    /// Stream name.
    pub name: String,
    /// Content type.
    pub content_type: String,
    /// The identity by which readers find it again.
    pub source_id: String,
    /// Values a sample.
    pub channels: usize,
    /// Samples a second; 0 for irregular streams.
    pub rate_hz: f64,
    /// Number format; `None` for text.
    pub format: Option<NumberFormat>,
    /// Channel labels, where there are any.
    pub labels: Option<Vec<String>>,
    /// Channel units, where there are any.
    pub units: Option<Vec<String>>,
}

/// The outlet. Stays in the thread that made it (liblsl's rule); readers can find it from then on.
pub struct PlayerOutlet {
    outlet: StreamOutlet,
    name: String,
}

impl core::fmt::Debug for PlayerOutlet {
    fn fmt(&self, formatter: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        formatter.debug_struct("PlayerOutlet").field("name", &self.name).finish_non_exhaustive()
    }
}

impl PlayerOutlet {
    /// Makes the outlet.
    ///
    /// # Errors
    /// [`LslError::Create`] and [`LslError::NoChannels`].
    pub fn new(config: &PlayerOutletConfig) -> Result<Self, LslError> {
        if config.channels == 0 {
            return Err(LslError::NoChannels { outlet: config.name.clone() });
        }
        let format = match config.format {
            Some(NumberFormat::Float32) => ChannelFormat::Float32,
            Some(NumberFormat::Double64) => ChannelFormat::Double64,
            Some(NumberFormat::Int8) => ChannelFormat::Int8,
            Some(NumberFormat::Int16) => ChannelFormat::Int16,
            Some(NumberFormat::Int32) => ChannelFormat::Int32,
            Some(NumberFormat::Int64) => ChannelFormat::Int64,
            None => ChannelFormat::String,
        };
        let created = |source| LslError::Create { outlet: config.name.clone(), source };
        let mut info = StreamInfo::new(
            &config.name,
            &config.content_type,
            config.channels as u32,
            config.rate_hz,
            format,
            &config.source_id,
        )
        .map_err(created)?;
        if let Some(labels) = &config.labels {
            let mut list = info.desc().append_child("channels");
            for (channel, label) in labels.iter().enumerate() {
                let mut entry = list.append_child("channel");
                entry.append_child_value("label", label);
                if let Some(unit) = config.units.as_ref().and_then(|units| units.get(channel)) {
                    entry.append_child_value("unit", unit);
                }
            }
        }
        let outlet = StreamOutlet::new(&info, 0, KEPT_SECONDS).map_err(created)?;
        Ok(Self { outlet, name: config.name.clone() })
    }

    /// Whether anybody reads from it.
    #[must_use]
    pub fn has_readers(&self) -> bool {
        self.outlet.have_consumers()
    }

    /// Pushes one sample of numbers, which has to be of the outlet's format and width; readers get it with the next one whose
    /// `is_last` says that it is the last for now.
    ///
    /// # Errors
    /// [`LslError::Push`] with what liblsl says.
    pub fn push(&self, row: SampleRows<'_>, time: LslTime, is_last: bool) -> Result<(), LslError> {
        match row {
            SampleRows::Float32(values) => self.outlet.push_sample_ex(&values.to_vec(), time.0, is_last),
            SampleRows::Double64(values) => self.outlet.push_sample_ex(&values.to_vec(), time.0, is_last),
            SampleRows::Int8(values) => self.outlet.push_sample_ex(&values.to_vec(), time.0, is_last),
            SampleRows::Int16(values) => self.outlet.push_sample_ex(&values.to_vec(), time.0, is_last),
            SampleRows::Int32(values) => self.outlet.push_sample_ex(&values.to_vec(), time.0, is_last),
            SampleRows::Int64(values) => self.outlet.push_sample_ex(&values.to_vec(), time.0, is_last),
        }
        .map_err(|source| LslError::Push { outlet: self.name.clone(), source })
    }

    /// Pushes one sample of text.
    ///
    /// # Errors
    /// [`LslError::Push`] with what liblsl says.
    pub fn push_texts(&self, texts: &[String], time: LslTime) -> Result<(), LslError> {
        self.outlet
            .push_sample_ex(&texts.to_vec(), time.0, true)
            .map_err(|source| LslError::Push { outlet: self.name.clone(), source })
    }
}
