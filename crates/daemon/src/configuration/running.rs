//! `[instance]`, `[subject]`, `[realtime]`, `[log]`: who runs, for whom, and on what terms with the machine.

use kalmind_types::Mode;

use super::{
    rule::Rule,
    setting::Setting as _,
    table::{choices, table},
};

/// What the daemon does with the cursor when it starts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Start {
    /// Nothing moves until somebody asks for it.
    #[default]
    Idle,
    /// The decoder moves the cursor at once.
    Control,
}

choices!(Start { Idle => "idle", Control => "control" });

impl From<Start> for Mode {
    fn from(start: Start) -> Self {
        match start {
            Start::Idle => Self::Idle,
            Start::Control => Self::Control,
        }
    }
}

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

/// How much the log says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LogLevel {
    /// What failed.
    Error,
    /// And what may fail.
    Warn,
    /// And what happens.
    #[default]
    Info,
    /// And why.
    Debug,
    /// And every step.
    Trace,
}

choices!(LogLevel { Error => "error", Warn => "warn", Info => "info", Debug => "debug", Trace => "trace" });

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

impl Sex {
    /// The letter by which recordings state it.
    pub fn letter(self) -> &'static str {
        match self {
            Self::Female => "F",
            Self::Male => "M",
            Self::Other => "O",
            Self::Unknown => "U",
        }
    }
}

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
        level: LogLevel = LogLevel::Info;
        /// How a line looks.
        format: LogFormat = LogFormat::Text;
    }
}
