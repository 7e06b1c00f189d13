//! Why an LSL outlet could not be made, or refused a sample.

use kalmind_types::NumberFormat;

/// Why the outlets could not be made.
#[derive(Debug, thiserror::Error)]
pub enum LslError {
    /// liblsl refused (an empty name, or no sockets and threads to be had).
    #[error("the LSL outlet {outlet:?} could not be made: {source}")]
    Create {
        /// Which.
        outlet: String,
        /// What liblsl says.
        source: lsl::Error,
    },
    /// liblsl refused a sample.
    #[error("the LSL outlet {outlet:?} refused a sample: {source}")]
    Push {
        /// Which.
        outlet: String,
        /// What liblsl says.
        source: lsl::Error,
    },
    /// LSL carries 64-bit integers on some machines only.
    #[error(
        "the LSL outlet {outlet:?} cannot have the number format {format:?}: use float32, double64, int8, int16 or int32"
    )]
    Format {
        /// Which.
        outlet: String,
        /// The format asked for.
        format: NumberFormat,
    },
    /// A channel was named that there is not.
    #[error("the LSL outlet {outlet:?} cannot have a channel {label:?}: there are {known}")]
    UnknownChannel {
        /// Which.
        outlet: String,
        /// The label asked for.
        label: String,
        /// Those that there are.
        known: String,
    },
    /// An empty list of channels.
    #[error(
        "the LSL outlet {outlet:?} has an empty list of channels: name some, or leave the list out for all"
    )]
    NoChannels {
        /// Which.
        outlet: String,
    },
    /// A scale or an offset that does not fit the channels.
    #[error(
        "the LSL outlet {outlet:?} has the scale or offset {numbers}: use one finite number, or one for each of its \
         {channels} channels"
    )]
    Scale {
        /// Which.
        outlet: String,
        /// What was asked for.
        numbers: String,
        /// Channels of the outlet.
        channels: usize,
    },
    /// The system gave no thread.
    #[error("the LSL publisher's thread could not be started: {0}")]
    Thread(#[from] std::io::Error),
    /// The thread ended before its outlets were made.
    #[error("the LSL publisher's thread ended before it was ready")]
    Ended,
}
