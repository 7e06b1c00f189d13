//! Files for the tests of XDF, made in memory.
#![allow(
    dead_code,
    clippy::allow_attributes,
    clippy::expect_used,
    clippy::cast_possible_wrap,
    reason = "shared by several test programs, each of which uses a part"
)]

use std::io;

use kalmind_recording::xdf::{
    encode::HeaderFields,
    writer::{Sink, Writer},
};
use kalmind_types::{NumberFormat, Samples, StreamTime};

/// A file in memory.
#[derive(Debug, Default)]
pub(crate) struct Memory(pub(crate) Vec<u8>);

impl Sink for Memory {
    fn write_at(&mut self, offset: u64, bytes: &[u8]) -> io::Result<usize> {
        assert_eq!(offset, self.0.len() as u64, "every write follows on the one before");
        self.0.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn cut(&mut self, length: u64) -> io::Result<()> {
        self.0.truncate(length as usize);
        Ok(())
    }

    fn length(&mut self) -> io::Result<u64> {
        Ok(self.0.len() as u64)
    }
}

/// Numbers from a 64-bit congruential generator.
#[derive(Clone, Debug)]
pub(crate) struct Noise(pub(crate) u64);

impl Noise {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        self.0 >> 16
    }

    pub(crate) fn below(&mut self, end: usize) -> usize {
        (self.next() % end as u64) as usize
    }
}

/// Every number format and text, `seconds` long, with clock offsets, boundaries and footers.
pub(crate) fn file(seconds: usize) -> Vec<u8> {
    let mut writer = Writer::new(Memory::default(), "2026-01-31T12:00:00+0000", "");
    let formats = [
        Some(NumberFormat::Float32),
        Some(NumberFormat::Double64),
        Some(NumberFormat::Int8),
        Some(NumberFormat::Int16),
        Some(NumberFormat::Int32),
        Some(NumberFormat::Int64),
        None,
    ];
    let streams = formats.map(|format| {
        let name = format!("{format:?}");
        let rate = if format.is_some() { 100.0 } else { 0.0 };
        let fields = HeaderFields {
            name: &name,
            content_type: "Test",
            channels: 3,
            nominal_rate_hz: rate,
            format,
            desc: "<channels><channel><label>a</label></channel><channel><label>b</label></channel><channel><label>c</label></channel></channels>",
            ..HeaderFields::default()
        };
        writer.add_stream(&fields)
    });
    let mut noise = Noise(7);
    for second in 0..seconds {
        for (stream, format) in streams.iter().zip(formats) {
            let stamps: Vec<StreamTime> =
                (0..100).map(|index| StreamTime(10.0 + second as f64 + f64::from(index) / 100.0)).collect();
            let mut value = || noise.next();
            let count = 3 * stamps.len();
            let values = match format {
                Some(NumberFormat::Float32) => Samples::Float32((0..count).map(|_| value() as f32).collect()),
                Some(NumberFormat::Double64) => {
                    Samples::Double64((0..count).map(|_| value() as f64).collect())
                }
                Some(NumberFormat::Int8) => Samples::Int8((0..count).map(|_| value() as i8).collect()),
                Some(NumberFormat::Int16) => Samples::Int16((0..count).map(|_| value() as i16).collect()),
                Some(NumberFormat::Int32) => Samples::Int32((0..count).map(|_| value() as i32).collect()),
                Some(NumberFormat::Int64) => Samples::Int64((0..count).map(|_| value() as i64).collect()),
                None => {
                    let text = "x".repeat(noise.below(300));
                    writer.text(*stream, StreamTime(10.0 + second as f64), &["a", "", &text], false);
                    continue;
                }
            };
            for (index, stamps) in stamps.chunks(10).enumerate() {
                writer.rows(*stream, stamps, values.rows(3, 10 * index, 10 * (index + 1)));
            }
            writer.clock_offset(*stream, 10.0 + second as f64, 0.001 * second as f64);
        }
        writer.boundary();
        writer.commit().expect("memory takes everything");
    }
    writer.footers();
    writer.commit().expect("memory takes everything");
    writer.sink().0.clone()
}
