//! What a window of raw samples shows of one channel.

/// Frequencies of power lines, each with its first harmonic.
const LINES: [[f64; 2]; 2] = [[50.0, 100.0], [60.0, 120.0]];

/// Sines and cosines of the power lines' frequencies, a pair for each row of a window.
#[derive(Clone, Debug)]
pub(super) struct LineTables {
    /// For each row, cosine and sine of the four frequencies; zeros for one above what the rate can show.
    rows: Vec<[f64; 8]>,
}

impl LineTables {
    pub(super) fn new(rate_hz: f64, rows: usize) -> Self {
        let row = |row: usize| {
            let mut pairs = [0.0; 8];
            for (pair, hz) in pairs.as_chunks_mut::<2>().0.iter_mut().zip(LINES.iter().flatten()) {
                if *hz < 0.45 * rate_hz {
                    let angle = 2.0 * core::f64::consts::PI * hz * row as f64 / rate_hz;
                    *pair = [libm::cos(angle), libm::sin(angle)];
                }
            }
            pairs
        };
        Self { rows: (0..rows).map(row).collect() }
    }

    pub(super) fn row(&self, row: usize) -> &[f64; 8] {
        self.rows.get(row).unwrap_or(&[0.0; 8])
    }
}

/// What is added up over a window of one channel's values.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sums {
    last: f64,
    /// Equal values in a row, up to the last one: not forgotten between windows.
    run: u32,
    max: f64,
    min: f64,
    at_max: u32,
    at_min: u32,
    /// Values in runs that are too long for a living channel.
    still: u32,
    unusable: u32,
    /// Squares of the steps from one value to the next.
    steps: f64,
    /// The first value of the window, so that a large offset costs no precision, and the sum of the group at work.
    origin: f64,
    group: f64,
    /// Sum and squares of the groups' means, and their sums with the tables' rows.
    sum: f64,
    squares: f64,
    lines: [f64; 8],
    /// Spikes.
    pub(super) spikes: f64,
}

/// What the sums come to.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Measures {
    /// Parts of the window: no numbers, standing still, at the highest or lowest value.
    pub(super) unusable: f64,
    pub(super) still: f64,
    pub(super) at_ends: f64,
    /// Root mean square of the steps from one value to the next: broadband noise, whatever the offset and slow waves.
    pub(super) noise: f64,
    /// Highest less lowest value.
    pub(super) spread: f64,
    /// Standard deviation, and the part of the variance at the frequencies of a power line, of values averaged to 1 kHz.
    pub(super) deviation: f64,
    pub(super) line: f64,
    /// Mean and last value.
    pub(super) mean: f64,
    pub(super) last: f64,
    pub(super) spikes: f64,
}

impl Sums {
    pub(super) fn new() -> Self {
        Self {
            last: f64::NAN,
            run: 0,
            max: f64::NEG_INFINITY,
            min: f64::INFINITY,
            at_max: 0,
            at_min: 0,
            still: 0,
            unusable: 0,
            steps: 0.0,
            origin: f64::NAN,
            group: 0.0,
            sum: 0.0,
            squares: 0.0,
            lines: [0.0; 8],
            spikes: 0.0,
        }
    }

    /// Begins another window.
    pub(super) fn begin(&mut self) {
        *self = Self { last: self.last, run: self.run, ..Self::new() };
    }

    /// A value; a run of more than `longest` equal ones is no living channel's.
    pub(super) fn add(&mut self, value: f64, usable: bool, longest: u32) {
        // not the first of all, nor the first of a window: they have no origin
        if self.origin.is_nan() {
            self.origin = value;
            if self.last.is_nan() {
                self.last = value;
            }
        }
        let step = value - self.last;
        self.last = value;
        self.steps += step * step;
        self.run = if step == 0.0 { self.run.saturating_add(1) } else { 0 };
        self.still = self.still.saturating_add(u32::from(self.run >= longest));
        self.unusable = self.unusable.saturating_add(u32::from(!usable));
        let (above, below) = (value > self.max, value < self.min);
        self.at_max = if above { 1 } else { self.at_max.saturating_add(u32::from(value >= self.max)) };
        self.at_min = if below { 1 } else { self.at_min.saturating_add(u32::from(value <= self.min)) };
        self.max = if above { value } else { self.max };
        self.min = if below { value } else { self.min };
        self.group += value - self.origin;
    }

    /// A group of so many values is whole.
    pub(super) fn end_group(&mut self, values: f64, table: &[f64; 8]) {
        let mean = self.group / values;
        self.group = 0.0;
        self.sum += mean;
        self.squares += mean * mean;
        for (sum, factor) in self.lines.iter_mut().zip(table) {
            *sum += mean * factor;
        }
    }

    /// What a window of so many values in so many groups comes to.
    pub(super) fn measures(&self, values: f64, groups: f64) -> Measures {
        let mean = self.sum / groups;
        let variance = (self.squares / groups - mean * mean).max(0.0);
        let power = |line: &[f64; 4]| line.iter().map(|sum| sum * sum).sum::<f64>() * 2.0 / (groups * groups);
        let [first, second] = self.lines.as_chunks::<4>().0 else { return Measures::default() };
        let line = power(first).max(power(second));
        Measures {
            unusable: f64::from(self.unusable) / values,
            still: f64::from(self.still) / values,
            at_ends: f64::from(self.at_max.saturating_add(self.at_min)) / values,
            noise: libm::sqrt(self.steps / values),
            spread: self.max - self.min,
            deviation: libm::sqrt(variance),
            line: if variance > 0.0 { line / variance } else { 0.0 },
            mean: self.origin + mean,
            last: self.last,
            spikes: self.spikes,
        }
    }
}
