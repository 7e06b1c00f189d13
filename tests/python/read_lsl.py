"""A reader that no part of Kalmind wrote: the cursor and event outlets through pylsl.

python read_lsl.py --instance NAME --samples N --out FILE.json [--events N]
Prints `ready` when connected, then writes labels, samples, stamps and events to FILE. Samples without a tick, which repeat
`seq` and say that the cursor stands still, are left out.
"""
import argparse
import json

import pylsl

parser = argparse.ArgumentParser()
parser.add_argument("--instance", required=True)
parser.add_argument("--samples", type=int, required=True)
parser.add_argument("--events", type=int, default=0)
parser.add_argument("--out", required=True)
arguments = parser.parse_args()


def open_stream(name):
    found = pylsl.resolve_byprop("name", name, 1, 30)
    if not found:
        raise SystemExit(f"no stream {name} within 30 s")
    inlet = pylsl.StreamInlet(found[0], max_buflen=360)
    info = inlet.info(10)
    inlet.open_stream(10)
    return inlet, info


cursor, info = open_stream(f"{arguments.instance}-Cursor")
events, _ = open_stream(f"{arguments.instance}-Events")
labels = info.get_channel_labels()
# an outlet sends nothing to a reader whose connection it has not noticed yet; a sample says that it has
first = cursor.pull_sample(timeout=30)
print("ready", flush=True)
samples, stamps, told = [], [], []
while len(samples) < arguments.samples:
    sample, stamp = first or cursor.pull_sample(timeout=30)
    first = None
    if sample is None:
        break
    if sample[labels.index("seq")] == (samples[-1][labels.index("seq")] if samples else -1):
        continue
    samples.append(sample)
    stamps.append(stamp)
while len(told) < arguments.events:
    sample, stamp = events.pull_sample(timeout=30)
    if sample is None:
        break
    told.append({"stamp": stamp, "event": json.loads(sample[0])})
with open(arguments.out, "w", encoding="utf-8") as out:
    json.dump({"labels": labels, "rate": info.nominal_srate(), "samples": samples, "stamps": stamps, "events": told}, out)
