"""A recording to NWB and back: nwbinspector finds nothing to mend, and what comes back is what was recorded.

python nwb_round_trip.py RECORDING.xdf FOLDER      (needs scripts/requirements.txt)
"""
import csv
import pathlib
import subprocess
import sys

import numpy as np
import pyxdf
from nwbinspector import Importance, inspect_nwbfile
from pynwb import NWBHDF5IO

SCRIPTS = pathlib.Path(__file__).resolve().parent.parent.parent / "scripts"
recording, folder = sys.argv[1], pathlib.Path(sys.argv[2])
out = folder / "session.nwb"
subprocess.run([sys.executable, SCRIPTS / "xdf_to_nwb.py", recording, out], check=True)

found = [message for message in inspect_nwbfile(nwbfile_path=str(out))
         if message.importance in (Importance.CRITICAL, Importance.BEST_PRACTICE_VIOLATION, Importance.ERROR)]
assert not found, [(message.check_function_name, message.message) for message in found]

streams, _ = pyxdf.load_xdf(recording, dejitter_timestamps=False)
role = {stream["info"]["desc"][0]["kalmind"][0]["role"][0]: stream for stream in streams}
with NWBHDF5IO(str(out), "r") as file:
    nwb = file.read()
    behavior = nwb.processing["behavior"]
    cursor = role["cursor"]
    assert np.array_equal(behavior["Position"]["cursor_position"].data[:], cursor["time_series"][:, :2])
    assert np.array_equal(behavior["cursor_velocity"].data[:], cursor["time_series"][:, 2:4])
    raw = next(iter(nwb.acquisition.values()))
    assert np.array_equal(raw.data[:], role["input"]["time_series"])
    features = next(iter(nwb.processing["ecephys"].data_interfaces.values()))
    assert np.array_equal(features.data[:], role["features"]["time_series"], equal_nan=True)
    assert len(nwb.trials) > 3 and nwb.subject.subject_id == "simulated"

subprocess.run(
    [sys.executable, SCRIPTS / "nwb_to_csv.py", out, folder / "csv", "--features", "ecephys/" + features.name,
     "--states", "cursor_velocity", "--names", "vx,vy", "--target-x", "target_x", "--target-y", "target_y",
     "--cursor", "cursor_position"],
    check=True)
rows = list(csv.reader(open(folder / "csv" / "x.csv")))
assert rows[0][0] == "time" and len(rows[0]) == 97 and len(rows) > 300, (rows[0][:3], len(rows))
recorded = {tuple(row) for row in np.nan_to_num(role["features"]["time_series"]).tolist()}
assert all(tuple(float(cell) for cell in row[1:]) in recorded for row in rows[1:]), "each row is one that was recorded"
wrong = subprocess.run([sys.executable, SCRIPTS / "nwb_to_csv.py", out, folder / "csv", "--states", "cursor_velocty"],
                       capture_output=True, text=True)
assert wrong.returncode != 0 and "did you mean" in wrong.stderr, wrong.stderr
print("ok")
