//! The handle of the threads that receive a marker stream.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;

use crossbeam_channel::Sender;

use crate::markers::config::{Marker, MarkerConfig};
use crate::markers::receiver::Receiver;
use crate::monitor::StreamMonitor;
use crate::numeric::inlet::SpawnError;

/// A running marker inlet. Dropping it ends its threads.
#[derive(Debug)]
pub struct MarkerInlet {
    /// What is known of the stream. `dropped` counts samples with a text that the sink had no room for within 100 ms.
    pub status: Arc<StreamMonitor>,
    /// Samples that the recorder had no room for.
    pub unrecorded: Arc<AtomicU64>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl MarkerInlet {
    /// Starts receiving. The stream may appear at any time and come back after it was gone; silence is no fault of it.
    /// Returns at once. Ends by itself when the other end of `sink` is dropped; without a sink texts are recorded only.
    ///
    /// # Errors
    /// [`SpawnError::Selector`] and [`SpawnError::Thread`].
    pub fn spawn(config: MarkerConfig, sink: impl Into<Option<Sender<Marker>>>) -> Result<Self, SpawnError> {
        let status = Arc::new(StreamMonitor::new(config.key.clone()));
        Self::spawn_under(config, sink, status)
    }

    /// As [`spawn`](Self::spawn), for a stream that has been shown as awaited: `status` is what it was shown by.
    ///
    /// # Errors
    /// As [`spawn`](Self::spawn).
    pub fn spawn_under(
        config: MarkerConfig,
        sink: impl Into<Option<Sender<Marker>>>,
        status: Arc<StreamMonitor>,
    ) -> Result<Self, SpawnError> {
        let stop = Arc::new(AtomicBool::new(false));
        let unrecorded = Arc::new(AtomicU64::new(0));
        let name = format!("lsl {}", config.key);
        let receiver = Receiver::new(
            config,
            sink.into(),
            Arc::clone(&status),
            Arc::clone(&unrecorded),
            Arc::clone(&stop),
        )?;
        let thread = std::thread::Builder::new().name(name).spawn(move || receiver.run())?;
        Ok(Self { status, unrecorded, stop, thread: Some(thread) })
    }
}

impl Drop for MarkerInlet {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("a marker thread panicked");
        }
    }
}
