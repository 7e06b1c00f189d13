//! What a source of rows is.

use std::path::Path;

use crate::{
    host::Host,
    tables::{Tables, TablesError},
};

/// Something that holds rows of features and states.
pub trait RowSource {
    /// The file that its rows are named after.
    fn path(&self) -> &Path;

    /// Reads its rows, all of them.
    ///
    /// # Errors
    /// [`TablesError`], with the file.
    fn rows(&self, host: &dyn Host) -> Result<Tables, TablesError>;
}
