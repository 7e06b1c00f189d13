//! Rows of a recording whose stages changed: features before and after are not of one kind, so the newest generation's count.

use std::path::Path;

use kalmind_types::{EventBody, GenerationId, StagesAction, StagesEvent, TickInput};

use super::SessionDocument;
use crate::host::Host;

/// The generations of streams' stages that followed others, in the order in which they were in force.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StageChanges(Vec<(String, GenerationId)>);

impl StageChanges {
    /// Takes an event of the recording in.
    pub fn take(&mut self, event: &EventBody) {
        if let EventBody::Stages(StagesEvent {
            action: StagesAction::StagesInForce,
            stream,
            generation,
            ..
        }) = event
        {
            self.0.push((stream.clone(), *generation));
        }
    }

    /// The generation of this number, above 0, of a stream's stages; none where the recording lacks its event.
    fn of(&self, stream: &str, number: u32) -> Option<GenerationId> {
        let of_stream = self.0.iter().filter(|(key, _)| key == stream);
        of_stream.map(|(_, generation)| *generation).nth((number as usize).checked_sub(1)?)
    }
}

/// Which generations rows are of, as they come.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NewestGeneration {
    numbers: Vec<u32>,
    left_out: u64,
}

impl NewestGeneration {
    /// Looks at the tick of the next row. Whether it is of other generations than the `rows` before, which are left out then.
    pub fn begins(&mut self, input: &TickInput, rows: usize) -> bool {
        let numbers = input.streams.iter().map(|stream| stream.generation);
        if numbers.clone().eq(self.numbers.iter().copied()) {
            return false;
        }
        self.numbers = numbers.collect();
        self.left_out += rows as u64;
        rows > 0
    }

    /// Says how many rows were left out, and gives their number.
    pub fn note(&self, path: &Path, host: &dyn Host) -> u64 {
        if self.left_out > 0 {
            host.warning(&format!(
                "{}: {} rows are left out: the stages of a stream had other settings then",
                path.display(),
                self.left_out
            ));
        }
        self.left_out
    }

    /// Says of the session that its features are of these generations.
    pub fn put_into(&self, session: &mut SessionDocument, changes: &StageChanges) {
        let streams = session.engine.features.iter_mut().zip(&session.streams).zip(&self.numbers);
        for ((features, stream), number) in streams.filter(|(_, number)| **number > 0) {
            features.generation = changes.of(&stream.key, *number);
        }
    }
}
