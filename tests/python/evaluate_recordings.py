"""Leave-one-out over tables by numpy alone: a linear regression on a window of lags fitted to all others, its figures on the
one left out, and what chance gives there.

evaluate_recordings.py OUT.json LAGS FEATURES.csv STATES.csv [FEATURES.csv STATES.csv ..]"""
import json
import sys

import numpy as np


def windows(features, lags, mean):
    """[x_t, x_t-1, ..], with the training mean where a recording has no earlier row."""
    padded = np.vstack([np.tile(mean, (lags - 1, 1)), features])
    return np.hstack([padded[lags - 1 - lag : len(padded) - lag] for lag in range(lags)])


def with_intercept(inputs):
    return np.hstack([inputs, np.ones((len(inputs), 1))])


def figures(truth, estimate):
    error, deviation = truth - estimate, truth - truth.mean(axis=0)
    correlation = [np.corrcoef(truth[:, column], estimate[:, column])[0, 1] for column in range(truth.shape[1])]
    cosine = (truth * estimate).sum(axis=1) / np.linalg.norm(truth, axis=1) / np.linalg.norm(estimate, axis=1)
    return {
        "nrmse": np.sqrt((error**2).sum() / (truth**2).sum()),
        "r2": 1 - (error**2).sum() / (deviation**2).sum(),
        "r2_components": list(1 - (error**2).sum(axis=0) / (deviation**2).sum(axis=0)),
        "correlations": correlation,
        "correlation": np.mean(correlation),
        "maae": np.arccos(np.clip(cosine, -1, 1)).mean(),
    }


def chance(truth, estimate):
    """Median over 199 circular shifts, and what one in twenty reaches or better."""
    rows = len(truth)
    least = np.ceil(0.05 * rows)
    shifts = np.floor(least + (rows - 2 * least) * np.arange(199) / 198 + 0.5).astype(int)
    scores = [figures(np.roll(truth, -shift, axis=0), estimate) for shift in shifts]
    levels = {}
    for figure, reached in {"nrmse": 0.05, "r2": 0.95, "correlation": 0.95, "maae": 0.05}.items():
        values = [score[figure] for score in scores]
        levels[figure] = [np.median(values), np.quantile(values, reached)]
    return levels


def main():
    out, lags = sys.argv[1], int(sys.argv[2])
    read = lambda path: np.loadtxt(path, delimiter=",", ndmin=2)
    recordings = [(read(x), read(z)) for x, z in zip(sys.argv[3::2], sys.argv[4::2])]
    found = []
    for test, (features, truth) in enumerate(recordings):
        others = [recording for place, recording in enumerate(recordings) if place != test]
        mean = np.vstack([features for features, _ in others]).mean(axis=0)
        inputs = np.vstack([windows(features, lags, mean) for features, _ in others])
        states = np.vstack([states for _, states in others])
        weights = np.linalg.lstsq(with_intercept(inputs), states, rcond=None)[0]
        estimate = with_intercept(windows(features, lags, mean)) @ weights
        answer = np.tile(states.mean(axis=0), (len(truth), 1))
        error, deviation = truth - answer, truth - truth.mean(axis=0)
        found.append({
            **figures(truth, estimate),
            "chance": chance(truth, estimate),
            "training_mean": {
                "nrmse": np.sqrt((error**2).sum() / (truth**2).sum()),
                "r2": 1 - (error**2).sum() / (deviation**2).sum(),
            },
            "estimate": estimate.tolist(),
        })
    with open(out, "w") as file:
        json.dump(found, file)


main()
