//! In which pieces of a stretch of rest a channel was flat: an electrode that comes off in it would lower a scale that is taken over
//! all of it.

/// A channel that changes by less than this part of what is usual, of it or of the others, is flat.
const FLAT: f64 = 1e-3;
/// A channel that is flat for more than this part of the stretch is said to be; for more than [`DEAD`] it is dead.
const SAID: f64 = 0.1;
const DEAD: f64 = 0.5;
/// Pieces of a stretch, of a second each where it is no longer than so many.
const MOST: u64 = 120;

/// What was taken in of the channels' values, piece by piece.
#[derive(Clone, Debug)]
pub(super) struct Pieces {
    channels: usize,
    /// The stretch in raw samples, and in seconds.
    samples: [u64; 2],
    seconds: f64,
    count: usize,
    /// Of each piece: samples, and how many of these have a value of any channel.
    taken: Vec<u64>,
    known: Vec<u64>,
    /// Of each piece and channel what came.
    sums: Vec<Sums>,
}

/// Of one channel in one piece, about its first value there.
#[derive(Clone, Copy, Debug, Default)]
struct Sums {
    valid: u64,
    first: f64,
    sum: f64,
    squares: f64,
    /// Sum of the values' own squares.
    power: f64,
}

impl Sums {
    fn deviation(&self) -> f64 {
        let count = self.valid.max(1) as f64;
        let mean = self.sum / count;
        (self.squares / count - mean * mean).max(0.0).sqrt()
    }
}

impl Pieces {
    /// Of the samples from one to before another, at so many a second; without `judges` nothing is found flat.
    pub(super) fn new(channels: usize, samples: [u64; 2], rate_hz: f64, judges: bool) -> Self {
        let seconds = samples[1].saturating_sub(samples[0]) as f64 / rate_hz;
        // as usize: at most 120
        let count = if judges { (seconds as u64).clamp(1, MOST) as usize } else { 1 };
        let sums = vec![Sums::default(); count * channels];
        let (taken, known) = (vec![0; count], vec![0; count]);
        Self { channels, samples, seconds, count, taken, known, sums }
    }

    /// The piece that a raw sample is in.
    pub(super) fn of(&self, index: u64) -> usize {
        let [from, to] = self.samples;
        let share = index.saturating_sub(from) as f64 / to.saturating_sub(from).max(1) as f64;
        ((share * self.count as f64) as usize).min(self.count.saturating_sub(1))
    }

    /// Takes a sample of a piece in. Where it is one of what comes of other stages (`made`), no value of any channel says that these
    /// have not settled, and nothing of a channel.
    pub(super) fn take(&mut self, piece: usize, values: &[f64], made: bool) {
        if let (Some(taken), Some(known)) = (self.taken.get_mut(piece), self.known.get_mut(piece)) {
            *taken += 1;
            *known += u64::from(!made || values.iter().any(|value| value.is_finite()));
        }
        let sums = self.sums.iter_mut().skip(piece * self.channels).take(self.channels);
        for (sums, value) in sums.zip(values).filter(|(_, value)| value.is_finite()) {
            if sums.valid == 0 {
                sums.first = *value;
            }
            let change = value - sums.first;
            sums.valid += 1;
            sums.sum += change;
            sums.squares += change * change;
            sums.power += value * value;
        }
    }

    fn sums(&self, channel: usize, piece: usize) -> Sums {
        self.sums.get(piece * self.channels + channel).copied().unwrap_or_default()
    }

    /// The root mean square of a channel over the pieces in which it was not flat.
    pub(super) fn root_mean_square(&self, channel: usize, flat: &FlatPieces) -> f64 {
        let alive = (0..self.count).filter(|piece| !flat.is(channel, *piece));
        let of = alive
            .map(|piece| self.sums(channel, piece))
            .fold((0.0, 0), |(power, valid), sums| (power + sums.power, valid + sums.valid));
        if of.1 > 0 { (of.0 / of.1 as f64).sqrt() } else { 0.0 }
    }

    /// In which of them each channel was flat, or had no value for half of the time.
    pub(super) fn flat(&self) -> FlatPieces {
        // most of a piece has to be known: a few samples after filters have settled say nothing of it
        let is_known = |piece: usize| {
            let of = |counts: &[u64]| counts.get(piece).copied().unwrap_or_default();
            of(&self.known) > 0 && 2 * of(&self.known) >= of(&self.taken)
        };
        let whole: Vec<usize> = (0..self.count).filter(|piece| is_known(*piece)).collect();
        let own: Vec<f64> = (0..self.channels)
            .map(|channel| middle(whole.iter().map(|piece| self.sums(channel, *piece).deviation()).collect()))
            .collect();
        let usual = middle(own.clone());
        let judges = self.count > 1;
        let is_flat = |channel: usize, piece: usize, limit: f64| {
            let sums = self.sums(channel, piece);
            let known = self.known.get(piece).copied().unwrap_or_default();
            judges && is_known(piece) && (2 * sums.valid < known || sums.deviation() <= limit)
        };
        let channels = own.iter().map(|own| FLAT * own.max(usual)).enumerate();
        let flat = channels
            .map(|(channel, limit)| (0..self.count).map(|piece| is_flat(channel, piece, limit)).collect());
        FlatPieces { flat: flat.collect(), seconds: self.seconds }
    }
}

/// In which pieces of a stretch each channel was flat.
#[derive(Clone, Debug)]
pub(super) struct FlatPieces {
    flat: Vec<Vec<bool>>,
    seconds: f64,
}

impl FlatPieces {
    /// Whether a channel was flat in a piece.
    pub(super) fn is(&self, channel: usize, piece: usize) -> bool {
        self.flat.get(channel).and_then(|flat| flat.get(piece)).copied().unwrap_or_default()
    }

    /// Whether a channel was ever flat.
    pub(super) fn is_ever(&self, channel: usize) -> bool {
        self.flat.get(channel).is_some_and(|flat| flat.contains(&true))
    }

    /// What was flat as it was received is so behind the stages that came before as well, where an average of the others may
    /// stand in its place. `received` says which channel a channel was.
    pub(super) fn with(mut self, raw: &Self, received: impl Fn(usize) -> Option<usize>) -> Self {
        for (channel, flat) in self.flat.iter_mut().enumerate() {
            let Some(of_raw) = received(channel).and_then(|raw_channel| raw.flat.get(raw_channel)) else {
                continue;
            };
            for (flat, raw) in flat.iter_mut().zip(of_raw) {
                *flat |= *raw;
            }
        }
        self
    }

    fn share(&self, channel: usize) -> f64 {
        let Some(flat) = self.flat.get(channel) else { return 0.0 };
        flat.iter().filter(|flat| **flat).count() as f64 / flat.len().max(1) as f64
    }

    /// Whether a channel was flat for most of the stretch.
    pub(super) fn is_dead(&self, channel: usize) -> bool {
        self.share(channel) > DEAD
    }

    /// For how long a channel was flat, in words; none where that is hardly ever.
    pub(super) fn told(&self, channel: usize) -> Option<String> {
        let share = self.share(channel);
        let told = || format!("flat for {:.0} s of the {:.0} s", share * self.seconds, self.seconds);
        (share > SAID).then(told)
    }
}

/// The middle one of some values, the larger of two; 0 of nothing.
fn middle(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or_default()
}
