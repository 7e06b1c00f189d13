//! The elements of headers and footers: of XML, and of text that should be XML and cannot be read as such.

use roxmltree::{Document, Node, ParsingOptions};

/// Nodes of a header at most: what a device with a hundred thousand described channels has.
const MAX_NODES: u32 = 1 << 20;

pub(super) fn parse(text: &str) -> Result<Document<'_>, String> {
    // no DTD: entities cannot grow a header
    let options = ParsingOptions { nodes_limit: MAX_NODES, ..ParsingOptions::default() };
    // recorders pad headers with zeros and blanks
    let text = text.trim_matches(|character: char| character == '\0' || character.is_whitespace());
    Document::parse_with_options(text, options).map_err(|error| format!("XML that cannot be read: {error}"))
}

fn child<'a, 'i>(of: Node<'a, 'i>, name: &str) -> Option<Node<'a, 'i>> {
    of.children().find(|node| node.has_tag_name(name))
}

pub(super) fn child_text<'a>(of: Node<'a, '_>, name: &str) -> Option<&'a str> {
    child(of, name).and_then(|node| node.text())
}

/// A header's elements: of XML that could be read, or of text that is as good as none.
pub(super) enum Fields<'a> {
    Parsed(Node<'a, 'a>),
    Text(&'a str),
}

impl Fields<'_> {
    pub(super) fn text(&self, name: &str) -> Option<String> {
        match self {
            Self::Parsed(info) => child_text(*info, name).map(str::to_owned),
            // the description has elements of the same names
            Self::Text(text) => {
                let own = text.split("<desc").next().unwrap_or_default();
                between(own, name).map(unescaped)
            }
        }
    }

    /// An element within another one of the description.
    pub(super) fn within(&self, outer: &str, inner: &str) -> Option<String> {
        match self {
            Self::Parsed(info) => {
                let outer = child(*info, "desc").and_then(|desc| child(desc, outer))?;
                child_text(outer, inner).map(str::to_owned)
            }
            Self::Text(text) => between(text, outer).and_then(|outer| between(outer, inner)).map(unescaped),
        }
    }

    /// An element of every channel; empty where a channel has none.
    pub(super) fn channels(&self, what: &str) -> Vec<String> {
        match self {
            Self::Parsed(info) => child(*info, "desc")
                .and_then(|desc| child(desc, "channels"))
                .into_iter()
                .flat_map(|channels| channels.children().filter(|node| node.has_tag_name("channel")))
                .map(|channel| child_text(channel, what).unwrap_or_default().to_owned())
                .collect(),
            Self::Text(text) => {
                let mut rest = Tag::find(text, "channels").map_or(*text, |channels| channels.after);
                let mut found = Vec::new();
                while let Some(channel) = Tag::find(rest, "channel") {
                    rest = channel.after;
                    let next = Tag::find(rest, "channel").map_or(rest.len(), |next| next.at);
                    let own = rest.get(..next).filter(|_| !channel.is_empty).unwrap_or_default();
                    found.push(between(own, what).map(unescaped).unwrap_or_default());
                }
                found
            }
        }
    }
}

/// A tag that begins an element: `<name>`, also with blanks or attributes behind the name.
struct Tag<'a> {
    at: usize,
    /// `<name />`.
    is_empty: bool,
    after: &'a str,
}

impl<'a> Tag<'a> {
    /// The first one in a text.
    fn find(text: &'a str, name: &str) -> Option<Self> {
        let begin = format!("<{name}");
        text.match_indices(&begin).find_map(|(at, _)| {
            let rest = text.get(at + begin.len()..)?;
            let (inner, after) = rest.split_once('>')?;
            let is_name = inner.is_empty() || inner == "/" || inner.starts_with(char::is_whitespace);
            is_name.then(|| Self { at, is_empty: inner.ends_with('/'), after })
        })
    }
}

/// What stands in the first element of a name.
pub(super) fn between<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    let begin = Tag::find(text, name)?;
    if begin.is_empty {
        return Some("");
    }
    let end = format!("</{name}");
    let ends =
        |at: usize| begin.after.get(at + end.len()..).is_some_and(|rest| rest.trim_start().starts_with('>'));
    let (at, _) = begin.after.match_indices(&end).find(|(at, _)| ends(*at))?;
    begin.after.get(..at)
}

fn unescaped(text: &str) -> String {
    text.replace("&lt;", "<")
        .replace("&gt;", ">")
        .replace("&quot;", "\"")
        .replace("&apos;", "'")
        .replace("&amp;", "&")
}

pub(super) fn without_control_characters(text: &str) -> String {
    let allowed = |character: &char| !character.is_control() || matches!(character, '\t' | '\n' | '\r');
    text.chars().filter(allowed).collect()
}
