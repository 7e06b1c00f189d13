//! The fits of a session: one that another follows soon keeps what the one before it sought, so that it costs what its weights
//! cost, and all of them are looks of one test against chance.

use kalmind_filter::DecoderSpec;
use kalmind_fitting::{EarlierFit, FitProgress, FitSettings};
use kalmind_session::{ChanceTest, FitOrder};
use kalmind_types::{LslTime, Seconds, StreamFeatures};

use crate::{
    calibration_fit::{CalibrationFit, CalibrationFitError, FitTerms, fit_rows},
    model::Demand,
};

/// How long hyperparameters are kept.
const WHOLE_EVERY: Seconds = Seconds(30.0);
/// They are sought again once there are so many times as many rows.
const GROWTH: f64 = 1.5;

/// The fits of one session, one after the other. Lives off the tick thread.
#[derive(Clone, Debug)]
pub struct SessionFits {
    demand: Demand,
    guard: bool,
    shuffle: Option<u64>,
    test: ChanceTest,
    whole: Option<WholeFit>,
}

/// The newest fit that sought its hyperparameters.
#[derive(Clone, Debug)]
struct WholeFit {
    /// When it was asked for.
    at: LslTime,
    decoder: String,
    rows: usize,
    fit: EarlierFit,
}

impl SessionFits {
    /// No fit yet. What models have to match; whether a guard stands in front of decoders whose options leave it open; and, as a
    /// control experiment, the seed by which labels are put in random order.
    #[must_use]
    pub fn new(demand: Demand, guard: bool, shuffle: Option<u64>) -> Self {
        Self { demand, guard, shuffle, test: ChanceTest::repeatedly(0), whole: None }
    }

    /// What was found so far is of other rows than those that come. Said when the first fit to them is asked for
    /// ([`FitOrder::anew`]): nothing may come of it.
    pub fn begin_anew(&mut self) {
        (self.test, self.whole) = (ChanceTest::repeatedly(0), None);
    }

    /// The streams as they are now: what is fitted next belongs to the stages that are in force.
    pub fn follow_streams(&mut self, streams: &[StreamFeatures]) {
        self.demand.streams = streams.to_vec();
    }

    /// Fits what a session asks for at `now`; `spec` is the order's decoder. Where another fit follows soon it keeps the
    /// hyperparameters of the newest one that sought them, for 30 s or until there are half as many rows again.
    ///
    /// # Errors
    /// [`CalibrationFitError`].
    pub fn fit(
        &mut self,
        order: &FitOrder,
        spec: &DecoderSpec,
        now: LslTime,
        progress: &mut dyn FnMut(FitProgress),
    ) -> Result<CalibrationFit, CalibrationFitError> {
        let rows = order.rows.rows();
        let is_kept = |whole: &WholeFit| {
            order.provisional
                && whole.decoder == order.decoder
                && (now - whole.at).0 < WHOLE_EVERY.0
                && (rows as f64) < GROWTH * whole.rows as f64
        };
        // what a fit fails at is not kept for the next one
        let kept = self.whole.take().filter(is_kept);
        let keep = kept.as_ref().map(|whole| Box::new(whole.fit.clone()));
        let settings = FitSettings { keep, ..FitSettings::default() };
        let terms = FitTerms { demand: &self.demand, shuffle: self.shuffle, guard: self.guard };
        let fitted = fit_rows(&order.rows, spec, &terms, &settings, &mut self.test, progress)?;
        self.whole = kept.or_else(|| {
            // one that could not be judged would leave those that keep it without a judgement too
            fitted.report.quality.as_ref()?;
            let covariance_scale = Some(fitted.model.model.parameters.covariance_scale().clone());
            let reduction = fitted.model.model.reduction.clone();
            let fit = EarlierFit { report: fitted.report.clone(), covariance_scale, reduction };
            Some(WholeFit { at: now, decoder: order.decoder.clone(), rows, fit })
        });
        Ok(fitted)
    }
}

#[cfg(test)]
mod tests {
    use kalmind_filter::{AgainstChance, FitQuality};
    use serde_json::Value;

    use super::*;
    use crate::calibration_fit::tests::{demand, gathered};

    /// Fits to that many trials at a time.
    fn fit(fits: &mut SessionFits, decoder: &str, trials: u32, at: f64, provisional: bool) -> CalibrationFit {
        let rows = gathered(0.3, trials);
        let order = FitOrder { number: 0, decoder: decoder.to_owned(), rows, provisional, anew: false };
        fits.fit(&order, &decoder.parse().expect("a decoder"), LslTime(at), &mut |_| {}).expect("a fit")
    }

    fn quality(fit: &CalibrationFit) -> &FitQuality {
        fit.report.quality.as_ref().expect("it was judged")
    }

    #[test]
    fn fits_that_others_follow_soon_keep_what_the_newest_whole_one_sought() {
        for decoder in ["kalman-steady", "dkf-gp:steps=3"] {
            let mut fits = SessionFits::new(demand(), false, None);
            let sought = |fit: &CalibrationFit| -> (Value, Vec<u64>) {
                let scale = fit.model.model.parameters.covariance_scale();
                let scales = fit.report.hyperparameters.get("scales").cloned().unwrap_or_default();
                (scales, [scale.bias, scale.size, scale.surprise].map(f64::to_bits).to_vec())
            };
            let first = fit(&mut fits, decoder, 20, 0.0, true);
            let mut kept = |trials, at, provisional| {
                let next = fit(&mut fits, decoder, trials, at, provisional);
                assert_ne!(next.model.model.training_hash, first.model.model.training_hash);
                let is_kept = match decoder {
                    // its factor is found with the rest
                    "dkf-gp:steps=3" => sought(&next).0 == sought(&first).0,
                    _ => sought(&next) == sought(&first),
                };
                if decoder == "kalman-steady" {
                    assert_eq!(quality(&next).of_earlier_fit, is_kept);
                    assert_ne!(next.model.model.parameters, first.model.model.parameters);
                }
                is_kept
            };
            assert!(kept(21, 3.0, true) && kept(29, 29.0, true), "{decoder}");
            assert!(!kept(30, 29.5, true), "half as many rows again: {decoder}");
            let mut kept = |decoder: &str, trials, at, provisional| {
                quality(&fit(&mut fits, decoder, trials, at, provisional)).of_earlier_fit
            };
            if decoder == "kalman-steady" {
                assert!(kept(decoder, 31, 59.0, true) && !kept(decoder, 32, 59.6, true), "30 s later");
                assert!(!kept(decoder, 33, 60.0, false), "none follows soon");
                assert!(!kept("refit-kalman", 33, 61.0, true), "another decoder");
            }
        }
    }

    #[test]
    fn all_fits_to_the_same_rows_are_looks_of_one_test() {
        let mut fits = SessionFits::new(demand(), false, None);
        let limit = |fits: &mut SessionFits, trials| {
            let fitted = fit(fits, "kalman-steady", trials, 0.0, true);
            match &quality(&fitted).chance {
                // of what is above zero, bits are in the order of the numbers
                AgainstChance::Better(figures) | AgainstChance::NotBetter(figures) => {
                    figures.p_limit.to_bits()
                }
                AgainstChance::NotTested { why } => panic!("{why}"),
            }
        };
        let first = limit(&mut fits, 20);
        assert_eq!(limit(&mut fits, 21), first, "a look takes a quarter more trials");
        assert!(limit(&mut fits, 26) < first);
        fits.begin_anew();
        assert_eq!(limit(&mut fits, 20), first, "other rows");
    }
}
