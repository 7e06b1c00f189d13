//! Designs of filters, as second-order sections: Butterworth's by the bilinear transform with pre-warped frequencies, and
//! notches (as `scipy.signal.butter` and `iirnotch`). No library of the system: the same coefficients on every machine.

/// A complex number.
#[derive(Clone, Copy, Debug)]
struct Complex {
    real: f64,
    imaginary: f64,
}

impl Complex {
    fn scaled(self, by: f64) -> Self {
        Self { real: by * self.real, imaginary: by * self.imaginary }
    }

    fn plus(self, other: Self) -> Self {
        Self { real: self.real + other.real, imaginary: self.imaginary + other.imaginary }
    }

    fn times(self, other: Self) -> Self {
        Self {
            real: self.real * other.real - self.imaginary * other.imaginary,
            imaginary: self.real * other.imaginary + self.imaginary * other.real,
        }
    }

    fn squared_size(self) -> f64 {
        self.real * self.real + self.imaginary * self.imaginary
    }

    fn over(self, other: Self) -> Self {
        let conjugate = Self { imaginary: -other.imaginary, ..other };
        self.times(conjugate).scaled(1.0 / other.squared_size())
    }

    /// The root with a real part that is not negative.
    fn root(self) -> Self {
        let size = self.squared_size().sqrt();
        // the half that loses no digits first
        if self.real >= 0.0 {
            let real = f64::midpoint(size, self.real).sqrt();
            let imaginary = if real > 0.0 { self.imaginary / (2.0 * real) } else { 0.0 };
            Self { real, imaginary }
        } else {
            let imaginary = f64::midpoint(size, -self.real).sqrt().copysign(self.imaginary);
            Self { real: self.imaginary / (2.0 * imaginary), imaginary }
        }
    }
}

const ONE: Complex = Complex { real: 1.0, imaginary: 0.0 };

/// Which frequencies a Butterworth filter lets through. Frequencies are pre-warped: `tan(pi f / rate)`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Pass {
    /// Those below.
    Low(f64),
    /// Those above.
    High(f64),
    /// Those between the two.
    Between(f64, f64),
    /// Those outside.
    Outside(f64, f64),
}

/// The frequency as the bilinear transform has it.
pub(super) fn prewarped(hz: f64, rate_hz: f64) -> f64 {
    libm::tan(core::f64::consts::PI * hz / rate_hz)
}

/// The sections of a Butterworth filter, whose low-pass prototype has this order: `order` poles for one edge, twice as many
/// for two. Each has gain 1 where the whole filter has its largest.
pub(super) fn butterworth(order: u32, pass: Pass) -> Vec<[f64; 6]> {
    let angle = |number: u32| {
        core::f64::consts::PI * f64::from(number.saturating_mul(2).saturating_add(1))
            / f64::from(order.saturating_mul(2))
    };
    // the poles of the prototype on the upper left of the unit circle
    let pairs = (0..order / 2).map(|number| {
        let angle = angle(number);
        Complex { real: -libm::sin(angle), imaginary: libm::cos(angle) }
    });
    let has_real = order % 2 == 1;
    let mut sections = Vec::new();
    match pass {
        // the prototype's poles lie on the unit circle, so that to invert them is to conjugate them
        Pass::Low(edge) | Pass::High(edge) => {
            let side = if matches!(pass, Pass::Low(_)) { 1.0 } else { -1.0 };
            if has_real {
                let pole = (1.0 - edge) / (1.0 + edge);
                let gain = f64::midpoint(1.0, -side * pole);
                sections.push([gain, side * gain, 0.0, 1.0, -pole, 0.0]);
            }
            for pole in pairs {
                let (a1, a2) = denominator(digital(pole.scaled(edge)));
                let gain = (1.0 + side * a1 + a2) / 4.0;
                sections.push([gain, 2.0 * side * gain, gain, 1.0, a1, a2]);
            }
        }
        Pass::Between(low, high) | Pass::Outside(low, high) => {
            let (half, centre) = ((high - low) / 2.0, low * high);
            let mut denominators = Vec::new();
            // p half +- sqrt((p half)^2 - centre)
            let two = |pole: Complex| {
                let middle = pole.scaled(half);
                let root = middle.times(middle).plus(ONE.scaled(-centre)).root();
                (digital(middle.plus(root)), digital(middle.plus(root.scaled(-1.0))))
            };
            if has_real {
                let (one, other) = two(ONE.scaled(-1.0));
                let product = one.times(other).real;
                denominators.push((-(one.real + other.real), product));
            }
            for pole in pairs {
                let (one, other) = two(pole);
                denominators.extend([denominator(one), denominator(other)]);
            }
            // the point of the unit circle that stands for the centre
            let cosine = (1.0 - centre) / (1.0 + centre);
            let at = Complex { real: cosine, imaginary: 2.0 * centre.sqrt() / (1.0 + centre) };
            sections.extend(denominators.into_iter().map(|(a1, a2)| {
                if matches!(pass, Pass::Between(..)) {
                    let square = at.times(at);
                    let below = square.plus(at.scaled(a1)).plus(ONE.scaled(a2)).squared_size();
                    let above = square.plus(ONE.scaled(-1.0)).squared_size();
                    let gain = (below / above).sqrt();
                    [gain, 0.0, -gain, 1.0, a1, a2]
                } else {
                    let gain = (1.0 + a1 + a2) / (2.0 - 2.0 * cosine);
                    [gain, -2.0 * cosine * gain, gain, 1.0, a1, a2]
                }
            }));
        }
    }
    sections
}

/// A section that takes one frequency out, `quality` times as high as the band that it attenuates by 3 dB or more is wide.
pub(super) fn notch(hz: f64, quality: f64, rate_hz: f64) -> [f64; 6] {
    let gain = 1.0 / (1.0 + prewarped(hz / quality, rate_hz));
    let middle = -2.0 * gain * libm::cos(2.0 * core::f64::consts::PI * hz / rate_hz);
    [gain, middle, gain, 1.0, middle, 2.0 * gain - 1.0]
}

/// Where the bilinear transform puts a pole.
fn digital(pole: Complex) -> Complex {
    ONE.plus(pole).over(ONE.plus(pole.scaled(-1.0)))
}

/// `a1` and `a2` of a pole and its conjugate.
fn denominator(pole: Complex) -> (f64, f64) {
    (-2.0 * pole.real, pole.squared_size())
}
