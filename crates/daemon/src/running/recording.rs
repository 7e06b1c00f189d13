//! The recording of a run: begun before its streams, with what it says of the session.

use std::path::Path;

use kalmind_acquisition::Stages;
use kalmind_engine::look_back_rows;
use kalmind_filter::kernel_path;
use kalmind_offline::recorded::{
    ConfigurationText, FORMAT, InputStream, RecordedAs, SessionDocument, StagesDocument,
};

use crate::{
    configuration::Recorded,
    failure::{OrFail as _, Outcome},
    recorder::{self, Recorder},
    starting::{
        outlets::{Identity, session_info},
        plan::Plan,
        resuming::Resuming,
    },
};

/// The recording of a run, if there is to be one: its file stands, and there is room for it.
pub(crate) fn begin_recording(plan: &Plan, file: Option<&Path>, unix: f64) -> Outcome<Option<Recorder>> {
    let configuration = &plan.configuration;
    let participant = configuration.subject.code.as_deref().unwrap_or_default();
    let in_folder = || {
        let name = recorder::file_name(&configuration.instance.name, participant, unix);
        configuration.record.folder.as_ref().map(|folder| folder.join(name))
    };
    let Some(path) = file.map(Path::to_owned).or_else(in_folder) else { return Ok(None) };
    let recorder = Recorder::create(&path, plan.bytes_per_second(), configuration.record.free_hours);
    recorder.map(Some).or_work()
}

/// What a recording says of the session.
pub(crate) fn session_document(plan: &Plan, identity: &Identity) -> SessionDocument {
    let configuration = &plan.configuration;
    let subject = &configuration.subject;
    let info = session_info(configuration, identity, plan.bin_ms);
    SessionDocument {
        format: FORMAT,
        version: info.version,
        session: info.session,
        run: info.run,
        instance: info.instance,
        participant: info.participant,
        subject: subject.json(),
        bin_ms: plan.bin_ms,
        components: info.components,
        workspace: [info.workspace.width, info.workspace.height],
        kernel_path: kernel_path().to_owned(),
        guard: configuration.decoder.guard,
        engine: plan.engine(),
        streams: plan
            .streams
            .iter()
            .enumerate()
            .map(|(place, stream)| InputStream {
                key: stream.inlet.key.clone(),
                held_samples: held_samples(plan, place),
                stages: stream
                    .inlet
                    .stages
                    .as_ref()
                    .map(|stages| stages_document(stages, plan.recorded_as())),
            })
            .collect(),
        windows: plan.windows.clone(),
        configuration: ConfigurationText {
            file: configuration.source.file_name.clone(),
            sha256: configuration.source.sha256.clone(),
            // without the token: a recording is handed on; what steers a daemon is not
            toml: configuration.source.text.clone(),
        },
        clock: identity.started,
        adaptive: plan.resuming.as_ref().and_then(Resuming::state).cloned(),
    }
}

/// What a recording says of a stream's stages.
pub(crate) fn stages_document(stages: &Stages, recorded: RecordedAs) -> StagesDocument {
    StagesDocument {
        settings: stages.settings.clone(),
        generation: stages.generation,
        rate_hz: stages.raw.rate_hz,
        channels: stages.raw.outputs.len(),
        recorded,
    }
}

impl Plan {
    /// What of streams with stages is recorded.
    pub(crate) fn recorded_as(&self) -> RecordedAs {
        match self.configuration.record.what {
            Recorded::Both => RecordedAs::Both,
            Recorded::Derived => RecordedAs::Derived,
            Recorded::Raw => RecordedAs::Raw,
        }
    }
}

/// How many samples of a stream a tick may still ask for.
fn held_samples(plan: &Plan, place: usize) -> u64 {
    let Some(stream) = plan.streams.get(place) else { return 0 };
    let blocks = stream.inlet.blocks * stream.inlet.block_samples;
    let cut = plan.windows.iter().filter(|window| usize::from(window.stream) == place);
    let kept = stream.binning.rate_hz.zip(cut.map(|window| window.count).max());
    let wait = plan.binner().max_wait;
    (blocks + kept.map_or(0, |(rate_hz, longest)| look_back_rows(rate_hz, longest, wait))) as u64
}
