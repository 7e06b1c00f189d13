//! A file's text as one table of declared keys: what of it can be read, where that stands, and what is wrong with it.

use std::{collections::BTreeSet, fs, path::Path};

use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

use super::{
    problem::{ConfigurationErrors, Problem},
    reader::{Places, Reader},
    rule::Rule,
    secret,
    server::Server,
    setting::Setting,
};

/// The largest file that is read, in bytes; anything longer is no configuration.
const MAX_BYTES: usize = 1 << 20;

/// A text that was read.
pub(super) struct Document<T> {
    /// What it says; none where that could not be read at all.
    pub(super) read: Option<T>,
    /// Where its keys stand.
    pub(super) places: Places,
    /// Paths whose values are not known.
    pub(super) spoiled: BTreeSet<String>,
    /// What is wrong with it.
    pub(super) problems: Vec<Problem>,
    /// Whether it is TOML throughout: otherwise nothing can be concluded from what it does not say.
    pub(super) is_toml: bool,
}

impl<T: Setting> Document<T> {
    /// Reads the keys of `T` at the top of a text.
    pub(super) fn read(text: &str) -> Self {
        let (document, syntax_errors) = DeTable::parse_recoverable(text);
        let mut problems: Vec<Problem> = syntax_errors
            .iter()
            .map(|error| {
                let span = error.span().unwrap_or(text.len()..text.len());
                Problem::new(span, "not valid TOML", error.message(), "correct the syntax (https://toml.io)")
            })
            .collect();
        let broken: Vec<usize> = problems.iter().map(|problem| line_of(text, problem.span.start)).collect();
        let (mut read, mut places, mut spoiled) = (None, Places::new(), BTreeSet::new());
        if let Some(root) = T::shape().table() {
            let mut reader = Reader::new(root);
            let span = document.span();
            let document = Spanned::new(span, DeValue::Table(document.into_inner()));
            read = T::read(&document, &Rule::Any, &mut reader);
            (places, spoiled) = (reader.places, reader.spoiled);
            // what stands on a line that is no TOML was guessed by the parser, and says nothing about what was meant
            let meant = |problem: &Problem| !broken.contains(&line_of(text, problem.span.start));
            problems.extend(reader.problems.into_iter().filter(meant));
        }
        Self { read, places, spoiled, problems, is_toml: broken.is_empty() }
    }
}

/// The bytes of a file; where it cannot be read, `example` is one that can.
pub(super) fn bytes_of(path: &Path, example: &str) -> Result<Vec<u8>, ConfigurationErrors> {
    fs::read(path).map_err(|error| {
        let help = format!("name a file that exists and may be read; {example} is one to start from");
        ConfigurationErrors::unreadable(&path.display().to_string(), &error.to_string(), &help)
    })
}

/// The text that a file's bytes are.
pub(super) fn text_of<'b>(bytes: &'b [u8], file_name: &str) -> Result<&'b str, ConfigurationErrors> {
    if bytes.starts_with(b"XDF:") {
        let help = "settings are a text file; recordings are named without an option in front";
        return Err(ConfigurationErrors::unreadable(file_name, "this is a recording (XDF)", help));
    }
    if bytes.len() > MAX_BYTES {
        let reason = format!("{} bytes are too many (at most {MAX_BYTES})", bytes.len());
        return Err(ConfigurationErrors::unreadable(file_name, &reason, "no file of settings is that long"));
    }
    str::from_utf8(bytes).map_err(|error| {
        let good = bytes.get(..error.valid_up_to()).unwrap_or_default();
        let text = format!("{}\u{fffd}", String::from_utf8_lossy(good));
        let byte = bytes.get(good.len()).copied().unwrap_or_default();
        let problem = Problem::new(
            good.len()..text.len(),
            "the file is not UTF-8 text",
            format!("found the byte 0x{byte:02x}"),
            "save it as UTF-8",
        );
        errors(file_name, &text, vec![problem])
    })
}

/// The line that a byte stands on, counted from 0.
fn line_of(text: &str, byte: usize) -> usize {
    text.as_bytes().iter().take(byte).filter(|byte| **byte == b'\n').count()
}

/// What is wrong with a text, shown without what may be a secret.
pub(super) fn errors(file_name: &str, text: &str, problems: Vec<Problem>) -> ConfigurationErrors {
    let server = Server::shape().table();
    let known = server.map(|server| server.keys().iter().map(|key| key.name).collect()).unwrap_or_default();
    ConfigurationErrors::new(file_name, text, secret::shown(text, known), problems)
}
