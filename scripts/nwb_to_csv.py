#!/usr/bin/env python3
"""Spikes or features, behaviour and trials of an NWB file as the tables that `kalmind fit` and `evaluate` take.

    python scripts/nwb_to_csv.py IN.nwb --list
    python scripts/nwb_to_csv.py IN.nwb OUT_FOLDER --bin-ms 20 --states hand_vel
    kalmind fit --features OUT_FOLDER/x.csv --states OUT_FOLDER/z.csv --task OUT_FOLDER/t.csv ...

Bins are half-open; the time of a row is the end of its bin, and states are what they are then (docs/nwb.md).
"""
import argparse
import os
import sys
from pathlib import Path

import numpy as np
from pynwb import NWBHDF5IO

from nwb_series import Series, all_series, choose
from nwb_spikes import Units
from nwb_trials import Trials
from recorded_session import Refused

# Rows that are written at once.
ROWS = 4096
# A bin of a series may differ from --bin-ms by this part.
SAME_BIN = 0.01


def main():
    arguments = parse()
    try:
        with open_nwb(arguments.file) as io:
            file = io.read()
            series = all_series(file)
            if arguments.list:
                listed(file, series)
            else:
                convert(arguments, file, series)
    except Refused as refused:
        print(f"nwb_to_csv: {refused}", file=sys.stderr)
        return 1
    return 0


def parse():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", type=Path, metavar="IN.nwb")
    parser.add_argument("out", type=Path, nargs="?", metavar="OUT_FOLDER")
    parser.add_argument("--list", action="store_true", help="say what is in the file, and do no more")
    parser.add_argument("--bin-ms", type=float, metavar="MS", help="bin width; not needed where features are a series")
    parser.add_argument(
        "--features", metavar="units|SERIES[:COLUMNS]", default=None,
        help="spikes of the units table, or a series that has a sample for each bin [default: units]",
    )
    parser.add_argument("--states", metavar="SERIES[:COLUMNS]", help="series of the behaviour to decode: z.csv")
    parser.add_argument("--velocity", action="store_true",
                        help="the states are a position: decode its change per second")
    parser.add_argument("--max-gap", type=float, default=1.0, metavar="S",
                        help="rows within longer gaps of the states are left out [default: 1]")
    parser.add_argument("--from", dest="begin", type=float, metavar="S", help="first second [default: all]")
    parser.add_argument("--to", dest="end", type=float, metavar="S", help="last second [default: all]")
    parser.add_argument("--cursor", metavar="SERIES[:X,Y]",
                        help="position of the cursor, for t.csv [default: cursor_position where there is one]")
    parser.add_argument("--targets", metavar="X,Y|COLUMN",
                        help="columns of the trials that hold the target [default: target_x,target_y]")
    parser.add_argument("--radius", metavar="COLUMN|NUMBER",
                        help="of the target: `hold` is 1 while the cursor is in it [default: target_radius, else 0]")
    parser.add_argument("--trial", metavar="COLUMN",
                        help="column with the trial's number [default: trial, else its row]")
    arguments = parser.parse_args()
    if not arguments.list and arguments.out is None:
        parser.error("OUT_FOLDER is missing (or --list)")
    for name in ("bin_ms", "max_gap"):
        value = getattr(arguments, name)
        if value is not None and not (np.isfinite(value) and value > 0):
            parser.error(f"--{name.replace('_', '-')} {value:g}: a number above 0 is expected")
    if arguments.velocity and not arguments.states:
        parser.error("--velocity needs --states SERIES")
    return arguments


def open_nwb(path):
    try:
        return NWBHDF5IO(str(path), "r")
    except OSError as error:
        raise Refused(f"{path} cannot be read: {error.strerror or error}") from error
    except Exception as error:  # hdmf and h5py raise many kinds
        raise Refused(f"{path} cannot be read as NWB ({type(error).__name__}: {error})") from error


def convert(arguments, file, series):
    there = [name for name in ("x.csv", "z.csv", "t.csv") if (arguments.out / name).exists()]
    if there:
        raise Refused(f"{arguments.out} has {', '.join(there)} already; choose another folder or remove what is there")
    states = choose("--states", arguments.states, series) if arguments.states else None
    features, ends, width = rows(arguments, file, series, states)
    kept = features.usable(ends, width)
    left_out = {"without features": int(np.sum(~kept))}
    table = None
    if states:
        table, names = resampled(arguments, states, ends)
        finite = np.all(np.isfinite(table), axis=1)
        left_out["without states"] = int(np.sum(kept & ~finite))
        kept &= finite
    if not np.any(kept):
        reasons = ", ".join(f"{count} {reason}" for reason, count in left_out.items() if count)
        raise Refused(
            f"not one of {len(ends)} bins can be used ({reasons}); other series, or another --from and --to, may help"
        )
    # decided before a file is written
    task = Trials.of(arguments, file, series)
    rows_kept = np.flatnonzero(kept)
    arguments.out.mkdir(parents=True, exist_ok=True)
    write(arguments.out / "x.csv", ["time", *features.names], ends, rows_kept, features.rows)
    if states:
        write(arguments.out / "z.csv", ["time", *names], ends, rows_kept, lambda rows: table[rows])
    if task:
        write(arguments.out / "t.csv", task.header, ends, rows_kept, lambda rows: task.rows(ends[rows] - width))
    print(f"{len(rows_kept)} rows of {len(features.names)} features in {arguments.out}", file=sys.stderr)
    for reason, count in left_out.items():
        if count:
            print(f"left out: {count} rows {reason}", file=sys.stderr)
    if features.filled:
        print(f"{features.filled} missing values have the mean of their feature", file=sys.stderr)


def rows(arguments, file, series, states):
    """What makes the features, the ends of the bins, and their width in seconds."""
    wanted = arguments.features or ("units" if file.units is not None else None)
    if wanted is None:
        raise Refused("the file has no units table: name a series with --features; --list shows what there is")
    if wanted == "units":
        if file.units is None:
            raise Refused("--features units: the file has no units table; --list shows what there is")
        if arguments.bin_ms is None:
            raise Refused("--bin-ms is missing: how wide are the bins that spikes are counted in, as in --bin-ms 20")
        width = arguments.bin_ms / 1e3
        units = Units(file.units)
        begin, end = span(arguments, *(states[0].times[[0, -1]] if states else units.span()))
        # the last bin may end at the last sample, also where rounding says that it ends just behind it
        edges = begin + width * np.arange(int((end - begin) / width + 1e-6) + 1)
        if len(edges) < 2:
            raise Refused(f"from {begin:g} s to {end:g} s there is not one bin of {arguments.bin_ms:g} ms")
        edges[-1] = min(edges[-1], end)
        units.count(edges)
        return units, edges[1:], width
    found, places, names = choose("--features", wanted, series)
    features = SeriesFeatures(found, places, names)
    steps = np.diff(found.times)
    if len(steps) == 0 or np.any(steps <= 0):
        raise Refused(f"--features {wanted}: its timestamps have to rise, with one sample for each bin")
    own = float(np.median(steps))
    width = own if arguments.bin_ms is None else arguments.bin_ms / 1e3
    if abs(width - own) > SAME_BIN * own:
        raise Refused(
            f"--features {wanted} has a sample each {1e3 * own:g} ms, which is not --bin-ms {arguments.bin_ms:g}; a "
            "series has to have one sample for each bin"
        )
    begin, end = span(arguments, found.times[0], found.times[-1])
    features.select((found.times >= begin) & (found.times <= end))
    if not len(features.chosen):
        raise Refused(f"--features {wanted} has no sample from {begin:g} s to {end:g} s")
    return features, found.times[features.chosen], width


def span(arguments, begin, end):
    begin = float(begin) if arguments.begin is None else max(arguments.begin, float(begin))
    return begin, float(end) if arguments.end is None else min(arguments.end, float(end))


def resampled(arguments, states, ends):
    found, places, names = states
    table = found.at(ends, places, arguments.max_gap)
    if arguments.velocity:
        before = np.concatenate([[np.nan], np.diff(ends)])[:, None]
        after = np.concatenate([np.diff(ends), [np.nan]])[:, None]
        change = (np.roll(table, -1, 0) - np.roll(table, 1, 0)) / (before + after)
        change[np.ravel((before > arguments.max_gap) | (after > arguments.max_gap))] = np.nan
        return change, [f"v{name}" for name in names]
    return table, names


class SeriesFeatures:
    """Features that the file has ready: a sample for each bin."""

    def __init__(self, series, places, names):
        self.series, self.places, self.names = series, places, names
        self.filled = 0
        self.chosen = np.arange(series.rows)

    def select(self, chosen):
        self.chosen = np.flatnonzero(chosen)
        total, count = np.zeros(len(self.places)), np.zeros(len(self.places))
        begin = 0
        for block in self.series.blocks(self.places):
            part = block[chosen[begin:begin + len(block)]]
            begin += len(block)
            finite = np.isfinite(part)
            total += np.where(finite, part, 0.0).sum(axis=0)
            count += finite.sum(axis=0)
        self.means = total / np.maximum(count, 1)

    def usable(self, ends, width):
        """Rows that have any feature."""
        usable = np.zeros(len(ends), bool)
        for begin in range(0, len(ends), ROWS):
            block = self.read(np.arange(begin, min(begin + ROWS, len(ends))))
            usable[begin:begin + ROWS] = np.any(np.isfinite(block), axis=1)
        return usable

    def read(self, rows):
        chosen = self.chosen[rows]
        first = chosen[0]
        return self.series.values(first, chosen[-1] + 1, self.places)[chosen - first]

    def rows(self, rows):
        """A channel without a value takes its mean, as in `kalmind fit RECORDING`."""
        block = self.read(rows)
        missing = ~np.isfinite(block)
        self.filled += int(missing.sum())
        return np.where(missing, self.means, block)


def write(path, header, times, kept, values):
    """Rows in parts, each number so that it reads back the same."""
    unfinished = path.with_name(f".{path.name}.unfinished")
    try:
        with open(unfinished, "w", newline="") as file:
            file.write(",".join(quoted(name) for name in header) + "\n")
            for begin in range(0, len(kept), ROWS):
                rows = kept[begin:begin + ROWS]
                for time, row in zip(times[rows].tolist(), values(rows).tolist()):
                    file.write(",".join([repr(time), *map(cell, row)]) + "\n")
        os.replace(unfinished, path)
    except OSError as error:
        raise Refused(f"{path} cannot be written: {error.strerror or error}") from error
    finally:
        unfinished.unlink(missing_ok=True)


def quoted(name):
    return '"' + name.replace('"', '""') + '"' if any(letter in name for letter in ',;"\t\n ') else name


def cell(value):
    """Whole numbers without a point; nothing for what is not a number."""
    if value != value:
        return ""
    return str(int(value)) if value == int(value) and abs(value) < 1e15 else repr(value)


def listed(file, series):
    for path, (item, labels) in sorted(series.items()):
        found = Series(path, item, labels)
        span = f"{found.times[0]:.3f} to {found.times[-1]:.3f} s" if len(found.times) else "no samples"
        rate = f"{item.rate:g} Hz" if item.rate else "own stamps"
        names = ", ".join(found.labels[:8]) + (", .." if found.channels > 8 else "")
        print(f"series  {path}: {found.rows} x {found.channels} ({names}), {found.unit}, {rate}, {span}")
    if file.units is not None:
        units = Units(file.units)
        begin, end = units.span()
        print(f"units   {len(units.names)} units, spikes from {begin:.3f} to {end:.3f} s")
    if file.trials is not None:
        print(f"trials  {len(file.trials)} trials: {', '.join(file.trials.colnames)}")
    if not series and file.units is None:
        print("neither series of numbers nor units")


if __name__ == "__main__":
    sys.exit(main())
