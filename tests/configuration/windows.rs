//! `[[window]]`: what is taken, and what is said of windows that are wrong.

use super::*;

fn with(window: &str) -> String {
    format!("[[stream]]\nkey = \"eeg\"\ntype = \"EEG\"\nbinning = \"mean\"\n[[window]]\n{window}\n")
}

/// A window of one line each: key, stream, name of the marker stream, texts, and these two.
fn window(stream: &str, length: &str, more: &str) -> String {
    with(&format!(
        "key = \"flash\"\nstream = \"{stream}\"\nname = \"Stimuli\"\ntexts = [\"S1\"]\n{length}\n{more}"
    ))
}

#[test]
fn a_window_comes_out_as_it_was_written() {
    for length in ["length_ms = 600", "samples = 150"] {
        let read = accepted(&window("eeg", length, "offset_ms = -200"));
        assert_eq!(read.window[0].offset_ms, -200.0);
        assert_eq!(accepted(&read.to_toml()).window, read.window);
    }
    let named = accepted(&window("eeg", "samples = 150", "reader = \"mean\""));
    let in_full = accepted(&window("eeg", "samples = 150", "reader = { reader = \"mean\" }"));
    assert_eq!(named.window, in_full.window);
    assert_eq!(accepted(STREAM).window, []);
}

#[test]
fn what_is_wrong_with_a_window_is_said_where_it_stands() {
    let more = |more: &str| window("eeg", "length_ms = 600", more);
    for (text, line, title) in [
        (window("eegg", "length_ms = 600", ""), 7, "`window[0].stream` names no stream"),
        (window("eeg", "", ""), 5, "`window[0]` does not say how long it is"),
        (more("samples = 3"), 10, "`window[0]` has a `length_ms` and a number of `samples`"),
        (window("eeg", "length_ms = 10001", ""), 10, "`window[0].length_ms` is out of range"),
        (more("offset = 3"), 11, "unknown key \"offset\""),
        (more("reader = \"maen\""), 11, "`window[0].reader` is no reader: unknown variant `maen`"),
        (more("reader = { reader = \"mean\", of = 3 }"), 11, "is no reader: unknown field `of`"),
        (
            with("key = \"a\"\nstream = \"eeg\"\ntexts = [\"a\"]\nsamples = 3"),
            5,
            "`window[0]` does not say which stream",
        ),
        (
            with("key = \"a\"\nstream = \"eeg\"\nname = \"a\"\ntexts = []\nsamples = 3"),
            9,
            "`window[0].texts` is empty",
        ),
        (with("key = \"a\"\nstream = \"eeg\"\nname = \"a\"\nsamples = 3"), 5, "texts"),
    ] {
        let found = problems(&text);
        let fits = found.iter().any(|(at, _, problem)| *at == line && problem.contains(title));
        assert!(fits && found.len() <= 2, "{text}: {found:?}");
    }
    let errors = refused(&window("eegg", "length_ms = 600", ""));
    assert!(errors.problems()[0].help().contains("\"eeg\""), "{errors}");
    let one = window("eeg", "samples = 3", "");
    let twice = one.clone() + one.split_at(one.find("[[window").expect("its heading")).1;
    assert!(
        problems(&twice).iter().any(|(.., title)| title == "two windows are called \"flash\""),
        "{twice}"
    );
}
