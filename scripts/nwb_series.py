"""Series of numbers in an NWB file: found by name, read in parts, brought to other times."""
from difflib import get_close_matches

import numpy as np
from pynwb import TimeSeries
from pynwb.behavior import SpatialSeries

from recorded_session import Refused

# Rows of a series that are read at once.
BLOCK_ROWS = 65536


class Series:
    """A TimeSeries of numbers with one row for each sample. Its values are read when asked for, its times at once."""

    def __init__(self, path, series, labels):
        self.path, self.name = path, series.name
        self._series = series
        self.unit = series.unit
        shape = series.data.shape
        self.rows, self.channels = shape[0], int(shape[1]) if len(shape) > 1 else 1
        if series.timestamps is not None:
            self.times = np.asarray(series.timestamps[:], "f8")
        else:
            self.times = float(series.starting_time or 0.0) + np.arange(self.rows) / float(series.rate)
        if labels and len(labels) == self.channels:
            self.labels = labels
        elif isinstance(series, SpatialSeries) and self.channels <= 3:
            self.labels = list("xyz"[: self.channels])
        elif self.channels == 1:
            self.labels = [self.name]
        else:
            self.labels = [f"{self.name}_{place}" for place in range(self.channels)]

    def check(self):
        """Refuses what cannot be brought to other times."""
        if self.rows != len(self.times):
            raise Refused(f"{self.path} has {self.rows} samples and {len(self.times)} timestamps; the file is damaged")
        if self.rows == 0:
            raise Refused(f"{self.path} has no samples")
        if not np.all(np.isfinite(self.times)) or np.any(np.diff(self.times) < 0):
            place = int(np.argmin(np.concatenate([[0.0], np.diff(self.times)])))
            raise Refused(f"{self.path} has timestamps that do not rise, as at sample {place}; sort its samples first")

    def values(self, begin, end, places):
        """Rows in the series' unit; `places` are its columns."""
        series = self._series
        raw = np.asarray(series.data[begin:end], "f8").reshape(end - begin, self.channels)
        scale = getattr(series, "channel_conversion", None)
        if scale is not None:
            raw = raw * np.asarray(scale[:], "f8")
        if series.conversion != 1.0 or series.offset != 0.0:
            raw = raw * series.conversion + series.offset
        return raw[:, places]

    def blocks(self, places):
        for begin in range(0, self.rows, BLOCK_ROWS):
            yield self.values(begin, min(begin + BLOCK_ROWS, self.rows), places)

    def at(self, times, places, max_gap):
        """Rows between samples by a straight line; NaN outside the series, and within gaps of more than `max_gap` s.

        `times` rise. Only the rows around them are read, at most BLOCK_ROWS at once.
        """
        found = np.full((len(times), len(places)), np.nan)
        after = np.searchsorted(self.times, times, side="left")
        inside = (times >= self.times[0]) & (times <= self.times[-1])
        wanted = np.flatnonzero(inside)
        while len(wanted):
            first = max(int(after[wanted[0]]) - 1, 0)
            part = wanted[after[wanted] < first + BLOCK_ROWS]
            last = int(after[part[-1]])
            values = self.values(first, last + 1, places)
            high = after[part]
            low = np.maximum(high - 1, 0)
            step = self.times[high] - self.times[low]
            exact = self.times[high] == times[part]
            with np.errstate(invalid="ignore", divide="ignore"):
                share = np.where(exact, 1.0, (times[part] - self.times[low]) / step)[:, None]
                line = values[low - first] + share * (values[high - first] - values[low - first])
            rows = np.where(exact[:, None], values[high - first], line)
            rows[(step > max_gap) & ~exact] = np.nan
            found[part] = rows
            wanted = wanted[len(part):]
        return found


def all_series(file):
    """Every series of numbers of a file, by its path in it."""
    labels = {}
    table = file.acquisition.get("channels")
    if table is not None and {"series", "label"} <= set(getattr(table, "colnames", ())):
        for series, label in zip(table["series"][:], table["label"][:]):
            labels.setdefault(str(series), []).append(str(label))
    found = {}
    for item in file.objects.values():
        if not isinstance(item, TimeSeries) or item.data is None or not hasattr(item.data, "shape"):
            continue
        kind = getattr(item.data, "dtype", None)
        if kind is None or not np.issubdtype(kind, np.number) or not 1 <= len(item.data.shape) <= 2:
            continue
        if item.timestamps is None and not item.rate:
            continue
        path = place_of(item)
        found[path] = (item, labels.get(item.name))
    return found


def place_of(item):
    """Where something stands in the file, as `behavior/Position/cursor_position`."""
    names = []
    while item is not None and item.name != "root":
        names.append(item.name)
        item = item.parent
    return "/".join(reversed(names))


def choose(option, wanted, series):
    """One series by `NAME` or `NAME:column,column`: the series, and places and names of its columns."""
    name, _, columns = wanted.partition(":")
    matches = [path for path in series if path == name or path.endswith(f"/{name}")]
    if len(matches) > 1:
        raise Refused(f"{option} {name}: more than one series is called that; give one of {', '.join(matches)}")
    if not matches:
        near = get_close_matches(name, [*series, *(path.rpartition("/")[2] for path in series)], 3, 0.4)
        raise Refused(
            f"{option} {name}: the file has no such series of numbers; "
            + (f"did you mean {' or '.join(dict.fromkeys(near))}?" if near else f"--list shows its {len(series)}")
        )
    found = Series(matches[0], *series[matches[0]])
    found.check()
    if not columns:
        return found, list(range(found.channels)), found.labels
    places = []
    for column in columns.split(","):
        if column in found.labels:
            places.append(found.labels.index(column))
        elif column.isdecimal() and int(column) < found.channels:
            places.append(int(column))
        else:
            near = get_close_matches(column, found.labels, 3, 0.4)
            raise Refused(
                f"{option} {wanted}: {found.path} has no column {column!r}; "
                + (f"did you mean {' or '.join(near)}?" if near else f"it has {', '.join(found.labels[:20])}")
            )
    return found, places, [found.labels[place] for place in places]
