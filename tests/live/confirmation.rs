//! A decoder that is no better than chance by its own fit report moves no cursor until the operator says so.

use std::fmt::Write as _;

use kalmind_offline::recorded::{Item, SessionReader, Wanted};
use kalmind_types::EventBody;
use serde_json::{Value, json};

use crate::{harness::Laboratory, recording::recording};

/// A table of noise in so many columns, from -1 to 1 (splitmix64).
fn noise(columns: usize, seed: u64) -> String {
    let mut state = seed;
    let mut draw = || {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((mixed ^ (mixed >> 31)) >> 11) as f64 / (1_u64 << 52) as f64 - 1.0
    };
    (0..800).fold(String::new(), |mut text, _row| {
        let row: Vec<String> = (0..columns).map(|_| draw().to_string()).collect();
        let _infallible = writeln!(text, "{}", row.join(","));
        text
    })
}

#[test]
fn control_with_a_decoder_at_chance_takes_the_operators_word_and_the_recording_has_it() {
    let laboratory = Laboratory::new("chance");
    let stream = laboratory.name.clone();
    let (features, states) =
        (laboratory.write("x.csv", &noise(6, 1)), laboratory.write("z.csv", &noise(2, 2)));
    let (model, file) = (laboratory.path("model.safetensors"), laboratory.path("session.xdf"));
    let text = |path: &std::path::Path| path.to_str().expect("a path").to_owned();
    let said = laboratory.succeed(&[
        "fit",
        "--features",
        &text(&features),
        "--states",
        &text(&states),
        "--rate",
        "50",
        "--decoder",
        "kalman",
        "--json",
        "-o",
        &text(&model),
    ]);
    let fitted: Value = serde_json::from_str(&said).expect("one JSON document");
    assert_eq!(fitted["report"]["quality"]["chance"]["result"], "not_better", "{fitted:#}");
    let warning = fitted["report"]["warnings"][0].as_str().expect("a warning");
    assert!(warning.contains("no better than chance"), "{warning}");

    let _outlet = laboratory.outlet(&stream, &[]);
    let configuration = laboratory.write(
        "kalmind.toml",
        &format!(
            "start = \"control\"\ninstance.name = \"{stream}\"\nserver.bind = \"127.0.0.1:0\"\ndecoder.model = \"{}\"\n\
             decoder.plausibility = false\nsafety.auto_resume_ms = 600000\nsafety.stale_after_ms = 10000\n\
             [[stream]]\nname = \"{stream}\"\n",
            model.display()
        ),
    );
    let daemon = recording(&laboratory, &configuration, &file);
    let kept = |status: &Value| {
        let reason = status["reason"].as_str().unwrap_or_default();
        status["state"] == "idle" && reason.contains("no better than chance")
    };
    let status = daemon.wait_until("idle, and why", kept);
    assert_eq!(status["awaiting_confirmation"][0]["confirm"], "poor_decoder", "{status:#}");
    assert_eq!(status["decoder"]["poor"], true);
    assert!(status["decoder"]["quality"]["nrmse_of_mean"].is_number(), "{:#}", status["decoder"]);

    // a task's block of control changes nothing; a request without the word is refused, and says what is missing
    let event = json!({ "kind": "task_block", "data": { "block": "closed_loop", "phase": "start" } });
    let (code, body) = daemon.http("POST", "/v1/events", Some(&event), true);
    assert_eq!(code, 200, "{body}");
    let ask = |body: &Value| daemon.http("POST", "/v1/control", Some(body), true);
    let (code, body) = ask(&json!({ "state": "control", "confirm": "slow_input" }));
    assert!(
        code == 409 && body.contains("poor_decoder") && body.contains("no better than chance"),
        "{code} {body}"
    );
    assert_eq!(body.matches("poor_decoder").count(), 1, "{body}");
    // a confirmation of another model than the one that decodes is none
    let hash = &fitted["sha256"];
    let awaiting = &status["awaiting_confirmation"][0];
    assert_eq!(&awaiting["model"], hash);
    assert!(!awaiting["text"].as_str().expect("words").contains("confirm"), "{awaiting}");
    let other = "ab".repeat(32);
    let (code, body) = ask(&json!({ "state": "control", "confirm": "poor_decoder", "model": other }));
    assert!(code == 409 && body.contains("other_model") && body.contains("abababab"), "{code} {body}");
    let (code, body) = ask(&json!({ "state": "idle", "confirm": "poor_decoder", "model": hash }));
    assert_eq!(code, 422, "{body}");
    assert!(kept(&daemon.status()), "{:#}", daemon.status());
    let (code, body) = ask(&json!({ "state": "control", "confirm": ["poor_decoder"], "model": hash }));
    assert_eq!(code, 200, "{body}");
    let confirmed =
        |status: &Value| status["state"] == "control" && status["awaiting_confirmation"] == json!([]);
    let status = daemon.wait_until("control, and nothing left to confirm", confirmed);
    // whoever sends it once more was shown the model that decodes
    let (code, body) = ask(&json!({ "state": "control", "confirm": ["poor_decoder"], "model": hash }));
    assert_eq!(code, 200, "{body}");
    assert_eq!(status["decoder"]["poor"], true, "it is no better for having been confirmed");
    daemon.end();

    let mut confirmed = Vec::new();
    let mut reader = SessionReader::open(&file, Wanted::default()).expect("a recording");
    while let Some(item) = reader.next_item().expect("it can be read") {
        if let Item::Event(event) = item
            && let EventBody::Operator(request) = &event.body
            && !request.confirmed.is_empty()
        {
            confirmed.push(event.body.data());
        }
    }
    let expected =
        json!({ "action": "control", "by": "operator", "confirmed": ["poor_decoder"], "model": hash });
    assert_eq!(confirmed, [expected]);
    // the page of the session has it too, and how good the model is by its own file
    let page = laboratory.path("page.html");
    laboratory.succeed(&["recording", "report", &text(&file), "-o", &text(&page)]);
    let page = std::fs::read_to_string(page).expect("a page");
    let said = format!(
        "control requested by the operator; confirmed: poor decoder (model {})",
        hash.as_str().expect("a hash")
    );
    assert!(page.contains(&said), "what was confirmed");
    assert!(page.contains("no better than chance (") && page.contains("<td>configured</td>"), "the quality");
    // the command is in the ticks: a replay goes to control where the session did
    let replayed: Value =
        serde_json::from_str(&laboratory.succeed(&["replay", &text(&file), "--json"])).expect("JSON");
    assert_eq!(replayed["identical"], true, "{replayed:#}");
}
