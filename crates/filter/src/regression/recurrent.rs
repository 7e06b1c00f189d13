//! f as the mean of recurrent networks.

use kalmind_types::MAX_COMPONENTS;

use super::Regression;
use crate::{Cell, RecurrentNetwork};

/// See [`Regressor::Recurrent`](crate::Regressor::Recurrent).
#[derive(Debug)]
pub(super) struct Recurrent {}

impl Recurrent {
    pub(super) fn new(
        _cell: Cell,
        _input_mean: &[f64],
        _input_scale: &[f64],
        _output_scale: &[f64],
        _networks: &[RecurrentNetwork],
    ) -> Self {
        Self {}
    }
}

impl Regression for Recurrent {
    fn mean(&mut self, _window: &[f64], mean: &mut [f64; MAX_COMPONENTS]) -> Option<f64> {
        mean.fill(0.0);
        None
    }
}
