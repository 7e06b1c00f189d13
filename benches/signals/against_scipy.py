#!/usr/bin/env python3
"""Filters, band power and spikes of `kalmind features` against scipy, on recordings made up here.

    KALMIND=target/release/kalmind benches/signals/against_scipy.py [--seconds 60] [--seed 1] [--json FILE]

Exit code 1 where a figure misses its goal.
"""

import argparse
import json
import pathlib
import sys
import tempfile

import numpy
from scipy import signal

from program import causal, configure, crossings, events, kalmind, settled_after, write_json, write_xdf

GOAL = 1e-9


def relative(found, expected):
    """The largest difference, as part of the expected values' largest, and how many values were compared."""
    valid = numpy.isfinite(found)
    return float(abs(found - expected)[valid].max() / abs(expected[valid]).max()), int(valid.sum())


def notch(hz, harmonics, quality, rate):
    # a harmonic is as wide as the first: its quality is as many times that
    designs = [signal.iirnotch(k * hz, k * quality, rate) for k in range(1, harmonics + 1)]
    return numpy.vstack([[*b, *a] for b, a in designs])


def filters(folder, seed):
    """Every sample of each filter, one a bin, at a rate at which this can be: 1 kHz."""
    rate = 1000
    random = numpy.random.default_rng(seed)
    rows = 10 * random.standard_normal((30 * rate, 8)) + 5 * numpy.arange(8)
    rows += 20 * numpy.sin(2 * numpy.pi * 50 * numpy.arange(len(rows)) / rate)[:, None]
    write_xdf(folder / "slow.xdf", rate, rows)
    butter = lambda order, hz, kind: signal.butter(order, hz, kind, fs=rate, output="sos")
    cases = [
        ("high-pass 1 Hz, order 2", 'stage = "filter", kind = "high_pass", hz = 1', butter(2, 1, "high")),
        ("low-pass 40 Hz, order 8", 'stage = "filter", kind = "low_pass", hz = 40, order = 8', butter(8, 40, "low")),
        ("band-pass 8..30 Hz, order 4", 'stage = "filter", kind = "band_pass", hz = [8, 30], order = 4', butter(4, [8, 30], "band")),
        ("band-stop 45..55 Hz, order 3", 'stage = "filter", kind = "band_stop", hz = [45, 55], order = 3', butter(3, [45, 55], "bandstop")),
        ("notch 50 Hz, 3 harmonics", 'stage = "filter", kind = "notch", hz = 50, harmonics = 3', notch(50, 3, 30, rate)),
    ]
    table = []
    for name, stage, sections in cases:
        configure(folder / "filter.toml", [stage], binning="sample", bin_ms=1)
        kalmind("features", folder / "slow.xdf", "--config", folder / "filter.toml", "-o", folder / "filter.npz")
        made = numpy.load(folder / "filter.npz")
        at = numpy.rint((made["time"] - 1000) * rate).astype(int)
        table.append((name, *relative(made["features"], causal(sections, rows)[at])))
    sections = butter(4, [8, 30], "band")
    for name, more, log in [("mean square over 250 ms every 50 ms", "", False), ("its logarithm", ", log = true", True)]:
        power = f'stage = "power", output_ms = 50, over_ms = 250{more}'
        configure(folder / "power.toml", [cases[2][1], power], binning="sample", bin_ms=None)
        kalmind("features", folder / "slow.xdf", "--config", folder / "power.toml", "-o", folder / "power.npz")
        made = numpy.load(folder / "power.npz")
        at = numpy.rint((made["time"] - 1000) * rate).astype(int)
        squares = causal(sections, rows) ** 2
        expected = numpy.full(made["features"].shape, numpy.nan)
        for row, last in enumerate(at):
            if last >= 249:
                expected[row] = squares[last - 249 : last + 1].mean(axis=0)
        table.append((f"band power 8..30 Hz, {name}", *relative(made["features"], numpy.log(expected) if log else expected)))
    return table


def spikes(folder, seconds, seed, order=3):
    """Crossings behind common average and band-pass, sample for sample, and the scales that were learnt."""
    rate, channels, refractory = 30000, 32, 30
    random = numpy.random.default_rng(seed)
    rows = random.standard_normal((seconds * rate, channels), dtype=numpy.float32)
    rows *= numpy.linspace(8, 15, channels, dtype=numpy.float32)
    time = (numpy.arange(48) - 12) / rate * 1e3
    shape = -numpy.exp(-((time / 0.12) ** 2)) + 0.4 * numpy.exp(-(((time - 0.35) / 0.25) ** 2))
    for channel in range(channels):
        gaps = 0.003 + random.exponential(0.07, int(seconds * 20))
        for sample in (numpy.cumsum(gaps) * rate).astype(int):
            if sample + len(shape) < len(rows):
                rows[sample : sample + len(shape), channel] += (random.uniform(50, 120) * shape).astype(numpy.float32)
    write_xdf(folder / "spikes.xdf", rate, rows)
    stages = [
        'stage = "reference", kind = "common_average"',
        f'stage = "filter", kind = "band_pass", hz = [250, 5000], order = {order}',
        'stage = "spikes", scales = [10], multiple = -4.5, refractory_ms = 1',
    ]
    configure(folder / "learn.toml", stages)
    kalmind("reference", folder / "spikes.xdf", "--config", folder / "learn.toml", "--to", seconds, "-o", folder / "rest.json")
    configure(folder / "run.toml", stages, reference="rest.json")
    kalmind("features", folder / "spikes.xdf", "--config", folder / "run.toml", "-o", folder / "s.npz", "--events", folder / "s.csv")
    found = events(folder / "s.csv", rate)

    sections = signal.butter(order, [250, 5000], "band", fs=rate, output="sos")
    settled = settled_after(sections)
    values = rows.astype(float)
    values -= values.mean(axis=1, keepdims=True)
    values = causal(sections, values)
    scales = numpy.sqrt((values[settled:] ** 2).mean(axis=0))
    learnt = numpy.array(scales_of(json.loads((folder / "rest.json").read_text(encoding="utf-8"))))
    # a crossing needs to be a refractory time behind what was not valid
    expected = crossings(values, -4.5 * scales, refractory, settled + refractory)
    one, other = (set(zip(*map(list, pair))) for pair in (found, expected))
    counts = numpy.load(folder / "s.npz")
    return {
        "found": len(one),
        "expected": len(other),
        "only_kalmind": sorted((int(s), int(c)) for s, c in one - other)[:20],
        "only_scipy": sorted((int(s), int(c)) for s, c in other - one)[:20],
        "scales": float((abs(learnt - scales) / scales).max()),
        "counted_in_bins": int(numpy.nansum(counts["features"])),
    }


def scales_of(document):
    """The scales of the stage `spikes`, wherever the document has it."""
    if isinstance(document, dict):
        if "scales" in document:
            return document["scales"]
        document = list(document.values())
    if isinstance(document, list):
        for part in document:
            scales = scales_of(part)
            if scales is not None:
                return scales
    return None


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=int, default=60)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", type=pathlib.Path)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        table = filters(folder, arguments.seed)
        found = spikes(folder, arguments.seconds, arguments.seed)
    print("| what | largest difference, relative | values | goal 1e-9 |\n|---|---|---|---|")
    for name, difference, count in table + [("scales of 32 channels, root mean square", found["scales"], 32)]:
        print(f"| {name} | {difference:.1e} | {count} | {'met' if difference <= GOAL else 'MISSED'} |")
    same = not found["only_kalmind"] and not found["only_scipy"] and found["found"] > 0
    print(f"\nspikes: kalmind {found['found']}, scipy {found['expected']}, equal sample for sample: {same}")
    print(f"only kalmind: {found['only_kalmind']}\nonly scipy: {found['only_scipy']}\nin bins: {found['counted_in_bins']}")
    write_json(arguments.json, {"filters": table, "spikes": found})
    sys.exit(not (same and found["scales"] <= GOAL and all(row[1] <= GOAL for row in table)))


if __name__ == "__main__":
    main()
