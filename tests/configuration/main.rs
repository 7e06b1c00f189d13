//! The configuration as its users meet it: the files in `config/`, and what is said of files that are wrong.

#![expect(
    clippy::panic,
    clippy::expect_used,
    clippy::float_cmp,
    reason = "a test ends by panicking, and what is read from text has to be exactly what stands there"
)]

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

use kalmind::commands::decoders;
use kalmind::configuration::{
    self, Configuration, ConfigurationErrors, DocumentedKey, Gain, Insistence, parse,
};

use kalmind_acquisition::Network;
use kalmind_filter::LabelKind;
use kalmind_types::{Binning, EventKind, Mode};
use proptest::prelude::*;

mod conflicts;
mod documents;
mod presets;
mod windows;

const STREAM: &str = "[[stream]]\ntype = \"Features\"\n";

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn accepted(text: &str) -> Configuration {
    parse(text, "test.toml").unwrap_or_else(|errors| panic!("{errors}"))
}

fn refused(text: &str) -> ConfigurationErrors {
    parse(text, "test.toml").expect_err("this text should have been refused")
}

/// (line, column, title) of each problem.
fn problems(text: &str) -> Vec<(usize, usize, String)> {
    refused(text)
        .problems()
        .iter()
        .map(|problem| (problem.line(), problem.column(), problem.title().to_owned()))
        .collect()
}

/// The only problem of `STREAM` and then `text`, as (line of `text`, title, found, help).
fn only_problem(text: &str) -> (usize, String, String, String) {
    let errors = refused(&format!("{STREAM}{text}"));
    let [problem] = errors.problems() else { panic!("not one problem: {errors}") };
    (problem.line() - 2, problem.title().to_owned(), problem.found().to_owned(), problem.help().to_owned())
}

#[test]
fn a_full_configuration_comes_out_as_it_was_written() {
    let configuration = accepted(
        r#"
        start = "control"
        [lsl]
        network = "lab"
        known_peers = ["10.0.0.7"]
        [[stream]]
        key = "array"
        source_id = "a-1"
        binning = "sum"
        rate_hz = 1000
        masked = ["c3", 7]
        clock = "arrival"
        [[stream]]
        name = "EMG"
        binning = "mean"
        required = false
        [bins]
        bin_ms = 50
        [decoder]
        model = "m.safetensors"
        [intent]
        components = [{ name = "a" }, { name = "b", unit = "N" }, { name = "c" }]
        [cursor]
        gain = [1.5, -2]
        height = 0.5
        components = ["c", "a"]
        [server]
        bind = "[::1]:9000"
        [[output.lsl]]
        channels = ["covariance_b_a", "x"]
        format = "float32"
        [[output.lsl]]
        name = "Second"
        [realtime]
        pin = "require"
        core = 3
        [task]
        type = "Markers"
        [task.markers]
        "go left" = { kind = "target", position = [0.2, 0.25], radius = 0.1 }
        "rest" = { kind = "task_block", block = "closed_loop", phase = "end" }
        [task.label_law]
        kind = "unit"
        "#,
    );
    assert_eq!(configuration.stream[0].key(), "array");
    assert_eq!(configuration.stream[1].key(), "EMG");
    assert_eq!(configuration.bins.max_wait_ms(), 25.0);
    assert_eq!(configuration.cursor.gain, Gain([1.5, -2.0]));
    assert_eq!(configuration.cursor.start_position(), [0.5, 0.25]);
    assert_eq!(configuration.intent.components[1].unit, "N");
    assert_eq!(configuration.realtime.core, Some(3));
    let marker = &configuration.task.markers["go left"];
    assert_eq!(marker.kind, EventKind::Target);
    assert_eq!(marker.data().to_string(), r#"{"position":[0.2,0.25],"radius":0.1}"#);
    assert_eq!(configuration.task.markers["rest"].data()["block"], "closed_loop");
    let again = accepted(&configuration.to_toml());
    assert_eq!(Configuration { source: configuration.source.clone(), ..again }, configuration);
}

#[test]
fn an_outlet_list_that_is_empty_switches_the_outlet_off() {
    assert!(accepted(&format!("{STREAM}[output]\nlsl = []\n")).output.lsl.is_empty());
}

#[test]
fn the_bin_width_follows_from_the_rate_of_the_leading_stream() {
    assert_eq!(accepted(&format!("{STREAM}rate_hz = 100\n")).bins.bin_ms, 10.0);
    assert_eq!(accepted(&format!("{STREAM}rate_hz = 100\n[bins]\nbin_ms = 10\n")).bins.bin_ms, 10.0);
}

#[test]
fn the_source_is_kept_with_its_hash() {
    let source = accepted(STREAM).source;
    assert_eq!((source.file_name.as_str(), source.text.as_str()), ("test.toml", STREAM));
    // printf '[[stream]]\ntype = "Features"\n' | sha256sum
    assert_eq!(source.sha256, "50e3d43b470cd9b2ccb55c6451c1c9e2db87be09f3f2d5c8ffa9dba9bd35498d");
}

#[test]
fn all_problems_are_reported_at_once_in_the_order_of_the_file() {
    let text = "strat = \"idle\"\n[[stream]]\ntype = 3\n[bins]\nbin_ms = 500\nmax_wait = 3\n[log]\nlevel = \"loud\"\n";
    assert_eq!(
        problems(text),
        [
            (1, 1, "unknown key \"strat\" in the top of the file".to_owned()),
            (3, 8, "`stream[0].type` has the wrong type".to_owned()),
            (5, 10, "`bins.bin_ms` is out of range".to_owned()),
            (6, 1, "unknown key \"max_wait\" in [bins]".to_owned()),
            (8, 9, "`log.level` is not one of the allowed values".to_owned()),
        ]
    );
}

#[test]
fn a_problem_is_shown_with_its_place_a_caret_and_what_would_be_right() {
    let shown = refused(&format!("{STREAM}[bins]\nbin_ms = 500\n")).to_string();
    assert_eq!(shown, SHOWN);
}

const SHOWN: &str = "\
error: `bins.bin_ms` is out of range
 --> test.toml:4:10
  |
4 | bin_ms = 500
  |          ^^^ found 500 ms
  |
  = help: expected: from 1 to 200 ms

1 problem in test.toml";

#[test]
fn unknown_keys_name_the_nearest_known_one() {
    for (text, help) in [
        ("[bins]\nbin = 20\n", "did you mean `bin_ms`?"),
        ("[binz]\nbin_ms = 20\n", "did you mean `bins`?"),
        ("[cursor]\nmax_sped = 1\n", "did you mean `max_speed`?"),
        ("[cursor]\nmodel = \"a\"\n", "`model` belongs to [decoder]"),
        ("[realtime]\nprio = \"try\"\n", "did you mean `priority`?"),
        ("[subject]\nname = \"N.N.\"\n", "a recording never holds a name"),
    ] {
        let (.., given) = only_problem(text);
        assert!(given.starts_with(help), "{text}: {given}");
    }
    let (.., given) = only_problem("[log]\nxyzzy = 1\n");
    assert!(
        given.starts_with("the nearest key is") && given.ends_with("known here: level, format"),
        "{given}"
    );
}

#[test]
fn wrong_types_say_what_was_found_and_what_is_expected() {
    for (text, found, help) in [
        ("[bins]\nbin_ms = \"20\"\n", "found the text \"20\"", "expected: number"),
        ("[bins]\nbin_ms = 2024-01-01\n", "found a date or time", "expected: number"),
        ("[server]\nmax_connections = 1.5\n", "found the number 1.5", "expected: whole number"),
        ("required = 1\n", "found the whole number 1", "expected: true or false"),
        ("masked = [true]\n", "found true", "expected: channel label or index from 0"),
        ("masked = 3\n", "found the whole number 3", "expected: list (channel label or index from 0)"),
        ("[cursor]\ngain = \"x\"\n", "found the text \"x\"", "expected: number, or [x, y]"),
        ("[cursor]\ngain = [1, 2, 3]\n", "found a list of 3", "expected: exactly two values, as in [x, y]"),
        ("[log]\nlevel = 3\n", "found the whole number 3", "expected: \"error\" or \"warn\""),
        (
            "[server]\nbind = \"localhost\"\n",
            "found the text \"localhost\"",
            "expected: an IP address, a colon and a port",
        ),
        ("[task]\nmarkers = 3\n", "found the whole number 3", "expected: table"),
        (
            "[output.lsl]\nname = \"a\"\n",
            "found a table",
            "expected: double brackets, because there may be several: [[output.lsl]]",
        ),
    ] {
        let (line, _, given, right) = only_problem(text);
        assert_eq!(given, found, "{text}");
        assert!(right.starts_with(help), "{text}: {right}");
        assert!(line <= 2, "{text}");
    }
}

#[test]
fn numbers_out_of_range_name_the_range_with_its_unit() {
    for (text, found, help) in [
        ("[bins]\nbin_ms = 0\n", "found 0 ms", "expected: from 1 to 200 ms"),
        ("[bins]\nmax_masked = 1.01\n", "found 1.01", "expected: from 0 to 1"),
        ("rate_hz = -5\n", "found -5 Hz", "expected: from 0.01 to 100000 Hz"),
        (
            "[task.markers]\na = { kind = \"target\", position = [0.5, 540], radius = 1 }\n",
            "found 540",
            "expected: from -10 to 10",
        ),
        (
            "[task.markers]\na = { kind = \"target\", position = [0.5, 0], radius = 11 }\n",
            "found 11",
            "expected: from 0.000001 to 10",
        ),
        ("[lsl]\nbase_port = 80\n", "found 80", "expected: from 1024 to 65535"),
        ("[realtime]\npin = \"try\"\ncore = -1\n", "found -1", "expected: from 0 to 1023"),
    ] {
        let (_, title, given, right) = only_problem(text);
        assert!(title.ends_with("is out of range"), "{title}");
        assert_eq!((given.as_str(), right.as_str()), (found, help));
    }
    for text in ["[bins]\nbin_ms = nan\n", "[cursor]\ngain = inf\n", "[cursor]\ngain = 1e999\n"] {
        assert!(only_problem(text).1.ends_with("is not a finite number"), "{text}");
    }
}

#[test]
fn texts_of_the_wrong_form_are_refused() {
    for text in [
        "name = \"\"\n",
        "name = \"a\\u0007b\"\n",
        "[instance]\nname = \"../up\"\n",
        "[instance]\nname = \"-x\"\n",
        "[server]\ntoken = \"short\"\n",
        &format!("[server]\ntoken = \"{}\"\n", "x".repeat(129)),
        "[lsl]\nsession_id = \"our lab\"\n",
        "[task.markers]\na = { kind = \"task_block\", block = \"pause\", phase = \"end\" }\n",
        "[server]\nallowed_origins = [\"https://a/path\"]\n",
        "[server]\nallowed_hosts = [\"https://a\"]\n",
        "[subject]\nage = \"34\"\n",
        "[lsl]\nknown_peers = [\"a b\"]\n",
    ] {
        only_problem(text);
    }
}

#[test]
fn a_decoder_that_cannot_be_fitted_is_refused_where_it_stands() {
    for (decoder, named) in [("kalmn", "kalmn"), ("dkf-nw:bandwith=1", "bandwith"), ("dkf-nw:form", "form")] {
        let errors = refused(&format!("{STREAM}[task]\ndecoder = \"{decoder}\"\n"));
        let [problem] = errors.problems() else { panic!("not one problem: {errors}") };
        assert_eq!((problem.line(), problem.column()), (4, 11), "{errors}");
        let (title, help) = (problem.title(), problem.help());
        assert!(title.starts_with("`task.decoder` cannot be fitted: ") && title.contains(named), "{title}");
        assert!(help.contains("dkf-nw:form=robust"), "{help}");
    }
    let accepted = accepted(&format!("{STREAM}[task]\ndecoder = \"dkf-nw:form=robust\"\n"));
    assert_eq!(accepted.task.decoder.to_string(), "dkf-nw:form=robust");
}

#[test]
fn every_marker_that_is_accepted_is_one_that_the_session_reads() {
    let markers = "[task.markers]\n\
        here = { kind = \"target\", position = [-10, 10], radius = 10 }\n\
        gone = { kind = \"target\" }\n\
        begin = { kind = \"trial\", trial = 0, phase = \"start\" }\n\
        end = { kind = \"trial\", trial = 0, phase = \"end\", result = \"timeout\" }\n\
        check = { kind = \"task_block\", block = \"signal_check\", phase = \"start\" }\n\
        open = { kind = \"task_block\", block = \"open_loop\", phase = \"start\" }\n\
        closed = { kind = \"task_block\", block = \"closed_loop\", phase = \"start\" }\n\
        judge = { kind = \"task_block\", block = \"evaluation\", phase = \"end\" }\n\
        type = { kind = \"task_block\", block = \"typing\", phase = \"end\" }\n\
        halt = { kind = \"operator\", action = \"stop\" }\n";
    let configuration = accepted(&format!("{STREAM}{markers}"));
    let entries = configuration.task.markers.iter().map(|(text, marker)| {
        let kind = serde_json::to_value(marker.kind).expect("a name");
        (text.clone(), serde_json::json!({ "kind": kind, "data": marker.data() }))
    });
    kalmind_session::MarkerTable::new(entries).unwrap_or_else(|error| panic!("{error}"));
}

#[test]
fn missing_keys_are_named_where_they_belong() {
    let (line, title, _, help) = only_problem("[[intent.components]]\nunit = \"N\"\n");
    assert_eq!((line, title.as_str()), (1, "missing key `name` in [intent.components[0]]"), "{help}");
    let errors = refused("[log]\n");
    assert_eq!(errors.problems()[0].title(), "no [[stream]] is configured");
}

#[test]
fn syntax_errors_are_located_and_other_problems_beside_them_too() {
    let found =
        problems("[[stream]]\ntype = \"Features\"\n[bins]\nbin_ms = \nmax_wait = 3\nmax_wait_ms = = 3\n");
    assert_eq!(found.iter().map(|(line, ..)| *line).collect::<BTreeSet<_>>(), BTreeSet::from([4, 5, 6]));
    let twice = problems("start = \"idle\"\nstart = \"idle\"\n[[stream]]\ntype = \"F\"\n");
    assert_eq!((twice.len(), twice[0].0), (1, 2), "{twice:?}");
}

#[test]
fn columns_count_characters_not_bytes() {
    assert_eq!(
        problems("log = { \"\u{e4}\u{f6}\" = 1, levle = \"info\" }\n[[stream]]\ntype = \"F\"\n")[1].1,
        19
    );
}

#[test]
fn files_that_cannot_be_read_are_errors_that_name_them() {
    let errors = configuration::load(&root().join("config/none.toml")).expect_err("there is no such file");
    assert!(errors.to_string().contains("config/none.toml:1:1"), "{errors}");
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("latin.toml");
    fs::write(&path, b"[instance]\nname = \"caf\xe9\"\n").expect("it can be written");
    let errors = configuration::load(&path).expect_err("it is not UTF-8");
    let problem = &errors.problems()[0];
    assert_eq!((problem.line(), problem.column(), problem.found()), (2, 12, "found the byte 0xe9"));
}

/// Every problem has a place inside the text, and everything can be shown.
fn check_places(text: &[u8]) {
    let Err(errors) = configuration::parse_bytes(text, "test.toml") else { return };
    assert!(!errors.problems().is_empty());
    let lines = text.split(|byte| *byte == b'\n').count();
    for problem in errors.problems() {
        assert!((1..=lines).contains(&problem.line()), "line {} of {lines}", problem.line());
        assert!(problem.column() >= 1 && !problem.title().is_empty() && !problem.help().is_empty());
        if let Ok(text) = str::from_utf8(text) {
            let columns = text.split('\n').nth(problem.line() - 1).unwrap_or_default().chars().count();
            assert!(problem.column() <= columns + 1, "column {} of {columns}", problem.column());
        }
    }
    assert!(errors.render(false).contains("test.toml"));
    assert!(errors.render(true).contains("test.toml"));
}

proptest! {
    #[test]
    fn arbitrary_bytes_never_panic(text in prop::collection::vec(any::<u8>(), 0..300)) {
        check_places(&text);
    }

    #[test]
    fn arbitrary_text_never_panics(text in "(\\PC|[\\[\\]={}\"'#.,\n\r\t 0-9a-z_]){0,200}") {
        check_places(text.as_bytes());
    }

    #[test]
    fn a_damaged_configuration_never_panics(
        at in 0.0..1.0_f64,
        removed in 0..40_usize,
        inserted in "[\\[\\]={}\"'#.,\n\r 0-9a-z_-]{0,12}",
    ) {
        let text = fs::read_to_string(root().join("config/demo.toml")).expect("the file is there");
        let start = text.floor_char_boundary((at * text.len() as f64) as usize);
        let end = text.ceil_char_boundary((start + removed).min(text.len()));
        let damaged = [text.get(..start), Some(inserted.as_str()), text.get(end..)].map(Option::unwrap_or_default).concat();
        check_places(damaged.as_bytes());
    }

    #[test]
    fn whatever_is_accepted_survives_being_written_and_read(
        bin_ms in 1.0..200.0_f64,
        gain in -10.0..10.0_f64,
        height in 0.1..10.0_f64,
        code in "[A-Za-z0-9][A-Za-z0-9_.-]{0,20}",
        label in "\\PC{1,20}",
    ) {
        let text = format!(
            "{STREAM}masked = [{}]\n[subject]\ncode = {code:?}\n[bins]\nbin_ms = {bin_ms:?}\n[cursor]\ngain = {gain:?}\nheight = {height:?}\n",
            toml::Value::String(label),
        );
        let first = accepted(&text);
        let again = accepted(&first.to_toml());
        prop_assert_eq!(Configuration { source: first.source.clone(), ..again }, first);
    }
}
