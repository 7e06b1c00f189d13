//! Data as other people record them: synthetic, seeded, with the answer that a textbook gives.

use kalmind_filter::{DecoderName, DecoderSpec, Model, TaskSample, TrainingData};
use kalmind_fitting::{Budget, FitError, FitSettings, fit};
use kalmind_types::{Intent, Position};
use nalgebra::{DMatrix, DVector};
use rand::SeedableRng as _;
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution as _, Poisson, StandardNormal};

/// Rows to fit to and, after them, to decode.
#[derive(Clone, Debug)]
pub(crate) struct Rows {
    pub(crate) features: DMatrix<f64>,
    pub(crate) states: DMatrix<f64>,
    pub(crate) training: usize,
}

/// What features are like.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Noise {
    /// Linear in the states with this standard deviation about that, where a feature's own is about 1.4.
    Gaussian(f64),
    /// Poisson counts of a rate that is linear in the states.
    Counts,
}

/// A two-component autoregression `z_t = a z_{t-1} + N(0, 1 - a^2)`, and features of it.
pub(crate) fn linear(training: usize, channels: usize, a: f64, noise: Noise, seed: u64) -> Rows {
    let rows = training + 300;
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let tuning: Vec<[f64; 2]> = (0..channels).map(|_| [normal(&mut random), normal(&mut random)]).collect();
    let mut states = DMatrix::zeros(rows, 2);
    let mut features = DMatrix::zeros(rows, channels);
    for row in 0..rows {
        for column in 0..2 {
            let before = if row > 0 { states[(row - 1, column)] } else { 0.0 };
            states[(row, column)] = a * before + (1.0 - a * a).sqrt() * normal(&mut random);
        }
        for (channel, tuning) in tuning.iter().enumerate() {
            let mean = tuning[0] * states[(row, 0)] + tuning[1] * states[(row, 1)];
            features[(row, channel)] = match noise {
                Noise::Gaussian(deviation) => mean + deviation * normal(&mut random),
                Noise::Counts => Poisson::new((4.0 + mean).max(0.05)).unwrap().sample(&mut random),
            };
        }
    }
    Rows { features, states, training }
}

pub(crate) fn normal(random: &mut ChaCha8Rng) -> f64 {
    StandardNormal.sample(random)
}

impl Rows {
    /// Every column j times `factors[j]` plus `offsets[j]` (both go round).
    pub(crate) fn features_in(&self, factors: &[f64], offsets: &[f64]) -> Self {
        Self { features: affine(&self.features, factors, offsets), ..self.clone() }
    }

    /// The same for the states.
    pub(crate) fn states_in(&self, factors: &[f64], offsets: &[f64]) -> Self {
        Self { states: affine(&self.states, factors, offsets), ..self.clone() }
    }

    /// Columns of features put beside those there are.
    pub(crate) fn and(&self, columns: &[DVector<f64>]) -> Self {
        let mut features = self.features.clone();
        for column in columns {
            let at = features.ncols();
            features = features.insert_column(at, 0.0);
            features.set_column(at, column);
        }
        Self { features, ..self.clone() }
    }

    /// With a task whose targets lie where the states point, so that turning intentions toward them changes nothing.
    fn training_data(&self) -> TrainingData {
        let states = self.states.rows(0, self.training).into_owned();
        let task = states.row_iter().map(|state| {
            let (x, y) = (state[0], state[1]);
            let length = x.hypot(y).max(f64::MIN_POSITIVE);
            let target = Some(Position([0.5 + 0.3 * x / length, 0.5 + 0.3 * y / length]));
            TaskSample { trial: 0, target, cursor: Position([0.5, 0.5]), hold: false }
        });
        TrainingData {
            task: Some(task.collect()),
            ..TrainingData::new(self.features.rows(0, self.training).into_owned(), states.clone())
        }
    }

    /// A decoder fitted to the training rows, `auto` with its first candidate only; `labels` says whether the states were
    /// made from targets.
    pub(crate) fn model(&self, spec: &str, labels: bool) -> Result<Model, FitError> {
        let spec: DecoderSpec = spec.parse().unwrap();
        let data = self.training_data();
        let used_up = Budget { end: 0.0, clock: || 0.0 };
        let budget = (spec.decoder == DecoderName::Auto).then_some(used_up);
        let settings = FitSettings { budget, labels, ..FitSettings::default() };
        let fitted = fit(&spec, &data, &settings, &mut |_progress| ())?;
        Ok(Model {
            guard: Some(fitted.guard),
            click: None,
            ..Model::plain(
                spec,
                data.features.row_mean().iter().copied().collect(),
                self.states.ncols(),
                fitted.parameters,
            )
        })
    }

    /// Fits a decoder and decodes the rows after the training rows, from a cold start.
    pub(crate) fn decoded(&self, spec: &str) -> Result<DMatrix<f64>, FitError> {
        let mut decoder = self.model(spec, false)?.decoder().unwrap();
        let mut intent = Intent::zero(self.states.ncols());
        let mut decoded = DMatrix::zeros(self.features.nrows() - self.training, self.states.ncols());
        for (at, mut row) in decoded.row_iter_mut().enumerate() {
            let features: Vec<f64> = self.features.row(self.training + at).iter().copied().collect();
            let report = decoder.step(Some(&features), &mut intent);
            assert!(report.valid, "{spec}: row {at} has no intent");
            row.copy_from_slice(intent.mean());
        }
        Ok(decoded)
    }

    fn truth(&self) -> DMatrix<f64> {
        self.states.rows(self.training, self.states.nrows() - self.training).into_owned()
    }

    /// Root of the squared error over the squares about the training mean, each component in its own deviation: 1 for saying
    /// the mean always.
    pub(crate) fn error(&self, decoded: &DMatrix<f64>) -> f64 {
        let truth = self.truth();
        let training = self.states.rows(0, self.training);
        let (mut squared, mut power) = (0.0, 0.0);
        for column in 0..truth.ncols() {
            let (mean, variance) = (training.column(column).mean(), training.column(column).variance());
            squared += (decoded.column(column) - truth.column(column)).norm_squared() / variance;
            power += truth.column(column).add_scalar(-mean).norm_squared() / variance;
        }
        (squared / power).sqrt()
    }

    /// The error of the least-squares regression of states on features, both about their means, by singular values: what one
    /// bin says.
    pub(crate) fn regression_error(&self) -> f64 {
        let inputs = self.features.rows(0, self.training).into_owned();
        let states = self.states.rows(0, self.training).into_owned();
        let (centre, mean) = (inputs.row_mean(), states.row_mean());
        // in units of their own, so that units make no difference to what counts as rank
        let sizes: Vec<f64> = inputs.column_iter().map(|column| column.variance().sqrt()).collect();
        let unit = |features: DMatrix<f64>| {
            DMatrix::from_fn(features.nrows(), features.ncols(), |row, column| {
                let moves = sizes[column] > 1e-12 * centre[column].abs();
                if moves { (features[(row, column)] - centre[column]) / sizes[column] } else { 0.0 }
            })
        };
        let less_mean = DMatrix::from_fn(states.nrows(), states.ncols(), |row, column| {
            states[(row, column)] - mean[column]
        });
        let weights = unit(inputs).svd(true, true).solve(&less_mean, 1e-8).unwrap();
        let rest = self.features.rows(self.training, self.features.nrows() - self.training).into_owned();
        let mut decoded = unit(rest) * weights;
        for mut row in decoded.row_iter_mut() {
            row += &mean;
        }
        self.error(&decoded)
    }
}

fn affine(matrix: &DMatrix<f64>, factors: &[f64], offsets: &[f64]) -> DMatrix<f64> {
    DMatrix::from_fn(matrix.nrows(), matrix.ncols(), |row, column| {
        matrix[(row, column)] * factors[column % factors.len()] + offsets[column % offsets.len()]
    })
}

/// Root mean square of `left - right`, in standard deviations of `right`, of the worst column.
pub(crate) fn difference(left: &DMatrix<f64>, right: &DMatrix<f64>) -> f64 {
    left.column_iter()
        .zip(right.column_iter())
        .map(|(left, right)| ((left - right).norm_squared() / right.len() as f64 / right.variance()).sqrt())
        .fold(0.0, f64::max)
}

/// `factor * decoded + offset`.
pub(crate) fn mapped(decoded: &DMatrix<f64>, factors: &[f64], offsets: &[f64]) -> DMatrix<f64> {
    affine(decoded, factors, offsets)
}
