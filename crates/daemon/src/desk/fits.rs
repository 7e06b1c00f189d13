//! Fits that the session asks for: each in a thread of its own, on threads that all of them share.

use std::{
    num::NonZero,
    sync::{Arc, atomic::Ordering},
};

use kalmind_acquisition::clock;
use kalmind_filter::DecoderSpec;
use kalmind_fitting::{FitBroken, FitPool, FitProgress, abandon};
use kalmind_offline::calibration_fit::{CalibrationFit, RecordedFit};
use kalmind_session::{FitOrder, SessionInput};
use kalmind_types::{Actor, ModelSource, Seconds};

use super::{Desk, Message};
use crate::{models::run_models::Origin, process::realtime};

/// Models that others follow soon are saved no more often than this: what a daemon that is killed can lose.
const SAVED_EVERY: Seconds = Seconds(30.0);

impl Desk {
    /// The threads that fits run on: all fits of a run share them, and they give way to everything else on the machine.
    pub(super) fn fit_pool(&mut self) -> Result<Arc<FitPool>, String> {
        if let Some(pool) = &self.fits {
            return Ok(Arc::clone(pool));
        }
        let cores = std::thread::available_parallelism().map_or(1, NonZero::get);
        let pool = FitPool::new(cores, realtime::low_priority);
        let pool = Arc::new(pool.map_err(|error| format!("no threads for the fit: {error}"))?);
        self.fits = Some(Arc::clone(&pool));
        Ok(pool)
    }

    /// Begins a fit; [`fit_ended`](Self::fit_ended) hears of what comes of it.
    pub(super) fn start_fit(&mut self, order: FitOrder) {
        let number = order.number;
        self.fits_asked = Some(number);
        if order.anew {
            // even if nothing comes back of this one
            self.fitting.begin_anew();
        }
        if let Err(problem) = self.spawn_fit(order) {
            self.fit_ended(number, Err(problem));
        }
    }

    fn spawn_fit(&mut self, order: FitOrder) -> Result<(), String> {
        let (number, decoder) = (order.number, &order.decoder);
        let spec: DecoderSpec = decoder.parse().map_err(|error| format!("{decoder}: {error}"))?;
        // what it leaves for the next one comes back with its result: that of a fit that was cancelled never does
        let mut fitting = self.fitting.clone();
        fitting.follow_streams(&self.settings.demand.streams);
        let desk = self.handle.clone();
        // of those that others follow soon the folder keeps some: the recording has them all
        let now = clock::now();
        let is_kept =
            !order.provisional || self.fit_saved.is_none_or(|saved| (now - saved).0 >= SAVED_EVERY.0);
        let save = self.settings.save.clone().filter(|_| is_kept);
        if save.is_some() {
            self.fit_saved = Some(now);
        }
        let recorded = self.settings.recorder.is_some();
        let pool = self.fit_pool()?;
        self.nobody_waits = Arc::default();
        let nobody_waits = Arc::clone(&self.nobody_waits);
        let fit = move || {
            let mut goes_on = |_: FitProgress| {
                if nobody_waits.load(Ordering::Relaxed) {
                    abandon()
                }
            };
            let ended = pool.run(|| fitting.fit(&order, &spec, now, &mut goes_on));
            if ended.as_ref().err() == Some(&FitBroken::Abandoned) {
                tracing::info!(number, "a fit that nobody waited for any more was ended");
                return;
            }
            let ended = ended.map_err(|broken| broken.to_string());
            let mut fitted = ended.and_then(|fitted| fitted.map_err(|error| error.to_string()));
            if let (Ok(fitted), true) = (&mut fitted, recorded) {
                fitted.recorded = RecordedFit::of(&fitted.model, order.rows, save.is_some()).map(Arc::new);
            }
            let model = fitted.as_ref().ok().map(|fitted| Arc::clone(&fitted.model));
            if let Ok(CalibrationFit { model, rows, .. }) = &fitted {
                let origin = Origin {
                    source: ModelSource::Fitted,
                    by: Actor::Daemon,
                    added: clock::now(),
                    train_bins: Some(*rows as u64),
                    file: None,
                };
                desk.models(|models| models.add(model, origin));
            }
            desk.send_patiently(Message::Fitted {
                number,
                result: fitted.map(Box::new),
                fitting: Box::new(fitting),
            });
            // a slow disk keeps nobody from decoding
            if let Some((model, save)) = model.zip(save) {
                match save.save(&model, clock::clock_pair().unix) {
                    Ok(file) => desk.models(|models| models.saved_as(model.id, file)),
                    Err(error) => tracing::error!(%error, "the model was not saved; it decodes all the same"),
                }
            }
        };
        let thread = std::thread::Builder::new().name("kalmind-fit".to_owned()).spawn(fit);
        thread.map(|_runs| ()).map_err(|error| format!("no thread for the fit: {error}"))
    }

    /// Keeps what came of a fit for the session, which says whether it is put in.
    pub(super) fn fit_ended(&mut self, number: u64, result: Result<CalibrationFit, String>) {
        let result = match result {
            Ok(fit) => {
                let told = fit.told();
                self.fitted = Some(fit);
                Ok(told)
            }
            Err(problem) => {
                tracing::error!(problem, "the fit failed");
                self.fit_saved = None;
                Err(problem)
            }
        };
        self.tell_session(SessionInput::Fitted { number, result });
        // one that the session does not put in is not wanted any more; the run still knows its model
        self.fitted = None;
    }
}
