//! The robustness protocol: one channel disturbed through the whole test, the angle's error against that of the same
//! decoder without disturbance (Brandman, Burkhart et al. 2018, sec. 2.4).

use kalmind_filter::{Decoder, DecoderSpec, Model, TrainingData};
use kalmind_fitting::accuracy::maae;
use kalmind_fitting::{FitSettings, fit};
use kalmind_types::Intent;
use nalgebra::DMatrix;
use rand::SeedableRng as _;
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution as _, StandardNormal};

/// Training and test rows.
#[derive(Debug)]
pub(crate) struct Recording {
    pub(crate) train: TrainingData,
    pub(crate) test: TrainingData,
    pub(crate) bin_ms: f64,
}

/// What happens to a channel.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Disturbance {
    /// So many training standard deviations are added, from the first row to the last.
    Offset(f64),
    /// The channel gives zero.
    Dead,
    /// Noise of so many training standard deviations is added in the second quarter of the rows.
    Burst(f64),
    /// The offset is there in the second quarter of the rows alone.
    Passing(f64),
}

/// Relative losses over channels.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Losses {
    /// Mean over the ten channels of highest signal-to-noise ratio.
    pub(crate) mean: f64,
    /// The channel of the highest.
    pub(crate) best_channel: f64,
    /// The largest loss of the ten.
    pub(crate) worst: f64,
}

impl Recording {
    /// The first `train` rows train, the rest test.
    pub(crate) fn split(data: &TrainingData, train: usize, bin_ms: f64) -> Self {
        let rows = |first: usize, count: usize| {
            TrainingData::new(
                data.features.rows(first, count).into_owned(),
                data.states.rows(first, count).into_owned(),
            )
        };
        Self { train: rows(0, train), test: rows(train, data.rows() - train), bin_ms }
    }

    pub(crate) fn fitted(&self, spec: &str) -> Model {
        let spec: DecoderSpec = spec.parse().unwrap();
        let data = &self.train;
        let fitted = fit(&spec, data, &FitSettings::default(), &mut |_progress| ()).unwrap();
        Model {
            bin_ms: self.bin_ms,
            guard: Some(fitted.guard),
            click: None,
            ..Model::plain(
                spec,
                data.features.row_mean().iter().copied().collect(),
                data.states.ncols(),
                fitted.parameters,
            )
        }
    }

    /// The channels, that of the highest signal-to-noise ratio first: `R^2 / (1 - R^2)` of the linear regression of a
    /// channel on the intent over the training rows, which falls as R^2 does.
    pub(crate) fn channels_by_signal(&self) -> Vec<usize> {
        let rows = self.train.rows();
        let design =
            DMatrix::from_fn(
                rows,
                3,
                |row, column| if column < 2 { self.train.states[(row, column)] } else { 1.0 },
            );
        let inverse = (design.transpose() * &design).try_inverse().unwrap();
        let mut shares: Vec<(usize, f64)> = (0..self.train.features.ncols())
            .map(|channel| {
                let column = self.train.features.column(channel);
                let fitted = &design * (&inverse * design.tr_mul(&column));
                let rest = (column - fitted).norm_squared();
                let mean = column.mean();
                let spread: f64 = column.iter().map(|value| (value - mean) * (value - mean)).sum();
                (channel, if spread > 0.0 { 1.0 - rest / spread } else { 0.0 })
            })
            .collect();
        shares.sort_by(|left, right| right.1.total_cmp(&left.1));
        shares.into_iter().map(|(channel, _)| channel).collect()
    }

    fn deviation(&self, channel: usize) -> f64 {
        self.train.features.column(channel).variance().sqrt()
    }

    /// Test features with a disturbance of one channel.
    pub(crate) fn disturbed(&self, channel: usize, disturbance: Disturbance) -> DMatrix<f64> {
        let mut features = self.test.features.clone();
        let rows = features.nrows();
        let deviation = self.deviation(channel);
        let mut random = ChaCha8Rng::seed_from_u64(channel as u64);
        for row in 0..rows {
            let value = &mut features[(row, channel)];
            let in_part = (rows / 4..rows / 2).contains(&row);
            let noise: f64 = StandardNormal.sample(&mut random);
            match disturbance {
                Disturbance::Offset(size) => *value += size * deviation,
                Disturbance::Dead => *value = 0.0,
                Disturbance::Burst(size) if in_part => *value += size * deviation * noise,
                Disturbance::Passing(size) if in_part => *value += size * deviation,
                Disturbance::Burst(_) | Disturbance::Passing(_) => {}
            }
        }
        features
    }

    /// The angle's mean error on `features`, and in how many channels and rows the guard stepped in.
    pub(crate) fn angle(&self, decoder: &mut dyn Decoder, features: &DMatrix<f64>) -> (f64, usize) {
        decoder.restart();
        let mut guarded = 0;
        let intents: Vec<Intent> = features
            .row_iter()
            .map(|row| {
                let mut intent = Intent::zero(self.test.states.ncols());
                let values: Vec<f64> = row.iter().copied().collect();
                guarded += usize::from(decoder.step(Some(&values), &mut intent).guarded_channels);
                intent
            })
            .collect();
        (maae(&self.test.states, &intents).mean, guarded)
    }

    /// How much a disturbance of one channel at a time costs.
    pub(crate) fn losses(&self, decoder: &mut dyn Decoder, disturbance: Disturbance) -> Losses {
        let (clean, _) = self.angle(decoder, &self.test.features);
        let losses: Vec<f64> = self
            .channels_by_signal()
            .into_iter()
            .take(10)
            .map(|channel| self.angle(decoder, &self.disturbed(channel, disturbance)).0 / clean - 1.0)
            .collect();
        Losses {
            mean: losses.iter().sum::<f64>() / losses.len() as f64,
            best_channel: losses[0],
            worst: losses.iter().copied().fold(f64::NEG_INFINITY, f64::max),
        }
    }
}
