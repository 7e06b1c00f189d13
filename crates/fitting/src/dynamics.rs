//! g and G of a state that moves by a network: `z_t = g(z_{t-1}) + N(0, G)` on consecutive training rows.

use nalgebra::DMatrix;

use crate::decoders::dkf_nn::{Standardization, random_stream};
use crate::tanh_network::{Pass, Shape};
use crate::windows::second_moment;
use crate::{FitError, FitReport, levenberg_marquardt};
use kalmind_filter::{Dynamics, Linearization, NonlinearDynamics, StateModel, TrainingData};

/// Units of the network; regularisation draws those to zero that the pairs do not ask for.
const HIDDEN: usize = 10;
/// Most iterations of its training.
const ITERATIONS: usize = 60;
/// At most so many pairs train it; of more, every k-th.
const PAIRS: usize = 20_000;
/// The stream of random numbers for its first weights, apart from those of f.
const STREAM: u64 = 1 << 32;

/// The network that moves the state, trained by Levenberg-Marquardt with Bayesian regularisation, and in `state` (of
/// order 1) the noise that it leaves; `None` where the state moves linearly.
///
/// As for the linear model, pairs reach across target changes but never across a gap.
pub(crate) fn fit_dynamics(
    dynamics: Dynamics,
    data: &TrainingData,
    seed: u64,
    state: &mut StateModel,
    report: &mut FitReport,
) -> Result<Option<NonlinearDynamics>, FitError> {
    let linearization = match dynamics {
        Dynamics::Linear => return Ok(None),
        Dynamics::Extended => Linearization::Extended,
        Dynamics::Unscented => Linearization::Unscented,
    };
    let later: Vec<usize> = data
        .segments()
        .into_iter()
        .flat_map(|segment| segment.start + 1..segment.end.max(segment.start + 1))
        .collect();
    let d = data.states.ncols();
    let shape = Shape { inputs: d, hidden: HIDDEN, outputs: d };
    let needed = shape.weights();
    if later.len() * d < needed {
        return Err(FitError::TooFewRows {
            what: "consecutive pairs of states for a network",
            found: later.len(),
            needed: needed.div_ceil(d),
        });
    }
    let earlier: Vec<usize> = later.iter().map(|row| row - 1).collect();
    let (past, present) = (data.states.select_rows(&earlier), data.states.select_rows(&later));
    let (input, output) = (Standardization::of(&past), Standardization::of(&present));
    let (inputs, targets) = (input.apply::<f64>(&past), output.apply::<f64>(&present));
    let kept: Vec<usize> = (0..later.len()).step_by(later.len().div_ceil(PAIRS)).collect();
    let trained = levenberg_marquardt::train(
        ITERATIONS,
        shape,
        &inputs.select_columns(&kept),
        &targets.select_columns(&kept),
        &mut random_stream(seed, STREAM),
    );
    let mut pass = Pass::new(shape, inputs.ncols());
    pass.forward(&trained.weights, &inputs);
    let residuals = DMatrix::from_fn(later.len(), d, |row, column| {
        output.deviation[column] * (targets[(column, row)] - pass.outputs[(column, row)])
    });
    // residuals of rows that trained the network are smaller than fresh ones by its effective weights
    let effective = trained.effective / d as f64;
    let fresh = (later.len() as f64 / (kept.len() as f64 - effective).max(1.0))
        * (kept.len() as f64 / later.len() as f64);
    state.process_noise = second_moment(&residuals) * fresh;
    report.uses("dynamics-hidden", HIDDEN);
    report.uses("dynamics-effective-weights", trained.effective.round());
    Ok(Some(NonlinearDynamics {
        network: input.folded(&output, shape.network(&trained.weights)),
        linearization,
    }))
}

#[cfg(test)]
mod tests {
    use rand_distr::{Distribution as _, StandardNormal};

    use super::*;
    use crate::state_model::fit_state_model;
    use kalmind_filter::StationarySource;
    use kalmind_filter::dynamics::{NetworkDynamics, StateDynamics as _};

    #[test]
    fn a_law_with_two_resting_places_is_learnt_with_its_noise() {
        let law = |z: f64| 0.6 * (z.sin() + z);
        let mut random = random_stream(5, 0);
        let mut states = DMatrix::zeros(4000, 1);
        for row in 1..4000 {
            let noise: f64 = StandardNormal.sample(&mut random);
            states[(row, 0)] = law(states[(row - 1, 0)]) + 0.8 * noise;
        }
        let data = TrainingData::new(DMatrix::zeros(4000, 1), states);
        let mut report = FitReport::default();
        let mut state = fit_state_model(&data, 1, StationarySource::Training, &mut report).unwrap();
        let linear = state.process_noise[(0, 0)];
        let fitted = fit_dynamics(Dynamics::Unscented, &data, 0, &mut state, &mut report).unwrap().unwrap();
        assert_eq!(fitted.linearization, Linearization::Unscented);
        let mut network = NetworkDynamics::new(&fitted.network);
        for step in -25_i32..=25 {
            let z = 0.1 * f64::from(step);
            let mut moved = [0.0];
            network.advance(&[z], &mut moved);
            assert!((moved[0] - law(z)).abs() < 0.2, "{z}: {} {}", moved[0], law(z));
        }
        assert!((state.process_noise[(0, 0)] / 0.64 - 1.0).abs() < 0.05, "{}", state.process_noise[(0, 0)]);
        assert!(linear > 1.02 * state.process_noise[(0, 0)], "{linear}");
    }
}
