//! f as a weighted sum of others.

use kalmind_types::MAX_COMPONENTS;
use nalgebra::DMatrix;

use crate::decoders::dkf::regression::Regression;

/// `f(x) = sum_k weights_k f_k(x)`.
#[derive(Debug)]
pub(crate) struct Ensemble {
    members: Vec<Member>,
}

/// One f of the sum.
#[derive(Debug)]
pub(crate) struct Member {
    inputs: usize,
    regression: Box<dyn Regression>,
    dimension: usize,
    /// d x d, row-major.
    weight: Vec<f64>,
}

impl Member {
    pub(crate) fn new(inputs: usize, regression: Box<dyn Regression>, weight: &DMatrix<f64>) -> Self {
        Self { inputs, regression, dimension: weight.nrows(), weight: weight.transpose().as_slice().to_vec() }
    }
}

impl Ensemble {
    pub(crate) fn new(members: Vec<Member>) -> Self {
        Self { members }
    }
}

impl Regression for Ensemble {
    fn mean(&mut self, window: &[f64], mean: &mut [f64; MAX_COMPONENTS]) -> Option<f64> {
        mean.fill(0.0);
        for member in &mut self.members {
            let mut own = [0.0; MAX_COMPONENTS];
            // the newest bins come first, so that fewer lags are the front of the window
            let newest = window.get(..member.inputs).unwrap_or(window);
            let _speaking = member.regression.mean(newest, &mut own);
            for (mean, weights) in mean.iter_mut().zip(member.weight.chunks_exact(member.dimension)) {
                *mean += weights.iter().zip(&own).map(|(weight, own)| weight * own).sum::<f64>();
            }
        }
        None
    }

    fn miss(&mut self) {
        for member in &mut self.members {
            member.regression.miss();
        }
    }

    fn restart(&mut self) {
        for member in &mut self.members {
            member.regression.restart();
        }
    }
}
