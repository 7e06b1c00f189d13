"""A trigger box: one channel of numbers, sent now and then, as OpenViBE and most trigger boxes do.

python triggers.py --name NAME [--format int32] [--rate HZ]
Prints `ready` when the outlet exists. Every line on standard input is a number to push; each is answered with
`done NUMBER PUSHED`, PUSHED being the samples pushed so far.
"""
import argparse
import sys

import pylsl

parser = argparse.ArgumentParser()
parser.add_argument("--name", required=True)
parser.add_argument("--format", default="int32")
parser.add_argument("--rate", type=float, default=0.0)
arguments = parser.parse_args()

outlet = pylsl.StreamOutlet(pylsl.StreamInfo(arguments.name, "Markers", 1, arguments.rate, arguments.format, "box"))
print("ready", flush=True)
for pushed, line in enumerate(sys.stdin, start=1):
    number = int(line) if "int" in arguments.format else float(line)
    # what is pushed before somebody has opened the stream nobody gets
    if not outlet.wait_for_consumers(30):
        sys.exit("nobody connected within 30 s")
    outlet.push_sample([number])
    print("done", line.strip(), pushed, flush=True)
