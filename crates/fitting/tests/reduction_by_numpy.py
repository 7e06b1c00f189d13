"""Writes reduction_by_numpy.csv: signal-to-noise ratios by least squares and principal components by numpy, for reduction.rs.

    python3 -m venv v && v/bin/pip install numpy==2.4.6
    v/bin/python reduction_by_numpy.py > reduction_by_numpy.csv

Twelve features of two states that wander, each in a unit of its own, some of them mixed; one follows from two others. The five
features with the highest ratio of explained to residual variance are selected; the components are of the correlations of these.
"""

import numpy as np

ROWS, FEATURES, SELECTED, COMPONENTS = 240, 12, 5, 3
random = np.random.default_rng(30)
states = np.zeros((ROWS, 2))
for row in range(1, ROWS):
    states[row] = 0.8 * states[row - 1] + random.normal(size=2)
gains = random.normal(size=(2, FEATURES)) * np.linspace(0.1, 1.5, FEATURES)[random.permutation(FEATURES)]
features = states @ gains + random.normal(size=(ROWS, 3)) @ random.normal(size=(3, FEATURES)) * 0.6
features += random.normal(size=(ROWS, FEATURES))
features[:, 7] = features[:, 2] - features[:, 9]
features = features * np.logspace(-3, 4, FEATURES)[random.permutation(FEATURES)] + random.normal(size=FEATURES) * 50
features, states = features.round(9), states.round(9)

design = np.column_stack([np.ones(ROWS), states])
fitted = design @ np.linalg.lstsq(design, features, rcond=None)[0]
ratio = fitted.var(axis=0) / (features - fitted).var(axis=0)
selected = np.sort(np.argsort(-ratio, kind="stable")[:SELECTED])

taken = features[:, selected]
mean, deviation = taken.mean(axis=0), taken.std(axis=0)
values, vectors = np.linalg.eigh(np.corrcoef(taken.T))
axes = vectors[:, ::-1].T[:COMPONENTS]
axes = axes * np.sign(axes[np.arange(COMPONENTS), np.abs(axes).argmax(axis=1)])[:, None]
scores = (taken - mean) / deviation @ axes.T


def show(name, values):
    print(",".join([name, *(repr(float(value)) for value in np.ravel(values))]))


show("ratio", ratio)
show("selected", selected)
show("mean", mean)
show("axes", axes / deviation)
show("held", values[::-1][:COMPONENTS].sum() / values.sum())
for row in range(ROWS):
    show("row", [*features[row], *states[row], *scores[row]])
