"""NWB (Neurodata Without Borders) as the tables that `kalmind fit` and `kalmind evaluate` take.

    python scripts/nwb_to_csv.py FILE.nwb --list
    python scripts/nwb_to_csv.py FILE.nwb OUT_FOLDER --states SERIES [--features SERIES] [--bin-ms 20]
        [--columns x,y] [--velocity] [--target-x COLUMN --target-y COLUMN] [--cursor SERIES] [--window A..B]

Features are the counts of every unit's spikes in each bin, or, with --features, a series that holds features already
(binned spikes, power): its last sample in each bin. States are a series of behaviour, interpolated at each bin's end;
--velocity takes its derivative. Trials become the task's table where their targets are named. Writes x.csv, z.csv and
t.csv; bins that lie outside the states are left out. docs/nwb.md has a worked example.
"""
import argparse
import csv
import difflib
import pathlib
import sys

import numpy as np
from pynwb import NWBHDF5IO, TimeSeries

ROWS = 100_000  # read at once


def fail(text):
    sys.exit(f"nwb_to_csv: {text}")


def all_series(nwb):
    """Every time series of the file, by the path at which it stands, without the root."""
    found = {}
    for item in nwb.objects.values():
        if isinstance(item, TimeSeries):
            path, parent = [item.name], item.parent
            while parent is not None and parent.name != "root":
                path.insert(0, parent.name)
                parent = parent.parent
            found["/".join(path)] = item
    return found


def pick(series, wanted, option):
    exact = {path: item for path, item in series.items() if path == wanted or path.split("/")[-1] == wanted}
    if len(exact) == 1:
        return next(iter(exact.values()))
    if exact:
        fail(f"{option} {wanted}: {', '.join(exact)} are called so; give the whole path")
    names = list(series) + [path.split("/")[-1] for path in series]
    near = difflib.get_close_matches(wanted, names, 1, 0.3)
    fail(f"{option} {wanted}: no such series{f'; did you mean {near[0]}?' if near else ''} (--list shows all)")


def times_of(item):
    if item.timestamps is not None:
        return np.asarray(item.timestamps[:], float)
    return float(item.starting_time) + np.arange(item.data.shape[0]) / float(item.rate)


def values_of(item):
    """All values as rows x columns, read in pieces."""
    shape = item.data.shape
    values = np.empty((shape[0], int(np.prod(shape[1:])) if len(shape) > 1 else 1))
    for begin in range(0, shape[0], ROWS):
        piece = np.asarray(item.data[begin:begin + ROWS], float)
        values[begin:begin + len(piece)] = piece.reshape(len(piece), -1)
        if shape[0] > ROWS:
            print(f"\r{item.name}: {min(begin + ROWS, shape[0])} of {shape[0]} rows", end="", file=sys.stderr)
    return values * float(item.conversion or 1)


def interpolated(times, values, at):
    order = np.argsort(times, kind="stable")
    times, values = times[order], values[order]
    return np.stack([np.interp(at, times, column, left=np.nan, right=np.nan) for column in values.T], 1)


def listing(nwb):
    units = nwb.units
    print(f"units: {len(units) if units is not None else 0}")
    for path, item in sorted(all_series(nwb).items()):
        rate = f"{item.rate} Hz" if item.rate else "own timestamps"
        print(f"series {path}: {type(item).__name__}, shape {tuple(item.data.shape)}, {rate}, unit {item.unit}")
    if nwb.trials is not None:
        print(f"trials: {len(nwb.trials)}, columns {', '.join(nwb.trials.colnames)}")


def write(path, columns, rows):
    with open(path, "w", newline="") as file:
        table = csv.writer(file)
        table.writerow(columns)
        table.writerows(rows)


def column(trials, name, option):
    if name not in trials.colnames:
        near = difflib.get_close_matches(name, trials.colnames, 1, 0.3)
        fail(f"{option} {name}: the trials have {', '.join(trials.colnames)}{f'; did you mean {near[0]}?' if near else ''}")
    return np.asarray(trials[name][:])


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", type=pathlib.Path)
    parser.add_argument("out", type=pathlib.Path, nargs="?")
    parser.add_argument("--list", action="store_true", help="what is in the file")
    parser.add_argument("--states", help="the series to decode, by name or path")
    parser.add_argument("--features", help="a series of features instead of spikes")
    parser.add_argument("--columns", help="columns of the states, by number, separated by commas")
    parser.add_argument("--names", default=None, help="what the states are called (vx,vy)")
    parser.add_argument("--velocity", action="store_true", help="the derivative of the states")
    parser.add_argument("--bin-ms", type=float, default=20.0)
    parser.add_argument("--window", help="seconds A..B of the file")
    parser.add_argument("--target-x", help="column of the trials")
    parser.add_argument("--target-y", help="column of the trials")
    parser.add_argument("--cursor", help="series of the cursor's position, for the task's table")
    given = parser.parse_args()
    if not given.file.exists():
        fail(f"there is no file {given.file}")
    with NWBHDF5IO(str(given.file), "r", load_namespaces=True) as file:
        nwb = file.read()
        if given.list:
            return listing(nwb)
        if not (given.out and given.states):
            fail("give OUT_FOLDER and --states SERIES (or --list)")
        if not given.bin_ms > 0:
            fail("--bin-ms: a number above zero is expected")
        convert(nwb, given)


def convert(nwb, given):
    series = all_series(nwb)
    states = pick(series, given.states, "--states")
    times, values = times_of(states), values_of(states)
    if given.columns:
        places = [int(place) for place in given.columns.split(",")]
        if max(places) >= values.shape[1]:
            fail(f"--columns {given.columns}: the series has {values.shape[1]} columns, counted from 0")
        values = values[:, places]
    begin, end = times.min(), times.max()
    if given.window:
        low, high = (float(part) for part in given.window.split(".."))
        begin, end = max(begin, low), min(end, high)
    width = given.bin_ms / 1e3
    count = int((end - begin) / width)
    if count < 1:
        fail("no bin lies within the states and the window")
    edges = begin + width * np.arange(count + 1)
    at = edges[1:]
    z = interpolated(times, values, at)
    if given.velocity:
        before = interpolated(times, values, edges)
        z = np.diff(before, axis=0) / width

    if given.features:
        item = pick(series, given.features, "--features")
        feature_times, feature_values = times_of(item), values_of(item)
        last = np.searchsorted(feature_times, at, side="right") - 1
        inside = (last >= 0) & (feature_times[np.maximum(last, 0)] > edges[:-1])
        x = np.where(inside[:, None], feature_values[np.maximum(last, 0)], np.nan)
        names = [f"{item.name}{index}" for index in range(x.shape[1])]
    else:
        if nwb.units is None or not len(nwb.units):
            fail("the file has no units: give --features SERIES (--list shows what there is)")
        x = np.stack([np.histogram(nwb.units["spike_times"][unit], edges)[0] for unit in range(len(nwb.units))], 1)
        x = x.astype(float)
        names = [f"unit{identity}" for identity in nwb.units.id[:]]
    whole = np.isfinite(x).all(1) & np.isfinite(z).all(1)
    if not whole.any():
        fail("no bin has both features and states")
    given.out.mkdir(parents=True, exist_ok=True)
    write(given.out / "x.csv", ["time", *names], np.column_stack([at, x])[whole])
    states_names = given.names.split(",") if given.names else (
        ["vx", "vy", "vz"] if given.velocity else ["x", "y", "z"])[:z.shape[1]] if z.shape[1] <= 3 else [
        f"z{index}" for index in range(z.shape[1])]
    write(given.out / "z.csv", ["time", *states_names], np.column_stack([at, z])[whole])
    said = f"{whole.sum()} rows of {x.shape[1]} features and {z.shape[1]} states"
    if given.target_x and given.target_y:
        if nwb.trials is None:
            fail("--target-x: the file has no trials")
        write_task(nwb.trials, series, given, at, edges, whole)
        said += ", task of its trials"
    print(f"{given.out}: {said}; {len(whole) - whole.sum()} bins left out")


def write_task(trials, series, given, at, edges, whole):
    target = np.column_stack([column(trials, given.target_x, "--target-x"), column(trials, given.target_y, "--target-y")])
    starts, stops = (np.asarray(trials[name][:], float) for name in ("start_time", "stop_time"))
    cursor = np.zeros((len(at), 2))
    if given.cursor:
        item = pick(series, given.cursor, "--cursor")
        cursor = interpolated(times_of(item), values_of(item)[:, :2], edges[:-1])
    rows = []
    for row in np.flatnonzero(whole):
        inside = np.flatnonzero((starts <= edges[row] + 1e-9) & (edges[row] < stops))
        if len(inside):
            place = inside[-1]
            rows.append([at[row], place, *target[place], *cursor[row], 0])
        else:
            rows.append([at[row], 0, "", "", *cursor[row], 0])
    write(given.out / "t.csv", ["time", "trial", "target_x", "target_y", "cursor_x", "cursor_y", "hold"], rows)


if __name__ == "__main__":
    main()
