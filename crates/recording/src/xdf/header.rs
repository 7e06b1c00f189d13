//! Headers and footers of an XDF file and its streams: XML, read for what they say.
//!
//! Programs write headers in other encodings, with control characters, or cut off. What can be read is used, and what was
//! assumed is remarked upon; without its number of channels and their format a stream cannot be read.

use encoding_rs::Encoding;
use kalmind_types::{NumberFormat, StreamDescription, stated_unit, unlabelled};

use super::xml::{Fields, between, child_text, parse, without_control_characters};
use crate::encoding;

/// What is beyond it is no rate, in Hz.
const MAX_RATE_HZ: f64 = 1e6;
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
    /// Channel labels where the header describes every channel; `channel3` for a fourth one without a label.
    pub labels: Option<Vec<String>>,
    /// Channel units where the header describes every channel; empty for one without a unit.
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
    /// What is odd about the header, or what had to be assumed.
    pub remarks: Vec<Remark>,
}

/// Something odd about a header.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Remark {
    /// What it is.
    pub text: String,
    /// Whether something in it could not be read.
    pub damage: bool,
}

impl Remark {
    fn odd(text: impl Into<String>) -> Self {
        Self { text: text.into(), damage: false }
    }

    fn damage(text: impl Into<String>) -> Self {
        Self { text: text.into(), damage: true }
    }
}

/// What the file's own header says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FileHeader {
    /// When the file was begun.
    pub datetime: Option<String>,
    /// What is odd about it.
    pub remarks: Vec<Remark>,
}

impl FileHeader {
    /// Reads the file's header; `named` is as in [`StreamHeader::parse`].
    #[must_use]
    pub fn parse(xml: &[u8], named: Option<&'static Encoding>) -> Self {
        let (text, mut remarks) = decoded(xml, named);
        let datetime = match parse(&text) {
            Ok(document) => child_text(document.root_element(), "datetime").map(str::to_owned),
            Err(problem) => {
                remarks.push(Remark::damage(problem));
                between(&text, "datetime").map(str::to_owned)
            }
        };
        Self { datetime, remarks }
    }
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
    /// What the stream said of itself when it was found: labels and units only where it named every one of them.
    #[must_use]
    pub fn description(&self) -> StreamDescription {
        let is_named = |labels: &&Vec<String>| (0..).zip(*labels).all(|(at, label)| *label != unlabelled(at));
        let is_whole = |units: &&Vec<String>| units.iter().all(|unit| !unit.is_empty());
        StreamDescription {
            name: self.name.clone(),
            content_type: self.content_type.clone(),
            channels: self.channels,
            format: self.format,
            nominal_rate_hz: self.nominal_rate_hz,
            source_id: self.source_id.clone(),
            hostname: self.hostname.clone(),
            uid: self.uid.clone(),
            session_id: self.session_id.clone(),
            labels: self.labels.as_ref().filter(is_named).cloned(),
            units: self.units.as_ref().filter(is_whole).cloned(),
            desc: String::new(),
        }
    }

    /// The name of a channel, counted from 0: its label where it has one.
    #[must_use]
    pub fn label(&self, channel: usize) -> String {
        let label = self.labels.as_ref().and_then(|labels| labels.get(channel));
        label.cloned().unwrap_or_else(|| unlabelled(channel))
    }

    /// Reads a header, in the encoding that it declares; one that declares none and is not UTF-8 in the `named` one. What
    /// could only be read in part, or had to be assumed, is among the remarks.
    ///
    /// # Errors
    /// A sentence that says what is wrong with it: there is no number of channels, or no format.
    #[expect(clippy::single_match_else, reason = "two cases of equal weight read best side by side")]
    pub fn parse(xml: &[u8], named: Option<&'static Encoding>) -> Result<Self, String> {
        let (text, mut remarks) = decoded(xml, named);
        let whole = parse(&text);
        let mended;
        let document = match whole {
            Ok(document) => Some(document),
            Err(problem) => {
                mended = without_control_characters(&text);
                match parse(&mended) {
                    Ok(document) => {
                        remarks.push(Remark::damage(format!(
                            "{problem}; it was read without control characters"
                        )));
                        Some(document)
                    }
                    Err(_) => {
                        remarks.push(Remark::damage(format!(
                            "{problem}; only what stands in plain elements was read"
                        )));
                        None
                    }
                }
            }
        };
        let fields = match &document {
            Some(document) => Fields::Parsed(document.root_element()),
            None => Fields::Text(&text),
        };
        Self::from_fields(&fields, remarks, text.clone())
    }

    fn from_fields(fields: &Fields<'_>, mut remarks: Vec<Remark>, xml: String) -> Result<Self, String> {
        let of = |name: &str| fields.text(name).unwrap_or_default();
        let name = of("name");
        let stated = of("channel_format");
        let plain = stated.trim().to_lowercase();
        let format = match plain.strip_prefix("cf_").unwrap_or(&plain) {
            "float32" | "float" => Some(NumberFormat::Float32),
            "double64" | "double" | "float64" => Some(NumberFormat::Double64),
            "int8" => Some(NumberFormat::Int8),
            "int16" => Some(NumberFormat::Int16),
            "int32" => Some(NumberFormat::Int32),
            "int64" => Some(NumberFormat::Int64),
            "string" => None,
            _ => return Err(format!("the header of {name:?} has the channel_format {stated:?}")),
        };
        if stated.trim() != super::encode::format_name(format) {
            let read_as = super::encode::format_name(format);
            remarks.push(Remark::odd(format!("its channel_format is {stated:?}: read as {read_as}")));
        }
        let count = of("channel_count");
        // some programs write every number with a point
        let plain = count.trim().trim_end_matches('0').strip_suffix('.').unwrap_or(count.trim());
        let channels = plain
            .parse()
            .ok()
            .filter(|channels| (1..=MAX_CHANNELS).contains(channels))
            .ok_or_else(|| format!("the header of {name:?} has the channel_count {count:?}"))?;
        let rate = fields.text("nominal_srate");
        let parsed = rate.as_deref().and_then(|rate| rate.trim().parse().ok());
        let nominal_rate_hz = parsed.filter(|rate| (0.0..=MAX_RATE_HZ).contains(rate)).unwrap_or_else(|| {
            let found = rate.map_or("missing".to_owned(), |rate| format!("{rate:?}"));
            remarks.push(Remark::odd(format!("its nominal_srate is {found}: read as irregular")));
            0.0
        });
        let labels = labels(fields.channels("label"), channels, &mut remarks);
        if labels.is_none() && matches!(fields, Fields::Text(text) if text.contains("<label")) {
            remarks.push(Remark::damage("the labels of its channels are lost"));
        }
        let units = fields.channels("unit");
        let units: Vec<String> = units.iter().map(|unit| stated_unit(unit).to_owned()).collect();
        let named =
            |units: &Vec<String>| units.len() == channels && units.iter().any(|unit| !unit.is_empty());
        let units = Some(units).filter(named);
        Ok(Self {
            name,
            content_type: of("type"),
            channels,
            nominal_rate_hz,
            format,
            source_id: of("source_id"),
            hostname: of("hostname"),
            uid: of("uid"),
            session_id: of("session_id"),
            created_at: of("created_at").trim().parse().ok(),
            manufacturer: fields.within("acquisition", "manufacturer"),
            labels,
            units,
            can_drop_samples: fields
                .within("synchronization", "can_drop_samples")
                .is_some_and(|text| text.trim().eq_ignore_ascii_case("true")),
            role: fields.within("kalmind", "role"),
            key: fields.within("kalmind", "key"),
            index: fields.within("kalmind", "index").and_then(|index| index.trim().parse().ok()),
            xml,
            remarks,
        })
    }
}

/// The labels of channels where the header has one for each; what is left out or made up is remarked upon.
fn labels(mut labels: Vec<String>, channels: usize, remarks: &mut Vec<Remark>) -> Option<Vec<String>> {
    let named = labels.iter().filter(|label| !label.is_empty()).count();
    if named == 0 {
        return None;
    }
    if labels.len() != channels {
        let described = labels.len();
        remarks.push(Remark::odd(format!(
            "it describes {described} channels and has {channels}: their labels and units are left out"
        )));
        return None;
    }
    if named < channels {
        remarks.push(Remark::odd(format!("{} of its {channels} channels have no label", channels - named)));
    }
    for (place, label) in labels.iter_mut().enumerate().filter(|(_, label)| label.is_empty()) {
        *label = unlabelled(place);
    }
    Some(labels)
}

/// A header's text, and what had to be assumed of it.
fn decoded(xml: &[u8], named: Option<&'static Encoding>) -> (String, Vec<Remark>) {
    let (text, remarks) = encoding::xml(xml, named);
    // letters that cannot be read are not all that was there
    let remark = |text: String| Remark { damage: text.contains("U+FFFD"), text };
    (text, remarks.into_iter().map(remark).collect())
}

impl StreamFooter {
    /// Reads a footer.
    ///
    /// # Errors
    /// A sentence that says what is wrong with it.
    pub fn parse(xml: &[u8]) -> Result<Self, String> {
        let (text, _) = decoded(xml, None);
        let document = parse(&text)?;
        let info = document.root_element();
        let of = |name: &str| child_text(info, name).map(str::trim);
        Ok(Self {
            first_timestamp: of("first_timestamp").and_then(|text| text.parse().ok()),
            last_timestamp: of("last_timestamp").and_then(|text| text.parse().ok()),
            // some recorders write it as a decimal number
            sample_count: of("sample_count").and_then(|text| {
                let decimal = |text: &str| text.parse().ok().filter(|count: &f64| *count >= 0.0);
                text.parse().ok().or_else(|| decimal(text).map(|count| count as u64))
            }),
        })
    }
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
        let header = StreamHeader::parse(xml.as_bytes(), None).expect("a header");
        assert_eq!((header.name.as_str(), header.channels, header.nominal_rate_hz), ("A&B", 2, 250.0));
        assert_eq!(header.format, Some(NumberFormat::Int16));
        assert_eq!(header.labels, Some(vec!["x".to_owned(), "y".to_owned()]));
        assert_eq!(header.units, Some(vec!["uV".to_owned(), String::new()]), "one channel has none");
        assert_eq!((header.role.as_deref(), header.index), (Some("input"), Some(1)));
    }

    #[test]
    fn a_header_that_cannot_be_is_refused_with_what_is_wrong() {
        let of = |count: &str, rate: &str, format: &str| {
            let xml = format!(
                "<info><channel_count>{count}</channel_count><nominal_srate>{rate}</nominal_srate>\
                 <channel_format>{format}</channel_format></info>"
            );
            StreamHeader::parse(xml.as_bytes(), None).expect_err("it cannot be")
        };
        assert!(of("0", "1", "float32").contains("channel_count"));
        assert!(of("-3", "1", "float32").contains("channel_count"));
        assert!(of("99999999999", "1", "float32").contains("channel_count"));
        assert!(of("1", "1", "float16").contains("float16"));
        assert!(StreamHeader::parse(b"<info><name>", None).expect_err("cut off").contains("channel_format"));
        let bomb = b"<!DOCTYPE a [<!ENTITY b \"ccc\">]><info><channel_format>&b;</channel_format></info>";
        assert!(
            StreamHeader::parse(bomb, None).expect_err("a DTD").contains("&b;"),
            "entities are not followed"
        );
    }

    /// A header with `name` and `rate`, and the rest as it has to be.
    fn header(declaration: &str, name: &[u8], rate: &str, end: &str) -> Vec<u8> {
        let mut xml = format!("<?xml version=\"1.0\"{declaration}?><info><name>").into_bytes();
        xml.extend_from_slice(name);
        let rest = format!(
            "</name><channel_count>1</channel_count><nominal_srate>{rate}</nominal_srate>\
             <channel_format>int8</channel_format><desc><name>inner</name></desc>{end}"
        );
        xml.extend_from_slice(rest.as_bytes());
        xml
    }

    #[test]
    fn what_had_to_be_assumed_is_remarked_upon() {
        let end = "</info>";
        for rate in ["-1", "100,0", "NaN", "inf", "fast", "", "1e9"] {
            let header = StreamHeader::parse(&header("", b"A", rate, end), None).expect("a header");
            assert_eq!(header.nominal_rate_hz.to_bits(), 0.0_f64.to_bits());
            assert!(
                header.remarks[0].text.contains(rate) && !header.remarks[0].damage,
                "{:?}",
                header.remarks
            );
        }
        let latin = |declaration| {
            StreamHeader::parse(&header(declaration, b"M\xfcller", "1", end), None).expect("one")
        };
        assert_eq!(latin(" encoding=\"ISO-8859-1\"").name, "Müller");
        assert!(latin(" encoding='latin1'").remarks.is_empty(), "it says so itself");
        let undeclared = latin("");
        assert_eq!(undeclared.name, "Müller");
        assert!(undeclared.remarks[0].text.contains("windows-1252"), "{:?}", undeclared.remarks);
        let control = StreamHeader::parse(&header("", b"A\x01B", "1", end), None).expect("a header");
        assert_eq!(control.name, "AB");
        assert!(control.remarks[0].damage);
        let cut = StreamHeader::parse(&header("", b"A &amp; B", "1", ""), None).expect("as far as it goes");
        assert_eq!((cut.name.as_str(), cut.nominal_rate_hz), ("A & B", 1.0));
        assert!(cut.remarks[0].damage);
        let missing = "<info><channel_count>1</channel_count><channel_format>int8</channel_format></info>";
        let missing = StreamHeader::parse(missing.as_bytes(), None).expect("a header");
        assert_eq!(missing.remarks[0].text, "its nominal_srate is missing: read as irregular");
        let file = FileHeader::parse(b"<info><datetime>2026</datetime>", None);
        assert_eq!(file.datetime.as_deref(), Some("2026"));
        assert!(file.remarks[0].damage);
    }

    #[test]
    fn a_header_that_is_no_xml_keeps_what_its_elements_say() {
        let header = |channels: &str| {
            let xml = format!(
                "<info><name>A & B</name><channel_count >2</channel_count ><nominal_srate\n>50</nominal_srate>\
                 <channel_format a=\"b\">int8</channel_format><desc><channels>{channels}</channels></desc></info>"
            );
            StreamHeader::parse(xml.as_bytes(), None).expect("a header")
        };
        let told = |header: &StreamHeader, part: &str| {
            header.remarks.iter().any(|remark| remark.damage && remark.text.contains(part))
        };
        let both = header(
            "<channel id=\"1\"><label >x</label ><unit/></channel><channel id=\"2\"><label>y</label><unit>uV</unit>\
             </channel>",
        );
        assert_eq!((both.name.as_str(), both.channels, both.nominal_rate_hz), ("A & B", 2, 50.0));
        assert_eq!(both.labels, Some(vec!["x".to_owned(), "y".to_owned()]));
        assert_eq!(both.units, Some(vec![String::new(), "uV".to_owned()]));
        assert!(told(&both, "only what stands in plain elements") && !told(&both, "labels"));
        let one = header("<channel/><channel><label>y</label></channel>");
        assert_eq!(one.labels, Some(vec!["channel0".to_owned(), "y".to_owned()]));
        let lost = header("<channel><label>x</label></channel>");
        assert!(
            lost.labels.is_none() && told(&lost, "labels of its channels are lost"),
            "{:?}",
            lost.remarks
        );
    }
}
