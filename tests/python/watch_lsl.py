"""A reader that no part of Kalmind wrote: tells what changes in a cursor outlet, one JSON object a line.

python watch_lsl.py --instance NAME
Prints {"type": "ready", "labels": ..}, then {"type": "changed", "state": code, "velocity": .., "heartbeat": whether it came without
a tick, "stamp": .., "received": LSL time} whenever the state differs from the sample before, and each event as {"type": "event",
"event": .., "received": ..}. When the outlet ends, {"type": "closed", "last": its last sample by label, "heartbeats": ..}. A sample
that breaks the protocol ends it with code 1: a hole in seq, ticks whose time does not rise, a number that is not finite, movement
in a state that must not move, or a sample without a tick (it repeats seq) with a velocity, an intent, or not flagged incomplete.
"""
import argparse
import json
import math
import sys

import pylsl

parser = argparse.ArgumentParser()
parser.add_argument("--instance", required=True)
arguments = parser.parse_args()
MOVES = (1, 2)


def open_stream(name):
    found = pylsl.resolve_byprop("name", name, 1, 30)
    if not found:
        raise SystemExit(f"no stream {name} within 30 s")
    inlet = pylsl.StreamInlet(found[0], max_buflen=360, recover=False)
    info = inlet.info(10)
    inlet.open_stream(10)
    return inlet, info


def tell(**line):
    print(json.dumps(line), flush=True)


cursor, info = open_stream(f"{arguments.instance}-Cursor")
events, _ = open_stream(f"{arguments.instance}-Events")
labels = info.get_channel_labels()
column = {label: index for index, label in enumerate(labels)}
# an outlet sends nothing to a reader whose connection it has not noticed yet; a sample says that it has
values, stamp = cursor.pull_sample(timeout=30)
tell(type="ready", labels=labels)
before, tick_stamp, heartbeats = None, None, 0
while True:
    try:
        text, _ = events.pull_sample(timeout=0)
        if text is not None:
            tell(type="event", event=json.loads(text[0]), received=pylsl.local_clock())
        if values is None:
            values, stamp = cursor.pull_sample(timeout=0.02)
    except pylsl.util.LostError:
        break
    if values is None:
        continue
    received = pylsl.local_clock()
    sample, values = dict(zip(labels, values)), None
    velocity, state = [sample["vx"], sample["vy"]], int(sample["state"])
    heartbeat = sample["seq"] == (before["seq"] if before else -1)
    problem = None
    if not all(math.isfinite(value) for value in sample.values()):
        problem = "a number that is not finite"
    elif state not in MOVES and velocity != [0, 0]:
        problem = "something moves the cursor"
    elif heartbeat and (velocity != [0, 0] or sample["intent_valid"] or not sample["incomplete"]):
        problem = "a sample without a tick that is not one"
    elif not heartbeat and before and before["seq"] >= 0 and sample["seq"] != before["seq"] + 1:
        problem = "a hole in seq"
    elif not heartbeat and tick_stamp is not None and stamp <= tick_stamp:
        problem = "time does not rise"
    if problem:
        tell(type="violation", what=problem, sample=sample)
        sys.exit(1)
    if before is None or state != before["state"]:
        tell(type="changed", state=state, velocity=velocity, heartbeat=heartbeat, stamp=stamp, received=received, seq=sample["seq"])
    heartbeats += heartbeat
    tick_stamp = tick_stamp if heartbeat else stamp
    before = sample
tell(type="closed", last=before, heartbeats=heartbeats)
