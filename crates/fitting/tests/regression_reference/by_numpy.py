"""Writes by_numpy.txt: rows of channels that share noise, and each channel's ridge regression on its others, solved one by one.

    python3 -m venv v && v/bin/pip install numpy==2.4.6 && v/bin/python by_numpy.py > by_numpy.txt
"""

import numpy

CHANNELS, ROWS, RIDGE = 9, 120, 0.01
ARRAYS, EXCLUDED = [(0, 4), (4, 9)], [6]
random = numpy.random.default_rng(23)
x = random.normal(size=(ROWS, CHANNELS)) * 10 + [5, -3, 0, 100, 0, 1, 2, 3, 4]
for first, end in ARRAYS:
    x[:, first:end] += random.normal(size=(ROWS, 1)) * random.uniform(10, 30, size=end - first)
x = numpy.round(x, 2)

weights = numpy.zeros((CHANNELS, CHANNELS))
centred = x - x.mean(axis=0)
for first, end in ARRAYS:
    members = [channel for channel in range(first, end) if channel not in EXCLUDED]
    penalty = RIDGE * centred[:, members].var(axis=0).mean() * ROWS
    for channel in members:
        others = [other for other in members if other != channel]
        z = centred[:, others]
        found = numpy.linalg.solve(z.T @ z + penalty * numpy.eye(len(others)), z.T @ centred[:, channel])
        weights[channel, others] = found

for name, values in [("rows", x), ("weights", weights)]:
    print(name, *(repr(float(value)) for value in numpy.ravel(values)))
