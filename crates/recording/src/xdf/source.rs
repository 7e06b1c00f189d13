//! A recording's file as bytes: as it is, or unpacked where gzip packed it (`.xdfz`, `.xdf.gz`).

use std::{
    fs::File,
    io::{self, BufReader, Cursor, Read, Seek, SeekFrom},
    path::Path,
};

use flate2::read::MultiGzDecoder;

/// How much is read at once; more where more is asked for. No more, so that samples which are passed over are not read.
const BUFFER: usize = 1 << 14;
/// The most bytes that are unpacked: they are held in memory.
const MAX_UNPACKED: u64 = 4 << 30;

/// Why a file cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// The system refuses.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// It is packed, and too large to be unpacked in memory.
    #[error("it is packed with gzip and larger than {} GB: unpack it with `gunzip`", MAX_UNPACKED >> 30)]
    TooLarge,
}

/// The bytes of a recording.
#[derive(Debug)]
pub enum Source {
    /// A file.
    File(BufReader<File>),
    /// What gzip had packed.
    Unpacked {
        /// The bytes.
        bytes: Cursor<Vec<u8>>,
        /// What was wrong with the packed file: the bytes are those up to there.
        problem: Option<String>,
    },
}

impl Source {
    /// Opens a file: itself and the number of its bytes.
    ///
    /// # Errors
    /// [`SourceError`].
    pub fn open(path: &Path) -> Result<(Self, u64), SourceError> {
        let mut file = BufReader::with_capacity(BUFFER, File::open(path)?);
        let mut magic = [0; 2];
        let packed = match file.read_exact(&mut magic) {
            Ok(()) => magic == [0x1f, 0x8b],
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => false,
            Err(error) => return Err(error.into()),
        };
        file.rewind()?;
        if !packed {
            let length = file.get_ref().metadata()?.len();
            return Ok((Self::File(file), length));
        }
        let mut bytes = Vec::new();
        let unpacked = MultiGzDecoder::new(file).take(MAX_UNPACKED + 1).read_to_end(&mut bytes);
        let length = bytes.len() as u64;
        if length > MAX_UNPACKED {
            return Err(SourceError::TooLarge);
        }
        let problem = unpacked.err().map(|error| {
            format!("the file is packed with gzip and damaged: {length} bytes could be unpacked ({error})")
        });
        Ok((Self::Unpacked { bytes: Cursor::new(bytes), problem }, length))
    }

    /// Whether it had to be unpacked.
    #[must_use]
    pub fn is_packed(&self) -> bool {
        matches!(self, Self::Unpacked { .. })
    }

    /// What was wrong with a packed file.
    #[must_use]
    pub fn problem(&self) -> Option<&str> {
        match self {
            Self::File(_) => None,
            Self::Unpacked { problem, .. } => problem.as_deref(),
        }
    }
}

impl Read for Source {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::File(file) => file.read(buffer),
            Self::Unpacked { bytes, .. } => bytes.read(buffer),
        }
    }
}

impl Seek for Source {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        match self {
            Self::File(file) => file.seek(to),
            Self::Unpacked { bytes, .. } => bytes.seek(to),
        }
    }

    fn seek_relative(&mut self, distance: i64) -> io::Result<()> {
        match self {
            Self::File(file) => file.seek_relative(distance),
            Self::Unpacked { bytes, .. } => bytes.seek_relative(distance),
        }
    }
}
