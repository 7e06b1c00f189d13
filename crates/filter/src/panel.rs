//! The Gaussian kernel's points, and how near a query is to each of them: points in lanes, features along memory.
//!
//! A query x and points `p_i`, all relative to the points' medians and multiplied by per-feature scales, have
//! `-|x - p_i|^2 / 2 = x . p_i - |p_i|^2 / 2 - |x|^2 / 2`. The similarity `s_i = x . p_i - |p_i|^2 / 2` takes one
//! multiplication and addition a feature; the last term is the same for all points.
//!
//! What costs time is reading the points, so they are kept twice. All are compared in 32 bits: fixed-point numbers whose
//! step is 2^-31 of a feature's largest value (about 100 times finer than 32-bit floating point for most values),
//! multiplied and summed in 64 bits. The error of a similarity then has a bound, at most the distance times half the
//! length of the vector of steps. Where a user's kernel is so narrow that the bound exceeds 2.5e-7 in its logarithm,
//! panels that can matter are compared again in 64 bits (see [`PanelPoints::ascertain`]). That happens with
//! outliers among the points or a query far from all of them. Where every panel matters it reads three times the memory:
//! 5000 points of 10 features take two and a half times as long, 20000 of 96, which then leave the caches, up to ten.

use nalgebra::DMatrix;

use crate::kernel_path::{KernelPath, compiled_for_each_path};

/// Points in one panel.
pub const PANEL: usize = 32;
/// Largest error of a kernel's logarithm.
const TOLERANCE: f64 = 2.5e-7;
/// Scaled features beyond this count as this: sums of their squares stay finite for any finite input.
const FARTHEST: f64 = 1e150;
/// Half the steps from zero to a feature's largest value.
const STEPS: f64 = 2_147_483_647.0;

/// Points of a kernel regression, in panels, and their similarity to the last query.
#[derive(Clone, Debug)]
pub struct PanelPoints {
    path: KernelPath,
    centre: Vec<f64>,
    scales: Vec<f64>,
    /// Panel by panel, feature by feature, 32 points: in steps, and exactly.
    panels: Vec<[i32; PANEL]>,
    exact: Vec<[f64; PANEL]>,
    steps: Vec<f64>,
    /// Length of the vector of half steps, and of the longest point.
    step_length: f64,
    longest: f64,
    /// `-|p_i|^2 / 2`, minus infinity for lanes without a point.
    half_norms: Vec<[f64; PANEL]>,
    query: Query,
    similarities: Vec<[f64; PANEL]>,
    greatest: f64,
    /// Panels compared exactly; there are some once similarities are relative to the nearest point.
    ascertained: Vec<bool>,
    relative: bool,
}

/// A query and what is computed from it.
#[derive(Clone, Debug)]
struct Query {
    values: Vec<f64>,
    /// In the points' steps.
    stepped: Vec<f64>,
    squared_length: f64,
    /// The nearest point a, and `2 x - a`.
    nearest: Vec<f64>,
    mirrored: Vec<f64>,
    /// The greatest similarity in 32 bits, and what makes a similarity `-|x - p_i|^2 / 2`.
    greatest: f64,
    to_kernel: f64,
}

impl PanelPoints {
    /// Rows of `points` as kernel centres; `scales` of ones where `None`.
    pub fn new(points: &DMatrix<f64>, scales: Option<&[f64]>, path: KernelPath) -> Self {
        let (count, inputs) = points.shape();
        let panel_count = count.div_ceil(PANEL);
        let scales = scales.map_or_else(|| vec![1.0; inputs], <[f64]>::to_vec);
        let mut centre = vec![0.0; inputs];
        let mut steps = vec![0.0; inputs];
        let mut panels = vec![[0; PANEL]; panel_count * inputs];
        let mut exact = vec![[0.0; PANEL]; panel_count * inputs];
        let mut squares = vec![[f64::INFINITY; PANEL]; panel_count];
        squares.as_flattened_mut()[..count].fill(0.0);
        for (input, column) in points.column_iter().enumerate() {
            let mut sorted: Vec<f64> = column.iter().copied().collect();
            let (_, median, _) = sorted.select_nth_unstable_by(count / 2, f64::total_cmp);
            centre[input] = *median;
            let scaled = |value: &f64| scaled(*value, centre[input], scales[input]);
            let largest = column.iter().map(|value| scaled(value).abs()).fold(0.0, f64::max);
            let step = largest / STEPS;
            steps[input] = step;
            for (point, value) in column.iter().map(scaled).enumerate() {
                let at = point / PANEL * inputs + input;
                // zero where all are (0 / 0), and saturating
                let stepped = (value / step).round() as i32;
                panels[at][point % PANEL] = stepped;
                exact[at][point % PANEL] = value;
                squares[point / PANEL][point % PANEL] += (f64::from(stepped) * step).powi(2);
            }
        }
        let longest = squares.as_flattened()[..count].iter().copied().fold(0.0, f64::max).sqrt();
        Self {
            path,
            centre,
            scales,
            panels,
            exact,
            // a thousandth more, for what is rounded on the way
            step_length: 0.5005 * steps.iter().map(|step| step * step).sum::<f64>().sqrt(),
            steps,
            longest,
            half_norms: squares.iter().map(|squares| squares.map(|square| -0.5 * square)).collect(),
            query: Query {
                values: vec![0.0; inputs],
                stepped: vec![0.0; inputs],
                squared_length: 0.0,
                nearest: vec![0.0; inputs],
                mirrored: vec![0.0; inputs],
                greatest: f64::NEG_INFINITY,
                to_kernel: 0.0,
            },
            similarities: vec![[f64::NEG_INFINITY; PANEL]; panel_count],
            greatest: f64::NEG_INFINITY,
            ascertained: vec![false; panel_count],
            relative: false,
        }
    }

    /// Compares `query` with every point. Real-time.
    pub fn compare(&mut self, query: &[f64]) {
        self.query.squared_length = 0.0;
        for (input, value) in query.iter().enumerate().take(self.steps.len()) {
            let value = scaled(*value, self.centre[input], self.scales[input]);
            self.query.values[input] = value;
            self.query.stepped[input] = value * self.steps[input];
            self.query.squared_length += value * value;
        }
        self.query.to_kernel = -0.5 * self.query.squared_length;
        self.greatest = similarities(
            self.path,
            &self.panels,
            &self.half_norms,
            &self.query.stepped,
            &mut self.similarities,
        );
        self.query.greatest = self.greatest;
        self.ascertained.fill(false);
        self.relative = false;
    }

    /// Leaves point `point` out of the comparison just made.
    pub fn leave_out(&mut self, point: usize) {
        self.similarities[point / PANEL][point % PANEL] = f64::NEG_INFINITY;
        self.greatest = greatest(&self.similarities);
        self.query.greatest = self.greatest;
    }

    /// Makes the comparison right within `TOLERANCE` for a kernel `exp(precision s)` whose values below
    /// `e^negligible` of the largest do not matter. Real-time.
    pub fn ascertain(&mut self, precision: f64, negligible: f64) {
        let reach = -negligible / precision;
        let error = self.error_bound(reach);
        if error * precision <= TOLERANCE || !self.query.greatest.is_finite() {
            return;
        }
        if !self.relative {
            self.become_relative();
        }
        // an error without bound lets every panel matter
        let least = -(reach + 2.0 * error);
        let inputs = self.steps.len();
        for (panel, (similarities, ascertained)) in
            self.similarities.iter_mut().zip(&mut self.ascertained).enumerate()
        {
            if *ascertained || similarities.iter().all(|similarity| *similarity < least) {
                continue;
            }
            *ascertained = true;
            let points = &self.exact[panel * inputs..(panel + 1) * inputs];
            differences(self.path, points, &self.query.nearest, &self.query.mirrored, similarities);
        }
        self.greatest = greatest(&self.similarities);
    }

    /// How far a similarity may be off, of points whose similarity is at most `reach` less than the greatest.
    fn error_bound(&self, reach: f64) -> f64 {
        let query = &self.query;
        let distance = (query.squared_length - 2.0 * (query.greatest - reach)).max(0.0).sqrt();
        let rounding = f64::EPSILON * (self.steps.len() + 4) as f64;
        self.step_length * (distance + self.step_length)
            + rounding * self.longest * (query.squared_length.sqrt() + self.longest)
    }

    /// Subtracts the similarity of the nearest point, in 32 bits, from all.
    fn become_relative(&mut self) {
        let (inputs, greatest) = (self.steps.len(), self.query.greatest);
        let found = self.similarities.as_flattened().iter().position(|similarity| *similarity >= greatest);
        let nearest = found.unwrap_or_default();
        let query = &mut self.query;
        let mut squared_distance = 0.0;
        for input in 0..inputs {
            let point = self.exact[nearest / PANEL * inputs + input][nearest % PANEL];
            let value = query.values[input];
            query.nearest[input] = point;
            query.mirrored[input] = value + (value - point);
            squared_distance += (value - point) * (value - point);
        }
        query.to_kernel = -0.5 * squared_distance;
        for similarity in self.similarities.as_flattened_mut() {
            *similarity -= greatest;
        }
        self.greatest = 0.0;
        self.relative = true;
    }

    /// Similarities panel by panel, minus infinity for lanes without a point.
    pub fn similarities(&self) -> &[[f64; PANEL]] {
        &self.similarities
    }

    /// The greatest similarity.
    pub fn greatest(&self) -> f64 {
        self.greatest
    }

    /// What to add to a similarity to make it `-|x - p_i|^2 / 2`.
    pub fn to_kernel(&self) -> f64 {
        self.query.to_kernel
    }
}

/// `(value - centre) scale`, finite for any finite numbers.
fn scaled(value: f64, centre: f64, scale: f64) -> f64 {
    ((value - centre).clamp(-f64::MAX, f64::MAX) * scale).clamp(-FARTHEST, FARTHEST)
}

fn greatest(similarities: &[[f64; PANEL]]) -> f64 {
    similarities.as_flattened().iter().copied().fold(f64::NEG_INFINITY, f64::max)
}

/// `a b + c`, fused or not.
#[expect(clippy::inline_always, reason = "it has to be compiled into the loops of each kernel path")]
#[inline(always)]
pub fn multiply_add<const FUSED: bool>(a: f64, b: f64, c: f64) -> f64 {
    if FUSED { a.mul_add(b, c) } else { a * b + c }
}

compiled_for_each_path! {
    /// Fills `similarities` and gives the greatest.
    fn similarities(
        panels: &[[i32; PANEL]],
        half_norms: &[[f64; PANEL]],
        query: &[f64],
        similarities: &mut [[f64; PANEL]],
    ) -> f64 = similarity_loops
}

#[expect(clippy::inline_always, reason = "it has to be compiled into each kernel path")]
#[inline(always)]
fn similarity_loops<const FUSED: bool>(
    panels: &[[i32; PANEL]],
    half_norms: &[[f64; PANEL]],
    query: &[f64],
    similarities: &mut [[f64; PANEL]],
) -> f64 {
    let mut greatest = [f64::NEG_INFINITY; PANEL];
    for ((panel, half_norms), similarities) in
        panels.chunks_exact(query.len()).zip(half_norms).zip(similarities)
    {
        let mut sums = *half_norms;
        for (points, &value) in panel.iter().zip(query) {
            for lane in 0..PANEL {
                sums[lane] = multiply_add::<FUSED>(f64::from(points[lane]), value, sums[lane]);
            }
        }
        for lane in 0..PANEL {
            greatest[lane] = if sums[lane] > greatest[lane] { sums[lane] } else { greatest[lane] };
        }
        *similarities = sums;
    }
    greatest.into_iter().fold(f64::NEG_INFINITY, |most, value| if value > most { value } else { most })
}

compiled_for_each_path! {
    /// Similarities of a panel relative to that of the nearest point a, with `b = 2 x - a`:
    /// `(|x - a|^2 - |x - p|^2) / 2 = (p - a) . (b - p) / 2`, which keeps its digits for points far from the query and
    /// near each other. Lanes without a point keep minus infinity.
    fn differences(
        panel: &[[f64; PANEL]],
        nearest: &[f64],
        mirrored: &[f64],
        similarities: &mut [f64; PANEL],
    ) = difference_loops
}

#[expect(clippy::inline_always, reason = "it has to be compiled into each kernel path")]
#[inline(always)]
fn difference_loops<const FUSED: bool>(
    panel: &[[f64; PANEL]],
    nearest: &[f64],
    mirrored: &[f64],
    similarities: &mut [f64; PANEL],
) {
    let mut sums = [0.0; PANEL];
    for (points, (nearest, mirrored)) in panel.iter().zip(nearest.iter().zip(mirrored)) {
        for lane in 0..PANEL {
            sums[lane] = multiply_add::<FUSED>(points[lane] - nearest, mirrored - points[lane], sums[lane]);
        }
    }
    for lane in 0..PANEL {
        let there = similarities[lane] > f64::NEG_INFINITY;
        similarities[lane] = if there { 0.5 * sums[lane] } else { f64::NEG_INFINITY };
    }
}
