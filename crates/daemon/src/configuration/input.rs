//! `[lsl]`, `[[stream]]`, `[bins]`: what comes in, and how it is cut into bins.

use kalmind_acquisition::{ClockSource, Network, NetworkConfig, StreamSelector};
use kalmind_signal::StageSettings;
use kalmind_types::{Binning, MAX_STREAMS};
use toml::{Spanned, Value, de::DeValue};

use super::{
    check::Conflicts,
    reader::Reader,
    rule::Rule,
    setting::Setting,
    table::{choices, table, table_of},
};

choices!(Network { Loopback => "loopback", Machine => "machine", Lab => "lab" });

choices!(ClockSource { Sender => "sender", Arrival => "arrival" });

choices!(Binning);

/// A channel of a stream, by label or by index from 0.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ChannelReference {
    /// Its label in the stream's header.
    Label(String),
    /// Its index, counted from 0.
    Index(usize),
}

impl ChannelReference {
    /// Its place among channels with these labels, whether there is such a place or not.
    pub fn find(&self, labels: &[String]) -> Option<usize> {
        match self {
            Self::Index(index) => Some(*index),
            Self::Label(label) => labels.iter().position(|known| known == label),
        }
    }
}

impl Setting for ChannelReference {
    fn kind() -> String {
        "channel label or index from 0".to_owned()
    }

    fn read(value: &Spanned<DeValue<'_>>, rule: &Rule, reader: &mut Reader) -> Option<Self> {
        match value.get_ref() {
            DeValue::String(_) => String::read(value, rule, reader).map(Self::Label),
            DeValue::Integer(_) => usize::read(value, &Rule::Between(0.0, 1023.0), reader).map(Self::Index),
            _ => reader.wrong_type(value, &Self::kind()),
        }
    }

    fn write(&self) -> Option<Value> {
        match self {
            Self::Label(label) => label.write(),
            Self::Index(index) => index.write(),
        }
    }
}

table_of! {
    /// What a stream is found by: every key that is given must fit.
    StreamSelector {
        /// The stream's name.
        name: Option<String> = None, or "any";
        /// The stream's content type.
        content_type as "type": Option<String> = None, or "any";
        /// The sender's own identifier of the source.
        source_id: Option<String> = None, or "any";
        /// The host that sends it.
        hostname: Option<String> = None, or "any";
        /// A condition on the stream's header in LSL's own language (`XPath` 1.0), as in `starts-with(name,'BioSemi')`.
        predicate: Option<String> = None, or "any";
    }
}

/// LSL's network settings where the configuration does not say otherwise.
pub fn default_network() -> NetworkConfig {
    NetworkConfig {
        network: Network::Lab,
        session_id: Some("default".to_owned()),
        known_peers: Vec::new(),
        base_port: Some(16572),
        port_range: Some(32),
        multicast_port: Some(16571),
    }
}

table_of! {
    /// How Lab Streaming Layer finds streams, and how its own are found. An `LSLAPICFG` variable overrides this
    /// table; this is shown at startup.
    NetworkConfig {
        /// How far LSL looks for streams and is seen: the loopback interface, this machine, or the local network.
        network: Network = Network::Lab;
        /// Only programs with the same session identifier see each other.
        session_id: Option<String> = default_network().session_id, in Rule::SessionId;
        /// Hosts to ask for streams where multicast does not reach.
        known_peers: Vec<String> = Vec::new(), in Rule::Machine;
        /// First port that LSL listens on.
        base_port: Option<u16> = default_network().base_port, in Rule::Between(1024.0, 65535.0);
        /// Number of ports from `base_port` on that LSL may use.
        port_range: Option<u16> = default_network().port_range, in Rule::Between(2.0, 4096.0);
        /// Port on which streams are announced and asked for.
        multicast_port: Option<u16> = default_network().multicast_port, in Rule::Between(1024.0, 65535.0);
    }
}

table! {
    /// A stream to decode from; one table for each, 8 at most, in the order of the feature vector. At least one of
    /// `name`, `type`, `source_id`, `hostname` and `predicate` says which stream it is, and exactly one stream must fit.
    pub struct Stream {
        /// The name that Kalmind shows for the stream; must be unique.
        key: Option<String> = None, in Rule::FileSafeName, or "`name`, else \"features\"";
        /// What the stream is found by.
        selector: StreamSelector = StreamSelector::default(), and part;
        /// How samples become bins: each sample is a bin of its own (at most one such stream, whose rate then sets the
        /// bins), or the samples in a bin are averaged or summed, or the newest one counts until it is too old (for what is
        /// sent less often than bins end; bins do not wait for it), or each sample is an event, a spike as a rule, and how often
        /// each unit is named is counted.
        binning: Binning = Binning::Sample;
        /// With binning = "latest": for how long a sample counts, in milliseconds. After that its channels are without a
        /// value.
        max_age_ms: f64 = 500.0, in Rule::Between(1.0, 10_000.0);
        /// With binning = "events": how many units there are. With 1, a stream of its own for each unit, every sample is one
        /// of its spikes. With more, the first value of a sample names one, from 0; what stands
        /// behind it, as a waveform, is left out, and so is a sample that names another one, counted.
        units: Option<usize> = None, in Rule::Between(1.0, 16384.0), or "none";
        /// What is done to its samples before they are cut into bins: filters and the like, one after the other, each a table
        /// of its name (`stage`) and its settings. Gaps of up to 5 ms are filled; after a longer one, and at the start, what
        /// comes out is not valid until the filters have settled.
        stages: Vec<StageSettings> = Vec::new();
        /// With `stages`: whether its channels are watched as they are received. One that is flat, saturated, disconnected, no
        /// number, full of line noise or spikes far too often is left out within half a second, of references too, until it is
        /// healthy; of those that are `masked` nothing is said. Below 100 samples a second nothing is watched. Switch it off
        /// where channels may stand still. Counts may: where `binning = "sum"` and no stage finds the spikes, or where all
        /// channels have the unit `count`, `counts`, `spike` or `spikes`.
        channel_health: Option<bool> = None, or "true; false for counts";
        /// Its rate, in samples per second. Needed where the stream's header says 0 (irregular).
        rate_hz: Option<f64> = None, in Rule::Between(0.01, 100_000.0), or "the nominal rate in the stream's header";
        /// Whether the run needs this stream: it does not start without it, and a bin waits for it and is incomplete without
        /// it. A stream that is not required may come later if `channels` or the model says how many features it has.
        required: bool = true;
        /// Number of channels that the stream must have.
        channels: Option<usize> = None, in Rule::Between(1.0, 16384.0), or "what the stream has";
        /// The unit that its header has to name, where it names one: the unit of scales and limits in `stages`. `uV` and
        /// `microvolts` are the same, as are other names of one unit of voltage.
        unit: Option<String> = None, or "any";
        /// Which time stamps count: the sender's, corrected for its clock, or the time of arrival.
        clock: ClockSource = ClockSource::Sender;
        /// Time without a sample after which the stream is `stalled`, in milliseconds.
        stall_ms: Option<f64> = None, in Rule::Between(1.0, 3_600_000.0), or "max(100, 3 bins, 1.5 times the longest interval at which samples arrive); an hour with `binning = \"events\"`, whose silence is no fault";
        /// Age beyond which samples are dropped and counted instead of decoded as live, in milliseconds.
        backlog_ms: Option<f64> = None, in Rule::Between(1.0, 3_600_000.0), or "max(150, 3 bins, 1.5 times the longest wait for a sample)";
        /// Distance between corrected stamps and this machine's clock beyond which the stream is `bad_clock`, in seconds.
        bad_clock_s: f64 = 10.0, in Rule::Between(0.1, 1e9);
        /// Fraction by which the measured rate may differ from the nominal one before the stream is shown as `mismatch`.
        rate_tolerance: f64 = 0.05, in Rule::Between(0.001, 10.0);
        /// Channels that are switched off from the start (labels, or indices from 0), of the first 1024; the features of such a
        /// channel hold their training mean.
        masked: Vec<ChannelReference> = Vec::new();
        /// Blocks of samples that may wait between the network and the decoder; when all are full, samples are dropped
        /// and counted.
        ring_blocks: usize = 64, in Rule::Between(4.0, 4096.0);
        /// Largest number of samples in a block.
        block_samples: usize = 64, in Rule::Between(1.0, 65536.0);
    }
}

impl Stream {
    /// The name under which the stream is shown: `key`, else `name`, else `features`.
    pub fn key(&self) -> &str {
        self.key.as_deref().or(self.selector.name.as_deref()).unwrap_or("features")
    }

    /// Time without a sample after which the stream is `stalled`, in milliseconds, given the bin width.
    pub fn stall_ms(&self, bin_ms: f64) -> f64 {
        let usual = if self.binning == Binning::Events { 3_600_000.0 } else { (3.0 * bin_ms).max(100.0) };
        self.stall_ms.unwrap_or(usual)
    }

    /// Whether the channels of a stream whose channels have these units are watched, where it has stages.
    pub fn watches_channels(&self, units: &[String]) -> bool {
        // what is summed by itself, and what says so
        let are_sums = self.binning == Binning::Sum
            && !self.stages.iter().any(|stage| matches!(stage, StageSettings::Spikes(_)));
        let is_count = |unit: &String| COUNTS.iter().any(|count| unit.eq_ignore_ascii_case(count));
        let are_counts = are_sums || !units.is_empty() && units.iter().all(is_count);
        self.channel_health.unwrap_or(!are_counts)
    }

    /// Age beyond which samples are dropped instead of decoded, in milliseconds, given the bin width.
    pub fn backlog_ms(&self, bin_ms: f64) -> f64 {
        self.backlog_ms.unwrap_or_else(|| (3.0 * bin_ms).max(150.0))
    }
}

/// Units by which a stream's header says that its values are counts.
const COUNTS: [&str; 4] = ["count", "counts", "spike", "spikes"];

table! {
    /// How stream time is cut into bins.
    pub struct Bins {
        /// Width of a bin, in milliseconds.
        bin_ms: f64 = 20.0, in Rule::Between(1.0, 200.0), or "20, or 1000 / `rate_hz` of the stream with `binning = \"sample\"`";
        /// How long after its end a bin waits for its streams, in milliseconds; then it is closed as incomplete.
        max_wait_ms: Option<f64> = None, in Rule::Between(0.0, 60_000.0), or "max(20, `bin_ms` / 2, 1.5 times the longest wait for a sample), 1000 at most";
        /// How long Kalmind measures at the start, before anything moves, how samples arrive (one by one or in chunks, and how
        /// late), in seconds. Those of `max_wait_ms`, `stall_ms`, `backlog_ms` and `stale_after_ms` that the configuration
        /// does not set follow from it. 0 measures nothing.
        measure_arrival_s: f64 = 3.0, in Rule::Between(0.0, 60.0);
        /// Stream time without a complete bin after which decoding restarts from a new first measurement, in milliseconds.
        restart_after_ms: f64 = 500.0, in Rule::Between(1.0, 3_600_000.0);
        /// Fraction of the channels that may lack a valid sample before the bin counts as incomplete.
        max_masked: f64 = 0.25, in Rule::Between(0.0, 1.0);
    }
}

impl Bins {
    /// How long after its end a bin waits for its streams, in milliseconds.
    pub fn max_wait_ms(&self) -> f64 {
        self.max_wait_ms.unwrap_or_else(|| (self.bin_ms / 2.0).max(20.0))
    }
}

impl Conflicts<'_> {
    /// `[lsl]`.
    pub(super) fn network(&mut self, lsl: &NetworkConfig) {
        let (base_port, port_range) = lsl.ports();
        if self.known(&["lsl.network"]) && lsl.network == Network::Loopback && !lsl.known_peers.is_empty() {
            self.at(
                self.key("lsl.known_peers"),
                "`lsl.known_peers` has no effect with network = \"loopback\"",
                "these hosts would never be asked",
                "leave `known_peers` out, or set network = \"lab\"",
            );
        }
        let last = u32::from(base_port) + u32::from(port_range) - 1;
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

    /// `[[stream]]`.
    pub(super) fn streams(&mut self, streams: &[Stream]) {
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
        } else if self.known(&["stream"])
            && !streams.iter().any(|stream| stream.required && stream.binning != Binning::Latest)
        {
            self.at(
                self.key("stream[0].required"),
                "no [[stream]] is required",
                "nothing would ever close a bin",
                "leave `required` out for at least one stream whose binning is not \"latest\"",
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
            self.selects(&path, &stream.selector);
            if stream.binning == Binning::Events {
                self.events(&path, stream);
            }
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

    /// A stream of events.
    fn events(&mut self, path: &str, stream: &Stream) {
        if stream.units.is_none() {
            self.at(
                self.value(&format!("{path}.binning")),
                format!("`{path}` has binning = \"events\" and no `units`"),
                "counted for units that are not known",
                "add units = 96, or as many as the sender names",
            );
        }
        if !stream.required {
            self.at(
                self.value(&format!("{path}.required")),
                format!("`{path}` has binning = \"events\" and is not required"),
                "without the stream, no event would look like a count of zero",
                "leave `required` out",
            );
        }
        if !stream.stages.is_empty() {
            self.at(
                self.key(&format!("{path}.stages")),
                format!("`{path}` has binning = \"events\" and stages"),
                "stages are for samples that come at a rate",
                "leave `stages` out",
            );
        }
    }

    /// `[bins]`, beside the streams.
    pub(super) fn bins(&mut self, bins: &Bins, streams: &[Stream]) {
        for (index, stream) in streams.iter().enumerate() {
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
    }
}
