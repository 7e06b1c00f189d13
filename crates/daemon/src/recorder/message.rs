//! What the slow side tells the recorder's thread.

use std::sync::Arc;

use crossbeam_channel::Sender;
use kalmind_offline::{
    calibration_fit::RecordedFit,
    recorded::{LossKind, StagesDocument},
};
use kalmind_signal::Given;
use kalmind_types::RenderedEvent;
use serde_json::Value;

/// What the slow side tells the recorder.
#[derive(Clone, Debug)]
pub enum Message {
    /// An event, as published.
    Event(RenderedEvent),
    /// What was given to a stream's stages.
    Given {
        /// Its place.
        stream: usize,
        /// What.
        given: Given,
    },
    /// What a stream's stages remember; its memory is given back.
    Checkpoint {
        /// Its place.
        stream: usize,
        /// Derived samples that had come out.
        derived: u64,
        /// What they remember.
        state: Vec<u8>,
        /// Where its memory goes.
        spare: Sender<Vec<u8>>,
    },
    /// Another generation of a stream's stages, which may follow.
    Stages {
        /// Its place.
        stream: usize,
        /// What it is made from.
        stages: Box<StagesDocument>,
    },
    /// A model that is about to decode.
    Model {
        /// SHA-256 of its file in hexadecimal.
        id: String,
        /// Decoder with options.
        name: String,
        /// Its file's bytes.
        file: Arc<[u8]>,
        /// The same packed, where it was fitted in this session.
        fitted: Option<Arc<RecordedFit>>,
    },
    /// What turned out to be lost of a file that another program had its hands on.
    Lost {
        /// By kind and input stream.
        losses: Vec<(LossKind, Option<usize>, u64)>,
        /// What happened.
        because: String,
    },
    /// Somebody waits until what was handed over before this is written.
    Written {
        /// Who is told.
        tell: Sender<()>,
    },
    /// The session ended in order.
    End {
        /// Who ended it.
        reason: String,
        /// The run's counters.
        summary: Value,
    },
}
