"""The sender of a latency measurement, which no part of Kalmind wrote: rows of random numbers at a fixed rate.

python bench_producer.py --names NAME[,NAME] --rows FILE.csv --rate HZ --count N [--chunk N] --out FILE.json
Each outlet gets the rows in order, again from the start when they are used up, each stamped with the time of its push.
With several names the outlets take turns: each runs at the rate, and their pushes are spread over the period. With
--chunk N rows go out together, as from an amplifier, stamped as if they had been sampled at the rate.
Prints `ready` when the outlets exist, waits for a line on standard input, pushes, writes the stamps, prints `done`, and
waits for another line.
"""
import argparse
import ctypes
import json
import sys
import time

import numpy as np
import pylsl

parser = argparse.ArgumentParser()
parser.add_argument("--names", required=True)
parser.add_argument("--rows", required=True)
parser.add_argument("--rate", type=float, required=True)
parser.add_argument("--count", type=int, required=True)
parser.add_argument("--chunk", type=int, default=1)
parser.add_argument("--out", required=True)
arguments = parser.parse_args()

# timers fire when they are due, not up to 50 us later (PR_SET_TIMERSLACK)
ctypes.CDLL(None).prctl(29, 1, 0, 0, 0)
rows = np.loadtxt(arguments.rows, delimiter=",", dtype=np.float32, ndmin=2)
names = arguments.names.split(",")
outlets = [
    pylsl.StreamOutlet(pylsl.StreamInfo(name, "Features", rows.shape[1], arguments.rate, "float32", name), 0, 360)
    for name in names
]
# converted now, so that between a stamp and its push there is nothing but liblsl
chunk = arguments.chunk
values = chunk * rows.shape[1]
chunk_type = outlets[0].value_type * values
chunks = [chunk_type(*rows[at : at + chunk].ravel().tolist()) for at in range(0, len(rows) - chunk + 1, chunk)]
print("ready", flush=True)
sys.stdin.readline()
for outlet in outlets:
    if not outlet.wait_for_consumers(30):
        sys.exit("nobody connected within 30 s")
stamps = [[] for _ in outlets]
start = pylsl.local_clock() + 0.1
period = chunk / arguments.rate
for index in range(arguments.count // chunk):
    ready = chunks[index % len(chunks)]
    for turn, outlet in enumerate(outlets):
        due = start + (index + turn / len(outlets)) * period
        while (left := due - pylsl.local_clock()) > 0:
            time.sleep(left)
        stamp = pylsl.local_clock() if chunk == 1 else due
        outlet.do_push_chunk(outlet.obj, ready, ctypes.c_long(values), ctypes.c_double(stamp), ctypes.c_int(1))
        stamps[turn].append(stamp)
with open(arguments.out, "w", encoding="utf-8") as out:
    json.dump(dict(zip(names, stamps)), out)
print("done", flush=True)
sys.stdin.readline()
