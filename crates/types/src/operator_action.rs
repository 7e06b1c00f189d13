//! What people and tasks may ask for, in one table. What the daemon does then stands in its `desk/task.rs`.

use serde::{Deserialize, Serialize};

use crate::Mode;

/// Declares the actions: each with its documentation, the name that events, markers and the configuration call it, what a
/// report says of it, and the mode that it asks for, if any.
macro_rules! operator_actions {
    ($($(#[doc = $doc:literal])+ $action:ident = $name:literal, $told:literal, $mode:expr;)+) => {
        /// What a task may ask of the daemon. None of it clears a latched hold: that takes an authenticated resume.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
        pub enum OperatorAction {
            $($(#[doc = $doc])+ #[serde(rename = $name)] $action,)+
        }

        impl OperatorAction {
            /// All there are.
            pub const ALL: &[Self] = &[$(Self::$action),+];

            /// The name by which events and configurations call it.
            #[must_use]
            pub fn name(self) -> &'static str {
                match self { $(Self::$action => $name),+ }
            }

            /// What a report says was asked for.
            #[must_use]
            pub fn told(self) -> &'static str {
                match self { $(Self::$action => $told),+ }
            }

            /// The mode asked for; none for what leaves the mode as it is.
            #[must_use]
            pub fn mode(self) -> Option<Mode> {
                match self { $(Self::$action => $mode),+ }
            }
        }
    };
}

operator_actions! {
    /// Latch `hold`, at once.
    Stop = "stop", "STOP", None;
    /// Ask for the mode `idle`.
    Idle = "idle", "idle requested", Some(Mode::Idle);
    /// Ask for the mode `calibrating`.
    Calibrating = "calibrating", "calibration requested", Some(Mode::Calibrating);
    /// Ask for the mode `control`.
    Control = "control", "control requested", Some(Mode::Control);
    /// Agree to go on, in the mode asked for last, after a silence of the input that was too long to end by itself. Needs
    /// the configuration's leave; clears neither a stop nor a fault.
    Resume = "resume", "resume requested", None;
    /// Have it measured anew how the streams arrive.
    MeasureArrival = "measure_arrival", "new measurement of how samples arrive requested", None;
}

impl From<Mode> for OperatorAction {
    fn from(mode: Mode) -> Self {
        match mode {
            Mode::Idle => Self::Idle,
            Mode::Calibrating => Self::Calibrating,
            Mode::Control => Self::Control,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_action_is_called_by_one_name_and_asks_for_the_mode_of_that_name() {
        for (at, action) in OperatorAction::ALL.iter().enumerate() {
            assert_eq!(serde_json::to_value(action).unwrap(), action.name());
            assert_eq!(serde_json::from_value::<OperatorAction>(action.name().into()).unwrap(), *action);
            assert!(!action.told().is_empty());
            assert!(OperatorAction::ALL[..at].iter().all(|other| other.name() != action.name()));
            if let Some(mode) = action.mode() {
                assert_eq!(OperatorAction::from(mode), *action);
            }
        }
    }
}
