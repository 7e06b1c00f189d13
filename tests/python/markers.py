"""A stream of texts: python markers.py --name NAME [--channels N]. Each line on standard input becomes a sample."""
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
    outlet.push_sample([line.strip()] + [""] * (arguments.channels - 1))
    print("done", flush=True)
