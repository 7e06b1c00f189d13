//! What a command about a recording gives back.

use serde_json::Value;

/// What was found in a recording, or done with it.
#[derive(Debug)]
pub struct Answer {
    /// For programs.
    pub document: Value,
    /// For people; nothing where all is in the failure.
    pub text: String,
    /// What is wrong with the recording all the same.
    pub failure: Option<String>,
}
