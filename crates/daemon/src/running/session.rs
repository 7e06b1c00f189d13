//! What a session has to know of the run that it is in.

use kalmind_filter::DecoderSpec;
use kalmind_session::{CalibrationOptions, Preset, SessionSettings};
use kalmind_types::{SIMULATED_SOURCE, Seconds};

use crate::{
    running::resting::{Resting, status_of},
    starting::plan::Plan,
};

/// The settings of a run's session.
pub(crate) fn session_settings(
    plan: &Plan,
    presets: Vec<Preset>,
    seed: u64,
    decoder: Option<&DecoderSpec>,
    resting: &Result<Resting, String>,
) -> SessionSettings {
    let configuration = &plan.configuration;
    let is_simulated = |source: &str| source.starts_with(SIMULATED_SOURCE);
    SessionSettings {
        presets,
        participant: configuration.subject.code.clone(),
        simulated: plan.streams.iter().any(|stream| is_simulated(&stream.inlet.description.source_id)),
        seed,
        decoder: decoder.map(ToString::to_string),
        calibration: CalibrationOptions {
            label_law: configuration.task.label_law,
            bin_ms: plan.bin_ms,
            max_masked: configuration.bins.max_masked,
            switched_off: plan.layout.switched_off(&plan.masked).count(),
        },
        features: plan.layout.width(),
        reference: configuration.reference.learnt.as_ref().map(|learnt| status_of(&learnt.document)),
        cannot_learn: resting.as_ref().err().cloned(),
        smoothing: Seconds::from_millis(configuration.cursor.smoothing_ms),
        max_speed: configuration.cursor.max_speed,
        height: configuration.cursor.height,
        task_may_resume: configuration.task.may_resume,
    }
}
