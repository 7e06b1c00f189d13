"""What was read from windows at events, checked by programs that no part of Kalmind wrote: pyxdf reads the recording, numpy
takes the means.

python window_means.py FILE STREAM OFFSET_MS: for each event of kind `window` that has values, whether they are the means of the
rows of STREAM that it names (`values`), and how long after the marker and OFFSET_MS the first row is stamped, in periods (`after`:
least and greatest). Prints one line of JSON.
"""
import json
import sys

import numpy as np
import pyxdf

file, name, offset = sys.argv[1], sys.argv[2], float(sys.argv[3]) / 1e3
streams, _ = pyxdf.load_xdf(file, synchronize_clocks=False, dejitter_timestamps=False)
by_name = {stream["info"]["name"][0]: stream for stream in streams}
events = next(stream for label, stream in by_name.items() if label.endswith("-Events"))
rows, stamps = np.asarray(by_name[name]["time_series"], float), by_name[name]["time_stamps"]
period = 1 / float(by_name[name]["info"]["nominal_srate"][0])
worst, after, read = 0.0, [], 0
for (text,) in events["time_series"]:
    event = json.loads(text)
    if event["kind"] != "window" or event["data"]["values"] is None:
        continue
    data = event["data"]
    window = rows[data["first"] : data["first"] + data["samples"]]
    values = np.array([value["value"] for value in data["values"]])
    worst = max(worst, float(np.abs(window.mean(axis=0) - values).max()))
    after.append((stamps[data["first"]] - event["time"] - offset) / period)
    read += 1
print(json.dumps({"type": "means", "read": read, "worst": worst, "after": [min(after), max(after)]}), flush=True)
