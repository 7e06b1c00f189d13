//! SIGTERM and SIGINT as values.

use std::{sync::mpsc, time::Duration};

use signal_hook::{consts, iterator::Signals};

/// Waits for signals to end, in a thread of its own.
#[derive(Debug)]
pub struct EndSignals(mpsc::Receiver<i32>);

impl EndSignals {
    /// From now on SIGTERM and SIGINT are values of this receiver and end nothing by themselves. A second one that comes
    /// while the first is being handled ends the process at once.
    ///
    /// # Errors
    /// When the handlers cannot be installed.
    pub fn install() -> std::io::Result<Self> {
        let mut signals = Signals::new([consts::SIGTERM, consts::SIGINT])?;
        let (sender, receiver) = mpsc::channel();
        std::thread::Builder::new().name("kalmind-signals".to_owned()).spawn(move || {
            let mut signals = signals.forever();
            let Some(first) = signals.next() else { return };
            // nobody listens any more only when the program is ending already
            let _ending = sender.send(first);
            for again in signals {
                // cannot fail for the two signals that are registered
                let _ended = signal_hook::low_level::emulate_default_handler(again);
            }
        })?;
        Ok(Self(receiver))
    }

    /// Does `work` in a thread of its own; `None` when a signal comes first (the work is left behind, for the end of the
    /// program is near).
    ///
    /// # Errors
    /// When the system gives no thread.
    pub fn or_signal<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> std::io::Result<Option<T>> {
        let (done, result) = mpsc::channel();
        std::thread::Builder::new().name("kalmind-start".to_owned()).spawn(move || {
            // without a receiver a signal has come, and nobody wants the result
            let _nobody_waits = done.send(work());
        })?;
        loop {
            match result.recv_timeout(Duration::from_millis(20)) {
                Ok(result) => return Ok(Some(result)),
                Err(mpsc::RecvTimeoutError::Disconnected) => {
                    return Err(std::io::Error::other("the thread ended without a result; the log says why"));
                }
                Err(mpsc::RecvTimeoutError::Timeout) if self.wait(Duration::ZERO) => return Ok(None),
                Err(mpsc::RecvTimeoutError::Timeout) => {}
            }
        }
    }

    /// Waits at most `duration`; whether a signal came.
    pub fn wait(&self, duration: Duration) -> bool {
        self.0.recv_timeout(duration).is_ok()
    }
}
