"""The running z-score as weighted sums over the whole past, for tests of the recursion.

python3 running_zscore_by_numpy.py > running_zscore_by_numpy.csv

With weight w the newest value counts w, the one before it w (1 - w), and the start what is left. Means, variances and scores
are those sums; nothing is carried from row to row. A value that is not a number takes no part, and the past does not age by it.
"""

import math

import numpy as np

FEATURES, ROWS, WEIGHT = 3, 400, -math.expm1(-0.02 / 1.5)
START_MEAN = np.array([1.0, -2.0, 40.0])
START_DEVIATION = np.array([0.5, 3.0, 0.0])


def value(row, feature):
    """The same in every language: small fractions, exact in binary; a drift, a jump, and a stretch that stands still."""
    number = (row * row * 7 + 31 * feature * row + 13 * feature) % 257
    if feature == 0 and row >= 200:
        return 3.0
    drift = row / 64 if feature == 1 else 0.0
    return number / 128 + drift + (8.0 if feature == 2 and row > 150 else 0.0)


def is_missing(row, feature):
    return (row + feature) % 9 == 4


def weighted(past, start_mean, start_deviation):
    """Mean and variance of values of which the newest is the last."""
    ages = np.arange(len(past))[::-1]
    weights = WEIGHT * (1 - WEIGHT) ** ages
    rest = (1 - WEIGHT) ** len(past)
    mean = rest * start_mean + weights @ past
    about = (np.array(past) - mean) ** 2
    return mean, rest * (start_deviation**2 + (start_mean - mean) ** 2) + weights @ about


def main():
    past = [[] for _ in range(FEATURES)]
    for row in range(ROWS):
        cells = []
        for feature in range(FEATURES):
            deviation = START_DEVIATION[feature]
            mean, variance = weighted(past[feature], START_MEAN[feature], deviation)
            least = deviation / 10 if deviation > 0 else 1.0
            x = value(row, feature)
            score = 0.0 if is_missing(row, feature) else (x - mean) / max(math.sqrt(variance), least)
            if not is_missing(row, feature):
                past[feature].append(x)
            cells.append(score)
        for feature in range(FEATURES):
            cells.extend(weighted(past[feature], START_MEAN[feature], START_DEVIATION[feature]))
        if row % 20 == 19 or row < 5:
            print(",".join([str(row), *(repr(float(cell)) for cell in cells)]))


main()
