//! `[record]`: what is written to disk.

use std::path::PathBuf;

use super::{input::Selection, rule::Rule, table::table};

table! {
    /// A further stream, numbers or text, that is recorded as received and not decoded; one table for each.
    pub struct RecordedStream {
        /// The name that Kalmind shows for the stream; must be unique.
        key: Option<String> = None, in Rule::FileSafeName, or "`name`, else \"recorded\" and its number";
        /// The stream's name.
        name: Option<String> = None, or "any";
        /// The stream's content type.
        content_type as "type": Option<String> = None, or "any";
        /// The sender's own identifier of the source.
        source_id: Option<String> = None, or "any";
        /// The host that sends it.
        hostname: Option<String> = None, or "any";
        /// A condition on the stream's header in LSL's own language (`XPath` 1.0).
        predicate: Option<String> = None, or "any";
        /// Whether a run that is recorded waits for this stream and does not start without it. A stream that is not required
        /// is recorded from the moment it appears.
        required: bool = true;
    }
}

table! {
    /// Recordings. `kalmind run --record FILE` records to that file, whatever `folder` says.
    pub struct Record {
        /// The folder in which every run makes a recording, named after instance, participant and time.
        folder: Option<PathBuf> = None, or "nothing is recorded without `--record`";
        /// Hours of recording, at the rates of the streams, that the disk must have room for before a run starts.
        free_hours: f64 = 1.0, in Rule::Between(0.0, 1000.0);
        /// Further streams.
        stream: Vec<RecordedStream> = Vec::new();
    }
}

impl RecordedStream {
    /// The name under which the stream of this place is shown.
    pub fn key(&self, place: usize) -> String {
        self.key.clone().or_else(|| self.name.clone()).unwrap_or_else(|| format!("recorded{}", place + 1))
    }

    /// What the stream is found by.
    pub fn selection(&self) -> Selection {
        Selection {
            name: self.name.clone(),
            content_type: self.content_type.clone(),
            source_id: self.source_id.clone(),
            hostname: self.hostname.clone(),
            predicate: self.predicate.clone(),
        }
    }
}
