//! What only shows when keys are seen together: conflicts, duplicates, and what needs something else.

mod outlet;
mod plane;

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    ops::Range,
};

use kalmind_types::{Binning, MAX_COMPONENTS, MAX_STREAMS};

use super::{
    Configuration, Insistence, Marker, MarkerKind, Network, Selection, Start, Use,
    problem::Problem,
    reader::{Places, quoted},
};
use crate::process::open_files::most_connections;

/// Every conflict between values that are right one by one. Values at or under a path in `spoiled` are not known, and
/// nothing is concluded from them.
pub(super) fn conflicts(
    configuration: &Configuration,
    places: &Places,
    spoiled: &BTreeSet<String>,
    purpose: Use,
) -> Vec<Problem> {
    let mut conflicts = Conflicts { places, spoiled, problems: Vec::new() };
    conflicts.start(configuration);
    conflicts.network(configuration);
    if purpose == Use::Decoding || !configuration.stream.is_empty() {
        conflicts.streams(configuration);
    }
    conflicts.recordings(configuration);
    conflicts.bins(configuration);
    conflicts.intent_and_cursor(configuration);
    conflicts.server(configuration);
    conflicts.outlets(configuration);
    conflicts.planes(configuration);
    conflicts.realtime(configuration);
    conflicts.markers(&configuration.task.markers);
    conflicts.problems
}

struct Conflicts<'a> {
    places: &'a Places,
    spoiled: &'a BTreeSet<String>,
    problems: Vec<Problem>,
}

impl Conflicts<'_> {
    /// Where the value at `path` stands; the nearest table around it where it is not given.
    fn value(&self, path: &str) -> Range<usize> {
        self.places.get(path).map_or_else(|| self.around(path), |place| place.value.clone())
    }

    /// Where the key at `path` stands, likewise.
    fn key(&self, path: &str) -> Range<usize> {
        self.places.get(path).map_or_else(|| self.around(path), |place| place.key.clone())
    }

    fn around(&self, path: &str) -> Range<usize> {
        path.rsplit_once('.').map_or(0..0, |(outer, _)| self.key(outer))
    }

    fn given(&self, path: &str) -> bool {
        self.places.contains_key(path)
    }

    /// Whether everything at and under these paths could be read.
    fn known(&self, paths: &[&str]) -> bool {
        let under = |spoiled: &str, path: &str| {
            spoiled.strip_prefix(path).is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
                || path.strip_prefix(spoiled).is_some_and(|rest| rest.starts_with(['.', '[']))
        };
        !self.spoiled.iter().any(|spoiled| paths.iter().any(|path| under(spoiled, path)))
    }

    fn at(&mut self, span: Range<usize>, title: impl Into<String>, found: &str, help: impl Into<String>) {
        self.problems.push(Problem::new(span, title, found, help));
    }

    /// Whether the components of the intent are the model's, which is not read here.
    fn model_decides(&self, configuration: &Configuration) -> bool {
        configuration.decoder.model.is_some() && !self.given("intent.components")
    }

    /// Reports every name that stands in `named` (path, name) a second time.
    fn duplicates(&mut self, what: &str, named: &[(String, String)], help: &str) {
        let mut first_of = HashMap::with_capacity(named.len());
        for (path, name) in named {
            let first = *first_of.entry(name).or_insert(path);
            if first != path {
                let title = format!("two {what} are called {}", quoted(name));
                let found = format!("the same as `{first}`");
                self.at(self.value(path), title, &found, help);
            }
        }
    }

    fn start(&mut self, configuration: &Configuration) {
        if configuration.start == Start::Control
            && configuration.decoder.model.is_none()
            && self.known(&["start", "decoder"])
        {
            self.at(
                self.value("start"),
                "`start` = \"control\" needs a model",
                "nothing could move the cursor",
                "add model = \"FILE\" under [decoder], or set start = \"idle\"",
            );
        }
    }

    fn network(&mut self, configuration: &Configuration) {
        let lsl = &configuration.lsl;
        if self.known(&["lsl.network"]) && lsl.network == Network::Loopback && !lsl.known_peers.is_empty() {
            self.at(
                self.key("lsl.known_peers"),
                "`lsl.known_peers` has no effect with network = \"loopback\"",
                "these hosts would never be asked",
                "leave `known_peers` out, or set network = \"lab\"",
            );
        }
        let last = u32::from(lsl.base_port) + u32::from(lsl.port_range) - 1;
        if last > 65535 && self.known(&["lsl.base_port", "lsl.port_range"]) {
            let found = format!("the last port would be {last}");
            let path = if self.given("lsl.base_port") { "lsl.base_port" } else { "lsl.port_range" };
            self.at(
                self.value(path),
                "`lsl.base_port` and `lsl.port_range` leave the range of ports",
                &found,
                "choose them so that base_port + port_range is at most 65536",
            );
        }
    }

    fn streams(&mut self, configuration: &Configuration) {
        let streams = &configuration.stream;
        if streams.is_empty() {
            if !self.known(&["stream"]) {
                return;
            }
            self.at(
                self.key("stream"),
                "no [[stream]] is configured",
                "nothing to decode from",
                "add a table [[stream]], for instance with type = \"Features\"; `kalmind streams` lists the streams on the network",
            );
        } else if self.known(&["stream"]) && !streams.iter().any(|stream| stream.required) {
            self.at(
                self.key("stream[0].required"),
                "no [[stream]] is required",
                "nothing would ever close a bin",
                "leave `required` out for at least one stream",
            );
        }
        if streams.len() > MAX_STREAMS {
            let title = format!("{} streams are configured", streams.len());
            let help = format!("at most {MAX_STREAMS} tables [[stream]]");
            self.at(self.key(&format!("stream[{MAX_STREAMS}]")), title, "one too many", help);
        }
        let named: Vec<(String, String)> = streams
            .iter()
            .enumerate()
            .map(|(index, stream)| {
                let key = if stream.key.is_some() { "key" } else { "name" };
                (format!("stream[{index}].{key}"), stream.key().to_owned())
            })
            .collect();
        if self.known(&["stream"]) {
            self.duplicates("streams", &named, "give each stream a `key` of its own");
        }
        let mut leader: Option<usize> = None;
        for (index, stream) in streams.iter().enumerate() {
            let path = format!("stream[{index}]");
            if !self.known(&[&path]) {
                continue;
            }
            self.selects(&path, &stream.selection());
            if stream.binning != Binning::Sample {
                continue;
            }
            if let Some(first) = leader {
                let found = format!("`stream[{first}]` leads already");
                self.at(
                    self.key(&format!("{path}.binning")),
                    "two streams have binning = \"sample\"",
                    &found,
                    "set binning = \"mean\" or \"sum\" for all but one of them (\"sample\" is the default)",
                );
            }
            leader = leader.or(Some(index));
            if !stream.required {
                self.at(
                    self.value(&format!("{path}.required")),
                    format!("`{path}` leads the bins (binning = \"sample\") and is not required"),
                    "its samples make the bins",
                    "set required = true, or binning = \"mean\" or \"sum\"",
                );
            }
        }
    }

    fn selects(&mut self, path: &str, selection: &Selection) {
        if selection.is_empty() {
            self.at(
                self.key(path),
                format!("`{path}` does not say which stream it is"),
                "every stream would fit",
                "add at least one of `name`, `type`, `source_id`, `hostname`, `predicate`",
            );
        }
    }

    fn recordings(&mut self, configuration: &Configuration) {
        let recorded = &configuration.record.stream;
        for (index, stream) in recorded.iter().enumerate() {
            let path = format!("record.stream[{index}]");
            if self.known(&[&path]) {
                self.selects(&path, &stream.selection());
            }
        }
        let decoded = configuration
            .stream
            .iter()
            .enumerate()
            .map(|(at, stream)| (format!("stream[{at}]"), stream.key().to_owned()));
        let further =
            recorded.iter().enumerate().map(|(at, stream)| (format!("record.stream[{at}]"), stream.key(at)));
        if !recorded.is_empty() && self.known(&["stream", "record.stream"]) {
            let named: Vec<(String, String)> = decoded.chain(further).collect();
            self.duplicates("recorded streams", &named, "give each stream a `key` of its own");
        }
    }

    fn bins(&mut self, configuration: &Configuration) {
        let bins = &configuration.bins;
        for (index, stream) in configuration.stream.iter().enumerate() {
            let (Binning::Sample, Some(rate_hz)) = (stream.binning, stream.rate_hz) else { continue };
            let path = format!("stream[{index}].rate_hz");
            let period_ms = 1000.0 / rate_hz;
            if !self.known(&[&format!("stream[{index}]"), "bins.bin_ms"]) {
                continue;
            }
            if !(1.0..=200.0).contains(&period_ms) {
                self.at(
                    self.value(&path),
                    format!("`{path}` = {rate_hz} Hz makes bins of {period_ms:.3} ms"),
                    "with binning = \"sample\" every sample is a bin",
                    "a rate from 5 to 1000 Hz, or binning = \"mean\" or \"sum\" with `bin_ms` from 1 to 200",
                );
            } else if self.given("bins.bin_ms") && (bins.bin_ms / period_ms - 1.0).abs() > 1e-6 {
                let found = format!("`{path}` = {rate_hz} Hz makes bins of {period_ms} ms");
                self.at(
                    self.value("bins.bin_ms"),
                    format!("`bins.bin_ms` = {} contradicts `{path}`", bins.bin_ms),
                    &found,
                    "leave `bin_ms` out (with binning = \"sample\" it follows from the rate), or make the two agree",
                );
            }
        }
        if let Some(stale_after_ms) = configuration.safety.stale_after_ms
            && stale_after_ms <= bins.bin_ms
            && self.known(&["bins.bin_ms", "stream"])
        {
            self.at(
                self.value("safety.stale_after_ms"),
                format!("`safety.stale_after_ms` = {stale_after_ms} is not longer than a bin"),
                "every tick would be stale",
                format!("more than bin_ms = {}; the default is max(100, 3 bins)", bins.bin_ms),
            );
        }
    }

    fn intent_and_cursor(&mut self, configuration: &Configuration) {
        let components = &configuration.intent.components;
        if !self.known(&["intent"]) {
            return;
        }
        if !(1..=MAX_COMPONENTS).contains(&components.len()) {
            let title = format!("`intent.components` has {} components", components.len());
            let help = format!("from 1 to {MAX_COMPONENTS} components");
            self.at(self.value("intent.components"), title, "", help);
        }
        let named: Vec<(String, String)> = components
            .iter()
            .enumerate()
            .map(|(index, component)| (format!("intent.components[{index}].name"), component.name.clone()))
            .collect();
        self.duplicates("components", &named, "give each component a name of its own");

        let cursor = &configuration.cursor;
        if !self.known(&["cursor"]) {
            return;
        }
        for (index, name) in cursor.components.iter().enumerate() {
            if !self.model_decides(configuration)
                && !components.iter().any(|component| component.name == *name)
            {
                let known: Vec<&str> = components.iter().map(|component| component.name.as_str()).collect();
                let axis = ["x", "y"][index];
                self.at(
                    self.value("cursor.components"),
                    format!("`cursor.components` moves {axis} by {}, which is not decoded", quoted(name)),
                    "no such component of the intent",
                    format!("two of [intent] components: {}", known.join(", ")),
                );
            }
        }
        if cursor.components[0] == cursor.components[1] {
            self.at(
                self.value("cursor.components"),
                "`cursor.components` names the same component twice",
                "x and y would move together",
                "two different components",
            );
        }
        let [x, y] = cursor.start_position();
        if !(0.0..=1.0).contains(&x) || !(0.0..=cursor.height).contains(&y) {
            self.at(
                self.value("cursor.start_position"),
                "`cursor.start_position` lies outside the workspace",
                "the cursor cannot start there",
                format!("x from 0 to 1, y from 0 to {} (`height`)", cursor.height),
            );
        }
    }

    fn server(&mut self, configuration: &Configuration) {
        let server = &configuration.server;
        if server.bind.ip().is_unspecified() && server.allowed_hosts.is_empty() && self.known(&["server"]) {
            self.at(
                self.value("server.bind"),
                "`server.bind` listens on every address, but no `allowed_hosts` are given",
                "requests from other machines would all be refused",
                "add allowed_hosts = [\"NAME:PORT\"] as clients will write it, or bind one address",
            );
        }
        if let Some(most) = most_connections(server.max_connections)
            && self.known(&["server.max_connections"])
        {
            self.at(
                self.value("server.max_connections"),
                "`server.max_connections` needs more open files than this system allows the program",
                "a STOP might not get through",
                format!(
                    "use at most {most}, or raise the hard limit of open files (`ulimit -Hn` shows it; LimitNOFILE= in a \
                     systemd unit, nofile in /etc/security/limits.conf)"
                ),
            );
        }
    }

    fn outlets(&mut self, configuration: &Configuration) {
        if !self.known(&["instance", "output", "intent"]) {
            return;
        }
        let instance = &configuration.instance.name;
        let outlets = &configuration.output.lsl;
        let mut named: Vec<(String, String)> = outlets
            .iter()
            .enumerate()
            .map(|(index, outlet)| (format!("output.lsl[{index}].name"), outlet.name(instance)))
            .collect();
        named.push(("output.events.name".to_owned(), configuration.output.events.name(instance)));
        self.duplicates("outlets", &named, "give each outlet a `name` of its own");
        let mut identified: Vec<(String, String)> = outlets
            .iter()
            .enumerate()
            .map(|(index, outlet)| (format!("output.lsl[{index}].source_id"), outlet.source_id(instance)))
            .collect();
        identified
            .push(("output.events.source_id".to_owned(), configuration.output.events.source_id(instance)));
        // outlets of the same name have been reported already
        identified.retain(|(path, _)| self.given(path));
        self.duplicates("source identifiers", &identified, "give each outlet a `source_id` of its own");
        let known = cursor_channels(configuration);
        for (index, outlet) in outlets.iter().enumerate() {
            let path = format!("output.lsl[{index}]");
            self.outlet_numbers(&path, outlet, &known);
            let Some(channels) = &outlet.channels else { continue };
            let place = format!("{path}.channels");
            if channels.is_empty() {
                let help = "leave `channels` out for all of them, or name at least one";
                self.at(
                    self.value(&place),
                    format!("`{place}` is empty"),
                    "an outlet without channels",
                    help,
                );
            }
            for (number, channel) in channels.iter().enumerate() {
                let element = format!("{place}[{number}]");
                let of_intent = channel.starts_with("intent_") || channel.starts_with("covariance_");
                let exists = known.contains(channel) || (of_intent && self.model_decides(configuration));
                if !exists {
                    let help = format!("one of: {}", known.join(", "));
                    self.at(
                        self.value(&element),
                        format!("{} is not a channel of the cursor", quoted(channel)),
                        "no such channel",
                        help,
                    );
                } else if channels.iter().take(number).any(|earlier| earlier == channel) {
                    let title = format!("`{place}` names {} twice", quoted(channel));
                    self.at(self.value(&element), title, "named before", "each channel at most once");
                }
            }
        }
    }

    fn realtime(&mut self, configuration: &Configuration) {
        let realtime = &configuration.realtime;
        if !self.known(&["realtime.pin", "realtime.core"]) {
            return;
        }
        match (realtime.pin, realtime.core) {
            (Insistence::Try | Insistence::Require, None) => self.at(
                self.key("realtime.pin"),
                "`realtime.pin` is on, but no `core` is given",
                "no core to pin to",
                "add core = N, counted from 0",
            ),
            (Insistence::Off, Some(core)) => self.at(
                self.key("realtime.core"),
                "`realtime.core` is given, but `pin` is \"off\"",
                "nothing would be pinned",
                format!("add pin = \"try\" (or \"require\") to use core {core}, or leave `core` out"),
            ),
            _ => {}
        }
    }

    fn markers(&mut self, markers: &BTreeMap<String, Marker>) {
        for (text, marker) in markers {
            let path = format!("task.markers.{text:?}");
            if !self.known(&[&path]) {
                continue;
            }
            let kind = marker.kind;
            let fits = |allowed: &[MarkerKind]| allowed.contains(&kind);
            let parts = [
                ("position", marker.position.is_some(), fits(&[MarkerKind::Target])),
                ("radius", marker.radius.is_some(), fits(&[MarkerKind::Target])),
                ("trial", marker.trial.is_some(), fits(&[MarkerKind::Trial])),
                ("phase", marker.phase.is_some(), fits(&[MarkerKind::Trial, MarkerKind::TaskBlock])),
                ("result", marker.result.is_some(), fits(&[MarkerKind::Trial])),
                ("block", marker.block.is_some(), fits(&[MarkerKind::TaskBlock])),
                ("action", marker.action.is_some(), fits(&[MarkerKind::Operator])),
            ];
            let allowed: Vec<&str> =
                parts.iter().filter(|(_, _, fits)| *fits).map(|(name, _, _)| *name).collect();
            for (name, given, fits) in parts {
                if given && !fits {
                    self.at(
                        self.places.get(&format!("{path}.{name}")).map_or(0..0, |place| place.key.clone()),
                        format!("`{name}` does not belong to a marker of this kind"),
                        "it would have no effect",
                        format!("this kind takes: {}", allowed.join(", ")),
                    );
                }
            }
            let needed: &[&str] = match kind {
                MarkerKind::Target if marker.position.is_some() => &["radius"],
                MarkerKind::Target => &[],
                MarkerKind::Trial => &["trial", "phase"],
                MarkerKind::TaskBlock => &["block", "phase"],
                MarkerKind::Operator => &["action"],
            };
            let missing: Vec<&str> = parts
                .iter()
                .filter(|(name, given, _)| !given && needed.contains(name))
                .map(|(name, ..)| *name)
                .collect();
            if !missing.is_empty() {
                let span = self.places.get(&path).map_or(0..0, |place| place.key.clone());
                let title = format!("the marker {} needs `{}`", quoted(text), missing.join("` and `"));
                self.at(
                    span,
                    title,
                    "incomplete",
                    format!("add {} = ... to it", missing.join(" = ... and ")),
                );
            }
        }
    }
}

/// The labels of the cursor outlet's channels, in their order.
pub(super) fn cursor_channels(configuration: &Configuration) -> Vec<String> {
    let names: Vec<&str> =
        configuration.intent.components.iter().map(|component| component.name.as_str()).collect();
    let mut labels: Vec<String> = ["x", "y", "vx", "vy"].map(str::to_owned).to_vec();
    labels.extend(names.iter().map(|name| format!("intent_{name}")));
    for (row, one) in names.iter().enumerate() {
        labels.extend(names.iter().take(row + 1).map(|other| format!("covariance_{one}_{other}")));
    }
    let rest = ["intent_valid", "click", "presses", "state", "incomplete", "newest", "age_ms", "seq", "run"];
    labels.extend(rest.map(str::to_owned));
    labels
}
