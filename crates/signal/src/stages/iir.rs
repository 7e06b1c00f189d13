//! A causal filter given by the coefficients of its second-order sections.

use serde::{Deserialize, Serialize};

use super::rows::{Row, Rows};
use super::sections::Sections;
use super::settling::Settling;
use super::stage::{Signal, Stage, StageError, StageKind};
use super::state::{StateError, StateReader, StateWriter};

/// A filter's coefficients.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct IirSettings {
    /// Second-order sections, each `b0 b1 b2 a0 a1 a2` with a0 = 1, as filter design programs give them (`output='sos'`).
    pub sections: Vec<[f64; 6]>,
}

/// The filter, its coefficients given or designed. After a restart it is in the steady state of its first row, and not valid until that is forgotten.
#[derive(Clone, Debug)]
pub(super) struct Iir {
    signal: Signal,
    sections: Sections,
    settling: Settling,
    /// The next row is the first.
    is_new: bool,
}

impl StageKind for Iir {
    type Settings = IirSettings;
    const NAME: &'static str = "iir";
    const ABOUT: &'static str = "a causal filter, as second-order sections";

    fn build(settings: &IirSettings, input: &Signal) -> Result<Self, StageError> {
        Self::of(&settings.sections, input)
    }

    fn example() -> IirSettings {
        IirSettings { sections: vec![[0.25, 0.5, 0.25, 1.0, -0.5, 0.25], [1.0, -1.0, 0.0, 1.0, -0.75, 0.0]] }
    }
}

impl Iir {
    pub(super) fn of(sections: &[[f64; 6]], input: &Signal) -> Result<Self, StageError> {
        let channels = input.outputs.len();
        let sections = Sections::new(sections, channels)?;
        let settling = Settling::new(channels, sections.settling());
        Ok(Self { signal: input.clone(), sections, settling, is_new: true })
    }

    /// Takes a row in and appends the one that comes out.
    pub(super) fn take(&mut self, row: Row<'_>, output: &mut Rows) {
        if core::mem::take(&mut self.is_new) {
            self.sections.settle_on(row.values);
        }
        let (values, invalid) = output.push_like(row);
        self.sections.step(values);
        self.settling.step(invalid);
    }
}

impl Stage for Iir {
    fn signal(&self) -> &Signal {
        &self.signal
    }

    fn delay(&self) -> u64 {
        0
    }

    fn settling(&self) -> u64 {
        self.settling.rows()
    }

    fn restart(&mut self) {
        self.is_new = true;
        self.settling.restart();
    }

    fn process(&mut self, input: &Rows, output: &mut Rows) {
        for row in input.iter() {
            self.take(row, output);
        }
    }

    fn state_bytes(&self) -> usize {
        let flag = size_of::<u64>();
        self.sections.state_bytes().saturating_add(self.settling.state_bytes()).saturating_add(flag)
    }

    fn save(&self, state: &mut StateWriter<'_>) {
        state.whole(u64::from(self.is_new));
        self.sections.save(state);
        self.settling.save(state);
    }

    fn load(&mut self, state: &mut StateReader<'_>) -> Result<(), StateError> {
        self.is_new = state.whole()? != 0;
        self.sections.load(state)?;
        self.settling.load(state)
    }
}
