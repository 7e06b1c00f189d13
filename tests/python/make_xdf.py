"""Writes small XDF 1.0 files from their definition, without any reader's or writer's help."""
import struct

KINDS = {"float32": "f", "double64": "d", "int16": "h", "int32": "i"}


def write_xdf(path, streams, datetime=None):
    """`streams`: dictionaries with name, type, rate, format, channels [(label, unit)], stamps, rows."""
    with open(path, "wb") as file:
        file.write(b"XDF:")
        begun = f"<datetime>{datetime}</datetime>" if datetime else ""
        file.write(chunk(1, f"<?xml version='1.0'?><info><version>1.0</version>{begun}</info>".encode()))
        for number, stream in enumerate(streams, 1):
            file.write(chunk(2, struct.pack("<I", number) + header(stream)))
        for number, stream in enumerate(streams, 1):
            if stream["rows"]:
                file.write(chunk(3, struct.pack("<I", number) + samples(stream)))
            file.write(chunk(6, struct.pack("<I", number) + b"<?xml version='1.0'?><info/>"))


def chunk(tag, content):
    return b"\x04" + struct.pack("<IH", len(content) + 2, tag) + content


def header(stream):
    channels = "".join(
        f"<channel><label>{label}</label>{f'<unit>{unit}</unit>' if unit else ''}</channel>"
        for label, unit in stream["channels"]
    )
    return (
        f"<?xml version='1.0'?><info><name>{stream['name']}</name><type>{stream['type']}</type>"
        f"<channel_count>{len(stream['channels'])}</channel_count><nominal_srate>{stream['rate']}</nominal_srate>"
        f"<channel_format>{stream['format']}</channel_format>"
        f"<desc><channels>{channels}</channels></desc></info>"
    ).encode()


def samples(stream):
    parts = [b"\x04" + struct.pack("<I", len(stream["rows"]))]
    for stamp, row in zip(stream["stamps"], stream["rows"]):
        parts.append(b"\x08" + struct.pack("<d", stamp))
        for value in row:
            if stream["format"] == "string":
                text = value.encode()
                parts.append(b"\x04" + struct.pack("<I", len(text)) + text)
            else:
                parts.append(struct.pack("<" + KINDS[stream["format"]], value))
    return b"".join(parts)
