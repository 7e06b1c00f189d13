//! Annotations of EDF+: lists of onset, duration and texts in a signal of their own (Kemp and Olivan 2003, section 2.2.4).

use encoding_rs::{Encoding, WINDOWS_1252};

use crate::encoding::{Reading, decoded};

/// Remarks of one kind that are made; of more there is the number.
pub(super) const REMARKS: usize = 20;
/// Between onset and duration.
const DURATION: u8 = 0x15;
/// After times and after each text.
const SEPARATOR: u8 = 0x14;
/// Characters of an annotation that a remark quotes.
const QUOTED: usize = 40;

/// Something that was written down while the file was made.
#[derive(Clone, Debug, PartialEq)]
pub struct EdfAnnotation {
    /// Seconds from the start of the file.
    pub onset: f64,
    /// Seconds, where stated.
    pub duration: Option<f64>,
    /// The text.
    pub text: String,
}

/// Reads annotations record by record; what cannot be read is left out and remembered.
pub(super) struct Reader {
    encoding: Option<&'static Encoding>,
    /// What was read.
    pub(super) found: Vec<EdfAnnotation>,
    unreadable: Vec<String>,
    unreadable_count: usize,
    foreign: usize,
    misfits: usize,
}

impl Reader {
    pub(super) fn new(encoding: Option<&'static Encoding>) -> Self {
        Self {
            encoding,
            found: Vec::new(),
            unreadable: Vec::new(),
            unreadable_count: 0,
            foreign: 0,
            misfits: 0,
        }
    }

    /// Reads a record's annotations; gives the record's own onset, which the first one with an empty text states.
    pub(super) fn read(&mut self, cells: &[u8], record: usize, offset: usize) -> Option<f64> {
        let mut record_onset = None;
        // what no NUL ends goes on to the end of the field
        let ended = cells.iter().rposition(|byte| *byte == 0).map_or(0, |last| last + 1);
        let mut end = 0;
        for list in cells.split(|byte| *byte == 0) {
            let begin = end;
            end = begin + list.len() + 1;
            // padding should be NUL; some programs write blanks
            if list.trim_ascii().is_empty() {
                continue;
            }
            let mut parts = list.split(|byte| *byte == SEPARATOR);
            let mut times = parts.next().unwrap_or_default().split(|byte| *byte == DURATION);
            let Some(onset) = times.next().and_then(seconds) else {
                self.unreadable(list, record, offset, "its onset is no number of seconds; it was left out");
                continue;
            };
            let duration = match times.next() {
                None => None,
                Some(bytes) => {
                    let duration = seconds(bytes);
                    if duration.is_none() {
                        self.unreadable(
                            list,
                            record,
                            offset,
                            "its duration is no number of seconds; it was left empty",
                        );
                    }
                    duration
                }
            };
            let texts: Vec<&[u8]> = parts.collect();
            if texts.is_empty() {
                self.unreadable(list, record, offset, "no text follows its times; it was left out");
                continue;
            }
            if begin >= ended && !texts.last().is_none_or(|text| text.trim_ascii().is_empty()) {
                self.unreadable(list, record, offset, "it was cut off; what is there was kept");
            }
            let is_record_onset = texts[0].is_empty() && record_onset.is_none();
            if is_record_onset {
                record_onset = Some(onset);
            }
            // one that lasts is more than the record's onset, also without a text
            if texts.iter().all(|text| text.is_empty()) && (duration.is_some() || !is_record_onset) {
                self.found.push(EdfAnnotation { onset, duration, text: String::new() });
            }
            for text in texts.into_iter().filter(|text| !text.is_empty()) {
                let text = self.text(text);
                self.found.push(EdfAnnotation { onset, duration, text });
            }
        }
        record_onset
    }

    fn unreadable(&mut self, list: &[u8], record: usize, offset: usize, problem: &str) {
        self.unreadable_count += 1;
        if self.unreadable.len() < REMARKS {
            let (text, _, _) = WINDOWS_1252.decode(list);
            let quoted: String =
                text.chars().filter(|character| !character.is_control()).take(QUOTED).collect();
            let place = format!("record {record} (its annotations begin at byte {offset})");
            self.unreadable
                .push(format!("the annotation {quoted:?} of {place} cannot be read whole: {problem}"));
        }
    }

    fn text(&mut self, bytes: &[u8]) -> String {
        let (text, reading) = decoded(bytes, self.encoding);
        match reading {
            Reading::Plain => {}
            Reading::Assumed(_) => self.foreign += 1,
            Reading::Misfits(_) => self.misfits += 1,
        }
        text.into_owned()
    }

    /// What was assumed, and what could not be read.
    pub(super) fn remarks(&self) -> Vec<String> {
        let mut remarks = self.unreadable.clone();
        if self.unreadable_count > remarks.len() {
            remarks.push(format!(
                "and {} more annotations cannot be read",
                self.unreadable_count - remarks.len()
            ));
        }
        if self.foreign > 0 {
            remarks.push(format!(
                "{} not UTF-8, as EDF+ has it: read as windows-1252 (Latin-1); --encoding names another one",
                if self.foreign == 1 {
                    "an annotation is".to_owned()
                } else {
                    format!("{} annotations are", self.foreign)
                }
            ));
        }
        if let Some(encoding) = self.encoding
            && self.misfits > 0
        {
            remarks.push(format!(
                "{} annotations hold bytes that are nothing in {}: is the encoding another one?",
                self.misfits,
                encoding.name()
            ));
        }
        remarks
    }
}

fn seconds(bytes: &[u8]) -> Option<f64> {
    let text = str::from_utf8(bytes).ok()?.trim().replacen(',', ".", 1);
    text.parse::<f64>().ok().filter(|seconds| seconds.is_finite())
}
