"""Writes a `kalman` and a `dkf-nw` model of Kalmind from numpy, and what they should decode.

python write_models.py FOLDER [FEATURES.csv]      (without features it makes some and writes them as well)
"""
import json, struct, sys
from pathlib import Path
import numpy as np


def write_model(path, tensors, **header):
    """Version 1: 8 bytes of length, JSON, then the tensors as little-endian row-major float64."""
    entries, data = {"__metadata__": {"kalmind": json.dumps({"version": 1, **header})}}, b""
    for name, values in tensors.items():
        raw = np.ascontiguousarray(values, "<f8").tobytes()
        entries[name] = {"dtype": "F64", "shape": np.shape(values), "data_offsets": [len(data), len(data) + len(raw)]}
        data += raw
    text = json.dumps(entries).encode()
    text += b" " * (-len(text) % 8)
    path.write_bytes(struct.pack("<Q", len(text)) + text + data)


def run(x, transition, process_noise, first, update):
    """Means and covariances (lower triangles) of a filter that starts from its first measurement alone."""
    mean, covariance = first(x[0])
    rows = [np.concatenate([mean, covariance[np.tril_indices(len(mean))]])]
    for features in x[1:]:
        predicted = transition @ covariance @ transition.T + process_noise
        mean, covariance = update(transition @ mean, predicted, features)
        rows.append(np.concatenate([mean, covariance[np.tril_indices(len(mean))]]))
    return np.array(rows)


folder, random = Path(sys.argv[1]), np.random.default_rng(7)
if len(sys.argv) > 2:
    x = np.genfromtxt(sys.argv[2], delimiter=",", encoding="utf-8-sig")
    x = x[~np.isnan(x).any(axis=1)]  # a header row reads as nan
else:
    x = random.normal(size=(80, 6)) + np.sin(np.arange(80)[:, None] / 9 + np.arange(6))
    np.savetxt(folder / "features.csv", x, delimiter=",", fmt="%.17g")
n, inv = x.shape[1], np.linalg.inv

# z_t = A z_{t-1} + N(0, G), with covariance S
A, S = np.array([[0.95, 0.02], [-0.03, 0.93]]), np.array([[0.8, 0.1], [0.1, 1.1]])
G = S - A @ S @ A.T
state = {"transition": A, "process_noise": G, "stationary_covariance": S, "training_mean": x.mean(axis=0)}
common = {"streams": [{"binning": "sample", "channels": n}], "bin_ms": 20,
          "components": [{"name": name, "unit": "workspace widths/s"} for name in ("vx", "vy")]}

# kalman: x_t = H z_t + offset + N(0, R)
H, offset, R = random.normal(size=(n, 2)), x.mean(axis=0), np.cov(x.T) + 0.5 * np.eye(n)
write_model(folder / "kalman.safetensors", {**state, "observation": H, "observation_offset": offset,
            "observation_noise": R}, decoder="kalman", parameters={}, **common)
alone = inv(H.T @ inv(R) @ H)
def kalman_update(mean, predicted, features):
    gain = predicted @ H.T @ inv(H @ predicted @ H.T + R)
    return mean + gain @ (features - offset - H @ mean), predicted - gain @ H @ predicted
expected = run(x, A, G, lambda features: (alone @ H.T @ inv(R) @ (features - offset), alone), kalman_update)
np.savetxt(folder / "kalman.csv", expected, delimiter=",", fmt="%.17g")

# dkf-nw: z_t | x_t ~ N(f(x_t), Q), f by Nadaraya-Watson regression (Burkhart et al. 2020, eq. 2.7)
points, bandwidth, Q = x[:60], 0.6 * np.sqrt(n) * x.std(), np.array([[0.30, 0.05], [0.05, 0.40]])
values = np.tanh(points @ random.normal(size=(n, 2)) / np.sqrt(n))
write_model(folder / "dkf-nw.safetensors", {**state, "points": points, "values": values, "noise_covariance": Q},
            decoder="dkf-nw", parameters={"bandwidth": bandwidth, "noise": {"kind": "constant"}}, **common)
def f(features):
    log_weights = -((points - features) ** 2).sum(axis=1) / (2 * bandwidth**2)
    weights = np.exp(log_weights - log_weights.max())
    return weights @ values / weights.sum()
def dkf_update(mean, predicted, features):
    covariance = inv(inv(Q) + inv(predicted) - inv(S))
    return covariance @ (inv(Q) @ f(features) + inv(predicted) @ mean), covariance
expected = run(x, A, G, lambda features: (f(features), Q), dkf_update)
np.savetxt(folder / "dkf-nw.csv", expected, delimiter=",", fmt="%.17g")
