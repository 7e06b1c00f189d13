"""Writes click_by_scikit_learn.csv: a discriminant by scikit-learn and a forward recursion over normal densities, for click.rs.

    python3 -m venv v && v/bin/pip install scikit-learn==1.7.2
    v/bin/python click_by_scikit_learn.py > click_by_scikit_learn.csv

Features are standardised by their deviation within the kinds, and one covariance is moved toward the unit matrix by as much as
`ledoit_wolf_shrinkage` says. Acts of six bins come every thirty; the bin before each is of no known kind.
"""

import numpy as np
from scipy.stats import multivariate_normal
from sklearn.covariance import ledoit_wolf_shrinkage
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis

ROWS, FEATURES = 240, 4
random = np.random.default_rng(12)
meant = np.arange(ROWS) % 30 >= 24
known = np.arange(ROWS) % 30 != 23
mixing = np.array([[1.0, 0.4, 0.0, 0.1], [0.0, 0.8, 0.3, 0.0], [0.2, 0.0, 3.0, 0.0], [0.0, 0.1, 0.0, 0.05]])
x = random.normal(size=(ROWS, FEATURES)) @ mixing + meant[:, None] * [1.2, 0.3, -1.0, 0.02] + [5.0, 0.0, -40.0, 0.3]

rows, kind = x[known], meant[known]
means = np.array([rows[~kind].mean(axis=0), rows[kind].mean(axis=0)])
centred = rows - means[kind.astype(int)]
deviation = np.sqrt((centred**2).mean(axis=0))
shrinkage = ledoit_wolf_shrinkage(centred / deviation, assume_centered=True)
discriminant = LinearDiscriminantAnalysis(solver="lsqr", shrinkage=shrinkage).fit(rows / deviation, kind)
weights = discriminant.coef_[0] / deviation
# without the kinds' shares, which the chain says better
intercept = discriminant.intercept_[0] - np.log(kind.mean() / (1 - kind.mean()))

acts = 8
begin, end = acts / (~kind).sum(), acts / kind.sum()
covariance = np.outer(deviation, deviation) * (
    (1 - shrinkage) * np.cov((centred / deviation).T, bias=True) + shrinkage * np.eye(FEATURES)
)
densities = np.array([multivariate_normal(mean, covariance).logpdf(x) for mean in means]).T
transition = np.log([[1 - begin, begin], [end, 1 - end]])
belief = np.log([end / (begin + end), begin / (begin + end)])
probabilities = []
for density in densities:
    belief = np.logaddexp(belief[0] + transition[0], belief[1] + transition[1]) + density
    belief -= np.logaddexp(*belief)
    probabilities.append(np.exp(belief[1]))


def show(name, values):
    print(",".join([name, *(repr(float(value)) for value in np.ravel(values))]))


show("weights", weights)
show("intercept", intercept)
show("shrinkage", shrinkage)
show("chain", [begin, end])
for row in range(ROWS):
    show("meant" if meant[row] and known[row] else "not" if known[row] else "unknown", [*x[row], probabilities[row]])
