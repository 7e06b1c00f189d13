//! What every file of a recording begins with, and how a recording goes on in another one.
//!
//! A file that follows on another stands for itself: headers, session, the models that may decode, and the name of the file
//! before. What was lost with that one is counted and told in it.

use std::{fs::File, io, sync::Arc};

use kalmind_acquisition::clock;
use kalmind_offline::recorded::{LossKind, RecordDocument, SessionDocument};
use kalmind_output::CursorRow;
use kalmind_recording::xdf::writer::{Sink, StreamId, Writer};
use kalmind_types::{LslTime, ModelId, NumberFormat};
use serde_json::json;

use super::{
    headers,
    watch::{Fate, Left, NextFile},
    writing::Writing,
};

/// Where a recording is written to.
#[derive(Debug)]
pub(super) enum RecordingFile {
    /// A file.
    Open(File),
    /// Nowhere, for as long as no file can be made: every write fails and is counted.
    Nowhere,
}

impl Sink for RecordingFile {
    fn write_at(&mut self, offset: u64, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Open(file) => file.write_at(offset, bytes),
            Self::Nowhere => Err(nowhere()),
        }
    }

    fn cut(&mut self, length: u64) -> io::Result<()> {
        match self {
            Self::Open(file) => file.cut(length),
            Self::Nowhere => Ok(()),
        }
    }

    fn length(&mut self) -> io::Result<u64> {
        match self {
            Self::Open(file) => file.length(),
            Self::Nowhere => Ok(0),
        }
    }
}

fn nowhere() -> io::Error {
    io::Error::other("its file is gone, and no new one can be made")
}

/// Kalmind's own streams in a file.
#[derive(Clone, Copy, Debug)]
pub(super) struct Own {
    pub(super) ticks: StreamId,
    pub(super) features: StreamId,
    pub(super) cursor: StreamId,
    pub(super) events: StreamId,
    pub(super) record: StreamId,
}

/// A model's file with its names.
#[derive(Clone, Debug)]
pub(super) struct OwnedModel {
    pub(super) id: String,
    pub(super) name: String,
    pub(super) file: Arc<[u8]>,
}

/// What the head of a file is made from.
#[derive(Clone, Debug)]
pub(super) struct Head {
    pub(super) session: SessionDocument,
    /// Labels of the features, in their order.
    pub(super) features: Vec<String>,
    pub(super) row: CursorRow,
}

impl Head {
    /// A file with its header and the headers of our own streams, none of it written yet.
    pub(super) fn begin<S: Sink>(&self, sink: S, now: LslTime, date: &str) -> (Writer<S>, Own) {
        let session = &self.session;
        let extra = format!("<kalmind><version>{}</version></kalmind>", env!("CARGO_PKG_VERSION"));
        let mut writer = Writer::new(sink, date, &extra);
        let rate_hz = 1e3 / session.bin_ms;
        let stream = |role, name, content_type, rate_hz, format| headers::OwnStream {
            instance: &session.instance,
            session: &session.session,
            role,
            name,
            content_type,
            rate_hz,
            format,
        };
        let number = Some(NumberFormat::Double64);
        let mut add = |stream, labels: &[(&str, &str)]| {
            headers::own(stream, labels.iter().copied(), now.0, |header| writer.add_stream(header))
        };
        let features: Vec<(&str, &str)> = self.features.iter().map(|label| (label.as_str(), "")).collect();
        let channels: Vec<(&str, &str)> = self.row.channels().collect();
        let own = Own {
            // irregular: what reads the file must not move its stamps
            ticks: add(stream("ticks", "Ticks", "Ticks", 0.0, None), &[]),
            features: add(stream("features", "Features", "Features", rate_hz, number), &features),
            cursor: add(stream("cursor", "Cursor", "Cursor", rate_hz, number), &channels),
            events: add(stream("events", "Events", "Events", 0.0, None), &[]),
            record: add(stream("record", "Recording", "Recording", 0.0, None), &[]),
        };
        (writer, own)
    }
}

/// What a file had of a stream when the recording left it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Account {
    /// The number by which the file knows the stream.
    pub(super) id: u32,
    pub(super) what: LossKind,
    /// Place among the decoded streams.
    pub(super) index: Option<usize>,
    pub(super) samples: u64,
}

impl Writing<RecordingFile> {
    /// Leaves the file, as the watch found it, and begins the next one. Hands back what the file had, to be compared with
    /// what is left of it, where another program cut it.
    pub(super) fn leave(&mut self, left: &Left, now: LslTime) -> Option<Vec<Account>> {
        let because = left.fate.sentence(&left.path);
        let accounts = self.accounts();
        let name = left.path.display().to_string();
        let lost = match &left.fate {
            Fate::Moved(_) => {
                let file = left.next.as_ref().map(|next| next.path.display().to_string());
                let file = file.unwrap_or_default();
                self.document(now, &RecordDocument::ContinuesIn { file, because: because.clone() }, true);
                // footers count what is in the file
                self.commit("end of the file");
                self.writer.footers();
                self.commit("footers");
                0
            }
            Fate::Deleted | Fate::Shortened { .. } => 1,
        };
        let seen = matches!(left.fate, Fate::Deleted);
        let moved = match &left.fate {
            Fate::Moved(to) => to.as_ref().map(|to| to.display().to_string()),
            _ => None,
        };
        let shown = json!({ "file": name, "fate": left.fate.name(), "moved_to": moved, "because": because });
        self.status.note_left(shown, lost);
        if seen {
            self.lose_all(&accounts, &because);
        }
        self.begin_next(name, because.clone(), now);
        match &left.next {
            Some(next) => self.settle(next, &because),
            // told by the watch; the first write fails and shows the state
            None => drop(self.commit("head")),
        }
        matches!(left.fate, Fate::Shortened { .. }).then_some(accounts)
    }

    /// Goes on in a file, after a time without one.
    pub(super) fn settle(&mut self, next: &NextFile, because: &str) {
        match next.file.try_clone() {
            Ok(file) => self.writer.set_sink(RecordingFile::Open(file)),
            Err(error) => self.status.note_failed_write(&error.to_string()),
        }
        self.commit("head");
        self.status.note_new_file(next.path.clone(), because);
    }

    /// The head of the next file, not written yet.
    fn begin_next(&mut self, file: String, because: String, now: LslTime) {
        let date = kalmind_recording::date(clock::clock_pair().unix);
        let (writer, own) = self.head.begin(RecordingFile::Nowhere, now, &date);
        (self.writer, self.own) = (writer, own);
        for input in &mut self.numbers {
            input.stream = input.header.add_to(&mut self.writer, now);
            // the next block says which index its first row has
            input.shift = None;
            input.clock.written = false;
        }
        for input in &mut self.texts {
            input.stream = None;
            input.clock.written = false;
        }
        (self.boundary, self.offsets, self.waiting, self.cut) = (None, None, None, false);
        let session = self.head.session.clone();
        self.document(now, &RecordDocument::Session(Box::new(session)), true);
        let model = self.model.map(ModelId::to_hex);
        let continued = RecordDocument::Continued { file, because, last_seq: self.last_seq, model };
        self.document(now, &continued, true);
        for model in self.models.clone() {
            self.model_documents(now, &model);
        }
    }

    /// What the file has of each stream.
    pub(super) fn accounts(&self) -> Vec<Account> {
        let account = |stream: StreamId, what, index| Account {
            id: stream.number(),
            what,
            index,
            samples: self.writer.written(stream),
        };
        let numbers = self.numbers.iter();
        let numbers = numbers.map(|input| account(input.stream, LossKind::Samples, input.header.index));
        let texts = self.texts.iter().filter_map(|input| input.stream);
        let texts = texts.map(|(stream, ..)| account(stream, LossKind::Texts, None));
        let own = [(self.own.ticks, LossKind::Ticks), (self.own.events, LossKind::Events)];
        let own = own.into_iter().map(|(stream, what)| account(stream, what, None));
        numbers.chain(texts).chain(own).collect()
    }

    fn lose_all(&mut self, accounts: &[Account], because: &str) {
        because.clone_into(&mut self.untold.because);
        for account in accounts.iter().filter(|account| account.samples > 0) {
            self.lose(account.what, account.index, account.samples);
        }
    }

    /// What became of the file of a recording that has ended: what is gone is counted.
    pub(super) fn look_back(&mut self, left: &Left) -> Option<Vec<Account>> {
        let because = left.fate.sentence(&left.path);
        let accounts = self.accounts();
        match left.fate {
            Fate::Moved(_) => {
                tracing::warn!(problem = because, "the recording");
                return None;
            }
            Fate::Deleted => self.lose_all(&accounts, &because),
            Fate::Shortened { .. } => {}
        }
        self.status.note_lost_at_the_end(because);
        matches!(left.fate, Fate::Shortened { .. }).then_some(accounts)
    }
}
