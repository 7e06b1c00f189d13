"""Writes ar_spectrum_by_numpy.txt: rhythms in noise, and the power in bands of autoregressive models of sliding windows, fitted by
Burg's method in numpy and evaluated by scipy's freqz, for ar_spectrum.rs to compare with.

    python3 -m venv v && v/bin/pip install scipy==1.16.3 && v/bin/python ar_spectrum_by_numpy.py > ar_spectrum_by_numpy.txt
"""

import numpy
from scipy import signal

RATE, CHANNELS, SAMPLES, OVER, OUTPUT, STEP = 250, 3, 300, 100, 10, 0.2
BANDS = [[8, 13], [18, 26.5]]
random = numpy.random.default_rng(4)
seconds = numpy.arange(SAMPLES)[:, None] / RATE
rhythms = numpy.sin(2 * numpy.pi * seconds * [10.3, 21, 12.9] + [0, 1, 2]) * [8, 5, 3]
x = numpy.round(rhythms + random.normal(size=(SAMPLES, CHANNELS)) * [2, 4, 3] + [100, -50, 0], 3)


def burg(window, order):
    """The polynomial of the model and the variance of what it leaves."""
    window = window - window.mean()
    polynomial, variance = numpy.ones(1), numpy.mean(window ** 2)
    forward, backward = window[1:], window[:-1]
    for _ in range(order):
        reflection = -2 * numpy.dot(forward, backward) / (numpy.dot(forward, forward) + numpy.dot(backward, backward))
        longer = numpy.append(polynomial, 0)
        polynomial = longer + reflection * longer[::-1]
        variance *= 1 - reflection ** 2
        forward, backward = (forward + reflection * backward)[1:], (backward + reflection * forward)[:-1]
    return polynomial, variance


def power(window, order, low, high):
    count = int(numpy.ceil((high - low) / STEP))
    frequencies = low + (numpy.arange(count) + 0.5) * (high - low) / count
    polynomial, variance = burg(window, order)
    gain = signal.freqz(1, polynomial, frequencies, fs=RATE)[1]
    return numpy.mean(2 * variance / RATE * numpy.abs(gain) ** 2) * (high - low)


def show(name, values):
    print(name, *(repr(float(value)).removesuffix(".0") for value in numpy.ravel(values)))


show("input", x)
ends = range(OVER, SAMPLES + 1, OUTPUT)
for order in (1, 16, 30):
    show(f"order{order}", [[[power(x[end - OVER:end, channel], order, *band) for channel in range(CHANNELS)]
                            for band in BANDS] for end in ends])
