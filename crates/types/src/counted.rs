//! Numbers of things in texts for people.

use core::fmt;

/// A count with its noun: `1 sample`, `2 samples`. The plural is the noun with an `s`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Counted(pub u64, pub &'static str);

impl fmt::Display for Counted {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(count, noun) = self;
        write!(formatter, "{count} {noun}{}", if *count == 1 { "" } else { "s" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_thing_is_singular_and_none_is_plural() {
        let said = [0, 1, 2].map(|count| Counted(count, "time").to_string());
        assert_eq!(said, ["0 times", "1 time", "2 times"]);
    }
}
