//! Autoregressive models by Burg's method, of a few channels side by side.

/// Channels that are worked on together, each by itself: as many as a processor does at once.
pub(super) const LANES: usize = 4;

/// A number of each of them.
pub(super) type Lanes = [f64; LANES];

/// What becomes of one number and another, channel by channel.
pub(super) fn each(mut numbers: Lanes, others: &Lanes, becomes: impl Fn(f64, f64) -> f64) -> Lanes {
    for (number, other) in numbers.iter_mut().zip(others) {
        *number = becomes(*number, *other);
    }
    numbers
}

/// Models of one order: a value is the sum of those before it, each times a coefficient that is taken away, and of what they do
/// not tell. They are those that tell most, forwards and backwards at once, with poles inside the unit circle (Burg 1975; Kay,
/// *Modern Spectral Estimation*, 1988, 7.3). Everything is allocated when it is built.
#[derive(Clone, Debug)]
pub(super) struct Burg {
    order: usize,
    /// What the model does not tell, forwards and backwards; at first the values.
    forward: Vec<Lanes>,
    backward: Vec<Lanes>,
    /// The coefficients, from lag 1 on; those of one order less beside them.
    coefficients: Vec<Lanes>,
    before: Vec<Lanes>,
    /// The mean square of what the model does not tell.
    error: Lanes,
}

impl Burg {
    /// For so many rows.
    pub(super) fn new(order: usize, rows: usize) -> Self {
        let (rows, coefficients) = (vec![[0.0; LANES]; rows], vec![[0.0; LANES]; order]);
        Self {
            order,
            forward: rows.clone(),
            backward: rows,
            before: coefficients.clone(),
            coefficients,
            error: [0.0; LANES],
        }
    }

    /// Fits the models to rows, less their mean: as many as it was built for, the older ones first.
    pub(super) fn fit(&mut self, older: &[Lanes], newer: &[Lanes]) {
        let count = self.forward.len().max(1) as f64;
        let mean =
            older.iter().chain(newer).fold([0.0; LANES], |sum, row| each(sum, row, |sum, value| sum + value));
        let mean = mean.map(|sum| sum / count);
        for (kept, row) in self.forward.iter_mut().zip(older.iter().chain(newer)) {
            *kept = each(*row, &mean, |value, mean| value - mean);
        }
        self.backward.copy_from_slice(&self.forward);
        let square = |sum, row: &Lanes| each(sum, row, |sum, value| sum + value * value);
        self.error = self.forward.iter().fold([0.0; LANES], square).map(|sum| sum / count);
        for order in 1..=self.order {
            let reflection = self.reflection(order);
            self.raise(order, &reflection);
        }
    }

    /// The reflection coefficient of an order: the one that leaves least, forwards and backwards.
    fn reflection(&self, order: usize) -> Lanes {
        let (mut products, mut squares) = ([0.0; LANES], [0.0; LANES]);
        for (forward, backward) in self.forward.iter().skip(order).zip(&self.backward) {
            products = each(products, &each(*forward, backward, |one, other| one * other), |sum, product| {
                sum + product
            });
            let square = each(*forward, backward, |one, other| one * one + other * other);
            squares = each(squares, &square, |sum, square| sum + square);
        }
        // nothing is left where there is no square; and rounding must not put a pole outside the unit circle
        let share = |product: f64, square: f64| {
            if square > 0.0 { (-2.0 * product / square).clamp(-1.0, 1.0) } else { 0.0 }
        };
        each(products, &squares, share)
    }

    /// The models of an order, from those of one less.
    fn raise(&mut self, order: usize, reflection: &Lanes) {
        self.before.copy_from_slice(&self.coefficients);
        let lower = order.saturating_sub(1);
        let mirrored = self.before.iter().take(lower).rev();
        let mut coefficients = self.coefficients.iter_mut();
        for (coefficient, mirrored) in coefficients.by_ref().take(lower).zip(mirrored) {
            let added = each(*mirrored, reflection, |other, reflection| reflection * other);
            *coefficient = each(*coefficient, &added, |coefficient, added| coefficient + added);
        }
        if let Some(coefficient) = coefficients.next() {
            *coefficient = *reflection;
        }
        self.error =
            each(self.error, reflection, |error, reflection| error * (1.0 - reflection * reflection));
        // row n forwards goes with row n - 1 backwards, whose successor takes its place
        for (forward, backward) in self.forward.iter_mut().skip(order).zip(&mut self.backward) {
            let (one, other) = (*forward, *backward);
            *forward = each(one, &each(other, reflection, |other, by| by * other), |one, part| one + part);
            *backward = each(other, &each(one, reflection, |one, by| by * one), |other, part| other + part);
        }
    }

    /// The spectrum of each channel at a frequency, of which `turns` are the cosine and the sine of each lag: its power in an
    /// interval is this times the interval's share of the rate.
    pub(super) fn density(&self, turns: &[[f64; 2]]) -> Lanes {
        let (mut real, mut imaginary) = ([1.0; LANES], [0.0; LANES]);
        for (coefficient, [cosine, sine]) in self.coefficients.iter().zip(turns) {
            real = each(real, coefficient, |sum, coefficient| sum + coefficient * cosine);
            imaginary = each(imaginary, coefficient, |sum, coefficient| sum + coefficient * sine);
        }
        let size = each(real, &imaginary, |real, imaginary| real * real + imaginary * imaginary);
        // nothing left over, of a channel that stands still, is nothing at any frequency
        each(self.error, &size, |error, size| if error > 0.0 { error / size } else { 0.0 })
    }
}
