//! The six number types of LSL behind one trait, so that the data thread is written once.

use kalmind_types::{NumberFormat, Samples};
use lsl::{ChannelFormat, Pullable, StreamInlet};

/// A number type that LSL delivers.
pub(crate) trait Number: Copy + Default + 'static {
    /// Pulls one sample into `row` (resized to the channel count); 0.0 when there is none within `timeout` seconds.
    fn pull(inlet: &StreamInlet, row: &mut Vec<Self>, timeout: f64) -> Result<f64, lsl::Error>;
    /// Puts `row` behind `samples`. `false` where those are of another type.
    fn append(row: &[Self], samples: &mut Samples) -> bool;
}

macro_rules! number {
    ($($type:ty => $variant:ident),+) => {$(
        impl Number for $type {
            fn pull(inlet: &StreamInlet, row: &mut Vec<Self>, timeout: f64) -> Result<f64, lsl::Error> {
                inlet.pull_sample_buf(row, timeout)
            }

            fn append(row: &[Self], samples: &mut Samples) -> bool {
                if let Samples::$variant(values) = samples {
                    values.extend_from_slice(row);
                    true
                } else {
                    false
                }
            }
        }
    )+};
}
number!(f32 => Float32, f64 => Double64, i8 => Int8, i16 => Int16, i32 => Int32, i64 => Int64);

/// The number format of a stream; `None` for strings and for what LSL cannot transmit.
pub(crate) fn number_format(format: ChannelFormat) -> Option<NumberFormat> {
    match format {
        ChannelFormat::Float32 => Some(NumberFormat::Float32),
        ChannelFormat::Double64 => Some(NumberFormat::Double64),
        ChannelFormat::Int8 => Some(NumberFormat::Int8),
        ChannelFormat::Int16 => Some(NumberFormat::Int16),
        ChannelFormat::Int32 => Some(NumberFormat::Int32),
        ChannelFormat::Int64 => Some(NumberFormat::Int64),
        ChannelFormat::String | ChannelFormat::Undefined => None,
    }
}

/// The name by which people know a format.
pub(crate) fn format_name(format: Option<NumberFormat>) -> &'static str {
    match format {
        Some(NumberFormat::Float32) => "float32",
        Some(NumberFormat::Double64) => "double64",
        Some(NumberFormat::Int8) => "int8",
        Some(NumberFormat::Int16) => "int16",
        Some(NumberFormat::Int32) => "int32",
        Some(NumberFormat::Int64) => "int64",
        None => "string",
    }
}
