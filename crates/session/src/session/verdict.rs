//! What a session says of its decoder, in plain words: whether it is good enough for control.

use serde::Serialize;

/// What a session says of its decoder.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Verdict {
    /// What, in a word.
    pub verdict: VerdictKind,
    /// In words, and what to do.
    pub text: String,
    /// Unassisted trials that it rests on.
    pub trials: usize,
    /// Those of them that were acquired.
    pub acquired: usize,
    /// Unassisted trials that it takes.
    pub needed: usize,
    /// How much longer that takes at the pace so far, in seconds; none where that is not known.
    pub seconds_left: Option<f64>,
    /// How often what knows nothing decodes as well, by the newest look of the test against chance.
    pub p_value: Option<f64>,
}

/// What a session says of its decoder, in a word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum VerdictKind {
    /// There is no decoder.
    None,
    /// Not yet: more trials are needed.
    NotYet,
    /// The features say nothing of the direction.
    NoBetterThanChance,
    /// Better than chance, by rows that were gathered without the decoder; nobody has seen it move the cursor.
    BetterThanChance,
    /// The participant acquires targets without help.
    GoodEnough,
}

impl VerdictKind {
    /// The name by which events and messages call it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::NotYet => "not_yet",
            Self::NoBetterThanChance => "no_better_than_chance",
            Self::BetterThanChance => "better_than_chance",
            Self::GoodEnough => "good_enough",
        }
    }
}
