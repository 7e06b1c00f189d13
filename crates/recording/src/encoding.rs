//! Texts of other programs' files, in whatever encoding they are: what was assumed is said, and no letter is replaced in
//! silence.

use std::borrow::Cow;

use encoding_rs::{Encoding, UTF_8, UTF_16BE, UTF_16LE, WINDOWS_1252};

/// How a text was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reading {
    /// As it should be, or as was asked for.
    Plain,
    /// It is not UTF-8, and nobody said what it is: in this encoding.
    Assumed(&'static Encoding),
    /// In the encoding that was named, which lacks some of its bytes: U+FFFD stands for them.
    Misfits(&'static Encoding),
}

/// A text: in the encoding that was named; else in UTF-8, in UTF-16 where a mark says so, or in windows-1252, in which every
/// byte is a letter.
pub(crate) fn decoded<'a>(bytes: &'a [u8], named: Option<&'static Encoding>) -> (Cow<'a, str>, Reading) {
    if let Some(encoding) = named {
        let (text, misfits) = encoding.decode_without_bom_handling(bytes);
        return (text, if misfits { Reading::Misfits(encoding) } else { Reading::Plain });
    }
    if let Ok(text) = core::str::from_utf8(bytes) {
        return (Cow::Borrowed(text), Reading::Plain);
    }
    if let Some((encoding, mark)) = Encoding::for_bom(bytes).filter(|(encoding, _)| *encoding != UTF_8) {
        let (text, misfits) = encoding.decode_without_bom_handling(bytes.get(mark..).unwrap_or_default());
        if !misfits {
            return (text, Reading::Assumed(encoding));
        }
    }
    (WINDOWS_1252.decode_without_bom_handling(bytes).0, Reading::Assumed(WINDOWS_1252))
}

/// An encoding's name, for people.
pub(crate) fn name(encoding: &'static Encoding) -> &'static str {
    if encoding == WINDOWS_1252 { "windows-1252 (Latin-1)" } else { encoding.name() }
}

/// A text of XML: in the encoding that it declares, or in another one where it cannot be that; and what had to be assumed,
/// a sentence each. `named` is what undeclared texts are in that are not UTF-8.
pub(crate) fn xml(bytes: &[u8], named: Option<&'static Encoding>) -> (String, Vec<String>) {
    let mut remarks = Vec::new();
    if let Some((encoding, mark)) = utf_16(bytes) {
        let (text, misfits) = encoding.decode_without_bom_handling(bytes.get(mark..).unwrap_or_default());
        remarks.push(format!(
            "its text is {}{}",
            encoding.name(),
            if misfits { ", and some of it cannot be read (U+FFFD stands for it)" } else { "" }
        ));
        return (text.into_owned(), remarks);
    }
    if let Some(label) = declared(bytes) {
        match Encoding::for_label_no_replacement(label.as_bytes()) {
            Some(encoding) if encoding == UTF_8 => {}
            Some(encoding) if encoding == UTF_16LE || encoding == UTF_16BE => {
                remarks.push(format!("it declares {label}, and its text is not that"));
            }
            Some(encoding) => {
                let (text, misfits) = encoding.decode_without_bom_handling(bytes);
                if !misfits {
                    return (text.into_owned(), remarks);
                }
                remarks.push(format!("it declares {label}, and has bytes that are nothing in it"));
            }
            None => remarks.push(format!("it declares the encoding {label:?}, which is not known")),
        }
    }
    let (text, reading) = decoded(bytes, named.filter(|_| core::str::from_utf8(bytes).is_err()));
    match reading {
        Reading::Plain => {
            let utf_8 = core::str::from_utf8(bytes).is_ok();
            let read_as = named.filter(|_| !utf_8).unwrap_or(UTF_8).name();
            for remark in &mut remarks {
                *remark = format!("{remark}: it was read as {read_as}");
            }
        }
        Reading::Assumed(encoding) => remarks.push(format!(
            "its text is not UTF-8 and was read as {}; --encoding names another one",
            name(encoding)
        )),
        Reading::Misfits(encoding) => remarks.push(format!(
            "it has bytes that are nothing in {} (U+FFFD stands for them): is the encoding another one?",
            encoding.name()
        )),
    }
    (text.trim_start_matches('\u{feff}').to_owned(), remarks)
}

/// Whether XML is UTF-16: by its mark, or by the zeros around its first letter. With the length of the mark.
fn utf_16(bytes: &[u8]) -> Option<(&'static Encoding, usize)> {
    match bytes {
        [0xff, 0xfe, ..] => Some((UTF_16LE, 2)),
        [0xfe, 0xff, ..] => Some((UTF_16BE, 2)),
        [b'<', 0, ..] => Some((UTF_16LE, 0)),
        [0, b'<', ..] => Some((UTF_16BE, 0)),
        _ => None,
    }
}

/// The name of the encoding in an XML declaration.
fn declared(bytes: &[u8]) -> Option<&str> {
    let end = bytes.windows(2).take(200).position(|two| two == b"?>")?;
    let declaration = core::str::from_utf8(bytes.get(..end)?).ok()?;
    let rest = declaration.split("encoding").nth(1)?.trim_start().strip_prefix('=')?.trim_start();
    let quote = rest.chars().next().filter(|quote| matches!(quote, '"' | '\''))?;
    rest.get(1..)?.split(quote).next()
}

#[cfg(test)]
mod tests {
    use encoding_rs::{GBK, SHIFT_JIS};

    use super::*;

    fn utf_16le(text: &str) -> Vec<u8> {
        text.encode_utf16().flat_map(u16::to_le_bytes).collect()
    }

    #[test]
    fn texts_are_read_as_what_they_are_or_what_was_named() {
        assert_eq!(decoded("grün".as_bytes(), None), ("grün".into(), Reading::Plain));
        assert_eq!(decoded(b"gr\xfcn", None), ("grün".into(), Reading::Assumed(WINDOWS_1252)));
        assert_eq!(decoded(b"\x8aJ\x8en", Some(SHIFT_JIS)), ("開始".into(), Reading::Plain));
        assert_eq!(decoded(b"\x8aJ\x8e", Some(SHIFT_JIS)).1, Reading::Misfits(SHIFT_JIS));
        let marked = [&[0xff, 0xfe], utf_16le("grün").as_slice()].concat();
        assert_eq!(decoded(&marked, None), ("grün".into(), Reading::Assumed(UTF_16LE)));
    }

    #[test]
    fn xml_is_read_by_what_it_is_before_what_it_declares() {
        let read = |bytes: &[u8]| {
            let (text, remarks) = xml(bytes, None);
            (text.rsplit("?>").next().unwrap_or_default().to_owned(), remarks.join("; "))
        };
        let with = |declared: &str| format!("<?xml version='1.0' encoding='{declared}'?><a>ü</a>");
        let (text, told) = read(&utf_16le(&with("UTF-16")));
        assert_eq!((text.as_str(), told.as_str()), ("<a>ü</a>", "its text is UTF-16LE"));
        let big: Vec<u8> = utf_16le(&with("UTF-16")).chunks(2).flat_map(|two| [two[1], two[0]]).collect();
        assert_eq!(read(&[&[0xfe, 0xff], big.as_slice()].concat()).0, "<a>ü</a>");
        let (text, told) = read(with("utf-16").as_bytes());
        assert!(text == "<a>ü</a>" && told.ends_with("not that: it was read as UTF-8"), "{told}");
        let (text, told) = read(with("klingon").as_bytes());
        assert!(text == "<a>ü</a>" && told.contains("\"klingon\", which is not known"), "{told}");
        let (text, told) = read(with("Shift_JIS").replace('ü', "üあ").as_bytes());
        assert!(text.contains('ü') && told.contains("nothing in it: it was read as UTF-8"), "{told}");
        let chinese = GBK.encode("<?xml version='1.0' encoding='GBK'?><a>脑电</a>").0;
        assert_eq!(read(&chinese), ("<a>脑电</a>".to_owned(), String::new()));
        let (text, remarks) = xml(b"<a>\x94]\x94g</a>", Some(SHIFT_JIS));
        assert!(text == "<a>脳波</a>" && remarks.is_empty(), "{remarks:?}");
        assert!(xml(b"<a>\x94</a>", Some(SHIFT_JIS)).1[0].contains("U+FFFD"));
    }
}
