"""Reads the cursor and events outlets through pylsl and prints what it saw as one JSON document.

Usage: read_outlets.py CURSOR_NAME EVENTS_NAME TICKS EVENTS [HEARTBEATS]. Prints "ready" once both streams are open. Samples
without a tick (the same `seq` as before; where there is no such channel, velocity 0) come apart: the first HEARTBEATS after
the last tick.
"""

import json
import sys

import pylsl

cursor_name, events_name, ticks, events = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
heartbeats = int(sys.argv[5]) if len(sys.argv) > 5 else 0


def find(name):
    (info,) = pylsl.resolve_byprop("name", name, minimum=1, timeout=20)
    inlet = pylsl.StreamInlet(info, max_buflen=360, recover=False)
    inlet.open_stream(timeout=20)
    return inlet


def children(element, name):
    child = element.child(name)
    while not child.empty():
        yield child
        child = child.next_sibling(name)


def read(inlet, count):
    rows, stamps = [], []
    while len(rows) < count:
        row, stamp = inlet.pull_sample(timeout=20)
        if row is None:
            sys.exit(f"{inlet.info().name()}: {len(rows)} of {count} samples within 20 s")
        rows.append(row)
        stamps.append(stamp)
    return rows, stamps


cursor, event = find(cursor_name), find(events_name)
print("ready", flush=True)

info = cursor.info(timeout=20)
desc = info.desc()
channels = list(children(desc.child("channels"), "channel"))
labels = [channel.child_value("label") for channel in channels]
rows, stamps, standing, seq = [], [], [], -1
while len(rows) < ticks or len(standing) < heartbeats:
    (row,), (stamp,) = read(cursor, 1)
    values = dict(zip(labels, row))
    if values["seq"] == seq if "seq" in values else values["vx"] == values["vy"] == 0:
        standing += [row] if len(rows) == ticks else []
    else:
        rows.append(row)
        stamps.append(stamp)
        seq = values.get("seq", seq)
texts, event_stamps = read(event, events)
document = {
    "type": info.type(),
    "rate": info.nominal_srate(),
    "format": info.channel_format(),
    "source_id": info.source_id(),
    "labels": labels,
    "gated": desc.child("intent").child_value("gated"),
    "standing": standing,
    "units": [channel.child_value("unit") for channel in channels],
    "can_drop_samples": desc.child("synchronization").child_value("can_drop_samples"),
    "session": desc.child("kalmind").child_value("session"),
    "rows": rows,
    "stamps": stamps,
    "events_type": event.info().type(),
    "events_format": event.info().channel_format(),
    "events_rate": event.info().nominal_srate(),
    "events": [text for (text,) in texts],
    "event_stamps": event_stamps,
}
json.dump(document, sys.stdout)
