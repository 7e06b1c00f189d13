//! The threshold of a click decoder, chosen by presses on rows that were held out.

use core::ops::Range;

use kalmind_filter::{Button, ClickDecoder, ClickParameters, ClickSettings, TrainingData};
use serde::{Deserialize, Serialize};

use super::{discriminant::discriminant, settings::ClickFitSettings};
use crate::windows::{folds, outside};

/// Thresholds that are tried, the lowest first.
const THRESHOLDS: [f64; 10] = [0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.98, 0.99, 0.995, 0.999];

/// The release threshold as a part of the threshold.
pub(super) const RELEASE_PART: f64 = 0.5;

/// The part of what can be gained by clicks that is not given up for fewer false ones.
const LEAST_PART: f64 = 0.9;

/// How presses came on held-out rows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct HeldOutClicks {
    /// Presses a minute of those rows in which none was meant, where none was meant or one act was a press before.
    pub false_per_minute: f64,
    /// Acts.
    pub acts: usize,
    /// How many of them were a press.
    pub pressed: usize,
    /// Median time from the beginning of an act to its press, in milliseconds; 0 where there was none.
    pub latency_ms: f64,
}

/// Probabilities of a click on rows that the decoder was not fitted to.
pub(super) struct CrossFitted<'a> {
    meant: &'a [Option<bool>],
    probabilities: Vec<f64>,
    /// Rows without a gap in one fold: a button begins anew at each.
    stretches: Vec<Range<usize>>,
    chain: ClickSettings,
}

impl<'a> CrossFitted<'a> {
    pub(super) fn new(
        data: &TrainingData,
        meant: &'a [Option<bool>],
        chain: ClickSettings,
        settings: &ClickFitSettings,
    ) -> Self {
        let mut probabilities = vec![0.0; meant.len()];
        let mut stretches = Vec::new();
        for fold in folds(meant.len()) {
            let rows = outside(&fold, meant.len());
            let Some(fitted) = discriminant(&data.features, meant, &rows) else { continue };
            let (weights, intercept) = (fitted.weights, fitted.intercept);
            let parameters = ClickParameters { weights, intercept, settings: chain };
            let mut decoder = ClickDecoder::new(&parameters, settings.bin_ms);
            for segment in data.segments() {
                let stretch = segment.start.max(fold.start)..segment.end.min(fold.end);
                if stretch.is_empty() {
                    continue;
                }
                decoder.restart();
                for row in stretch.clone() {
                    let features: Vec<f64> = data.features.row(row).iter().copied().collect();
                    probabilities[row] = decoder.step(Some(&features));
                }
                stretches.push(stretch);
            }
        }
        Self { meant, probabilities, stretches, chain }
    }

    /// What comes of a threshold, and how many presses are false with it.
    fn presses(&self, threshold: f64, settings: &ClickFitSettings) -> (HeldOutClicks, usize) {
        let release = RELEASE_PART * threshold;
        let chain = ClickSettings { threshold, release, ..self.chain };
        let law = ClickDecoder::new(
            &ClickParameters { weights: Vec::new(), intercept: 0.0, settings: chain },
            settings.bin_ms,
        )
        .law();
        let late = (settings.late_ms / settings.bin_ms).round() as usize;
        let (mut acts, mut latencies, mut mistakes, mut without) = (0, Vec::new(), 0_usize, 0_usize);
        for stretch in &self.stretches {
            let mut button = Button::default();
            // the newest act: its first and last row, and whether it was a press
            let mut act: Option<(usize, usize, bool)> = None;
            let mut before = false;
            for row in stretch.clone() {
                if let Some(label) = self.meant[row] {
                    without += usize::from(!label);
                    if label && !before {
                        acts += 1;
                        act = Some((row, row, false));
                    }
                    if let Some((_, last, _)) = act.as_mut().filter(|_| label) {
                        *last = row;
                    }
                    before = label;
                }
                let presses = button.step(law, row as u64, self.probabilities[row], true, true);
                if presses.last_press_seq != Some(row as u64) {
                    continue;
                }
                match act.as_mut().filter(|(_, last, _)| row <= last + late) {
                    Some((first, _, pressed @ false)) => {
                        *pressed = true;
                        latencies.push((row + 1 - *first) as f64 * settings.bin_ms);
                    }
                    Some(_) => mistakes += 1,
                    // where nothing is known of it, it is neither
                    None => mistakes += usize::from(self.meant[row] == Some(false)),
                }
            }
        }
        latencies.sort_by(f64::total_cmp);
        let minutes = without as f64 * settings.bin_ms / 60_000.0;
        let clicks = HeldOutClicks {
            false_per_minute: if minutes > 0.0 { mistakes as f64 / minutes } else { 0.0 },
            acts,
            pressed: latencies.len(),
            latency_ms: latencies.get(latencies.len() / 2).copied().unwrap_or(0.0),
        };
        (clicks, mistakes)
    }
}

/// The lowest threshold at which no more presses are false than may be. Where that costs too many of those that are meant, or
/// there is none, the one at which most is gained: the presses that are meant, less two for each false one, which takes another
/// one to make good.
pub(super) fn choose(rows: &CrossFitted<'_>, settings: &ClickFitSettings) -> (f64, HeldOutClicks) {
    let tried = THRESHOLDS.map(|threshold| {
        let (clicks, mistakes) = rows.presses(threshold, settings);
        (threshold, clicks, clicks.pressed as f64 - 2.0 * mistakes as f64)
    });
    let best = tried.iter().fold(tried[0], |best, one| if one.2 > best.2 { *one } else { best });
    let allowed = tried.iter().find(|(_, clicks, _)| clicks.false_per_minute <= settings.false_per_minute);
    let (threshold, clicks, _) =
        allowed.filter(|(.., gained)| *gained >= LEAST_PART * best.2).copied().unwrap_or(best);
    (threshold, clicks)
}
