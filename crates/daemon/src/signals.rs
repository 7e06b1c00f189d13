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
            for signal in signals.forever() {
                if sender.send(signal).is_err() {
                    break;
                }
            }
        })?;
        Ok(Self(receiver))
    }

    /// Waits at most `duration`; whether a signal came.
    pub fn wait(&self, duration: Duration) -> bool {
        self.0.recv_timeout(duration).is_ok()
    }
}
