//! What a recording consists of, in the order of the file.

use kalmind_types::{Event, FeatureLayout, Samples, StreamTime};

use super::documents::{RecordDocument, SessionDocument, TickDocument};

/// A tick as it was recorded.
#[derive(Clone, Debug, PartialEq)]
pub struct RecordedTick {
    /// Everything that entered it apart from samples, and how it went.
    pub document: TickDocument<'static>,
    /// Its features; empty where they were not read or not recorded.
    pub features: Vec<f64>,
    /// What was published of it, with the row's own time stamp; none where it was not recorded.
    pub cursor: Option<(f64, Vec<f64>)>,
}

impl RecordedTick {
    /// The features; not a number where one was switched off when the decoder ran: it must not teach it either.
    #[must_use]
    pub fn features_in_use(&self, layout: &FeatureLayout) -> Vec<f64> {
        layout.in_use(&self.document.input.masked, &self.features).collect()
    }

    /// The features as a fit had them: those of a bin that was not complete are not a number. `incomplete` is the channel of
    /// the cursor that says so.
    #[must_use]
    pub fn features_fitted(&self, layout: &FeatureLayout, incomplete: Option<usize>) -> Vec<f64> {
        let published = self.cursor.as_ref().zip(incomplete);
        let incomplete = published.and_then(|((_, values), channel)| values.get(channel));
        if incomplete.is_some_and(|incomplete| *incomplete != 0.0) {
            return vec![f64::NAN; layout.width()];
        }
        self.features_in_use(layout)
    }
}

/// What comes next in a recording.
#[derive(Debug)]
pub enum Item {
    /// What the session was; before everything else.
    Session(Box<SessionDocument>),
    /// Another document about the recording.
    Document(RecordDocument),
    /// Samples of an input stream: place, index of the first, stamps, values.
    Samples(usize, u64, Vec<StreamTime>, Samples),
    /// Samples of an input stream as it was received, where it has stages: place, index of the first, stamps, values.
    Raw(usize, u64, Vec<StreamTime>, Samples),
    /// A tick.
    Tick(Box<RecordedTick>),
    /// An event.
    Event(Event),
    /// A part that is passed over.
    Unreadable(Unreadable),
}

/// A part of a recording that cannot be read, though what follows can.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unreadable {
    /// A stream's header: its samples are passed over too.
    Header {
        /// Where its chunk begins.
        offset: u64,
        /// The stream's number.
        stream: u32,
        /// What is wrong.
        problem: String,
    },
    /// A chunk of samples.
    Samples {
        /// The stream's number.
        stream: u32,
        /// What is wrong.
        problem: String,
    },
}
