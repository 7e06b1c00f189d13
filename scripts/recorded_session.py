"""What an XDF file says, in the words of docs/recording.md: streams by role, the session, when it began, its trials."""
import hashlib
import json
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone

import numpy as np
import pyxdf

# Stamps further apart than this are not of one clock, in seconds.
DAY = 86_400.0
# Jumps of a stream's stamps that are told one by one.
JUMPS_TOLD = 3
# Streams that Kalmind adds for itself; everything else is somebody's signal.
OWN_ROLES = ("ticks", "features", "cursor", "events", "record")


class Refused(Exception):
    """Something a person has to correct; the text says what and how."""


@dataclass
class Stream:
    """One stream, its samples in the order of their stamps."""

    name: str
    content_type: str
    role: str | None
    key: str | None
    format: str
    labels: list
    units: list
    source: str
    manufacturer: str | None
    stamps: np.ndarray
    # rows * channels for numbers, a list of rows of texts otherwise
    values: object
    was_sorted: bool
    # what is odd about its stamps, a sentence each
    remarks: list = field(default_factory=list)

    @property
    def is_text(self):
        return self.format == "string"

    @property
    def channels(self):
        return len(self.labels)


@dataclass
class Trial:
    """One trial, on the LSL clock."""

    number: int
    start: float
    stop: float
    result: str
    block: str
    target: tuple | None
    radius: float | None


@dataclass
class Recording:
    """A whole file."""

    path: str
    sha256: str
    streams: list
    # what the session document says; empty where Kalmind did not record
    session: dict
    documents: list
    # LSL time that is second 0, and when that was; None where the file does not say
    zero: float
    began: datetime | None
    skipped: list = field(default_factory=list)

    def remarks(self):
        """What is odd about the stamps of the streams, a sentence each."""
        told = [f"stream {stream.name!r}: {remark}" for stream in self.streams for remark in stream.remarks]
        groups = clocks(self.streams)
        if len(groups) > 1:
            begins = "; ".join(
                f"{', '.join(repr(stream.name) for stream in streams)} from {first:.3f} s on ({clock_name(first)})"
                for first, streams in groups
            )
            told.insert(
                0, f"the streams are stamped by different clocks, so their times cannot be compared: {begins}"
            )
        return told

    def own(self, role):
        """Kalmind's stream of a role, if it has samples."""
        return next((stream for stream in self.streams if stream.role == role), None)

    def counted(self):
        """How many streams of others there are, in words."""
        count = len(self.signals())
        return "1 stream of signals" if count == 1 else f"{count} streams of signals"

    def signals(self):
        """Streams of others."""
        return [stream for stream in self.streams if stream.role not in OWN_ROLES]


def read_recording(path, stamps="synchronized"):
    """Reads an XDF file, the whole of it into memory, with stamps on the clock of the machine that recorded.

    `stamps`: "synchronized", "dejittered" (and without jitter) or "raw" (as they were sent).
    """
    options = {"synchronize_clocks": stamps != "raw", "dejitter_timestamps": stamps == "dejittered"}
    try:
        digest = hashlib.sha256()
        with open(path, "rb") as file:
            while block := file.read(1 << 20):
                digest.update(block)
        found, header = pyxdf.load_xdf(path, **options)
    except OSError as error:
        # one with a number is the system's, one without is pyxdf's
        if error.errno is not None:
            raise Refused(f"{path} cannot be read: {error.strerror}") from error
        raise Refused(f"{path} cannot be read as XDF ({error})") from error
    except Exception as error:  # pyxdf raises whatever its parsing stumbles over
        raise Refused(
            f"{path} cannot be read as XDF ({type(error).__name__}: {error}); `kalmind recording check` says where"
        ) from error
    streams, skipped = [], []
    for stream in sorted((_stream(raw) for raw in found), key=lambda stream: stream.role in OWN_ROLES):
        if len(stream.stamps):
            streams.append(stream)
        else:
            skipped.append(stream.name)
    if not streams:
        raise Refused(f"{path} has no samples in any of its {len(found)} streams; there is nothing to convert")
    documents = _documents(streams)
    session = next((document for document in documents if document.get("kind") == "session"), {})
    first = min(float(stream.stamps[0]) for stream in streams)
    zero, began = _beginning(first, session.get("clock"), header)
    return Recording(str(path), digest.hexdigest(), streams, session, documents, zero, began, skipped)


def trials(events):
    """Trials of an event stream, by the order in which events were written.

    A trial's target is the first one shown in it, or else the one in force when it began. A trial without an end is
    `unfinished` and lasts until the next one or the newest event.
    """
    found, running, block, shown = [], None, "none", (None, None)
    newest = 0.0

    def close(time, result):
        nonlocal running
        if running:
            trial, own = running
            trial.stop, trial.result = max(time, trial.start), result
            if own is None:
                trial.target, trial.radius = trial_target
            found.append(trial)
        running = None

    trial_target = (None, None)
    for event in events:
        data, time = event.get("data") or {}, float(event["time"])
        newest = max(newest, time)
        if event["kind"] == "task_block":
            block = str(data.get("block")) if data.get("phase") == "start" else "none"
        elif event["kind"] == "target":
            position = data.get("position")
            shown = (tuple(position), data.get("radius")) if position else (None, None)
            if running and running[1] is None and position:
                running[0].target, running[0].radius = shown
                running = (running[0], True)
        elif event["kind"] == "trial" and data.get("phase") == "start":
            close(time, "unfinished")
            trial_target = shown
            running = (Trial(int(data["trial"]), time, time, "unfinished", block, None, None), None)
        elif event["kind"] == "trial":
            close(time, str(data.get("result") or "none"))
    close(newest, "unfinished")
    return sorted(found, key=lambda trial: trial.start)


def event_documents(stream):
    """Events as they were written, oldest first."""
    rows = []
    for text in (row[0] for row in stream.values):
        try:
            event = json.loads(text)
            float(event["time"]), event["kind"]
        except (ValueError, KeyError, TypeError) as error:
            raise Refused(f"the event stream {stream.name} has an event that is none: {text[:80]!r}") from error
        rows.append(event)
    # stamps say when things were, numbers in which order they were told
    return sorted(rows, key=lambda event: event.get("event_seq", 0))


def _stream(raw):
    info = raw["info"]
    desc = _first(info, "desc") or {}
    kalmind = _first(desc, "kalmind") or {}
    acquisition = _first(desc, "acquisition") or {}
    count = int(_first(info, "channel_count"))
    described = [channel or {} for channel in (_first(desc, "channels") or {}).get("channel") or []]
    if len(described) != count:
        described = [{}] * count
    name = _first(info, "name") or f"stream {info.get('stream_id')}"
    stamps = np.asarray(raw["time_stamps"], "f8")
    values = raw["time_series"]
    remarks = []
    timed = np.isfinite(stamps)
    if not timed.all():
        remarks.append(f"samples whose stamp is no number were left out: {np.count_nonzero(~timed)}")
        rows = np.flatnonzero(timed)
        stamps = stamps[rows]
        values = [values[row] for row in rows] if isinstance(values, list) else values[rows]
    remarks += jumps(stamps, _rate(info))
    order = np.argsort(stamps, kind="stable")
    was_sorted = bool(np.all(order == np.arange(len(order))))
    if not was_sorted:
        stamps = stamps[order]
        values = [values[row] for row in order] if isinstance(values, list) else values[order]
    source = ", ".join(
        f"{word} {text}"
        for word, text in [
            ("type", _first(info, "type")),
            ("format", _first(info, "channel_format")),
            ("nominal rate", f"{_rate(info):g} Hz"),
            ("source", _first(info, "source_id")),
        ]
        if text
    )
    return Stream(
        name=name,
        content_type=_first(info, "type") or "",
        role=_first(kalmind, "role"),
        key=_first(kalmind, "key"),
        format=_first(info, "channel_format"),
        labels=[_first(channel, "label") or f"channel{place}" for place, channel in enumerate(described)],
        units=[_first(channel, "unit") for channel in described],
        source=source,
        manufacturer=_first(acquisition, "manufacturer") or _first(desc, "manufacturer"),
        stamps=stamps,
        values=values,
        was_sorted=was_sorted,
        remarks=remarks,
    )


def _rate(info):
    """The nominal rate; 0 where it is none that a stream can have."""
    try:
        rate = float(_first(info, "nominal_srate") or 0)
    except ValueError:
        return 0.0
    return rate if np.isfinite(rate) and rate > 0 else 0.0


def jumps(stamps, rate):
    """What to say of stamps that jump, as `kalmind recording check` does."""
    if len(stamps) < 2:
        return []
    steps = np.diff(stamps)
    period = 1 / rate if rate else 0.0
    pause = max(1.0, 2 * period) if rate else DAY
    places = np.flatnonzero((steps > pause) | (steps < -max(0.1, 2 * period)))
    if not len(places):
        return []
    told = "; ".join(
        f"{steps[place]:+.3f} s at sample {place + 1} (from {stamps[place]:.3f} s to {stamps[place + 1]:.3f} s)"
        for place in places[:JUMPS_TOLD]
    )
    more = f"; and {len(places) - JUMPS_TOLD} more" if len(places) > JUMPS_TOLD else ""
    return [f"its stamps jump {'once' if len(places) == 1 else f'{len(places)} times'}: {told}{more}"]


def clocks(streams):
    """Streams by clock: where each clock's stamps begin, and the streams. Stamps that are days apart are of two clocks."""
    groups, last = [], None
    for stream in sorted(streams, key=lambda stream: stream.stamps[0]):
        if last is None or stream.stamps[0] - last > DAY:
            groups.append((float(stream.stamps[0]), []))
        groups[-1][1].append(stream)
        last = float(stream.stamps[-1]) if last is None else max(last, float(stream.stamps[-1]))
    return groups


def clock_name(stamp):
    """What clock a stamp may be of."""
    for unit, name in ((1, ""), (1e-3, " in milliseconds"), (1e-6, " in microseconds"), (1e-9, " in nanoseconds")):
        if 1e9 <= stamp * unit < 4.1e9:
            return f"Unix time{name}, {datetime.fromtimestamp(stamp * unit, timezone.utc).date()}"
    return "LSL time, which counts from a machine's start" if 0 <= stamp < 1e9 else "a clock that is not known"


def _first(element, name):
    """The first child of that name; pyxdf gives every one as a list."""
    children = element.get(name) if isinstance(element, dict) else None
    return children[0] if children else None


def _documents(streams):
    texts = [row[0] for stream in streams if stream.role == "record" for row in stream.values]
    documents = []
    for text in texts:
        try:
            document = json.loads(text)
        except ValueError as error:
            raise Refused(f"a document of the recording is no JSON ({error}): {text[:80]!r}") from error
        # the bytes of models are for replay
        document.pop("base64", None)
        documents.append(document)
    return documents


def _beginning(first, clock, header):
    """Second 0 on the LSL clock, not after any sample, and when it was."""
    if clock:
        zero = min(float(clock["lsl"]), first)
        seconds = float(clock["unix"]) + zero - float(clock["lsl"])
        return zero, datetime.fromtimestamp(0, timezone.utc) + timedelta(seconds=seconds)
    text = _first(header.get("info", {}), "datetime")
    try:
        began = datetime.fromisoformat(text) if text else None
    except ValueError:
        began = None
    return first, began if began and began.tzinfo else None
