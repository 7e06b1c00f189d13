//! `docs/tutorial-own-task.md`: the program that it builds runs as it stands there, and what the daemon says meanwhile is as
//! its documents describe it.

use std::{fs, path::Path};

use jsonschema::Validator;
use serde_json::{Value, json};

use crate::harness::{Laboratory, Process, json as read_json, repository};

/// The only block of the page in this language.
fn code(page: &str, language: &str) -> String {
    let fence = format!("```{language}\n");
    let mut blocks = page.split(&fence).skip(1);
    let block = blocks.next().and_then(|rest| rest.split("```").next()).expect("a block of code");
    assert!(blocks.next().is_none(), "more than one block in {language}");
    block.to_owned()
}

/// A validator of a schema of one of the documents.
fn schema(document: &str, name: &str) -> Validator {
    let document = read_json(&repository(&format!("docs/{document}")));
    let schema = json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$ref": format!("#/components/schemas/{name}"),
        "components": document["components"],
    });
    jsonschema::validator_for(&schema).expect("a schema")
}

fn check(validator: &Validator, value: &Value) {
    let problems: Vec<String> =
        validator.iter_errors(value).map(|error| format!("{}: {error}", error.instance_path())).collect();
    assert!(problems.is_empty(), "{value:#}\n{problems:#?}");
}

#[test]
fn the_tutorials_task_calibrates_and_controls_as_it_stands_in_the_page() {
    let page = fs::read_to_string(repository("docs/tutorial-own-task.md")).expect("the page");
    let (configuration, program) = (code(&page, "toml"), code(&page, "python"));
    let lines = program.lines().count();
    assert!(lines <= 40, "the page promises 40 lines, and there are {lines}");

    let laboratory = Laboratory::new("tutorial");
    // a name and a port of its own beside other tests, and patience on a busy machine
    let own = format!(
        "instance.name = \"{}\"\nserver.bind = \"127.0.0.1:0\"\nsafety.auto_resume_ms = 600000\n\
         safety.stale_after_ms = 10000\n",
        laboratory.name
    );
    let configuration = laboratory.write("task.toml", &(own + &configuration));
    let mut participant = laboratory.kalmind();
    participant.args(["simulate", "--instance", &laboratory.name]);
    let participant = Process::start(participant);
    let daemon = laboratory.daemon(&configuration, "30");
    let (watch, hello) = laboratory.watch(&daemon);
    check(&schema("asyncapi.json", "Hello"), &hello);

    let file = laboratory.write("task.py", &program);
    let mut task = laboratory.command(Path::new(&repository(".venv/bin/python")));
    task.arg(file).arg(format!("http://{}/#token={}", daemon.address, daemon.token));
    let task = Process::start(task);
    let (code, said) = task.wait();
    assert_eq!(code, Some(0), "{said:?}");
    let acquired = |block: &str| {
        let line = said.iter().find_map(|line| line.strip_prefix(&format!("{block}: "))).expect("a result");
        line.split(' ').next().and_then(|count| count.parse::<u32>().ok()).expect("a count")
    };
    assert!(said.iter().any(|line| line == "model: swapped kalman-steady"), "{said:?}");
    assert!(acquired("open_loop") >= 12, "{said:?}");
    let decoder = &daemon.status()["decoder"];
    assert_eq!(decoder["poor"], false, "{decoder:#}");
    // a decoder that knows nothing acquires none
    assert!(acquired("closed_loop") >= 4, "{said:?}");

    check(&schema("openapi.json", "Status"), &daemon.status());
    daemon.end();
    drop(participant);
    let (_, lines) = watch.wait();
    let (event, mut seen) = (schema("asyncapi.json", "Event"), 0);
    for mut line in lines.iter().filter_map(|line| serde_json::from_str::<Value>(line).ok()) {
        if line["type"] == "event" {
            // the watching client's own addition
            line.as_object_mut().and_then(|event| event.remove("received")).expect("when it was received");
            check(&event, &line);
            seen += 1;
        }
    }
    assert!(seen > 60, "{seen} events were seen");
}
