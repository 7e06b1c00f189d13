#!/usr/bin/env python3
"""Thresholds on a dense probe with many large units: root mean square against median absolute deviation.

SpikeInterface's `generate_ground_truth_recording` as it comes: 32 contacts 20 um apart in two columns, --units units at random
places, white noise of 5 uV, each unit firing 15 times a second. Counted are units of which the trough on their nearest contact is
at least 5 times the noise: the share of their spikes with a crossing there within 0.6 ms. A crossing is false where no unit at
all fired within 0.6 ms.

    KALMIND=target/release/kalmind benches/signals/dense_probe.py [--seeds 3] [--seconds 10] [--units 30] [--order 2]
"""

import argparse
import pathlib
import tempfile

import numpy

from program import configure, events, kalmind, write_json, write_xdf

RATE, CHANNELS, NOISE, WINDOW = 30000, 32, 5.0, 18


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--seconds", type=int, default=10)
    parser.add_argument("--units", type=int, default=30)
    parser.add_argument("--order", type=int, default=2)
    parser.add_argument("--json", type=pathlib.Path)
    arguments = parser.parse_args()
    from spikeinterface.core.generate import generate_ground_truth_recording, generate_templates

    results = {"rms": [], "mad": []}
    for seed in range(1, arguments.seeds + 1):
        recording, sorting = generate_ground_truth_recording(
            durations=[float(arguments.seconds)], sampling_frequency=float(RATE), num_channels=CHANNELS, num_units=arguments.units,
            noise_kwargs={"noise_levels": NOISE, "strategy": "on_the_fly"}, seed=seed,
        )
        places = recording.get_channel_locations()
        # the same seed gives the same places and templates once more
        locations = sorting.get_property("gt_unit_locations")
        templates = generate_templates(places, locations, RATE, ms_before=1.0, ms_after=3.0, seed=seed)
        troughs = -templates.min(axis=1)
        every = numpy.sort(numpy.concatenate([sorting.get_unit_spike_train(unit) for unit in sorting.unit_ids]))
        large = [(unit, int(troughs[at].argmax())) for at, unit in enumerate(sorting.unit_ids) if troughs[at].max() >= 5 * NOISE]
        with tempfile.TemporaryDirectory() as folder:
            folder = pathlib.Path(folder)
            write_xdf(folder / "r.xdf", RATE, recording.get_traces().astype(numpy.float32))
            stages = [
                f'stage = "filter", kind = "band_pass", hz = [250, 5000], order = {arguments.order}',
                'stage = "spikes", scales = [10], multiple = -4.5, refractory_ms = 1',
            ]
            configure(folder / "learn.toml", stages)
            configure(folder / "run.toml", stages, reference="rest.json")
            for scale, found in results.items():
                kalmind("reference", folder / "r.xdf", "--config", folder / "learn.toml", "--scale", scale, "-o", folder / "rest.json")
                kalmind("features", folder / "r.xdf", "--config", folder / "run.toml", "-o", folder / "f.npz", "--events", folder / "e.csv")
                (folder / "rest.json").unlink()
                samples, channels = events(folder / "e.csv", RATE)
                hits = total = 0
                for unit, channel in large:
                    own = samples[channels == channel]
                    train = sorting.get_unit_spike_train(unit)
                    train = train[(train >= 3000) & (train < arguments.seconds * RATE - 3000)]
                    hits += (numpy.searchsorted(own, train + WINDOW, "right") > numpy.searchsorted(own, train - WINDOW)).sum()
                    total += len(train)
                false = (numpy.searchsorted(every, samples + WINDOW, "right") == numpy.searchsorted(every, samples - WINDOW)).mean()
                found.append((float(hits / total), float(false), len(large)))
                print(f"  seed {seed}, {scale}: {len(large)} large units, found {hits / total:.4f}, false {false:.4f}", flush=True)
    print("\n| threshold | found (range) | false (range) |\n|---|---|---|")
    for scale, found in results.items():
        shares, false, _ = numpy.array(found).T
        print(f"| -4.5 {scale} | {shares.mean():.3f} ({shares.min():.3f} to {shares.max():.3f}) | {false.mean():.4f} ({false.min():.4f} to {false.max():.4f}) |")
    write_json(arguments.json, results)


if __name__ == "__main__":
    main()
