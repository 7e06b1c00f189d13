"""A client that no part of Kalmind wrote: watches the state WebSocket and tells what changes, one JSON object a line.

python watch.py --url ws://.. [--token TOKEN]
Lines: hello, event (with "received": LSL time), gap, accepted, error, pong as they come; {"type": "changed", "by": "state" | "heartbeat", "message": ..,
"received": LSL time} whenever state, reason, epoch or incomplete differ from the message before; {"type": "closed", ..} at the end.
A line on standard input is sent as it is. It holds every message to the protocol and ends with code 1 and a `violation`
where one breaks it: seq without a hole, time rising, all numbers finite, nothing moving unless calibrating or control.
"""
import argparse
import json
import sys
import threading

import pylsl
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

parser = argparse.ArgumentParser()
parser.add_argument("--url", required=True)
parser.add_argument("--token", default="")
arguments = parser.parse_args()


def tell(**line):
    print(json.dumps(line), flush=True)


def violation(what, message):
    tell(type="violation", what=what, message=message)
    sys.exit(1)


def no_constant(name):
    raise ValueError(f"{name} is no JSON number")


def sender(socket):
    for line in sys.stdin:
        socket.send(line.strip())


shown, seq, time, states, heartbeats, event_seq = None, None, None, 0, 0, None
protocols = ["kalmind.v1", f"kalmind.token.{arguments.token}"] if arguments.token else None
with connect(arguments.url, subprotocols=protocols) as socket:
    threading.Thread(target=sender, args=[socket], daemon=True).start()
    try:
        for text in socket:
            received = pylsl.local_clock()
            message = json.loads(text, parse_constant=no_constant)
            kind = message["type"]
            if kind not in ("state", "heartbeat"):
                if kind == "gap":
                    seq = event_seq = None
                if kind == "event":
                    if event_seq is not None and message["event_seq"] != event_seq + 1:
                        violation("a hole in event_seq without a gap message", message)
                    event_seq = message["event_seq"]
                    message["received"] = received
                tell(**message)
                continue
            now = (message["state"], message["reason"])
            if kind == "state":
                states += 1
                if seq is not None and message["seq"] != seq + 1:
                    violation("a hole in seq without a gap message", message)
                if time is not None and message["time"] <= time:
                    violation("time does not rise", message)
                seq, time = message["seq"], message["time"]
                if message["state"] not in ("calibrating", "control") and message["velocity"] != [0, 0]:
                    violation("something moves the cursor", message)
                if not all(0 <= value <= 1 for value in message["position"]):
                    violation("the cursor left the workspace", message)
                now += (message["epoch"], message["incomplete"])
            else:
                heartbeats += 1
                now += shown[2:] if shown else (None, None)
            if now != shown:
                tell(type="changed", by=kind, message=message, received=received)
            shown = now
        closed = {"code": socket.close_code, "reason": socket.close_reason}
    except ConnectionClosed as ending:
        closed = {"code": ending.rcvd.code if ending.rcvd else None, "reason": str(ending)}
tell(type="closed", states=states, heartbeats=heartbeats, last=shown, **closed)
