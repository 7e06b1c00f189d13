//! What learns from a stretch of rest in a session: from its recording, which holds the samples as they were received, by the
//! same passes as `kalmind reference`; so what comes of it can be learnt again from the recording, to the bit.

use std::{
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use crossbeam_channel::RecvTimeoutError;
use kalmind_acquisition::clock;
use kalmind_fitting::abandon;
use kalmind_offline::{
    Host,
    features::{ReferenceDocument, ReferenceStream, learn_rest},
};
use kalmind_output::{ControlRefused, StagesRequest};
use kalmind_session::ReferenceStatus;
use kalmind_types::Actor;
use serde_json::json;

use crate::{
    configuration::Configuration,
    desk::{DeskHandle, Learner, StagesStatus, Stretch},
    models::{saved::SavedModels, saved_references},
    recorder::RecorderHandle,
    stage_changes::StageChanges,
    starting::{plan::Plan, recorded::plan_features, stages::generation},
};

/// How long the recorder may be behind.
const RECORDED_WITHIN: Duration = Duration::from_secs(30);
/// After so long without a bin of them, stages are not waited for.
const IN_FORCE_WITHIN: Duration = Duration::from_secs(30);
/// What became of a stretch whose block was repeated or skipped meanwhile, or whose session has ended.
const NOBODY_WAITS: &str = "nobody waits for it any more";

/// What a run learns from rest with.
#[derive(Debug)]
pub(crate) struct Resting {
    /// The run's configuration.
    configuration: Configuration,
    /// The recording.
    recorder: RecorderHandle,
    /// The folder of the participant, where there is one.
    folder: Option<PathBuf>,
    /// Which puts stages in force.
    stages: Arc<StageChanges>,
    /// Whom it asks.
    desk: DeskHandle,
}

impl Resting {
    /// What a run learns with.
    ///
    /// # Errors
    /// Why nothing can be learnt in it, in words.
    pub(crate) fn of(
        plan: &Plan,
        recorder: Option<RecorderHandle>,
        save: Option<&SavedModels>,
        stages: &Arc<StageChanges>,
        desk: &DeskHandle,
    ) -> Result<Self, String> {
        let configuration = plan.configuration.clone();
        let why = configuration.why_no_rest(recorder.is_some());
        let recorder = match (why, recorder) {
            (None, Some(recorder)) => recorder,
            (why, _) => return Err(why.unwrap_or_default().to_owned()),
        };
        let folder = save.map(|saved| saved.folder().to_owned());
        Ok(Self { configuration, recorder, folder, stages: Arc::clone(stages), desk: desk.clone() })
    }

    /// What learns, for the desk.
    #[must_use]
    pub(crate) fn learner(self) -> Learner {
        Learner(Arc::new(move |stretch| self.learn(stretch)))
    }

    fn learn(&self, stretch: &Stretch) -> Result<ReferenceStatus, String> {
        let written = self.recorder.written().ok_or("the recorder is too far behind")?;
        written
            .recv_timeout(RECORDED_WITHIN)
            .map_err(|_late| "the rest is not in the recording: the recorder is too far behind".to_owned())?;
        let path = self.recorder.status().file();
        // dead channels of the stretch before may be alive
        let configuration = self.configuration.unlearnt();
        let (plan, _texts) =
            plan_features(&configuration, &path, None).map_err(|failure| failure.to_string())?;
        let options = configuration.reference.options();
        let waited = Waited(Arc::clone(&stretch.nobody_waits));
        let learn = || learn_rest(&path, &plan, stretch.times, &options, &waited);
        let learnt = stretch.pool.run(learn).map_err(|broken| broken.to_string())?;
        let mut document = learnt.map_err(|error| error.to_string())?;
        let unix = clock::clock_pair().unix;
        document.made = Some(kalmind_recording::date(unix));
        self.put_in_force(&document, stretch)?;
        match &self.folder {
            None => {
                let why =
                    "it is in the recording alone: no participant is named, or nothing of theirs is saved";
                document.warnings.push(why.to_owned());
            }
            Some(folder) => {
                if let Err(error) = saved_references::save(folder, &document, unix) {
                    tracing::error!(%error, "what was learnt from the rest was not saved; it counts all the same");
                    document.warnings.push(format!("it is in the recording alone: {error}"));
                }
            }
        }
        Ok(status_of(&document))
    }

    /// Has the stages follow those in force, a stream after the other.
    fn put_in_force(&self, document: &ReferenceDocument, stretch: &Stretch) -> Result<(), String> {
        let is_in_force = |stream: &ReferenceStream| {
            let wanted = generation(&stream.stages);
            self.desk.stages().iter().any(|status: &StagesStatus| {
                status.stream == stream.key && status.generation == wanted && status.next.is_none()
            })
        };
        let request = |stream: &ReferenceStream| StagesRequest {
            stream: stream.key.clone(),
            stages: json!(stream.stages),
            at: 0,
        };
        let others: Vec<&ReferenceStream> =
            document.streams.iter().filter(|stream| !is_in_force(stream)).collect();
        // none of them comes into force where another one cannot
        for stream in &others {
            let refused = |why: ControlRefused| format!("stream \"{}\": {why}", stream.key);
            self.stages.check(&self.desk, request(stream)).map_err(refused)?;
        }
        let mut before = String::new();
        for stream in others {
            let refused = |why: &str| format!("stream \"{}\": {why}{before}", stream.key);
            let wanted = generation(&stream.stages);
            if stretch.nobody_waits.load(Ordering::Relaxed) {
                return Err(NOBODY_WAITS.to_owned());
            }
            self.stages
                .ask(&self.desk, request(stream), Actor::Daemon)
                .map_err(|why| refused(&why.to_string()))?;
            loop {
                let (generation, result) =
                    stretch.changes.recv_timeout(IN_FORCE_WITHIN).map_err(|error| match error {
                        RecvTimeoutError::Timeout => {
                            refused("its samples do not come; its new stages wait for them")
                        }
                        // the desk is gone, or another stretch is being learnt from
                        RecvTimeoutError::Disconnected => NOBODY_WAITS.to_owned(),
                    })?;
                if generation == wanted {
                    result.map_err(|why| refused(&why))?;
                    break;
                }
            }
            before = format!("; those of \"{}\" are in force already", stream.key);
        }
        Ok(())
    }
}

/// What there is to say of what was learnt.
#[must_use]
pub(crate) fn status_of(document: &ReferenceDocument) -> ReferenceStatus {
    let ReferenceDocument { made, seconds: [from, to], streams, warnings, .. } = document;
    ReferenceStatus {
        text: document.text(),
        made: made.clone(),
        seconds: to - from,
        streams: streams.iter().map(|stream| stream.key.clone()).collect(),
        warnings: warnings.clone(),
    }
}

/// Ends what nobody waits for.
struct Waited(Arc<AtomicBool>);

impl Host for Waited {
    fn clock(&self) -> fn() -> f64 {
        clock::seconds
    }

    fn bytes(&self) -> Box<dyn FnMut(u64, u64)> {
        let nobody_waits = Arc::clone(&self.0);
        Box::new(move |_read, _length| {
            if nobody_waits.load(Ordering::Relaxed) {
                abandon()
            }
        })
    }
}
