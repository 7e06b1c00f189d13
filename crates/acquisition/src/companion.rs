//! A thread beside each data thread: measures the sender's clock and looks for a replacement, off the data path.
//!
//! LSL's first clock measurement blocks for 0.6 s and a search for 0.3 s; neither may hold up samples. The companion
//! opens a second inlet to the same outlet, never for data. It finds the outlet anew by its identifier, because LSL's
//! handles cannot move between threads.

use core::time::Duration;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, unbounded};
use kalmind_types::{ClockOffset, Seconds};
use lsl::{StreamInfo, StreamInlet};

use crate::monitor::StreamMonitor;
use crate::offset::SharedOffset;
use crate::search::resolve::find_uid;

/// How often the companion looks up while nothing is ordered. LSL itself measures every 2 s.
const LOOK_UP: Duration = Duration::from_millis(500);
/// How long one clock measurement may block the companion, and so its end.
const MEASURE: f64 = 0.5;
/// How long a search may take. Outlets answer in a few milliseconds, but with LSL's own settings some of this machine are
/// asked only after half a second.
const SEARCH: f64 = 0.8;
/// An outlet that does not answer this many searches in a row is taken for dead.
const SILENT_SEARCHES: u32 = 2;

/// What the two threads of a stream tell each other without waiting.
#[derive(Debug, Default)]
pub(crate) struct Watch {
    /// The newest clock measurement of the outlet connected.
    pub(crate) offset: SharedOffset,
    /// Data thread: the stream is silent or refused, look whether another outlet stands in for it.
    pub(crate) search_wanted: AtomicBool,
    /// Companion: there is an outlet that the data thread has not seen; search anew.
    pub(crate) replacement_seen: AtomicBool,
    /// Companion: the outlet connected does not answer.
    pub(crate) unanswered: AtomicBool,
    /// Companion: the outlet connected answered the newest search. Written before `replacement_seen`.
    pub(crate) answering: AtomicBool,
}

/// What the data thread orders.
enum Order {
    /// Another outlet is connected.
    Follow {
        /// Its identifier.
        uid: String,
        /// Its host, which owns the clock.
        hostname: String,
        /// Outlets that the data thread has seen and not chosen.
        passed_over: Vec<String>,
    },
    /// None is connected.
    Forget,
}

/// The data thread's handle. Dropping it ends the thread.
#[derive(Debug)]
pub(crate) struct Companion {
    orders: Option<Sender<Order>>,
    watch: Arc<Watch>,
    thread: Option<JoinHandle<()>>,
}

impl Companion {
    /// Starts the thread; `predicate` is what the stream is searched by.
    pub(crate) fn spawn(name: &str, predicate: String, monitor: Arc<StreamMonitor>) -> std::io::Result<Self> {
        let (orders, ordered) = unbounded();
        let watch = Arc::new(Watch::default());
        let shared = Arc::clone(&watch);
        let thread = std::thread::Builder::new()
            .name(format!("clock {name}"))
            .spawn(move || Follower::new(predicate, shared, monitor).run(&ordered))?;
        Ok(Self { orders: Some(orders), watch, thread: Some(thread) })
    }

    pub(crate) fn watch(&self) -> &Watch {
        &self.watch
    }

    /// Measures the clock of this outlet from now on.
    pub(crate) fn follow(&self, info: &StreamInfo, passed_over: Vec<String>) {
        self.quiet();
        self.order(Order::Follow { uid: info.uid(), hostname: info.hostname(), passed_over });
    }

    /// The outlet is gone.
    pub(crate) fn forget(&self) {
        self.quiet();
        self.order(Order::Forget);
    }

    fn quiet(&self) {
        for flag in [&self.watch.search_wanted, &self.watch.replacement_seen, &self.watch.unanswered] {
            flag.store(false, Ordering::Relaxed);
        }
    }

    fn order(&self, order: Order) {
        if let Some(orders) = &self.orders
            && orders.send(order).is_err()
        {
            tracing::error!("the clock thread of a stream has ended");
        }
    }
}

impl Drop for Companion {
    fn drop(&mut self) {
        self.orders = None;
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the clock thread of a stream panicked");
        }
    }
}

/// The outlet that is followed.
struct Followed {
    /// Never opened for data; `None` until it was found.
    inlet: Option<StreamInlet>,
    uid: String,
    passed_over: Vec<String>,
    silent_searches: u32,
}

/// The thread's own state.
struct Follower {
    predicate: String,
    watch: Arc<Watch>,
    monitor: Arc<StreamMonitor>,
    followed: Option<Followed>,
    /// The machine whose clock was measured last.
    hostname: Option<String>,
}

impl Follower {
    fn new(predicate: String, watch: Arc<Watch>, monitor: Arc<StreamMonitor>) -> Self {
        Self { predicate, watch, monitor, followed: None, hostname: None }
    }

    fn run(mut self, orders: &Receiver<Order>) {
        loop {
            match orders.recv_timeout(LOOK_UP) {
                Ok(order) => self.obey(order),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return,
            }
            self.measure();
            if self.watch.search_wanted.load(Ordering::Relaxed) {
                self.search();
            }
        }
    }

    fn obey(&mut self, order: Order) {
        self.followed = None;
        let Order::Follow { uid, hostname, passed_over } = order else { return };
        if self.hostname.as_ref() != Some(&hostname) {
            self.publish(None);
            self.hostname = Some(hostname);
        }
        // tried again with every look-up until it is found
        self.followed = Some(Followed { inlet: None, uid, passed_over, silent_searches: 0 });
    }

    fn measure(&mut self) {
        let Some(followed) = &mut self.followed else { return };
        if followed.inlet.is_none() {
            // no recovery: LSL would follow a stranger of the same name
            followed.inlet =
                find_uid(&followed.uid, SEARCH).and_then(|info| StreamInlet::new(&info, 1, 0, false).ok());
        }
        let Some(inlet) = &followed.inlet else { return };
        // a timeout or a lost outlet keeps what was measured before; LSL goes on probing in the background
        if let Ok((offset, _, round_trip)) = inlet.time_correction_ex(MEASURE) {
            self.publish(Some(ClockOffset {
                offset: Seconds(offset),
                uncertainty: Seconds((round_trip / 2.0).max(0.0)),
            }));
        }
    }

    fn publish(&self, offset: Option<ClockOffset>) {
        self.watch.offset.set(offset);
        self.monitor.set_clock(offset);
    }

    fn search(&mut self) {
        let Some(followed) = &mut self.followed else { return };
        // one more than is known: ends early only when there is something new
        let known = followed.passed_over.len() + 1;
        let Ok(found) =
            lsl::resolve_bypred(&self.predicate, i32::try_from(known + 1).unwrap_or(i32::MAX), SEARCH)
        else {
            return;
        };
        let answers = found.iter().any(|info| info.uid() == followed.uid);
        let stranger = found
            .iter()
            .any(|info| info.uid() != followed.uid && !followed.passed_over.contains(&info.uid()));
        self.watch.answering.store(answers, Ordering::Relaxed);
        followed.silent_searches = if answers { 0 } else { followed.silent_searches + 1 };
        self.watch.unanswered.store(followed.silent_searches >= SILENT_SEARCHES, Ordering::Relaxed);
        if stranger {
            self.watch.replacement_seen.store(true, Ordering::Release);
        }
    }
}
