//! Figures with the range in which they are known: 95 % intervals, each of a published kind and in closed form.

use serde::{Deserialize, Serialize};

use crate::quantile;

/// 97.5 % quantile of the normal distribution.
const NORMAL: f64 = 1.959_963_984_540_054;
/// The same of Student's t with 1 to 8 degrees of freedom.
const STUDENT: [f64; 8] = [
    12.706_204_736_174_7,
    4.302_652_729_749_46,
    3.182_446_305_283_71,
    2.776_445_105_197_79,
    2.570_581_835_636_31,
    2.446_911_851_144_97,
    2.364_624_251_592_78,
    2.306_004_135_204_17,
];

/// Halvings of an interval until nothing is left of it.
const BISECTIONS: u32 = 60;

/// A figure and its 95 % interval.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Estimate {
    /// The figure.
    pub value: f64,
    /// From where to where it may be; none where too little is known to say.
    pub interval: Option<[f64; 2]>,
}

impl Estimate {
    /// The part of `trials` that succeeded, with Wilson's interval (J. Am. Stat. Assoc. 22, 1927); none without trials.
    #[must_use]
    pub fn proportion(successes: u64, trials: u64) -> Option<Self> {
        let (part, count) = (successes as f64 / trials as f64, trials as f64);
        let square = NORMAL * NORMAL;
        let middle = (part + square / (2.0 * count)) / (1.0 + square / count);
        let half = NORMAL / (1.0 + square / count)
            * (part * (1.0 - part) / count + square / (4.0 * count * count)).sqrt();
        let interval = Some([(middle - half).max(0.0), (middle + half).min(1.0)]);
        (trials > 0 && successes <= trials).then_some(Self { value: part, interval })
    }

    /// How many of `count` events come in a unit of `whole`, with the exact interval of a Poisson count (Garwood, Biometrika 28,
    /// 1936); none where the whole is nothing.
    #[must_use]
    pub fn rate(count: u64, whole: f64) -> Option<Self> {
        let low = count.checked_sub(1).map_or(0.0, |fewer| mean_of_count(fewer, 0.975));
        let interval = Some([low, mean_of_count(count, 0.025)].map(|end| end / whole));
        (whole > 0.0).then_some(Self { value: count as f64 / whole, interval })
    }

    /// The mean with Student's interval; none without values.
    #[must_use]
    pub fn mean(values: &[f64]) -> Option<Self> {
        let count = values.len() as f64;
        let value = values.iter().sum::<f64>() / count;
        let interval = student(values.len().saturating_sub(1)).map(|quantile| {
            let squares: f64 = values.iter().map(|one| (one - value) * (one - value)).sum();
            let half = quantile * (squares / (count - 1.0) / count).sqrt();
            [value - half, value + half]
        });
        (!values.is_empty()).then_some(Self { value, interval })
    }

    /// The median with the interval between the two order statistics that hold it with at least 95 %, whatever the
    /// distribution (Conover, Practical Nonparametric Statistics, 1999, section 3.2): five values are too few for one. None
    /// without values.
    #[must_use]
    pub fn median(values: &[f64]) -> Option<Self> {
        let value = quantile(values, 0.5)?;
        let mut sorted = values.to_vec();
        sorted.sort_by(f64::total_cmp);
        let interval = values_left_out(sorted.len()).and_then(|outside| {
            let low = sorted.get(outside)?;
            let high = sorted.get(sorted.len().checked_sub(outside + 1)?)?;
            Some([*low, *high])
        });
        Some(Self { value, interval })
    }

    /// The sum of all `parts` (what, of how much) over that of their wholes, with the interval of a ratio estimate, that of
    /// its linear approximation (Cochran, Sampling Techniques, 1977, section 6.4) with Student's quantile. None where the wholes are
    /// nothing.
    #[must_use]
    pub fn ratio(parts: &[(f64, f64)]) -> Option<Self> {
        let count = parts.len() as f64;
        let whole: f64 = parts.iter().map(|(_, whole)| whole).sum();
        let value = parts.iter().map(|(part, _)| part).sum::<f64>() / whole;
        let interval = student(parts.len().saturating_sub(1)).map(|quantile| {
            let squares: f64 = parts
                .iter()
                .map(|(part, whole)| part - value * whole)
                .map(|residual| residual * residual)
                .sum();
            let half = quantile * (count / (count - 1.0) * squares).sqrt() / whole;
            [value - half, value + half]
        });
        (whole > 0.0).then_some(Self { value, interval })
    }

    /// So many times the figure.
    #[must_use]
    pub fn scaled(self, factor: f64) -> Self {
        self.map(|value| factor * value)
    }

    /// The same, whose interval ends where the figure can: Student's goes on beyond that where there are few values.
    #[must_use]
    pub(crate) fn within(self, [least, most]: [f64; 2]) -> Self {
        let interval =
            self.interval.map(|[low, high]| [low.max(least.min(self.value)), high.min(most.max(self.value))]);
        Self { interval, ..self }
    }

    /// The figure in another unit, or at least 0.
    pub(crate) fn map(self, change: impl Fn(f64) -> f64) -> Self {
        Self { value: change(self.value), interval: self.interval.map(|ends| ends.map(change)) }
    }
}

/// 97.5 % quantile of Student's t; from nine degrees of freedom on by the expansion of Abramowitz and Stegun, 26.7.5. None
/// without a degree of freedom.
pub(crate) fn student(freedom: usize) -> Option<f64> {
    if let Some(known) = STUDENT.get(freedom.checked_sub(1)?) {
        return Some(*known);
    }
    let (z, n) = (NORMAL, freedom as f64);
    let square = z * z;
    let terms = [
        z,
        z * (square + 1.0) / 4.0,
        z * ((5.0 * square + 16.0) * square + 3.0) / 96.0,
        z * (((3.0 * square + 19.0) * square + 17.0) * square - 15.0) / 384.0,
        z * ((((79.0 * square + 776.0) * square + 1482.0) * square - 1920.0) * square - 945.0) / 92_160.0,
    ];
    Some(terms.iter().rev().fold(0.0, |sum, term| sum / n + term))
}

/// The mean of a Poisson distribution that gives at most `count` with this probability, by bisection.
fn mean_of_count(count: u64, probability: f64) -> f64 {
    let at_most = |mean: f64| {
        let mut log_term = -mean;
        let mut sum = libm::exp(log_term);
        for number in 1..=count {
            log_term += libm::log(mean / number as f64);
            sum += libm::exp(log_term);
        }
        sum
    };
    let (mut low, mut high) = (0.0, count as f64 + 10.0 * (count as f64 + 1.0).sqrt());
    for _ in 0..BISECTIONS {
        let middle = f64::midpoint(low, high);
        if at_most(middle) > probability {
            low = middle;
        } else {
            high = middle;
        }
    }
    f64::midpoint(low, high)
}

/// How many of the smallest of `count` values, and of the largest, lie outside the interval of their median: the most for which
/// a fair coin shows so few heads in `count` throws with at most 2.5 %.
fn values_left_out(count: usize) -> Option<usize> {
    let mut log_term = -(count as f64) * core::f64::consts::LN_2;
    let mut below = 0.0;
    for heads in 0..=count {
        below += libm::exp(log_term);
        if below > 0.025 {
            return heads.checked_sub(1);
        }
        log_term += libm::log((count - heads) as f64 / (heads + 1) as f64);
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn assert_close(found: Option<Estimate>, expected: [f64; 3]) {
        let found = found.unwrap();
        let [low, high] = found.interval.unwrap();
        for (found, expected) in [found.value, low, high].into_iter().zip(expected) {
            assert!((found - expected).abs() < 1e-9 * expected.abs().max(1.0), "{found} is not {expected}");
        }
    }

    // the numbers of these tests: scipy 1.17.1 and numpy 2.4.6 (`stats.binomtest(x, n).proportion_ci(0.95, "wilson")`,
    // `stats.t.ppf(0.975, n)`, `stats.binom.cdf(k, n, 0.5)`), and where there is no such function the formula in numpy

    #[test]
    fn proportions_have_the_interval_of_wilson() {
        for (successes, trials, expected) in [
            (27, 28, [0.964_285_714_285_714_3, 0.822_878_022_566_466_8, 0.993_667_480_150_962_3]),
            (0, 10, [0.0, 0.0, 0.277_532_799_862_889_26]),
            (10, 10, [1.0, 0.722_467_200_137_111_1, 1.0]),
            (5, 20, [0.25, 0.111_861_701_407_665_71, 0.468_700_877_618_744]),
        ] {
            assert_close(Estimate::proportion(successes, trials), expected);
        }
        assert_eq!((Estimate::proportion(0, 0), Estimate::proportion(2, 1)), (None, None));
    }

    #[test]
    fn counts_have_the_exact_interval_of_poisson() {
        // scipy.stats.chi2.ppf([0.025, 0.975], [2 n, 2 n + 2]) / 2, over the whole
        for (count, whole, expected) in [
            (0, 2.0, [0.0, 0.0, 1.844_439_727_056_967_7]),
            (1, 1.0, [1.0, 0.025_317_807_984_289_876, 5.571_643_390_938_898]),
            (3, 0.5, [6.0, 1.237_344_245_791_202_7, 17.534_546_139_484_647]),
            (40, 10.0, [4.0, 2.857_658_644_178_896_7, 5.446_864_696_398_406]),
        ] {
            assert_close(Estimate::rate(count, whole), expected);
        }
        assert_eq!(Estimate::rate(3, 0.0), None);
    }

    #[test]
    fn quantiles_of_student_are_those_of_scipy() {
        for (freedom, expected) in [
            (1, 12.706_204_736_174_7),
            (8, 2.306_004_135_204_17),
            (9, 2.262_157_162_798_205),
            (10, 2.228_138_851_986_274),
            (20, 2.085_963_447_265_864),
            (50, 2.008_559_112_100_761),
            (1000, 1.962_339_080_826_408_3),
        ] {
            let found = student(freedom).unwrap();
            assert!((found - expected).abs() < 2e-5, "{freedom}: {found} is not {expected}");
        }
        assert_eq!(student(0), None);
    }

    #[test]
    fn a_mean_has_the_interval_of_student() {
        let values = [1.2, 0.8, 1.9, 1.1, 2.4, 1.0, 1.3];
        let expected = [1.385_714_285_714_286, 0.864_101_908_348_016_7, 1.907_326_663_080_555_2];
        assert_close(Estimate::mean(&values), expected);
        assert_eq!(Estimate::mean(&[2.0]), Some(Estimate { value: 2.0, interval: None }));
        assert_eq!(Estimate::mean(&[]), None);
    }

    #[test]
    fn an_interval_ends_where_the_figure_can() {
        let [low, high] = Estimate::mean(&[0.1, 1.9]).unwrap().interval.unwrap();
        assert!(low < -10.0 && high > 12.0);
        let within = |ends: [f64; 2]| Estimate::mean(&[0.1, 1.9]).unwrap().within(ends).interval.unwrap();
        assert_eq!(within([0.0, 5.0]).map(f64::to_bits), [0.0, 5.0].map(f64::to_bits));
        assert_eq!(within([0.0, f64::INFINITY]).map(f64::to_bits), [0.0, high].map(f64::to_bits));
        // never past the figure itself
        assert!((within([0.0, 0.9])[1] - 1.0).abs() < 1e-12);
    }

    #[test]
    fn a_median_lies_between_the_order_statistics_that_a_fair_coin_allows() {
        // the table of Conover: the 2nd and the 8th of 9, the 6th and the 15th of 20; scipy: the 469th of 1000
        for (count, outside) in
            [(6, 0), (8, 0), (9, 1), (10, 1), (20, 5), (50, 17), (100, 39), (1000, 468), (5000, 2430)]
        {
            assert_eq!(values_left_out(count), Some(outside), "{count}");
        }
        assert_eq!(values_left_out(5), None);
        let values: Vec<f64> = (1..=20).rev().map(f64::from).collect();
        assert_close(Estimate::median(&values), [10.5, 6.0, 15.0]);
        assert_eq!(Estimate::median(&[1.0, 3.0]), Some(Estimate { value: 2.0, interval: None }));
        assert_eq!(Estimate::median(&[]), None);
    }

    #[test]
    fn a_ratio_has_the_interval_of_its_linear_approximation() {
        // four right and one wrong in 14 s
        let parts = [(1.0, 2.0), (-1.0, 1.5), (1.0, 2.5), (1.0, 2.0), (0.0, 2.0), (1.0, 3.0), (1.0, 1.0)];
        let expected = [0.285_714_285_714_285_7, -0.059_658_065_777_601_58, 0.631_086_637_206_173];
        assert_close(Estimate::ratio(&parts), expected);
        assert_eq!(Estimate::ratio(&[(1.0, 2.0)]), Some(Estimate { value: 0.5, interval: None }));
        assert_eq!(Estimate::ratio(&[(1.0, 0.0)]), None);
    }
}
