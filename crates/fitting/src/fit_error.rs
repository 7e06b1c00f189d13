//! Why a fit failed, and what to do.

/// Why a fit failed, and what to do.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum FitError {
    /// Features and states pair row by row.
    #[error(
        "{features} rows of features but {states} rows of states: give one state row for every feature row"
    )]
    RowsDiffer {
        /// Rows of features.
        features: usize,
        /// Rows of states.
        states: usize,
    },
    /// The mask has one entry a row.
    #[error("the mask of measurement rows has {mask} entries for {rows} rows: give one a row")]
    MaskLength {
        /// Its length.
        mask: usize,
        /// Rows.
        rows: usize,
    },
    /// Intents have one to eight components.
    #[error("{found} state columns: an intent has 1 to 8 components, so choose that many columns")]
    Dimension {
        /// State columns.
        found: usize,
    },
    /// There is no feature.
    #[error("no feature columns: give at least one")]
    NoFeatures,
    /// The background has one value a feature.
    #[error("the background has {found} values for {features} features: give one a feature")]
    Background {
        /// Its length.
        found: usize,
        /// Features.
        features: usize,
    },
    /// A value is NaN or infinite.
    #[error(
        "{table}: {value} in row {row}, column {column} (counted from 0); leave the row out or repair it"
    )]
    NotFinite {
        /// `features`, `states` or `task`.
        table: &'static str,
        /// Row, from 0.
        row: usize,
        /// Column, from 0.
        column: usize,
        /// The value.
        value: f64,
    },
    /// Too little to learn from.
    #[error(
        "{found} {what}, but this decoder needs at least {needed}: record longer, or use fewer features or lags"
    )]
    TooFewRows {
        /// What there is too little of.
        what: &'static str,
        /// How many there are.
        found: usize,
        /// How many it takes.
        needed: usize,
    },
    /// More features or components are asked for than there are.
    #[error("`{option}={wanted}`, but there are {found} features to take them from: give at most {found}")]
    TooFewFeatures {
        /// The option.
        option: &'static str,
        /// What it says.
        wanted: usize,
        /// Features that there are.
        found: usize,
    },
    /// Principal components would take too long.
    #[error(
        "`pca` of {found} features, but those of more than {most} take minutes: give `select` at most {most} as well"
    )]
    TooManyFeatures {
        /// Features.
        found: usize,
        /// The most.
        most: usize,
    },
    /// Every feature is constant.
    #[error(
        "no feature column moves over the training rows, so there is nothing to decode from: check the sender, the \
         columns and the rows"
    )]
    NothingMoves,
    /// A state never moves (or only together with others).
    #[error(
        "state column {column} is constant or a combination of the others, so nothing can be learnt of it: leave it \
         out, or train on rows in which it moves by itself"
    )]
    CollinearStates {
        /// Column, from 0.
        column: usize,
    },
    /// The states would run away.
    #[error(
        "the state model is unstable (spectral radius {radius:.6}): the states run away over the training rows; use \
         velocities instead of positions, or train on a longer recording"
    )]
    Unstable {
        /// Largest modulus of an eigenvalue of A.
        radius: f64,
    },
    /// The states follow from their past without any noise.
    #[error(
        "the state model leaves no noise in state column {column}: it follows from the past exactly, and a filter \
         would stop listening; leave the column out, or label the states so that they change at targets"
    )]
    NoProcessNoise {
        /// Column, from 0.
        column: usize,
    },
    /// A feature is exactly a function of others.
    #[error(
        "feature column {column} repeats others or follows from the states without noise: leave it out, or use \
         `wiener` or `dkf-linear` with a `ridge`"
    )]
    SingularObservationNoise {
        /// Column, from 0.
        column: usize,
    },
    /// A regression has no unique solution.
    #[error(
        "the regression has no unique solution: column {column} of its inputs is constant or follows from others; \
         leave it out, or set `ridge` above 0"
    )]
    SingularRegression {
        /// Column of the window, from 0.
        column: usize,
    },
    /// Levenberg-Marquardt would take too long.
    #[error(
        "`optimizer=levenberg-marquardt` with {weights} weights a network, but more than {most} take minutes a step: \
         use fewer `hidden` or `lags`, or `optimizer=adam`"
    )]
    TooManyWeights {
        /// Weights of one network.
        weights: usize,
        /// The most that are tried.
        most: usize,
    },
    /// A network moves a state of order 1.
    #[error(
        "`dynamics` other than `linear` move a state of order 1, but `state-order` is {order}: leave one of the two out"
    )]
    DynamicsOrder {
        /// The order asked for.
        order: usize,
    },
    /// The budget ended before a candidate was fitted.
    #[error("the budget ended before it was fitted: give --budget more seconds")]
    OutOfTime,
    /// No kernel width works.
    #[error(
        "no kernel width predicts held-out rows: the features never move; check the streams and the columns"
    )]
    NoBandwidth,
    /// Intentions are turned toward targets, and there are none.
    #[error(
        "`refit-kalman` turns intentions toward the targets and {problem}: give the task's rows with --task (trial, \
         target, cursor, hold), or use `kalman`"
    )]
    NoTargets {
        /// What is missing.
        problem: &'static str,
    },
    /// Turning takes a plane.
    #[error(
        "`refit-kalman` takes the first two state columns as velocities in x and y, and there is {found}: give both, or \
         use `kalman`"
    )]
    NoPlane {
        /// State columns.
        found: usize,
    },
    /// The cursor's position cannot be told from the rest.
    #[error(
        "the cursor does not move over the rows with a target, or its position follows from the intentions, so that \
         nothing can be learnt of its feedback: leave `feedback=position` out, or record with a moving cursor"
    )]
    CollinearCursor,
    /// The task has one row a bin.
    #[error("the task has {task} rows for {rows} rows of features: give one a row")]
    TaskRows {
        /// Rows of the task.
        task: usize,
        /// Rows.
        rows: usize,
    },
    /// An earlier fit's hyperparameters cannot be kept.
    #[error("the hyperparameters of the earlier fit cannot be kept: {problem}; fit without them")]
    OtherHyperparameters {
        /// What does not fit.
        problem: String,
    },
    /// Nothing is left over on held-out rows, so the noise is no covariance.
    #[error(
        "held-out residuals of state column {column} are zero or follow from others: the states repeat the features, \
         or the rows repeat each other"
    )]
    NoResiduals {
        /// Column, from 0.
        column: usize,
    },
}
