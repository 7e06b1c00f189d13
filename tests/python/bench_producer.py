"""The sender of a latency measurement, which no part of Kalmind wrote: rows of random numbers at a fixed rate.

python bench_producer.py --names NAME[,NAME] --rows FILE.csv --rate HZ --count N --out FILE.json
Each outlet gets the rows in order, again from the start when they are used up, each stamped with the time of its push.
With several names the outlets take turns: each runs at the rate, and their pushes are spread over the period.
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
parser.add_argument("--readers", type=int, default=1, help="readers that each outlet waits for")
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
ready_rows = [outlets[0].sample_type(*row.tolist()) for row in rows]
print("ready", flush=True)
sys.stdin.readline()
for outlet in outlets:
    if not outlet.wait_for_consumers(30):
        sys.exit("nobody connected within 30 s")
stamps = [[] for _ in outlets]
start = pylsl.local_clock() + 0.1
step = 1 / (arguments.rate * len(outlets))
for index in range(arguments.count):
    row = ready_rows[index % len(ready_rows)]
    for turn, outlet in enumerate(outlets):
        due = start + index / arguments.rate + turn * step
        while (left := due - pylsl.local_clock()) > 0:
            time.sleep(left)
        stamp = pylsl.local_clock()
        outlet.do_push_sample(outlet.obj, row, ctypes.c_double(stamp), ctypes.c_int(1))
        stamps[turn].append(stamp)
with open(arguments.out, "w", encoding="utf-8") as out:
    json.dump(dict(zip(names, stamps)), out)
print("done", flush=True)
sys.stdin.readline()
