"""Reads an EDF file with edfio and writes what it finds, for a comparison value for value.

python read_edf.py OUT FILE...
For each file one line of JSON into OUT: signals (label, unit, rate, values as hexadecimal 64-bit floats), annotations.
"""
import json
import sys

import edfio
import numpy as np

out, files = sys.argv[1], sys.argv[2:]
with open(out, "w") as lines:
    for file in files:
        edf = edfio.read_edf(file)
        signals = [
            {
                "label": signal.label,
                "unit": signal.physical_dimension,
                "rate": signal.sampling_frequency,
                "values": np.asarray(signal.data, "<f8").tobytes().hex(),
            }
            for signal in edf.signals
        ]
        annotations = [[note.onset, note.duration, note.text] for note in edf.annotations]
        lines.write(json.dumps({"file": file, "signals": signals, "annotations": annotations}) + "\n")
