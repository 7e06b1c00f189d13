//! What stands between prepared features and a decoder: the guard that corrects channels, and the monitor that tells when
//! the array no longer looks like training.

use kalmind_types::ChannelMask;

use crate::checked::usable;
use crate::factors::Factors;
use crate::guard::Guard;
use crate::plausibility::Plausibility;
use crate::{ChannelCondition, GuardStatistics, Implausible};

/// Features as a decoder should see them, and what was found on the way.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Screened<'a> {
    /// One value a feature.
    pub features: &'a [f64],
    /// Channels corrected or masked by the guard.
    pub guarded: u16,
    /// Channels that do not look as they did in training.
    pub suspects: ChannelMask,
    /// How the array as a whole differs from training; nothing can be decoded from it then.
    pub implausible: Option<Implausible>,
}

/// Guard and plausibility monitor, each where it is wanted and the model has the statistics for it. Belongs to the tick;
/// allocates at construction only.
#[derive(Debug)]
pub struct Screen {
    guard: Option<Guard>,
    monitor: Option<Monitor>,
    /// What the decoder sees.
    features: Vec<f64>,
    background: Vec<f64>,
}

/// The monitor with what it needs to standardise features.
#[derive(Debug)]
struct Monitor {
    plausibility: Plausibility,
    mean: Vec<f64>,
    scale: Vec<f64>,
    values: Vec<f64>,
    predicted: Vec<f64>,
    residuals: Vec<f64>,
    factors: Factors,
}

impl Screen {
    /// One that lets everything through; `background` is what a channel that says nothing is replaced by, as the decoder
    /// sees it: the training means.
    #[must_use]
    pub fn open(background: Vec<f64>) -> Self {
        Self { guard: None, monitor: None, features: vec![0.0; background.len()], background }
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

    /// Whether there is a guard.
    #[must_use]
    pub fn has_guard(&self) -> bool {
        self.guard.is_some()
    }

    /// Whether there is a monitor.
    #[must_use]
    pub fn has_monitor(&self) -> bool {
        self.monitor.is_some()
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

    /// Screens the features of a bin, of which `missing` hold their training means; `watched` says whether the monitor
    /// takes part. Real-time.
    pub fn screen(&mut self, features: &[f64], missing: &ChannelMask, watched: bool) -> Screened<'_> {
        let Self { guard, monitor, features: cleaned, background } = self;
        let mut suspects = ChannelMask::default();
        let mut guarded = 0;
        cleaned.copy_from_slice(features);
        if let Some(guard) = guard
            && let Some(corrected) = guard.clean(features)
        {
            cleaned.copy_from_slice(corrected);
            for (channel, condition) in guard.conditions().iter().enumerate() {
                if *condition != ChannelCondition::Healthy {
                    suspects.mask(channel);
                    guarded += 1;
                }
            }
        }
        let mut implausible = None;
        if let Some(monitor) = monitor.as_mut().filter(|_| watched && usable(features)) {
            implausible = monitor.observe(features, missing, &mut suspects);
            for (channel, (value, background)) in cleaned.iter_mut().zip(background).enumerate() {
                let guarded = guard.as_ref().is_some_and(|guard| guard.is_guarded(channel));
                if suspects.is_masked(channel) && !guarded {
                    *value = *background;
                }
            }
        }
        Screened { features: cleaned, guarded, suspects, implausible }
    }
}

impl Monitor {
    fn new(statistics: &GuardStatistics) -> Option<Self> {
        let plausibility = statistics.plausibility.as_ref()?;
        let GuardStatistics { mean, standard_deviation, .. } = statistics;
        let moves: Vec<bool> = standard_deviation.iter().map(|deviation| *deviation > 0.0).collect();
        let scale: Vec<f64> =
            standard_deviation.iter().map(|deviation| if *deviation > 0.0 { 1.0 / deviation } else { 0.0 }).collect();
        let standardised = |values: &[f64]| -> Vec<f64> {
            values.iter().zip(mean).zip(&scale).map(|((value, mean), scale)| (value - mean) * scale).collect()
        };
        let (least, greatest) = (standardised(&statistics.least), standardised(&statistics.greatest));
        let n = mean.len();
        Some(Self {
            plausibility: Plausibility::new(plausibility, &least, &greatest, &moves),
            mean: mean.clone(),
            scale,
            values: vec![0.0; n],
            predicted: vec![0.0; n],
            residuals: vec![0.0; n],
            factors: Factors::new(&statistics.loadings, &statistics.uniqueness),
        })
    }

    fn observe(
        &mut self,
        features: &[f64],
        missing: &ChannelMask,
        suspects: &mut ChannelMask,
    ) -> Option<Implausible> {
        let statistics = self.mean.iter().zip(&self.scale);
        for ((value, (mean, scale)), feature) in self.values.iter_mut().zip(statistics).zip(features) {
            *value = (feature - mean) * scale;
        }
        self.factors.predict(&self.values, &mut self.predicted);
        for ((residual, value), predicted) in self.residuals.iter_mut().zip(&self.values).zip(&self.predicted) {
            *residual = value - predicted;
        }
        self.plausibility.observe(&self.values, &self.residuals, missing, suspects)
    }
}
