//! numpy's `.npz`: a zip of `.npy` arrays, stored as they are.
//!
//! Sources: numpy's format of arrays, version 1.0 (numpy.lib.format); APPNOTE.TXT of PKWARE, sections 4.3.7, 4.3.12, 4.3.16.

use std::io::{self, Write};

use flate2::Crc;

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
}

impl Array<'_> {
    /// The array as an `.npy` file.
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
    let too_large =
        |_| io::Error::other("the arrays are larger than 4 GiB: write a CSV, or fewer recordings");
    let (mut directory, mut offset, mut count) = (Vec::new(), 0_u64, 0_u16);
    for (name, array) in arrays {
        let name = format!("{name}.npy");
        let bytes = array.npy();
        let size = u32::try_from(bytes.len()).map_err(too_large)?;
        let at = u32::try_from(offset).map_err(too_large)?;
        let mut crc = Crc::new();
        crc.update(&bytes);
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
        offset += (local.len() + bytes.len()) as u64;
        count += 1;
    }
    let at = u32::try_from(offset).map_err(too_large)?;
    let mut end = b"PK\x05\x06\x00\x00\x00\x00".to_vec();
    end.extend([count, count].map(u16::to_le_bytes).concat());
    end.extend([directory.len() as u32, at].map(u32::to_le_bytes).concat());
    end.extend([0_u8; 2]);
    file.write_all(&directory)?;
    file.write_all(&end)
}
