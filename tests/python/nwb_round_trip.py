"""Recordings to NWB and back by scripts/: what nwbinspector finds, and whether the numbers are still the same.

.venv-nwb/bin/python tests/python/nwb_round_trip.py [--kalmind PROGRAM] RECORDING.xdf...
Takes recordings of Kalmind and any others. With KALMIND_DATA also the files in its folder xdf. With --kalmind the
tables are fitted as well. Numbers are compared with what pyxdf reads, and counts with a loop over spikes.
"""
import argparse
import csv
import json
import os
import subprocess
import sys
import tempfile
import traceback
from datetime import datetime, timedelta, timezone
from pathlib import Path

import numpy as np
import pyxdf
from nwbinspector import Importance, inspect_nwbfile
from pynwb import NWBHDF5IO, NWBFile, TimeSeries
from pynwb.behavior import Position, SpatialSeries
from pynwb.file import Subject

from make_xdf import write_xdf

ROOT = Path(__file__).resolve().parents[2]
sys.path.append(str(ROOT / "scripts"))
from recorded_session import trials  # noqa: E402
SUBJECT = '[subject]\nsubject_id = "P1"\nspecies = "Homo sapiens"\nage = "P30Y"\n'
START = "session_start_time = 2026-01-31T12:00:00+01:00\n"


def script(name, *arguments):
    """Runs a script; gives its exit code and everything it said."""
    command = [sys.executable, ROOT / "scripts" / name, *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert "Traceback" not in done.stderr, done.stderr
    return done.returncode, done.stdout + done.stderr


def succeeds(name, *arguments):
    code, said = script(name, *arguments)
    assert code == 0, said
    return said


def refused(name, *arguments):
    code, said = script(name, *arguments)
    assert code == 1, (code, said)
    return said


def to_nwb(recording, folder):
    """Converts with no more metadata than it takes, and has the result judged."""
    out = folder / f"{recording.stem}.nwb"
    code, said = script("xdf_to_nwb.py", recording, out)
    if code:
        assert "subject.species" in said and not out.exists(), said
        metadata = folder / "metadata.toml"
        metadata.write_text((START if "session_start_time," in said else "") + SUBJECT)
        succeeds("xdf_to_nwb.py", recording, out, "--metadata", metadata)
    judge(out)
    return out


def judge(path):
    found = [message for message in inspect_nwbfile(nwbfile_path=str(path))]
    worse = [message for message in found if message.importance != Importance.BEST_PRACTICE_SUGGESTION]
    assert not worse, "\n".join(f"{m.importance.name} {m.check_function_name} {m.message}" for m in worse)


def role(stream):
    desc = stream["info"]["desc"][0] or {}
    return desc["kalmind"][0]["role"][0] if "kalmind" in desc else None


def read_xdf(path):
    return pyxdf.load_xdf(str(path), synchronize_clocks=True, dejitter_timestamps=False)[0]


def table(path):
    with open(path, newline="") as file:
        rows = list(csv.reader(file))
    return rows[0], np.array([[float(cell or "nan") for cell in row] for row in rows[1:]])


def signals_are_those_of_the_recording(recording, folder):
    out = to_nwb(recording, folder)
    streams = [stream for stream in read_xdf(recording) if len(stream["time_stamps"])]
    zero = min(float(np.min(stream["time_stamps"])) for stream in streams)
    for stream in (stream for stream in streams if role(stream) == "record"):
        zero = min(zero, json.loads(stream["time_series"][0][0])["clock"]["lsl"])
    signals = [s for s in streams if role(s) in (None, "input", "extra") and s["info"]["channel_format"][0] != "string"]
    with NWBHDF5IO(str(out), "r") as io:
        file = io.read()
        series = [item for item in file.acquisition.values() if isinstance(item, TimeSeries)]
        numbers = [item for item in series if np.issubdtype(item.data.dtype, np.number)]
        assert len(numbers) == len(signals), (len(numbers), len(signals))
        for stream in signals:
            order = np.argsort(stream["time_stamps"], kind="stable")
            values = np.asarray(stream["time_series"])[order]
            same = [s for s in numbers if np.array_equal(np.reshape(s.data[:], values.shape), values)]
            assert same, stream["info"]["name"]
            item = same[0]
            rows = np.arange(len(values))
            times = item.timestamps[:] if item.timestamps is not None else item.starting_time + rows / item.rate
            stamps = stream["time_stamps"][order]
            assert times[0] >= 0 and np.allclose(times, stamps - zero, rtol=0, atol=1e-6), stream["info"]["name"]
    return out, streams


def tables_are_those_of_the_session(recording, folder, kalmind):
    """The features, the velocity and the targets of a session of Kalmind, by NWB."""
    out, streams = signals_are_those_of_the_recording(recording, folder)
    own = {role(stream): stream for stream in streams}
    if not {"features", "cursor", "events", "record"} <= set(own):
        print(f"{recording.name}: no session of Kalmind, so no tables are compared", file=sys.stderr)
        return
    session = json.loads(own["record"]["time_series"][0][0])
    clock, bin_s = session["clock"], session["bin_ms"] / 1e3
    with NWBHDF5IO(str(out), "r") as io:
        start = io.read().session_start_time
    zero = clock["lsl"] + (start - datetime.fromtimestamp(clock["unix"], timezone.utc)).total_seconds()
    succeeds("nwb_to_csv.py", out, folder / "csv", "--features", "features", "--states", "cursor_velocity")
    x_header, x = table(folder / "csv/x.csv")
    z_header, z = table(folder / "csv/z.csv")
    t_header, t = table(folder / "csv/t.csv")
    features, stamps = own["features"]["time_series"], own["features"]["time_stamps"]
    kept = np.isfinite(features).any(axis=1)
    assert len(x) == len(z) == len(t) == kept.sum() > 100
    means = np.nanmean(np.where(np.isfinite(features).any(axis=0), features, 0), axis=0)
    assert np.allclose(x[:, 1:], np.where(np.isfinite(features), features, means)[kept], rtol=1e-14, atol=0)
    finite = np.isfinite(features[kept])
    assert np.array_equal(x[:, 1:][finite], features[kept][finite]), "values that are there are the same bit for bit"
    for rows in (x, z, t):
        # the start of an NWB file is told to the microsecond
        assert np.allclose(rows[:, 0] + zero, stamps[kept], rtol=0, atol=2e-6)
    channels = own["cursor"]["info"]["desc"][0]["channels"][0]["channel"]
    labels = [channel["label"][0] for channel in channels]
    cursor, ticks = own["cursor"]["time_series"], own["cursor"]["time_stamps"]
    assert z_header == ["time", "vx", "vy"] and x_header[0] == "time"
    assert np.array_equal(z[:, 1:], cursor[np.isin(ticks, stamps[kept])][:, [labels.index("vx"), labels.index("vy")]])
    assert t_header == ["time", "trial", "target_x", "target_y", "cursor_x", "cursor_y", "hold"]
    compare_task(t, stamps[kept] - bin_s, own["events"], ticks, cursor[:, [labels.index("x"), labels.index("y")]])
    if kalmind:
        fit(kalmind, folder / "csv")


def compare_task(t, starts, events, ticks, position):
    """Trials and targets by going through the events again for each bin."""
    documents = [json.loads(row[0]) for row in events["time_series"]]
    documents.sort(key=lambda event: event["event_seq"])
    shown = 0
    for row, start in zip(t, starts):
        number, running, target = None, False, None
        for event in documents:
            if event["time"] > start + 1e-9:
                continue
            data = event["data"]
            if event["kind"] == "trial":
                running = data["phase"] == "start"
                number = data["trial"] if running else number
            elif event["kind"] == "target":
                target = data
        within = running and target is not None and target["position"] is not None
        if number is not None:
            assert row[1] == number, (start, row, number)
        at = np.clip(start, ticks[0], ticks[-1])
        cursor = [np.interp(at, ticks, position[:, axis]) for axis in (0, 1)]
        assert np.allclose(row[4:6], cursor, rtol=0, atol=1e-6)
        if not within:
            assert np.isnan(row[2:4]).all(), (start, row)
            continue
        shown += 1
        assert np.array_equal(row[2:4], target["position"]), (start, row, target)
        distance = np.hypot(*(np.array(cursor) - target["position"]))
        # on the rim, rounding may go either way
        assert abs(distance - target["radius"]) < 1e-6 or row[6] == (distance <= target["radius"]), (start, row)
    assert shown > 0


def fit(kalmind, tables):
    arguments = ["fit", "--features", tables / "x.csv", "--states", tables / "z.csv", "--decoder", "refit-kalman"]
    arguments += ["--task", tables / "t.csv"] if (tables / "t.csv").exists() else []
    done = subprocess.run([kalmind, *arguments, "-o", tables / "m.kalmind"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def voltages_are_of_electrodes_and_texts_stay_as_they_are(folder):
    random = np.random.default_rng(3)
    eeg = random.integers(-500, 500, (40, 3))
    jitter = np.cumsum(random.uniform(0.001, 0.003, 40)) + 10.0
    swapped = jitter.copy()
    swapped[[5, 6]] = swapped[[6, 5]]
    marks = ["begin", "begin", "end"]
    streams = [
        {"name": "Amp/1: a", "type": "EEG", "rate": 500, "format": "int16", "stamps": swapped, "rows": eeg.tolist(),
         "channels": [("Fz", "microvolts"), ("Cz", "microvolts"), ("Pz", "microvolts")]},
        {"name": "Hand", "type": "Mocap", "rate": 0, "format": "float32", "stamps": jitter, "rows": eeg[:, :2].tolist(),
         "channels": [("x", "mm"), ("angle", "deg")]},
        {"name": "Marks", "type": "Markers", "rate": 0, "format": "string", "stamps": [10.0, 10.0, 10.05],
         "rows": [[mark] for mark in marks], "channels": [("mark", None)]},
        {"name": "Json", "type": "Markers", "rate": 0, "format": "string", "stamps": [10.0, 10.01, 10.02],
         "rows": [['{"state": 2}']] * 3, "channels": [("json", None)]},
        {"name": "Silent", "type": "EEG", "rate": 500, "format": "float32", "stamps": [], "rows": [],
         "channels": [("A", "V")]},
    ]
    recording = folder / "made.xdf"
    write_xdf(recording, streams, datetime="2026-01-31T12:00:00+0100")
    metadata, out = folder / "made.toml", folder / "made.nwb"
    metadata.write_text(SUBJECT + '[stream."Amp/1: a"]\nlocation = "scalp"\ndevice = "Amp"\n')
    assert "'Silent' has no samples" in succeeds("xdf_to_nwb.py", recording, out, "--metadata", metadata)
    judge(out)
    with NWBHDF5IO(str(out), "r") as io:
        file = io.read()
        assert file.session_start_time == datetime(2026, 1, 31, 12, tzinfo=timezone(timedelta(hours=1)))
        series = file.acquisition["Amp_1_ a"]
        assert series.neurodata_type == "ElectricalSeries" and series.conversion == 1e-6 and series.unit == "volts"
        order = np.argsort(swapped)
        assert np.array_equal(series.data[:], eeg[order])
        assert np.array_equal(series.timestamps[:], swapped[order] - 10.0)
        assert list(file.electrodes["label"][:]) == ["Fz", "Cz", "Pz"]
        assert set(file.electrodes["location"][:]) == {"scalp"} and "Amp" in file.devices
        units = dict(zip(file.acquisition["channels"]["label"][:], file.acquisition["channels"]["unit"][:]))
        assert units["x"] == "mm" and units["angle"] == "deg"
        assert list(file.events["Marks"]["annotation"][:]) == marks
        assert np.allclose(file.events["Marks"]["timestamp"][:], [0, 0, 0.05], rtol=0, atol=1e-9)
        assert list(file.acquisition["Json"].data[:]) == ['{"state": 2}'] * 3
    # columns by name, in the unit of the series
    tables = folder / "electrodes"
    succeeds("nwb_to_csv.py", out, tables, "--features", "Amp_1_ a:Pz,Fz")
    header, x = table(tables / "x.csv")
    assert header == ["time", "Pz", "Fz"] and np.allclose(x[:, 1:], 1e-6 * eeg[order][:, [2, 0]], rtol=1e-12)


def a_trial_has_its_own_target_or_the_one_in_force(_folder):
    def event(kind, time, **data):
        return {"kind": kind, "time": time, "data": data}

    found = trials([
        event("task_block", 0.0, block="open_loop", phase="start"),
        event("target", 1.0, position=[0.1, 0.2], radius=0.05),
        event("trial", 2.0, trial=7, phase="start"),
        event("trial", 3.0, trial=7, phase="end", result="timeout"),
        event("trial", 3.0, trial=8, phase="start"),
        event("target", 3.0, position=[0.8, 0.9], radius=0.06),
        event("target", 3.5, position=[0.3, 0.3], radius=0.06),
        event("trial", 4.0, trial=9, phase="start"),
        event("target", 4.0, position=None),
        event("operator", 5.0, action="stop"),
    ])
    assert [(t.number, t.start, t.stop, t.result, t.block, t.target, t.radius) for t in found] == [
        (7, 2.0, 3.0, "timeout", "open_loop", (0.1, 0.2), 0.05),
        (8, 3.0, 4.0, "unfinished", "open_loop", (0.8, 0.9), 0.06),
        (9, 4.0, 5.0, "unfinished", "open_loop", (0.3, 0.3), 0.06),
    ]


def missing_values_of_features_have_their_mean(folder):
    path = folder / "features.nwb"
    file = NWBFile("made for a test", "made", datetime(2026, 1, 31, tzinfo=timezone.utc))
    rates = np.random.default_rng(5).uniform(0, 9, (20000, 2))
    rates[100:200, 0] = np.nan
    rates[5000] = np.nan
    file.add_acquisition(TimeSeries(name="rates", data=rates, unit="Hz", starting_time=3.0, rate=50.0))
    with NWBHDF5IO(str(path), "w") as io:
        io.write(file)
    said = succeeds("nwb_to_csv.py", path, folder / "csv", "--features", "rates")
    assert "100 missing values" in said and "left out: 1 rows" in said, said
    _, x = table(folder / "csv/x.csv")
    kept = np.arange(len(rates)) != 5000
    expected = np.where(np.isnan(rates), np.nanmean(rates, axis=0), rates)[kept]
    assert np.allclose(x[:, 1:], expected, rtol=1e-12, atol=0)
    assert np.allclose(x[:, 0], 3.0 + np.arange(len(rates))[kept] / 50, rtol=0, atol=1e-9)


def what_nobody_said_is_asked_for(folder):
    recording = folder / "bare.xdf"
    stream = {"name": "Amp", "type": "EEG", "rate": 0, "format": "int16", "stamps": [1, 2.1, 3],
              "rows": [[1], [2], [3]], "channels": [("A", None)]}
    write_xdf(recording, [stream])
    out, metadata = folder / "bare.nwb", folder / "bare.toml"
    said = refused("xdf_to_nwb.py", recording, out)
    for word in ("session_start_time", "subject.subject_id", "subject.species", "age or date_of_birth", "--metadata"):
        assert word in said, (word, said)
    cases = {
        START + SUBJECT.replace("species", "specis"): "did you mean `species`",
        START.replace("+01:00", "") + SUBJECT: "with an offset",
        START + SUBJECT + "[stream.Amq]\nunit = 'uV'\n": "did you mean 'Amp'",
        START + SUBJECT + "[stream.Amp]\nelectrodes = true\n": "give one of voltage",
        "[subject\n": "is no TOML",
        START + SUBJECT + "sex = 'female'\n": "F, M, O (other) or U (unknown)",
    }
    for text, expected in cases.items():
        metadata.write_text(text)
        said = refused("xdf_to_nwb.py", recording, out, "--metadata", metadata)
        assert expected in said, (expected, said)
        assert not out.exists()
    metadata.write_text(START + SUBJECT)
    succeeds("xdf_to_nwb.py", recording, out, "--metadata", metadata)
    assert "there already" in refused("xdf_to_nwb.py", recording, out, "--metadata", metadata)
    (folder / "text.xdf").write_text("not one\n")
    assert "cannot be read as XDF" in refused("xdf_to_nwb.py", folder / "text.xdf", folder / "text.nwb")


def made_spikes(path):
    """Three units in two observed stretches, a hand at its own rate, and trials with their own column names."""
    random = np.random.default_rng(11)
    stretches = [[0.0, 4.0], [6.0, 10.0]]
    file = NWBFile("made for a test", "made", datetime(2026, 1, 31, tzinfo=timezone.utc))
    file.subject = Subject(subject_id="M1", species="Macaca mulatta", age="P6Y", sex="U")
    spikes = [np.sort(np.concatenate([random.uniform(*stretch, 80) for stretch in stretches])) for _ in range(3)]
    for times in spikes:
        file.add_unit(spike_times=times, obs_intervals=stretches)
    times = np.arange(0, 10.001, 0.013)
    hand = np.column_stack([np.sin(times), 3.0 * times])
    position = Position(name="Position")
    position.add_spatial_series(SpatialSeries(
        name="hand", data=hand, timestamps=times + 1e-5 * np.sin(31 * times), unit="meters", conversion=0.5,
        reference_frame="the screen"))
    module = file.create_processing_module("behavior", "the hand")
    module.add(position)
    file.add_trial_column("goal", "where the goal is")
    for number in range(4):
        file.add_trial(start_time=2.5 * number, stop_time=2.5 * number + 2.0, goal=[float(number), 0.5])
    with NWBHDF5IO(str(path), "w") as io:
        io.write(file)
    return spikes, times + 1e-5 * np.sin(31 * times), 0.5 * hand


def spikes_are_counted_and_states_brought_to_the_bins(folder):
    path = folder / "spikes.nwb"
    spikes, times, hand = made_spikes(path)
    said = succeeds("nwb_to_csv.py", path, "--list")
    assert "3 units" in said and "behavior/Position/hand: " in said and "4 trials" in said and "goal" in said
    tables = folder / "spikes"
    wanted = ["--bin-ms", "20", "--states", "hand", "--targets", "goal", "--cursor", "hand", "--radius", "0.25"]
    succeeds("nwb_to_csv.py", path, tables, *wanted)
    header, x = table(tables / "x.csv")
    z_header, z = table(tables / "z.csv")
    _, t = table(tables / "t.csv")
    assert header == ["time", "unit0", "unit1", "unit2"] and z_header == ["time", "x", "y"]
    assert len(x) == len(z) == len(t) and np.array_equal(x[:, 0], z[:, 0]) and np.array_equal(x[:, 0], t[:, 0])
    # the two seconds that nobody observed are left out, and leave a gap in time
    assert np.sum(np.diff(x[:, 0]) > 0.021) == 1 and not np.any((x[:, 0] > 4.001) & (x[:, 0] < 6.0))
    assert 395 <= len(x) <= 400, len(x)
    for row in x:
        counts = [sum(1 for spike in unit if row[0] - 0.02 <= spike < row[0]) for unit in spikes]
        assert np.array_equal(row[1:], counts), (row, counts)
    for axis in (0, 1):
        assert np.allclose(z[:, 1 + axis], np.interp(z[:, 0], times, hand[:, axis]), rtol=0, atol=1e-12)
    for row in t:
        start = row[0] - 0.02
        trial = int((start + 1e-9) // 2.5)
        assert row[1] == trial
        within = start + 1e-9 - 2.5 * trial < 2.0
        assert np.array_equal(row[2:4], [trial, 0.5]) if within else np.isnan(row[2:4]).all(), row
    succeeds("nwb_to_csv.py", path, folder / "velocity", "--bin-ms", "20", "--states", "hand:1", "--velocity")
    v_header, v = table(folder / "velocity/z.csv")
    assert v_header == ["time", "vy"] and np.allclose(v[:, 1], 1.5, rtol=0, atol=1e-2)


def what_cannot_be_converted_is_said_with_what_is_near(folder):
    path = folder / "named.nwb"
    made_spikes(path)
    cases = [
        (["--bin-ms", "20", "--states", "hnd"], "did you mean hand"),
        (["--bin-ms", "20", "--states", "hand:z"], "it has x, y"),
        (["--states", "hand"], "--bin-ms is missing"),
        (["--features", "hand", "--bin-ms", "20"], "has a sample each 13"),
        (["--bin-ms", "20", "--states", "hand", "--targets", "gaol", "--cursor", "hand"], "did you mean goal"),
        (["--bin-ms", "20", "--states", "hand", "--targets", "goal"], "--cursor has to name"),
        (["--bin-ms", "20", "--from", "20"], "there is not one bin"),
        (["--bin-ms", "20", "--from", "4.5", "--to", "5.5"], "not one of"),
    ]
    for arguments, expected in cases:
        said = refused("nwb_to_csv.py", path, folder / "refused", *arguments)
        assert expected in said, (expected, said)
        assert not (folder / "refused").exists(), "nothing is written before everything is known"
    (folder / "text.nwb").write_text("not one\n")
    assert "cannot be read" in refused("nwb_to_csv.py", folder / "text.nwb", "--list")
    succeeds("nwb_to_csv.py", path, folder / "twice", "--bin-ms", "20")
    assert "already" in refused("nwb_to_csv.py", path, folder / "twice", "--bin-ms", "20")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("recordings", type=Path, nargs="+", metavar="RECORDING.xdf")
    parser.add_argument("--kalmind", type=Path, metavar="PROGRAM", help="fits the tables too")
    arguments = parser.parse_args()
    recordings = list(arguments.recordings)
    data = os.environ.get("KALMIND_DATA")
    if data:
        recordings += sorted((Path(data) / "xdf").glob("*.xdf"))
    else:
        print("skipped: recordings by others; KALMIND_DATA names no folder", file=sys.stderr)
    kalmind = arguments.kalmind and arguments.kalmind.resolve()
    tests = [(f"{path.name}: the session by NWB is the session", tables_are_those_of_the_session, path, kalmind)
             for path in recordings]
    made = (
        voltages_are_of_electrodes_and_texts_stay_as_they_are,
        a_trial_has_its_own_target_or_the_one_in_force,
        missing_values_of_features_have_their_mean,
        what_nobody_said_is_asked_for,
        spikes_are_counted_and_states_brought_to_the_bins,
        what_cannot_be_converted_is_said_with_what_is_near,
    )
    for test in made:
        tests.append((test.__name__.replace("_", " "), test))
    failed = 0
    for name, test, *rest in tests:
        with tempfile.TemporaryDirectory() as folder:
            try:
                test(*([rest[0], Path(folder), *rest[1:]] if rest else [Path(folder)]))
                print(f"ok      {name}")
            except Exception:
                failed += 1
                print(f"FAILED  {name}")
                traceback.print_exc()
    print(f"{len(tests) - failed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
