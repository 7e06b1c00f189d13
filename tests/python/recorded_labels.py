"""Rows and labels of a recorded session by pyxdf and numpy alone, for a comparison with what `fit` learns from.

python recorded_labels.py RECORDING OUT BLOCK
BLOCK is open_loop, closed_loop, .. or all. One JSON document into OUT: for each row its time, label, whether it trains the
measurement model and whether its bin was complete; and the mean of each feature. Laws with a lag or of another kind than
`limited` are refused.
"""
import json
import sys

import numpy as np
import pyxdf

ROUNDING_S = 1e-6
MOVES = (1, 2)

recording, out, wanted = sys.argv[1:]
streams, _ = pyxdf.load_xdf(recording, synchronize_clocks=False, dejitter_timestamps=False)


def stream(role):
    named = [one for one in streams if one["info"]["desc"][0]["kalmind"][0]["role"][0] == role]
    assert len(named) == 1, role
    return named[0]


def documents(role):
    return [json.loads(text) for (text,) in stream(role)["time_series"]]


session = documents("record")[0]
engine, law = session["engine"], session["engine"]["label_law"]
assert law["kind"] == "limited" and law["lag_ms"] == 0.0, law
cursor = stream("cursor")
labels = [channel["label"][0] for channel in cursor["info"]["desc"][0]["channels"][0]["channel"]]
column = {label: np.asarray(cursor["time_series"])[:, place] for place, label in enumerate(labels)}
features = np.array(stream("features")["time_series"], dtype=float)
ticks = [document["input"] for document in documents("ticks")]
assert len(ticks) == len(features) == len(column["x"])

targets, trials, blocks = [], [], []
for event in documents("events"):
    time, data = event["time"], event["data"]
    if event["kind"] == "target":
        targets.append((time, (tuple(data["position"]), data["radius"]) if data["position"] else None))
    elif event["kind"] == "trial":
        trials.append((time, data["trial"] if data["phase"] == "start" else None))
    elif event["kind"] == "task_block" and data["phase"] == "start":
        blocks.append([data["block"], time, np.inf])
    elif event["kind"] == "task_block":
        next(block for block in reversed(blocks) if block[0] == data["block"])[2] = time


def in_force(changes, at):
    before = [value for time, value in sorted(changes, key=lambda change: change[0]) if time <= at]
    return before[-1] if before else None


def block_of(tick):
    inside = [name for name, start, end in blocks if start <= tick["start"] and tick["time"] <= end]
    return inside[0] if inside else None


# channels that were switched off never have a value: they are allowed to lack it
width = features.shape[1]


def switched_off(tick):
    """Whether each feature, which is a channel, is masked: by lists of channels, or by words of an older recording."""
    off = np.zeros(width, dtype=bool)
    first = 0
    for place, part in enumerate(tick["masked"]):
        if isinstance(part, list):
            off[[first + channel for channel in part]] = True
            first += engine["features"][place]["channels"]
        else:
            off[[64 * place + bit for bit in range(64) if part >> bit & 1]] = True
    return off


off = switched_off(ticks[-1])
allowed = engine["max_masked"] * (width - off.sum()) + off.sum()

rows, kept = [], []
before = trial = None
for place, tick in enumerate(ticks):
    if wanted != "all" and block_of(tick) != wanted:
        continue
    previous, before = before, place
    target = in_force(targets, tick["start"])
    follows = previous is not None and (ticks[previous]["epoch"], ticks[previous]["seq"] + 1) == (
        tick["epoch"],
        tick["seq"],
    )
    if not follows or target is None:
        trial = None
        continue
    began = ticks[previous]["time"]
    key = (in_force(trials, tick["start"]), target)
    if trial is None or trial[0] != key:
        trial = (key, began)
    if int(column["state"][place]) not in MOVES:
        continue
    complete = column["incomplete"][place] == 0
    valid = ~switched_off(tick)
    seen = np.where(valid, features[place], np.nan) if complete else np.full(width, np.nan)
    error = np.array(target[0]) - [column["x"][previous], column["y"][previous]]
    velocity = error / law["time_constant_s"]
    speed = np.hypot(*velocity)
    if speed > law["max_speed"]:
        velocity *= law["max_speed"] / speed
    late_enough = began - trial[1] >= law["skip_ms"] / 1e3 - ROUNDING_S
    measures = complete and late_enough and np.isnan(seen).sum() <= allowed
    rows.append([tick["time"], *velocity, bool(measures), bool(complete)])
    kept.append(seen)

kept = np.array(kept)
count = np.isfinite(kept).sum(axis=0)
mean = np.where(count > 0, np.nansum(kept, axis=0) / np.maximum(count, 1), 0.0)
with open(out, "w") as document:
    json.dump({"rows": rows, "mean": mean.tolist()}, document)
