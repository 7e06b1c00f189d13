"""Writes signals_by_scipy.txt: broadband with spikes, artifacts and a trigger, and what chains of numpy and scipy make of it,
for signals.rs to compare with.

    python3 -m venv v && v/bin/pip install scipy==1.17.1 && v/bin/python signals_by_scipy.py > signals_by_scipy.txt
"""

import numpy
from scipy import signal

RATE, CHANNELS, SAMPLES, WINDOW, REFRACTORY = 30000, 4, 3600, 30, 30
random = numpy.random.default_rng(22)
clean = random.normal(size=(SAMPLES, CHANNELS)) * 40 + random.normal(size=(SAMPLES, 1)) * 60 + [500, -200, 0, 1000]
shape = numpy.concatenate([numpy.linspace(0, -400, 4), numpy.linspace(-400, 150, 6), numpy.linspace(150, 0, 10)])
for channel in range(CHANNELS):
    for at in random.choice(SAMPLES - 40, 45, replace=False):
        clean[at:at + len(shape), channel] += shape * random.uniform(0.8, 1.5)
clean = numpy.round(clean)
x = numpy.column_stack([clean, numpy.zeros(SAMPLES)])
# a stimulation of 0.3 ms that all channels see, and one channel at the end of its range
x[900:909, 4] = 1
x[900:912, :4] += 6000
x[3000:3006, 2] = 32767


def show(name, values):
    print(name, *(repr(float(value)).removesuffix(".0") for value in numpy.ravel(values)))


def butter(*design):
    return signal.butter(*design, fs=RATE, output="sos")


def steady(sections, values):
    return signal.sosfilt(sections, values, axis=0, zi=signal.sosfilt_zi(sections)[:, :, None] * values[0])[0]


def windows(values, length):
    return values[:len(values) // length * length].reshape(-1, length, values.shape[1])


def spikes(values, thresholds):
    falls = numpy.zeros(values.shape)
    falls[1:] = (values[1:] < thresholds) & (values[:-1] >= thresholds)
    for channel in falls.T:
        last = -REFRACTORY
        for at in numpy.flatnonzero(channel):
            if at - last < REFRACTORY:
                channel[at] = 0
            else:
                last = at
    return windows(falls, WINDOW).sum(axis=1)


band = butter(3, [250, 5000], "bandpass")
show("input", x)
filtered = steady(band, clean)
show("filtered", filtered[::10])
referenced = filtered - filtered.mean(axis=1, keepdims=True)
scales = numpy.sqrt((referenced ** 2).mean(axis=0))
show("scales", scales)
show("spikes", spikes(referenced, -3.5 * scales))
show("rising", spikes(-referenced, -3.0 * scales))
squares = windows(referenced ** 2, WINDOW)
show("power", squares.mean(axis=1))
smooth = numpy.array([squares[at - 9:at + 1].mean(axis=(0, 1)) for at in range(9, len(squares))])
show("smooth", numpy.log(smooth / scales ** 2))
show("decimated", steady(butter(8, 400, "lowpass"), clean)[29::30])
show("envelope", steady(butter(2, 50, "lowpass"), numpy.abs(filtered))[29::30])

# what is left out is what the last value before it was
left_out = numpy.zeros((SAMPLES, CHANNELS), bool)
for at in numpy.flatnonzero(x[:, 4] > 0.5):
    left_out[at:at + 16] = True
for at, channel in zip(*numpy.nonzero(numpy.abs(x[:, :4]) >= 32000)):
    left_out[at:at + 16, channel] = True
blanked = x[:, :4].copy()
for at in range(SAMPLES):
    blanked[at] = numpy.where(left_out[at], blanked[at - 1], blanked[at])
show("blanked", spikes(steady(band, blanked), -4 * scales))

# each row of weights is of the other channels
pairs = clean[:, [0, 2]] - clean[:, [1, 3]]
show("bipolar", pairs[:40])
show("laplacian", (clean[:, [0, 3]] - numpy.column_stack([clean[:, 1:3].mean(axis=1), clean[:, :3].mean(axis=1)]))[:40])
quiet = clean[:, [0, 2]].mean(axis=1, keepdims=True)
show("quietest", (clean - quiet)[:40])
halves = clean.reshape(SAMPLES, 2, 2)
show("arrays", (halves - halves.mean(axis=2, keepdims=True))[:40])
weights = numpy.array([[9, 0.5, 0.25, 0], [0.125, 9, 0, -0.5], [0, 0.75, 9, 0.25], [0.5, 0, 0.5, 9]])
show("regression", (clean - clean @ (weights - numpy.diag(numpy.diag(weights))).T)[:40])
show("matrix", (clean @ weights[:3].T)[:40])
