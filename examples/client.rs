//! What an app starts from: follows Kalmind's cursor, counts presses, and can stop it.
//!
//! `cargo run --example client -- [HOST:PORT]`: Enter stops the cursor, Ctrl-C ends the client. An app of its own needs
//! `tungstenite` and `serde_json`.
#![expect(clippy::print_stdout, reason = "an example prints what an app would draw")]

use std::{
    env,
    error::Error,
    io::{self, Read as _, Write as _},
    net::TcpStream,
    thread,
    time::Duration,
};

use serde_json::{Value, json};
use tungstenite::{Message, client};

/// Kalmind sends something at least every 100 ms, with or without a signal: after this long the connection is dead.
const SILENCE: Duration = Duration::from_secs(1);

/// What an app keeps: where its cursor is, and the presses made while it was connected.
#[derive(Default)]
struct App {
    position: [f64; 2],
    presses: u64,
    counter: Option<u64>,
    shown: (String, u64, i64),
}

impl App {
    fn handle(&mut self, message: &Value) {
        match message["type"].as_str() {
            Some("hello") => {
                let decoder = message["decoder"]["name"].as_str().unwrap_or("none");
                let version = message["version"].as_str().unwrap_or_default();
                let bin_ms = message["bin_ms"].as_f64().unwrap_or_default();
                println!("connected: Kalmind {version}, decoder {decoder}, {bin_ms} ms a tick");
                self.counter = None;
            }
            Some("state") => {
                // only in `control` does the decoder move the cursor; in every other state ours stays where it is
                if message["state"] == "control" {
                    self.position = [0, 1].map(|axis| message["position"][axis].as_f64().unwrap_or_default());
                }
                // the counter tells of every press, whatever states were missed; those before we connected are not ours
                if let Some(now) = message["click"]["presses"].as_u64() {
                    self.presses += self.counter.map_or(0, |before| now.saturating_sub(before));
                    self.counter = Some(now);
                }
                self.show(message);
            }
            // there are no ticks: only what state Kalmind is in
            Some("heartbeat") => self.show(message),
            Some("event") => {
                println!("event {}: {}", message["kind"].as_str().unwrap_or("?"), message["data"]);
            }
            Some("gap") => {
                println!("gap: {} states and {} events missed", message["missed"], message["missed_events"]);
            }
            _ => {}
        }
    }

    /// A line when something changes, and one a second.
    fn show(&mut self, message: &Value) {
        let [state, reason] = ["state", "reason"].map(|key| message[key].as_str().unwrap_or_default());
        let sent = message["sent"].as_f64().unwrap_or_default();
        let shown = (state.to_owned(), self.presses, sent.floor() as i64);
        if shown != self.shown {
            self.shown = shown;
            let [x, y] = self.position;
            println!("{state} ({reason}): cursor {x:.3} {y:.3}, presses {}", self.presses);
        }
    }
}

/// One connection, to its end.
fn follow(address: &str, app: &mut App) -> Result<(), Box<dyn Error>> {
    let stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(SILENCE))?;
    stream.set_nodelay(true)?;
    let (mut socket, _) = client(format!("ws://{address}/v1/state?flow=ack"), stream)?;
    loop {
        if let Message::Text(text) = socket.read()? {
            let message: Value = serde_json::from_str(&text)?;
            app.handle(&message);
            // handled: now Kalmind sends the newest state, and old ones never queue up for us
            if message["type"] == "state" {
                let acknowledged = json!({ "type": "ack", "seq": message["seq"] });
                socket.send(Message::text(acknowledged.to_string()))?;
            }
        }
    }
}

/// Anybody may stop, without a token. Only the operator resumes.
fn stop(address: &str) -> io::Result<()> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(5 * SILENCE))?;
    write!(
        stream,
        "POST /v1/stop HTTP/1.1\r\nHost: {address}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
    )?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    if answer.starts_with("HTTP/1.1 200 ") { Ok(()) } else { Err(io::Error::other(answer)) }
}

fn main() -> ! {
    let address = env::args().nth(1).unwrap_or_else(|| String::from("127.0.0.1:8765"));
    let stop_at = address.clone();
    thread::spawn(move || {
        for _ in io::stdin().lines().map_while(Result::ok) {
            if let Err(error) = stop(&stop_at) {
                println!("NOT STOPPED: {error}");
            }
        }
    });
    let mut app = App::default();
    loop {
        // whatever it was: the cursor stands still until there is a connection again
        if let Err(error) = follow(&address, &mut app) {
            println!("no connection: {error}");
            thread::park_timeout(Duration::from_secs(1));
        }
    }
}
