"""A client that no part of Kalmind wrote: the state WebSocket through the `websockets` package.

python read_websocket.py --url ws://.. --states N --out FILE.json
Prints `ready` after hello, then writes every message up to the state with seq N - 1 to FILE.
"""
import argparse
import json

from websockets.sync.client import connect

parser = argparse.ArgumentParser()
parser.add_argument("--url", required=True)
parser.add_argument("--states", type=int, required=True)
parser.add_argument("--out", required=True)
arguments = parser.parse_args()

with connect(arguments.url) as socket:
    messages = [json.loads(socket.recv(timeout=10))]
    print("ready", flush=True)
    seq = -1
    while seq < arguments.states - 1:
        try:
            message = json.loads(socket.recv(timeout=30))
        except TimeoutError:
            break
        if message["type"] != "heartbeat":
            messages.append(message)
        seq = message.get("seq", seq)
with open(arguments.out, "w", encoding="utf-8") as out:
    json.dump(messages, out)
