//! Readers: what is made of a window of samples at an event. A file for each, and the registry of them all.
//!
//! To add a reader: a file here that implements [`ReaderKind`](reader::ReaderKind) for a type of its own, with its settings,
//! and a line in the registry below. Configuration, documentation and the conformance test follow from that.
#![deny(
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic
)]

mod reader;

use serde::{Deserialize, Serialize};

pub use reader::{MAX_VALUES, ReaderError, WindowReader, WindowShape};

use reader::ReaderKind;

/// A kind of reader, as documents show it.
#[derive(Clone, Copy, Debug)]
pub struct ReaderEntry {
    /// The name by which configurations call it.
    pub name: &'static str,
    /// What it reads, in a sentence.
    pub about: &'static str,
    /// Settings that work for any window.
    pub example: fn() -> ReaderSettings,
}

/// Declares every reader: its file, the type in it and its settings.
macro_rules! registry {
    ($($Kind:ident, $Settings:ident => $file:ident),+ $(,)?) => {
        $(mod $file;)+
        $(pub use $file::$Settings;)+

        /// A reader as it is configured: `reader` says which, and the other keys are its own.
        #[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
        #[serde(tag = "reader", rename_all = "snake_case")]
        #[expect(missing_docs, reason = "the variants are the readers, documented where they are")]
        pub enum ReaderSettings {
            $($Kind($Settings)),+
        }

        /// Every reader there is.
        pub const READERS: &[ReaderEntry] = &[$(ReaderEntry {
            name: <$file::$Kind as ReaderKind>::NAME,
            about: <$file::$Kind as ReaderKind>::ABOUT,
            example: || ReaderSettings::$Kind(<$file::$Kind as ReaderKind>::example()),
        }),+];

        impl ReaderSettings {
            /// The name by which configurations call the reader.
            #[must_use]
            pub fn name(&self) -> &'static str {
                match self {
                    $(Self::$Kind(_) => <$file::$Kind as ReaderKind>::NAME),+
                }
            }

            fn reader(&self, shape: &WindowShape) -> Result<Box<dyn WindowReader>, ReaderError> {
                match self {
                    $(Self::$Kind(settings) => {
                        <$file::$Kind as ReaderKind>::build(settings, shape)
                            .map(|reader| -> Box<dyn WindowReader> { Box::new(reader) })
                    })+
                }
            }
        }
    };
}

registry! {
    Mean, MeanSettings => mean,
}

impl ReaderSettings {
    /// The reader of windows of this shape.
    ///
    /// # Errors
    /// When a setting cannot be used, or not for these windows.
    pub fn build(&self, shape: &WindowShape) -> Result<Box<dyn WindowReader>, ReaderError> {
        let reader = self.reader(shape)?;
        let values = reader.names().len();
        if (1..=MAX_VALUES).contains(&values) {
            return Ok(reader);
        }
        Err(ReaderError(format!(
            "it reads {values} values from a window; from 1 to {MAX_VALUES} are possible"
        )))
    }
}
