"""A person's hand without a person, as the page tells of one: over the WebSocket, 30 times a second, toward the target.

python hand.py --url ws://HOST:PORT/v1/state --token TOKEN
Ends when the daemon does; with code 1 where a hand is refused.
"""
import argparse
import json
import math
import sys
import time

from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

EVERY_S, COVERS_S, FASTEST = 1 / 30, 0.4, 0.6

parser = argparse.ArgumentParser()
parser.add_argument("--url", required=True)
parser.add_argument("--token", required=True)
arguments = parser.parse_args()

position, target, told = None, None, 0


def take(message):
    global position, target
    if message["type"] == "error":
        sys.exit(f"refused: {message}")
    if message["type"] == "state":
        position = message["position"]
    event = message.get("target") if message["type"] == "hello" else message
    if event and event["type"] == "event" and event["kind"] == "target":
        target = event["data"]["position"]


def velocity():
    if not position or not target:
        return [0.0, 0.0]
    there = [(to - at) / COVERS_S for at, to in zip(position, target)]
    slower = max(1.0, math.hypot(*there) / FASTEST)
    return [round(part / slower, 4) for part in there]


with connect(arguments.url) as socket:
    try:
        take(json.loads(socket.recv(timeout=10)))
        socket.send(json.dumps({"type": "auth", "token": arguments.token}))
        due = time.monotonic()
        while True:
            while (left := due - time.monotonic()) > 0:
                try:
                    take(json.loads(socket.recv(timeout=left)))
                except TimeoutError:
                    break
            data = {"action": "hand", "velocity": velocity()}
            socket.send(json.dumps({"type": "event", "kind": "operator", "data": data}))
            told += 1
            # a machine that paused does not make up for it
            due = max(due + EVERY_S, time.monotonic() - EVERY_S)
    except ConnectionClosed:
        print(f"told {told}", flush=True)
