//! The bridge: carries publications from the tick thread's queue to the hub, and speaks up when none come.

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle, Thread},
};

use kalmind_types::{Heartbeat, LslTime, Publication, StateChange};

use crate::{
    Hub, PublicationSource,
    watchdog::{Beat, TICK_SILENT, Watchdog},
};

/// What is told of every change of the shown state, on the hub's thread.
pub type OnStateChange = Box<dyn FnMut(&StateChange) + Send>;

/// The thread between the tick thread's queue and a [`Hub`]. Dropping it stops the thread.
#[derive(Debug)]
pub struct Bridge {
    stop: Arc<AtomicBool>,
    handle: Option<JoinHandle<()>>,
}

impl Hub {
    /// Starts the thread that takes publications from `source`, serialises them once and sends them to every client.
    ///
    /// It parks while the queue is empty; unpark [`Bridge::thread`] after filling it. After 110 ms without a
    /// publication it sends heartbeats of its own with the newest known state, and after 1 s without one their state
    /// is `fault`: the tick thread is silent.
    ///
    /// `on_change` is told of every change of state or reason that clients are shown, whether a tick or a heartbeat brought
    /// it, once and in order, directly after it was sent to them.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub fn spawn_bridge(
        &self,
        source: Box<dyn PublicationSource>,
        on_change: OnStateChange,
    ) -> io::Result<Bridge> {
        let stop = Arc::new(AtomicBool::new(false));
        let handle = thread::Builder::new().name(String::from("kalmind-hub")).spawn({
            let (hub, stop) = (self.clone(), Arc::clone(&stop));
            move || carry(&hub, source, on_change, &stop)
        })?;
        Ok(Bridge { stop, handle: Some(handle) })
    }
}

impl Bridge {
    /// The thread to unpark after a publication was put into the queue. `None` only while it is being stopped.
    #[must_use]
    pub fn thread(&self) -> Option<&Thread> {
        self.handle.as_ref().map(JoinHandle::thread)
    }

    /// Carries what is left in the queue, then ends the thread.
    pub fn stop(mut self) {
        self.end();
    }

    fn end(&mut self) {
        self.stop.store(true, Ordering::Release);
        if let Some(handle) = self.handle.take() {
            handle.thread().unpark();
            if handle.join().is_err() {
                tracing::error!("the hub's thread panicked");
            }
        }
    }
}

impl Drop for Bridge {
    fn drop(&mut self) {
        self.end();
    }
}

fn carry(hub: &Hub, mut source: Box<dyn PublicationSource>, mut on_change: OnStateChange, stop: &AtomicBool) {
    let mut watchdog = Watchdog::new(hub.clock().lsl());
    let mut publish = |publication: &Publication| {
        if let Some(change) = hub.publish(publication) {
            on_change(&change);
        }
    };
    loop {
        let last_round = stop.load(Ordering::Acquire);
        while let Some(publication) = source.next() {
            publish(&publication);
            watchdog.heard(hub.clock().lsl());
        }
        if last_round {
            return;
        }
        let now = hub.clock().lsl();
        if let Some(beat) = watchdog.due(now) {
            publish(&Publication::Heartbeat(substitute(hub, beat, now)));
        }
        thread::park_timeout(watchdog.wait(hub.clock().lsl()));
    }
}

/// The heartbeat that the hub sends in the tick thread's place.
fn substitute(hub: &Hub, beat: Beat, now: LslTime) -> Heartbeat {
    let newest = hub.newest();
    let (state, reason) = match beat {
        Beat::Repeat => (newest.shown.state, newest.shown.reason),
        Beat::Silent => TICK_SILENT,
    };
    Heartbeat { time: now, state, reason, last_seq: newest.last_seq, position: newest.position }
}
