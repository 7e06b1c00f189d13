"""A recording as NWB (Neurodata Without Borders): every stream, the trials, the session and the participant.

    python scripts/xdf_to_nwb.py RECORDING.xdf OUT.nwb [--description TEXT] [--experimenter "Last, First"]
        [--institution TEXT] [--subject-id ID] [--species NAME] [--sex M|F|O|U] [--age ISO8601] [--start ISO8601]

Streams of a Kalmind session are known by their role (docs/recording.md); of other XDF files every stream becomes a time
series. Clocks are synchronised as pyxdf does it; times are seconds from the start of the session. What NWB wants to know
of the participant comes from the configuration's [subject], or from the options, which win. docs/nwb.md has more.
"""
import argparse
import datetime
import json
import pathlib
import sys
import uuid

import numpy as np
import pyxdf
from pynwb import NWBHDF5IO, NWBFile, TimeSeries
from pynwb.behavior import Position, SpatialSeries
from pynwb.file import Subject

COMPRESSED = 10_000  # values from which on a data set is compressed


def fail(text):
    sys.exit(f"xdf_to_nwb: {text}")


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("recording", type=pathlib.Path)
    parser.add_argument("out", type=pathlib.Path)
    parser.add_argument("--description", default=None, help="what the session was for")
    parser.add_argument("--experimenter", default=None, help='"Last, First"')
    parser.add_argument("--institution", default=None)
    parser.add_argument("--subject-id", default=None)
    parser.add_argument("--species", default=None, help="in Latin (Homo sapiens)")
    parser.add_argument("--sex", choices=["M", "F", "O", "U"], default=None)
    parser.add_argument("--age", default=None, help="as an ISO 8601 duration (P34Y)")
    parser.add_argument("--start", default=None, help="when the session began, for files that do not say")
    return parser.parse_args()


def text_of(node, *names):
    """The first text at a path of a header as pyxdf gives it."""
    for name in names:
        if not isinstance(node, dict) or not node.get(name) or node[name][0] is None:
            return None
        node = node[name][0]
    return node


class Stream:
    """One stream: its header's fields, its stamps and its values."""

    def __init__(self, raw):
        info = raw["info"]
        self.name = text_of(info, "name") or f"stream {info['stream_id']}"
        self.kind = text_of(info, "type") or ""
        self.text = text_of(info, "channel_format") == "string"
        desc = info["desc"][0] if info.get("desc") else None
        self.role = text_of(desc or {}, "kalmind", "role")
        self.key = text_of(desc or {}, "kalmind", "key")
        channels = (text_of(desc or {}, "channels") or {}) if desc else {}
        entries = channels.get("channel", []) if isinstance(channels, dict) else []
        self.labels = [text_of(entry, "label") or str(index) for index, entry in enumerate(entries) if entry]
        units = {text_of(entry, "unit") for entry in entries if entry}
        self.unit = units.pop() if len(units) == 1 and None not in units else None
        self.times = np.asarray(raw["time_stamps"], float)
        self.values = raw["time_series"] if self.text else np.asarray(raw["time_series"])
        self.rate = float(text_of(info, "nominal_srate") or 0)

    def texts(self):
        return [row[0] for row in self.values]


def clean(name):
    """A name as NWB objects may have it."""
    return name.replace("/", "-").replace(":", "-") or "stream"


def ordered(times, values):
    """Rows in the order of their times: NWB wants times that never fall, and clocks that were reset make some that do."""
    if len(times) > 1 and np.any(np.diff(times) < 0):
        order = np.argsort(times, kind="stable")
        return times[order], values[order]
    return times, values


def data(values):
    from hdmf.backends.hdf5.h5_utils import H5DataIO

    return H5DataIO(values, compression="gzip") if np.size(values) >= COMPRESSED else values


def series(stream, start, kind=TimeSeries, values=None, name=None, **more):
    times, values = ordered(stream.times - start, stream.values if values is None else values)
    labels = ", ".join(stream.labels) if stream.labels else "no labels"
    more.setdefault("unit", stream.unit or "n/a")
    more.setdefault("description", f"Stream of type {stream.kind or 'unknown'} as it was received. Channels: {labels}.")
    steps = np.unique(np.round(np.diff(times), 9))
    if len(times) > 2 and len(steps) == 1 and steps[0] > 0:
        # to the nanosecond regular: then that is how it is said
        when = {"starting_time": float(times[0]), "rate": (len(times) - 1) / float(times[-1] - times[0])}
    else:
        when = {"timestamps": data(times)}
    return kind(name=clean(name or stream.name), data=data(values), **when, **more)


def add_events(nwb, name, description, rows):
    """A table of what happened: time, text."""
    table = nwb.create_events_table(name=clean(name), description=description)
    table.add_column("annotation", "what it was")
    for time, text in sorted(rows, key=lambda row: row[0]):
        table.add_row(timestamp=float(time), annotation=text)


def only(streams, role):
    return next((stream for stream in streams if stream.role == role and len(stream.times)), None)


def trials_of(events):
    """Trials from events: number, start, stop, target, radius, result, block."""
    block, target, running, trials = None, None, None, []
    for event in sorted(events, key=lambda event: (event["time"], event["event_seq"])):
        what, kind = event["data"], event["kind"]
        if kind == "task_block":
            block = what["block"] if what["phase"] == "start" else None
        elif kind == "target":
            target = what if what.get("position") else None
            if running and target and running["target"] is None:
                running["target"] = target
        elif kind == "trial" and what["phase"] == "start":
            running = {"trial": what["trial"], "start": event["time"], "target": target, "block": block}
        elif kind == "trial" and running:
            trials.append({**running, "stop": event["time"], "result": what.get("result")})
            running = None
    return trials


def main():
    given = arguments()
    try:
        raw, header = pyxdf.load_xdf(str(given.recording), dejitter_timestamps=False)
    except Exception as error:  # whatever the reader says is what is wrong with the file
        fail(f"{given.recording} cannot be read: {error} (`kalmind recording repair` mends a torn one)")
    streams = [Stream(stream) for stream in raw]
    if not any(len(stream.times) for stream in streams):
        fail(f"{given.recording} holds no sample")
    record = only(streams, "record")
    documents = [json.loads(text) for text in record.texts()] if record else []
    session = next((document for document in documents if document["kind"] == "session"), None)

    if given.start:
        begin = datetime.datetime.fromisoformat(given.start)
    elif session:
        begin = datetime.datetime.fromtimestamp(session["clock"]["unix"], datetime.timezone.utc)
    elif text_of(header["info"], "datetime"):
        begin = datetime.datetime.strptime(text_of(header["info"], "datetime"), "%Y-%m-%dT%H:%M:%S%z")
    else:
        fail("the file does not say when it was made: give --start 2026-01-31T12:00:00+00:00")
    if begin.tzinfo is None:
        fail("--start needs a time zone, as in 2026-01-31T12:00:00+00:00")
    first = min(stream.times.min() for stream in streams if len(stream.times))
    start = min(session["clock"]["lsl"], first) if session else first

    stated = (session or {}).get("subject") or {}
    subject_id = given.subject_id or stated.get("code") or (session or {}).get("participant") or "unknown"
    default = "A session of Kalmind, a real-time neural decoder." if session else "Streams recorded over Lab Streaming Layer."
    nwb = NWBFile(
        session_description=given.description or default,
        identifier=session["session"] if session else str(uuid.uuid4()),
        session_start_time=begin,
        session_id=session["session"] if session else given.recording.stem,
        experimenter=[given.experimenter] if given.experimenter else ["Unknown, Unknown"],
        institution=given.institution or "not stated",
        experiment_description=given.description or default,
        keywords=["brain-computer interface", "Lab Streaming Layer"],
        source_script=pathlib.Path(__file__).name,
        source_script_file_name=pathlib.Path(__file__).name,
    )
    nwb.subject = Subject(
        subject_id=subject_id,
        species=given.species or stated.get("species") or "Homo sapiens",
        sex=given.sex or stated.get("sex") or "U",
        age=given.age or stated.get("age") or "P18Y/",
        description="As stated in the recording." if stated else "Not stated in the recording.",
    )

    for stream in streams:
        if not len(stream.times) or stream.role not in (None, "input", "extra"):
            continue
        if stream.text:
            rows = [" | ".join(text for text in row if text) for row in stream.values]
            add_events(nwb, stream.name, f"Texts of {stream.name}.", zip(stream.times - start, rows))
        else:
            nwb.add_acquisition(series(stream, start))

    features = only(streams, "features")
    if features:
        module = nwb.create_processing_module(
            "ecephys", "What the decoder was given: one vector a bin, before masking and z-score; NaN without a sample.")
        module.add(series(features, start, description=f"Raw features. Channels: {', '.join(features.labels)}."))
    cursor = only(streams, "cursor")
    if cursor:
        columns = {label: index for index, label in enumerate(cursor.labels)}
        take = lambda names: cursor.values[:, [columns[name] for name in names]]
        intents = [label for label in cursor.labels if label.startswith("intent_") and label != "intent_valid"]
        covariances = [label for label in cursor.labels if label.startswith("covariance_")]
        module = nwb.create_processing_module("behavior", "The cursor as it was published, and what was decoded.")
        module.add(Position(spatial_series=series(
            cursor, start, SpatialSeries, take(["x", "y"]), "cursor_position", unit="n.a.",
            reference_frame="(0, 0) is the lower left of the workspace, 1 its width; y is up",
            description="Position of the cursor, in workspace widths.")))
        for name, labels, unit, about in [
            ("cursor_velocity", ["vx", "vy"], "1/s", "What moved the cursor, in workspace widths per second."),
            ("intent", intents, "n/a", f"Mean of the decoded intent: {', '.join(intents)}."),
            ("intent_covariance", covariances, "n/a", f"Its covariance, lower triangle: {', '.join(covariances)}."),
            ("output_state", ["state"], "n/a", "0 idle, 1 calibrating, 2 control, 3 hold, 4 stale, 5 fault."),
            ("incomplete", ["incomplete"], "n/a", "1 where the bin was short of samples."),
        ]:
            values = take(labels)
            values = values[:, 0] if len(labels) == 1 else values
            module.add(series(cursor, start, TimeSeries, values, name, unit=unit, description=about))
    events = only(streams, "events")
    if events:
        parsed = [json.loads(text) for text in events.texts()]
        said = [
            event["kind"] + ": " + ", ".join(f"{key} {value}" for key, value in event["data"].items()) for event in parsed
        ]
        about = "Events of the session: targets, trials, task blocks, operator, models, faults."
        add_events(nwb, "session_events", about, zip(events.times - start, said))
        trials = trials_of(parsed)
        if trials:
            for name, about in [("trial", "number of the trial"), ("block", "task block"), ("result", "how it ended"),
                                ("target_x", "target, workspace widths"), ("target_y", "target, workspace widths"),
                                ("target_radius", "radius of the target, workspace widths")]:
                nwb.add_trial_column(name, about)
        for trial in trials:
            target = trial["target"] or {"position": [np.nan, np.nan], "radius": np.nan}
            nwb.add_trial(
                start_time=trial["start"] - start, stop_time=trial["stop"] - start, trial=int(trial["trial"]),
                block=trial["block"] or "none", result=trial["result"] or "broken off",
                target_x=float(target["position"][0]), target_y=float(target["position"][1]),
                target_radius=float(target["radius"]))
    if session:
        nwb.notes = json.dumps({key: session[key] for key in (
            "version", "instance", "bin_ms", "components", "kernel_path", "configuration")})
    with NWBHDF5IO(str(given.out), "w") as file:
        file.write(nwb)
    print(f"{given.out}: {len(nwb.acquisition)} series in acquisition, {len(nwb.trials) if nwb.trials is not None else 0} trials")


if __name__ == "__main__":
    main()
