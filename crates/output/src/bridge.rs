//! The bridge: carries publications from the tick thread's queue to the hub, and speaks up when none come.

use core::time::Duration;
use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle, Thread},
};

use kalmind_types::{Actor, Cause, Heartbeat, LslTime, OutputState, Publication, Reason, Seconds};

use crate::{Hub, PublicationSource};

/// After this long without a publication the hub repeats what it knows: a little over the tick thread's own 100 ms, so
/// that the two do not both speak.
const REPEAT_AFTER: Seconds = Seconds(0.110);
/// After this long without a publication the tick thread counts as silent.
const SILENT_AFTER: Seconds = Seconds(1.0);

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
    /// # Errors
    /// When the system gives no thread.
    pub fn spawn_bridge(&self, source: Box<dyn PublicationSource>) -> io::Result<Bridge> {
        let stop = Arc::new(AtomicBool::new(false));
        let handle = thread::Builder::new().name(String::from("kalmind-hub")).spawn({
            let (hub, stop) = (self.clone(), Arc::clone(&stop));
            move || carry(&hub, source, &stop)
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
                tracing::error!("the hub's thread had panicked");
            }
        }
    }
}

impl Drop for Bridge {
    fn drop(&mut self) {
        self.end();
    }
}

fn carry(hub: &Hub, mut source: Box<dyn PublicationSource>, stop: &AtomicBool) {
    let mut watchdog = Watchdog::new(hub.clock().lsl());
    loop {
        let last_round = stop.load(Ordering::Acquire);
        while let Some(publication) = source.next() {
            hub.publish(&publication);
            watchdog.heard(hub.clock().lsl());
        }
        if last_round {
            return;
        }
        let now = hub.clock().lsl();
        if let Some(beat) = watchdog.due(now) {
            hub.publish(&Publication::Heartbeat(substitute(hub, beat, now)));
        }
        thread::park_timeout(watchdog.wait(hub.clock().lsl()));
    }
}

/// The heartbeat that the hub sends in the tick thread's place.
fn substitute(hub: &Hub, beat: Beat, now: LslTime) -> Heartbeat {
    let newest = hub.newest();
    let (state, reason) = match beat {
        Beat::Repeat => (newest.shown.state, newest.shown.reason),
        Beat::Silent => (OutputState::Fault, Some(Reason { cause: Cause::TickSilent, by: Actor::Daemon })),
    };
    Heartbeat { time: now, state, reason, last_seq: newest.last_seq, position: newest.position }
}

/// What the hub has to say by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Beat {
    /// The newest known state once more.
    Repeat,
    /// The tick thread is silent.
    Silent,
}

/// Decides when the hub has to speak by itself. Pure: time is handed in.
#[derive(Debug)]
struct Watchdog {
    heard: LslTime,
    spoke: LslTime,
}

impl Watchdog {
    fn new(now: LslTime) -> Self {
        Self { heard: now, spoke: now }
    }

    /// A publication came.
    fn heard(&mut self, now: LslTime) {
        self.heard = now;
        self.spoke = now;
    }

    /// What to say now, if anything; then it has been said.
    fn due(&mut self, now: LslTime) -> Option<Beat> {
        if (now - self.spoke).0 < REPEAT_AFTER.0 {
            return None;
        }
        self.spoke = now;
        Some(if (now - self.heard).0 < SILENT_AFTER.0 { Beat::Repeat } else { Beat::Silent })
    }

    /// How long nothing will be due.
    fn wait(&self, now: LslTime) -> Duration {
        let left = REPEAT_AFTER.0 - (now - self.spoke).0;
        // half a millisecond more, so that the wake-up finds it due
        Duration::from_secs_f64(left.clamp(0.0, REPEAT_AFTER.0) + 0.000_5)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn watchdog_is_quiet_while_publications_come() {
        let mut watchdog = Watchdog::new(LslTime(5.0));
        for step in 1..100 {
            let now = LslTime(5.0 + 0.1 * f64::from(step));
            assert_eq!(watchdog.due(now), None);
            watchdog.heard(now);
        }
    }

    #[test]
    fn watchdog_repeats_then_reports_silence_and_recovers() {
        let mut watchdog = Watchdog::new(LslTime(5.0));
        let beats: Vec<_> =
            (1..=1300).filter_map(|step| watchdog.due(LslTime(5.0 + 0.001 * f64::from(step)))).collect();
        let repeats = beats.iter().take_while(|beat| **beat == Beat::Repeat).count();
        assert_eq!(repeats, 9);
        assert!(beats[repeats..].iter().all(|beat| *beat == Beat::Silent));
        assert!(beats.len() > repeats);
        watchdog.heard(LslTime(6.4));
        assert_eq!(watchdog.due(LslTime(6.45)), None);
        assert_eq!(watchdog.due(LslTime(6.52)), Some(Beat::Repeat));
    }

    #[test]
    fn watchdog_waits_no_longer_than_it_is_quiet() {
        let watchdog = Watchdog::new(LslTime(5.0));
        assert_eq!(watchdog.wait(LslTime(5.0)), Duration::from_secs_f64(0.1105));
        assert_eq!(watchdog.wait(LslTime(9.0)), Duration::from_secs_f64(0.0005));
    }
}
