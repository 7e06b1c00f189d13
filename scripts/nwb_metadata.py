"""What NWB asks about a session that signals do not say: taken from a TOML file, then from the recording."""
import tomllib
from datetime import date, datetime, time, timezone
from difflib import get_close_matches

from recorded_session import Refused

TEXTS = (
    "identifier", "session_id", "session_description", "experiment_description", "institution", "lab", "notes",
)
LISTS = ("experimenter", "keywords")
SUBJECT = ("subject_id", "species", "sex", "age", "date_of_birth", "description", "strain", "genotype")
STREAM = ("location", "unit", "electrodes", "device", "filtering")

TEMPLATE = """session_start_time = 2026-01-31T12:00:00+01:00
[subject]
subject_id = "P1"
species = "Homo sapiens"      # its Latin name
sex = "U"                     # F, M, O (other) or U (unknown)
age = "P34Y"                  # ISO 8601, or date_of_birth = 1992-01-31"""


def read_metadata(path):
    """Reads and checks a metadata file (docs/nwb.md); none is an empty one."""
    if path is None:
        return {"subject": {}, "stream": {}}
    try:
        with open(path, "rb") as file:
            table = tomllib.load(file)
    except OSError as error:
        raise Refused(f"{path} cannot be read: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise Refused(f"{path} is no TOML: {error}") from error
    _known(path, "", table, (*TEXTS, *LISTS, "session_start_time", "subject", "stream"))
    table.setdefault("subject", {})
    table.setdefault("stream", {})
    for name in ("subject", "stream"):
        if not isinstance(table[name], dict):
            raise Refused(f"{path}: `{name}` is a table: write [{name}] on a line of its own")
    _known(path, "subject.", table["subject"], SUBJECT)
    for name, stream in table["stream"].items():
        if not isinstance(stream, dict):
            raise Refused(f'{path}: stream.{name} is a table: write [stream."{name}"] on a line of its own')
        _known(path, f"stream.{name}.", stream, STREAM)
        if not isinstance(stream.get("electrodes", True), bool):
            raise Refused(f"{path}: stream.{name}.electrodes is true or false")
        _texts(path, f"stream.{name}.", stream, ("location", "unit", "device", "filtering"))
    _texts(path, "", table, TEXTS)
    _texts(path, "subject.", table["subject"], [name for name in SUBJECT if name != "date_of_birth"])
    for name in LISTS:
        values = table.get(name, [])
        if not isinstance(values, list) or not all(isinstance(value, str) for value in values):
            raise Refused(f'{path}: `{name}` is a list of texts, as in {name} = ["Curie, Marie"]')
    start = table.get("session_start_time")
    if start is not None and not (isinstance(start, datetime) and start.tzinfo):
        raise Refused(
            f"{path}: `session_start_time` is a date and a time with an offset, without quotes, as in "
            "2026-01-31T12:00:00+01:00"
        )
    return table


def complete(metadata, recording):
    """Adds what the recording says and refuses what nobody said; gives when it began, and what file and
    subject are made with.
    """
    session = recording.session
    known = {name: value for name, value in (session.get("subject") or {}).items() if value}
    subject = {
        "subject_id": known.get("code") or session.get("participant") or None,
        "species": known.get("species"),
        # NWB's own word for what is not known
        "sex": known.get("sex") or "U",
        "age": known.get("age"),
        **metadata["subject"],
    }
    birth = subject.get("date_of_birth")
    if isinstance(birth, date) and not isinstance(birth, datetime):
        birth = datetime.combine(birth, time(), timezone.utc)
    if birth is not None and not isinstance(birth, datetime):
        raise Refused("subject.date_of_birth is a date without quotes, as in 1992-01-31")
    if birth is not None:
        subject["date_of_birth"] = birth if birth.tzinfo else birth.replace(tzinfo=timezone.utc)
    start = metadata.get("session_start_time") or recording.began
    missing = [name for name in ("subject_id", "species") if not subject[name]]
    if not subject["age"] and not birth:
        missing.append("age or date_of_birth")
    missing = [f"subject.{name}" for name in missing]
    if start is None:
        missing.insert(0, "session_start_time")
    if missing:
        raise Refused(
            f"NWB needs {', '.join(missing)}, which {recording.path} does not say. Give it with --metadata FILE.toml, "
            f"for example:\n\n{TEMPLATE}"
        )
    if not subject["sex"] in ("F", "M", "O", "U"):
        raise Refused(f"subject.sex is {subject['sex']!r}; F, M, O (other) or U (unknown) is expected")
    by = f"Kalmind {session['version']}, instance {session['instance']}" if session else "an XDF recorder"
    texts = {
        # the same recording gives the same file
        "identifier": session.get("session") or recording.sha256,
        "session_id": session.get("session"),
        "session_description": f"{recording.counted()}, recorded by {by}.",
        **{name: metadata[name] for name in (*TEXTS, *LISTS) if metadata.get(name)},
    }
    texts = {name: value for name, value in texts.items() if value}
    return start, texts, {name: value for name, value in subject.items() if value}


def _known(path, place, table, names):
    for name in table:
        if name not in names:
            near = get_close_matches(name, names, 1)
            raise Refused(
                f"{path}: `{place}{name}` is no key"
                + (f"; did you mean `{near[0]}`?" if near else f"; there are {', '.join(names)}")
            )


def _texts(path, place, table, names):
    for name in names:
        if name in table and not (isinstance(table[name], str) and table[name].strip()):
            raise Refused(f"{path}: `{place}{name}` is a text that is not empty, in quotes")
