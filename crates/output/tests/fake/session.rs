//! A session that is not there: what it shows, and what was asked of it.

use std::sync::{Arc, Mutex};

use kalmind_output::ControlRefused;
use kalmind_types::Actor;
use serde_json::{Value, json};

/// What a fake daemon does with what it is asked; `None` answers as [`FakeSession`] does by itself.
pub type Answer = Arc<dyn Fn(&Value, Actor) -> Result<Value, ControlRefused> + Send + Sync>;

/// What the session shows, and what was asked of it.
pub struct FakeSession {
    shown: Mutex<Value>,
    asked: Mutex<Vec<(Value, Actor)>>,
    lost: Mutex<Vec<String>>,
    answer: Mutex<Option<Answer>>,
}

impl Default for FakeSession {
    fn default() -> Self {
        let shown = serde_json::from_str(include_str!("session.json")).unwrap();
        Self {
            shown: Mutex::new(shown),
            asked: Mutex::default(),
            lost: Mutex::default(),
            answer: Mutex::default(),
        }
    }
}

impl FakeSession {
    /// From now on it shows this.
    pub fn show(&self, status: Value) {
        *self.shown.lock().unwrap() = status;
    }

    /// From now on this answers.
    pub fn answer(&self, answer: Answer) {
        *self.answer.lock().unwrap() = Some(answer);
    }

    pub fn shown(&self) -> Value {
        self.shown.lock().unwrap().clone()
    }

    pub fn asked(&self) -> Vec<(Value, Actor)> {
        self.asked.lock().unwrap().clone()
    }

    /// Consoles that the daemon was told are lost.
    pub fn lost(&self) -> Vec<String> {
        self.lost.lock().unwrap().clone()
    }

    pub(super) fn lose(&self, console: &str) {
        self.lost.lock().unwrap().push(String::from(console));
    }

    pub(super) fn request(&self, asked: &Value, by: Actor) -> Result<Value, ControlRefused> {
        self.asked.lock().unwrap().push((asked.clone(), by));
        let answer = self.answer.lock().unwrap().clone();
        if let Some(answer) = answer {
            return answer(asked, by);
        }
        let request = &asked["request"];
        match request["action"].as_str() {
            Some("open") if request["preset"].is_string() => {
                self.shown.lock().unwrap()["state"] = json!("ready");
            }
            Some("start") => return Err(ControlRefused::NotNow(String::from("a block runs already"))),
            Some("pause" | "call" | "note") => {}
            _ => return Err(ControlRefused::Invalid(String::from("no such action"))),
        }
        Ok(self.shown())
    }
}
