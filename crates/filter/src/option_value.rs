//! How the values of options are read from text and written to it, and the values that are numbers or a word.

use kalmind_types::MAX_FEATURES;

/// A value that an option can take, in text and out of it.
pub(crate) trait OptionValue: Sized {
    fn read(text: &str) -> Option<Self>;
    fn text(&self) -> String;
}

/// Declares how the values of an enumeration are spelled.
macro_rules! spelled {
    ($type:ty { $($variant:ident = $text:literal),+ $(,)? }) => {
        impl OptionValue for $type {
            fn read(text: &str) -> Option<Self> {
                match text { $($text => Some(Self::$variant),)+ _ => None }
            }
            fn text(&self) -> String {
                match self { $(Self::$variant => $text,)+ }.to_owned()
            }
        }
    };
}
pub(crate) use spelled;

/// Whether mean and scale of the features follow the signal.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum RunningZScore {
    /// They are those of the training rows.
    #[default]
    Off,
    /// They follow it with a time constant of so many seconds.
    Seconds(f64),
}

impl OptionValue for RunningZScore {
    fn read(text: &str) -> Option<Self> {
        let seconds = || f64::read(text).filter(|seconds| (1.0..=1e6).contains(seconds));
        if text == "off" { Some(Self::Off) } else { seconds().map(Self::Seconds) }
    }

    fn text(&self) -> String {
        if let Self::Seconds(seconds) = self { seconds.text() } else { "off".to_owned() }
    }
}

/// Up to how many of something are taken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Limit {
    /// All, as they stand.
    #[default]
    Off,
    /// So many.
    Of(usize),
}

impl Limit {
    /// So many, where not all.
    #[must_use]
    pub fn number(self) -> Option<usize> {
        match self {
            Self::Off => None,
            Self::Of(number) => Some(number),
        }
    }
}

impl OptionValue for Limit {
    fn read(text: &str) -> Option<Self> {
        let number = || usize::read(text).filter(|number| (1..=MAX_FEATURES).contains(number));
        if text == "off" { Some(Self::Off) } else { number().map(Self::Of) }
    }

    fn text(&self) -> String {
        self.number().map_or_else(|| "off".to_owned(), |number| number.text())
    }
}

impl OptionValue for bool {
    fn read(text: &str) -> Option<Self> {
        match text {
            "on" => Some(true),
            "off" => Some(false),
            _ => None,
        }
    }

    fn text(&self) -> String {
        if *self { "on" } else { "off" }.to_owned()
    }
}

impl OptionValue for usize {
    fn read(text: &str) -> Option<Self> {
        text.parse().ok()
    }

    fn text(&self) -> String {
        self.to_string()
    }
}

impl OptionValue for f64 {
    fn read(text: &str) -> Option<Self> {
        text.parse().ok().filter(|value: &Self| value.is_finite())
    }

    fn text(&self) -> String {
        self.to_string()
    }
}
