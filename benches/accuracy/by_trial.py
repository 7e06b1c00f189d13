#!/usr/bin/env python3
"""The direction to the target in `cursor_golub`, split by trial: decoders beside a Kalman filter's .463 rad.

Fitted to the first 132 of 165 trials and tested on the last 33, each of which is decoded from its own start, with the unit
vector from the cursor to the target in the same bin as label and z-scored features; from `kalmind evaluate --whole-trials`, so
from the code of the live tick. The reference is a Kalman filter without intercept, which begins with what a trial's first bin says
alone. An open-loop estimate: the cursor was moved by another decoder, which the animal saw and would have corrected.
Needs numpy and scipy.

    benches/accuracy/by_trial.py [--data DIR] [--kalmind FILE] [--decoders LIST]
"""

import argparse
import json
import pathlib
import subprocess
import sys
import tempfile

from uncertainty import ROOT, cursor_golub

REFERENCE = 0.463
TRAINED, TRIALS = 132, 165
DECODERS = ["kalman:intercept=off,start=first", "kalman", "wiener:lags=3", "dkf-linear:lags=3", "dkf-gp"]


def evaluated(arguments, features, states, first_test, rows, decoder):
    """The document of one decoder."""
    command = [arguments.kalmind, "evaluate", "--features", features, "--states", states, "--zscore", "--closed-loop"]
    command += ["--whole-trials", "--train", f"0..{first_test}", "--test", f"{first_test}..{rows}", "--decoders", decoder, "--json"]
    run = subprocess.run([str(part) for part in command], capture_output=True, text=True, check=False)
    if run.returncode != 0:
        sys.exit(f"{decoder}: {run.stderr.strip()}")
    found = json.loads(run.stdout)
    trials = {"by": "gaps", "trials": TRIALS, "splits": [{"train": TRAINED, "test": TRIALS - TRAINED}]}
    if found["whole_trials"] != trials:
        sys.exit(f"{decoder}: divided as {found['whole_trials']}, not as {trials}")
    return found


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=pathlib.Path, default=ROOT.parent / "shared" / "data", help="folder of the recordings")
    parser.add_argument("--kalmind", type=pathlib.Path, default=ROOT / "target" / "release" / "kalmind")
    parser.add_argument("--decoders", nargs="*", default=DECODERS, help="with options, as on the command line")
    arguments = parser.parse_args()
    note = None
    with tempfile.TemporaryDirectory() as folder:
        features, states, _more = cursor_golub(arguments.data, pathlib.Path(folder))
        times = [float(line.partition(",")[0]) for line in features.read_text().splitlines()[1:]]
        starts = [row for row in range(1, len(times)) if times[row] - times[row - 1] > 1]
        print("| decoder | MAAE, rad | less the reference's .463 | fit s |")
        print("|---|---|---|---|", flush=True)
        for decoder in arguments.decoders:
            found = evaluated(arguments, features, states, starts[TRAINED - 1], len(times), decoder)
            note, figures = found["note"], found["decoders"][0]
            maae = figures["maae"]
            less = round(maae - REFERENCE, 3) or 0.0
            print(f"| `{decoder}` | {maae:.3f} | {less:+.3f} | {figures['fit_seconds']:.1f} |", flush=True)
    print(f"\n{note} (The participant is a macaque, and would have corrected what it saw.)")
    return 0


if __name__ == "__main__":
    sys.exit(main())
