//! Signals that end the program, as values; and the tidy end of commands that do not wait for any.

use std::{fs, sync::mpsc, time::Duration};

use kalmind_acquisition::clock::Deadline;
use kalmind_types::Seconds;
use signal_hook::{consts, iterator::Signals};

/// Every signal that ends a process unless it says otherwise, may be handled, and does not report a fault of the process
/// itself: whoever sends it wants the program to end, and the program ends in order. (SIGPIPE is ignored: a reader that goes
/// away is no reason to stop a cursor; SIGXFSZ is an error of the write.)
const ENDING: [i32; 13] = [
    consts::SIGTERM,
    consts::SIGINT,
    consts::SIGHUP,
    consts::SIGQUIT,
    consts::SIGUSR1,
    consts::SIGUSR2,
    consts::SIGALRM,
    consts::SIGVTALRM,
    consts::SIGPROF,
    consts::SIGIO,
    consts::SIGXCPU,
    libc::SIGPWR,
    libc::SIGSTKFLT,
];
/// Those by which a person or a supervisor insists.
const INSISTING: [i32; 3] = [consts::SIGTERM, consts::SIGINT, consts::SIGQUIT];
/// How long after the first signal another one is still the same wish: `timeout` sends two, so does a terminal that closes.
const ONE_WISH: Seconds = Seconds(1.0);

/// Waits for signals to end, in a thread of its own.
#[derive(Debug)]
pub struct EndSignals(mpsc::Receiver<i32>);

impl EndSignals {
    /// From now on the signals that end a process are values of this receiver and end nothing by themselves; SIGHUP stays
    /// ignored where it was (`nohup`). A SIGTERM, SIGINT or SIGQUIT that comes more than a second after the first signal,
    /// while that is being handled, ends the process at once.
    ///
    /// # Errors
    /// When the handlers cannot be installed.
    pub fn install() -> std::io::Result<Self> {
        let mut signals = Signals::new(handled())?;
        let (sender, receiver) = mpsc::channel();
        std::thread::Builder::new().name("kalmind-signals".to_owned()).spawn(move || {
            let mut signals = signals.forever();
            let Some(first) = signals.next() else { return };
            let insisting = Deadline::after(ONE_WISH);
            // nobody listens any more only when the program is ending already
            let _ending = sender.send(first);
            for again in signals {
                if INSISTING.contains(&again) && insisting.passed() {
                    kalmind_recording::remove_unfinished();
                    end_by(again);
                }
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

/// Has a signal that ends a command end it at once, without files that it has begun and not finished. For commands that do
/// their work and end; those that run until they are told to end use [`EndSignals`].
///
/// # Errors
/// When the handlers cannot be installed.
pub fn end_without_leftovers() -> std::io::Result<()> {
    let mut signals = Signals::new(handled())?;
    std::thread::Builder::new().name("kalmind-signals".to_owned()).spawn(move || {
        for signal in signals.forever() {
            kalmind_recording::remove_unfinished();
            end_by(signal);
        }
    })?;
    Ok(())
}

/// Ends the process as the signal does by default; the few that cannot be imitated end it as SIGTERM does.
fn end_by(signal: i32) {
    use signal_hook::low_level::emulate_default_handler;
    // does not come back where it succeeds, and for SIGTERM it does
    let _ended = emulate_default_handler(signal).or_else(|_| emulate_default_handler(consts::SIGTERM));
}

/// The signals that end this process. Who started it may have had SIGHUP ignored, so that the program outlives a terminal.
fn handled() -> Vec<i32> {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let hangup_is_ignored = is_ignored(&status, consts::SIGHUP);
    ENDING.into_iter().filter(|signal| *signal != consts::SIGHUP || !hangup_is_ignored).collect()
}

/// Whether a process ignores a signal, by the text of its `/proc/PID/status`.
fn is_ignored(status: &str, signal: i32) -> bool {
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let mask = mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or(0);
    mask >> (signal - 1) & 1 == 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signals_that_are_ignored_are_told_by_the_mask() {
        let status = "Name:\tkalmind\nSigBlk:\t0000000000000001\nSigIgn:\t0000000000001001\n";
        assert!(is_ignored(status, consts::SIGHUP) && is_ignored(status, consts::SIGPIPE));
        assert!(!is_ignored(status, consts::SIGINT) && !is_ignored("", consts::SIGHUP));
    }

    #[test]
    fn every_signal_that_ends_a_process_by_default_is_accounted_for() {
        // those that stop, go on or are ignored by default, that cannot be handled, or that report a fault of the process
        let others = [
            consts::SIGKILL,
            consts::SIGSTOP,
            consts::SIGTSTP,
            consts::SIGTTIN,
            consts::SIGTTOU,
            consts::SIGCONT,
            consts::SIGCHLD,
            consts::SIGURG,
            consts::SIGWINCH,
            consts::SIGSEGV,
            consts::SIGBUS,
            consts::SIGILL,
            consts::SIGFPE,
            consts::SIGTRAP,
            consts::SIGSYS,
            consts::SIGABRT,
            consts::SIGPIPE,
            libc::SIGXFSZ,
        ];
        for signal in 1..32 {
            assert!(ENDING.contains(&signal) != others.contains(&signal), "signal {signal}");
        }
    }
}
