"""Writes filters_by_scipy.txt: filters designed from frequencies and run by scipy, for filters.rs to compare with.

    python3 -m venv v && v/bin/pip install scipy==1.17.1 && v/bin/python filters_by_scipy.py > filters_by_scipy.txt
"""

import numpy
from scipy import signal

CHANNELS, SAMPLES = 2, 150
random = numpy.random.default_rng(21)
x = numpy.cumsum(random.normal(size=(SAMPLES, CHANNELS)), axis=0) + [50.0, -3.0]


def notches(hz, quality, harmonics, rate):
    each = [signal.iirnotch(n * hz, n * quality, fs=rate) for n in range(1, harmonics + 1)]
    return numpy.concatenate([signal.tf2sos(*one) for one in each])


def butter(order, hz, kind, rate):
    return signal.butter(order, hz, kind, fs=rate, output="sos")


# rate, length of a block of a filter without a shift of phase (0: causal), sections
CASES = [
    (30000, 0, butter(3, [250, 5000], "bandpass", 30000)),
    (30000, 30, butter(4, [300, 1000], "bandpass", 30000)),
    (250, 0, butter(1, 1, "highpass", 250)),
    (30000, 0, butter(4, 250, "highpass", 30000)),
    (1000, 0, butter(5, 40, "lowpass", 1000)),
    (1000, 20, butter(2, 100, "lowpass", 1000)),
    (512, 0, butter(8, [70, 150], "bandpass", 512)),
    (1000, 0, butter(3, [45, 55], "bandstop", 1000)),
    (1000, 0, notches(50, 30, 1, 1000)),
    (1000, 0, notches(60, 20, 4, 1000)),
]


def show(name, values):
    print(name, *(repr(float(value)) for value in numpy.ravel(values)))


show("input", x)
for rate, block, sections in CASES:
    show("case", [rate, block])
    show("sections", sections)
    y = signal.sosfilt(sections, x, axis=0, zi=signal.sosfilt_zi(sections)[:, :, None] * x[0])[0]
    if block:
        two = [y[start:start + 2 * block] for start in range(0, SAMPLES - 2 * block + 1, block)]
        y = numpy.concatenate([signal.sosfilt(sections, each[::-1], axis=0)[::-1][:block] for each in two])
    show("output", y)
