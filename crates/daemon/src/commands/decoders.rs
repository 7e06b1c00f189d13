//! `kalmind decoders`, also as `kalmind evaluate --help DECODER`: the decoders, and the options of one. The page
//! `docs/options.md` is made of the same declarations.

use std::{fmt::Write as _, io::Write as _};

use clap::Args;
use kalmind_filter::{DecoderName, DecoderOption};
use serde_json::{Value, json};

use crate::{
    commands::command::Command,
    failure::{OrFail as _, Outcome},
};

/// Columns of a terminal that a line takes at most.
const WIDTH: usize = 100;

/// The decoders, or the options of one with values, defaults and meaning.
#[derive(Args, Clone, Debug)]
#[command(after_help = "Example: kalmind decoders dkf-nw")]
pub struct DecodersArguments {
    /// The decoder whose options to list [default: all decoders, a line each].
    #[arg(value_name = "NAME")]
    pub decoder: Option<String>,
    /// Print one JSON document on stdout.
    #[arg(long)]
    pub json: bool,
}

impl Command for DecodersArguments {
    fn run(&self) -> Outcome<()> {
        run(self)
    }
}

/// Runs the command.
///
/// # Errors
/// Exit code 2 where there is no such decoder.
fn run(arguments: &DecodersArguments) -> Outcome<()> {
    let decoder = arguments.decoder.as_deref().map(str::parse::<DecoderName>).transpose().or_usage()?;
    let mut out = std::io::stdout().lock();
    if arguments.json {
        let document = match decoder {
            Some(decoder) => document(decoder),
            None => DecoderName::ALL.into_iter().map(document).collect(),
        };
        return writeln!(out, "{document}").or_work();
    }
    match decoder {
        Some(decoder) => write!(out, "{}", options_text(decoder)).or_work(),
        None => write!(out, "{}", decoders_text()).or_work(),
    }
}

fn decoders_text() -> String {
    let mut text = String::new();
    for decoder in DecoderName::ALL {
        let _infallible = writeln!(text, "{:<15} {}", decoder.as_str(), decoder.summary());
    }
    text.push_str(
        "\n`kalmind decoders NAME` lists the options of one. Options follow the name: kalman:intercept=on, \
         dkf-nw:lags=3,form=robust\n",
    );
    text
}

/// The options of a decoder, for a terminal.
fn options_text(decoder: DecoderName) -> String {
    let mut text = format!("{decoder}: {}\n", decoder.summary());
    let options: Vec<DecoderOption> = decoder.options().collect();
    let width =
        options.iter().map(|option| option.info.name.len() + option.default.len()).max().unwrap_or(0) + 3;
    for option in &options {
        let written = format!("{}={}", option.info.name, option.default);
        let mut said = format!("{}.", capital(option.info.meaning));
        let _infallible = write!(said, " Takes {}", option.info.values);
        let _infallible = match option.info.unit {
            "" => write!(said, "."),
            unit => write!(said, " ({unit})."),
        };
        if !option.except.is_empty() {
            let _infallible = write!(said, " But: {}.", option.except);
        }
        for (line, words) in wrapped(&said, WIDTH - width - 2).iter().enumerate() {
            let head = if line == 0 { written.as_str() } else { "" };
            let _infallible = writeln!(text, "  {head:<width$}{words}");
        }
    }
    let first = options.first().map_or("", |option| option.info.name);
    let notes = format!(
        "Each is shown with its default. Write them behind the name, {decoder}:{first}=..; several values make a grid in \
         `kalmind evaluate --decoders`. docs/decoders.md says when to take which decoder."
    );
    let _infallible = writeln!(text, "\n{}", wrapped(&notes, WIDTH).join("\n"));
    text
}

/// Lines of at most `width` columns.
fn wrapped(text: &str, width: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split(' ') {
        let line = lines.last().map_or(0, |line| line.chars().count());
        match lines.last_mut() {
            Some(last) if line == 0 || line + 1 + word.chars().count() <= width => {
                last.push_str(if line == 0 { "" } else { " " });
                last.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines
}

fn document(decoder: DecoderName) -> Value {
    let options: Vec<Value> = decoder
        .options()
        .map(|option| {
            json!({
                "name": option.info.name, "default": option.default, "default_otherwise": option.except, "values": option.info.values,
                "unit": option.info.unit, "meaning": option.info.meaning,
            })
        })
        .collect();
    json!({ "name": decoder.as_str(), "summary": decoder.summary(), "options": options })
}

const INTRODUCTION: &str = "\
# Options of the decoders

Options follow a decoder's name after a colon, separated by commas: `dkf-nw:lags=3,form=robust`. They are the same in
`kalmind fit --decoder`, `kalmind evaluate --decoders`, `kalmind demo --decoder` and `[task] decoder`. What is not written
takes the default below. An option that the decoder does not have, or a value that does not fit, is an error that names the
nearest one. In `--decoders` several values of an option make a grid (docs/evaluate.md).

`kalmind decoders NAME` prints the same. docs/decoders.md says when to take which decoder, docs/model.md has the equations.

This page is written from the declarations that the program reads options by, so the two cannot differ.
";

/// The text of `docs/options.md`.
#[must_use]
pub fn options_page() -> String {
    let mut text = INTRODUCTION.to_owned();
    for decoder in DecoderName::ALL {
        let _infallible = write!(
            text,
            "\n## `{decoder}`\n\n{}.\n\n| option | default | values | what it does |\n|---|---|---|---|\n",
            capital(decoder.summary())
        );
        for option in decoder.options() {
            let except = match option.except {
                "" => String::new(),
                except => format!("; {except}"),
            };
            let unit = match option.info.unit {
                "" => String::new(),
                unit => format!(" ({unit})"),
            };
            let _infallible = writeln!(
                text,
                "| `{}` | `{}`{except} | {}{unit} | {} |",
                option.info.name, option.default, option.info.values, option.info.meaning
            );
        }
    }
    text
}

/// Words that begin a sentence.
fn capital(words: &str) -> String {
    let mut letters = words.chars();
    letters
        .next()
        .map_or_else(String::new, |first| format!("{}{}", first.to_ascii_uppercase(), letters.as_str()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_broken_between_words() {
        assert_eq!(wrapped("one two three", 7), ["one two", "three"]);
        assert_eq!(wrapped("overlong x", 3), ["overlong", "x"]);
    }

    #[test]
    fn every_option_is_listed_with_default_and_meaning() {
        let text = options_text(DecoderName::DkfNw);
        for option in DecoderName::DkfNw.options() {
            assert!(text.contains(&format!("  {}={}", option.info.name, option.default)), "{text}");
        }
        assert!(text.lines().all(|line| line.chars().count() <= WIDTH), "{text}");
    }
}
