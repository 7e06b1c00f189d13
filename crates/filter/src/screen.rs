//! What stands between prepared features and a decoder: the guard that corrects channels, and the monitor that tells when
//! the array no longer looks like training.

use kalmind_types::FeatureSet;
use nalgebra::DMatrix;

use crate::checked::usable;
use crate::factors::Factors;
use crate::guard::Guard;
use crate::plausibility::Plausibility;
use crate::{ChannelCondition, GuardStatistics, Implausible, PlausibilityStatistics, ZScore};

/// Features as a decoder should see them, and what was found on the way.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Screened<'a> {
    /// One value a feature.
    pub features: &'a [f64],
    /// How many of them the guard corrected or masked.
    pub guarded: u16,
    /// Those that do not look as they did in training.
    pub suspects: &'a FeatureSet,
    /// Those of them whose value in this bin says nothing of the intent. Others were corrected.
    pub lost: &'a FeatureSet,
    /// How the array as a whole differs from training; nothing can be decoded from it then.
    pub implausible: Option<Implausible>,
}

/// What a monitor may be able to tell: channels that stand still, values out of range, another variance, channels that no
/// longer belong together.
pub const CHECKS: [&str; 4] = ["constant", "range", "variance", "pattern"];

/// Training range of z-scored features of which it is not known, in standard deviations.
const ASSUMED_RANGE: f64 = 6.0;

/// Guard and plausibility monitor, each where it is wanted and the model has the statistics for it. Belongs to the tick;
/// allocates at construction only.
#[derive(Debug)]
pub struct Screen {
    guard: Option<Guard>,
    monitor: Option<Monitor>,
    /// What the decoder sees.
    features: Vec<f64>,
    background: Vec<f64>,
    suspects: FeatureSet,
    lost: FeatureSet,
    /// What the guard hides or the monitor found.
    hidden: FeatureSet,
    /// What the monitor found.
    found: FeatureSet,
}

/// The monitor with what it needs to standardise features.
#[derive(Debug)]
struct Monitor {
    plausibility: Plausibility,
    checks: &'static [&'static str],
    mean: Vec<f64>,
    scale: Vec<f64>,
    values: Vec<f64>,
    factors: Factors,
}

impl Screen {
    /// One that lets everything through; `background` is what a channel that says nothing is replaced by, as the decoder
    /// sees it: the training means.
    #[must_use]
    pub fn open(background: Vec<f64>) -> Self {
        let n = background.len();
        let [suspects, lost, hidden, found] = core::array::from_fn(|_| FeatureSet::none_of(n));
        let features = vec![0.0; n];
        Self { guard: None, monitor: None, features, background, suspects, lost, hidden, found }
    }

    /// With a guard where `guard` says so, and with a monitor where the statistics have what it needs.
    #[must_use]
    pub fn new(statistics: &GuardStatistics, guard: bool, background: Vec<f64>) -> Self {
        Self {
            guard: guard.then(|| Guard::new(statistics)),
            monitor: Monitor::new(statistics),
            ..Self::open(background)
        }
    }

    /// With a monitor that knows the raw training means alone, or the z-score beside them.
    #[must_use]
    pub fn assumed(training_mean: &[f64], zscore: Option<&ZScore>, background: Vec<f64>) -> Self {
        let deviation = zscore.map(|zscore| zscore.standard_deviation.as_slice());
        let statistics = PlausibilityStatistics::assumed(training_mean, deviation);
        let n = background.len();
        // z-scored features have a deviation of one; raw ones are measured as Poisson counts
        let raw = |mean: &f64| 1.0 / mean.abs().max(1e-3).sqrt();
        let scale: Vec<f64> =
            training_mean.iter().map(|mean| if zscore.is_some() { 1.0 } else { raw(mean) }).collect();
        let range = if zscore.is_some() { ASSUMED_RANGE } else { f64::from(u32::MAX) };
        let moves: Vec<bool> =
            (0..n).map(|channel| deviation.is_none_or(|deviation| deviation[channel] > 0.0)).collect();
        let monitor = Monitor {
            plausibility: Plausibility::new(&statistics, &vec![-range; n], &vec![range; n], &moves),
            checks: if zscore.is_some() { &CHECKS[..3] } else { &CHECKS[..1] },
            mean: background.clone(),
            scale,
            values: vec![0.0; n],
            factors: Factors::new(&DMatrix::zeros(n, 0), &vec![1.0; n]),
        };
        Self { monitor: Some(monitor), ..Self::open(background) }
    }

    /// The same with a guard.
    #[must_use]
    pub(crate) fn guarded(self, statistics: &GuardStatistics) -> Self {
        Self { guard: Some(Guard::new(statistics)), ..self }
    }

    /// What the monitor can tell, by the statistics that it has: the first so many of [`CHECKS`].
    #[must_use]
    pub fn checks(&self) -> &'static [&'static str] {
        self.monitor.as_ref().map_or(&[], |monitor| monitor.checks)
    }

    /// Forgets the past.
    pub fn restart(&mut self) {
        if let Some(guard) = &mut self.guard {
            guard.restart();
        }
        if let Some(monitor) = &mut self.monitor {
            monitor.plausibility.restart();
        }
    }

    /// What the guard takes each channel for; empty without one.
    #[must_use]
    pub fn conditions(&self) -> &[ChannelCondition] {
        self.guard.as_ref().map_or(&[], Guard::conditions)
    }

    /// The features of the newest bin, as [`Self::screen`] gave them.
    #[must_use]
    pub fn features(&self) -> &[f64] {
        &self.features
    }

    /// Features whose values of the newest bin, as [`Self::screen`] saw them, are no values of the signal: of channels that are
    /// dead or noise, or whose offset is not known yet.
    #[must_use]
    pub fn hidden(&self) -> &FeatureSet {
        &self.hidden
    }

    /// Screens the features of a bin, of which `missing` hold their training means; `watched` says whether the monitor
    /// takes part. Real-time.
    pub fn screen(&mut self, features: &[f64], missing: &FeatureSet, watched: bool) -> Screened<'_> {
        let Self { guard, monitor, features: cleaned, background, suspects, lost, hidden, found } = self;
        suspects.clear();
        lost.clear();
        cleaned.copy_from_slice(features);
        if let Some(guard) = guard
            && let Some(corrected) = guard.clean(features)
        {
            cleaned.copy_from_slice(corrected);
            for (channel, condition) in guard.conditions().iter().enumerate() {
                if *condition != ChannelCondition::Healthy {
                    suspects.insert(channel);
                    if guard.hides(channel) {
                        lost.insert(channel);
                    }
                }
            }
        }
        hidden.copy_from(lost);
        let guarded = suspects.count();
        // offsets of most of the array at once are no offsets of channels
        if 2 * guarded > features.len() {
            lost.copy_from(suspects);
        }
        let mut implausible = None;
        if let Some(monitor) = monitor.as_mut().filter(|_| watched && usable(features)) {
            implausible = monitor.observe(features, missing, suspects, lost, found);
            for channel in found.features() {
                if let (Some(value), Some(background)) = (cleaned.get_mut(channel), background.get(channel)) {
                    *value = *background;
                }
            }
            suspects.add(found);
            lost.add(found);
            hidden.add(found);
        }
        Screened { features: cleaned, guarded: guarded as u16, suspects, lost, implausible }
    }
}

impl Monitor {
    fn new(statistics: &GuardStatistics) -> Option<Self> {
        let plausibility = statistics.plausibility.as_ref()?;
        let GuardStatistics { mean, standard_deviation, .. } = statistics;
        let moves: Vec<bool> = standard_deviation.iter().map(|deviation| *deviation > 0.0).collect();
        let scale: Vec<f64> = standard_deviation
            .iter()
            .map(|deviation| if *deviation > 0.0 { 1.0 / deviation } else { 0.0 })
            .collect();
        let standardised = |values: &[f64]| -> Vec<f64> {
            values.iter().zip(mean).zip(&scale).map(|((value, mean), scale)| (value - mean) * scale).collect()
        };
        let (least, greatest) = (standardised(&statistics.least), standardised(&statistics.greatest));
        let n = mean.len();
        Some(Self {
            plausibility: Plausibility::new(plausibility, &least, &greatest, &moves),
            checks: &CHECKS,
            mean: mean.clone(),
            scale,
            values: vec![0.0; n],
            factors: Factors::new(&statistics.loadings, &statistics.uniqueness),
        })
    }

    fn observe(
        &mut self,
        features: &[f64],
        missing: &FeatureSet,
        bad: &FeatureSet,
        hidden: &FeatureSet,
        found: &mut FeatureSet,
    ) -> Option<Implausible> {
        let statistics = self.mean.iter().zip(&self.scale);
        for ((value, (mean, scale)), feature) in self.values.iter_mut().zip(statistics).zip(features) {
            *value = (feature - mean) * scale;
        }
        let Self { plausibility, values, factors, .. } = self;
        let unexplained = |values: &[f64], residuals: &mut [f64]| {
            factors.predict(values, residuals);
            for (residual, value) in residuals.iter_mut().zip(values) {
                *residual = value - *residual;
            }
        };
        plausibility.observe(values, unexplained, [missing, bad, hidden], found)
    }
}
