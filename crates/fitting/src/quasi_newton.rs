//! Minimisation of smooth functions of up to some hundred parameters: limited-memory BFGS (Nocedal and Wright, Numerical
//! Optimization, 2006, alg. 7.4) with a step that is shortened until the function falls enough.

/// Steps that the curvature is learnt from.
const MEMORY: usize = 10;
/// A step has to bring this part of the fall that the gradient promises (Armijo).
const SUFFICIENT: f64 = 1e-4;
/// How often a step is shortened before the search ends.
const SHORTENINGS: usize = 20;
/// No parameter moves further in one step; parameters are logarithms.
const LONGEST: f64 = 1.0;
/// The search ends where a step brings less than this part of the value.
const CONVERGED: f64 = 1e-6;

/// Where a search ended.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Minimum {
    pub(crate) parameters: Vec<f64>,
    pub(crate) value: f64,
    /// Steps taken.
    pub(crate) steps: usize,
}

/// Goes down from `start` for at most `steps` steps. `evaluate` gives value and gradient, `None` where the function is
/// not defined; `None` is returned where it is not defined at the start. Once `proceed` says no the search ends.
pub(crate) fn minimise(
    start: Vec<f64>,
    steps: usize,
    mut evaluate: impl FnMut(&[f64]) -> Option<(f64, Vec<f64>)>,
    mut proceed: impl FnMut(usize) -> bool,
) -> Option<Minimum> {
    let (mut value, mut gradient) = evaluate(&start)?;
    let mut parameters = start;
    let mut past = Past::default();
    for taken in 0..steps {
        if !proceed(taken) {
            return Some(Minimum { parameters, value, steps: taken });
        }
        let mut direction = past.direction(&gradient);
        let mut slope = dot(&direction, &gradient);
        if slope >= 0.0 {
            past = Past::default();
            direction = past.direction(&gradient);
            slope = dot(&direction, &gradient);
        }
        let longest = direction.iter().fold(0.0_f64, |longest, entry| longest.max(entry.abs()));
        if longest == 0.0 || !slope.is_finite() {
            return Some(Minimum { parameters, value, steps: taken });
        }
        let mut length = (LONGEST / longest).min(1.0);
        let mut accepted = None;
        for _shortening in 0..SHORTENINGS {
            let moved: Vec<f64> =
                parameters.iter().zip(&direction).map(|(from, step)| from + length * step).collect();
            match evaluate(&moved) {
                Some((next, next_gradient)) if next <= value + SUFFICIENT * length * slope => {
                    accepted = Some((moved, next, next_gradient));
                    break;
                }
                _ => length *= 0.5,
            }
        }
        let Some((moved, next, next_gradient)) = accepted else {
            return Some(Minimum { parameters, value, steps: taken });
        };
        past.remember(&parameters, &gradient, &moved, &next_gradient);
        let fall = value - next;
        (parameters, value, gradient) = (moved, next, next_gradient);
        if fall <= CONVERGED * value.abs() {
            return Some(Minimum { parameters, value, steps: taken + 1 });
        }
    }
    Some(Minimum { parameters, value, steps })
}

/// The last steps, oldest first: how the parameters and the gradient changed.
#[derive(Default)]
struct Past {
    steps: Vec<(Vec<f64>, Vec<f64>)>,
}

impl Past {
    /// Minus the inverse curvature times the gradient, by the two-loop recursion.
    fn direction(&self, gradient: &[f64]) -> Vec<f64> {
        let mut direction: Vec<f64> = gradient.iter().map(|entry| -entry).collect();
        let mut shares = Vec::with_capacity(self.steps.len());
        for (step, change) in self.steps.iter().rev() {
            let share = dot(step, &direction) / dot(step, change);
            add(&mut direction, -share, change);
            shares.push(share);
        }
        if let Some((step, change)) = self.steps.last() {
            let scale = dot(step, change) / dot(change, change);
            for entry in &mut direction {
                *entry *= scale;
            }
        }
        for ((step, change), share) in self.steps.iter().zip(shares.into_iter().rev()) {
            let rest = share - dot(change, &direction) / dot(step, change);
            add(&mut direction, rest, step);
        }
        direction
    }

    fn remember(&mut self, from: &[f64], gradient: &[f64], to: &[f64], next_gradient: &[f64]) {
        let difference = |next: &[f64], last: &[f64]| -> Vec<f64> {
            next.iter().zip(last).map(|(next, last)| next - last).collect()
        };
        let (step, change) = (difference(to, from), difference(next_gradient, gradient));
        // a step along which the gradient did not rise says nothing of a minimum
        if dot(&step, &change) > 1e-10 * dot(&change, &change) {
            if self.steps.len() == MEMORY {
                self.steps.remove(0);
            }
            self.steps.push((step, change));
        }
    }
}

fn dot(left: &[f64], right: &[f64]) -> f64 {
    left.iter().zip(right).map(|(left, right)| left * right).sum()
}

fn add(to: &mut [f64], factor: f64, what: &[f64]) {
    for (to, what) in to.iter_mut().zip(what) {
        *to += factor * what;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Rosenbrock's valley, minimum 0 at (1, 1).
    fn valley(at: &[f64]) -> (f64, Vec<f64>) {
        let (x, y) = (at[0], at[1]);
        let across = y - x * x;
        (
            100.0 * across * across + (1.0 - x) * (1.0 - x),
            vec![-400.0 * across * x - 2.0 * (1.0 - x), 200.0 * across],
        )
    }

    #[test]
    fn the_end_of_a_curved_valley_is_found() {
        let found = minimise(vec![-1.2, 1.0], 100, |at| Some(valley(at)), |_| true).unwrap();
        assert!((found.parameters[0] - 1.0).abs() < 1e-3 && (found.parameters[1] - 1.0).abs() < 1e-3);
        assert!(found.steps < 100);
    }

    #[test]
    fn steps_stay_where_the_function_is_defined() {
        // x - ln x, minimum 1 at 1, defined above 0
        let function = |at: &[f64]| (at[0] > 0.0).then(|| (at[0] - at[0].ln(), vec![1.0 - 1.0 / at[0]]));
        let found = minimise(vec![20.0], 50, function, |_| true).unwrap();
        assert!((found.parameters[0] - 1.0).abs() < 1e-2);
        assert_eq!(minimise(vec![-1.0], 50, function, |_| true), None);
    }

    #[test]
    fn no_steps_and_flat_functions_leave_the_start() {
        assert_eq!(
            minimise(vec![3.0, 4.0], 0, |at| Some(valley(at)), |_| true).unwrap().parameters,
            [3.0, 4.0]
        );
        assert_eq!(minimise(vec![3.0], 9, |_| Some((1.0, vec![0.0])), |_| true).unwrap().steps, 0);
        assert_eq!(minimise(vec![3.0, 4.0], 9, |at| Some(valley(at)), |taken| taken < 2).unwrap().steps, 2);
    }
}
