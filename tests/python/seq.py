"""Prints `seq N` for every state message of a daemon, and `closed N` with the last one at the end.

python seq.py --url ws://HOST:PORT/v1/state
"""
import argparse
import json

from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

parser = argparse.ArgumentParser()
parser.add_argument("--url", required=True)
arguments = parser.parse_args()

last = -1
try:
    with connect(arguments.url, compression=None) as socket:
        print("ready", flush=True)
        for text in socket:
            message = json.loads(text)
            if message["type"] == "state":
                last = message["seq"]
                print("seq", last, flush=True)
except ConnectionClosed:
    pass
print("closed", last, flush=True)
