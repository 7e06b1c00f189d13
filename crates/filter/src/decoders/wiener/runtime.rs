//! `wiener`, `wiener-cascade`, `ole`: linear regression of the intent on a window of bins (Wiener 1949; Carmena et al.
//! 2003 for neural decoding), what a static nonlinearity makes of it, and the optimal linear estimate from one bin.
//!
//! `z_t = W [x_t, .., x_{t-l+1}] + intercept`; no state model, so nothing is carried from bin to bin but the features.
//! The covariance is that of residuals on held-out training rows. A bin without features enters the window as the
//! background; its output is what the aged window gives, with the covariance of the training states, which bounds what
//! a bin without features can be wrong by. Before row one there is no output. Cost: n l d multiplications.
//!
//! `wiener-cascade` passes each component y through a polynomial of its own, `z = c_0 + c_1 y + c_2 y^2 + ..` (a Wiener
//! cascade, Hunter and Korenberg 1986; Pohlmeyer et al. 2007 for neural decoding), fitted on what the regression gave for
//! rows that it was not fitted to. y is limited to the range that was seen then, outside of which a polynomial runs away.
//! Cost: degree multiplications a component more. `ole` is a window of one bin (Salinas and Abbott 1994).
//!
//! When to use them: `wiener` as the baseline without a state model, where a window of features says what a filter would
//! remember; the cascade where features saturate with speed. When not: with few rows for n l weights, or where the
//! covariance of a bin matters, since theirs is the same for every bin.

use kalmind_types::Intent;

use nalgebra::DMatrix;

use super::parameters::WienerParameters;
use crate::cholesky::dot;
use crate::decoder::{Decoder, FilterState, LookBack, StepReport};
use crate::small_matrix::triangle;
use crate::window::Window;

/// See the module.
#[derive(Debug)]
pub(crate) struct WienerDecoder {
    /// d rows of n l.
    weights: Vec<f64>,
    intercept: Vec<f64>,
    /// Lower triangles.
    residual_covariance: Vec<f64>,
    state_covariance: Vec<f64>,
    window: Window,
    started: bool,
    polynomial: Option<Polynomial>,
}

impl WienerDecoder {
    pub(crate) fn new(wiener: &WienerParameters, background: &[f64]) -> Self {
        Self {
            weights: wiener.weights.transpose().as_slice().to_vec(),
            intercept: wiener.intercept.as_slice().to_vec(),
            residual_covariance: triangle(&wiener.residual_covariance),
            state_covariance: triangle(&wiener.state_covariance),
            window: Window::new(background, wiener.lags),
            started: false,
            polynomial: None,
        }
    }

    /// A Wiener filter with a polynomial of each component behind it.
    pub(crate) fn cascade(
        wiener: &WienerParameters,
        polynomial: &DMatrix<f64>,
        range: &DMatrix<f64>,
        background: &[f64],
    ) -> Self {
        Self { polynomial: Some(Polynomial::new(polynomial, range)), ..Self::new(wiener, background) }
    }
}

/// The static nonlinearity of `wiener-cascade`.
#[derive(Debug)]
struct Polynomial {
    /// The coefficients of each component, the constant first.
    coefficients: Vec<Vec<f64>>,
    /// Least and greatest input of each component.
    range: Vec<[f64; 2]>,
}

impl Polynomial {
    fn new(polynomial: &DMatrix<f64>, range: &DMatrix<f64>) -> Self {
        Self {
            coefficients: polynomial.row_iter().map(|row| row.iter().copied().collect()).collect(),
            range: range.row_iter().map(|row| [row[0], row[1]]).collect(),
        }
    }

    fn apply(&self, mean: &mut [f64]) {
        for ((value, coefficients), [least, greatest]) in
            mean.iter_mut().zip(&self.coefficients).zip(&self.range)
        {
            let limited = value.max(*least).min(*greatest);
            *value = coefficients.iter().rev().fold(0.0, |sum, coefficient| sum * limited + coefficient);
        }
    }
}

impl Decoder for WienerDecoder {
    fn features(&self) -> usize {
        self.window.features()
    }

    fn dimension(&self) -> usize {
        self.intercept.len()
    }

    fn restart(&mut self) {
        self.window.clear();
        self.started = false;
    }

    fn step(&mut self, features: Option<&[f64]>, intent: &mut Intent) -> StepReport {
        let measured = self.window.push(features);
        let fallback = features.is_some() && !measured;
        if !measured && !self.started {
            return StepReport { fallback, unused: fallback, ..StepReport::default() };
        }
        let row_one = !self.started;
        self.started = true;
        if intent.dimension() != self.intercept.len() {
            *intent = Intent::zero(self.intercept.len());
        }
        let window = self.window.values();
        for ((mean, weights), intercept) in
            intent.mean_mut().iter_mut().zip(self.weights.chunks_exact(window.len())).zip(&self.intercept)
        {
            *mean = dot(weights, window) + intercept;
        }
        if let Some(polynomial) = &self.polynomial {
            polynomial.apply(intent.mean_mut());
        }
        let covariance = if measured { &self.residual_covariance } else { &self.state_covariance };
        intent.covariance_mut().copy_from_slice(covariance);
        StepReport { valid: true, row_one, fallback, unused: fallback, ..StepReport::default() }
    }

    fn look_back(&self) -> LookBack {
        LookBack { bins: self.window.bins(), fades: false }
    }

    fn state(&self) -> Option<FilterState<'_>> {
        None
    }

    fn adopt(&mut self, _state: FilterState<'_>) -> bool {
        false
    }
}
