"""An LSL outlet that a test drives by lines on stdin; it answers each with a line on stdout.

Settings come as JSON in the first argument. Commands:

    wait                    waits until somebody has opened the stream
    run COUNT               pushes COUNT samples at the nominal rate, each stamped with the time it was due
    burst COUNT AGE         pushes COUNT samples at once, stamped one period apart, the newest AGE seconds old
    skip COUNT              counts COUNT samples as recorded and lost before they were pushed
    text TEXT               pushes one text (string streams)
    close                   destroys the outlet

Sample i holds i + 1000 * channel (modulo the format's range), and NaN in its first channel where i is in `nan`.
"""

import json
import sys
import time

try:
    import numpy  # noqa: F401
except ImportError:  # pylsl needs it for arrays only, which this program does not use
    from unittest import mock

    sys.modules["numpy"] = mock.MagicMock()

import pylsl

settings = json.loads(sys.argv[1])
channels = settings.get("channels", 2)
rate = settings.get("rate", 50.0)
# what it really pushes at, and how it stamps
true_rate = settings.get("true_rate", rate or 50.0)
form = settings.get("format", "float32")
shift = {"lsl": 0.0, "unix": time.time() - pylsl.local_clock(), "device": -pylsl.local_clock()}[settings.get("clock", "lsl")]
nan = set(settings.get("nan", []))
modulus = {"int8": 100, "int16": 30000}.get(form, 1 << 30)
integers = form.startswith("int")

info = pylsl.StreamInfo(
    settings["name"], settings.get("type", "Features"), channels, rate, form, settings.get("source_id", "test-source")
)
if settings.get("labels"):
    described = info.desc().append_child("channels")
    for label in settings["labels"]:
        channel = described.append_child("channel")
        channel.append_child_value("label", label)
        channel.append_child_value("unit", settings.get("unit", "microvolts"))
outlet = pylsl.StreamOutlet(info)
index = 0
due = None


def say(text):
    print(text, flush=True)


def push(stamp):
    global index
    row = [(index + 1000 * channel) % modulus for channel in range(channels)]
    if not integers:
        row = [float(value) for value in row]
    if index in nan:
        row[0] = float("nan")
    outlet.push_sample(row, stamp + shift)
    index += 1


say("ready")
for line in sys.stdin:
    command, *arguments = line.rstrip("\n").split(" ", 2)
    if command == "wait":
        outlet.wait_for_consumers(20.0)
        say("consumers" if outlet.have_consumers() else "alone")
    elif command == "run":
        first = pylsl.local_clock()
        for step in range(int(arguments[0])):
            due = first + step / true_rate
            wait = due - pylsl.local_clock()
            if wait > 0:
                time.sleep(wait)
            push(due)
        say("pushed")
    elif command == "burst":
        count, age = int(arguments[0]), float(arguments[1])
        last = pylsl.local_clock() - age
        for step in range(count):
            push(last - (count - 1 - step) / true_rate)
        say("pushed")
    elif command == "skip":
        index += int(arguments[0])
        say("skipped")
    elif command == "text":
        outlet.push_sample([" ".join(arguments)] * channels, pylsl.local_clock() + shift)
        say("pushed")
    elif command == "close":
        del outlet
        say("closed")
