//! How the tick thread begins: with the model of the configuration, and with its real-time settings.

use std::{
    sync::{Arc, mpsc},
    thread::JoinHandle,
};

use arrayvec::ArrayVec;
use kalmind_acquisition::{Waker, ring::Producer};
use kalmind_engine::{Engine, MAX_PENDING_WINDOWS};
use kalmind_filter::KernelPath;
use kalmind_types::{Command, EventWindow};

use crate::{
    failure::{OrFail as _, Outcome},
    process::realtime::{RealtimeSettings, Role},
    starting::plan::Plan,
    tick::{QueuedCommand, TickThread, silence_panics_here},
};

/// Stages the model that the configuration names, to be swapped in at the first tick.
pub(super) fn first_model(
    plan: &Plan,
    engine: &mut Engine,
    commands: &mut Producer<QueuedCommand>,
) -> Outcome<()> {
    let Some(model) = &plan.model else { return Ok(()) };
    let staged = model.stage(plan.configuration.decoder.guard, KernelPath::detect()).or_usage()?;
    if let Err((error, _)) = engine.stage(staged) {
        return Err(error).or_usage();
    }
    let _empty_ring_has_room =
        commands.push(QueuedCommand { command: Command::SwapModel(model.id), stops: 0 });
    Ok(())
}

/// The windows at events that wait for a tick when the tick thread ends.
pub(super) type UnreadWindows = ArrayVec<EventWindow, MAX_PENDING_WINDOWS>;

/// Starts the tick thread and waits until its real-time settings are applied.
pub(super) fn spawn_tick(
    thread: TickThread,
    waker: Waker,
    realtime: Arc<RealtimeSettings>,
) -> Outcome<JoinHandle<UnreadWindows>> {
    let (ready, applied) = mpsc::sync_channel(1);
    let handle = std::thread::Builder::new()
        .name("kalmind-tick".to_owned())
        .spawn(move || {
            let result = realtime.apply(Role::Tick, "tick");
            let go_on = result.is_ok();
            if ready.send(result).is_ok() && go_on {
                silence_panics_here();
                let _only_this_thread_attaches = waker.attach();
                return thread.run();
            }
            UnreadWindows::new()
        })
        .or_work()?;
    applied.recv().or_work()?.or_work()?;
    Ok(handle)
}
