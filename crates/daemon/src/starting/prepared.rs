//! What can be checked before any stream is looked for: the configuration's own parts, and the model. A mistake in them is
//! told at once, and the outlets can be made of it.

use std::sync::Arc;

use kalmind_acquisition::check_selector;
use kalmind_offline::model::IdentifiedModel;
use kalmind_session::MarkerTable;
use kalmind_types::{Binning, Component, Mode};
use serde_json::json;

use crate::{
    configuration::Configuration,
    failure::{OrFail as _, Outcome},
    models::saved::SavedModels,
    running::plane_streams::Places,
    starting::{plan_error::PlanError, resumed_reference::References, resuming::Resuming},
    task_follower::TASK_MARKERS,
};

/// A configuration that makes sense by itself, with its model.
#[derive(Clone, Debug)]
pub struct Prepared {
    /// The configuration in force. Where `[intent]` is not written, the model's components stand in it.
    pub configuration: Configuration,
    /// The model to start with.
    pub model: Option<Arc<IdentifiedModel>>,
    /// How that one was found among the saved ones, where the run resumes.
    pub resuming: Option<Resuming>,
    /// What the task program's own texts mean.
    pub markers: MarkerTable,
    /// Bin width in milliseconds, as far as it is known: a leading stream of its own rate may make it another.
    pub bin_ms: f64,
}

impl Prepared {
    /// Number of channels of the stream in this place, where it is known without the stream: from the configuration, or from
    /// the model.
    #[must_use]
    pub fn channels(&self, place: usize) -> Option<usize> {
        let streams = &self.configuration.stream;
        let fitted = self.model.as_ref().map(|model| model.model.streams.as_slice());
        let fitted = fitted.filter(|fitted| fitted.len() == streams.len());
        let configured = streams.get(place).and_then(|stream| stream.channels);
        configured.or_else(|| fitted.and_then(|fitted| fitted.get(place)).map(|stream| stream.channels))
    }
}

/// Checks a configuration as far as it can be without its streams. With `resume` the model is the newest saved one of the
/// participant that fits so far, whatever the configuration names.
///
/// # Errors
/// Exit code 2.
pub fn prepare(mut configuration: Configuration, resume: bool) -> Outcome<Prepared> {
    for stream in &configuration.stream {
        check_selector(&configuration.not_own(&stream.selector))
            .map_err(|source| PlanError::Resolve { key: stream.key().to_owned(), source })
            .or_usage()?;
    }
    for (place, stream) in configuration.record.stream.iter().enumerate() {
        check_selector(&configuration.not_own(&stream.selector))
            .map_err(|source| PlanError::Resolve { key: stream.key(place), source })
            .or_usage()?;
    }
    if let Some(task) = configuration.marker_stream() {
        check_selector(&task)
            .map_err(|source| PlanError::Resolve { key: TASK_MARKERS.to_owned(), source })
            .or_usage()?;
    }
    for places in Places::ALL {
        if let Some(selector) = places.selector(&configuration) {
            check_selector(&selector)
                .map_err(|source| PlanError::Resolve { key: places.key().to_owned(), source })
                .or_usage()?;
        }
    }
    let follows_a_stream = !configuration.gives("bins.bin_ms")
        && configuration
            .stream
            .iter()
            .any(|stream| stream.binning == Binning::Sample && stream.rate_hz.is_none());
    let mut bin_ms = configuration.bins.bin_ms;
    let differences = |model: &IdentifiedModel| {
        let mut configuration = configuration.clone();
        take_components(&mut configuration, model);
        model.configured_differences(
            (!follows_a_stream).then_some(bin_ms),
            &configuration.intent.components,
            configuration.subject.code.as_deref(),
        )
    };
    let (model, resuming) = if resume {
        let saved = SavedModels::of(&configuration).ok_or(PlanError::ResumeWithoutParticipant).or_usage()?;
        let mut resuming = Resuming::begin(&saved)?;
        let references = References::of(&configuration, saved.folder())?;
        resuming.say_of_references(&references.passed_over);
        let with_stages = |model: &IdentifiedModel| {
            let mut found = differences(model);
            found.extend(references.difference(model));
            found
        };
        let model = resuming.next_that_fits(with_stages).or_usage()?;
        references.apply(&mut configuration, &model).map_err(anyhow::Error::msg).or_usage()?;
        (Some(model), Some(resuming))
    } else {
        (configured_model(&configuration, differences)?, None)
    };
    if let Some(model) = &model {
        take_components(&mut configuration, model);
        if follows_a_stream {
            // any other width is refused once the stream is found
            bin_ms = model.model.bin_ms;
        }
    }
    cursor_components(&configuration, &configuration.intent.components).or_usage()?;
    let entries = configuration
        .task
        .markers
        .iter()
        .map(|(text, marker)| (text.clone(), json!({ "kind": marker.kind, "data": marker.data() })));
    let markers = MarkerTable::new(entries).or_usage()?;
    Ok(Prepared { configuration, model, resuming, markers, bin_ms })
}

/// The model that the configuration names.
fn configured_model(
    configuration: &Configuration,
    differences: impl Fn(&IdentifiedModel) -> Vec<String>,
) -> Outcome<Option<Arc<IdentifiedModel>>> {
    let Some(path) = &configuration.decoder.model else {
        return match configuration.start {
            Mode::Control => Err(PlanError::ControlWithoutModel).or_usage(),
            _ => Ok(None),
        };
    };
    let model = kalmind_offline::model::load(path).or_usage()?;
    let differences = differences(&model);
    if differences.is_empty() {
        Ok(Some(Arc::new(model)))
    } else {
        Err(PlanError::Model { path: path.clone(), differences }).or_usage()
    }
}

/// Where `[intent]` is not written, the model's components count.
fn take_components(configuration: &mut Configuration, model: &IdentifiedModel) {
    if configuration.gives("intent.components") {
        return;
    }
    configuration.intent.components.clone_from(&model.model.components);
    let names: Vec<&str> = model.model.components.iter().map(|component| component.name.as_str()).collect();
    // what is written stands, and is checked against the model like everything else
    if !configuration.gives("cursor.components")
        && !configuration.cursor.components.iter().all(|name| names.contains(&name.as_str()))
        && let [x, y, ..] = names.as_slice()
    {
        configuration.cursor.components = [(*x).to_owned(), (*y).to_owned()];
    }
}

/// Which components of the intent move the cursor.
pub(crate) fn cursor_components(
    configuration: &Configuration,
    components: &[Component],
) -> Result<[usize; 2], PlanError> {
    let place = |name: &String| {
        components.iter().position(|component| component.name == *name).ok_or_else(|| {
            let known: Vec<&str> = components.iter().map(|component| component.name.as_str()).collect();
            PlanError::NoSuchComponent { name: name.clone(), known: known.join(", ") }
        })
    };
    if components.len() == 1 && !configuration.gives("cursor.components") {
        // one component moves x; y has none
        return Ok([0, usize::MAX]);
    }
    let [x, y] = &configuration.cursor.components;
    Ok([place(x)?, place(y)?])
}
