//! numpy's `.npz`: a zip of `.npy` arrays, stored as they are.
//!
//! Sources: numpy's format of arrays, version 1.0 (numpy.lib.format); APPNOTE.TXT of PKWARE, sections 4.3.7, 4.3.12, 4.3.16.

use std::{
    fs::File,
    io::{self, BufWriter, Read as _, Seek as _, Write},
    path::Path,
};

use flate2::Crc;

/// Bytes that a zip of this kind has room for.
const MOST_BYTES: u64 = u32::MAX as u64;

/// Rows of numbers that are kept in a file without a name until they are written as an [`Array`]: memory does not grow with them.
/// The file is gone with the process, however that ends.
#[derive(Debug)]
pub struct SpooledRows {
    file: BufWriter<File>,
    columns: usize,
    bytes: u64,
    crc: Crc,
}

impl SpooledRows {
    /// None yet, of so many columns, in a file in this folder.
    ///
    /// # Errors
    /// Where there can be no such file.
    pub fn begin(folder: &Path, columns: usize) -> io::Result<Self> {
        let file = BufWriter::with_capacity(1 << 18, tempfile::tempfile_in(folder)?);
        Ok(Self { file, columns, bytes: 0, crc: Crc::new() })
    }

    /// Appends a row.
    ///
    /// # Errors
    /// Where the disk is full; or more than a file of this kind can hold.
    pub fn push(&mut self, row: &[f64]) -> io::Result<()> {
        for value in row {
            let bytes = value.to_le_bytes();
            self.crc.update(&bytes);
            self.file.write_all(&bytes)?;
        }
        self.bytes += size_of_val(row) as u64;
        if self.bytes > MOST_BYTES { Err(too_large()) } else { Ok(()) }
    }

    /// The rows as an array.
    ///
    /// # Errors
    /// Where the disk is full.
    pub fn array(&mut self) -> io::Result<Array<'_>> {
        self.file.flush()?;
        Ok(Array::Spooled(self))
    }
}

fn too_large() -> io::Error {
    io::Error::other("the arrays are larger than 4 GiB: write a CSV, or fewer recordings")
}

/// An array of a file.
#[derive(Clone, Copy, Debug)]
pub enum Array<'a> {
    /// 64-bit floating point; row by row where it has columns.
    Numbers {
        /// The values.
        values: &'a [f64],
        /// Values of a row.
        columns: Option<usize>,
    },
    /// Texts.
    Texts(&'a [String]),
    /// True and false.
    Flags(&'a [bool]),
    /// Whole numbers.
    Counts(&'a [u32]),
    /// 64-bit floating point, row by row.
    Spooled(&'a SpooledRows),
}

impl Array<'_> {
    /// The array as an `.npy` file, but for what stands in a file already.
    fn npy(self) -> Vec<u8> {
        let (kind, count, columns) = match self {
            Self::Numbers { values, columns: Some(columns) } => {
                ("<f8".to_owned(), values.len() / columns.max(1), Some(columns))
            }
            Self::Numbers { values, columns: None } => ("<f8".to_owned(), values.len(), None),
            Self::Texts(texts) => {
                let longest = texts.iter().map(|text| text.chars().count()).max().unwrap_or(0).max(1);
                (format!("<U{longest}"), texts.len(), None)
            }
            Self::Flags(flags) => ("|b1".to_owned(), flags.len(), None),
            Self::Counts(counts) => ("<u4".to_owned(), counts.len(), None),
            Self::Spooled(SpooledRows { columns, bytes, .. }) => {
                let width = (columns.max(&1) * size_of::<f64>()) as u64;
                ("<f8".to_owned(), (bytes / width) as usize, Some(*columns))
            }
        };
        let shape = columns.map_or(format!("({count},)"), |columns| format!("({count}, {columns})"));
        let mut header = format!("{{'descr': '{kind}', 'fortran_order': False, 'shape': {shape}, }}");
        // the values begin at a multiple of 64 bytes
        while !(header.len() + 11).is_multiple_of(64) {
            header.push(' ');
        }
        header.push('\n');
        let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
        bytes.extend((header.len() as u16).to_le_bytes());
        bytes.extend(header.into_bytes());
        match self {
            Self::Numbers { values, .. } => values.iter().for_each(|value| bytes.extend(value.to_le_bytes())),
            Self::Texts(texts) => {
                let longest = texts.iter().map(|text| text.chars().count()).max().unwrap_or(0).max(1);
                for text in texts {
                    let characters = text.chars().map(u32::from).chain(core::iter::repeat(0));
                    characters.take(longest).for_each(|character| bytes.extend(character.to_le_bytes()));
                }
            }
            Self::Flags(flags) => bytes.extend(flags.iter().map(|flag| u8::from(*flag))),
            Self::Counts(counts) => counts.iter().for_each(|count| bytes.extend(count.to_le_bytes())),
            Self::Spooled(_) => {}
        }
        bytes
    }
}

/// Writes arrays with their names.
///
/// # Errors
/// What the writer says; or an array, or all of them, larger than a zip of this kind can be (4 GiB).
pub fn write_npz<'a>(
    mut file: impl Write,
    arrays: impl IntoIterator<Item = (&'a str, Array<'a>)>,
) -> io::Result<()> {
    let (mut directory, mut offset, mut count) = (Vec::new(), 0_u64, 0_u16);
    for (name, array) in arrays {
        let name = format!("{name}.npy");
        let bytes = array.npy();
        let rest = if let Array::Spooled(rows) = array { Some(rows) } else { None };
        let length = bytes.len() as u64 + rest.map_or(0, |rows| rows.bytes);
        let size = u32::try_from(length).map_err(|_larger| too_large())?;
        let at = u32::try_from(offset).map_err(|_larger| too_large())?;
        let mut crc = Crc::new();
        crc.update(&bytes);
        if let Some(rows) = rest {
            crc.combine(&rows.crc);
        }
        // version 1.0, no flags, stored, 1980-01-01
        let mut common = [10_u16, 0, 0, 0, 0x21].map(u16::to_le_bytes).concat();
        common.extend([crc.sum(), size, size].map(u32::to_le_bytes).concat());
        common.extend([name.len() as u16, 0].map(u16::to_le_bytes).concat());
        let local = [b"PK\x03\x04".as_slice(), &common, name.as_bytes()].concat();
        directory.extend([b"PK\x01\x02".as_slice(), &10_u16.to_le_bytes(), &common].concat());
        directory.extend([0_u8; 10]);
        directory.extend(at.to_le_bytes());
        directory.extend(name.into_bytes());
        file.write_all(&local)?;
        file.write_all(&bytes)?;
        if let Some(rows) = rest {
            let mut spooled = rows.file.get_ref();
            spooled.rewind()?;
            io::copy(&mut spooled.take(rows.bytes), &mut file)?;
        }
        offset += local.len() as u64 + length;
        count += 1;
    }
    let at = u32::try_from(offset).map_err(|_larger| too_large())?;
    let mut end = b"PK\x05\x06\x00\x00\x00\x00".to_vec();
    end.extend([count, count].map(u16::to_le_bytes).concat());
    end.extend([directory.len() as u32, at].map(u32::to_le_bytes).concat());
    end.extend([0_u8; 2]);
    file.write_all(&directory)?;
    file.write_all(&end)
}
