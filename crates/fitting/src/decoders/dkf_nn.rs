//! Ensembles of tanh networks: the f of `dkf-nn`, the mean of `networks` (default 5) with `hidden` units each.
//!
//! Inputs and intents are standardised by the rows of the fit. By default each network is trained by Adam for at most
//! `epochs` (60) with 64 units, noise on its inputs and weight decay, and stopped by a contiguous eighth of the rows,
//! another for each network; `optimizer=levenberg-marquardt` is the thesis's recipe (2019), 8 units and at most 40
//! iterations on all rows. Annealed noise on gradients (`gradient-noise`, Neelakantan et al. 2015) is off: on held-out
//! rows of the recording of the tests 0.01 changed nothing and 0.1 hurt.
//!
//! Worth taking over several `lags`, where f bends and minutes of training data are at hand: fast to train and, unlike
//! kernels over all points, no slower at work with more rows. Few rows leave little for training beside the eighth that
//! stops it; there Levenberg-Marquardt, which holds none out, is the one to try. Cost of a fit: 6 h (n l + d)
//! multiplications a row, epoch and network, six times over with cross-fitting; with Levenberg-Marquardt `d P^2` a row
//! and iteration for P weights, so that it suits few lags.

use core::ops::Range;

use nalgebra::DMatrix;
use rand::SeedableRng as _;
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;

use crate::adam::{self, Adam};
use crate::decoders::kind::{DecoderFit, Lesson};
use crate::discriminative::discriminative;
use crate::learner::{Examples, Learner};
use crate::tanh_network::{Number, Shape};
use crate::training_time::affordable;
use crate::{FitError, FitProgress, levenberg_marquardt};
use kalmind_filter::{Choice, NetworkScaling, NetworksRegressor, Optimizer, Regressor, TanhNetwork};

/// See the module.
pub(super) const FIT: DecoderFit = discriminative(learner, Choice::Given(false));

/// Default `networks`.
const NETWORKS: usize = 5;
/// Default `hidden`.
const HIDDEN: usize = 64;
/// Default `epochs`.
const EPOCHS: usize = 60;
/// How networks learn. By blocked cross-validation within the training rows of the recording that the tests name, five
/// lags: within 0.003 in the error of the best of some 25 settings (rates of 1e-3 to 2e-2, decays of 0.01 to 0.5, noise
/// of 0 to 0.7, 32 to 128 units, 10 to 80 epochs).
const ADAM: Adam = Adam {
    epochs: EPOCHS,
    batch: 64,
    rate: 2e-2,
    weight_decay: 0.1,
    input_noise: 0.5,
    gradient_noise: 0.0,
    patience: 15,
};
/// Default `hidden` with Levenberg-Marquardt.
const MARQUARDT_HIDDEN: usize = 8;
/// Default `epochs` with Levenberg-Marquardt: iterations.
const MARQUARDT_ITERATIONS: usize = 40;
/// One part in so many of the rows stops a network's training.
const HELD_PART: usize = 8;

/// `dkf-nn`'s f.
#[derive(Debug)]
struct Networks {
    hidden: usize,
    count: usize,
    seed: u64,
    training: Training,
}

/// An optimizer with its settings.
#[derive(Clone, Copy, Debug)]
enum Training {
    Adam(Adam),
    LevenbergMarquardt { iterations: usize },
}

/// The learner of `dkf-nn`.
fn learner(lesson: Lesson<'_>) -> Result<Box<dyn Learner>, FitError> {
    let Lesson { spec, examples, rows, settings, report, progress } = lesson;
    let options = &spec.options;
    let optimizer = options.optimizer.unwrap_or_default();
    let (hidden, training) = match optimizer {
        Optimizer::Adam => {
            let adam = Adam {
                epochs: options.epochs.unwrap_or(EPOCHS),
                gradient_noise: options.gradient_noise.unwrap_or(0.0),
                ..ADAM
            };
            (options.hidden.unwrap_or(HIDDEN), Training::Adam(adam))
        }
        Optimizer::LevenbergMarquardt => {
            let hidden = options.hidden.unwrap_or(MARQUARDT_HIDDEN);
            let inputs = examples.data.features.ncols() * examples.lags;
            let weights = Shape { inputs, hidden, outputs: examples.data.states.ncols() }.weights();
            if weights > levenberg_marquardt::MOST_WEIGHTS {
                return Err(FitError::TooManyWeights { weights, most: levenberg_marquardt::MOST_WEIGHTS });
            }
            let iterations = options.epochs.unwrap_or(MARQUARDT_ITERATIONS);
            (hidden, Training::LevenbergMarquardt { iterations })
        }
    };
    let count = options.networks.unwrap_or(NETWORKS);
    let with_epochs = |epochs: usize| match training {
        Training::Adam(adam) => Training::Adam(Adam { epochs, ..adam }),
        Training::LevenbergMarquardt { .. } => Training::LevenbergMarquardt { iterations: epochs },
    };
    let epochs = match training {
        Training::Adam(adam) => adam.epochs,
        Training::LevenbergMarquardt { iterations } => iterations,
    };
    let threads = rayon::current_num_threads();
    let one_epoch = Networks { hidden, count: threads, seed: settings.seed, training: with_epochs(1) };
    let (count, _, epochs) = affordable(settings.budget.as_ref(), (count, count), epochs, report, || {
        drop(one_epoch.learn(examples, rows));
    });
    let training = with_epochs(epochs);
    progress(FitProgress::new("networks", 0.1));
    report.uses("hidden", hidden);
    report.uses("networks", count);
    Ok(Box::new(Networks { hidden, count, seed: settings.seed, training }))
}

impl Learner for Networks {
    fn learn(&self, examples: &Examples<'_>, rows: &[usize]) -> Result<Regressor, FitError> {
        let (windows, states) = (examples.inputs(rows), examples.states(rows));
        let (input, output) = (Standardization::of(&windows), Standardization::of(&states));
        let shape = Shape { inputs: windows.ncols(), hidden: self.hidden, outputs: states.ncols() };
        let networks: Vec<TanhNetwork> = match self.training {
            Training::Adam(adam) => {
                let (inputs, targets) = (input.apply::<f32>(&windows), output.apply::<f32>(&states));
                self.each(|network, random| {
                    let held = held_block(network, rows.len());
                    shape.network(&adam::train(&adam, shape, &inputs, &targets, &held, random).0)
                })
            }
            Training::LevenbergMarquardt { iterations } => {
                let (inputs, targets) = (input.apply::<f64>(&windows), output.apply::<f64>(&states));
                self.each(|_network, random| {
                    let trained = levenberg_marquardt::train(iterations, shape, &inputs, &targets, random);
                    shape.network(&trained.weights)
                })
            }
        };
        Ok(Regressor::Networks(NetworksRegressor {
            scaling: NetworkScaling {
                input_mean: input.mean.clone(),
                input_scale: input.scale.clone(),
                output_scale: output.deviation.clone(),
            },
            networks: networks.into_iter().map(|network| output.shifted(network)).collect(),
        }))
    }
}

impl Networks {
    /// Every network of the ensemble, on all cores, each with random numbers of its own.
    fn each(&self, train: impl Fn(usize, &mut ChaCha8Rng) -> TanhNetwork + Sync) -> Vec<TanhNetwork> {
        (0..self.count)
            .into_par_iter()
            .map(|network| train(network, &mut random_stream(self.seed, network as u64)))
            .collect()
    }
}

/// Random numbers of their own for everything that is trained apart.
pub(crate) fn random_stream(seed: u64, stream: u64) -> ChaCha8Rng {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    random.set_stream(stream);
    random
}

/// The contiguous examples that stop the training of a network of an ensemble: another block for each.
pub(crate) fn held_block(network: usize, examples: usize) -> Range<usize> {
    // by threes around the ring of blocks, so that few networks reach far apart
    let block = (HELD_PART - 1 + 3 * network) % HELD_PART;
    block * examples / HELD_PART..(block + 1) * examples / HELD_PART
}

/// Columns as numbers of mean zero and variance one; a column that never moves is zero.
#[derive(Clone, Debug)]
pub(crate) struct Standardization {
    pub(crate) mean: Vec<f64>,
    /// One over the standard deviation; zero for a column that never moves.
    pub(crate) scale: Vec<f64>,
    pub(crate) deviation: Vec<f64>,
}

impl Standardization {
    /// Of the columns of a matrix of at least one row.
    pub(crate) fn of(rows: &DMatrix<f64>) -> Self {
        let mean = crate::windows::column_means(rows);
        let deviation: Vec<f64> = rows
            .column_iter()
            .zip(&mean)
            .map(|(column, mean)| {
                let variance = column.iter().map(|value| (value - mean) * (value - mean)).sum::<f64>()
                    / rows.nrows() as f64;
                if variance.sqrt() > 1e-12 * mean.abs() { variance.sqrt() } else { 0.0 }
            })
            .collect();
        let scale = deviation.iter().map(|deviation| if *deviation > 0.0 { deviation.recip() } else { 0.0 });
        Self { scale: scale.collect(), mean, deviation }
    }

    /// Standardised rows of `rows` as columns.
    pub(crate) fn apply<T: Number>(&self, rows: &DMatrix<f64>) -> DMatrix<T> {
        DMatrix::from_fn(rows.ncols(), rows.nrows(), |column, row| {
            T::of((rows[(row, column)] - self.mean[column]) * self.scale[column])
        })
    }

    /// A network that was trained to inputs of this and targets of `output`'s standardisation, for both as they stand.
    pub(crate) fn folded(&self, output: &Self, mut network: TanhNetwork) -> TanhNetwork {
        for (mut column, (scale, mean)) in
            network.hidden_weights.column_iter_mut().zip(self.scale.iter().zip(&self.mean))
        {
            column *= *scale;
            network.hidden_bias.axpy(-mean, &column, 1.0);
        }
        for (mut row, deviation) in network.output_weights.row_iter_mut().zip(&output.deviation) {
            row *= *deviation;
        }
        for (bias, (mean, deviation)) in
            network.output_bias.iter_mut().zip(output.mean.iter().zip(&output.deviation))
        {
            *bias = mean + deviation * *bias;
        }
        network
    }

    /// A network that was trained to standardised targets, its outputs shifted so that they only need the deviation.
    pub(crate) fn shifted(&self, mut network: TanhNetwork) -> TanhNetwork {
        for (bias, (mean, scale)) in network.output_bias.iter_mut().zip(self.mean.iter().zip(&self.scale)) {
            *bias += mean * scale;
        }
        network
    }
}
