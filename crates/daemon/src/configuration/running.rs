//! `[instance]`, `[subject]`, `[realtime]`, `[log]`: who runs, for whom, and on what terms with the machine.

use kalmind_types::Mode;
use tracing_subscriber::filter::LevelFilter;

use super::{
    check::Conflicts,
    rule::Rule,
    setting::Setting as _,
    table::{choices, table},
};

choices!(Mode { Idle => "idle", Control => "control" });

/// How hard to insist on something that the operating system may refuse.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Insistence {
    /// It is not asked for.
    #[default]
    Off,
    /// It is asked for; a refusal is shown with its remedy, and the start goes on.
    Try,
    /// It is asked for; a refusal ends the start.
    Require,
}

choices!(Insistence { Off => "off", Try => "try", Require => "require" });

choices!(LevelFilter { ERROR => "error", WARN => "warn", INFO => "info", DEBUG => "debug", TRACE => "trace" });

/// How a line of the log looks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}

choices!(LogFormat { Text => "text", Json => "json" });

table! {
    /// Tells several Kalminds that run side by side apart.
    pub struct Instance {
        /// The first part of the names of outlets and files, and of the lock that keeps two daemons apart.
        name: String = "Kalmind".to_owned(), in Rule::FileSafeName;
    }
}

table! {
    /// The participant, as recordings describe them. Never a name.
    pub struct Subject {
        /// The laboratory's code for the participant. A model fitted for another code is refused.
        code: Option<String> = None, in Rule::FileSafeName, or "not stated";
        /// Species, by its Latin name (`Homo sapiens`).
        species: Option<String> = None, or "not stated";
        /// Sex: F, M, O (other) or U (unknown).
        sex: Option<Sex> = None, or "not stated";
        /// Age, as an ISO 8601 duration (`P34Y`).
        age: Option<String> = None, in Rule::Age, or "not stated";
    }
}

impl Subject {
    /// As JSON, `null` where something is not stated.
    #[must_use]
    pub fn json(&self) -> serde_json::Value {
        let sex = self.sex.and_then(|sex| sex.write());
        serde_json::json!({ "code": self.code, "species": self.species, "sex": sex, "age": self.age })
    }
}

/// Sex of a participant, as recordings for archives state it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sex {
    /// Female.
    Female,
    /// Male.
    Male,
    /// Other.
    Other,
    /// Unknown.
    Unknown,
}

choices!(Sex { Female => "F", Male => "M", Other => "O", Unknown => "U" });

table! {
    /// What the tick thread asks of the operating system. What was granted is shown at the start and in
    /// `/v1/status`.
    pub struct Realtime {
        /// Real-time scheduling (`SCHED_FIFO`).
        priority: Insistence = Insistence::Off;
        /// Its priority, 1 (lowest) to 99.
        priority_level: u32 = 50, in Rule::Between(1.0, 99.0);
        /// Keeping the program's memory from being paged out.
        lock_memory: Insistence = Insistence::Off;
        /// Keeping the threads that a sample passes through, from LSL inlet to LSL outlet, on one processor core.
        pin: Insistence = Insistence::Off;
        /// Which core, counted from 0.
        core: Option<usize> = None, in Rule::Between(0.0, 1023.0), or "none";
    }
}

table! {
    /// The log, on standard error.
    pub struct Log {
        /// How much it says.
        level: LevelFilter = LevelFilter::INFO;
        /// How a line looks.
        format: LogFormat = LogFormat::Text;
    }
}

impl Conflicts<'_> {
    /// `[realtime]`.
    pub(super) fn realtime(&mut self, realtime: &Realtime) {
        if !self.known(&["realtime.pin", "realtime.core"]) {
            return;
        }
        match (realtime.pin, realtime.core) {
            (Insistence::Try | Insistence::Require, None) => self.at(
                self.key("realtime.pin"),
                "`realtime.pin` is on, but no `core` is given",
                "no core to pin to",
                "add core = N, counted from 0",
            ),
            (Insistence::Off, Some(core)) => self.at(
                self.key("realtime.core"),
                "`realtime.core` is given, but `pin` is \"off\"",
                "nothing would be pinned",
                format!("add pin = \"try\" (or \"require\") to use core {core}, or leave `core` out"),
            ),
            _ => {}
        }
    }
}
