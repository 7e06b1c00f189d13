//! Why an EDF or BDF file cannot be read.

/// The largest file that is read.
pub const MAX_EDF_BYTES: u64 = 8 << 30;

/// What is wrong with a file, and where.
#[derive(Debug, thiserror::Error)]
pub enum EdfError {
    /// It cannot be read.
    #[error("the file cannot be read: {0}")]
    Io(#[from] std::io::Error),
    /// It is larger than is read.
    #[error("the file has {0} bytes, more than the {MAX_EDF_BYTES} that are read: cut it into shorter ones")]
    TooLarge(u64),
    /// It is no EDF or BDF file.
    #[error("this is no EDF or BDF file: it does not begin with the version of one")]
    NotEdf,
    /// A field of the header that cannot be, and without which nothing can be read.
    #[error("the header's {field} at byte {offset} is {found:?}, where {expected} is expected")]
    Field {
        /// The field.
        field: &'static str,
        /// Where it stands.
        offset: usize,
        /// What stands there.
        found: String,
        /// What would be right.
        expected: &'static str,
    },
    /// The file ends before its header does.
    #[error("the header says it has {expected} bytes, and the file has {found}: it was cut off")]
    ShortHeader {
        /// Bytes of the header.
        expected: usize,
        /// Bytes of the file.
        found: usize,
    },
}
