//! What other programs can find of a run before its streams are found: its name, and its LSL outlets. A program that waits for
//! the cursor before it sends its own stream is not waited for by the daemon.

use std::sync::Arc;

use crossbeam_channel::{Receiver, Sender};
use kalmind_acquisition::clock;
use kalmind_offline::{model::SAME_WIDTH, recorded::ClockReading};
use kalmind_output::{
    Clock, CursorLayout, CursorOutletConfig, EventsOutletConfig, Ledger, LslPublisher, SessionInfo,
    Workspace, spawn_lsl_publisher,
};
use kalmind_types::RenderedEvent;

use crate::{
    configuration::Configuration,
    failure::{OrFail as _, Outcome},
    process::{
        instance::InstanceLock,
        realtime::{RealtimeSettings, Role},
    },
    recorder::clock_reading,
    starting::prepared::Prepared,
    tick::{Lane, LaneSource, lane},
};

/// Publications that may wait for the LSL publisher or the hub: five seconds at 200 Hz.
pub(crate) const LANE: usize = 1024;
/// Events that may wait for the LSL publisher.
const EVENTS: usize = 4096;

/// Which run this is.
#[derive(Clone, Debug)]
pub(crate) struct Identity {
    /// The session's UUID.
    pub(crate) session: String,
    /// When it began, on both clocks.
    pub(crate) started: ClockReading,
    /// The same in whole Unix seconds.
    pub(crate) run: u64,
}

/// The outlets of a run, and its name; nothing goes through them yet. Dropping it ends them.
#[derive(Debug)]
pub struct Outlets {
    pub(crate) identity: Identity,
    pub(crate) instance: InstanceLock,
    pub(crate) realtime: Arc<RealtimeSettings>,
    pub(crate) ledger: Arc<Ledger>,
    pub(crate) clock: Clock,
    pub(crate) publisher: LslPublisher,
    pub(crate) lane: Lane,
    pub(crate) events: Sender<RenderedEvent>,
    bin_ms: f64,
}

impl Outlets {
    /// Claims the instance's name and makes its outlets.
    ///
    /// # Errors
    /// What cannot be had: another daemon of this name, locked memory that is insisted on, an outlet.
    pub fn open(prepared: &Prepared) -> Outcome<Self> {
        let configuration = &prepared.configuration;
        let holder =
            format!("process {}, configuration {}", std::process::id(), configuration.source.file_name);
        let instance = InstanceLock::claim(&configuration.instance.name, &holder).or_work()?;
        let realtime = Arc::new(RealtimeSettings::new(configuration.realtime.clone()));
        realtime.lock_memory().or_work()?;
        let started = clock_reading();
        let identity =
            Identity { session: uuid::Uuid::new_v4().to_string(), run: started.unix as u64, started };
        let ledger = Arc::new(Ledger::new().or_work()?);
        let clock = Clock::new(clock::now, || clock::clock_pair().unix);
        let (publisher, lane, events) =
            publisher(configuration, &identity, prepared.bin_ms, &ledger, &clock, &realtime)?;
        Ok(Self {
            identity,
            instance,
            realtime,
            ledger,
            clock,
            publisher,
            lane,
            events,
            bin_ms: prepared.bin_ms,
        })
    }

    /// Makes the outlets anew where the bins turn out to have another width than was taken: it is their nominal rate.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub(crate) fn with_width(mut self, configuration: &Configuration, bin_ms: f64) -> Outcome<Self> {
        if (bin_ms - self.bin_ms).abs() <= SAME_WIDTH * bin_ms {
            return Ok(self);
        }
        tracing::info!(
            taken_ms = self.bin_ms,
            bin_ms,
            "the outlets were made again at the rate of the stream; set [bins] bin_ms to avoid that"
        );
        let _nothing_went_through = self.publisher.stop();
        let (publisher, lane, events) =
            publisher(configuration, &self.identity, bin_ms, &self.ledger, &self.clock, &self.realtime)?;
        (self.publisher, self.lane, self.events, self.bin_ms) = (publisher, lane, events, bin_ms);
        Ok(self)
    }
}

/// The LSL outlets and their thread, and the ways into it.
fn publisher(
    configuration: &Configuration,
    identity: &Identity,
    bin_ms: f64,
    ledger: &Arc<Ledger>,
    clock: &Clock,
    realtime: &Arc<RealtimeSettings>,
) -> Outcome<(LslPublisher, Lane, Sender<RenderedEvent>)> {
    let (lane, source): (Lane, LaneSource) = lane(LANE);
    let (events, received): (Sender<RenderedEvent>, Receiver<RenderedEvent>) =
        crossbeam_channel::bounded(EVENTS);
    let (outlets, events_outlet) = configured(configuration);
    let realtime = Arc::clone(realtime);
    let on_start = Box::new(move || drop(realtime.apply(Role::Outlet, "LSL outlet")));
    let publisher = spawn_lsl_publisher(
        outlets,
        events_outlet,
        cursor_layout(configuration, identity, bin_ms),
        Box::new(source),
        received,
        Arc::clone(ledger),
        clock.clone(),
        Some(on_start),
    )
    .or_work()?;
    Ok((publisher, lane, events))
}

fn configured(configuration: &Configuration) -> (Vec<CursorOutletConfig>, EventsOutletConfig) {
    let instance = &configuration.instance.name;
    let outlets = configuration.output.lsl.iter().map(|outlet| outlet.outlet(instance)).collect();
    let events = EventsOutletConfig {
        name: configuration.output.events.name(instance),
        source_id: configuration.output.events.source_id(instance),
        ..EventsOutletConfig::default()
    };
    (outlets, events)
}

/// What clients and recordings are told of the run.
pub(crate) fn session_info(configuration: &Configuration, identity: &Identity, bin_ms: f64) -> SessionInfo {
    SessionInfo {
        session: identity.session.clone(),
        run: identity.run,
        instance: configuration.instance.name.clone(),
        participant: configuration.subject.code.clone().unwrap_or_default(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        bin_ms,
        components: configuration.intent.components.clone(),
        workspace: Workspace { width: 1.0, height: configuration.cursor.height },
    }
}

/// What every form of the cursor has in common.
pub(crate) fn cursor_layout(configuration: &Configuration, identity: &Identity, bin_ms: f64) -> CursorLayout {
    let info = session_info(configuration, identity, bin_ms);
    CursorLayout {
        bin_ms: info.bin_ms,
        components: info.components,
        run: info.run,
        session: info.session,
        instance: info.instance,
        participant: info.participant,
        version: info.version,
        height: info.workspace.height,
    }
}
