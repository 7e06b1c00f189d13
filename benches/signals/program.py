"""What the figures of the raw-signal path share: XDF files, the program, and its stages written anew with scipy.

The program is the environment variable KALMIND, `target/release/kalmind` of this tree where it is not set.
"""

import csv
import json
import os
import pathlib
import struct
import subprocess
import sys

import numpy
from scipy import signal

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
KALMIND = os.environ.get("KALMIND", str(ROOT / "target" / "release" / "kalmind"))
FORMATS = {"float32": "<f4", "double64": "<f8", "int16": "<i2"}


def chunk(tag, content):
    return b"\x04" + struct.pack("<IH", len(content) + 2, tag) + content


def write_xdf(path, rate, rows, stream_type="Broadband", name="Amplifier", labels=None, unit="microvolts", begin=1000.0):
    """One stream whose samples follow each other at `rate` from `begin` on; `rows` is (samples, channels)."""
    formats = {"f4": "float32", "f8": "double64", "i2": "int16"}
    kind = formats[rows.dtype.str[1:]]
    labels = labels or [f"e{channel}" for channel in range(rows.shape[1])]
    channels = "".join(f"<channel><label>{label}</label><unit>{unit}</unit></channel>" for label in labels)
    header = (
        f"<?xml version='1.0'?><info><name>{name}</name><type>{stream_type}</type>"
        f"<channel_count>{rows.shape[1]}</channel_count><nominal_srate>{rate}</nominal_srate>"
        f"<channel_format>{kind}</channel_format><desc><channels>{channels}</channels></desc></info>"
    )
    number = struct.pack("<I", 1)
    with open(path, "wb") as file:
        file.write(b"XDF:" + chunk(1, b"<?xml version='1.0'?><info><version>1.0</version></info>"))
        file.write(chunk(2, number + header.encode()))
        for first in range(0, len(rows), int(rate)):
            part = rows[first : first + int(rate)]
            # each sample has its stamp: what a reader assumes of those without is no question here
            record = numpy.empty(len(part), [("flag", "u1"), ("stamp", "<f8"), ("values", FORMATS[kind], (rows.shape[1],))])
            record["flag"], record["values"] = 8, part
            record["stamp"] = begin + numpy.arange(first, first + len(part)) / rate
            file.write(chunk(3, number + b"\x04" + struct.pack("<I", len(part)) + record.tobytes()))
        file.write(chunk(6, number + b"<?xml version='1.0'?><info/>"))


def kalmind(*arguments):
    """Runs the program; what it printed, and how long it took on a processor, in seconds."""
    before = os.times()
    run = subprocess.run([KALMIND, *map(str, arguments)], capture_output=True, text=True, check=False)
    after = os.times()
    if run.returncode != 0:
        sys.exit(f"kalmind {' '.join(map(str, arguments))}: exit code {run.returncode}\n{run.stdout}{run.stderr}")
    taken = after.children_user + after.children_system - before.children_user - before.children_system
    return run.stdout, run.stderr, taken


def configure(path, stages, binning="sum", bin_ms=20, stream_type="Broadband", reference=None, more=""):
    """Writes a configuration of one stream with these stages, which are lines of TOML."""
    text = f'[[stream]]\ntype = "{stream_type}"\nbinning = "{binning}"\nstages = [\n'
    text += "".join(f"    {{ {stage} }},\n" for stage in stages) + "]\n"
    if bin_ms:
        text += f"\n[bins]\nbin_ms = {bin_ms}\n"
    text += more
    if reference:
        text += f'\n[reference]\nfile = "{reference}"\n'
    pathlib.Path(path).write_text(text, encoding="utf-8")


def events(path, rate, begin=1000.0):
    """The crossings of a file as (samples, channels), sorted by channel and then by sample."""
    with open(path, newline="", encoding="utf-8") as file:
        rows = [(row["time"], row["channel"]) for row in csv.DictReader(file)]
    samples = numpy.array([round((float(time) - begin) * rate) for time, _ in rows], int)
    channels = numpy.array([int(channel.removeprefix("e")) for _, channel in rows], int)
    order = numpy.lexsort((samples, channels))
    return samples[order], channels[order]


def causal(sections, rows):
    """The filter from the steady state of the first row on."""
    start = signal.sosfilt_zi(sections)[:, :, None] * rows[0][None, None, :]
    return signal.sosfilt(sections, rows, axis=0, zi=start)[0]


def settled_after(sections):
    """Samples in which the slowest oscillation of each section decays to a thousandth, one after the other."""
    total = 0
    for section in sections:
        radius = max(abs(numpy.roots(section[3:])))
        total += int(numpy.ceil(numpy.log(1e-3) / numpy.log(radius)))
    return total


def crossings(values, thresholds, refractory, begin):
    """Where each channel falls below its threshold, `refractory` samples after the one before at the earliest."""
    found = []
    for channel in range(values.shape[1]):
        below = values[:, channel] < thresholds[channel]
        falls = numpy.flatnonzero(below[1:] & ~below[:-1]) + 1
        last = -refractory
        for sample in falls[falls >= begin]:
            if sample - last >= refractory:
                found.append((channel, sample))
                last = sample
    found = numpy.array(found, int).reshape(-1, 2)
    return found[:, 1], found[:, 0]


def write_json(path, document):
    if path:
        pathlib.Path(path).write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")


def processor():
    for line in open("/proc/cpuinfo", encoding="utf-8"):
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return "unknown"
