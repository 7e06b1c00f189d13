//! `dkf-gru`'s f: the mean of recurrent networks, gated recurrent units (Cho et al. 2014) or long short-term memory
//! (Hochreiter and Schmidhuber 1997), in a discriminative Kalman filter (Burkhart et al., Neural Computation 2020,
//! leave f open).
//!
//! Model: each network steps once a bin, `h_t = cell(x_t, h_{t-1})` layer by layer, and `z_t` is linear in the last
//! layer's h (equations: [`RecurrentLayer`](kalmind_filter::RecurrentLayer)); f is the mean of `networks` networks that differ by
//! their first weights and minibatches. Inputs are standardised by the rows that f is fitted to, outputs divided by
//! their root mean square.
//!
//! Training: truncated backpropagation through time by Adam over pieces of the recording, each warmed up over the bins
//! before it, for a fixed number of epochs. Features of every row are seen, as the decoder that runs sees them; the
//! states of rows outside the fitted ones never are. The same data, options and seed give the same model on any
//! number of threads, since each network has a random stream of its own.
//!
//! Cost: 4 epochs networks rows g h (n l + h) multiplications for a layer (those above have h inputs), and five times 4/5
//! of that for held-out predictions, which half of them, at most four, make: with the default options and 5000 rows of 10
//! features some 400 s of one core. Beyond 5000 rows epochs fall as rows rise, so that it stays about the same.
//!
//! When to use: the most accurate f from some minutes of training rows on, where the past says more than a window of
//! features can; with little data or channels that come and go, a kernel is safer.

mod cell;
mod network;
mod product;
mod training;

use nalgebra::DMatrix;
use rayon::prelude::*;

use crate::FitError;
use crate::decoders::dkf_gru::network::Shape;
use crate::decoders::dkf_gru::training::{Recipe, Sequences, train};
use crate::decoders::kind::{DecoderFit, Lesson};
use crate::discriminative::discriminative;
use crate::learner::{Examples, Learner};
use crate::training_time::affordable;
use kalmind_filter::decoders::dkf_gru::regression::INPUT_LIMIT;
use kalmind_filter::{Cell, Choice, NetworkScaling, RecurrentRegressor, Regressor};

/// See the module.
pub(super) const FIT: DecoderFit = discriminative(learner, Choice::Given(false));

/// Default `networks`.
const NETWORKS: usize = 8;
/// Networks of a fit for held-out predictions, at most; half of them where there are fewer.
const HELD_OUT_NETWORKS: usize = 4;
/// Default `hidden`.
const HIDDEN: usize = 64;
/// Default `layers`.
const LAYERS: usize = 3;
/// Default `epochs`, of up to [`EPOCH_ROWS`] rows.
const EPOCHS: usize = 80;
/// Of more rows there are fewer epochs by default, so that the steps of the training stay about the same: with as many
/// passes over more rows a network learns their noise.
const EPOCH_ROWS: usize = 5000;
/// How networks learn, `epochs` and `gradient_noise` apart: the best of blocked cross-validation within the training
/// rows of the recording that the tests name, over cells, 1 to 3 layers of 48 to 128 units, 20 to 120 epochs, noise of 0.1
/// to 0.7, dropout of 0 to 0.5 and pieces of 8 to 50 bins. One network of 1, 2 and 3 layers leaves an nRMSE of 0.471,
/// 0.450 and 0.442; a cell is as good as the other; without noise on inputs one layer leaves 0.480.
const RECIPE: Recipe = Recipe {
    epochs: EPOCHS,
    length: 50,
    burn_in: 20,
    batch: 16,
    learning_rate: 4e-3,
    weight_decay: 1e-2,
    clip: 1.0,
    dropout: 0.1,
    input_noise: 0.6,
    averaging: 0.98,
    gradient_noise: 0.0,
};

/// A recurrent regression with its hyperparameters fixed.
#[derive(Clone, Debug)]
struct Recurrent {
    cell: Cell,
    hidden: usize,
    layers: usize,
    networks: usize,
    /// Of a fit for held-out predictions.
    held_out_networks: usize,
    recipe: Recipe,
    seed: u64,
}

/// The learner of `dkf-gru`.
#[expect(clippy::unnecessary_wraps, reason = "others fail")]
fn learner(lesson: Lesson<'_>) -> Result<Box<dyn Learner>, FitError> {
    let Lesson { spec, examples, rows, settings, report, .. } = lesson;
    let options = &spec.options;
    let fewer = (EPOCHS * EPOCH_ROWS).div_ceil(rows.len().max(1));
    let networks = options.networks.unwrap_or(NETWORKS);
    let mut learner = Recurrent {
        cell: options.cell.unwrap_or_default(),
        hidden: options.hidden.unwrap_or(HIDDEN),
        layers: options.layers.unwrap_or(LAYERS),
        networks,
        held_out_networks: networks.div_ceil(2).min(HELD_OUT_NETWORKS),
        recipe: Recipe {
            epochs: options.epochs.unwrap_or(EPOCHS.min(fewer)),
            gradient_noise: options.gradient_noise.unwrap_or(0.0) as f32,
            ..RECIPE
        },
        seed: settings.seed,
    };
    let one_epoch = Recurrent {
        networks: rayon::current_num_threads(),
        recipe: Recipe { epochs: 1, ..learner.recipe },
        ..learner.clone()
    };
    (learner.networks, learner.held_out_networks, learner.recipe.epochs) = affordable(
        settings.budget.as_ref(),
        (learner.networks, learner.held_out_networks),
        learner.recipe.epochs,
        report,
        || drop(one_epoch.learn(examples, rows)),
    );
    report.uses("cell", kalmind_filter::options::cell_text(learner.cell));
    report.uses("hidden", learner.hidden);
    report.uses("layers", learner.layers);
    report.uses("networks", learner.networks);
    report.uses("epochs", learner.recipe.epochs);
    Ok(Box::new(learner))
}

impl Learner for Recurrent {
    fn learn_for_held_out(&self, examples: &Examples<'_>, rows: &[usize]) -> Result<Regressor, FitError> {
        Self { networks: self.held_out_networks, ..self.clone() }.learn(examples, rows)
    }

    fn learn(&self, examples: &Examples<'_>, rows: &[usize]) -> Result<Regressor, FitError> {
        let scaling = scaling(examples, rows);
        let sequences = sequences(&scaling, examples, rows);
        let shape = Shape {
            cell: self.cell,
            inputs: sequences.inputs,
            hidden: self.hidden,
            layers: self.layers,
            outputs: sequences.outputs,
        };
        let networks = (0..self.networks as u64)
            .into_par_iter()
            .map(|stream| shape.network(&train(shape, &self.recipe, &sequences, self.seed, stream)))
            .collect();
        Ok(Regressor::Recurrent(RecurrentRegressor { cell: self.cell, scaling, networks }))
    }
}

/// What makes features and states numbers of size one.
fn scaling(examples: &Examples<'_>, rows: &[usize]) -> NetworkScaling {
    let (mut input_mean, mut input_scale) = (Vec::new(), Vec::new());
    for column in examples.inputs(rows).column_iter() {
        let mean = column.mean();
        let spread = column.variance().sqrt();
        // a feature that never moves, or that overflows, says nothing
        let usable = mean.is_finite() && spread.is_finite() && spread > 1e-12 * mean.abs();
        input_mean.push(if usable { mean } else { 0.0 });
        input_scale.push(if usable { 1.0 / spread } else { 0.0 });
    }
    let size = |column: nalgebra::DVectorView<'_, f64>| {
        let size = (column.norm_squared() / column.len() as f64).sqrt();
        if size.is_finite() && size > 0.0 { size } else { 1.0 }
    };
    let output_scale = examples.states(rows).column_iter().map(size).collect();
    NetworkScaling { input_mean, input_scale, output_scale }
}

/// All rows, scaled; `rows` are those that count.
fn sequences(scaling: &NetworkScaling, examples: &Examples<'_>, rows: &[usize]) -> Sequences {
    let data = examples.data;
    let all: Vec<usize> = (0..data.rows()).collect();
    let inputs: DMatrix<f64> = examples.inputs(&all);
    let mut features = Vec::with_capacity(inputs.len());
    let mut targets = Vec::with_capacity(data.states.len());
    for row in all {
        for (column, (mean, scale)) in scaling.input_mean.iter().zip(&scaling.input_scale).enumerate() {
            let value = (inputs[(row, column)] - mean) * scale;
            features.push(value.clamp(-INPUT_LIMIT, INPUT_LIMIT) as f32);
        }
        for (column, scale) in scaling.output_scale.iter().enumerate() {
            targets.push((data.states[(row, column)] / scale) as f32);
        }
    }
    let mut counts = vec![false; data.rows()];
    for &row in rows {
        counts[row] = true;
    }
    Sequences {
        inputs: scaling.input_mean.len(),
        outputs: scaling.output_scale.len(),
        features,
        targets,
        counts,
        segments: data.segments(),
    }
}

#[cfg(test)]
mod tests {
    use rand::{RngExt as _, SeedableRng as _};

    use super::*;
    use crate::learner::predict;
    use crate::{FitReport, FitSettings};
    use kalmind_filter::{DecoderName, DecoderSpec, TrainingData};

    /// Features of noise, and a state that sums up their past: `z_t = 0.7 z_{t-1} + x_t1`.
    fn leaky_sums(rows: usize, features: usize) -> TrainingData {
        let mut random = rand_chacha::ChaCha8Rng::seed_from_u64(5);
        let features = DMatrix::from_fn(rows, features, |_, _| random.random_range(-1.0..1.0));
        let mut states = DMatrix::zeros(rows, 1);
        for row in 1..rows {
            states[(row, 0)] = 0.7 * states[(row - 1, 0)] + features[(row, 0)];
        }
        TrainingData::new(features, states)
    }

    fn fitted(text: &str, data: &TrainingData, seed: u64, rows: &[usize]) -> Regressor {
        let spec: DecoderSpec = text.parse().unwrap();
        let background = crate::windows::column_means(&data.features);
        let lags = spec.options.lags.and_then(Choice::given).unwrap_or(1);
        let examples = Examples { data, background: &background, lags };
        let settings = FitSettings { seed, ..FitSettings::default() };
        let learner = learner(Lesson {
            spec: &spec,
            examples: &examples,
            rows,
            settings: &settings,
            report: &mut FitReport::default(),
            progress: &mut |_| (),
        })
        .unwrap();
        learner.learn(&examples, rows).unwrap()
    }

    fn error(regressor: &Regressor, data: &TrainingData, rows: &[usize]) -> f64 {
        let background = crate::windows::column_means(&data.features);
        let examples = Examples { data, background: &background, lags: 1 };
        let states = examples.states(rows);
        (predict(regressor, &examples, rows) - &states).norm() / states.norm()
    }

    #[test]
    fn both_cells_learn_a_state_that_sums_up_the_past() {
        let data = leaky_sums(1500, 2);
        let (train, test): (Vec<usize>, Vec<usize>) = ((0..1000).collect(), (1000..1500).collect());
        for text in
            ["dkf-gru:hidden=16,networks=1,layers=1", "dkf-gru:hidden=16,networks=1,layers=1,cell=lstm"]
        {
            // a function of the newest bin alone leaves 0.7; the noise on inputs costs some of the rest
            let error = error(&fitted(text, &data, 1, &train), &data, &test);
            assert!(error < 0.4, "{text}: {error}");
        }
    }

    #[test]
    fn the_same_seed_gives_the_same_networks_on_any_number_of_threads() {
        let data = leaky_sums(200, 3);
        let rows: Vec<usize> = (0..200).collect();
        let text = "dkf-gru:hidden=5,networks=3,layers=2,epochs=3,gradient-noise=0.01";
        let on_threads = |threads: usize, seed: u64| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| fitted(text, &data, seed, &rows))
        };
        assert_eq!(on_threads(1, 7), on_threads(3, 7));
        assert_ne!(on_threads(1, 7), on_threads(1, 8));
        let Regressor::Recurrent(RecurrentRegressor { networks, .. }) = on_threads(1, 7) else { panic!() };
        assert_ne!(networks[0], networks[1]);
    }

    #[test]
    fn states_of_rows_outside_the_fitted_ones_are_never_looked_at() {
        let data = leaky_sums(300, 2);
        let rows: Vec<usize> = (0..100).chain(180..300).collect();
        let mut other = data.clone();
        for row in 100..180 {
            other.states[(row, 0)] = 1e6;
        }
        let text = "dkf-gru:hidden=4,networks=1,epochs=3";
        assert_eq!(fitted(text, &data, 1, &rows), fitted(text, &other, 1, &rows));
    }

    #[test]
    fn nothing_is_remembered_across_a_gap() {
        let rows: Vec<usize> = (60..120).collect();
        let data = TrainingData { segment_starts: vec![60], ..leaky_sums(120, 2) };
        let mut other = data.clone();
        for row in 0..60 {
            other.features[(row, 1)] = 9.0;
        }
        let text = "dkf-gru:hidden=4,networks=1,epochs=3";
        let regressor = fitted(text, &data, 1, &rows);
        assert_eq!(regressor, fitted(text, &other, 1, &rows));
        assert!((error(&regressor, &data, &rows) - error(&regressor, &other, &rows)).abs() < 1e-12);
    }

    #[test]
    fn awkward_features_are_learnt_from_all_the_same() {
        let mut data = leaky_sums(60, 30);
        data.features.column_mut(1).fill(5.0);
        let first = data.features.column(0).into_owned();
        data.features.column_mut(2).copy_from(&first);
        data.features[(7, 3)] = 1e300;
        let rows: Vec<usize> = (0..60).step_by(2).collect();
        for text in
            ["dkf-gru:hidden=3,networks=2,epochs=2", "dkf-gru:hidden=1,layers=4,cell=lstm,epochs=2,lags=3"]
        {
            let Regressor::Recurrent(RecurrentRegressor { networks, scaling, .. }) =
                fitted(text, &data, 1, &rows)
            else {
                panic!()
            };
            let NetworkScaling { input_mean, input_scale, .. } = scaling;
            assert!(input_mean.iter().chain(&input_scale).all(|value| value.is_finite()));
            assert_eq!(input_scale[1].to_bits(), 0);
            for network in &networks {
                assert!(network.output_weights.iter().all(|value| value.is_finite()));
            }
        }
        assert!(DecoderName::ALL.contains(&DecoderName::DkfGru));
    }
}
