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
fn every_file_in_config_is_accepted() {
    let mut seen = 0;
    for entry in fs::read_dir(root().join("config")).expect("config/ is there") {
        let path = entry.expect("config/ can be listed").path();
        if path.extension().is_some_and(|extension| extension == "toml") {
            configuration::load(&path).unwrap_or_else(|errors| panic!("{errors}"));
            seen += 1;
        }
    }
    assert!(seen >= 2, "config/ holds only {seen} files");
}

/// Key lines of a file as (table, key, value, whether it is commented out).
fn key_lines(text: &str) -> Vec<(String, String, String, bool)> {
    let mut table = String::new();
    let mut lines = Vec::new();
    for line in text.lines() {
        if line.starts_with('[') {
            line.trim_matches(['[', ']']).clone_into(&mut table);
            continue;
        }
        let (commented, line) = line.strip_prefix('#').map_or((false, line), |rest| (true, rest));
        let Some((key, value)) = line.split_once(" = ") else { continue };
        if !key.is_empty() && key.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_') {
            lines.push((table.clone(), key.to_owned(), value.to_owned(), commented));
        }
    }
    lines
}

#[test]
fn the_features_file_shows_every_key_with_its_default() {
    let text = fs::read_to_string(root().join("config/features.toml")).expect("the file is there");
    let lines = key_lines(&text);
    for key in configuration::documented_keys() {
        // these are shown inline
        if key.table == "intent.components" || key.table == "record.stream" {
            continue;
        }
        let table =
            if key.table == "task.markers" { "task.markers.\"text of the marker\"" } else { &key.table };
        let found = lines.iter().find(|(at, name, ..)| at == table && *name == key.name);
        let Some((_, _, value, commented)) = found else {
            panic!("config/features.toml does not show `{}` of [{table}]", key.name)
        };
        if let Some(default) = key.default.filter(|_| *commented) {
            assert_eq!(*value, default, "`{}` of [{table}]", key.name);
        }
    }
    let known: BTreeSet<String> = configuration::documented_keys().into_iter().map(|key| key.name).collect();
    for (table, name, ..) in &lines {
        assert!(
            known.contains(name) || name == "components" || name == "stream",
            "[{table}] shows an unknown key `{name}`"
        );
    }
}

#[test]
fn every_commented_line_of_the_files_in_config_is_accepted() {
    for entry in fs::read_dir(root().join("config")).expect("config/ is there") {
        let path = entry.expect("config/ can be listed").path();
        if path.extension().is_some_and(|extension| extension == "toml") {
            accept_commented_lines(&fs::read_to_string(&path).expect("it can be read"), &path);
        }
    }
}

fn accept_commented_lines(text: &str, path: &Path) {
    let commented = key_lines(text).into_iter().filter(|line| line.3).count();
    let mut tried = 0;
    for (index, line) in text.lines().enumerate() {
        let Some(setting) = line.strip_prefix('#').filter(|rest| key_lines(rest).len() == 1) else {
            continue;
        };
        tried += 1;
        let mut setting = setting.to_owned();
        // some keys need another one beside them
        match setting.split(' ').next().unwrap_or_default() {
            "core" => setting.push_str("\npin = \"try\""),
            "position" => setting.push_str("\nradius = 0.06"),
            "trial" | "phase" | "result" | "block" | "action" => continue,
            _ => {}
        }
        let changed: Vec<&str> =
            text.lines().enumerate().map(|(at, old)| if at == index { &setting } else { old }).collect();
        let shown = format!("{}, line {}", path.display(), index + 1);
        parse(&changed.join("\n"), &shown).unwrap_or_else(|errors| panic!("{errors}"));
    }
    assert_eq!(tried, commented);
}

/// The problems in a file that sets one key alone to `value`, on its line: (column, title).
fn problems_of(key: &DocumentedKey, value: &str) -> Vec<(usize, String)> {
    let text = format!("{}\n{} = {value}\n", key.heading, key.name);
    let Err(errors) = parse(&text, "test.toml") else { return Vec::new() };
    let on_its_line = errors.problems().iter().filter(|problem| problem.line() == 2);
    on_its_line.map(|problem| (problem.column(), problem.title().to_owned())).collect()
}

#[test]
fn every_key_is_documented_takes_its_default_and_refuses_what_it_cannot_be() {
    let reference = configuration::reference();
    for key in configuration::documented_keys() {
        let shown = format!("{} {}", key.heading, key.name);
        assert!(reference.contains(&format!("\n| `{}` | ", key.name)), "{shown} is not documented");
        if let Some(default) = &key.default {
            let wrong = problems_of(&key, default);
            assert!(wrong.iter().all(|(_, title)| !title.contains(" is out of range")), "{shown}: {wrong:?}");
            assert!(
                wrong.iter().all(|(_, title)| !title.contains(" has the wrong type")),
                "{shown}: {wrong:?}"
            );
        }
        // where the value stands
        let column = key.name.chars().count() + 4;
        let of_a_date = problems_of(&key, "2024-01-01");
        let [(at, title)] = of_a_date.as_slice() else { panic!("{shown}: {of_a_date:?}") };
        assert!(*at == column && title.ends_with("has the wrong type"), "{shown}: {at} {title}");
        let Some((low, high)) = key.range else { continue };
        let is_pair = key.kind.starts_with("two values");
        for number in [low - 1.0, high + 1.0] {
            let value = if is_pair { format!("[{number}, {number}]") } else { number.to_string() };
            let refused = problems_of(&key, &value);
            let first = refused.first().unwrap_or_else(|| panic!("{shown} = {value} is accepted"));
            assert!(first.1.ends_with("is out of range"), "{shown} = {value}: {first:?}");
            assert_eq!(first.0, column + usize::from(is_pair), "{shown} = {value}");
        }
    }
}

#[test]
fn tables_that_are_given_and_empty_are_as_those_left_out() {
    let mut headings: Vec<String> =
        configuration::documented_keys().into_iter().map(|key| key.heading).collect();
    headings.dedup();
    headings
        .retain(|heading| heading.starts_with('[') && !heading.starts_with("[[") && !heading.contains('"'));
    let empty = accepted(&format!("{STREAM}{}\n", headings.join("\n")));
    assert!(headings.len() > 10, "{headings:?}");
    let left_out = accepted(STREAM);
    assert_eq!(empty.to_toml(), left_out.to_toml());
    assert_eq!(Configuration { source: left_out.source.clone(), ..empty }, left_out);
}

#[test]
fn the_reference_is_up_to_date() {
    let written = fs::read_to_string(root().join("docs/configuration.md")).unwrap_or_default();
    assert!(
        written == configuration::reference(),
        "docs/configuration.md is out of date: cargo test --test configuration -- --ignored write_the_reference"
    );
}

#[test]
#[ignore = "writes docs/configuration.md"]
fn write_the_reference() {
    fs::write(root().join("docs/configuration.md"), configuration::reference())
        .expect("docs/ can be written");
}

#[test]
fn the_page_of_the_decoders_options_is_up_to_date() {
    let written = fs::read_to_string(root().join("docs/options.md")).unwrap_or_default();
    assert!(
        written == decoders::options_page(),
        "docs/options.md is out of date: cargo test --test configuration -- --ignored write_the_options"
    );
}

#[test]
#[ignore = "writes docs/options.md"]
fn write_the_options() {
    fs::write(root().join("docs/options.md"), decoders::options_page()).expect("docs/ can be written");
}

#[test]
fn defaults_are_those_that_the_documents_promise() {
    let configuration = accepted(STREAM);
    assert_eq!(configuration.start, Mode::Idle);
    assert_eq!(configuration.instance.name, "Kalmind");
    assert_eq!(configuration.lsl.network, Network::Lab);
    let stream = &configuration.stream[0];
    assert_eq!((stream.key(), stream.binning, stream.required), ("features", Binning::Sample, true));
    assert_eq!((stream.stall_ms(20.0), stream.backlog_ms(20.0)), (100.0, 150.0));
    assert_eq!((stream.stall_ms(100.0), stream.backlog_ms(100.0)), (300.0, 300.0));
    assert_eq!((configuration.bins.bin_ms, configuration.bins.max_wait_ms()), (20.0, 20.0));
    assert_eq!((configuration.bins.restart_after_ms, configuration.bins.max_masked), (500.0, 0.25));
    assert_eq!(configuration.cursor.gain, Gain([1.0, 1.0]));
    assert_eq!(configuration.cursor.start_position(), [0.5, 0.5]);
    assert_eq!(configuration.safety.stale_after_ms(20.0), 100.0);
    assert_eq!(configuration.safety.auto_resume_ms, 2000.0);
    assert_eq!(configuration.server.bind.to_string(), "127.0.0.1:8765");
    assert_eq!(configuration.output.lsl[0].name("Kalmind"), "Kalmind-Cursor");
    assert_eq!(configuration.output.events.name("Kalmind"), "Kalmind-Events");
    assert_eq!(configuration.realtime.priority, Insistence::Off);
    assert_eq!(configuration.task.label_law.kind, LabelKind::Limited);
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
fn a_command_that_decodes_nothing_needs_no_stream() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("lsl.toml");
    fs::write(&path, "[lsl]\nnetwork = \"machine\"\n").expect("it is written");
    let settings = configuration::load_settings(&path).unwrap_or_else(|errors| panic!("{errors}"));
    assert_eq!(settings.lsl.network, Network::Machine);
    assert!(configuration::load(&path).is_err());
    // what stands there is checked all the same
    fs::write(&path, "[[stream]]\nbinning = \"sum\"\n").expect("it is written");
    assert!(configuration::load_settings(&path).is_err());
}

#[test]
fn a_component_without_a_unit_is_one_of_a_model_that_states_none() {
    let components =
        "[intent]\ncomponents = [{ name = \"vx\", unit = \"\" }, { name = \"vy\", unit = \"\" }]\n";
    let read = accepted(&format!("{STREAM}{components}"));
    assert!(read.intent.components.iter().all(|component| component.unit.is_empty()));
    assert_eq!(accepted(&read.to_toml()).intent, read.intent);
    let (_, title, ..) = only_problem("[[intent.components]]\nname = \"\"\n");
    assert_eq!(title, "`intent.components[0].name` is empty");
}

#[test]
fn nothing_is_concluded_from_values_that_could_not_be_read() {
    for (text, title) in [
        ("[[streem]]\ntype = \"Features\"\n", "unknown key \"streem\""),
        ("[[stream]]\nnmae = \"Features\"\n", "unknown key \"nmae\""),
        ("[[stream]]\ntype = 3\n", "`stream[0].type` has the wrong type"),
        ("stream = 3\n", "`stream` has the wrong type"),
        (
            "[[stream]]\ntype = \"F\"\n[realtime]\npin = \"try\"\ncore = \"1\"\n",
            "`realtime.core` has the wrong type",
        ),
    ] {
        let found = problems(text);
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(found[0].2.starts_with(title), "{found:?}");
    }
}

#[test]
fn conflicts_are_reported_at_the_key_that_conflicts() {
    for (text, line, title) in [
        ("rate_hz = 50\n[bins]\nbin_ms = 10\n", 3, "`bins.bin_ms` = 10 contradicts"),
        ("rate_hz = 2000\n", 1, "`stream[0].rate_hz` = 2000 Hz makes bins of 0.500 ms"),
        ("[[stream]]\ntype = \"Features\"\nbinning = \"mean\"\n", 1, "two streams are called \"features\""),
        ("[[stream]]\nname = \"b\"\n", 1, "two streams have binning = \"sample\""),
        ("[[stream]]\nkey = \"b\"\nbinning = \"sum\"\n", 1, "`stream[1]` does not say which stream it is"),
        ("required = false\n[[stream]]\nname = \"b\"\nbinning = \"sum\"\n", 1, "`stream[0]` leads the bins"),
        ("[lsl]\nnetwork = \"loopback\"\nknown_peers = [\"a\"]\n", 3, "`lsl.known_peers` has no effect"),
        ("[lsl]\nbase_port = 65530\n", 2, "`lsl.base_port` and `lsl.port_range`"),
        ("[safety]\nstale_after_ms = 20\n", 2, "`safety.stale_after_ms` = 20 is not longer than a bin"),
        ("[realtime]\npin = \"try\"\n", 2, "`realtime.pin` is on, but no `core` is given"),
        ("[realtime]\ncore = 1\n", 2, "`realtime.core` is given, but `pin` is \"off\""),
        ("[cursor]\nstart_position = [0.5, 1.5]\n", 2, "`cursor.start_position` lies outside"),
        (
            "[cursor]\ncomponents = [\"vx\", \"vx\"]\n",
            2,
            "`cursor.components` names the same component twice",
        ),
        ("[cursor]\ncomponents = [\"vx\", \"vz\"]\n", 2, "`cursor.components` moves y by \"vz\""),
        (
            "[intent]\ncomponents = [{ name = \"vx\" }, { name = \"vy\" }, { name = \"vy\" }]\n",
            2,
            "two components are called \"vy\"",
        ),
        ("[server]\nbind = \"0.0.0.0:8765\"\n", 2, "`server.bind` listens on every address"),
        ("[[output.lsl]]\n[[output.lsl]]\n", 2, "two outlets are called \"Kalmind-Cursor\""),
        (
            "[[output.lsl]]\nname = \"Kalmind-Events\"\n[output.events]\n",
            3,
            "two outlets are called \"Kalmind-Events\"",
        ),
        ("[[output.lsl]]\nscale = 0\n", 2, "`output.lsl[0].scale` is 0"),
        ("[[output.lsl]]\nscale = [1, 2]\n", 2, "`output.lsl[0].scale` does not fit the outlet's channels"),
        ("[[output.lsl]]\nchannels = [\"x\"]\nscale = [0]\n", 3, "`output.lsl[0].scale` is 0 for x"),
        ("[[output.lsl]]\noffset = [1]\n", 2, "`output.lsl[0].offset` does not fit the outlet's channels"),
        (
            "[[output.lsl]]\nformat = \"int16\"\n",
            2,
            "`output.lsl[0]` sends `newest` in whole numbers that cannot hold it",
        ),
        ("[cursor.position_from]\nchannels = [0]\n", 2, "`cursor.position_from.channels` names 1 channels"),
        (
            "[task.targets_from]\nchannels = [0, 1, 2, 3]\n",
            2,
            "`task.targets_from.channels` names 4 channels",
        ),
        ("[[output.lsl]]\nchannels = []\n", 2, "`output.lsl[0].channels` is empty"),
        ("[[output.lsl]]\nchannels = [\"x\", \"z\"]\n", 2, "\"z\" is not a channel of the cursor"),
        ("[[output.lsl]]\nchannels = [\"x\", \"x\"]\n", 2, "`output.lsl[0].channels` names \"x\" twice"),
        (
            "[task.markers]\na = { kind = \"trial\", trial = 1, phase = \"end\", radius = 1 }\n",
            2,
            "`radius` does not belong",
        ),
        ("[task.markers]\na = { kind = \"trial\" }\n", 2, "the marker \"a\" needs `trial` and `phase`"),
        ("[task.markers]\na = { kind = \"trial\", phase = \"end\" }\n", 2, "the marker \"a\" needs `trial`"),
        ("[task.markers]\na = { kind = \"task_block\" }\n", 2, "the marker \"a\" needs `phase` and `block`"),
        (
            "[task.markers]\na = { kind = \"target\", position = [0, 0] }\n",
            2,
            "the marker \"a\" needs `radius`",
        ),
        ("[task.markers]\na = { kind = \"operator\" }\n", 2, "the marker \"a\" needs `action`"),
    ] {
        let (at, given, found, _) = only_problem(text);
        assert!(given.starts_with(title), "{text}: {given} ({found})");
        assert_eq!(at, line, "{text}: {given}");
    }
}

#[test]
fn control_from_the_start_needs_a_model() {
    let text = format!("start = \"control\"\n{STREAM}");
    assert_eq!(problems(&text), [(1, 9, "`start` = \"control\" needs a model".to_owned())]);
    assert_eq!(accepted(&format!("{text}[decoder]\nmodel = \"m\"\n")).start, Mode::Control);
}

#[test]
fn components_that_only_the_model_knows_are_left_to_it() {
    let names = "[cursor]\ncomponents = [\"a\", \"b\"]\n[[output.lsl]]\nchannels = [\"x\", \"intent_a\"]\n";
    accepted(&format!("{STREAM}[decoder]\nmodel = \"m\"\n{names}"));
    assert_eq!(problems(&format!("{STREAM}{names}")).len(), 3);
}

#[test]
fn too_many_streams_and_no_required_stream_are_refused() {
    let many: Vec<String> = (0..9)
        .map(|index| {
            format!(
                "[[stream]]
name = \"s{index}\"
binning = \"sum\"
"
            )
        })
        .collect();
    assert_eq!(problems(&many.concat())[0].0, 25);
    let none = "[[stream]]\nname = \"a\"\nbinning = \"sum\"\nrequired = false\n";
    assert_eq!(problems(none), [(4, 1, "no [[stream]] is required".to_owned())]);
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

#[test]
fn a_relative_model_starts_at_the_configuration_and_has_to_be_there() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("a.toml");
    fs::write(&path, format!("{STREAM}[decoder]\nmodel = \"m.safetensors\"\n")).expect("it can be written");
    let errors = configuration::load(&path).expect_err("there is no model");
    let problem = &errors.problems()[0];
    assert_eq!((problem.line(), problem.column()), (4, 9), "{errors}");
    let model = folder.path().join("m.safetensors");
    fs::write(&model, b"").expect("it can be written");
    let configuration = configuration::load(&path).unwrap_or_else(|errors| panic!("{errors}"));
    assert_eq!(configuration.decoder.model, Some(model));
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
