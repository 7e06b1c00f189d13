//! One sample of a marker stream, whatever it is made of.

use kalmind_types::{NumberFormat, Samples};
use lsl::{Pullable as _, StreamInlet};

use crate::number::Number;

/// One sample, as it is pulled.
pub(crate) trait Row {
    /// The next sample's stamp; 0.0 when there is none within `wait` seconds.
    fn pull(&mut self, inlet: &StreamInlet, wait: f64) -> Result<f64, lsl::Error>;
    /// One text a channel.
    fn texts(&mut self) -> Vec<String>;
    /// The numbers, where it is numbers.
    fn numbers(&self, format: NumberFormat) -> Option<Samples>;
}

#[derive(Default)]
pub(crate) struct Texts(Vec<String>);

impl Row for Texts {
    fn pull(&mut self, inlet: &StreamInlet, wait: f64) -> Result<f64, lsl::Error> {
        inlet.pull_sample_buf(&mut self.0, wait)
    }

    fn texts(&mut self) -> Vec<String> {
        core::mem::take(&mut self.0)
    }

    fn numbers(&self, _format: NumberFormat) -> Option<Samples> {
        None
    }
}

pub(crate) struct Numbers<T>(Vec<T>);

impl<T: Number> Numbers<T> {
    pub(crate) fn new(channels: usize) -> Self {
        Self(vec![T::default(); channels])
    }
}

impl<T: Number> Row for Numbers<T> {
    fn pull(&mut self, inlet: &StreamInlet, wait: f64) -> Result<f64, lsl::Error> {
        T::pull(inlet, &mut self.0, wait)
    }

    fn texts(&mut self) -> Vec<String> {
        self.0.iter().map(|value| value.text()).collect()
    }

    fn numbers(&self, format: NumberFormat) -> Option<Samples> {
        let mut samples = Samples::with_capacity(format, self.0.len());
        T::append(&self.0, &mut samples).then_some(samples)
    }
}

/// What a steady line says: its changes. A line that goes back to 0 is at rest, and what it holds at first was there before.
pub(crate) fn changes(texts: &[String], previous: &mut Option<Vec<String>>) -> Vec<String> {
    let before = previous.replace(texts.to_vec());
    let Some(before) = before else { return Vec::new() };
    let pairs = texts.iter().zip(&before);
    pairs.filter(|(now, before)| now != before && *now != "0").map(|(now, _)| now.clone()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_steady_line_says_its_changes() {
        let mut previous = None;
        let said: Vec<Vec<String>> = ["3", "3", "0", "7", "7", "8", "0"]
            .iter()
            .map(|value| changes(&[(*value).to_owned()], &mut previous))
            .collect();
        let none: Vec<String> = Vec::new();
        let seven = vec!["7".to_owned()];
        assert_eq!(
            said,
            [none.clone(), none.clone(), none.clone(), seven, none.clone(), vec!["8".to_owned()], none]
        );
    }
}
