//! The six number types of LSL behind one trait, so that the data thread is written once.

use kalmind_types::{NumberFormat, Samples};
use lsl::{ChannelFormat, Pullable, StreamInlet};

/// A number type that LSL delivers.
pub(crate) trait Number: Copy + Default + 'static {
    /// Pulls one sample into `row` (resized to the channel count); 0.0 when there is none within `timeout` seconds.
    fn pull(inlet: &StreamInlet, row: &mut Vec<Self>, timeout: f64) -> Result<f64, lsl::Error>;
    /// Puts `row` behind `samples`, converted where those are `Double64`. `false` where they are of yet another type.
    fn append(row: &[Self], samples: &mut Samples) -> bool;
    /// The number as people write it, whole numbers without a point: how a trigger is told. Empty where it is none.
    fn text(self) -> String;
}

/// A floating-point number as people write it: what is whole needs no point.
fn float_text(value: f64) -> String {
    match value {
        value if !value.is_finite() => String::new(),
        // also keeps -0 from being another trigger than 0
        value if value.fract() == 0.0 && value.abs() < 1e15 => (value as i64).to_string(),
        value => value.to_string(),
    }
}

/// The same with a short number's own digits: 0.1 is 0.1 and not 0.10000000149.
fn f32_text(value: f32) -> String {
    if value.is_finite() && value.fract() != 0.0 { value.to_string() } else { float_text(value.into()) }
}

macro_rules! number {
    ($($type:ty => $variant:ident, $double:expr, $text:expr);+) => {$(
        impl Number for $type {
            fn pull(inlet: &StreamInlet, row: &mut Vec<Self>, timeout: f64) -> Result<f64, lsl::Error> {
                inlet.pull_sample_buf(row, timeout)
            }

            fn append(row: &[Self], samples: &mut Samples) -> bool {
                if let Samples::$variant(values) = samples {
                    values.extend_from_slice(row);
                    true
                } else if let Samples::Double64(values) = samples {
                    values.extend(row.iter().copied().map($double));
                    true
                } else {
                    false
                }
            }

            fn text(self) -> String {
                let text: fn(Self) -> String = $text;
                text(self)
            }
        }
    )+};
}
number!(
    f32 => Float32, f64::from, f32_text;
    f64 => Double64, core::convert::identity, float_text;
    i8 => Int8, f64::from, |value| value.to_string();
    i16 => Int16, f64::from, |value| value.to_string();
    i32 => Int32, f64::from, |value| value.to_string();
    i64 => Int64, |value| value as f64, |value| value.to_string()
);

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

/// The same for LSL; strings for none.
pub(crate) fn lsl_format(format: Option<NumberFormat>) -> ChannelFormat {
    match format {
        Some(NumberFormat::Float32) => ChannelFormat::Float32,
        Some(NumberFormat::Double64) => ChannelFormat::Double64,
        Some(NumberFormat::Int8) => ChannelFormat::Int8,
        Some(NumberFormat::Int16) => ChannelFormat::Int16,
        Some(NumberFormat::Int32) => ChannelFormat::Int32,
        Some(NumberFormat::Int64) => ChannelFormat::Int64,
        None => ChannelFormat::String,
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_go_into_their_own_format_or_into_double64() {
        let mut doubles = Samples::with_capacity(NumberFormat::Double64, 8);
        assert!(i16::append(&[-3, 4], &mut doubles) && f32::append(&[0.5, 1.5], &mut doubles));
        assert!(f64::append(&[0.1], &mut doubles));
        assert_eq!(doubles, Samples::Double64(vec![-3.0, 4.0, 0.5, 1.5, 0.1]));
        let mut shorts = Samples::with_capacity(NumberFormat::Int16, 8);
        assert!(i16::append(&[-3], &mut shorts) && !f32::append(&[0.5], &mut shorts));
        assert_eq!(shorts, Samples::Int16(vec![-3]));
    }

    #[test]
    fn whole_numbers_read_alike_in_every_format() {
        let all = [1_i8.text(), 1_i16.text(), 1_i32.text(), 1_i64.text(), 1.0_f32.text(), 1.0_f64.text()];
        assert!(all.iter().all(|text| text == "1"), "{all:?}");
        assert_eq!(
            [(-7.0_f64).text(), (-0.0_f32).text(), 0.1_f32.text(), 2.5_f64.text()],
            ["-7", "0", "0.1", "2.5"]
        );
        assert_eq!([f64::NAN.text(), f32::INFINITY.text()], ["", ""]);
        assert_eq!(1e300_f64.text().len(), 301);
    }
}
