"""An outlet that no part of Kalmind wrote: pushes rows of a CSV file at their rate, each stamped with its own time.

python push_rows.py --name NAME --rows FILE --rate HZ [--format F] [--labels a,b] [--source-id ID] [--stamps unix]
Prints `ready` when the outlet exists, waits for a line on standard input, pushes, prints `done`, waits for another line.
"""
import argparse
import sys
import time

import numpy as np
import pylsl

parser = argparse.ArgumentParser()
parser.add_argument("--name", required=True)
parser.add_argument("--type", default="Features")
parser.add_argument("--rows", required=True)
parser.add_argument("--rate", type=float, required=True)
parser.add_argument("--format", default="double64")
parser.add_argument("--labels", default="")
parser.add_argument("--source-id", default="push-rows")
parser.add_argument("--nominal", type=float, default=None)
parser.add_argument("--stamps", choices=["lsl", "unix"], default="lsl")
parser.add_argument("--burst", action="store_true", help="all rows at once, stamped as if they had come at their rate")
arguments = parser.parse_args()

rows = np.atleast_2d(np.genfromtxt(arguments.rows, delimiter=","))
nominal = arguments.rate if arguments.nominal is None else arguments.nominal
info = pylsl.StreamInfo(
    arguments.name, arguments.type, rows.shape[1], nominal, arguments.format, arguments.source_id
)
if arguments.labels:
    channels = info.desc().append_child("channels")
    for label in arguments.labels.split(","):
        channels.append_child("channel").append_child_value("label", label)
outlet = pylsl.StreamOutlet(info)
print("ready", flush=True)
sys.stdin.readline()
# the reader has to be connected: what is pushed before that nobody gets
deadline = time.monotonic() + 30
while not outlet.have_consumers():
    if time.monotonic() > deadline:
        sys.exit("nobody connected within 30 s")
    outlet.wait_for_consumers(1)
shift = time.time() - pylsl.local_clock() if arguments.stamps == "unix" else 0.0
start = pylsl.local_clock()
for index, row in enumerate(rows):
    due = start + index / arguments.rate
    if not arguments.burst:
        while (left := due - pylsl.local_clock()) > 0:
            time.sleep(left)
    outlet.push_sample(row.tolist(), due + shift)
print("done", flush=True)
sys.stdin.readline()
