#!/usr/bin/env python3
"""Whether decoders know when they are unsure: coverage and errors by published uncertainty, on real recordings.

Means over five blocked folds of all rows, from `kalmind evaluate --folds 5 --json`, so from the code of the live tick. For
each decoder and recording: nRMSE, part of the truth within the 50, 90 and 99 % ellipsoids, RMSE of the tenth of the rows with
the largest covariance over that of the tenth with the smallest, rank correlation of covariance and squared error, and the
warnings. Reached: .42 to .58, .84 to .95, and a ratio of at least 1.3 where the covariance varies.

Recordings: `flint` (ten components of the counts of an array, velocities of the hand; macaque), `cursor_golub` (counts of 24
units, the direction from the cursor to the target; macaque), `eeg_motor` (8 to 30 Hz power of nine channels over the motor
cortex, left fist -1, rest 0, right fist 1; human). The last two need numpy and scipy, and are said to be skipped without.

    benches/accuracy/uncertainty.py [--data DIR] [--kalmind FILE] [--recordings NAME..] [--decoders LIST] [--json FILE]
"""

import argparse
import json
import pathlib
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent

# The quick ones first; `--decoders` names others.
DECODERS = [
    "kalman", "kalman:covariance-scale=1", "kalman-steady", "wiener", "wiener-cascade", "ole", "ekf", "ukf", "dkf-linear",
    "dkf-nw", "dkf-nw:q=kernel", "dkf-gp", "dkf-nn",
]  # fmt: skip
COVERAGES = {"50": (0.42, 0.58), "90": (0.84, 0.95)}
LEAST_RATIO = 1.3


def flint(data, _folder):
    """Two tables as they are, and their rate."""
    return data / "flint" / "x.csv", data / "flint" / "z.csv", ["--rate", "10"]


def cursor_golub(data, folder):
    """Trials one after the other, with a gap between them."""
    import numpy as np
    from scipy import io

    trials = io.loadmat(data / "cursor_golub" / "example_data.mat", squeeze_me=True, struct_as_record=False)["data"]
    bin_s, start, features, states = 1 / 30, 0.0, [], []
    for counts, cursor, target in zip(trials.spike_counts, trials.cursor_position, trials.target_position):
        to_target = target[:, None] - cursor
        direction = to_target / np.maximum(np.linalg.norm(to_target, axis=0), 1e-9)
        times = start + bin_s * np.arange(counts.shape[1])
        features.append(np.column_stack([times, counts.T]))
        states.append(np.column_stack([times, direction.T]))
        start = times[-1] + 3.0
    return written(folder, np.vstack(features), np.vstack(states)) + ([],)


def eeg_motor(data, folder):
    """Power of bins of 100 ms, smoothed over a second, and what was asked for."""
    import numpy as np
    from scipy import signal

    channels = ["Fc3.", "Fcz.", "Fc4.", "C3..", "Cz..", "C4..", "Cp3.", "Cpz.", "Cp4."]
    features, states, start = [], [], 0.0
    for run in ("R03", "R04", "R07", "R08"):
        samples, rate, annotations = edf(data / "eeg_motor" / f"S001{run}.edf", channels, np)
        band = signal.sosfilt(signal.butter(4, [8, 30], "bandpass", fs=rate, output="sos"), samples, axis=0)
        width = int(rate // 10)
        bins = len(band) // width
        power = (band[: bins * width] ** 2).reshape(bins, width, -1).mean(axis=1)
        smooth = signal.lfilter([0.1], [1, -0.9], power, axis=0, zi=0.9 * power[:1])[0]
        times = 0.1 * np.arange(bins)
        asked = np.zeros(bins)
        for onset, duration, text in annotations:
            asked[(times >= onset) & (times < onset + duration)] = {"T1": -1.0, "T2": 1.0}.get(text, 0.0)
        features.append(np.column_stack([start + times, np.log(smooth + 1e-3)]))
        states.append(np.column_stack([start + times, asked]))
        start += times[-1] + 3.0
    return written(folder, np.vstack(features), np.vstack(states)) + ([],)


def edf(path, channels, np):
    """Samples of the channels less the mean of all, their rate, and annotations (onset, duration, text) of an EDF+ file."""
    raw = path.read_bytes()
    count = int(raw[252:256])
    records, seconds = int(raw[236:244]), float(raw[244:252])
    field = lambda at, width: [raw[256 + at * count + k * width :][:width].decode("latin-1").strip() for k in range(count)]
    labels, sizes = field(0, 16), [int(size) for size in field(216, 8)]
    low, high, least, most = ([float(value) for value in field(at, 8)] for at in (104, 112, 120, 128))
    table = np.frombuffer(raw[int(raw[184:192]) :], "<i2")[: records * sum(sizes)].reshape(records, sum(sizes))
    ends = np.cumsum(sizes)
    signals, texts = {}, b""
    for k, label in enumerate(labels):
        part = table[:, ends[k] - sizes[k] : ends[k]]
        if label == "EDF Annotations":
            texts += part.tobytes()
        else:
            signals[label] = low[k] + (part.ravel() - least[k]) * (high[k] - low[k]) / (most[k] - least[k])
    mean = np.mean(list(signals.values()), axis=0)
    annotations = []
    for entry in texts.split(b"\0"):
        parts = entry.decode("latin-1").split("\x14")
        onset, _, duration = parts[0].partition("\x15")
        annotations += [(float(onset), float(duration), text) for text in parts[1:] if text and duration]
    return np.column_stack([signals[name] - mean for name in channels]), sizes[0] / seconds, annotations


def written(folder, features, states):
    """Both tables as files with a header."""
    paths = []
    for name, table in (("features", features), ("states", states)):
        paths.append(folder / f"{name}.csv")
        head = ",".join(["time", *(f"{name[0]}{column}" for column in range(table.shape[1] - 1))])
        rows = "\n".join(",".join(repr(float(value)) for value in row) for row in table)
        paths[-1].write_text(f"{head}\n{rows}\n")
    return tuple(paths)


RECORDINGS = {"flint": flint, "cursor_golub": cursor_golub, "eeg_motor": eeg_motor}


def evaluated(arguments, files, decoder):
    """The decoder's part of the document, or why there is none."""
    features, states, more = files
    command = [arguments.kalmind, "evaluate", "--features", features, "--states", states, *more]
    command += ["--decoders", decoder, "--folds", "5", "--json"]
    run = subprocess.run([str(part) for part in command], capture_output=True, text=True, check=False)
    if run.returncode != 0:
        return None, run.stderr.strip().splitlines()[-1] if run.stderr.strip() else str(run.returncode)
    return json.loads(run.stdout)["decoders"][0], None


def line(recording, decoder, found, problem):
    """A row of the table in Markdown."""
    if found is None:
        return f"| {recording} | `{decoder}` | failed: {problem} | | | | | |"
    coverage, uncertainty = found["coverage"], found["uncertainty"]
    off = [name for name, (least, most) in COVERAGES.items() if not least <= coverage[name] <= most]
    ratio, correlation = uncertainty["decile_ratio"], uncertainty["rank_correlation"]
    if ratio is None:
        ratio = correlation = uncertainty["covariance"]
    else:
        off += ["ratio"] if ratio < LEAST_RATIO else []
        ratio, correlation = f"{ratio:.2f}", f"{correlation:.2f}"
    within = " / ".join(f"{100 * coverage[name]:.1f}" for name in ("50", "90", "99"))
    cells = [recording, f"`{decoder}`", f"{found['nrmse']:.3f}", within, ratio, correlation, f"{found['fit_seconds']:.2f}"]
    return "| " + " | ".join([*cells, ", ".join(off) or "in range"]) + " |" + "".join(f" {w}" for w in found["warnings"])


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=pathlib.Path, default=ROOT.parent / "shared" / "data", help="folder of the recordings")
    parser.add_argument("--kalmind", type=pathlib.Path, default=ROOT / "target" / "release" / "kalmind")
    parser.add_argument("--recordings", nargs="*", choices=RECORDINGS, default=list(RECORDINGS))
    parser.add_argument("--decoders", nargs="*", default=DECODERS, help="with options, as on the command line")
    parser.add_argument("--json", type=pathlib.Path, help="file for everything that was found")
    arguments = parser.parse_args()
    print("| recording | decoder | nRMSE | in 50 / 90 / 99 % | decile ratio | rank correlation | fit s | out of range |")
    print("|---|---|---|---|---|---|---|---|", flush=True)
    everything = []
    for recording in arguments.recordings:
        with tempfile.TemporaryDirectory() as folder:
            try:
                files = RECORDINGS[recording](arguments.data, pathlib.Path(folder))
            except ImportError as error:
                print(f"| {recording} | SKIPPED: {error} | | | | | | |")
                continue
            for decoder in arguments.decoders:
                found, problem = evaluated(arguments, files, decoder)
                everything.append({"recording": recording, "decoder": decoder, "found": found, "problem": problem})
                print(line(recording, decoder, found, problem), flush=True)
    if arguments.json:
        arguments.json.write_text(json.dumps(everything, indent=1))
    return 0


if __name__ == "__main__":
    sys.exit(main())
