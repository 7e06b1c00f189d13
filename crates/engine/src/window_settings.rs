//! Windows at events, as they are configured: how they are cut, and what is read from them.

use kalmind_filter::{ReaderError, ReaderSettings, WindowReader, WindowShape};
use kalmind_types::Seconds;
use serde::{Deserialize, Serialize};

/// How the windows of one kind are cut.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct WindowCut {
    /// From which stream.
    pub stream: u16,
    /// How long after its marker a window begins; may be negative.
    pub offset: Seconds,
    /// Its number of samples.
    pub count: u32,
}

/// Why nothing can be read from a window.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("window \"{name}\": {error}")]
pub struct WindowError {
    /// The window's name.
    pub name: String,
    /// What is wrong.
    pub error: ReaderError,
}

/// Windows of one kind: at which markers, from which stream, how long, and what is read from them. A recording keeps it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WindowSettings {
    /// What results are called by.
    pub name: String,
    /// The markers that it is cut at.
    pub texts: Vec<String>,
    /// Which stream, in the configuration's order.
    pub stream: u16,
    /// The values of the stream's samples.
    pub channels: Vec<String>,
    /// How long after its marker it begins; may be negative.
    pub offset: Seconds,
    /// Its number of samples.
    pub count: u32,
    /// What is read from it.
    pub reader: ReaderSettings,
}

impl WindowSettings {
    /// What is read from it, with everything that this will ever need.
    ///
    /// # Errors
    /// [`WindowError`] where the reader's settings cannot be used, or not for such windows.
    pub fn reader(&self) -> Result<Box<dyn WindowReader>, WindowError> {
        let shape = WindowShape { channels: self.channels.clone(), samples: self.count as usize };
        let wrong = |error: ReaderError| WindowError { name: self.name.clone(), error };
        self.reader.build(&shape).map_err(wrong)
    }

    /// How it is cut.
    #[must_use]
    pub fn cut(&self) -> WindowCut {
        WindowCut { stream: self.stream, offset: self.offset, count: self.count }
    }
}
