//! Chunks of an XDF 1.0 file as bytes: what a recorder appends to its file.
//!
//! Source: the specification of XDF 1.0 (github.com/sccn/xdf/wiki/Specifications). Every function appends to a buffer
//! that the caller owns and keeps, so that nothing is allocated once the buffer has grown.

use std::fmt::Write as _;

use kalmind_types::{NumberFormat, SampleRows, StreamTime};

/// The first four bytes of every file.
pub const MAGIC: [u8; 4] = *b"XDF:";
/// What a boundary chunk holds.
pub const BOUNDARY: [u8; 16] =
    [0x43, 0xA5, 0x46, 0xDC, 0xCB, 0xF5, 0x41, 0x0F, 0xB3, 0x0E, 0xD5, 0x46, 0x73, 0x83, 0xCB, 0xE4];

/// What kind of chunk follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u16)]
pub enum Tag {
    /// The file's header: once, first.
    FileHeader = 1,
    /// A stream's header: before its samples.
    StreamHeader = 2,
    /// Samples of one stream.
    Samples = 3,
    /// A measured clock offset of one stream.
    ClockOffset = 4,
    /// A mark to find chunks again after damage.
    Boundary = 5,
    /// A stream's footer: after its samples.
    StreamFooter = 6,
}

/// The fields of a stream's header. `desc` is the content of the element of that name, as XML.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct HeaderFields<'a> {
    /// Name.
    pub name: &'a str,
    /// Content type.
    pub content_type: &'a str,
    /// Values a sample.
    pub channels: usize,
    /// Samples a second; 0 for irregular streams.
    pub nominal_rate_hz: f64,
    /// Number format; `None` for text.
    pub format: Option<NumberFormat>,
    /// The sender's own identifier of the source.
    pub source_id: &'a str,
    /// The host that sent it.
    pub hostname: &'a str,
    /// LSL's identifier of the outlet.
    pub uid: &'a str,
    /// LSL's session identifier.
    pub session_id: &'a str,
    /// When it was opened, on the clock of its stamps.
    pub created_at: f64,
    /// Content of `<desc>`: XML.
    pub desc: &'a str,
}

/// The fields of a stream's footer.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct FooterFields<'a> {
    /// Stamp of the first sample.
    pub first_timestamp: f64,
    /// Stamp of the last sample.
    pub last_timestamp: f64,
    /// Samples in the file.
    pub sample_count: u64,
    /// Clock offsets in the file: time of measurement on the stream's clock, and offset.
    pub clock_offsets: &'a [(f64, f64)],
}

/// The name of a number format in a stream's header; `string` for text.
#[must_use]
pub fn format_name(format: Option<NumberFormat>) -> &'static str {
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

/// Text as it stands inside an XML element: marked characters escaped, characters that XML 1.0 forbids left out.
#[must_use]
pub fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '\t' | '\n' | '\r' => escaped.push(character),
            '\0'..='\x1f' | '\u{fffe}' | '\u{ffff}' => {}
            _ => escaped.push(character),
        }
    }
    escaped
}

/// Appends the magic and the file's header. `datetime` is ISO 8601 with zone (`2026-01-31T12:00:00+0000`); `extra` is
/// more XML for the header.
pub fn file_header(to: &mut Vec<u8>, datetime: &str, extra: &str) {
    to.extend_from_slice(&MAGIC);
    let xml = format!(
        "<?xml version=\"1.0\"?><info><version>1.0</version><datetime>{}</datetime>{extra}</info>",
        escaped(datetime)
    );
    chunk(to, Tag::FileHeader, None, &[xml.as_bytes()]);
}

/// Appends a stream's header.
pub fn stream_header(to: &mut Vec<u8>, id: u32, fields: &HeaderFields<'_>) {
    let xml = format!(
        "<?xml version=\"1.0\"?><info><name>{}</name><type>{}</type><channel_count>{}</channel_count>\
         <nominal_srate>{}</nominal_srate><channel_format>{}</channel_format><source_id>{}</source_id>\
         <version>1.1</version><created_at>{}</created_at><uid>{}</uid><session_id>{}</session_id>\
         <hostname>{}</hostname><desc>{}</desc></info>",
        escaped(fields.name),
        escaped(fields.content_type),
        fields.channels,
        fields.nominal_rate_hz,
        format_name(fields.format),
        escaped(fields.source_id),
        fields.created_at,
        escaped(fields.uid),
        escaped(fields.session_id),
        escaped(fields.hostname),
        fields.desc,
    );
    chunk(to, Tag::StreamHeader, Some(id), &[xml.as_bytes()]);
}

/// Appends samples with a stamp each. `values` holds `stamps.len()` rows; nothing is appended where it does not, or
/// where there are none.
pub fn samples(to: &mut Vec<u8>, id: u32, stamps: &[StreamTime], values: SampleRows<'_>) {
    /// Rows of values behind their stamps. Copies of known length: at 30 kHz this is most of what recording costs.
    fn rows<const N: usize, T: Copy>(
        to: &mut Vec<u8>,
        stamps: &[StreamTime],
        values: &[T],
        bytes: impl Fn(T) -> [u8; N],
    ) {
        let channels = values.len() / stamps.len();
        let begin = to.len();
        to.resize(begin + stamps.len() * (9 + channels * N), 0);
        let places = to[begin..].chunks_exact_mut(9 + channels * N);
        for ((place, stamp), row) in places.zip(stamps).zip(values.chunks_exact(channels)) {
            let (head, body) = place.split_at_mut(9);
            head[0] = 8;
            head[1..].copy_from_slice(&stamp.0.to_le_bytes());
            let (cells, _) = body.as_chunks_mut::<N>();
            for (cell, value) in cells.iter_mut().zip(row) {
                *cell = bytes(*value);
            }
        }
    }
    let (count, size) = match values {
        SampleRows::Float32(values) => (values.len(), 4),
        SampleRows::Double64(values) => (values.len(), 8),
        SampleRows::Int8(values) => (values.len(), 1),
        SampleRows::Int16(values) => (values.len(), 2),
        SampleRows::Int32(values) => (values.len(), 4),
        SampleRows::Int64(values) => (values.len(), 8),
    };
    if stamps.is_empty() || count == 0 || count % stamps.len() != 0 {
        return;
    }
    let content = variable_length(stamps.len() as u64).1 + stamps.len() * 9 + count * size;
    begin(to, Tag::Samples, Some(id), content);
    write_variable_length(to, stamps.len() as u64);
    match values {
        SampleRows::Float32(values) => rows(to, stamps, values, f32::to_le_bytes),
        SampleRows::Double64(values) => rows(to, stamps, values, f64::to_le_bytes),
        SampleRows::Int8(values) => rows(to, stamps, values, i8::to_le_bytes),
        SampleRows::Int16(values) => rows(to, stamps, values, i16::to_le_bytes),
        SampleRows::Int32(values) => rows(to, stamps, values, i32::to_le_bytes),
        SampleRows::Int64(values) => rows(to, stamps, values, i64::to_le_bytes),
    }
}

/// Appends one sample of text, one text a channel.
pub fn text_sample(to: &mut Vec<u8>, id: u32, stamp: StreamTime, texts: &[&str]) {
    let lengths: usize = texts.iter().map(|text| variable_length(text.len() as u64).1 + text.len()).sum();
    begin(to, Tag::Samples, Some(id), variable_length(1).1 + 9 + lengths);
    write_variable_length(to, 1);
    stamp_of(to, stamp);
    for text in texts {
        write_variable_length(to, text.len() as u64);
        to.extend_from_slice(text.as_bytes());
    }
}

/// Appends a clock offset, measured at `time` on the stream's clock; `offset` added to its stamps gives local time.
pub fn clock_offset(to: &mut Vec<u8>, id: u32, time: f64, offset: f64) {
    chunk(to, Tag::ClockOffset, Some(id), &[&time.to_le_bytes(), &offset.to_le_bytes()]);
}

/// Appends a boundary.
pub fn boundary(to: &mut Vec<u8>) {
    chunk(to, Tag::Boundary, None, &[&BOUNDARY]);
}

/// Appends a stream's footer.
pub fn stream_footer(to: &mut Vec<u8>, id: u32, fields: &FooterFields<'_>) {
    let mut offsets = String::new();
    for (time, value) in fields.clock_offsets {
        let _infallible = write!(offsets, "<offset><time>{time}</time><value>{value}</value></offset>");
    }
    let xml = format!(
        "<?xml version=\"1.0\"?><info><first_timestamp>{}</first_timestamp><last_timestamp>{}</last_timestamp>\
         <sample_count>{}</sample_count><clock_offsets>{offsets}</clock_offsets></info>",
        fields.first_timestamp, fields.last_timestamp, fields.sample_count
    );
    chunk(to, Tag::StreamFooter, Some(id), &[xml.as_bytes()]);
}

fn chunk(to: &mut Vec<u8>, tag: Tag, id: Option<u32>, content: &[&[u8]]) {
    begin(to, tag, id, content.iter().map(|part| part.len()).sum());
    for part in content {
        to.extend_from_slice(part);
    }
}

/// Length, tag and stream of a chunk whose content is `content` bytes long.
fn begin(to: &mut Vec<u8>, tag: Tag, id: Option<u32>, content: usize) {
    write_variable_length(to, (2 + id.map_or(0, |_| 4) + content) as u64);
    to.extend_from_slice(&(tag as u16).to_le_bytes());
    if let Some(id) = id {
        to.extend_from_slice(&id.to_le_bytes());
    }
}

fn stamp_of(to: &mut Vec<u8>, stamp: StreamTime) {
    to.push(8);
    to.extend_from_slice(&stamp.0.to_le_bytes());
}

/// How many bytes hold a length, and how many it takes with the byte that says so.
fn variable_length(value: u64) -> (usize, usize) {
    let bytes = match value {
        0..=0xff => 1,
        0x100..=0xffff_ffff => 4,
        _ => 8,
    };
    (bytes, bytes + 1)
}

fn write_variable_length(to: &mut Vec<u8>, value: u64) {
    let (bytes, _) = variable_length(value);
    to.push(bytes as u8);
    to.extend_from_slice(&value.to_le_bytes()[..bytes]);
}
