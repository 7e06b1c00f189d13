//! What stands in a file, read by other code than what writes it.

use serde_json::Value;

use super::bench::CHANNELS;

/// A number of variable length, and what is behind it.
fn number(bytes: &[u8]) -> (u64, &[u8]) {
    let width = usize::from(bytes[0]);
    assert!([1, 4, 8].contains(&width), "a length of {width} bytes");
    let mut value = [0; 8];
    value[..width].copy_from_slice(&bytes[1..=width]);
    (u64::from_le_bytes(value), &bytes[1 + width..])
}

/// What stands in a file: texts by stream, samples of the input, footers. Panics where a chunk is not whole.
#[derive(Debug, Default)]
pub(super) struct Contents {
    pub(super) headers: Vec<u32>,
    pub(super) texts: Vec<(u32, Value)>,
    /// First values of the input's samples, and how many there are.
    pub(super) samples: Vec<f32>,
    pub(super) footers: Vec<(u32, String)>,
}

pub(super) const TICKS: u32 = 1;
pub(super) const EVENTS: u32 = 4;
pub(super) const RECORD: u32 = 5;
pub(super) const INPUT: u32 = 6;

pub(super) fn contents(file: &[u8]) -> Contents {
    let mut rest = file.strip_prefix(b"XDF:").expect("the magic");
    let mut contents = Contents::default();
    while !rest.is_empty() {
        let (length, behind) = number(rest);
        let (chunk, next) = behind.split_at(length as usize);
        rest = next;
        let tag = u16::from_le_bytes([chunk[0], chunk[1]]);
        if tag == 1 || tag == 5 {
            continue;
        }
        let id = u32::from_le_bytes(chunk[2..6].try_into().expect("four bytes"));
        let content = &chunk[6..];
        match tag {
            2 => contents.headers.push(id),
            3 => {
                assert!(contents.headers.contains(&id), "samples come after their header");
                let (count, mut content) = number(content);
                for _ in 0..count {
                    assert_eq!(content[0], 8, "every sample has a stamp");
                    content = &content[9..];
                    if matches!(id, TICKS | EVENTS | RECORD) {
                        let (length, behind) = number(content);
                        let (text, next) = behind.split_at(length as usize);
                        contents.texts.push((id, serde_json::from_slice(text).expect("JSON")));
                        content = next;
                    } else if id == INPUT {
                        contents.samples.push(f32::from_le_bytes(content[..4].try_into().expect("four")));
                        content = &content[4 * CHANNELS..];
                    } else {
                        break;
                    }
                }
            }
            6 => contents.footers.push((id, String::from_utf8(content.to_vec()).expect("text"))),
            _ => assert_eq!((tag, content.len()), (4, 16), "a clock offset"),
        }
    }
    contents
}

impl Contents {
    pub(super) fn texts(&self, stream: u32) -> impl Iterator<Item = &Value> {
        self.texts.iter().filter(move |(id, _)| *id == stream).map(|(_, text)| text)
    }

    /// What the file says was lost, of one kind.
    pub(super) fn told(&self, what: &str) -> u64 {
        self.texts(RECORD)
            .filter(|text| text["kind"] == "loss" && text["what"] == what)
            .filter_map(|text| text["count"].as_u64())
            .sum()
    }
}
