//! Which decoder with which options, as written on the command line and in the configuration:
//! `dkf-nw:lags=3,form=robust,q=kernel,state-order=2`.

use core::fmt;
use core::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::options::{OPTIONS, Options};
use crate::registry::DecoderName;

/// A decoder with its options.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct DecoderSpec {
    /// Which decoder.
    pub decoder: DecoderName,
    /// Its options.
    pub options: Options,
}

/// The most decoders that one list may name, its grids expanded.
pub(crate) const MOST_DECODERS: usize = 1000;

/// Why a text is not a decoder with options.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SpecError {
    /// No decoder has this name.
    #[error("there is no decoder `{name}`; did you mean `{nearest}`? Known: {known}")]
    UnknownDecoder {
        /// What was written.
        name: String,
        /// The known name most like it.
        nearest: &'static str,
        /// All names.
        known: String,
    },
    /// The decoder has no such option.
    #[error("`{decoder}` has no option `{option}`; did you mean `{nearest}`? Known: {known}")]
    UnknownOption {
        /// The decoder.
        decoder: &'static str,
        /// What was written.
        option: String,
        /// The known option most like it.
        nearest: &'static str,
        /// All options of the decoder.
        known: String,
    },
    /// An option's value does not fit.
    #[error("option `{option}` of `{decoder}` cannot be `{value}`: write {expected}")]
    BadValue {
        /// The decoder.
        decoder: &'static str,
        /// The option.
        option: &'static str,
        /// What was written.
        value: String,
        /// What would be right.
        expected: &'static str,
    },
    /// An option was written twice.
    #[error("option `{option}` of `{decoder}` is written twice")]
    Twice {
        /// The decoder.
        decoder: &'static str,
        /// The option.
        option: &'static str,
    },
    /// A second value stands where one is taken.
    #[error(
        "`{value}` would be a second value of `{option}`, and one is taken here (`kalmind evaluate --decoders` compares several)"
    )]
    Several {
        /// The option.
        option: String,
        /// What stands behind its value.
        value: String,
    },
    /// A word that is neither a decoder nor a value of the option before it.
    #[error(
        "`{text}` is neither a decoder ({known}) nor a value of `{option}` of `{decoder}`, which takes {expected}"
    )]
    Neither {
        /// What was written.
        text: String,
        /// All decoders.
        known: String,
        /// The decoder before it.
        decoder: &'static str,
        /// The option before it.
        option: &'static str,
        /// What that takes.
        expected: &'static str,
    },
    /// A grid of too many decoders.
    #[error(
        "{count} decoders are to be compared, and at most {MOST_DECODERS} can be: give fewer values of options"
    )]
    TooMany {
        /// How many there are.
        count: usize,
    },
    /// An option stands before any decoder, or without a value.
    #[error("`{text}` is not `NAME` or `NAME:option=value,..`")]
    Malformed {
        /// What was written.
        text: String,
    },
}

impl fmt::Display for DecoderName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

impl FromStr for DecoderName {
    type Err = SpecError;

    fn from_str(text: &str) -> Result<Self, SpecError> {
        Self::ALL.into_iter().find(|name| name.as_str() == text).ok_or_else(|| SpecError::UnknownDecoder {
            name: text.to_owned(),
            nearest: nearest(text, &Self::ALL.map(Self::as_str)),
            known: Self::ALL.map(Self::as_str).join(", "),
        })
    }
}

impl DecoderSpec {
    /// A decoder with its default options.
    #[must_use]
    pub fn new(decoder: DecoderName) -> Self {
        Self { decoder, options: Options::default() }
    }

    /// Sets one option from text.
    ///
    /// # Errors
    /// Where the decoder has no such option, it is set already, or the value does not fit.
    pub fn set(&mut self, option: &str, value: &str) -> Result<(), SpecError> {
        let decoder = self.decoder.as_str();
        let names = self.decoder.option_names();
        let Some(&option) = names.iter().find(|name| **name == option) else {
            return Err(SpecError::UnknownOption {
                decoder,
                option: option.to_owned(),
                nearest: nearest(option, &names),
                known: names.join(", "),
            });
        };
        if self.get(option).is_some() {
            return Err(SpecError::Twice { decoder, option });
        }
        self.options.set(option, value).map_err(|expected| SpecError::BadValue {
            decoder,
            option,
            value: value.to_owned(),
            expected,
        })
    }

    /// Whether a guard stands in front of the decoder: as the option `guard` says, or else as the decoder has it.
    #[must_use]
    pub fn is_guarded(&self) -> bool {
        self.options.guard.unwrap_or(self.decoder.is_guarded())
    }

    /// One option as text, where it was set.
    #[must_use]
    pub fn get(&self, option: &str) -> Option<String> {
        self.options.get(option)
    }

    /// The options that were set, name and value, in canonical order.
    pub fn set_options(&self) -> impl Iterator<Item = (&'static str, String)> + '_ {
        OPTIONS.iter().filter_map(|info| Some((info.name, self.get(info.name)?)))
    }

    pub(crate) fn set_assignment(&mut self, text: &str) -> Result<(), SpecError> {
        let (option, value) =
            text.split_once('=').ok_or_else(|| SpecError::Malformed { text: text.to_owned() })?;
        self.set(option.trim(), value.trim())
    }
}

impl FromStr for DecoderSpec {
    type Err = SpecError;

    fn from_str(text: &str) -> Result<Self, SpecError> {
        let (name, options) = match text.split_once(':') {
            Some((name, options)) => (name, Some(options)),
            None => (text, None),
        };
        let mut spec = Self::new(name.trim().parse()?);
        let mut last = None;
        for assignment in options.into_iter().flat_map(|options| options.split(',')) {
            if let (Some(option), false) = (last, assignment.contains('=')) {
                let (option, value) = (str::to_owned(option), assignment.trim().to_owned());
                return Err(SpecError::Several { option, value });
            }
            spec.set_assignment(assignment)?;
            last = assignment.split_once('=').map(|(option, _)| option.trim());
        }
        Ok(spec)
    }
}

impl fmt::Display for DecoderSpec {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.decoder.as_str())?;
        for (index, (name, value)) in self.set_options().enumerate() {
            write!(formatter, "{}{name}={value}", if index == 0 { ':' } else { ',' })?;
        }
        Ok(())
    }
}

impl Serialize for DecoderSpec {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for DecoderSpec {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

fn nearest(text: &str, known: &[&'static str]) -> &'static str {
    known.iter().copied().min_by_key(|name| strsim::damerau_levenshtein(text, name)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Choice;

    #[test]
    fn every_option_survives_the_way_through_text() {
        let text = "dkf-nw:lags=3,form=robust,q=kernel,state-order=2,stationary=lyapunov,\
                    state-mean=zero,start=prior,kernel=se-ard,bandwidth=0.75,q-scale=auto,covariance-scale=1.5";
        let spec: DecoderSpec = text.parse().unwrap();
        assert_eq!(spec.to_string(), text);
        assert_eq!(spec.options.state_order, Some(Choice::Given(2)));
        assert_eq!(spec.options.bandwidth, Some(Choice::Given(0.75)));
        let linear = "dkf-linear:intercept=off,ridge=0.01";
        assert_eq!(linear.parse::<DecoderSpec>().unwrap().to_string(), linear);
    }

    #[test]
    fn defaults_are_written_as_the_bare_name() {
        for name in DecoderName::ALL {
            let spec: DecoderSpec = name.as_str().parse().unwrap();
            assert_eq!(spec.to_string(), name.as_str());
            assert_eq!(spec.set_options().count(), 0);
        }
    }

    #[test]
    fn unknown_names_are_answered_with_the_nearest_known_one() {
        let Err(SpecError::UnknownDecoder { nearest, .. }) = "kalmann".parse::<DecoderSpec>() else {
            panic!()
        };
        assert_eq!(nearest, "kalman");
        let Err(SpecError::UnknownOption { nearest, .. }) = "dkf-nw:lag=3".parse::<DecoderSpec>() else {
            panic!()
        };
        assert_eq!(nearest, "lags");
        let Err(error) = "dkf-nw:lags=0".parse::<DecoderSpec>() else { panic!() };
        assert_eq!(
            error.to_string(),
            "option `lags` of `dkf-nw` cannot be `0`: write a whole number from 1 to 100, or `auto`"
        );
    }

    #[test]
    fn an_option_written_twice_is_refused() {
        assert!(matches!("wiener:lags=1,lags=2".parse::<DecoderSpec>(), Err(SpecError::Twice { .. })));
        assert!(matches!("wiener:lags=1,2".parse::<DecoderSpec>(), Err(SpecError::Several { .. })));
        assert!(matches!("wiener:lags".parse::<DecoderSpec>(), Err(SpecError::Malformed { .. })));
        assert!(matches!("wiener:ridge=nan".parse::<DecoderSpec>(), Err(SpecError::BadValue { .. })));
    }
}
