//! A person's hand as what the simulated participant means: `kalmind demo --mouse`.

use kalmind_offline::recorded::{Item, SessionReader, Wanted};
use kalmind_types::EventBody;
use serde_json::{Value, json};

use crate::{
    harness::{Daemon, Laboratory, Process},
    recording::replayed,
};

#[test]
fn a_hand_moves_the_cursor_through_neurons_and_a_decoder() {
    let laboratory = Laboratory::new("hand");
    let name = &laboratory.name;
    let configuration = format!(
        "start = \"idle\"\n[instance]\nname = \"{name}\"\n[server]\nbind = \"127.0.0.1:0\"\n\
         [safety]\nauto_resume_ms = 600000\n[lsl]\nnetwork = \"loopback\"\n\
         [[stream]]\nname = \"{name}-participant\"\nbinning = \"sample\"\nrate_hz = 50\nchannels = 96\n"
    );
    laboratory.write("hand.toml", &configuration);
    let mut demo = laboratory.kalmind();
    demo.args(["demo", "--mouse", "--config", "hand.toml", "--record", "hand.xdf", "--json"]);
    demo.args(["--calibration-seconds", "20", "--seconds", "15"]);
    let demo = Daemon::begun(Process::start(demo));
    // it waits for the hand
    demo.wait_until("a session that is ready", |status| {
        let session = demo.http("GET", "/v1/session", None, false).1;
        status["hand"]["events"] == 0 && session.contains("\"state\":\"ready\"")
    });
    let odd = json!({ "kind": "operator", "data": { "action": "hand", "velocity": [0.1, 512] } });
    let (code, said) = demo.http("POST", "/v1/events", Some(&odd), true);
    assert!(code == 422 && said.contains("workspace widths per second"), "{code} {said}");
    let url = format!("ws://{}/v1/state", demo.address);
    let hand = laboratory.python("hand.py", &["--url", &url, "--token", &demo.token]);
    let (code, lines) = demo.process.wait();
    assert_eq!(code, Some(0), "{lines:?}");
    let (ended, said) = hand.wait();
    assert_eq!(ended, Some(0), "{said:?}");
    let printed = lines.iter().rev().find(|line| line.starts_with('{')).expect("a document");
    let printed: Value = serde_json::from_str(printed).expect("it is JSON");
    assert_eq!(printed["simulated"], true);
    // the counts follow the hand: what is decoded of rows that were not fitted to goes where the cursor was taken
    let correlation = &printed["fit"]["quality"]["correlation"];
    assert!((0..2).all(|axis| correlation[axis].as_f64() > Some(0.15)), "{printed:#}");
    assert!(printed["targets"]["acquired"].as_u64() >= Some(1), "{printed:#}");

    let file = laboratory.path("hand.xdf");
    let mut reader = SessionReader::open(&file, Wanted::default()).expect("a recording");
    let mut hands = 0;
    while let Some(item) = reader.next_item().expect("readable") {
        hands += u32::from(matches!(item, Item::Event(event) if matches!(event.body, EventBody::Hand(_))));
    }
    assert!(hands > 300, "{hands} of some 1000 in 35 s");
    assert!(replayed(&file).identical());
}

#[test]
fn a_run_that_takes_no_hand_says_so() {
    let laboratory = Laboratory::new("handless");
    let stream = format!("name = \"{}\"", laboratory.name);
    let _outlet = laboratory.outlet(&laboratory.name, &[]);
    let daemon = laboratory.daemon(&laboratory.controlled(&stream, ""), "30");
    assert_eq!(daemon.status()["hand"], Value::Null);
    let hand = json!({ "kind": "operator", "data": { "action": "hand", "velocity": [0.1, 0] } });
    let (code, said) = daemon.http("POST", "/v1/events", Some(&hand), true);
    assert!(code == 409 && said.contains("kalmind demo --mouse"), "{code} {said}");
    daemon.end();
}
