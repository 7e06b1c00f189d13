"""The reader of a latency measurement, which no part of Kalmind wrote: when did each sample of a stream arrive?

python bench_consumer.py --name NAME --out FILE.json
Prints `ready` when connected. After a line on standard input, and once nothing has come for a second, writes labels,
stamps, arrival times and samples, and ends. Samples that repeat the channel `seq` say that nothing moves, and count as
nothing. The time is read directly after liblsl's blocking call has returned, before
its numbers become Python's, so that streams of many and of few channels are compared fairly.
"""
import argparse
import ctypes
import json
import select
import sys

import pylsl

parser = argparse.ArgumentParser()
parser.add_argument("--name", required=True)
parser.add_argument("--keep", type=int, default=32, help="channels to keep of each sample")
parser.add_argument("--out", required=True)
arguments = parser.parse_args()

found = pylsl.resolve_byprop("name", arguments.name, 1, 30)
if not found:
    sys.exit(f"no stream {arguments.name} within 30 s")
inlet = pylsl.StreamInlet(found[0], max_buflen=360, recover=False)
labels = inlet.info(10).get_channel_labels()
inlet.open_stream(10)
pull, handle, buffer, length = inlet.do_pull_sample, inlet.obj, inlet.sample, inlet.channel_count
error = ctypes.c_int()
reference = ctypes.byref(error)
clock = pylsl.local_clock
keep = min(arguments.keep, length)
counter = labels.index("seq") if labels and "seq" in labels else None
print("ready", flush=True)
samples, stamps, arrivals = [], [], []
seq, newest = -1.0, clock()
while True:
    stamp = pull(handle, ctypes.byref(buffer), length, ctypes.c_double(1.0), reference)
    now = clock()
    if stamp and (counter is None or buffer[counter] != seq):
        stamps.append(stamp)
        arrivals.append(now)
        samples.append(buffer[:keep])
        seq, newest = seq if counter is None else buffer[counter], now
    elif error.value not in (0, -1) or now - newest >= 1.0 and select.select([sys.stdin], [], [], 0)[0]:
        # the outlet is gone, or whoever started this says that no more will come
        break
with open(arguments.out, "w", encoding="utf-8") as out:
    json.dump({"labels": labels, "stamps": stamps, "arrivals": arrivals, "samples": samples}, out)
