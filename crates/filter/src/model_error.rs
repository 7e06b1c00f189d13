//! Why a model cannot be run.

/// Why a model cannot be run; each says what is wrong with which part.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum ModelError {
    /// A tensor has another shape than the others ask for.
    #[error("{tensor} is {found}, but the rest of the model asks for {expected}")]
    Shape {
        /// Which tensor.
        tensor: &'static str,
        /// Its shape, rows x columns.
        found: String,
        /// The shape that would fit.
        expected: String,
    },
    /// A tensor holds NaN or infinity.
    #[error("{tensor} holds {value} in row {row}, column {column} (counted from 0)")]
    NotFinite {
        /// Which tensor.
        tensor: &'static str,
        /// Row, from 0.
        row: usize,
        /// Column, from 0.
        column: usize,
        /// The value.
        value: f64,
    },
    /// A covariance is not one.
    #[error("{tensor} is not symmetric positive {}", if *.strict { "definite" } else { "semidefinite" })]
    NotPositive {
        /// Which tensor.
        tensor: &'static str,
        /// Whether zero eigenvalues are refused as well.
        strict: bool,
    },
    /// A number is out of its range.
    #[error("{name} is {value}, but has to be {expected}")]
    OutOfRange {
        /// Which number.
        name: &'static str,
        /// Its value.
        value: f64,
        /// What would be right.
        expected: &'static str,
    },
    /// A component of the intent has no name.
    #[error("component {index} (counted from 0) has no name")]
    NamelessComponent {
        /// Its place.
        index: usize,
    },
    /// Two components of the intent have one name, so nobody could tell them apart.
    #[error("two components are called {name:?}; each needs a name of its own")]
    RepeatedComponent {
        /// The name.
        name: String,
    },
    /// A running z-score without the training statistics that it starts from.
    #[error("the option `running-zscore` needs a z-score to start from, and the model has none")]
    NothingToFollow,
    /// The law behind the labels makes no sense.
    #[error(
        "label_law: time_constant_s has to be from 0.001 to 60 s, max_speed above 0 and at most 1e6, skip_ms and lag_ms from 0 \
         to 600000 ms"
    )]
    LabelLaw,
    /// The header names one decoder and the tensors belong to another.
    #[error("the header says `{header}`, but the tensors are those of {parameters}")]
    WrongParameters {
        /// The header's decoder.
        header: &'static str,
        /// What the tensors are.
        parameters: String,
    },
}
