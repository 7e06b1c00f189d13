//! `[record]` and `[models]`: what is written to disk.

use std::path::PathBuf;

use kalmind_acquisition::StreamSelector;

use super::{
    check::Conflicts,
    input::Stream,
    rule::Rule,
    table::{choices, table},
};

table! {
    /// A further stream, numbers or text, that is recorded as received and not decoded; one table for each.
    pub struct RecordedStream {
        /// The name that Kalmind shows for the stream; must be unique.
        key: Option<String> = None, in Rule::FileSafeName, or "`name`, else \"recorded\" and its number";
        /// What the stream is found by.
        selector: StreamSelector = StreamSelector::default(), and part;
        /// Whether a run that is recorded waits for this stream and does not start without it. A stream that is not required
        /// is recorded from the moment it appears.
        required: bool = true;
    }
}

/// What of a stream with stages is recorded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Recorded {
    /// What its stages make of it, and itself.
    #[default]
    Both,
    /// What its stages make of it.
    Derived,
    /// Itself.
    Raw,
}

choices!(Recorded { Both => "both", Derived => "derived", Raw => "raw" });

table! {
    /// Recordings. `kalmind run --record FILE` records to that file, whatever `folder` says.
    pub struct Record {
        /// The folder in which every run makes a recording, named after instance, participant and time.
        folder: Option<PathBuf> = None, or "nothing is recorded without `--record`";
        /// What of a stream with `stages` is recorded: what they make of it, which a replay decodes; the stream as it was
        /// received, from which a replay has to make it first; or both, so that `kalmind replay --recompute` can make it again
        /// and compare.
        what: Recorded = Recorded::Both;
        /// Hours of recording, at the rates of the streams, that the disk must have room for before a run starts.
        free_hours: f64 = 1.0, in Rule::Between(0.0, 1000.0);
        /// Further streams.
        stream: Vec<RecordedStream> = Vec::new();
    }
}

table! {
    /// The models that are fitted while a session runs. `kalmind run --resume` begins with the newest one that fits.
    pub struct Models {
        /// The folder in which they are saved, in a folder of its own for each participant's code; a relative path starts
        /// at the folder of this configuration.
        folder: PathBuf = PathBuf::from("models");
        /// Whether they are saved. Without `[subject] code` none is.
        save: bool = true;
    }
}

impl RecordedStream {
    /// The name under which the stream of this place is shown.
    pub fn key(&self, place: usize) -> String {
        self.key
            .clone()
            .or_else(|| self.selector.name.clone())
            .unwrap_or_else(|| format!("recorded{}", place + 1))
    }
}

impl Conflicts<'_> {
    /// `[[record.stream]]`, beside the streams that are decoded.
    pub(super) fn recordings(&mut self, recorded: &[RecordedStream], decoded: &[Stream]) {
        for (index, stream) in recorded.iter().enumerate() {
            let path = format!("record.stream[{index}]");
            if self.known(&[&path]) {
                self.selects(&path, &stream.selector);
            }
        }
        let decoded =
            decoded.iter().enumerate().map(|(at, stream)| (format!("stream[{at}]"), stream.key().to_owned()));
        let further =
            recorded.iter().enumerate().map(|(at, stream)| (format!("record.stream[{at}]"), stream.key(at)));
        if !recorded.is_empty() && self.known(&["stream", "record.stream"]) {
            let named: Vec<(String, String)> = decoded.chain(further).collect();
            self.duplicates("recorded streams", &named, "give each stream a `key` of its own");
        }
    }
}
