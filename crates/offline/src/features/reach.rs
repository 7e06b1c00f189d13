//! When a recorded stream was out of its recorder's reach, so that its silence says nothing: where its clock was not measured.

use kalmind_recording::xdf::synchronization::ClockCorrections;
use kalmind_types::LslTime;

/// A recorder measures the clocks of its streams again and again; where this many intervals pass without, it could not.
const MISSED: f64 = 3.0;
/// Fewer intervals say nothing of what is usual.
const LEAST_INTERVALS: usize = 4;

/// From the last measurement before to the first one after, each on the recorder's clock. None where clocks were not measured.
pub(super) fn out_of_reach(offsets: &[(f64, f64)]) -> Vec<(LslTime, LslTime)> {
    let mut corrections = ClockCorrections::of(offsets);
    let mut times: Vec<f64> = offsets.iter().map(|(time, _)| time + corrections.at(*time)).collect();
    times.retain(|time| time.is_finite());
    times.sort_by(f64::total_cmp);
    let mut intervals: Vec<f64> = times.windows(2).map(|two| two[1] - two[0]).collect();
    intervals.sort_by(f64::total_cmp);
    let usual = intervals.get(intervals.len() / 2).filter(|_| intervals.len() >= LEAST_INTERVALS);
    let Some(usual) = usual else { return Vec::new() };
    let is_missed = |two: &&[f64]| two[1] - two[0] > MISSED * usual;
    times.windows(2).filter(is_missed).map(|two| (LslTime(two[0]), LslTime(two[1]))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_was_gone_where_its_clock_was_not_measured() {
        let every_five = |times: &[f64]| times.iter().map(|time| (*time, 2.0)).collect::<Vec<_>>();
        let found = out_of_reach(&every_five(&[0.0, 5.0, 10.0, 15.0, 35.0, 40.0, 54.0]));
        assert_eq!(found, [(LslTime(17.0), LslTime(37.0))], "two may be missed");
        assert_eq!(out_of_reach(&every_five(&[0.0, 5.0, 100.0])), [], "too few to tell");
        assert_eq!(out_of_reach(&[]), []);
    }
}
