"""Writes by_scipy.txt: filters designed and run by scipy, for main.rs to compare with.

    python3 -m venv v && v/bin/pip install scipy==1.16.3 && v/bin/python by_scipy.py > by_scipy.txt
"""

import numpy
from scipy import signal

CHANNELS, SAMPLES = 2, 192
random = numpy.random.default_rng(20)
x = numpy.cumsum(random.normal(size=(SAMPLES, CHANNELS)), axis=0) + [50.0, -3.0]

# name, sections, length of a block of the backward filter
CASES = [
    ("band of spikes", signal.butter(3, [250, 5000], "bandpass", fs=30000, output="sos"), 48),
    ("slow high-pass", signal.butter(4, 1, "highpass", fs=250, output="sos"), 64),
    ("elliptic low-pass", signal.ellip(5, 0.5, 60, 40, "lowpass", fs=1000, output="sos"), 32),
    ("notch", signal.tf2sos(*signal.iirnotch(50, 30, fs=1000)), 24),
]


def show(name, values):
    print(name, *(repr(float(value)) for value in numpy.ravel(values)))


show("input", x)
for name, sections, block in CASES:
    print("case", name)
    show("sections", sections)
    steady = signal.sosfilt_zi(sections)[:, :, None] * x[0]
    show("forward", signal.sosfilt(sections, x, axis=0, zi=steady)[0])
    print("block", block)
    backward = []
    for start in range(0, SAMPLES - 2 * block + 1, block):
        two = x[start:start + 2 * block]
        backward.append(signal.sosfilt(sections, two[::-1], axis=0)[::-1][:block])
    show("backward", numpy.concatenate(backward))
