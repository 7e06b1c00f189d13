"""A reader that no part of Kalmind wrote: tells what changes in a cursor outlet, one JSON object a line.

python watch_lsl.py --instance NAME
Prints {"type": "ready", "labels": ..}, then {"type": "changed", "state": code, "velocity": .., "received": LSL time} whenever the
state differs from the sample before, and each event as {"type": "event", "event": ..}. A sample that breaks the protocol (a hole in
seq, time that does not rise, a number that is not finite, movement in a state that must not move) ends it with code 1.
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
    inlet = pylsl.StreamInlet(found[0], max_buflen=360)
    info = inlet.info(10)
    inlet.open_stream(10)
    return inlet, info


def tell(**line):
    print(json.dumps(line), flush=True)


cursor, info = open_stream(f"{arguments.instance}-Cursor")
events, _ = open_stream(f"{arguments.instance}-Events")
labels = info.get_channel_labels()
column = {label: index for index, label in enumerate(labels)}
tell(type="ready", labels=labels)
before, before_stamp = None, None
while True:
    text, _ = events.pull_sample(timeout=0)
    if text is not None:
        tell(type="event", event=json.loads(text[0]))
    sample, stamp = cursor.pull_sample(timeout=0.02)
    if sample is None:
        continue
    received = pylsl.local_clock()
    velocity = [sample[column["vx"]], sample[column["vy"]]]
    state = int(sample[column["state"]])
    problem = None
    if before is not None and sample[column["seq"]] != before[column["seq"]] + 1:
        problem = "a hole in seq"
    elif before_stamp is not None and stamp <= before_stamp:
        problem = "time does not rise"
    elif not all(math.isfinite(value) for value in sample):
        problem = "a number that is not finite"
    elif state not in MOVES and velocity != [0, 0]:
        problem = "something moves the cursor"
    if problem:
        tell(type="violation", what=problem, sample=sample, labels=labels)
        sys.exit(1)
    if before is None or state != before[column["state"]]:
        tell(type="changed", state=state, velocity=velocity, stamp=stamp, received=received)
    before, before_stamp = sample, stamp
