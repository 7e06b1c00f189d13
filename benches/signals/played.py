#!/usr/bin/env python3
"""Real EEG and MEG, played at their speed by mne-lsl's Player into `kalmind run`: what came out live against the file.

    KALMIND=target/release/kalmind KALMIND_DATA=DIR benches/signals/played.py eeg [--patient] [--json FILE]
    KALMIND=target/release/kalmind KALMIND_DATA=DIR benches/signals/played.py meg [--patient] [--json FILE]

`eeg` is eeg_motor/S001R03.edf (64 channels, 160 Hz, 125 s), `meg` the 306 sensors of meg_task/test_raw.fif (600.615 Hz, 24 s).
`kalmind features` reads XDF, so the file's samples are put into one, from the first that the run received on.

1. what was received, as recorded, against the file's samples: the same bits, none missing between the first and the last;
2. the derived stream of the run against `kalmind features` on the file's samples: the same bits;
3. the features of the run's ticks against `kalmind features` on the recording;
4. `kalmind replay --recompute`.
"""

import argparse
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import time

import numpy

from program import configure, kalmind, write_json, write_xdf
from laboratory import Daemon, Network, load

NAME = "signals-played"
PLAY = """
import sys, time, mne, mne_lsl.player
mne.set_log_level("ERROR")
path, kind, chunk = sys.argv[1], sys.argv[2], int(sys.argv[3])
raw = mne.io.read_raw(path, preload=True)
raw.pick(kind)
raw.set_annotations(None)
player = mne_lsl.player.PlayerLSL(raw, chunk_size=chunk, n_repeat=1, name="%s", annotations=False)
print("ready", flush=True)
sys.stdin.readline()
player.start()
time.sleep(raw.times[-1] + 2)
""" % NAME


def samples(path, kind):
    """The file's own, as mne reads them."""
    import mne

    raw = mne.io.read_raw(path, preload=True, verbose="ERROR")
    raw.pick(kind)
    return raw.get_data().T.copy(), raw.info["sfreq"], raw.ch_names


def same(one, other):
    """Whether all bits are; NaN like NaN."""
    return one.shape == other.shape and bool(((one == other) | (numpy.isnan(one) & numpy.isnan(other))).all())


def largest(one, other):
    both = numpy.isfinite(one) & numpy.isfinite(other)
    return float(abs(one - other)[both].max()) if both.any() else float("nan")


def stream(recording, role):
    """The stream of this role in a recording by Kalmind."""
    for found in recording:
        desc = found["info"]["desc"][0] or {}
        if (desc.get("kalmind") or [{}])[0].get("role") == [role]:
            return found
    sys.exit(f"the recording has no stream of the role {role}")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=["eeg", "meg"])
    parser.add_argument("--data", type=pathlib.Path, default=os.environ.get("KALMIND_DATA"))
    parser.add_argument("--chunk", type=int, default=8, help="samples that the player pushes at once")
    parser.add_argument("--patient", action="store_true", help="late samples are used, not dropped: for a machine that is busy otherwise")
    parser.add_argument("--json", type=pathlib.Path)
    arguments = parser.parse_args()
    if not arguments.data:
        sys.exit("set KALMIND_DATA, or give --data")
    file = arguments.data / ("eeg_motor/S001R03.edf" if arguments.what == "eeg" else "meg_task/test_raw.fif")
    rows, rate, labels = samples(file, arguments.what)
    stages = ['stage = "filter", kind = "high_pass", hz = 1'] if arguments.what == "eeg" else []
    if arguments.what == "eeg":
        stages.append('stage = "reference", kind = "common_average"')
    stages.append('stage = "filter", kind = "band_pass", hz = [8, 30], order = 4')
    output = 6.25 if arguments.what == "eeg" else 10
    stages.append(f'stage = "power", output_ms = {output}, over_ms = 250, log = true')
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        network = Network(folder)
        more = network.toml() + '\n[server]\nbind = "127.0.0.1:0"\n\n[instance]\nname = "SignalsPlayed"\n'
        live = folder / "live.toml"
        configure(live, stages, binning="mean", bin_ms=100, more=more)
        patient = "\nbacklog_ms = 10000\nstall_ms = 10000" if arguments.patient else ""
        live.write_text(live.read_text().replace('type = "Broadband"', f'name = "{NAME}"{patient}'))
        player = subprocess.Popen(
            [sys.executable, "-c", PLAY, str(file), arguments.what, str(arguments.chunk)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=network.environment(),
        )
        while player.stdout.readline().strip() != "ready":
            if player.poll() is not None:
                sys.exit("the player did not start")
        daemon = Daemon(live, record=folder / "live.xdf")
        time.sleep(2)
        player.stdin.write("\n")
        player.stdin.close()
        before = load()
        player.wait(timeout=len(rows) / rate + 60)
        summary = daemon.end()
        print("".join(line + "\n" for line in daemon.said.splitlines() if "event_bus" not in line))
        counts = {key: summary["streams"][0][key] for key in ["received", "dropped", "late", "missing", "overflows", "reconnects"]}

        import pyxdf

        recording, _ = pyxdf.load_xdf(folder / "live.xdf", dejitter_timestamps=False, synchronize_clocks=False, verbose=False)
        raw, derived, ticks = (stream(recording, role)["time_series"] for role in ["raw", "input", "features"])
        offset = next(at for at in range(len(rows)) if same(rows[at], numpy.asarray(raw[0], float)))
        told = {"counts": counts, "file": file.name, "samples_of_file": len(rows), "first_received": offset, "received": len(raw), "load": f"{before} -> {load()}"}
        told["received_equals_file"] = same(raw, rows[offset : offset + len(raw)])
        told["not_delivered_at_end"] = len(rows) - offset - len(raw)

        write_xdf(folder / "file.xdf", rate, rows[offset : offset + len(raw)], stream_type="EEG", name=NAME, labels=labels, unit="V")
        configure(folder / "file.toml", stages, binning="sample", bin_ms=None, stream_type="EEG")
        kalmind("features", folder / "file.xdf", "--config", folder / "file.toml", "-o", folder / "file.npz")
        made = numpy.load(folder / "file.npz")["features"]
        told["derived"] = len(derived)
        told["derived_of_file"] = len(made)
        count = min(len(made), len(derived))
        told["derived_equals_file"] = same(made[:count], derived[:count])
        told["derived_largest_difference"] = largest(made[:count], derived[:count])

        _, said, _ = kalmind("features", folder / "live.xdf", "--config", live, "-o", folder / "live.npz")
        print(said)
        made = numpy.load(folder / "live.npz")
        times = numpy.asarray(stream(recording, "features")["time_stamps"])
        told["ticks"], told["bins_of_recording"] = len(ticks), len(made["time"])
        # the run corrects stamps by the clock offset that it knew then, `features` by a line through all of them: the ends of the
        # same bin may be some microseconds apart
        at = numpy.clip(numpy.searchsorted(made["time"], times - 1e-3), 0, len(made["time"]) - 1)
        apart = abs(made["time"][at] - times)
        pairs = [(row, int(other)) for row, other in enumerate(at) if apart[row] < 1e-3]
        told["bin_ends_apart_at_most_us"] = float(apart[apart < 1e-3].max() * 1e6) if pairs else None
        told["ticks_at_the_time_of_a_bin"] = len(pairs)
        if pairs:
            one, other = (numpy.array(part) for part in zip(*pairs))
            equal = [same(ticks[a], made["features"][b]) for a, b in pairs]
            told["ticks_equal"] = sum(equal)
            # what came after its bin was closed by time is in no bin of the run, and in one of the recording
            closed = [json.loads(text[0])["input"]["closed_by"] for text in stream(recording, "ticks")["time_series"]]
            differ = [int(row) for (row, _), is_same in zip(pairs, equal) if not is_same]
            told["ticks_that_differ_by_what_closed_them"] = {by: [closed[row] for row in differ].count(by) for by in {closed[row] for row in differ}}
            told["ticks_that_differ"] = differ[:20]
            told["tick_largest_difference"] = largest(ticks[one], made["features"][other])
        out, said, _ = kalmind("replay", folder / "live.xdf", "--recompute", "--json")
        replay = json.loads(out)
        told["replay"] = {key: replay.get(key) for key in ["identical", "ticks", "recomputed", "first_difference"]}
    print(json.dumps(told, indent=1))
    write_json(arguments.json, told)


if __name__ == "__main__":
    main()
