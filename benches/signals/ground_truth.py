#!/usr/bin/env python3
"""Spikes that `kalmind features` finds where it is known when there were any: a simulated Utah-like array, made here and by
SpikeInterface.

32 electrodes 400 um apart at 30 kHz, each with a unit of its own that no other electrode sees; white noise of 10 uV on each.
SNR is the depth of a unit's trough over the standard deviation of that noise, before any filter: 5. A unit fires --rate times a
second, by chance, no sooner than 3 ms (SpikeInterface: 4 ms) after the spike before. Common noise is white, 20 uV, the same
everywhere but for a gain from 0.5 to 1.5 a channel.

A spike is found where a crossing on its electrode is within --window-ms of its trough; a crossing finds one spike at most. The
false share is the crossings that find none, over all crossings. Thresholds and references are learnt from the recording itself by
`kalmind reference`.

    KALMIND=target/release/kalmind benches/signals/ground_truth.py [--seeds 3] [--seconds 30] [--rate 10] [--order 2] [--json FILE]
"""

import argparse
import itertools
import pathlib
import tempfile

import numpy

from program import configure, events, kalmind, write_json, write_xdf

RATE, CHANNELS, NOISE, SNR, COMMON = 30000, 32, 10.0, 5.0, 20.0
REFERENCES = ["none", "common average", "regression"]
# Goals: found at least, false at most.
GOALS = {
    ("clean", "causal", "none"): (0.98, 0.005),
    ("clean", "causal", "common average"): (0.98, 0.005),
    ("clean", "causal", "regression"): (0.98, 0.005),
    ("common noise", "causal", "regression"): (0.97, 0.005),
    ("clean", "zero-phase", "none"): (0.995, 0.005),
    ("clean", "zero-phase", "common average"): (0.995, 0.005),
    ("clean", "zero-phase", "regression"): (0.995, 0.005),
    ("common noise", "zero-phase", "regression"): (0.995, 0.005),
}


def own(seconds, firing, seed):
    """Recording and troughs (sample, channel), made here."""
    random = numpy.random.default_rng(seed)
    rows = (NOISE * random.standard_normal((seconds * RATE, CHANNELS), dtype=numpy.float32)).astype(numpy.float32)
    spikes = []
    for channel in range(CHANNELS):
        # a trough of 0.2 to 0.3 ms, then a shallower and longer peak
        width, depth = random.uniform(0.1, 0.15), random.uniform(0.25, 0.45)
        time = (numpy.arange(60) - 15) / RATE * 1e3
        shape = -numpy.exp(-((time / width) ** 2)) + depth * numpy.exp(-(((time - 0.45) / 0.22) ** 2))
        shape *= SNR * NOISE / -shape.min()
        trough = int(shape.argmin())
        gaps = 0.003 + random.exponential(1 / firing - 0.003, int(seconds * firing * 2) + 20)
        for sample in (numpy.cumsum(gaps) * RATE).astype(int):
            if sample + 60 < len(rows):
                rows[sample : sample + 60, channel] += shape.astype(numpy.float32)
                spikes.append((sample + trough, channel))
    return rows, spikes


def by_spikeinterface(seconds, firing, seed):
    """The same by SpikeInterface: its templates, scaled to the SNR, its noise and its firing."""
    import probeinterface
    from spikeinterface.core.generate import generate_ground_truth_recording, generate_templates

    probe = probeinterface.generate_multi_columns_probe(
        num_columns=4, num_contact_per_column=8, xpitch=400, ypitch=400, contact_shapes="circle", contact_shape_params={"radius": 6}
    )
    probe.set_device_channel_indices(numpy.arange(CHANNELS))
    places = probe.contact_positions
    random = numpy.random.default_rng(seed)
    units = numpy.column_stack([places + random.uniform(-15, 15, places.shape), random.uniform(10, 30, CHANNELS)])
    templates = generate_templates(places, units, RATE, ms_before=1.0, ms_after=3.0, seed=seed)
    for unit in range(CHANNELS):
        templates[unit] *= SNR * NOISE / -templates[unit].min()
    recording, sorting = generate_ground_truth_recording(
        durations=[float(seconds)], sampling_frequency=float(RATE), num_channels=CHANNELS, num_units=CHANNELS, probe=probe,
        templates=templates, ms_before=1.0, ms_after=3.0, seed=seed,
        generate_sorting_kwargs={"firing_rates": float(firing), "refractory_period_ms": 4.0},
        noise_kwargs={"noise_levels": NOISE, "strategy": "on_the_fly"},
    )
    spikes = []
    for unit, channel in zip(sorting.unit_ids, templates.min(axis=1).argmin(axis=1)):
        spikes += [(int(sample), int(channel)) for sample in sorting.get_unit_spike_train(unit)]
    return recording.get_traces().astype(numpy.float32), spikes


def matched(found, spikes, window):
    """How many spikes were found, each by the nearest crossing that is left."""
    count, lags = 0, []
    for channel in range(CHANNELS):
        crossings = found[0][found[1] == channel]
        free = numpy.ones(len(crossings), bool)
        for sample in sorted(sample for sample, own in spikes if own == channel):
            first, end = numpy.searchsorted(crossings, [sample - window, sample + window + 1])
            near = [at for at in range(first, end) if free[at]]
            if near:
                best = min(near, key=lambda at: abs(crossings[at] - sample))
                free[best] = False
                count += 1
                lags.append(crossings[best] - sample)
    return count, lags


def detect(folder, phase, reference, order):
    """The crossings behind filter, reference and threshold, which follow one another as in config/intracortical-broadband.toml."""
    zero = ", zero_phase_ms = 4" if phase == "zero-phase" else ""
    stages = [f'stage = "filter", kind = "band_pass", hz = [250, 5000], order = {order}{zero}']
    if reference != "none":
        stages.append('stage = "reference", kind = "common_average"')
    stages.append('stage = "spikes", scales = [10], multiple = -4.5, refractory_ms = 1')
    configure(folder / "learn.toml", stages)
    average = ["--average", "regression"] if reference == "regression" else []
    rest = folder / "rest.json"
    kalmind("reference", folder / "r.xdf", "--config", folder / "learn.toml", *average, "-o", rest)
    configure(folder / "run.toml", stages, reference="rest.json")
    kalmind("features", folder / "r.xdf", "--config", folder / "run.toml", "-o", folder / "f.npz", "--events", folder / "e.csv")
    rest.unlink()
    return events(folder / "e.csv", RATE)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--seconds", type=int, default=30)
    parser.add_argument("--rate", type=float, default=10, help="spikes a second of each unit")
    parser.add_argument("--order", type=int, default=2, help="of the band-pass of 250 to 5000 Hz")
    parser.add_argument("--window-ms", type=float, default=0.6)
    parser.add_argument("--sources", nargs="*", default=["own", "spikeinterface"])
    parser.add_argument("--json", type=pathlib.Path)
    arguments = parser.parse_args()
    window = round(arguments.window_ms * RATE / 1e3)
    results = {}
    for source, seed in itertools.product(arguments.sources, range(1, arguments.seeds + 1)):
        make = own if source == "own" else by_spikeinterface
        rows, spikes = make(arguments.seconds, arguments.rate, seed)
        # what is found needs settled filters before it and a whole waveform behind it
        spikes = [(sample, channel) for sample, channel in spikes if 3000 <= sample < len(rows) - 3000]
        for noise in ["clean", "common noise"]:
            if noise == "common noise":
                random = numpy.random.default_rng(1000 + seed)
                common = COMMON * random.standard_normal(len(rows), dtype=numpy.float32)
                rows += common[:, None] * random.uniform(0.5, 1.5, CHANNELS).astype(numpy.float32)
            with tempfile.TemporaryDirectory() as folder:
                folder = pathlib.Path(folder)
                write_xdf(folder / "r.xdf", RATE, rows)
                for phase, reference in itertools.product(["causal", "zero-phase"], REFERENCES):
                    samples, channels = detect(folder, phase, reference, arguments.order)
                    inside = (samples >= 3000 - window) & (samples < len(rows) - 3000 + window)
                    found = samples[inside], channels[inside]
                    count, lags = matched(found, spikes, window)
                    share, false = count / len(spikes), 1 - count / max(len(found[0]), 1)
                    results.setdefault((source, noise, phase, reference), []).append((share, false))
                    lag = numpy.median(lags) / RATE * 1e3 if lags else float("nan")
                    print(
                        f"  {source} seed {seed}, {noise}, {phase}, {reference}: {len(spikes)} spikes, found {share:.4f}, "
                        f"false {false:.4f}, crossing {lag:+.2f} ms from the trough",
                        flush=True,
                    )
    print("\n| source | noise | filter | reference | found (range) | false (range) | goal | |\n|---|---|---|---|---|---|---|---|")
    for (source, noise, phase, reference), pairs in results.items():
        found, false = numpy.array(pairs).T
        goal = GOALS.get((noise, phase, reference))
        told = f"{goal[0]} / {goal[1]}" if goal else ""
        met = ("met" if found.mean() >= goal[0] and false.mean() <= goal[1] else "MISSED") if goal else ""
        print(
            f"| {source} | {noise} | {phase} | {reference} | {found.mean():.3f} ({found.min():.3f} to {found.max():.3f}) "
            f"| {false.mean():.4f} ({false.min():.4f} to {false.max():.4f}) | {told} | {met} |"
        )
    write_json(arguments.json, [{"of": key, "found_and_false": pairs} for key, pairs in results.items()])


if __name__ == "__main__":
    main()
