"""Reads XDF files with pyxdf and writes what it finds, for a comparison value for value.

python read_xdf.py OUT FILE...
For each file and each way of reading (raw, clock synchronisation, dejitter as well) and each stream in the order of its
number: one line of JSON into OUT with the stream's number, its samples, its stamps and values as hexadecimal bytes.
"""
import json
import sys

import numpy as np
import pyxdf

WAYS = {
    "raw": {"synchronize_clocks": False, "dejitter_timestamps": False},
    "synchronized": {"synchronize_clocks": True, "dejitter_timestamps": False},
    "dejittered": {"synchronize_clocks": True, "dejitter_timestamps": True},
}
KINDS = {"float32": "<f4", "double64": "<f8", "int8": "<i1", "int16": "<i2", "int32": "<i4", "int64": "<i8"}

out, files = sys.argv[1], sys.argv[2:]
with open(out, "w") as lines:
    for file in files:
        for way, options in WAYS.items():
            streams, _ = pyxdf.load_xdf(file, **options)
            for stream in sorted(streams, key=lambda stream: stream["info"]["stream_id"]):
                kind = stream["info"]["channel_format"][0]
                values = stream["time_series"]
                record = {
                    "file": file,
                    "way": way,
                    "id": stream["info"]["stream_id"],
                    "name": stream["info"]["name"][0] if stream["info"].get("name") else None,
                    "samples": len(stream["time_stamps"]),
                    "stamps": np.asarray(stream["time_stamps"], "<f8").tobytes().hex(),
                }
                if way == "raw":
                    if kind == "string":
                        record["texts"] = [text for row in values for text in row]
                    else:
                        record["values"] = np.asarray(values, KINDS[kind]).tobytes().hex()
                lines.write(json.dumps(record) + "\n")
