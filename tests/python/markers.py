"""A stream of texts: python markers.py --name NAME [--channels N]. Each line on standard input becomes a sample;
`burst N TEXT` becomes N samples `noise`, and TEXT after them, `late S TEXT` becomes TEXT, stamped S seconds ago.
"""
import argparse
import sys

import pylsl

parser = argparse.ArgumentParser()
parser.add_argument("--name", required=True)
parser.add_argument("--channels", type=int, default=1)
arguments = parser.parse_args()

info = pylsl.StreamInfo(arguments.name, "Markers", arguments.channels, 0, "string", arguments.name)
info.desc().append_child_value("note", "a <text> & more")
outlet = pylsl.StreamOutlet(info)
print("ready", flush=True)
for line in sys.stdin:
    texts, stamp = [line.strip()], 0.0
    if line.startswith("burst "):
        _, count, text = line.split(maxsplit=2)
        texts = ["noise"] * int(count) + [text.strip()]
    elif line.startswith("late "):
        _, seconds, text = line.split(maxsplit=2)
        texts, stamp = [text.strip()], pylsl.local_clock() - float(seconds)
    # what is pushed before somebody has opened the stream nobody gets
    if not outlet.wait_for_consumers(30):
        sys.exit("nobody connected within 30 s")
    for text in texts:
        outlet.push_sample([text] + [""] * (arguments.channels - 1), stamp)
    print("done", flush=True)
