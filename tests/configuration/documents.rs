//! Files of `config/` and generated pages: every key stands in them, with its default.

use super::*;

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
        if ["intent.components", "record.stream", "window"].contains(&&*key.table) {
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
            known.contains(name) || ["components", "stream", "window"].contains(&&**name),
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
fn the_page_of_presets_is_up_to_date() {
    let written = fs::read_to_string(root().join("docs/presets.md")).unwrap_or_default();
    assert!(
        written == configuration::presets_reference(),
        "docs/presets.md is out of date: cargo test --test configuration -- --ignored write_the_page_of_presets"
    );
}

#[test]
#[ignore = "writes docs/presets.md"]
fn write_the_page_of_presets() {
    fs::write(root().join("docs/presets.md"), configuration::presets_reference())
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
    assert_eq!(configuration.safety.stale_after_ms(20.0, 0.0), 100.0);
    assert_eq!(configuration.safety.auto_resume_ms, 2000.0);
    assert_eq!(configuration.server.bind.to_string(), "127.0.0.1:8765");
    assert_eq!(configuration.output.lsl[0].name("Kalmind"), "Kalmind-Cursor");
    assert_eq!(configuration.output.events.name("Kalmind"), "Kalmind-Events");
    assert_eq!(configuration.realtime.priority, Insistence::Off);
    assert_eq!(configuration.task.label_law.kind, LabelKind::Limited);
}

#[test]
fn the_stages_of_the_broadband_example_run_on_its_stream() {
    let file = configuration::load(&root().join("config/intracortical-broadband.toml"))
        .unwrap_or_else(|errors| panic!("{errors}"));
    assert_eq!(file.why_no_rest(true), None);
    assert!(file.why_no_rest(false).is_some_and(|why| why.contains("not recorded")));
    let stages = kalmind_signal::ChainSettings(file.stream[0].stages.clone());
    let channels = (0..192).map(|channel| (format!("electrode{channel}"), String::from("uV")));
    let raw = kalmind_signal::Signal::raw(30_000.0, channels);
    let chain = kalmind_signal::Chain::new(&stages, kalmind_types::GenerationId::default(), &raw, 64)
        .expect("the stages fit the stream");
    let out = chain.signal();
    assert_eq!((out.outputs.len(), out.every, chain.delay()), (192, 30, 0));
    assert_eq!(out.outputs[100].sources.first().map(|run| [run.start, run.end]), Some([96, 192]));
    let text: Vec<String> = stages.0.iter().map(kalmind_signal::StageSettings::summary).collect();
    let expected = "blanked at 8000 -> 250..5000 Hz causal -> reference (common average, arrays: 2) -> spikes -4.5 \
                    times the scale";
    assert_eq!(text.join(" -> "), expected);
}
