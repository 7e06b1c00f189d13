//! The fit of `wiener-cascade`: polynomials of what a ridge regression on windows gives.

use kalmind_filter::cholesky::Cholesky;
use kalmind_filter::{DecoderSpec, Parameters, TrainingData, WienerCascadeParameters, WienerParameters};
use nalgebra::{DMatrix, DVector};

use crate::decoders::kind::DecoderFit;
use crate::decoders::wiener::{Regression, regress};
use crate::fit_error::FitError;
use crate::report::FitReport;
use crate::windows::{folds, outside, second_moment};

/// Largest rounding of a polynomial about zero, relative to the range of its inputs.
const ROUNDING: f64 = 1e-6;
/// Default `degree`.
const DEGREE: usize = 3;
/// Pivots below this part of their diagonal entry mean that there are too few different inputs for a degree.
const COLLINEAR: f64 = 1e-11;

/// See the module.
pub(super) const FIT: DecoderFit = DecoderFit::of(|job| {
    Ok(Parameters::WienerCascade(fit_cascade(job.spec, job.data, job.background, job.report)?))
});

/// Fits `wiener-cascade`: each polynomial maps what a regression gives for rows of other blocks to their intents, so it
/// learns the regression's shrinkage and curvature on rows like those it will meet, not on those it was fitted to. The
/// covariance is that of rows that neither regression nor polynomial was fitted to.
fn fit_cascade(
    spec: &DecoderSpec,
    data: &TrainingData,
    background: &[f64],
    report: &mut FitReport,
) -> Result<WienerCascadeParameters, FitError> {
    let Regression { parameters, held_out, states } = regress(spec, data, background, report)?;
    let degree = spec.options.degree.unwrap_or(DEGREE);
    let count = states.nrows();
    let mut corrected = DMatrix::zeros(count, states.ncols());
    for fold in folds(count) {
        let others = outside(&fold, count);
        let polynomials =
            fit_polynomials(&held_out.select_rows(&others), &states.select_rows(&others), degree);
        for row in fold {
            for (component, polynomial) in polynomials.iter().enumerate() {
                corrected[(row, component)] = polynomial.at(held_out[(row, component)]);
            }
        }
    }
    let size = states.norm();
    report.tried("wiener".to_owned(), (&states - &held_out).norm() / size);
    let error = (&states - &corrected).norm() / size;
    report.tried(format!("degree={degree}"), error);
    report.held_out_error = Some(error);
    report.uses("degree", degree);
    let polynomials = fit_polynomials(&held_out, &states, degree);
    for (component, polynomial) in polynomials.iter().enumerate() {
        let fitted = polynomial.coefficients.len() - 1;
        if fitted < degree {
            report.warnings.push(format!(
                "the output of state column {component} takes too few values for a polynomial of degree {degree}: it has \
                 degree {fitted}"
            ));
        }
    }
    Ok(WienerCascadeParameters {
        wiener: WienerParameters { residual_covariance: second_moment(&(&states - corrected)), ..parameters },
        polynomial: DMatrix::from_fn(states.ncols(), degree + 1, |component, power| {
            polynomials[component].coefficients.get(power).copied().unwrap_or(0.0)
        }),
        range: DMatrix::from_fn(states.ncols(), 2, |component, end| polynomials[component].range[end]),
    })
}

/// `c_0 + c_1 y + ..` of an input that is limited to the range that was seen.
#[derive(Clone, Debug, PartialEq)]
struct Polynomial {
    coefficients: Vec<f64>,
    range: [f64; 2],
}

impl Polynomial {
    fn at(&self, input: f64) -> f64 {
        evaluate(&self.coefficients, input.max(self.range[0]).min(self.range[1]))
    }
}

fn evaluate(coefficients: &[f64], input: f64) -> f64 {
    coefficients.iter().rev().fold(0.0, |sum, coefficient| sum * input + coefficient)
}

fn fit_polynomials(inputs: &DMatrix<f64>, targets: &DMatrix<f64>, degree: usize) -> Vec<Polynomial> {
    inputs
        .column_iter()
        .zip(targets.column_iter())
        .map(|(inputs, targets)| {
            let range = [inputs.min(), inputs.max()];
            let coefficients = (1..=degree)
                .rev()
                .find_map(|degree| least_squares(inputs.as_slice(), &targets.into_owned(), range, degree))
                // an output that never moves stays as it is
                .unwrap_or_else(|| vec![0.0, 1.0]);
            Polynomial { coefficients, range }
        })
        .collect()
}

/// The polynomial of least squared error, or `None` where the inputs do not determine it or where written in powers of
/// the input it loses more than [`ROUNDING`]. Solved in `t = (y - middle) / half` in -1..1, where powers differ most.
fn least_squares(inputs: &[f64], targets: &DVector<f64>, range: [f64; 2], degree: usize) -> Option<Vec<f64>> {
    let (middle, half) = (0.5 * (range[0] + range[1]), 0.5 * (range[1] - range[0]));
    if half <= 0.0 || !half.is_finite() {
        return None;
    }
    let scaled: Vec<f64> = inputs.iter().map(|input| (input - middle) / half).collect();
    let mut powers = DMatrix::from_element(inputs.len(), degree + 1, 1.0);
    for power in 1..=degree {
        for (row, value) in scaled.iter().enumerate() {
            powers[(row, power)] = powers[(row, power - 1)] * value;
        }
    }
    let factor = Cholesky::new(&powers.tr_mul(&powers), COLLINEAR).ok()?;
    let mut solution = powers.tr_mul(targets);
    factor.solve(solution.as_mut_slice());
    // Horner's scheme over polynomials: sum <- sum t + c, with t = y / half - middle / half
    let mut coefficients = vec![0.0; degree + 1];
    for coefficient in solution.iter().rev() {
        for power in (0..=degree).rev() {
            let lower = if power > 0 { coefficients[power - 1] / half } else { *coefficient };
            coefficients[power] = lower - coefficients[power] * middle / half;
        }
    }
    let spread = (targets.max() - targets.min()).max(f64::MIN_POSITIVE);
    let lost = scaled.iter().zip(inputs).any(|(scaled, input)| {
        let difference = evaluate(solution.as_slice(), *scaled) - evaluate(&coefficients, *input);
        difference.is_nan() || difference.abs() > ROUNDING * spread
    });
    (!lost).then_some(coefficients)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_polynomial_is_recovered_in_powers_of_the_input() {
        let inputs: Vec<f64> = (0..200).map(|at| 3.0 + f64::from(at) / 50.0).collect();
        let cubic = [0.5, -1.0, 0.25, 0.125];
        let targets = DVector::from_iterator(200, inputs.iter().map(|input| evaluate(&cubic, *input)));
        let found = least_squares(&inputs, &targets, [3.0, 3.0 + 199.0 / 50.0], 3).unwrap();
        for (found, expected) in found.iter().zip(cubic) {
            assert!((found - expected).abs() < 1e-9, "{found} {expected}");
        }
    }

    #[test]
    fn inputs_that_do_not_determine_a_degree_give_a_lower_one() {
        let inputs = DMatrix::from_fn(60, 2, |row, column| if column == 0 { (row % 3) as f64 } else { 4.0 });
        let targets = DMatrix::from_fn(60, 2, |row, _| ((row % 3) as f64).powi(2));
        let polynomials = fit_polynomials(&inputs, &targets, 5);
        assert_eq!(polynomials[0].coefficients.len(), 3);
        assert!((polynomials[0].at(1.0) - 1.0).abs() < 1e-12 && (polynomials[0].at(9.0) - 4.0).abs() < 1e-12);
        assert_eq!(polynomials[1], Polynomial { coefficients: vec![0.0, 1.0], range: [4.0, 4.0] });
    }

    #[test]
    fn far_from_zero_a_degree_that_would_lose_its_digits_is_not_taken() {
        let inputs: Vec<f64> = (0..200).map(|at| 1e4 + f64::from(at % 17) / 17.0).collect();
        let targets = DVector::from_iterator(200, inputs.iter().map(|input| (input - 1e4).powi(3)));
        let range = [1e4, 1e4 + 16.0 / 17.0];
        assert_eq!(least_squares(&inputs, &targets, range, 7), None);
        assert!(least_squares(&inputs, &targets, range, 1).is_some());
    }
}
