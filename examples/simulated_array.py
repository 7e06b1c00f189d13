"""Raw signals without an amplifier: an array of 16 electrodes and a hand that reaches, as a recording or live over LSL.

    .venv/bin/python examples/simulated_array.py monday.xdf --seed 1 --seconds 180
    .venv/bin/python examples/simulated_array.py --lsl --seed 2 --seconds 600

Two streams: `Cortex`, int16 in microvolts at 30 kHz, and `Hand`, its position in workspace widths at 100 Hz, which rests
for the first 15 s. Each electrode sees two units, whose rates follow the velocity that the hand has 100 ms later, beside
noise of its own, noise that all share with unequal gains, mains hum and a slow potential. Another seed is another day with
the same units. Live, both are pushed every 10 ms, as an amplifier's program does. Simulated: it says nothing of people.
"""
import argparse
import struct
import time

import numpy as np

RATE, HAND, CHANNELS, CHUNK = 30_000, 100, 16, 300
REST_S, LEAD_S = 15, 0.1

parser = argparse.ArgumentParser()
parser.add_argument("file", nargs="?", help="the recording to write")
parser.add_argument("--lsl", action="store_true", help="send it over LSL instead")
parser.add_argument("--seed", type=int, default=1)
parser.add_argument("--seconds", type=int, default=180)
arguments = parser.parse_args()
if arguments.lsl == bool(arguments.file):
    parser.error("either the file to write, or --lsl")
day, units = np.random.default_rng(arguments.seed), np.random.default_rng(7)

ANGLE, BASE = units.uniform(0, 2 * np.pi, (CHANNELS, 2)), units.uniform(8, 25, (CHANNELS, 2))
DEPTH, PEAK = units.uniform(32, 80, (CHANNELS, 2)), units.uniform(60, 120, (CHANNELS, 2))
GAINS = units.uniform(0.6, 1.4, CHANNELS)
# a spike of 1.2 ms, down and up again
SPIKE = np.interp(np.linspace(0, 1, 36), [0, 0.16, 0.3, 0.42, 0.5, 1], [0, -1, -0.3, 0.3, 0.34, 0])


def reaches():
    """Positions of the hand: rest, then minimum-jerk movements to places at random, 0.35 s apart."""
    places = np.full((arguments.seconds * HAND, 2), 0.5)
    at = REST_S * HAND
    while at < len(places):
        begin, end, steps = places[at - 1], day.uniform(0.1, 0.9, 2), int(day.uniform(60, 90))
        part = np.minimum(np.arange(1, steps + 36) / steps, 1)[:, None]
        path = begin + (end - begin) * (10 * part**3 - 15 * part**4 + 6 * part**5)
        places[at : at + len(path)] = path[: len(places) - at]
        at += len(path)
    return places


def second(number, velocity, carried):
    """A second of the array in microvolts, and what its last spikes leave for the next."""
    signal = np.zeros((RATE + len(SPIKE), CHANNELS))
    signal[: len(SPIKE)] = carried
    for channel, unit in np.ndindex(CHANNELS, 2):
        along = velocity @ [np.cos(ANGLE[channel, unit]), np.sin(ANGLE[channel, unit])]
        rates = np.clip(BASE[channel, unit] + DEPTH[channel, unit] * along, 0, 150)
        for at in np.flatnonzero(day.random(RATE) < np.repeat(rates, RATE // HAND) / RATE):
            signal[at : at + len(SPIKE), channel] += PEAK[channel, unit] * SPIKE
    carried, signal = signal[RATE:].copy(), signal[:RATE]
    seconds = number + np.arange(RATE)[:, None] / RATE
    shared = day.normal(0, 15, (RATE, 1)) + 200 * np.sin(2 * np.pi * 1.3 * seconds)
    hum = 60 * np.sin(2 * np.pi * 50 * seconds)
    return signal + day.normal(0, 12, signal.shape) + shared * GAINS + hum, carried


def chunk(tag, content):
    return b"\x04" + struct.pack("<IH", len(content) + 2, tag) + content


def header(stream, name, kind, rate, form, unit, labels):
    channels = "".join(f"<channel><label>{label}</label><unit>{unit}</unit></channel>" for label in labels)
    text = (
        f"<?xml version='1.0'?><info><name>{name}</name><type>{kind}</type><channel_count>{len(labels)}</channel_count>"
        f"<nominal_srate>{rate}</nominal_srate><channel_format>{form}</channel_format><source_id>simulated {name}</source_id>"
        f"<desc><channels>{channels}</channels></desc></info>"
    )
    return chunk(2, struct.pack("<I", stream) + text.encode())


def samples(stream, stamp, rows):
    """A chunk of samples, of which the first has a stamp."""
    first, *others = (row.tobytes() for row in rows)
    body = b"\x08" + struct.pack("<d", stamp) + first + b"".join(b"\0" + row for row in others)
    return chunk(3, struct.pack("<I", stream) + b"\x04" + struct.pack("<I", len(rows)) + body)


STREAMS = {
    1: ("Cortex", "Broadband", RATE, "int16", "microvolts", [f"e{n + 1}" for n in range(CHANNELS)]),
    2: ("Hand", "Position", HAND, "float32", "workspace widths", ["x", "y"]),
}


def write(blocks):
    """Into an XDF file."""
    with open(arguments.file, "xb") as file:
        file.write(b"XDF:" + chunk(1, b"<?xml version='1.0'?><info><version>1.0</version></info>"))
        for stream, described in STREAMS.items():
            file.write(header(stream, *described))
        for seconds, rows in blocks:
            for stream in STREAMS:
                file.write(samples(stream, 1000 + seconds, rows[stream]))
                if seconds % 5 == 0:
                    file.write(chunk(4, struct.pack("<Idd", stream, 1000 + seconds, 0)))
        for stream in STREAMS:
            file.write(chunk(6, struct.pack("<I", stream) + b"<?xml version='1.0'?><info/>"))


def send(blocks):
    """Over LSL, each block when its last sample is due, which bears the stamp."""
    import pylsl

    outlets = {}
    for stream, (name, kind, rate, form, unit, labels) in STREAMS.items():
        info = pylsl.StreamInfo(name, kind, len(labels), rate, form, f"simulated {name}")
        channels = info.desc().append_child("channels")
        for label in labels:
            channel = channels.append_child("channel")
            channel.append_child_value("label", label)
            channel.append_child_value("unit", unit)
        outlets[stream] = pylsl.StreamOutlet(info)
    begin = pylsl.local_clock()
    for seconds, rows in blocks:
        due = begin + seconds + 1 / HAND
        time.sleep(max(0, due - pylsl.local_clock()))
        for stream, outlet in outlets.items():
            outlet.push_chunk(np.ascontiguousarray(rows[stream]), due)


def blocks():
    """The samples of every 10 ms: when they begin, in seconds, and the rows of each stream."""
    places = reaches()
    ahead = np.roll(np.gradient(places, 1 / HAND, axis=0), -int(LEAD_S * HAND), axis=0)
    carried = np.zeros((len(SPIKE), CHANNELS))
    for number in range(arguments.seconds):
        steps = slice(number * HAND, (number + 1) * HAND)
        signal, carried = second(number, ahead[steps], carried)
        signal, hand = np.rint(signal).astype("<i2"), places[steps].astype("<f4")
        for part in range(HAND):
            yield number + part / HAND, {1: signal[part * CHUNK : (part + 1) * CHUNK], 2: hand[part : part + 1]}


(send if arguments.lsl else write)(blocks())
