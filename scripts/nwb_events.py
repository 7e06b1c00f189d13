"""Texts with stamps as NWB keeps them: tables of events, and a series where a text holds a
dictionary, which tables must not.
"""
import json
import re

import numpy as np
from pynwb import TimeSeries
from pynwb.event import EventsTable, TimestampVectorData
from hdmf.common import VectorData

AXES = "xyz"


def table(name, description, times, columns):
    """A table of events; `columns`: (name, description, values)."""
    made = [TimestampVectorData(name="timestamp", description="When it was, in seconds from the start.", data=times)]
    made += [VectorData(name=column, description=told, data=values) for column, told, values in columns]
    return EventsTable(name=name, description=description, columns=made)


def texts(name, description, times, values, when):
    """A stream of texts as they were sent: a table, or a series (with `when` of it) where NWB asks for one."""
    if any(re.search(r"\{.*\}", text, re.DOTALL) for text in values):
        return TimeSeries(name=name, description=description, data=values, unit="n.a.", **when)
    return table(name, description, times, [("annotation", "The text as it was sent.", values)])


def kinds(events, zero):
    """Events of Kalmind's client protocol: for each kind a table with a column for each key of its data."""
    for kind in sorted({event["kind"] for event in events}):
        rows = [event for event in events if event["kind"] == kind]
        data = [dict(_flat(row.get("data") or {})) for row in rows]
        columns = [("event_seq", "Number of the event in its run.", [int(row.get("event_seq", 0)) for row in rows])]
        for key in sorted({key for row in data for key in row}):
            columns += _columns(key, [row.get(key) for row in data])
        times = np.array([float(row["time"]) - zero for row in rows])
        yield table(f"{kind}_events", f"Events of kind {kind!r} of Kalmind's client protocol.", times, columns)


def _flat(data, prefix=""):
    """Keys of dictionaries within dictionaries, joined by `_`: a cell of a table must not hold one. A list of
    dictionaries becomes a list of values for each of their keys.
    """
    for key, value in data.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{prefix}{key}_")
        elif isinstance(value, list) and value and all(isinstance(entry, dict) for entry in value):
            rows = [dict(_flat(entry)) for entry in value]
            for column in sorted({column for row in rows for column in row}):
                yield f"{prefix}{key}_{column}", [row.get(column) for row in rows]
        else:
            yield f"{prefix}{key}", value


def _columns(key, values):
    """Columns for one key: numbers (NaN where there is none), coordinates as one column each, else texts."""
    told = f"`{key}` of the event"
    known = [value for value in values if value is not None]
    if not known:
        return
    if all(_is_number(value) for value in known):
        if len(known) == len(values) and all(isinstance(value, int) for value in known):
            yield key, f"{told}.", values
        else:
            numbers = [np.nan if value is None else float(value) for value in values]
            yield key, f"{told}; NaN where it has none.", numbers
    elif all(_is_point(value) for value in known) and len({len(value) for value in known}) == 1:
        for place in range(len(known[0])):
            numbers = [np.nan if value is None else float(value[place]) for value in values]
            yield f"{key}_{AXES[place]}", f"{told}; NaN where it has none.", numbers
    else:
        plain = ["" if value is None else value if isinstance(value, str) else json.dumps(value) for value in values]
        yield key, f"{told}; empty where it has none.", plain


def _is_point(value):
    return isinstance(value, list) and 0 < len(value) <= len(AXES) and all(_is_number(part) for part in value)


def _is_number(value):
    return isinstance(value, (int, float)) and not isinstance(value, bool)
