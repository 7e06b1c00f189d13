//! The last bins of features, the newest first: what decoders with lags look at.

/// A window of l bins of n features in one row of memory, `[x_t, x_{t-1}, .., x_{t-l+1}]`.
#[derive(Clone, Debug)]
pub struct Window {
    background: Vec<f64>,
    values: Vec<f64>,
}

impl Window {
    /// All bins hold the background.
    pub fn new(background: &[f64], lags: usize) -> Self {
        Self { background: background.to_vec(), values: background.repeat(lags) }
    }

    /// Features n of one bin.
    pub fn features(&self) -> usize {
        self.background.len()
    }

    /// Bins l.
    pub fn bins(&self) -> usize {
        self.values.len() / self.background.len().max(1)
    }

    /// Forgets every bin.
    pub fn clear(&mut self) {
        for bin in self.values.chunks_exact_mut(self.background.len()) {
            bin.copy_from_slice(&self.background);
        }
    }

    /// Ages every bin by one and makes `features`, or the background, the newest. False where there are none, the
    /// length is wrong or a value is not finite: then the background was taken.
    pub fn push(&mut self, features: Option<&[f64]>) -> bool {
        let n = self.background.len();
        let kept = self.values.len() - n;
        self.values.copy_within(..kept, n);
        match features {
            Some(features) if features.len() == n && features.iter().all(|value| value.is_finite()) => {
                self.values[..n].copy_from_slice(features);
                true
            }
            _ => {
                self.values[..n].copy_from_slice(&self.background);
                false
            }
        }
    }

    /// The window, n l values.
    pub fn values(&self) -> &[f64] {
        &self.values
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bins_age_and_missing_ones_hold_the_background() {
        let mut window = Window::new(&[9.0, 8.0], 3);
        assert!(window.push(Some(&[1.0, 2.0])));
        assert!(!window.push(None));
        assert!(window.push(Some(&[3.0, 4.0])));
        assert_eq!(window.values(), [3.0, 4.0, 9.0, 8.0, 1.0, 2.0]);
        window.clear();
        assert_eq!(window.values(), [9.0, 8.0, 9.0, 8.0, 9.0, 8.0]);
    }
}
