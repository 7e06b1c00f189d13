//! The run's token: who shows it may steer.

use core::{fmt, hint::black_box};

/// The secret of one run. Never shown by `Debug`.
#[derive(Clone, PartialEq, Eq)]
pub struct Token(String);

/// A token that cannot be one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// The system gave no random bytes.
    #[error("the operating system gave no random bytes for the run's token")]
    NoRandomness,
    /// Too short, or with characters that a WebSocket subprotocol cannot carry.
    #[error("a token is 16 to 128 letters, digits, '-', '_' or '.'")]
    Unsuitable,
}

impl Token {
    /// A fresh token: 128 random bits in hexadecimal.
    ///
    /// # Errors
    /// [`TokenError::NoRandomness`].
    pub fn random() -> Result<Self, TokenError> {
        use fmt::Write as _;
        let mut bytes = [0_u8; 16];
        getrandom::fill(&mut bytes).map_err(|_unavailable| TokenError::NoRandomness)?;
        Ok(Self(bytes.iter().fold(String::with_capacity(32), |mut text, byte| {
            let _infallible = write!(text, "{byte:02x}");
            text
        })))
    }

    /// A token chosen by the configuration.
    ///
    /// # Errors
    /// [`TokenError::Unsuitable`].
    pub fn new(text: impl Into<String>) -> Result<Self, TokenError> {
        let text = text.into();
        let suitable = (16..=128).contains(&text.len())
            && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte));
        if suitable { Ok(Self(text)) } else { Err(TokenError::Unsuitable) }
    }

    /// The secret, to be shown to the operator once.
    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.0
    }

    /// Whether `shown` is this token. Takes the same time for every `shown` of one length, so that the answer's delay
    /// tells nothing.
    #[must_use]
    pub fn matches(&self, shown: &str) -> bool {
        let (ours, theirs) = (self.0.as_bytes(), shown.as_bytes());
        let mut difference = u8::from(ours.len() != theirs.len());
        for (index, byte) in theirs.iter().enumerate() {
            difference |= black_box(byte ^ ours[index % ours.len()]);
        }
        black_box(difference) == 0
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Token(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_whole_token_matches() {
        let token = Token::new("0123456789abcdef").unwrap();
        assert!(token.matches("0123456789abcdef"));
        for wrong in ["", "0", "0123456789abcdee", "0123456789abcdef0", "0123456789abcdef0123456789abcdef"] {
            assert!(!token.matches(wrong), "{wrong:?} passed");
        }
    }

    #[test]
    fn random_tokens_differ_and_suit_a_subprotocol() {
        let (one, other) = (Token::random().unwrap(), Token::random().unwrap());
        assert_ne!(one, other);
        assert_eq!(Token::new(one.reveal()), Ok(one.clone()));
        assert_eq!(format!("{one:?}"), "Token(..)");
    }

    #[test]
    fn unsuitable_tokens_are_refused() {
        for text in ["short", "with space in the middle", "comma,comma,comma,comma", ""] {
            assert_eq!(Token::new(text), Err(TokenError::Unsuitable), "{text:?}");
        }
    }
}
