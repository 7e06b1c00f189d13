//! What kind a file is, by its first bytes, and what Kalmind can do with it: a command that does not take a file says so
//! with a way out.

use std::{
    fs::File,
    io::{self, Read as _},
    path::Path,
};

use flate2::read::MultiGzDecoder;

/// Bytes that are looked at.
const HEAD: u64 = 4096;

/// A kind of file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileKind {
    /// XDF, or XDF that gzip packed.
    Xdf {
        /// Whether it is packed.
        packed: bool,
    },
    /// EDF or EDF+.
    Edf,
    /// BDF or BDF+.
    Bdf,
    /// A model of Kalmind's, or another file of tensors.
    Safetensors,
    /// HDF5: NWB among others, and MATLAB's newer files.
    Hdf5,
    /// MATLAB's files before version 7.3.
    Matlab,
    /// A header of `BrainVision`.
    BrainVision,
    /// GDF.
    Gdf,
    /// FIF, of MNE.
    Fif,
    /// numpy's array.
    Npy,
    /// A ZIP archive: numpy's `.npz` among others.
    Zip,
    /// gzip, with something else than XDF in it.
    Gzip,
    /// Text: a table, perhaps.
    Text,
    /// Nothing in it.
    Empty,
    /// A folder.
    Folder,
    /// None of these.
    Unknown,
}

impl FileKind {
    /// The kind of a file.
    ///
    /// # Errors
    /// What the system says.
    pub fn of(path: &Path) -> io::Result<Self> {
        if path.is_dir() {
            return Ok(Self::Folder);
        }
        let mut head = Vec::new();
        File::open(path)?.take(HEAD).read_to_end(&mut head)?;
        if head.starts_with(&[0x1f, 0x8b]) {
            let mut first = Vec::new();
            // damaged or not, what could be unpacked decides
            let _damaged = MultiGzDecoder::new(head.as_slice()).take(HEAD).read_to_end(&mut first);
            return Ok(match Self::of_bytes(&first) {
                Self::Xdf { .. } => Self::Xdf { packed: true },
                // read as they are when they are not packed
                kind @ (Self::Edf | Self::Bdf | Self::Text) => kind,
                _ => Self::Gzip,
            });
        }
        Ok(Self::of_bytes(&head))
    }

    fn of_bytes(head: &[u8]) -> Self {
        const KINDS: [(&[u8], FileKind); 10] = [
            (b"XDF:", FileKind::Xdf { packed: false }),
            (b"\xffBIOSEMI", FileKind::Bdf),
            (b"\x89HDF\r\n\x1a\n", FileKind::Hdf5),
            (b"MATLAB 5.0 MAT-file", FileKind::Matlab),
            (b"Brain Vision ", FileKind::BrainVision),
            (b"BrainVision ", FileKind::BrainVision),
            (b"GDF ", FileKind::Gdf),
            (b"\x93NUMPY", FileKind::Npy),
            (b"PK\x03\x04", FileKind::Zip),
            (b"\x00\x00\x00\x64\x00\x00\x00\x1f", FileKind::Fif),
        ];
        if head.is_empty() {
            return Self::Empty;
        }
        if let Some((_, kind)) = KINDS.iter().find(|(magic, _)| head.starts_with(magic)) {
            return *kind;
        }
        // the version "0", padded with blanks, or with zeros by some
        let (version, _) = head.split_at(head.len().min(8));
        if head.len() >= 256
            && version.first() == Some(&b'0')
            && version.get(1..).is_some_and(|pad| pad.iter().all(|byte| matches!(byte, b' ' | 0)))
            // devices write dates in every way, and anonymised files none; the header's length, or the number of signals, is
            // a number
            && [184..192, 252..256].into_iter().any(|field| {
                head.get(field).is_some_and(|number| {
                    number.iter().all(|byte| byte.is_ascii_digit() || matches!(byte, b' ' | 0))
                        && number.iter().any(u8::is_ascii_digit)
                })
            })
        {
            return Self::Edf;
        }
        // the length of a JSON header, and the header
        if head.get(8) == Some(&b'{') && head.get(4..8).is_some_and(|high| high.iter().all(|byte| *byte == 0))
        {
            return Self::Safetensors;
        }
        let text = |byte: &u8| *byte >= 0x20 || matches!(byte, b'\t' | b'\n' | b'\r');
        if head.iter().all(text) { Self::Text } else { Self::Unknown }
    }

    /// What it is, with its article.
    #[must_use]
    pub fn describe(self) -> &'static str {
        match self {
            Self::Xdf { packed: false } => "an XDF file",
            Self::Xdf { packed: true } => "an XDF file packed with gzip",
            Self::Edf => "an EDF file",
            Self::Bdf => "a BDF file",
            Self::Safetensors => "a model file (safetensors)",
            Self::Hdf5 => "an HDF5 file (NWB, or MATLAB 7.3)",
            Self::Matlab => "a MATLAB file",
            Self::BrainVision => "a BrainVision header",
            Self::Gdf => "a GDF file",
            Self::Fif => "a FIF file",
            Self::Npy => "an array of numpy",
            Self::Zip => "a ZIP archive (numpy's .npz, perhaps)",
            Self::Gzip => "a file packed with gzip",
            Self::Text => "a text file",
            Self::Empty => "empty",
            Self::Folder => "a folder",
            Self::Unknown => "a file of a kind that Kalmind does not know",
        }
    }

    /// What can be done with it.
    #[must_use]
    pub fn ways(self) -> &'static str {
        match self {
            Self::Xdf { .. } => {
                "`kalmind recording info`, `check`, `repair` and `export` take it, and `kalmind replay --lsl` plays it"
            }
            Self::Edf | Self::Bdf => {
                "`kalmind recording info` and `export --csv FOLDER` take it; `kalmind fit --features FILE.csv` takes what export writes"
            }
            Self::Safetensors => "`kalmind replay --model`, `evaluate --model` and `[decoder] model` take it",
            Self::Hdf5 => "docs/nwb.md says how NWB becomes tables; of another file, save the arrays as CSV",
            Self::Matlab => {
                "save the arrays with writematrix(x, 'x.csv'); `kalmind fit --features x.csv` takes that"
            }
            Self::BrainVision | Self::Gdf | Self::Fif => {
                "MNE converts it: mne.io.read_raw(FILE).export('FILE.edf'); `kalmind recording export` takes EDF"
            }
            Self::Npy | Self::Zip => {
                "save the arrays with numpy.savetxt('x.csv', x, delimiter=','); `kalmind fit --features x.csv` takes that"
            }
            Self::Gzip => "unpack it with `gunzip`",
            Self::Text => "if it is a table, `kalmind fit --features FILE --states FILE` takes it",
            Self::Empty => "nothing was written to it",
            Self::Folder => "name one of the files in it",
            Self::Unknown => "XDF, EDF, BDF and CSV are read",
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    #[test]
    fn files_are_known_by_their_first_bytes() {
        let folder = tempfile::tempdir().expect("a folder");
        let of = |bytes: &[u8]| {
            let path = folder.path().join("file");
            std::fs::write(&path, bytes).expect("written");
            FileKind::of(&path).expect("readable")
        };
        let packed = |bytes: &[u8]| {
            let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
            encoder.write_all(bytes).expect("memory");
            encoder.finish().expect("memory")
        };
        assert_eq!(of(b"XDF:..."), FileKind::Xdf { packed: false });
        assert_eq!(of(&packed(b"XDF:...")), FileKind::Xdf { packed: true });
        assert_eq!(of(&packed(b"a,b\n1,2\n")), FileKind::Text);
        assert_eq!(of(&packed(b"\x93NUMPY")), FileKind::Gzip);
        let mut edf = vec![b' '; 256];
        edf[0] = b'0';
        edf[184..188].copy_from_slice(b"1024");
        assert_eq!(of(&edf), FileKind::Edf);
        edf[1..8].fill(0);
        assert_eq!(of(&edf), FileKind::Edf);
        assert_eq!(of(b"\xffBIOSEMI"), FileKind::Bdf);
        assert_eq!(of(b"time,a\n0,1\n"), FileKind::Text);
        assert_eq!(of(b""), FileKind::Empty);
        assert_eq!(of(&[7, 0, 1]), FileKind::Unknown);
        assert_eq!(FileKind::of(folder.path()).expect("readable"), FileKind::Folder);
    }
}
