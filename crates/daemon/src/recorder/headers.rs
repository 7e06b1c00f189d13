//! Headers of a recording's streams.

use std::fmt::Write as _;

use kalmind_recording::xdf::encode::{HeaderFields, escaped};
use kalmind_types::{NumberFormat, StreamDescription};

/// What a stream is to Kalmind: `desc/kalmind` of its header.
#[derive(Clone, Copy, Debug)]
pub(super) struct RoleTag<'a> {
    pub(super) role: &'a str,
    /// Its name in the configuration.
    pub(super) key: Option<&'a str>,
    /// Its place among the decoded streams.
    pub(super) index: Option<usize>,
}

impl RoleTag<'_> {
    fn xml(self) -> String {
        let mut xml = format!("<kalmind><role>{}</role>", escaped(self.role));
        if let Some(key) = self.key {
            let _infallible = write!(xml, "<key>{}</key>", escaped(key));
        }
        if let Some(index) = self.index {
            let _infallible = write!(xml, "<index>{index}</index>");
        }
        xml + "</kalmind>"
    }
}

/// The header of a stream by others, their description included.
pub(super) fn received<T>(
    stream: &StreamDescription,
    tag: RoleTag<'_>,
    created_at: f64,
    add: impl FnOnce(&HeaderFields<'_>) -> T,
) -> T {
    let own;
    let described = if stream.desc.is_empty() {
        let units = stream.units.iter().flatten().map(String::as_str).chain(core::iter::repeat(""));
        own = channels(stream.labels.iter().flatten().map(String::as_str).zip(units));
        &own
    } else {
        &stream.desc
    };
    // a recording of a recording: what was said of it there does not hold here
    let described = match (described.find("<kalmind>"), described.find("</kalmind>")) {
        (Some(begin), Some(end)) if begin < end => {
            let mut kept = described.get(..begin).unwrap_or_default().to_owned();
            kept.push_str(described.get(end + "</kalmind>".len()..).unwrap_or_default());
            kept
        }
        _ => described.clone(),
    };
    let desc = described + &tag.xml();
    add(&HeaderFields {
        name: &stream.name,
        content_type: &stream.content_type,
        channels: stream.channels,
        nominal_rate_hz: stream.nominal_rate_hz,
        format: stream.format,
        source_id: &stream.source_id,
        hostname: &stream.hostname,
        uid: &stream.uid,
        session_id: &stream.session_id,
        created_at,
        desc: &desc,
    })
}

/// What one of Kalmind's own streams is.
#[derive(Clone, Copy, Debug)]
pub(super) struct OwnStream<'a> {
    pub(super) instance: &'a str,
    pub(super) session: &'a str,
    pub(super) role: &'a str,
    /// Behind the instance's name.
    pub(super) name: &'a str,
    pub(super) content_type: &'a str,
    pub(super) rate_hz: f64,
    /// `None`: text.
    pub(super) format: Option<NumberFormat>,
}

/// The header of one of Kalmind's own streams. A stream of ticks may have holes, and says so.
pub(super) fn own<'a, T>(
    stream: OwnStream<'_>,
    labels: impl Iterator<Item = (&'a str, &'a str)> + Clone,
    created_at: f64,
    add: impl FnOnce(&HeaderFields<'_>) -> T,
) -> T {
    let tag = RoleTag { role: stream.role, key: None, index: None };
    let synchronization = if stream.rate_hz > 0.0 {
        "<synchronization><can_drop_samples>true</can_drop_samples></synchronization>"
    } else {
        ""
    };
    let count = labels.clone().count().max(1);
    let desc = format!(
        "{}{synchronization}<acquisition><manufacturer>Kalmind</manufacturer></acquisition>{}",
        channels(labels),
        tag.xml()
    );
    let name = format!("{}-{}", stream.instance, stream.name);
    add(&HeaderFields {
        name: &name,
        content_type: stream.content_type,
        channels: count,
        nominal_rate_hz: stream.rate_hz,
        format: stream.format,
        source_id: &format!("{}-recorded", name.to_lowercase()),
        hostname: "",
        uid: &format!("{}-{}", stream.session, stream.role),
        session_id: "",
        created_at,
        desc: &desc,
    })
}

/// Labels and units as LSL programs write them.
fn channels<'a>(labels: impl Iterator<Item = (&'a str, &'a str)>) -> String {
    let mut xml = String::new();
    for (label, unit) in labels {
        let _infallible = write!(xml, "<channel><label>{}</label>", escaped(label));
        if !unit.is_empty() {
            let _infallible = write!(xml, "<unit>{}</unit>", escaped(unit));
        }
        xml.push_str("</channel>");
    }
    if xml.is_empty() { xml } else { format!("<channels>{xml}</channels>") }
}
