//! `[lsl]`, `[[stream]]`, `[bins]`: what comes in, and how it is cut into bins.

use kalmind_types::Binning;
use toml::{Spanned, Value, de::DeValue};

use super::{
    reader::Reader,
    rule::Rule,
    setting::Setting,
    table::{choices, table},
};

/// How far LSL looks for streams and is seen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Network {
    /// This machine only, over the loopback interface; nothing is sent to a network.
    Loopback,
    /// This machine only, over its network interfaces.
    Machine,
    /// The local network, as other LSL programs do.
    #[default]
    Lab,
}

choices!(Network { Loopback => "loopback", Machine => "machine", Lab => "lab" });

/// Which stamps a stream's samples are placed by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SampleClock {
    /// The sender's stamps, corrected by the measured offset of its clock.
    #[default]
    Sender,
    /// The time of arrival: for programs whose stamps are on no clock that LSL knows.
    Arrival,
}

choices!(SampleClock { Sender => "sender", Arrival => "arrival" });

choices!(Binning);

/// A channel of a stream, by label or by index from 0.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ChannelReference {
    /// Its label in the stream's header.
    Label(String),
    /// Its index, counted from 0.
    Index(usize),
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

/// What a stream is found by: every part that is given must fit. Plain data, from `[[stream]]` or `[task]`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Selection {
    /// Name.
    pub name: Option<String>,
    /// Content type.
    pub content_type: Option<String>,
    /// The sender's identifier of the source.
    pub source_id: Option<String>,
    /// Host that sends it.
    pub hostname: Option<String>,
    /// An LSL predicate (`XPath` 1.0 over the stream's header).
    pub predicate: Option<String>,
}

impl Selection {
    /// Whether nothing is given, so that every stream would fit.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

table! {
    /// How Lab Streaming Layer finds streams, and how its own are found. An `LSLAPICFG` variable overrides this
    /// table; this is shown at startup.
    pub struct Lsl {
        /// How far LSL looks for streams and is seen: the loopback interface, this machine, or the local network.
        network: Network = Network::Lab;
        /// Only programs with the same session identifier see each other.
        session_id: String = "default".to_owned(), in Rule::SessionId;
        /// Hosts to ask for streams where multicast does not reach.
        known_peers: Vec<String> = Vec::new(), in Rule::Machine;
        /// First port that LSL listens on.
        base_port: u16 = 16572, in Rule::Between(1024.0, 65535.0);
        /// Number of ports from `base_port` on that LSL may use.
        port_range: u16 = 32, in Rule::Between(2.0, 4096.0);
        /// Port on which streams are announced and asked for.
        multicast_port: u16 = 16571, in Rule::Between(1024.0, 65535.0);
    }
}

table! {
    /// A stream to decode from; one table for each, 8 at most, in the order of the feature vector. At least one of
    /// `name`, `type`, `source_id`, `hostname` and `predicate` says which stream it is, and exactly one stream must fit.
    pub struct Stream {
        /// The name that Kalmind shows for the stream; must be unique.
        key: Option<String> = None, in Rule::FileSafeName, or "`name`, else \"features\"";
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
        /// How samples become bins: each sample is a bin of its own (at most one such stream, whose rate then sets the
        /// bins), or the samples in a bin are averaged or summed.
        binning: Binning = Binning::Sample;
        /// Its rate, in samples per second. Needed where the stream's header says 0 (irregular).
        rate_hz: Option<f64> = None, in Rule::Between(0.01, 100_000.0), or "the nominal rate in the stream's header";
        /// Whether the run needs this stream: it does not start without it, and a bin waits for it and is incomplete without
        /// it. A stream that is not required may come later if `channels` or the model says how many features it has.
        required: bool = true;
        /// Number of channels that the stream must have.
        channels: Option<usize> = None, in Rule::Between(1.0, 1024.0), or "what the stream has";
        /// Which time stamps count: the sender's, corrected for its clock, or the time of arrival.
        clock: SampleClock = SampleClock::Sender;
        /// Time without a sample after which the stream is `stalled`, in milliseconds.
        stall_ms: Option<f64> = None, in Rule::Between(1.0, 3_600_000.0), or "max(100, 3 bins, 1.5 times the longest interval at which samples arrive)";
        /// Age beyond which samples are dropped and counted instead of decoded as live, in milliseconds.
        backlog_ms: Option<f64> = None, in Rule::Between(1.0, 3_600_000.0), or "max(150, 3 bins, 1.5 times the longest wait for a sample)";
        /// Distance between corrected stamps and this machine's clock beyond which the stream is `bad_clock`, in seconds.
        bad_clock_s: f64 = 10.0, in Rule::Between(0.1, 1e9);
        /// Fraction by which the measured rate may differ from the nominal one before the stream is shown as `mismatch`.
        rate_tolerance: f64 = 0.05, in Rule::Between(0.001, 10.0);
        /// Channels that are switched off from the start (labels, or indices from 0); they hold their training mean.
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
        self.key.as_deref().or(self.name.as_deref()).unwrap_or("features")
    }

    /// What the stream is found by.
    pub fn selection(&self) -> Selection {
        Selection {
            name: self.name.clone(),
            content_type: self.content_type.clone(),
            source_id: self.source_id.clone(),
            hostname: self.hostname.clone(),
            predicate: self.predicate.clone(),
        }
    }

    /// Time without a sample after which the stream is `stalled`, in milliseconds, given the bin width.
    pub fn stall_ms(&self, bin_ms: f64) -> f64 {
        self.stall_ms.unwrap_or_else(|| (3.0 * bin_ms).max(100.0))
    }

    /// Age beyond which samples are dropped instead of decoded, in milliseconds, given the bin width.
    pub fn backlog_ms(&self, bin_ms: f64) -> f64 {
        self.backlog_ms.unwrap_or_else(|| (3.0 * bin_ms).max(150.0))
    }
}

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
