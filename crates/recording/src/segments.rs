//! Where a table's time has gaps.

/// A step that deviates from the median step by more than this share of it starts a segment.
const TOLERANCE: f64 = 0.5;

/// The rows before which time has a gap: the step from the row before is more than 50 % shorter or longer than the median
/// step. Row 0 is not among them.
pub fn segment_starts(time: &[f64]) -> Vec<usize> {
    let mut steps: Vec<f64> = time.windows(2).map(|pair| pair[1] - pair[0]).collect();
    let Some(middle) = steps.len().checked_sub(1).map(|last| last / 2) else {
        return Vec::new();
    };
    let (_, median, _) = steps.select_nth_unstable_by(middle, f64::total_cmp);
    let median = *median;
    time.windows(2)
        .enumerate()
        .filter(|(_, pair)| ((pair[1] - pair[0]) - median).abs() > TOLERANCE * median)
        .map(|(row, _)| row + 1)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_far_from_the_median_start_a_segment() {
        assert_eq!(segment_starts(&[0.0, 0.02, 0.041, 0.059, 0.2, 0.22, 0.225, 0.245]), [4, 6]);
    }

    #[test]
    fn without_steps_there_is_no_gap() {
        assert!(segment_starts(&[]).is_empty());
        assert!(segment_starts(&[3.0]).is_empty());
        assert!(segment_starts(&[3.0, 9.0]).is_empty());
    }
}
