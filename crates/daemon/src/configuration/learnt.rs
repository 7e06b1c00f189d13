//! A configuration with what was learnt of a stretch of rest, and without it.

use std::path::PathBuf;

use kalmind_offline::features::{ReferenceDocument, is_learnt};

use super::{
    Configuration,
    rest::{Learnt, apply},
};

impl Configuration {
    /// Has what was learnt of a stretch of rest count for the streams.
    ///
    /// # Errors
    /// A sentence that says why it cannot.
    pub fn apply_reference(&mut self, file: PathBuf, document: ReferenceDocument) -> Result<(), String> {
        let written = self.stream.iter().map(|stream| stream.stages.clone()).collect();
        apply(&document, &mut self.stream)?;
        self.reference.learnt = Some(Box::new(Learnt { file, document, written }));
        Ok(())
    }

    /// The same with the streams' stages as they were written, to learn from another stretch.
    #[must_use]
    pub fn unlearnt(&self) -> Self {
        let mut configuration = self.clone();
        if let Some(learnt) = configuration.reference.learnt.take() {
            for (stream, written) in configuration.stream.iter_mut().zip(learnt.written) {
                stream.stages = written;
            }
        }
        configuration
    }

    /// Whether any stage takes anything from a stretch of rest.
    #[must_use]
    pub fn learns_from_rest(&self) -> bool {
        self.stream.iter().any(|stream| stream.stages.iter().any(is_learnt))
    }
}
