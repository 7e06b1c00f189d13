//! How a recording goes on in another file.
//!
//! A file that follows on another stands for itself: headers, session, the models that may decode, and the name of the file
//! before. What was lost with that one is counted and told in it.

use kalmind_acquisition::clock;
use kalmind_offline::recorded::{LossKind, RecordDocument};
use kalmind_recording::xdf::writer::StreamId;
use kalmind_types::{LslTime, ModelId};
use serde_json::json;

use super::{
    fate::Fate,
    head::RecordingFile,
    present::PresentTicks,
    watch::{Left, NextFile},
    writing::Writing,
};

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
        for (stream, stages) in self.head.stages.clone() {
            self.document(now, &RecordDocument::Stages { stream, stages }, true);
        }
        let model = self.model.map(ModelId::to_hex);
        let continued = RecordDocument::Continued { file, because, last_seq: self.last_seq, model };
        self.document(now, &continued, true);
        self.embedded.clear();
        self.present = PresentTicks::default();
        for model in self.models.clone() {
            self.model_documents(now, &model, None);
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
