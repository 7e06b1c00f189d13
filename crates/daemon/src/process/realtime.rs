//! Real-time settings: each thread applies them to itself, and what came of it is kept for people to read.

use std::{fmt, sync::Mutex};

use rustix::{
    mm::{MlockAllFlags, mlockall},
    process::{Resource, geteuid, getrlimit},
    thread::{CpuSet, sched_setaffinity},
};
use serde::Serialize;

use crate::configuration::{Insistence, Realtime};

/// What came of one wish.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Outcome {
    /// What was asked for (`priority 60 for the tick thread`).
    pub wish: String,
    /// Whether it was granted.
    pub granted: bool,
    /// What the system said, and the remedy, where it was not.
    pub detail: Option<String>,
}

impl fmt::Display for Outcome {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.detail {
            None => write!(formatter, "{}: granted", self.wish),
            Some(detail) => write!(formatter, "{}: refused ({detail})", self.wish),
        }
    }
}

/// A required setting was refused.
#[derive(Debug, thiserror::Error)]
#[error("{0}; the configuration requires it (set it to \"try\" to run without)")]
pub struct Refused(pub Outcome);

/// The real-time settings of a run and what came of them. Shared by the threads that apply them.
#[derive(Debug)]
pub struct RealtimeSettings {
    settings: Realtime,
    outcomes: Mutex<Vec<Outcome>>,
}

/// Which thread asks. On one core, whoever hands a sample on is overtaken by whoever receives it: an inlet by the tick, the
/// tick (which still has its records to write) by the outlet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// The tick thread: full priority.
    Tick,
    /// An inlet's thread, and the threads that liblsl starts for it: one below, on the same core.
    Stream,
    /// The thread of the LSL outlets, and the threads that liblsl starts for it: one above, on the same core.
    Outlet,
}

impl RealtimeSettings {
    /// Nothing applied yet.
    #[must_use]
    pub fn new(settings: Realtime) -> Self {
        Self { settings, outcomes: Mutex::new(Vec::new()) }
    }

    /// What came of the wishes so far.
    pub fn outcomes(&self) -> Vec<Outcome> {
        self.outcomes.lock().map(|outcomes| outcomes.clone()).unwrap_or_default()
    }

    /// Locks the process's memory, present and future. Call once, before the threads start.
    ///
    /// # Errors
    /// [`Refused`] where the configuration requires it and the system refuses.
    pub fn lock_memory(&self) -> Result<(), Refused> {
        if self.settings.lock_memory == Insistence::Off {
            return Ok(());
        }
        let remedy = "raise RLIMIT_MEMLOCK (ulimit -l unlimited) or grant CAP_IPC_LOCK";
        // under a finite limit the lock would be granted now, and threads and buffers be refused later
        let limit = getrlimit(Resource::Memlock).current.filter(|_| !geteuid().is_root());
        let result = match limit {
            Some(bytes) => Err(format!("the limit is {bytes} bytes; {remedy}")),
            None => mlockall(MlockAllFlags::CURRENT | MlockAllFlags::FUTURE)
                .map_err(|error| format!("{error}; {remedy}")),
        };
        self.note("locked memory".to_owned(), self.settings.lock_memory, result)
    }

    /// Applies time slice, priority, timer slack and core to the calling thread; the threads that liblsl starts for it
    /// inherit them.
    ///
    /// # Errors
    /// [`Refused`] where the configuration requires a setting that the system refuses.
    pub fn apply(&self, role: Role, name: &str) -> Result<(), Refused> {
        syscalls::shortest_slice();
        if self.settings.priority != Insistence::Off {
            syscalls::shortest_timer_slack();
            let configured = self.settings.priority_level;
            let level = match role {
                Role::Tick => configured,
                Role::Stream => configured.saturating_sub(1).max(1),
                Role::Outlet => configured.saturating_add(1).min(99),
            };
            let result = syscalls::first_in_first_out(level).map_err(|error| {
                format!("{error}; grant CAP_SYS_NICE or raise RLIMIT_RTPRIO (ulimit -r 99)")
            });
            self.note(
                format!("real-time priority {level} for the {name} thread"),
                self.settings.priority,
                result,
            )?;
        }
        if self.settings.pin != Insistence::Off {
            // all threads on a sample's way: waking one on the same core is a switch, on an idle one it takes ten times
            // as long
            let core = self.settings.core.unwrap_or(0);
            let mut set = CpuSet::new();
            if core < CpuSet::MAX_CPU {
                set.set(core);
            }
            let result = sched_setaffinity(None, &set)
                .map_err(|error| format!("{error}; is there a core {core} on this machine?"));
            self.note(format!("core {core} for the {name} thread"), self.settings.pin, result)?;
        }
        Ok(())
    }

    fn note(&self, wish: String, importance: Insistence, result: Result<(), String>) -> Result<(), Refused> {
        let outcome = Outcome { wish, granted: result.is_ok(), detail: result.err() };
        if let Ok(mut outcomes) = self.outcomes.lock() {
            outcomes.push(outcome.clone());
        }
        if !outcome.granted && importance == Insistence::Require { Err(Refused(outcome)) } else { Ok(()) }
    }
}

/// Lets the calling thread give way to whatever else wants the processor, and still get on beside a busy program: for work
/// that can wait, and that somebody waits for. Needs no privilege; a system that refuses leaves it as it was.
pub fn low_priority() {
    // a third of what a busy thread without it gets: with less, whoever waits for a fit beside busy programs waits long
    const NICENESS: i32 = 5;
    // Linux takes "this process" for the calling thread alone
    let _may_be_refused = rustix::process::setpriority_process(None, NICENESS);
}

/// The calls that have no safe wrapper.
mod syscalls {
    #![expect(unsafe_code, reason = "scheduling and timer slack have no safe wrapper in rustix")]

    use std::io;

    /// The shortest time slice that Linux grants, in nanoseconds.
    const SHORTEST_SLICE: u64 = 100_000;

    /// Asks for short turns on the processor for the calling thread, where it has no real-time priority. Linux 6.12 and
    /// newer lets a thread that wakes up for a short turn run before a busy one's turn of some milliseconds is over, which
    /// is what a sample waits for on a busy machine. Needs no privilege; older kernels ignore it.
    pub(super) fn shortest_slice() {
        let size = size_of::<libc::sched_attr>() as libc::c_uint;
        let mut attributes = libc::sched_attr {
            size,
            sched_policy: 0,
            sched_flags: 0,
            sched_nice: 0,
            sched_priority: 0,
            sched_runtime: 0,
            sched_deadline: 0,
            sched_period: 0,
        };
        // SAFETY: `attributes` lives through the call, which writes `size` bytes at most; thread 0 is the caller.
        let read = unsafe { libc::syscall(libc::SYS_sched_getattr, 0, &raw mut attributes, size, 0) };
        if read == 0 && attributes.sched_policy == libc::SCHED_OTHER.cast_unsigned() {
            attributes.sched_runtime = SHORTEST_SLICE;
            // SAFETY: `attributes` lives through the call, which only reads it; thread 0 is the caller.
            let _may_be_refused =
                unsafe { libc::syscall(libc::SYS_sched_setattr, 0, &raw const attributes, 0) };
        }
    }

    /// Puts the calling thread under `SCHED_FIFO` at `level`.
    pub(super) fn first_in_first_out(level: u32) -> io::Result<()> {
        let parameters = libc::sched_param { sched_priority: level.cast_signed() };
        // SAFETY: `parameters` lives through the call; thread 0 is the caller.
        let result = unsafe { libc::sched_setscheduler(0, libc::SCHED_FIFO, &raw const parameters) };
        if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
    }

    /// Lets the calling thread's timers fire without the default 50 µs of slack; needs no privilege, cannot fail.
    pub(super) fn shortest_timer_slack() {
        let nanoseconds: libc::c_ulong = 1;
        // SAFETY: PR_SET_TIMERSLACK takes one integer and touches no memory.
        let _always_zero = unsafe { libc::prctl(libc::PR_SET_TIMERSLACK, nanoseconds) };
    }

    /// Has the kernel end the calling process when its parent ends.
    pub(super) fn end_with_parent() {
        let signal: libc::c_int = libc::SIGTERM;
        // SAFETY: PR_SET_PDEATHSIG takes one integer and touches no memory.
        let _always_zero = unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, signal) };
    }
}

/// Has the kernel end this process (SIGTERM) when the process that started it ends.
pub fn end_with_parent() {
    syscalls::end_with_parent();
}
