//! A, G and S from training states: least squares on consecutive rows, never across a gap in time.

use core::ops::Range;

use nalgebra::DMatrix;

use crate::windows::second_moment;
use crate::{FitError, FitReport};
use kalmind_filter::cholesky::Cholesky;
use kalmind_filter::{StateModel, StationarySource, TrainingData};

/// Pivots below this part of their diagonal entry mean that a state follows from others.
const COLLINEAR: f64 = 1e-11;
/// Process noise below this part of the state's variance counts as none.
const NO_NOISE: f64 = 1e-10;
/// A random walk of n rows shows a spectral radius of less than one plus this over n, but for one time in a hundred.
const WANDERING: f64 = 3.0;

/// Fits the autoregression of `order` and notes pairs and spectral radius in `report`.
///
/// Pairs reach across target changes, where the intention jumps: leaving the jumps out makes G vanish where a cursor
/// moves by itself, and the filter deaf.
pub(crate) fn fit_state_model(
    data: &TrainingData,
    order: usize,
    source: StationarySource,
    report: &mut FitReport,
) -> Result<StateModel, FitError> {
    let d = data.states.ncols();
    for (column, values) in data.states.column_iter().enumerate() {
        if data.rows() > 1 && values.iter().all(|value| value.to_bits() == values[0].to_bits()) {
            return Err(FitError::CollinearStates { column });
        }
    }
    let (past, present) = consecutive(data, order, false);
    let (pairs, needed) = (present.nrows(), d * order + d + 1);
    if pairs < needed {
        return Err(FitError::TooFewRows { what: "consecutive pairs of states", found: pairs, needed });
    }
    let marginal = second_moment(&present);
    let mut found = autoregression(&past, &present, order)?;
    if let Some(flaw) = found.flaw(&marginal) {
        if found.radius >= 1.0 + WANDERING / pairs as f64 {
            return Err(flaw);
        }
        let (past, present) = consecutive(data, order, true);
        found = autoregression(&past, &present, order)?;
        if let Some(flaw) = found.flaw(&marginal) {
            return Err(flaw);
        }
        report.warnings.push(
            "the states wander off or follow from their past almost exactly over the training rows: a stable state model is \
             taken that forgets within their length; velocities that change at targets would show more"
                .to_owned(),
        );
    }
    let Autoregression { transition, process_noise, companion, radius } = found;
    if (0..d).any(|column| is_silent(&process_noise, &marginal, column)) {
        report.warnings.push(
            "some state columns follow from their past without noise; a filter learns of them through the others alone"
                .to_owned(),
        );
    }
    let stationary_covariance = match source {
        StationarySource::Training => {
            let mut stacked = past.insert_columns(0, d, 0.0).remove_columns(d * order, d);
            stacked.columns_mut(0, d).copy_from(&present);
            second_moment(&stacked)
        }
        StationarySource::Lyapunov => lyapunov(&companion, &process_noise),
    };
    report.state_pairs = pairs;
    report.spectral_radius = Some(radius);
    Ok(StateModel {
        order,
        transition,
        process_noise,
        stationary_covariance,
        stationary_source: source,
        mean: None,
    })
}

/// Present states, and beside each the `order` states before it, newest first. With `padded`, states before and after a
/// segment are zeros and each state is present and past as often: least squares over these rows are the Yule-Walker
/// equations, whose solution is stable whatever the states.
fn consecutive(data: &TrainingData, order: usize, padded: bool) -> (DMatrix<f64>, DMatrix<f64>) {
    let d = data.states.ncols();
    let rows: Vec<(Range<usize>, usize)> = data
        .segments()
        .into_iter()
        .flat_map(|segment| {
            let rows = if padded {
                segment.start..segment.end + order
            } else {
                segment.start + order..segment.end.max(segment.start + order)
            };
            rows.map(move |row| (segment.clone(), row))
        })
        .collect();
    let state = |(segment, row): &(Range<usize>, usize), lag: usize, column: usize| {
        let at = row.checked_sub(lag).filter(|at| segment.contains(at));
        at.map_or(0.0, |at| data.states[(at, column)])
    };
    let past =
        DMatrix::from_fn(rows.len(), d * order, |at, column| state(&rows[at], 1 + column / d, column % d));
    let present = DMatrix::from_fn(rows.len(), d, |at, column| state(&rows[at], 0, column));
    (past, present)
}

/// A and G by least squares.
struct Autoregression {
    transition: DMatrix<f64>,
    process_noise: DMatrix<f64>,
    companion: DMatrix<f64>,
    /// Spectral radius.
    radius: f64,
}

fn autoregression(
    past: &DMatrix<f64>,
    present: &DMatrix<f64>,
    order: usize,
) -> Result<Autoregression, FitError> {
    let d = present.ncols();
    let factor = Cholesky::new(&past.tr_mul(past), COLLINEAR)
        .map_err(|column| FitError::CollinearStates { column: column % d })?;
    let transition = factor.solve_columns(&past.tr_mul(present)).transpose();
    let process_noise = second_moment(&(present - past * transition.transpose()));
    let companion = companion(&transition, order);
    let radius = companion.complex_eigenvalues().iter().map(|value| value.norm()).fold(0.0, f64::max);
    Ok(Autoregression { transition, process_noise, companion, radius })
}

impl Autoregression {
    /// Why no filter could run with it.
    fn flaw(&self, marginal: &DMatrix<f64>) -> Option<FitError> {
        let d = marginal.nrows();
        if self.radius.is_nan() || self.radius >= 1.0 {
            return Some(FitError::Unstable { radius: self.radius });
        }
        (0..d)
            .all(|column| is_silent(&self.process_noise, marginal, column))
            .then_some(FitError::NoProcessNoise { column: 0 })
    }
}

fn is_silent(process_noise: &DMatrix<f64>, marginal: &DMatrix<f64>, column: usize) -> bool {
    process_noise[(column, column)] <= NO_NOISE * marginal[(column, column)]
}

/// `[A_1 .. A_p]` as the transition of the stacked state.
fn companion(transition: &DMatrix<f64>, order: usize) -> DMatrix<f64> {
    let d = transition.nrows();
    DMatrix::from_fn(d * order, d * order, |row, column| {
        if row < d { transition[(row, column)] } else { f64::from(u8::from(column + d == row)) }
    })
}

/// The solution of `S = A S A' + E' G E` for a stable A, by doubling: `S <- S + A S A'`, `A <- A^2`.
fn lyapunov(transition: &DMatrix<f64>, noise: &DMatrix<f64>) -> DMatrix<f64> {
    let mut power = transition.clone();
    let mut solution = DMatrix::zeros(power.nrows(), power.ncols());
    solution.view_mut((0, 0), noise.shape()).copy_from(noise);
    // The powers vanish quadratically: 60 doublings reach A^(2^60).
    for _doubling in 0..60 {
        let added = &power * &solution * power.transpose();
        solution += &added;
        if added.amax() <= f64::EPSILON * solution.amax() {
            break;
        }
        power = &power * &power;
    }
    (&solution + solution.transpose()) / 2.0
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng as _;
    use rand_distr::{Distribution as _, StandardNormal};

    use super::*;

    fn autoregression(rows: usize) -> DMatrix<f64> {
        let mut random = rand_chacha::ChaCha8Rng::seed_from_u64(11);
        let mut states = DMatrix::zeros(rows, 2);
        for row in 2..rows {
            for column in 0..2 {
                let noise: f64 = StandardNormal.sample(&mut random);
                states[(row, column)] =
                    1.2 * states[(row - 1, column)] - 0.4 * states[(row - 2, column)] + 0.1 * noise;
            }
        }
        states
    }

    #[test]
    fn a_second_order_autoregression_is_recovered_and_both_covariances_agree() {
        let data = TrainingData::new(DMatrix::zeros(40_000, 1), autoregression(40_000));
        let mut report = FitReport::default();
        let trained = fit_state_model(&data, 2, StationarySource::Training, &mut report).unwrap();
        let solved = fit_state_model(&data, 2, StationarySource::Lyapunov, &mut report).unwrap();
        assert!(
            (trained.transition[(0, 0)] - 1.2).abs() < 0.02
                && (trained.transition[(0, 2)] + 0.4).abs() < 0.02
        );
        assert!((trained.process_noise[(1, 1)] - 0.01).abs() < 3e-4);
        let difference = (&trained.stationary_covariance - &solved.stationary_covariance).amax();
        assert!(difference < 0.01 * solved.stationary_covariance.amax(), "{difference}");
        let a = companion(&solved.transition, 2);
        let mut rest = &solved.stationary_covariance - &a * &solved.stationary_covariance * a.transpose();
        rest.view_mut((0, 0), (2, 2)).zip_apply(&solved.process_noise, |entry, noise| *entry -= noise);
        assert!(rest.amax() < 1e-12);
    }

    #[test]
    fn no_pair_reaches_across_a_gap() {
        let mut states = DMatrix::from_fn(60, 1, |row, _| ((row * row) as f64).sin());
        states[(30, 0)] += 1e6;
        let gap =
            TrainingData { segment_starts: vec![30, 31], ..TrainingData::new(DMatrix::zeros(60, 1), states) };
        let mut report = FitReport::default();
        let model = fit_state_model(&gap, 1, StationarySource::Training, &mut report).unwrap();
        assert_eq!(report.state_pairs, 57);
        assert!(model.process_noise[(0, 0)] < 2.0);
    }

    #[test]
    fn states_that_run_away_are_refused_with_their_radius() {
        let data = TrainingData::new(
            DMatrix::zeros(50, 1),
            DMatrix::from_fn(50, 1, |row, _| 1.1_f64.powf(row as f64) + (row % 3) as f64),
        );
        let error =
            fit_state_model(&data, 1, StationarySource::Training, &mut FitReport::default()).unwrap_err();
        assert!(matches!(error, FitError::Unstable { radius } if radius > 1.0));
    }

    #[test]
    fn a_constant_or_repeated_state_is_named() {
        let constant = TrainingData::new(
            DMatrix::zeros(50, 1),
            DMatrix::from_fn(50, 2, |row, column| if column == 1 { 3.0 } else { (row as f64).sin() }),
        );
        let error = fit_state_model(&constant, 1, StationarySource::Training, &mut FitReport::default());
        assert_eq!(error.unwrap_err(), FitError::CollinearStates { column: 1 });
        let repeated = TrainingData::new(
            DMatrix::zeros(50, 1),
            DMatrix::from_fn(50, 2, |row, _| ((row * row) as f64).sin()),
        );
        let error = fit_state_model(&repeated, 1, StationarySource::Training, &mut FitReport::default());
        assert_eq!(error.unwrap_err(), FitError::CollinearStates { column: 1 });
    }

    /// States on a circle follow from their past exactly, and a walk may look unstable by chance.
    #[test]
    fn states_without_noise_or_without_an_end_get_a_stable_model_with_a_warning() {
        let circle = DMatrix::from_fn(500, 2, |row, column| {
            let (sin, cos) = (0.1 * row as f64).sin_cos();
            [cos, sin][column]
        });
        let mut report = FitReport::default();
        let data = TrainingData::new(DMatrix::zeros(500, 1), circle);
        let model = fit_state_model(&data, 1, StationarySource::Training, &mut report).unwrap();
        let radius = report.spectral_radius.unwrap();
        // the Yule-Walker solution of n rows turns by the angle and shrinks by (n - 1) / n
        assert!((radius - 499.0 / 500.0).abs() < 1e-4, "{radius}");
        let eigenvalue = model.transition.complex_eigenvalues()[0];
        let angle = eigenvalue.im.abs().atan2(eigenvalue.re);
        assert!((angle - 0.1).abs() < 1e-3, "{angle}");
        assert!(report.warnings[0].contains("wander"), "{:?}", report.warnings);
        let drifting = TrainingData::new(
            DMatrix::zeros(200, 1),
            DMatrix::from_fn(200, 1, |row, _| row as f64 + ((row * row) as f64).sin()),
        );
        let mut report = FitReport::default();
        fit_state_model(&drifting, 1, StationarySource::Training, &mut report).unwrap();
        assert!(report.spectral_radius.unwrap() < 1.0 && report.warnings.len() == 1);
    }
}
