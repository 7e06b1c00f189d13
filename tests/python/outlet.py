"""A numeric outlet that no part of Kalmind wrote, to be disturbed: sine waves for ever, each sample stamped with when it was due.

python outlet.py --name NAME [--channels N] [--rate HZ] [--nominal HZ] [--labels a,b] [--format F] [--source-id ID]
                 [--type T] [--stamps lsl|unix] [--chunk N [--together]] [--text] [--noise SD]
Prints `ready` when the outlet exists and pushes at once. Killed, it is gone; held (SIGSTOP), it delivers its backlog with
the stamps that were due when it goes on, as a device with a buffer does. Commands, one a line on standard input:
`pause`, `go`, `nan N`, `inf N` and `flat N` (the first N channels from now on), `clean`, `skip N` (N samples are never sent), `burst N`
(N samples at once, stamped as if they had come at the rate until now). Every command is answered with `done COMMAND PUSHED`, PUSHED being the samples pushed so far.
"""
import argparse
import math
import queue
import random
import sys
import threading
import time

import pylsl

parser = argparse.ArgumentParser()
parser.add_argument("--name", required=True)
parser.add_argument("--type", default="Features")
parser.add_argument("--channels", type=int, default=6)
parser.add_argument("--rate", type=float, default=50.0)
parser.add_argument("--nominal", type=float, default=None)
parser.add_argument("--format", default="float32")
parser.add_argument("--labels", default="")
parser.add_argument("--source-id", default="outlet")
parser.add_argument("--stamps", choices=["lsl", "unix"], default="lsl")
parser.add_argument("--chunk", type=int, default=1, help="samples that are pushed together")
parser.add_argument("--together", action="store_true", help="push a chunk with one call, as amplifiers do")
parser.add_argument("--text", action="store_true", help="a stream of texts")
parser.add_argument("--noise", type=float, default=0.0, help="standard deviation of what is added, the same each time")
parser.add_argument("--paused", action="store_true", help="wait for `go`")
arguments = parser.parse_args()

labels = [label for label in arguments.labels.split(",") if label]
channels = len(labels) or arguments.channels
rate = arguments.rate
nominal = rate if arguments.nominal is None else arguments.nominal
form = "string" if arguments.text else arguments.format
info = pylsl.StreamInfo(arguments.name, arguments.type, channels, nominal, form, arguments.source_id)
if labels:
    parent = info.desc().append_child("channels")
    for label in labels:
        parent.append_child("channel").append_child_value("label", label)
outlet = pylsl.StreamOutlet(info)
commands = queue.Queue()
threading.Thread(target=lambda: [commands.put(line.split()) for line in sys.stdin], daemon=True).start()
print("ready", flush=True)

shift = time.time() - pylsl.local_clock() if arguments.stamps == "unix" else 0.0
pushed, index, start, paused = 0, 0, pylsl.local_clock(), arguments.paused
bad, bad_value = 0, math.nan
BAD = {"nan": math.nan, "inf": math.inf, "flat": 0.0}
random.seed(1)


def row_of(number):
    return [math.sin(number / 9 + channel) + random.gauss(0, arguments.noise) for channel in range(channels)]


def push(stamp):
    global pushed
    if arguments.text:
        outlet.push_sample(["text"] * channels, stamp + shift)
    else:
        row = row_of(pushed)
        if "int" in form:
            row = [round(100 * value) for value in row]
        row[:bad] = [bad_value] * bad
        outlet.push_sample(row, stamp + shift)
    pushed += 1


while True:
    try:
        due = start + (index + arguments.chunk - 1) / rate
        command, *rest = commands.get(timeout=0.2 if paused else max(due - pylsl.local_clock(), 0))
    except queue.Empty:
        command = None
    if command == "pause":
        paused = True
    elif command == "go":
        paused, start, index = False, pylsl.local_clock(), 0
    elif command in BAD:
        bad, bad_value = int(rest[0]), BAD[command]
    elif command == "clean":
        bad = 0
    elif command == "skip":
        index += int(rest[0])
    elif command == "burst":
        now, count = pylsl.local_clock(), int(rest[0])
        for number in range(count):
            push(now - (count - 1 - number) / rate)
    if command:
        print("done", command, pushed, flush=True)
    while not paused and commands.empty() and start + (index + arguments.chunk - 1) / rate <= pylsl.local_clock():
        if arguments.together:
            rows = [row_of(pushed + row) for row in range(arguments.chunk)]
            pushed, index = pushed + arguments.chunk, index + arguments.chunk
            outlet.push_chunk(rows, start + (index - 1) / rate + shift)
            continue
        for _ in range(arguments.chunk):
            push(start + index / rate)
            index += 1
