//! `wiener-cascade`: a polynomial of each component after the regression of `wiener`.

use nalgebra::{DMatrix, DVector};
use serde_json::Value;

use super::kind::{DecoderKind, DecoderTensors, GUARD, SCALE, Setup, Taken};
use super::wiener::parameters::{Header, WienerParameters};
use super::wiener::runtime::WienerDecoder;
use crate::covariance_scale::CovarianceScale;
use crate::decoder::Decoder;
use crate::model_error::ModelError;
use crate::tensors::{ParametersError, Source, TensorWriter, parse};
use crate::validate::{out_of_range, shape};

/// See the module.
pub(crate) struct WienerCascade;

/// A Wiener filter whose every component y passes through a polynomial, `z = c_0 + c_1 y + c_2 y^2 + ..`.
#[derive(Clone, Debug, PartialEq)]
pub struct WienerCascadeParameters {
    /// The regression; its `residual_covariance` is that of the polynomials' outputs.
    pub wiener: WienerParameters,
    /// Coefficients, d x (degree + 1), the constant first.
    pub polynomial: DMatrix<f64>,
    /// Least and greatest y of each component over the training rows, d x 2: inputs are limited to them, since a
    /// polynomial runs away outside.
    pub range: DMatrix<f64>,
}

impl DecoderKind for WienerCascade {
    type Tensors = WienerCascadeParameters;

    const NAME: &'static str = "wiener-cascade";
    const SUMMARY: &'static str =
        "linear regression on a window of bins, then a polynomial of each component";
    const OPTIONS: &'static [Taken] = &[
        ("lags", "9", "fewer where there are few rows"),
        ("intercept", "on", ""),
        ("ridge", "0.001", ""),
        ("degree", "3", ""),
        SCALE,
        GUARD,
    ];

    fn decoder(
        WienerCascadeParameters { wiener, polynomial, range }: &WienerCascadeParameters,
        setup: &Setup<'_>,
    ) -> Result<Box<dyn Decoder>, ModelError> {
        Ok(Box::new(WienerDecoder::cascade(wiener, polynomial, range, setup.background)))
    }

    fn write(
        cascade: &WienerCascadeParameters,
        writer: &mut dyn TensorWriter,
    ) -> Result<Value, serde_json::Error> {
        cascade.wiener.write(writer);
        writer.matrix("polynomial", &cascade.polynomial);
        writer.matrix("range", &cascade.range);
        serde_json::to_value(Header { lags: cascade.wiener.lags })
    }

    fn read(header: Value, source: &mut Source<'_>) -> Result<WienerCascadeParameters, ParametersError> {
        let Header { lags } = parse(header)?;
        let d = source.dimension;
        Ok(WienerCascadeParameters {
            wiener: WienerParameters::read(lags, source)?,
            polynomial: source.tensors.columns("polynomial", d)?,
            range: source.tensors.matrix("range", d, 2)?,
        })
    }
}

impl DecoderTensors for WienerCascadeParameters {
    fn validate(&self, features: usize, dimension: usize) -> Result<(), ModelError> {
        self.wiener.validate(features, dimension)?;
        let coefficients = self.polynomial.ncols();
        if !(1..=10).contains(&coefficients) {
            return out_of_range("the number of polynomial coefficients", coefficients as f64, "1 to 10");
        }
        shape("polynomial", &self.polynomial, dimension, coefficients)?;
        shape("range", &self.range, dimension, 2)
    }

    fn dimension(&self) -> usize {
        self.wiener.dimension()
    }

    fn features(&self) -> usize {
        self.wiener.features()
    }

    fn marginal_covariance(&self) -> DMatrix<f64> {
        self.wiener.marginal_covariance()
    }

    fn covariance_scale(&self) -> &CovarianceScale {
        &self.wiener.covariance_scale
    }

    fn covariance_scale_mut(&mut self) -> &mut CovarianceScale {
        &mut self.wiener.covariance_scale
    }

    fn add_mean(&mut self, mean: DVector<f64>) {
        for (constant, mean) in self.polynomial.column_mut(0).iter_mut().zip(mean.iter()) {
            *constant += mean;
        }
    }
}
