//! Health of a raw stream's channels: which of them are not to be used, and why, as their samples show it.
//!
//! Samples are judged in windows of 100 ms, counted in samples from where the stream began or was interrupted. A channel is out
//! when two of its last four windows show a fault: 300 ms after the fault began at the latest, 500 ms where it comes and goes. What
//! is over within a window (a blink, a knock on the cable) is none. It is back after a second without any; where it fails again within ten
//! seconds, that time doubles, up to a minute, so that a loose contact does not come and go all the time.
//!
//! Sizes are judged against what the channel itself was like before (a mean over 30 s that only healthy windows enter) and
//! against what the others were like, so that neither unit nor amplifier matters. Before a second of it is known, a channel is
//! judged against the others as they are, with wider limits. What everyone agrees on says nothing: where all channels carry
//! power line noise from the start, none is out for it.

mod judgement;
mod measures;

use kalmind_types::ChannelFault;

use super::rows::Rows;
use super::stage::Signal;
use judgement::{Usual, judge, median};
use measures::{LineTables, Measures, Sums};

/// A window, in seconds: five periods of 50 Hz, six of 60 Hz.
const WINDOW: f64 = 0.1;
/// Below this rate a window holds too little to judge.
const LOWEST_RATE_HZ: f64 = 100.0;
/// Values are averaged to about this rate where line noise is looked for.
const GROUP_RATE_HZ: f64 = 1000.0;
/// Of each millisecond this many values are looked at: all of them up to 8 kHz; of 30 kHz a quarter, which costs a quarter and
/// shows no less of what lasts.
const MOST_VALUES: usize = 8;
/// A value that stays the same for this long, and for so many samples, is no living channel's: amplifiers are noisier than
/// their last digit.
const STILL: f64 = 0.01;
const STILL_VALUES: f64 = 5.0;
/// Of the last four windows so many with a fault after which a channel is out: it may come and go.
const FAULTY_WINDOWS: u32 = 2;
const LAST_WINDOWS: u8 = 0b1111;
/// Windows without one after which it is back: at first, where it was out for its rate (which cannot be seen while it is out),
/// and at most.
const HEALTHY_WINDOWS: u32 = 10;
const HEALTHY_WINDOWS_OF_RATE: u32 = 100;
const MOST_HEALTHY_WINDOWS: u32 = 640;
/// Windows after which most channels being unlike what they were is how they are: 30 s.
const AGREED_AFTER: u32 = 300;
/// A channel that is out again before so many windows stays out twice as long.
const RELAPSE_WINDOWS: u32 = 100;
/// A gap of this many seconds is a new beginning: what was usual before it says nothing.
const FORGOTTEN_AFTER: f64 = 60.0;

/// What is known of a channel.
#[derive(Clone, Debug)]
struct Channel {
    sums: Sums,
    now: Measures,
    usual: Usual,
    /// Which of the last windows showed a fault, a bit each, the newest lowest; and how many in a row have not.
    faulty: u8,
    healthy: u32,
    /// Why it is out, windows without a fault that bring it back, and windows since it was last back.
    out: Option<ChannelFault>,
    needs: u32,
    since_back: u32,
}

/// Judges the channels of a raw stream: a pure function of the rows since the beginning, however they are cut into blocks.
///
/// Belongs to the thread of the stream's inlet. Allocates at construction only. Cost: about twenty operations for each value
/// that is looked at (0.4 % of a core for 96 channels at 30 kHz, 1.8 % for 256, on two shared cores; 64 channels at 1 kHz 0.06 %).
#[derive(Clone, Debug)]
pub struct ChannelHealth {
    channels: Vec<Channel>,
    judged: Vec<bool>,
    judges_sizes: bool,
    /// Which channel each value of a derived row counts the spikes of.
    spikes_of: Vec<Option<usize>>,
    rate_hz: f64,
    tables: LineTables,
    /// Rows of a group, groups of a window, and how far the window at work has come.
    group_rows: usize,
    groups: usize,
    /// Rows of a group that are looked at, its first.
    looked_at: usize,
    row_of_group: usize,
    group: usize,
    longest_run: u32,
    /// How often the verdict on a channel has changed.
    changes: u64,
    /// Windows in a row in which most channels were out for being unlike what they were.
    unlike_windows: u32,
    sorted: Vec<f64>,
}

impl ChannelHealth {
    /// For a raw stream that stages make into `derived`: channels that nothing of it is made of are not judged. Where sizes are
    /// no matter, as those of artifacts that a stage leaves out, only what stands still, is no number or spikes too often is
    /// found. None for a stream that is too slow to be judged, or has no rate.
    pub fn new(channels: usize, rate_hz: f64, derived: &Signal, judges_sizes: bool) -> Option<Self> {
        if !(rate_hz >= LOWEST_RATE_HZ && rate_hz.is_finite()) {
            return None;
        }
        let group_rows = (rate_hz / GROUP_RATE_HZ).round().max(1.0);
        let group_rate_hz = rate_hz / group_rows;
        let groups = (WINDOW * group_rate_hz).round().max(1.0) as usize;
        let looked_at = (group_rows as usize).min(MOST_VALUES);
        let longest_run = STILL * group_rate_hz * looked_at as f64;
        let channel = Channel {
            sums: Sums::new(),
            now: Measures::default(),
            usual: Usual::default(),
            faulty: 0,
            healthy: 0,
            out: None,
            needs: HEALTHY_WINDOWS,
            since_back: u32::MAX,
        };
        let mut judged = vec![false; channels];
        for output in &derived.outputs {
            for channel in output.sources.iter().cloned().flatten().chain(output.channel) {
                if let Some(judged) = judged.get_mut(channel) {
                    *judged = true;
                }
            }
        }
        let spikes_of =
            derived.outputs.iter().map(|output| output.channel.filter(|_| output.unit == "spikes"));
        Some(Self {
            channels: vec![channel; channels],
            judged,
            judges_sizes,
            spikes_of: spikes_of.collect(),
            rate_hz,
            tables: LineTables::new(group_rate_hz, groups),
            group_rows: group_rows as usize,
            groups,
            looked_at,
            row_of_group: 0,
            group: 0,
            longest_run: longest_run.ceil().max(STILL_VALUES) as u32,
            changes: 0,
            unlike_windows: 0,
            sorted: Vec::with_capacity(channels),
        })
    }

    /// These channels are not judged, and nobody is compared with them.
    pub fn pass_over(&mut self, channels: &[usize]) {
        for channel in channels {
            if let Some(judged) = self.judged.get_mut(*channel) {
                *judged = false;
            }
        }
    }

    /// Rows until the window at work ends: a verdict stands between blocks of rows.
    pub fn rows_left(&self) -> usize {
        let groups = self.groups.saturating_sub(self.group);
        groups.saturating_mul(self.group_rows).saturating_sub(self.row_of_group)
    }

    /// How often the verdict on a channel has changed since the start.
    pub fn changes(&self) -> u64 {
        self.changes
    }

    /// Why each channel is out; none where it is not.
    pub fn faults(&self) -> impl ExactSizeIterator<Item = Option<ChannelFault>> + '_ {
        self.channels.iter().map(|channel| channel.out)
    }

    /// The stream was interrupted, for so many samples: the next row begins a window.
    pub fn restart(&mut self, missing: u64) {
        let is_new = missing as f64 > FORGOTTEN_AFTER * self.rate_hz;
        (self.row_of_group, self.group) = (0, 0);
        for channel in &mut self.channels {
            channel.sums = Sums::new();
            if is_new {
                channel.usual = Usual::default();
            }
        }
    }

    /// A raw row: its values, and which of them are no numbers (something finite stands for these).
    pub fn take(&mut self, values: &[f64], unusable: &[bool]) {
        if self.row_of_group < self.looked_at {
            let longest = self.longest_run;
            for ((channel, value), unusable) in self.channels.iter_mut().zip(values).zip(unusable) {
                channel.sums.add(*value, !*unusable, longest);
            }
        }
        self.row_of_group = self.row_of_group.saturating_add(1);
        if self.row_of_group >= self.group_rows {
            self.row_of_group = 0;
            let table = self.tables.row(self.group);
            for channel in &mut self.channels {
                channel.sums.end_group(self.looked_at as f64, table);
            }
            self.group = self.group.saturating_add(1);
        }
    }

    /// Derived rows from `first` on, which came of the raw ones.
    pub fn count(&mut self, rows: &Rows, first: usize) {
        if self.spikes_of.iter().all(Option::is_none) {
            return;
        }
        for row in rows.iter().skip(first) {
            for (value, channel) in row.values.iter().zip(&self.spikes_of) {
                if let Some(channel) = channel.and_then(|channel| self.channels.get_mut(channel)) {
                    channel.sums.spikes += *value;
                }
            }
        }
    }

    /// Judges the window where it has ended; whether a verdict has changed.
    pub fn judge(&mut self) -> bool {
        if self.group < self.groups {
            return false;
        }
        self.group = 0;
        let groups = self.groups as f64;
        let values = groups * self.looked_at as f64;
        for channel in &mut self.channels {
            channel.now = channel.sums.measures(values, groups);
            channel.sums.begin();
        }
        let others = self.others();
        let before = self.changes;
        let window = groups * self.group_rows as f64 / self.rate_hz;
        let judges_sizes = self.judges_sizes;
        for (channel, _) in self.channels.iter_mut().zip(&self.judged).filter(|(_, judged)| **judged) {
            let found = judge(&channel.now, &channel.usual, &others, judges_sizes, window);
            self.changes = self.changes.saturating_add(u64::from(channel.note(found)));
        }
        self.agree();
        self.changes != before
    }

    /// Where most channels have been unlike what they were for long, that is how they are now: gains or inputs were changed, and
    /// what is usual is learnt anew.
    fn agree(&mut self) {
        let is_unlike = |channel: &Channel| channel.out == Some(ChannelFault::Disconnected);
        let judged = || self.channels.iter().zip(&self.judged).filter(|(_, judged)| **judged);
        let unlike = judged().filter(|(channel, _)| is_unlike(channel)).count();
        let most = unlike.saturating_mul(2) > judged().count();
        self.unlike_windows = if most { self.unlike_windows.saturating_add(1) } else { 0 };
        if self.unlike_windows >= AGREED_AFTER {
            self.unlike_windows = 0;
            for channel in self.channels.iter_mut().filter(|channel| is_unlike(channel)) {
                channel.usual = Usual::default();
            }
        }
    }

    /// What the healthy ones of the channels that are judged are like.
    fn others(&mut self) -> judgement::Others {
        let Self { channels, judged, sorted, .. } = self;
        let is_healthy = |channel: &Channel| channel.out.is_none();
        let mut of = |includes: fn(&Channel) -> bool, what: fn(&Channel) -> f64| {
            sorted.clear();
            let judged =
                channels.iter().zip(&*judged).filter(|(channel, judged)| **judged && includes(channel));
            sorted.extend(judged.map(|(channel, _)| what(channel)));
            median(sorted)
        };
        judgement::Others {
            noise: of(is_healthy, |channel| channel.now.noise),
            spread: of(is_healthy, |channel| channel.now.spread),
            deviation: of(is_healthy, |channel| channel.now.deviation),
            spikes: of(is_healthy, |channel| channel.now.spikes),
            usual_noise: of(|channel| channel.usual.is_known(), |channel| channel.usual.noise),
            usual_spread: of(|channel| channel.usual.is_known(), |channel| channel.usual.spread),
        }
    }
}

impl Channel {
    /// A window has shown a fault, or none; whether the channel is out or back because of that.
    fn note(&mut self, found: Option<ChannelFault>) -> bool {
        self.faulty = (self.faulty << 1 | u8::from(found.is_some())) & LAST_WINDOWS;
        self.healthy = if found.is_none() { self.healthy.saturating_add(1) } else { 0 };
        if self.out.is_none() {
            self.since_back = self.since_back.saturating_add(1);
        }
        match (self.out, found) {
            (None, Some(fault)) if self.faulty.count_ones() >= FAULTY_WINDOWS => {
                let least = match fault {
                    ChannelFault::RateOutlier => HEALTHY_WINDOWS_OF_RATE,
                    _ => HEALTHY_WINDOWS,
                };
                let relapsed = self.since_back < RELAPSE_WINDOWS;
                let needs = if relapsed { self.needs.saturating_mul(2) } else { least };
                self.needs = needs.clamp(least, MOST_HEALTHY_WINDOWS);
                self.out = Some(fault);
                true
            }
            (Some(_), None) if self.healthy >= self.needs => {
                (self.out, self.since_back) = (None, 0);
                true
            }
            (None, None) => {
                self.usual.follow(&self.now);
                false
            }
            _ => false,
        }
    }
}
