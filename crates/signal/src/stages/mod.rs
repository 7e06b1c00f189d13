//! Stages: what is done to a stream's samples before they are cut into bins. A file for each, and the registry of them all.
//!
//! A [`DerivedStream`] is fed with raw samples and gives those of the derived stream; between the two stands a [`Chain`] of
//! stages. To add a stage: a file here that implements [`StageKind`](stage::StageKind) for a type of its own, with its
//! settings, and a line in the registry below. Configuration, documentation and the conformance tests follow from that.
#![deny(
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic
)]

mod arrays;
mod burg;
mod butterworth;
mod chain;
mod channel_health;
mod channels;
mod derived;
mod given;
mod left_out;
mod rows;
mod sections;
mod settling;
mod stage;
mod state;
mod succession;
mod weights;
mod wide;
mod windows;

use serde::{Deserialize, Serialize};

pub use chain::{Chain, ChainError, ChainSettings};
pub use channel_health::ChannelHealth;
pub use channels::ChannelName;
pub use derived::{DerivedCounts, DerivedStream};
pub use filter::{FilterKind, Frequencies};
pub use given::{Given, InputLog};
pub use reference::ReferenceKind;
pub use rows::{Mark, Row, Rows};
pub use settling::Settling;
pub use stage::{Signal, Stage, StageError};
pub use state::{StateError, StateReader, StateWriter};
pub use succession::StagedError;

use stage::StageKind;

/// A kind of stage, as documents show it.
#[derive(Clone, Copy, Debug)]
pub struct StageEntry {
    /// The name by which configurations call it.
    pub name: &'static str,
    /// What it does, in a sentence.
    pub about: &'static str,
    /// Settings that work for any signal.
    pub example: fn() -> StageSettings,
}

/// Declares every stage: its file, the type in it and its settings.
macro_rules! registry {
    ($($Kind:ident, $Settings:ident => $file:ident),+ $(,)?) => {
        $(mod $file;)+
        $(pub use $file::$Settings;)+

        /// One stage of a chain, as it is configured: `stage` says which, and the other keys are its own.
        #[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
        #[serde(tag = "stage", rename_all = "snake_case")]
        #[expect(missing_docs, reason = "the variants are the stages, documented where they are")]
        pub enum StageSettings {
            $($Kind($Settings)),+
        }

        /// Every stage there is.
        pub const STAGES: &[StageEntry] = &[$(StageEntry {
            name: <$file::$Kind as StageKind>::NAME,
            about: <$file::$Kind as StageKind>::ABOUT,
            example: || StageSettings::$Kind(<$file::$Kind as StageKind>::example()),
        }),+];

        impl StageSettings {
            /// The name by which configurations call the stage.
            pub fn name(&self) -> &'static str {
                match self {
                    $(Self::$Kind(_) => <$file::$Kind as StageKind>::NAME),+
                }
            }

            /// The stage of this name with these settings; none where there is no such stage.
            pub fn named<'de, D: serde::Deserializer<'de>>(
                name: &str,
                settings: D,
            ) -> Option<Result<Self, D::Error>> {
                $(if name == <$file::$Kind as StageKind>::NAME {
                    return Some(<$Settings as Deserialize>::deserialize(settings).map(Self::$Kind));
                })+
                None
            }

            /// What the stage does with its settings, in a few words.
            pub fn summary(&self) -> String {
                match self {
                    $(Self::$Kind(settings) => <$file::$Kind as StageKind>::summary(settings)),+
                }
            }

            /// The stage, for a signal.
            ///
            /// # Errors
            /// When a setting cannot be used, or not for this signal.
            pub fn build(&self, input: &Signal) -> Result<Box<dyn Stage>, StageError> {
                match self {
                    $(Self::$Kind(settings) => {
                        <$file::$Kind as StageKind>::build(settings, input)
                            .map(|stage| -> Box<dyn Stage> { Box::new(stage) })
                    })+
                }
            }
        }
    };
}

registry! {
    Identity, IdentitySettings => identity,
    Iir, IirSettings => iir,
    IirBackward, IirBackwardSettings => iir_backward,
    Blank, BlankSettings => blank,
    Filter, FilterSettings => filter,
    Reference, ReferenceSettings => reference,
    Rectify, RectifySettings => rectify,
    ArSpectrum, ArSpectrumSettings => ar_spectrum,
    Decimate, DecimateSettings => decimate,
    Power, PowerSettings => power,
    Spikes, SpikesSettings => spikes,
}
