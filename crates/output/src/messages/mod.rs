//! What the server says over the WebSocket: a file a message, with its type and an example, beside the JSON by which the
//! documents describe it. A message is serialised as the client protocol fixes it.
//!
//! Numbers that are not finite become `null` (that is `serde_json`'s rule for `f64`); a property test holds it to that.

mod accepted;
mod accepted_event;
#[cfg(test)]
mod described;
mod error;
#[cfg(test)]
mod event;
mod gap;
mod heartbeat;
mod hello;
mod pong;
mod reason_text;
mod session;
mod state;

use serde::Serialize;

pub use self::hello::Workspace;
pub(crate) use self::{
    accepted::Accepted,
    accepted_event::AcceptedEvent,
    error::{ErrorCode, ErrorMessage},
    gap::Gap,
    heartbeat::HeartbeatMessage,
    hello::{ClockPair, FlowControl, Hello},
    pong::Pong,
    reason_text::ReasonText,
    session::SessionMessage,
    state::State,
};

/// The version of the client protocol.
pub const PROTOCOL: u32 = 1;

/// Every message, in the order of the documents, which are written from it.
#[cfg(test)]
const MESSAGES: [described::Described; 10] = [
    hello::DESCRIBED,
    state::DESCRIBED,
    heartbeat::DESCRIBED,
    event::DESCRIBED,
    session::DESCRIBED,
    gap::DESCRIBED,
    pong::DESCRIBED,
    accepted::DESCRIBED,
    accepted_event::DESCRIBED,
    error::DESCRIBED,
];

/// `message` as JSON text. Every message here has string keys and plain values, which cannot fail to serialise; should
/// it ever, the client reads an error object instead.
pub(crate) fn to_json(message: &impl Serialize) -> String {
    serde_json::to_string(message).unwrap_or_else(|error| {
        tracing::error!(%error, "a message could not be serialised");
        String::from(
            r#"{"type":"error","code":"invalid","message":"internal: a message could not be serialised"}"#,
        )
    })
}

#[cfg(test)]
mod tests {
    use std::{fs, path::PathBuf};

    use kalmind_types::{
        Actor, Cause, Click, Heartbeat, Intent, LslTime, MAX_COMPONENTS, OutputState, Position, Publication,
        Reason, Seconds, StageTimes, TickOutput, TickPublication, Velocity,
    };
    use proptest::prelude::*;
    use serde::{Deserialize, Deserializer, Serializer, de};
    use serde_json::{Value, json};

    use super::*;

    /// Every number there is: zeros, subnormals, infinities, not-a-numbers.
    fn number() -> impl Strategy<Value = f64> {
        prop_oneof![proptest::num::f64::ANY, Just(f64::NAN), Just(f64::INFINITY), Just(f64::NEG_INFINITY)]
    }

    fn time() -> impl Strategy<Value = LslTime> {
        number().prop_map(LslTime)
    }

    fn state() -> impl Strategy<Value = (OutputState, Option<Reason>)> {
        let reason = Reason { cause: Cause::NotFinite, by: Actor::Daemon };
        (proptest::sample::select(OutputState::ALL.to_vec()), proptest::option::of(Just(reason)))
    }

    fn intent() -> impl Strategy<Value = Intent> {
        (1..=MAX_COMPONENTS, proptest::collection::vec(number(), 8), proptest::collection::vec(number(), 36))
            .prop_map(|(dimension, mean, covariance)| {
                let mut intent = Intent::zero(dimension);
                intent.mean_mut().copy_from_slice(&mean[..dimension]);
                let entries = dimension * (dimension + 1) / 2;
                intent.covariance_mut().copy_from_slice(&covariance[..entries]);
                intent
            })
    }

    fn tick() -> impl Strategy<Value = TickPublication> {
        let click = number().prop_map(|probability| Click { probability, ..Click::default() });
        let output = (
            any::<u64>(),
            (time(), proptest::option::of(time())),
            state(),
            (number(), number(), number(), number()),
            proptest::option::of(intent()),
            proptest::option::of(click),
        );
        (output, (time(), time(), time(), number())).prop_map(
            |((seq, (time, newest), (state, reason), (x, y, vx, vy), intent, click), stages)| {
                TickPublication {
                    output: TickOutput {
                        newest,
                        state,
                        reason,
                        position: Position([x, y]),
                        velocity: Velocity([vx, vy]),
                        intent,
                        click,
                        ..TickOutput::neutral(seq, time)
                    },
                    times: StageTimes { received: stages.0, closed: stages.1, decoded: stages.2 },
                    age: Seconds(stages.3),
                    late: false,
                }
            },
        )
    }

    fn publication() -> impl Strategy<Value = Publication> {
        let heartbeat = (time(), state(), number(), number()).prop_map(|(time, (state, reason), x, y)| {
            Publication::Heartbeat(Heartbeat {
                time,
                state,
                reason,
                last_seq: None,
                position: Position([x, y]),
            })
        });
        prop_oneof![tick().prop_map(Publication::Tick), heartbeat]
    }

    /// The numbers in a JSON value, in order.
    fn numbers(value: &Value, into: &mut Vec<f64>) {
        match value {
            Value::Number(number) => into.extend(number.as_f64()),
            Value::Array(items) => items.iter().for_each(|item| numbers(item, into)),
            Value::Object(members) => members.values().for_each(|member| numbers(member, into)),
            _ => {}
        }
    }

    proptest! {
        #[test]
        fn whatever_a_publication_holds_its_message_is_json_of_finite_numbers(
            publication in publication(),
            sent in time(),
        ) {
            let text = match &publication {
                Publication::Tick(tick) => to_json(&State::new("session", tick, sent)),
                Publication::Heartbeat(heartbeat) => to_json(&HeartbeatMessage::new("session", heartbeat, sent)),
            };
            for word in ["NaN", "nan", "inf", "Inf"] {
                prop_assert!(!text.contains(word), "{text}");
            }
            let value: Value = serde_json::from_str(&text).unwrap();
            let mut found = Vec::new();
            numbers(&value, &mut found);
            prop_assert!(found.iter().all(|number| number.is_finite()), "{text}");
            let position = match &publication {
                Publication::Tick(tick) => tick.output.position,
                Publication::Heartbeat(heartbeat) => heartbeat.position,
            };
            for (axis, coordinate) in position.0.into_iter().enumerate() {
                let written = value["position"][axis].as_f64();
                prop_assert_eq!(written.map(f64::to_bits), coordinate.is_finite().then_some(coordinate.to_bits()));
            }
        }
    }

    /// JSON whose members keep their order, as people read them.
    #[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
    #[serde(untagged)]
    enum Ordered {
        Object(Members),
        Array(Vec<Ordered>),
        Plain(Value),
    }

    #[derive(Clone, Debug, PartialEq)]
    struct Members(Vec<(String, Ordered)>);

    impl Serialize for Members {
        fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
            to.collect_map(self.0.iter().map(|(name, value)| (name, value)))
        }
    }

    impl<'de> Deserialize<'de> for Members {
        fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
            struct Reader;
            impl<'de> de::Visitor<'de> for Reader {
                type Value = Members;

                fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                    formatter.write_str("an object")
                }

                fn visit_map<A: de::MapAccess<'de>>(self, mut members: A) -> Result<Members, A::Error> {
                    std::iter::from_fn(|| members.next_entry().transpose())
                        .collect::<Result<_, _>>()
                        .map(Members)
                }
            }
            from.deserialize_map(Reader)
        }
    }

    impl Ordered {
        /// The value at a path of names, if there is one.
        fn at(&mut self, path: &[&str]) -> Option<&mut Self> {
            path.iter().try_fold(self, |value, name| match value {
                Self::Object(members) => {
                    members.0.iter_mut().find(|(member, _)| member == name).map(|(_, value)| value)
                }
                Self::Array(_) | Self::Plain(_) => None,
            })
        }

        /// Gives the object at `path` a member: in place of the one of that name, else after `before`. No such object, no member.
        fn put(&mut self, path: &[&str], before: Option<&str>, name: &str, value: Self) {
            let Some(Self::Object(Members(members))) = self.at(path) else { return };
            if let Some(old) = members.iter_mut().find(|(member, _)| member == name) {
                old.1 = value;
            } else {
                let place = members.iter().position(|(member, _)| Some(member.as_str()) == before);
                members.insert(place.map_or(0, |place| place + 1), (String::from(name), value));
            }
        }
    }

    fn document(name: &str) -> (PathBuf, String) {
        let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../docs").join(name);
        (path.clone(), fs::read_to_string(path).unwrap())
    }

    /// A document's text with what the registry says of each message. HTTP answers some of them, and names their schemas alone.
    fn written(document: &str) -> String {
        let reference =
            |to: String| Ordered::Object(Members(vec![(String::from("$ref"), Ordered::Plain(json!(to)))]));
        let mut document: Ordered = serde_json::from_str(document).unwrap();
        let of_websocket = document.at(&["channels"]).is_some();
        let mut before = None;
        for described::Described { key, fragment, .. } in MESSAGES {
            let mut fragment: Ordered = serde_json::from_str(fragment).unwrap();
            if of_websocket || document.at(&["components", "schemas", key]).is_some() {
                let schema = fragment.at(&["schema"]).unwrap().clone();
                document.put(&["components", "schemas"], before, key, schema);
            }
            let message = fragment.at(&["message"]).unwrap().clone();
            document.put(&["components", "messages"], before, key, message);
            let in_components = reference(format!("#/components/messages/{key}"));
            document.put(&["channels", "state", "messages"], before, key, in_components);
            before = Some(key);
        }
        if let Some(received) = document.at(&["operations", "receiveMessages", "messages"]) {
            let keys = MESSAGES.iter().map(|message| message.key);
            let references = keys.map(|key| reference(format!("#/channels/state/messages/{key}")));
            *received = Ordered::Array(references.collect());
        }
        serde_json::to_string_pretty(&document).unwrap() + "\n"
    }

    #[test]
    fn the_documents_say_of_every_message_what_the_registry_says() {
        for (path, text) in [document("asyncapi.json"), document("openapi.json")] {
            assert!(
                written(&text) == text,
                "{} is not what the registry says: `cargo test --workspace --lib -- --ignored write_the_messages`",
                path.display()
            );
        }
    }

    #[test]
    #[ignore = "writes docs/asyncapi.json and docs/openapi.json"]
    fn write_the_messages() {
        for (path, text) in [document("asyncapi.json"), document("openapi.json")] {
            fs::write(path, written(&text)).unwrap();
        }
    }

    #[test]
    fn every_message_has_an_example_of_finite_numbers_that_fits_its_schema() {
        let (_, asyncapi) = document("asyncapi.json");
        let asyncapi: Value = serde_json::from_str(&asyncapi).unwrap();
        for described::Described { key, fragment, example } in MESSAGES {
            let fragment: Value = serde_json::from_str(fragment).unwrap();
            let text = example().unwrap();
            let example: Value = serde_json::from_str(&text).unwrap();
            let mut schema = fragment["schema"].clone();
            schema["$schema"] = json!("https://json-schema.org/draft/2020-12/schema");
            schema["components"] = asyncapi["components"].clone();
            let validator = jsonschema::validator_for(&schema).unwrap();
            let problems: Vec<String> =
                validator.iter_errors(&example).map(|error| error.to_string()).collect();
            assert!(problems.is_empty(), "{key}: {text}: {problems:?}");
            let mut found = Vec::new();
            numbers(&example, &mut found);
            assert!(found.iter().all(|number| number.is_finite()), "{key}: {text}");
            let message = &fragment["message"];
            assert!(text.starts_with(&format!("{{\"type\":{}", message["name"])), "{key}: {text}");
            assert_eq!(message["payload"]["$ref"], format!("#/components/schemas/{key}"));
            // where the documents show an example, it is this one
            if let Some(shown) = message.get("examples") {
                assert_eq!(*shown, json!([{"payload": example}]), "{key}");
            }
        }
    }
}
