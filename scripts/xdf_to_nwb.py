#!/usr/bin/env python3
"""A recording as NWB (docs/nwb.md): one of Kalmind, or any other XDF file.

    python scripts/xdf_to_nwb.py session.xdf session.nwb --metadata session.toml
"""
import argparse
import os
import sys
from difflib import get_close_matches
from pathlib import Path

import numpy as np
from hdmf.common import DynamicTable, VectorData
from pynwb import NWBHDF5IO, H5DataIO, NWBFile, TimeSeries
from pynwb.behavior import BehavioralTimeSeries, Position, SpatialSeries
from pynwb.ecephys import ElectricalSeries
from pynwb.file import Subject

from nwb_events import kinds, texts
from nwb_metadata import complete, read_metadata
from recorded_session import Refused, event_documents, read_recording, trials

# Types of streams whose channels are electrodes, where their unit is one of voltage.
ELECTRODE_TYPES = ("eeg", "ecog", "ieeg", "seeg", "lfp", "emg", "eog", "ecg", "broadband")
# Volts in each unit of voltage, in lower case.
VOLTS = {
    "v": 1.0, "volt": 1.0, "volts": 1.0,
    "mv": 1e-3, "millivolt": 1e-3, "millivolts": 1e-3,
    "uv": 1e-6, "µv": 1e-6, "μv": 1e-6, "microvolt": 1e-6, "microvolts": 1e-6,
    "nv": 1e-9, "nanovolt": 1e-9, "nanovolts": 1e-9,
}
# What NWB's tools take for a unit that nobody stated.
NO_UNIT = "n.a."
# Channels of the cursor stream that stand together, by how their labels begin; the others are a series each.
CURSOR_GROUPS = {
    "cursor_velocity": ("vx", "vy"),
    "intent": ("intent_",),
    "intent_covariance": ("covariance_",),
}


class Conversion:
    """An NWB file that comes to be."""

    def __init__(self, recording, metadata):
        self.recording = recording
        self.metadata = metadata
        start, texts, subject = complete(metadata, recording)
        self.file = NWBFile(session_start_time=start, **texts)
        self.file.subject = Subject(**subject)
        self.names = set()
        self.labels = {"series": [], "label": [], "unit": []}
        self.used = set()

    def own_name(self, wanted):
        """A name that no series has yet, without the characters that NWB reserves."""
        plain = "".join("_" if letter in "/:" else letter for letter in wanted).strip() or "stream"
        name, number = plain, 2
        while name in self.names:
            name, number = f"{plain}_{number}", number + 1
        self.names.add(name)
        return name

    def when(self, stamps):
        """Seconds from the start: a rate where samples are evenly spaced to the nanosecond, as NWB asks."""
        seconds = stamps - self.recording.zero
        if len(seconds) > 2:
            steps = np.unique(np.round(np.diff(seconds), 9))
            if len(steps) == 1 and steps[0] > 0:
                return {
                    "starting_time": float(seconds[0]),
                    "rate": float((len(seconds) - 1) / (seconds[-1] - seconds[0])),
                }
        return {"timestamps": H5DataIO(seconds, compression="gzip")}

    def describe_channels(self, series, labels, units):
        for label, unit in zip(labels, units):
            self.labels["series"].append(series)
            self.labels["label"].append(label)
            self.labels["unit"].append(unit or NO_UNIT)

    def numbers(self, name, labels, units, stamps, values, description, kind=TimeSeries, when=None, **more):
        """A series of numbers with a row for each sample, and its channels' names and units."""
        self.describe_channels(name, labels, units)
        different = sorted({unit or NO_UNIT for unit in units})
        unit = different[0] if len(different) == 1 else NO_UNIT
        if len(different) > 1:
            description += " Units differ: the table `channels` has them."
        values = np.asarray(values)
        if values.ndim == 2 and values.shape[1] == 1:
            values = values[:, 0]
        more = {"unit": unit, **more}
        if kind is ElectricalSeries:
            del more["unit"]
        return kind(
            name=name,
            data=H5DataIO(values, compression="gzip"),
            description=description,
            **(when or self.when(stamps)),
            **more,
        )

    def add_signal(self, stream):
        """A stream as somebody sent it."""
        given = self.stream_metadata(stream)
        name = self.own_name(stream.key or stream.name)
        description = f"Stream {stream.name!r} as received ({stream.source})."
        if not stream.was_sorted:
            description += " Its samples were not in the order of their stamps, and are here."
        if stream.is_text:
            for place, label in enumerate(stream.labels):
                own = name if stream.channels == 1 else self.own_name(f"{name} {label}")
                values = [row[place] for row in stream.values]
                times, when = stream.stamps - self.recording.zero, self.when(stream.stamps)
                self.add_texts(texts(own, description, times, values, when))
            return
        units = [given.get("unit") or unit for unit in stream.units]
        scales = [VOLTS.get((unit or "").strip().lower()) for unit in units]
        wanted = given.get("electrodes", stream.content_type.lower() in ELECTRODE_TYPES)
        if wanted and None in scales:
            if given.get("electrodes"):
                raise Refused(
                    f"stream {stream.name!r} is to be of electrodes, but channel "
                    f"{stream.labels[scales.index(None)]!r} has the unit {units[scales.index(None)]!r}: "
                    f'give one of voltage under [stream."{stream.key or stream.name}"], as in unit = "microvolts"'
                )
            wanted = False
        if wanted:
            series = self.electrical(name, stream, scales, given, description)
        else:
            series = self.numbers(name, stream.labels, units, stream.stamps, stream.values, description)
        self.file.add_acquisition(series)

    def add_texts(self, made):
        if isinstance(made, TimeSeries):
            self.file.add_acquisition(made)
        else:
            self.file.add_events_table(made)

    def stream_metadata(self, stream):
        for name in (stream.key, stream.name):
            if name in self.metadata["stream"]:
                self.used.add(name)
                return self.metadata["stream"][name]
        return {}

    def electrical(self, name, stream, scales, given, description):
        """A stream of voltages: a device, a group, an electrode for each channel."""
        device = given.get("device") or stream.manufacturer or f"{name} amplifier"
        known = self.file.devices.get(device)
        device = known or self.file.create_device(name=device, description=f"What sent the stream {stream.name!r}.")
        location = given.get("location", "unknown")
        group = self.file.create_electrode_group(
            name=f"{name} electrodes",
            description=f"Electrodes of the stream {stream.name!r}.",
            location=location,
            device=device,
        )
        if self.file.electrodes is None:
            self.file.add_electrode_column("label", "what the stream calls the channel")
        first = 0 if self.file.electrodes is None else len(self.file.electrodes)
        for label in stream.labels:
            more = {"filtering": given["filtering"]} if "filtering" in given else {}
            self.file.add_electrode(location=location, group=group, label=label, **more)
        region = self.file.create_electrode_table_region(
            list(range(first, first + stream.channels)), f"the channels of {name}"
        )
        same = len(set(scales)) == 1
        scaling = {"conversion": scales[0]} if same else {"channel_conversion": scales}
        units = ["volts"] * stream.channels
        return self.numbers(
            name, stream.labels, units, stream.stamps, stream.values, description,
            kind=ElectricalSeries, electrodes=region, **scaling,
        )

    def add_features(self, stream):
        session = self.recording.session
        bins = f" of bins of {session['bin_ms']:g} ms" if "bin_ms" in session else ""
        module = self.file.create_processing_module("ecephys", "What the decoder was given.")
        description = f"Raw features{bins}, stamped with the end of their bin; NaN where a channel had no valid sample."
        name = self.own_name("features")
        module.add(self.numbers(name, stream.labels, stream.units, stream.stamps, stream.values, description))

    def add_cursor(self, stream):
        """What was published at each tick, stamped with the end of its bin."""
        module = self.file.create_processing_module("behavior", "The cursor and what moved it.")
        values, when = np.asarray(stream.values), self.when(stream.stamps)

        def part(name, places, description, **more):
            name = self.own_name(name)
            labels = [stream.labels[place] for place in places]
            units = [stream.units[place] for place in places]
            # stamps stand once in the file
            series = self.numbers(name, labels, units, None, values[:, places], description, when=when, **more)
            if "timestamps" in when:
                when["timestamps"] = series if not isinstance(when["timestamps"], TimeSeries) else when["timestamps"]
            return series

        left = {label: place for place, label in enumerate(stream.labels)}
        unit = next((unit for unit in stream.units if unit), NO_UNIT)
        where = [left.pop(label) for label in ("x", "y") if label in left]
        if where:
            position = Position(name="Position")
            position.add_spatial_series(
                part(
                    "cursor_position", where, f"The cursor at the end of each bin, in {unit}.", kind=SpatialSeries,
                    reference_frame="The origin is a corner of the workspace; y is up.", unit=NO_UNIT,
                )
            )
            module.add(position)
        series = BehavioralTimeSeries(name="BehavioralTimeSeries")
        described = {
            "cursor_velocity": "What moved the cursor.",
            "intent": "Mean of the decoded intent.",
            "intent_covariance": "Covariance of the decoded intent, the lower triangle row by row.",
        }
        for name, beginnings in CURSOR_GROUPS.items():
            labels = [label for label in left if label.startswith(beginnings) and label != "intent_valid"]
            places = [left.pop(label) for label in labels]
            if places:
                series.add_timeseries(part(name, places, described[name]))
        for label, place in left.items():
            if label == "run":
                continue
            if label == "newest":
                values[:, place] -= self.recording.zero
            told = f"Channel {label!r} of the cursor stream (docs/configuration.md of Kalmind)."
            series.add_timeseries(part(f"cursor_{label}", [place], told))
        if series.time_series:
            module.add(series)

    def add_events(self, stream):
        events = event_documents(stream)
        for made in kinds(events, self.recording.zero):
            self.file.add_events_table(made)
        found = trials(events)
        if not found:
            return
        columns = [
            ("trial", "number that the task gave the trial"),
            ("block", "block of the task that it belongs to"),
            ("result", "acquired, timeout, none (the task gave none) or unfinished (no end was told)"),
        ]
        shown = any(trial.target for trial in found)
        if shown:
            columns += [
                ("target_x", "centre of the target, in workspace widths; NaN where none was shown"),
                ("target_y", "centre of the target, in workspace widths; NaN where none was shown"),
                ("target_radius", "radius of the target, in workspace widths"),
            ]
        for name, told in columns:
            self.file.add_trial_column(name, told)
        for trial in found:
            row = {"trial": trial.number, "block": trial.block, "result": trial.result}
            if shown:
                x, y = trial.target or (np.nan, np.nan)
                row |= {"target_x": float(x), "target_y": float(y)}
                row["target_radius"] = float("nan" if trial.radius is None else trial.radius)
            zero = self.recording.zero
            self.file.add_trial(start_time=trial.start - zero, stop_time=trial.stop - zero, **row)

    def add_notes(self):
        """What a reader of the file has to know about the session, in words."""
        session = self.recording.session
        given = self.metadata.get("notes")
        remarks = self.recording.remarks()
        if not session:
            if given or remarks:
                self.file.notes = "\n".join([given, *remarks] if given else remarks)
            return
        self.file.create_device(
            name="Kalmind",
            description=f"Real-time decoder, version {session['version']}, vector kernel {session.get('kernel_path')}.",
        )
        configuration = session.get("configuration") or {}
        lines = [
            f"Session {session.get('session')}, run {session.get('run')}, instance {session['instance']}, "
            f"bins of {session.get('bin_ms')} ms, configuration with SHA-256 {configuration.get('sha256')}."
        ]
        for document in self.recording.documents:
            if document.get("kind") == "model" and document.get("part") == 0:
                lines.append(f"Decoder {document.get('name')}, model file with SHA-256 {document.get('id')}.")
            elif document.get("kind") == "hole":
                lines.append(
                    f"Stream {document.get('stream')}: sample {document.get('row')} in this file has index "
                    f"{document.get('index')} in the session; those before it are missing."
                )
            elif document.get("kind") == "continued":
                lines.append(f"This file continues {document.get('file')}: {document.get('because')}.")
            elif document.get("kind") == "continues_in":
                lines.append(f"The recording continues in {document.get('file')}: {document.get('because')}.")
            elif document.get("kind") == "loss":
                lines.append(
                    f"Not recorded: {document.get('count')} {document.get('what')} of "
                    f"{document.get('stream') or 'the session'}, because {document.get('because')}."
                )
        if not any(document.get("kind") == "end" for document in self.recording.documents):
            lines.append("The recording has no end: its program was killed.")
        lines += remarks
        self.file.notes = "\n".join([given, *lines] if given else lines)

    def build(self):
        for stream in self.recording.signals():
            self.add_signal(stream)
        for role, add in (("features", self.add_features), ("cursor", self.add_cursor), ("events", self.add_events)):
            stream = self.recording.own(role)
            if stream:
                add(stream)
        unknown = [name for name in self.metadata["stream"] if name not in self.used]
        if unknown:
            names = [stream.key or stream.name for stream in self.recording.signals()]
            near = get_close_matches(unknown[0], names, 1)
            raise Refused(
                f"the metadata describe a stream {unknown[0]!r}, which the recording does not have; "
                + (f"did you mean {near[0]!r}?" if near else f"it has {', '.join(map(repr, names))}")
            )
        if len(self.labels["label"]) > 1:
            told = {
                "series": "name of the series", "label": "name of the channel, in the order of the series' columns",
                "unit": "unit of the channel; n.a. where its sender did not state it",
            }
            columns = [VectorData(name=name, description=told[name], data=data) for name, data in self.labels.items()]
            table = DynamicTable(name="channels", description="Channels of all series of numbers.", columns=columns)
            self.file.add_acquisition(table)
        self.add_notes()
        return self.file


def write(file, target):
    """Writes the whole file or none."""
    unfinished = target.with_name(f".{target.name}.unfinished.nwb")
    try:
        with NWBHDF5IO(str(unfinished), "w") as io:
            io.write(file)
        os.replace(unfinished, target)
    except OSError as error:
        raise Refused(f"{target} cannot be written: {error.strerror or error}") from error
    finally:
        unfinished.unlink(missing_ok=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("recording", type=Path, metavar="RECORDING.xdf")
    parser.add_argument("out", type=Path, metavar="OUT.nwb")
    parser.add_argument("--metadata", type=Path, metavar="FILE.toml", help="what the recording does not say")
    parser.add_argument(
        "--stamps", choices=("synchronized", "dejittered", "raw"), default="synchronized",
        help="on the clock of the machine that recorded; without jitter as well; as sent [default: synchronized]",
    )
    arguments = parser.parse_args()
    try:
        if arguments.out.suffix != ".nwb":
            raise Refused(f"{arguments.out}: the name of an NWB file ends with .nwb")
        if arguments.out.exists():
            raise Refused(f"{arguments.out} is there already; choose another name or remove it")
        metadata = read_metadata(arguments.metadata)
        recording = read_recording(arguments.recording, arguments.stamps)
        for name in recording.skipped:
            print(f"left out: stream {name!r} has no samples", file=sys.stderr)
        for remark in recording.remarks():
            print(f"note: {remark}", file=sys.stderr)
        write(Conversion(recording, metadata).build(), arguments.out)
    except Refused as refused:
        print(f"xdf_to_nwb: {refused}", file=sys.stderr)
        return 1
    print(f"{recording.counted()} in {arguments.out}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
