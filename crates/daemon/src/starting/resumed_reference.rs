//! Which stretch of rest a run goes on with that resumes: the one that its model was fitted behind.

use std::path::{Path, PathBuf};

use kalmind_offline::{features::ReferenceDocument, model::IdentifiedModel};
use kalmind_signal::ChainSettings;
use kalmind_types::GenerationId;

use crate::{
    configuration::{Configuration, read_reference},
    failure::{OrFail as _, Outcome},
    models::saved_references,
    starting::stages::generation,
};

/// Files that are looked at.
const MOST: usize = 32;

/// Stages by the stream; none where a stream has none.
type Generations = Vec<Option<GenerationId>>;

/// Stages that a run can have: as they are configured, or as a saved stretch of rest fixed them.
#[derive(Debug)]
pub(super) struct References {
    configured: Generations,
    /// Those of saved stretches that fit the configuration, newest first.
    saved: Vec<(Generations, PathBuf, ReferenceDocument)>,
    /// What became of the others, a sentence each.
    pub(super) passed_over: Vec<String>,
}

impl References {
    /// Those of a configuration and of a participant's folder; a file that the configuration names stands alone.
    ///
    /// # Errors
    /// A folder that cannot be read.
    pub(super) fn of(configuration: &Configuration, folder: &Path) -> Outcome<Self> {
        let mut references =
            Self { configured: generations(configuration), saved: Vec::new(), passed_over: Vec::new() };
        if configuration.reference.learnt.is_some() {
            return Ok(references);
        }
        for file in saved_references::newest_first(folder).or_work()?.into_iter().take(MOST) {
            let mut changed = configuration.clone();
            let applied = read_reference(&file).and_then(|document| {
                changed.apply_reference(file.clone(), document.clone()).map(|()| document)
            });
            match applied {
                Ok(document) => references.saved.push((generations(&changed), file, document)),
                Err(why) => references.passed_over.push(format!("{}: {why}", file.display())),
            }
        }
        Ok(references)
    }

    /// Why a model cannot decode behind any of them; none where it can, or where only its stream can tell.
    pub(super) fn difference(&self, model: &IdentifiedModel) -> Option<String> {
        let wanted = of_model(model)?;
        let known = self.configured == wanted || self.saved.iter().any(|(known, ..)| *known == wanted);
        let why =
            "it was fitted behind stages that are neither configured nor learnt from a rest that was saved";
        (!known).then(|| why.to_owned())
    }

    /// Has the configuration take those that the model was fitted behind.
    ///
    /// # Errors
    /// A sentence: they fitted before, and do not any more.
    pub(super) fn apply(
        self,
        configuration: &mut Configuration,
        model: &IdentifiedModel,
    ) -> Result<(), String> {
        let wanted = of_model(model);
        let found = self.saved.into_iter().find(|(known, ..)| Some(known) == wanted.as_ref());
        found.map_or(Ok(()), |(_, file, document)| configuration.apply_reference(file, document))
    }
}

fn generations(configuration: &Configuration) -> Generations {
    let of = |stages: &ChainSettings| (!stages.0.is_empty()).then(|| generation(stages));
    configuration.stream.iter().map(|stream| of(&ChainSettings(stream.stages.clone()))).collect()
}

/// Those that a model names; none where it was fitted behind no stages.
fn of_model(model: &IdentifiedModel) -> Option<Generations> {
    let named: Generations = model.model.streams.iter().map(|stream| stream.generation).collect();
    named.iter().any(Option::is_some).then_some(named)
}
