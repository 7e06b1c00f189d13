//! What a reader of windows is, and the order in which its calls come.

use core::fmt::Debug;

/// The most values that are read from a window.
pub const MAX_VALUES: usize = 1024;

/// The windows that a reader is given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WindowShape {
    /// Names of the values of a sample.
    pub channels: Vec<String>,
    /// Samples of a window.
    pub samples: usize,
}

/// Why a reader cannot be built.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct ReaderError(pub(super) String);

/// Makes a few numbers of a window of samples: a pure function of its settings and of the window's rows, however they are cut
/// into runs.
///
/// The life of a reader, in order:
/// 1. It is built from its settings and the shape of its windows, on any thread; everything that it will ever need is
///    allocated then. [`names`](Self::names) holds from then on.
/// 2. For each window [`begin`](Self::begin), [`row`](Self::row) for each of its samples in their order, and
///    [`finish`](Self::finish), on the tick: no allocation, lock, clock, log or panic. A window with a value that is not
///    finite is not finished: what follows is the next `begin`.
pub trait WindowReader: Debug + Send {
    /// Names of the values that are read, at most [`MAX_VALUES`].
    fn names(&self) -> &[String];

    /// Forgets the window before.
    fn begin(&mut self);

    /// Takes a sample: finite values, one a channel.
    fn row(&mut self, values: &[f64]);

    /// Writes what the window says, a value a name.
    fn finish(&mut self, values: &mut [f64]);
}

/// A kind of reader, as the registry knows it.
pub(super) trait ReaderKind: WindowReader + Sized {
    /// What is configured of it.
    type Settings;
    /// The name by which configurations call it.
    const NAME: &'static str;
    /// What it reads, in a sentence.
    const ABOUT: &'static str;
    /// The reader of windows of this shape.
    fn build(settings: &Self::Settings, shape: &WindowShape) -> Result<Self, ReaderError>;
    /// Settings that work for any window: the documentation's example, and what the conformance test runs.
    fn example() -> Self::Settings;
}
