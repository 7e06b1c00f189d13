//! What is odd or wrong in a file.

/// How bad a problem is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Severity {
    /// Everything was read; it says what was assumed, or what is unusual.
    Odd,
    /// Something could not be read, or not for certain.
    Damage,
}

/// Something that is not as it should be, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The byte.
    pub offset: u64,
    /// What it is, in a sentence.
    pub text: String,
    /// How bad it is.
    pub severity: Severity,
}

impl Problem {
    pub(super) fn odd(offset: u64, text: impl Into<String>) -> Self {
        Self { offset, text: text.into(), severity: Severity::Odd }
    }

    pub(super) fn damage(offset: u64, text: impl Into<String>) -> Self {
        Self { offset, text: text.into(), severity: Severity::Damage }
    }

    /// Whether something could not be read.
    #[must_use]
    pub fn is_damage(&self) -> bool {
        self.severity == Severity::Damage
    }
}
