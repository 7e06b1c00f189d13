//! The discriminative measurement update: what f(x) and Q(x) say about the intent, as information J, h.
//!
//! Burkhart et al., Neural Computation 2020, eq. 2.7 (thesis 2019, sec. 2.2): with `M = A Sigma A' + G` and marginal S,
//!
//! ```text
//! standard    Sigma' = (Q^-1 + M^-1 - S^-1)^-1     mu' = Sigma' (Q^-1 f + M^-1 A mu)     J = Q^-1 - S^-1   h = Q^-1 f
//! robust      Sigma' = (Q^-1 + M^-1)^-1            same mean                             J = Q^-1          h = Q^-1 f
//! clipped     as standard, generalised eigenvalues of (Q, S) clipped at 1 - 1e-3
//! augmented   as standard; where J is not positive definite, Q := (Q^-1 + S^-1)^-1:      J = Q^-1          h = (Q^-1 + S^-1) f
//! ```
//!
//! Where J is not positive definite, `standard` takes the robust form in that step (thesis, sec. 2.2, footnote).
//! Fallbacks, clippings and augmentations are all counted as `fallback`.

use crate::options::Form;
use crate::small_matrix::{
    Square, add_scaled, cholesky, eigen, gram, identity, inverse, product, product_transposed, solve_lower,
    symmetric, transposed, zeros,
};

/// Largest generalised eigenvalue of (Q, S) that the clipped form lets stand.
const CLIP: f64 = 1.0 - 1e-3;

/// What one Q amounts to: information `J`, and the matrix that makes `h = weight f`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Measured<const D: usize> {
    pub(crate) information: Square<D>,
    pub(crate) weight: Square<D>,
    pub(crate) fallback: bool,
}

/// A [`Form`] with what it needs of the marginal covariance S.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Discriminator<const D: usize> {
    form: Form,
    /// S^-1.
    marginal_inverse: Square<D>,
    /// C^-1, where S = C C'.
    whitening: Square<D>,
}

impl<const D: usize> Discriminator<D> {
    /// `None` where S is not positive definite.
    pub(crate) fn new(form: Form, marginal: &Square<D>) -> Option<Self> {
        let whitening = solve_lower(&cholesky(marginal)?, &identity());
        Some(Self { form, marginal_inverse: gram(&whitening), whitening })
    }

    /// What Q says; `None` where it is not positive definite.
    pub(crate) fn measure(&self, q: &Square<D>) -> Option<Measured<D>> {
        let precision = inverse(q)?;
        if self.form == Form::Robust {
            return Some(Measured { information: precision, weight: precision, fallback: false });
        }
        if self.form == Form::Clipped {
            return Some(self.clipped(q, &precision));
        }
        let difference = add_scaled(&precision, -1.0, &self.marginal_inverse);
        if cholesky(&difference).is_some() {
            return Some(Measured { information: difference, weight: precision, fallback: false });
        }
        let weight = match self.form {
            Form::Augmented => add_scaled(&precision, 1.0, &self.marginal_inverse),
            _ => precision,
        };
        Some(Measured { information: precision, weight, fallback: true })
    }

    fn clipped(&self, q: &Square<D>, precision: &Square<D>) -> Measured<D> {
        let whitened = symmetric(&product_transposed(&product(&self.whitening, q), &self.whitening));
        let (values, vectors) = eigen(&whitened);
        if values.iter().all(|&value| value <= CLIP) {
            let information = add_scaled(precision, -1.0, &self.marginal_inverse);
            return Measured { information, weight: *precision, fallback: false };
        }
        // With V the eigenvectors, B = V' C^-1: Q'^-1 = B' diag(1 / v) B and J = B' diag(1 / v - 1) B.
        let basis = product(&transposed(&vectors), &self.whitening);
        let mut information = zeros();
        let mut weight = zeros();
        for (value, direction) in values.iter().zip(&basis) {
            let inverse = 1.0 / value.min(CLIP);
            for row in 0..D {
                for column in 0..D {
                    let entry = direction[row] * direction[column];
                    weight[row][column] += inverse * entry;
                    information[row][column] += (inverse - 1.0) * entry;
                }
            }
        }
        Measured { information, weight, fallback: true }
    }
}
