//! What a chunk of an XDF file is, by its content.

use std::io::{Read, Seek};

use super::{
    super::{
        bytes::Frame,
        chunks::{XdfError, f64_at},
        encode::{BOUNDARY, Tag},
        header::{FileHeader, StreamFooter, StreamHeader},
    },
    Kind, Walk,
};

impl<R: Read + Seek> Walk<'_, R> {
    /// What a chunk is, or why it cannot be what it says. A `trial` changes nothing, and takes nothing on trust: it is about
    /// whether a chunk begins at a place at all.
    pub(super) fn explain(&mut self, frame: &Frame, trial: bool) -> Result<Result<Kind, String>, XdfError> {
        let is = |tag: Tag| tag as u16 == frame.tag;
        let size = frame.end - frame.content;
        if is(Tag::Boundary) {
            let whole = size == BOUNDARY.len() as u64 && self.bytes.content(frame)? == BOUNDARY;
            return Ok(if whole {
                Ok(Kind::Boundary)
            } else {
                Err("a boundary without its mark".to_owned())
            });
        }
        if is(Tag::FileHeader) {
            let header = FileHeader::parse(self.bytes.content(frame)?, self.encoding);
            return Ok(if trial && !header.remarks.is_empty() {
                Err("a header that cannot be read".to_owned())
            } else {
                Ok(Kind::FileHeader(header))
            });
        }
        if ![Tag::StreamHeader, Tag::Samples, Tag::ClockOffset, Tag::StreamFooter].into_iter().any(is) {
            return Ok(if trial { Err(String::new()) } else { Ok(Kind::Unknown) });
        }
        if size < 4 {
            return Ok(Err("a chunk too short to name its stream".to_owned()));
        }
        let id = self.bytes.get(frame.content, 4)?;
        let id = u32::from_le_bytes([id[0], id[1], id[2], id[3]]);
        let body = Frame { content: frame.content + 4, ..*frame };
        if is(Tag::StreamHeader) {
            return Ok(match StreamHeader::parse(self.bytes.content(&body)?, self.encoding) {
                Ok(header) if trial && header.remarks.iter().any(|remark| remark.damage) => {
                    Err(String::new())
                }
                Ok(header) => Ok(Kind::StreamHeader(id, Box::new(header))),
                Err(problem) => Err(format!("stream {id}: {problem}")),
            });
        }
        if !trial && !self.streams.contains_key(&id) && !self.looked_ahead {
            self.look_ahead(frame.end)?;
        }
        if let Some(known) = self.streams.get_mut(&id).filter(|_| !trial) {
            known.behind |= known.offset > frame.offset;
        }
        let Some(known) = self.streams.get_mut(&id) else {
            let what = match frame.tag {
                tag if tag == Tag::Samples as u16 => "samples",
                tag if tag == Tag::ClockOffset as u16 => "a clock offset",
                _ => "a footer",
            };
            return Ok(Err(format!("{what} of stream {id}, which has no header that can be read")));
        };
        if is(Tag::ClockOffset) {
            let content = self.bytes.content(&body)?;
            let pair = f64_at(content, 0).zip(f64_at(content, 8)).filter(|_| content.len() == 16);
            return Ok(match pair {
                Some((time, offset)) => Ok(Kind::ClockOffset { stream: id, time, offset }),
                None => Err(format!("stream {id}: a clock offset of {} bytes", content.len())),
            });
        }
        if is(Tag::StreamFooter) {
            let footer = StreamFooter::parse(self.bytes.content(&body)?);
            return Ok(footer
                .map(|footer| Kind::Footer(id, footer))
                .map_err(|problem| format!("stream {id}: {problem}")));
        }
        if !known.wanted && !trial {
            self.stamps.clear();
            self.values.clear();
            return Ok(Ok(Kind::Samples(id)));
        }
        self.stamps.clear();
        self.values.clear_for(known.header.format);
        let mut decoder = known.decoder.clone();
        let decoded =
            decoder.decode(frame.offset, self.bytes.content(&body)?, &mut self.stamps, &mut self.values);
        Ok(match decoded {
            Ok(0) if trial => Err(String::new()),
            Ok(_) => {
                if !trial {
                    known.decoder = decoder;
                }
                Ok(Kind::Samples(id))
            }
            Err(XdfError::Damaged { problem, .. }) => Err(format!("stream {id}: {problem}")),
            Err(error) => Err(format!("stream {id}: {error}")),
        })
    }

    /// Looks for the headers of streams whose samples come first.
    fn look_ahead(&mut self, from: u64) -> Result<(), XdfError> {
        self.looked_ahead = true;
        let (mut offset, length) = (from, self.bytes.length());
        while offset < length {
            let Ok(frame) = self.bytes.frame(offset)? else {
                match self.find_chunk(offset + 1, length)? {
                    Some(next) => offset = next,
                    None => break,
                }
                continue;
            };
            if frame.tag == Tag::StreamHeader as u16
                && let Ok(Kind::StreamHeader(id, header)) = self.explain(&frame, false)?
                && !self.streams.contains_key(&id)
            {
                self.add(id, *header, frame.offset);
            }
            offset = frame.end;
        }
        Ok(())
    }
}
