//! Headers and footers of an XDF file's streams: XML, read for what they say.

use kalmind_types::NumberFormat;
use roxmltree::{Document, Node, ParsingOptions};

/// Nodes of a header at most: what a device with a hundred thousand described channels has.
const MAX_NODES: u32 = 1 << 20;
/// The most channels a stream may have.
const MAX_CHANNELS: usize = 1 << 20;

/// What a stream's header says.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct StreamHeader {
    /// Name.
    pub name: String,
    /// Content type.
    pub content_type: String,
    /// Values a sample.
    pub channels: usize,
    /// Samples a second; 0 for irregular streams.
    pub nominal_rate_hz: f64,
    /// Number format; `None` for text.
    pub format: Option<NumberFormat>,
    /// The sender's own identifier of the source.
    pub source_id: String,
    /// The host that sent it.
    pub hostname: String,
    /// LSL's identifier of the outlet.
    pub uid: String,
    /// LSL's session identifier.
    pub session_id: String,
    /// When it was opened, on the clock of its stamps.
    pub created_at: Option<f64>,
    /// Who made the device or the program, where the header says so.
    pub manufacturer: Option<String>,
    /// Channel labels where the header names every one of them.
    pub labels: Option<Vec<String>>,
    /// Channel units where the header names every one of them.
    pub units: Option<Vec<String>>,
    /// Whether the stream says that samples may be missing: then its stamps are not to be straightened.
    pub can_drop_samples: bool,
    /// What it is to Kalmind: see docs/recording.md.
    pub role: Option<String>,
    /// Its name in the configuration of the daemon that recorded it.
    pub key: Option<String>,
    /// Its place among the streams that were decoded.
    pub index: Option<usize>,
    /// The header as it stands.
    pub xml: String,
}

/// What a stream's footer says, as far as it says it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct StreamFooter {
    /// Stamp of the first sample.
    pub first_timestamp: Option<f64>,
    /// Stamp of the last sample.
    pub last_timestamp: Option<f64>,
    /// Samples in the file.
    pub sample_count: Option<u64>,
}

impl StreamHeader {
    /// Reads a header.
    ///
    /// # Errors
    /// A sentence that says what is wrong with it.
    pub fn parse(xml: &[u8]) -> Result<Self, String> {
        let text = String::from_utf8_lossy(xml).into_owned();
        let document = parse(&text)?;
        let info = document.root_element();
        let of = |name: &str| child_text(info, name).unwrap_or_default().to_owned();
        let format = match of("channel_format").as_str() {
            "float32" => Some(NumberFormat::Float32),
            "double64" => Some(NumberFormat::Double64),
            "int8" => Some(NumberFormat::Int8),
            "int16" => Some(NumberFormat::Int16),
            "int32" => Some(NumberFormat::Int32),
            "int64" => Some(NumberFormat::Int64),
            "string" => None,
            other => return Err(format!("a stream's header whose channel_format is {other:?}")),
        };
        let count = of("channel_count");
        let channels = count
            .trim()
            .parse()
            .ok()
            .filter(|channels| (1..=MAX_CHANNELS).contains(channels))
            .ok_or_else(|| format!("a stream's header whose channel_count is {count:?}"))?;
        let rate = of("nominal_srate");
        let nominal_rate_hz = if rate.trim().is_empty() { Some(0.0) } else { rate.trim().parse().ok() }
            .filter(|rate: &f64| rate.is_finite() && *rate >= 0.0)
            .ok_or_else(|| format!("a stream's header whose nominal_srate is {rate:?}"))?;
        let desc = child(info, "desc");
        let within = |outer: &str, inner: &str| {
            let found = desc.and_then(|desc| child(desc, outer)).and_then(|outer| child_text(outer, inner));
            found.map(str::to_owned)
        };
        let described = desc.and_then(|desc| child(desc, "channels"));
        let named = |what: &str| {
            let texts: Vec<String> = described
                .into_iter()
                .flat_map(|channels| channels.children().filter(|node| node.has_tag_name("channel")))
                .map(|channel| child_text(channel, what).unwrap_or_default().to_owned())
                .collect();
            (texts.len() == channels && texts.iter().all(|text| !text.is_empty())).then_some(texts)
        };
        let (labels, units) = (named("label"), named("unit"));
        Ok(Self {
            name: of("name"),
            content_type: of("type"),
            channels,
            nominal_rate_hz,
            format,
            source_id: of("source_id"),
            hostname: of("hostname"),
            uid: of("uid"),
            session_id: of("session_id"),
            created_at: of("created_at").trim().parse().ok(),
            manufacturer: within("acquisition", "manufacturer"),
            labels,
            units,
            can_drop_samples: within("synchronization", "can_drop_samples")
                .is_some_and(|text| text.trim().eq_ignore_ascii_case("true")),
            role: within("kalmind", "role"),
            key: within("kalmind", "key"),
            index: within("kalmind", "index").and_then(|index| index.trim().parse().ok()),
            xml: text,
        })
    }
}

impl StreamFooter {
    /// Reads a footer.
    ///
    /// # Errors
    /// A sentence that says what is wrong with it.
    pub fn parse(xml: &[u8]) -> Result<Self, String> {
        let text = String::from_utf8_lossy(xml);
        let document = parse(&text)?;
        let info = document.root_element();
        let of = |name: &str| child_text(info, name).map(str::trim);
        Ok(Self {
            first_timestamp: of("first_timestamp").and_then(|text| text.parse().ok()),
            last_timestamp: of("last_timestamp").and_then(|text| text.parse().ok()),
            // some recorders write it as a decimal number
            sample_count: of("sample_count").and_then(|text| {
                text.parse().ok().or_else(|| text.parse::<f64>().ok().map(|count| count as u64))
            }),
        })
    }
}

/// The text of an element of the file's header, such as `datetime`.
#[must_use]
pub fn file_header_text(xml: &[u8], name: &str) -> Option<String> {
    let text = String::from_utf8_lossy(xml);
    let document = parse(&text).ok()?;
    child_text(document.root_element(), name).map(str::to_owned)
}

fn parse(text: &str) -> Result<Document<'_>, String> {
    // no DTD: entities cannot grow a header
    let options = ParsingOptions { nodes_limit: MAX_NODES, ..ParsingOptions::default() };
    // recorders pad headers with zeros and blanks
    let text = text.trim_matches(|character: char| character == '\0' || character.is_whitespace());
    Document::parse_with_options(text, options).map_err(|error| format!("XML that cannot be read: {error}"))
}

fn child<'a, 'i>(of: Node<'a, 'i>, name: &str) -> Option<Node<'a, 'i>> {
    of.children().find(|node| node.has_tag_name(name))
}

fn child_text<'a>(of: Node<'a, '_>, name: &str) -> Option<&'a str> {
    child(of, name).and_then(|node| node.text())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_says_what_a_stream_is() {
        let xml = "<?xml version=\"1.0\"?><info><name>A&amp;B</name><type>EEG</type><channel_count>2</channel_count>\
                   <nominal_srate>250.0</nominal_srate><channel_format>int16</channel_format><desc><channels>\
                   <channel><label>x</label><unit>uV</unit></channel><channel><label>y</label></channel></channels>\
                   <kalmind><role>input</role><key>array</key><index>1</index></kalmind></desc></info>";
        let header = StreamHeader::parse(xml.as_bytes()).expect("a header");
        assert_eq!((header.name.as_str(), header.channels, header.nominal_rate_hz), ("A&B", 2, 250.0));
        assert_eq!(header.format, Some(NumberFormat::Int16));
        assert_eq!(header.labels, Some(vec!["x".to_owned(), "y".to_owned()]));
        assert_eq!(header.units, None, "one channel has none");
        assert_eq!((header.role.as_deref(), header.index), (Some("input"), Some(1)));
    }

    #[test]
    fn a_header_that_cannot_be_is_refused_with_what_is_wrong() {
        let of = |count: &str, rate: &str, format: &str| {
            let xml = format!(
                "<info><channel_count>{count}</channel_count><nominal_srate>{rate}</nominal_srate>\
                 <channel_format>{format}</channel_format></info>"
            );
            StreamHeader::parse(xml.as_bytes()).expect_err("it cannot be")
        };
        assert!(of("0", "1", "float32").contains("channel_count"));
        assert!(of("-3", "1", "float32").contains("channel_count"));
        assert!(of("99999999999", "1", "float32").contains("channel_count"));
        assert!(of("1", "NaN", "float32").contains("nominal_srate"));
        assert!(of("1", "1", "float16").contains("float16"));
        assert!(StreamHeader::parse(b"<info><name>").expect_err("cut off").contains("XML"));
        let bomb = b"<!DOCTYPE a [<!ENTITY b \"ccc\">]><info>&b;</info>";
        assert!(StreamHeader::parse(bomb).expect_err("a DTD").contains("XML"));
    }
}
