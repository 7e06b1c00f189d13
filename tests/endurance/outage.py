"""How soon an outage is told: from the last sample to `stale` at a WebSocket client, to a sample that stands still and to the event
at a reader of the LSL outlets; how often an LSL reader hears meanwhile; and how often the state changes while a sender starts noisily.

python tests/endurance/outage.py [--kalmind target/release/kalmind] [--outages 20] [--away 1.5]
Prints the figures and exits with 1 where an LSL reader waited more than 250 ms for a sample that stands still, heard less often than
every 150 ms after it, saw another order of states than the WebSocket client, or the state changed more than 3 times a second.
Needs pylsl and websockets (`.venv/bin/python`), and 50 s.
"""
import argparse
import json
import os
import pathlib
import random
import subprocess
import sys
import tempfile
import threading
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
parser = argparse.ArgumentParser()
parser.add_argument("--kalmind", default=str(ROOT / "target/release/kalmind"))
parser.add_argument("--outages", type=int, default=20)
parser.add_argument("--away", type=float, default=1.5, help="seconds of each outage")
arguments = parser.parse_args()

folder = tempfile.TemporaryDirectory(prefix="kalmind-outage-")
name = f"outage-{os.getpid()}"
port = 20_000 + os.getpid() % 300 * 32
settings = pathlib.Path(folder.name) / "lsl_api.cfg"
settings.write_text(
    f"[ports]\nIPv6 = disable\nMulticastPort = {port}\nBasePort = {port + 1}\nPortRange = 30\n"
    f"[multicast]\nResolveScope = machine\n[lab]\nKnownPeers = {{127.0.0.1}}\nSessionID = {name}\n[log]\nlevel = -2\n"
)
os.environ["LSLAPICFG"] = str(settings)

import pylsl  # noqa: E402  (reads its settings at the first call)
from websockets.exceptions import ConnectionClosed  # noqa: E402
from websockets.sync.client import connect  # noqa: E402

RATE, CHANNELS = 50, 6
configuration = pathlib.Path(folder.name) / "outage.toml"
configuration.write_text(
    f'start = "control"\ninstance.name = "{name}"\nserver.bind = "127.0.0.1:0"\nsafety.auto_resume_ms = 3600000\n'
    f'decoder.model = "{ROOT}/fixtures/models/kalman.safetensors"\n[[stream]]\nname = "{name}-array"\n'
)
outlet = pylsl.StreamOutlet(pylsl.StreamInfo(f"{name}-array", "Features", CHANNELS, RATE, "float32", name))
sending, ended = threading.Event(), threading.Event()
last_sent, shift, noise = [0.0], [0.0], random.Random(1)


def send():
    due = pylsl.local_clock()
    while not ended.is_set():
        due = max(due + 1 / RATE, pylsl.local_clock() - 1 / RATE)
        time.sleep(max(due - pylsl.local_clock(), 0))
        if sending.is_set():
            # values that stand still would be taken for a dead array
            outlet.push_sample([noise.gauss(0.0, 1.0) for _ in range(CHANNELS)], due + shift[0])
            last_sent[0] = pylsl.local_clock()


sending.set()
threading.Thread(target=send, daemon=True).start()
daemon = subprocess.Popen(
    [arguments.kalmind, "run", "--wait", "30", "--config", str(configuration)], stderr=subprocess.PIPE, text=True
)
address = next(line for line in daemon.stderr if "page: http://" in line).split("http://")[1].split("/")[0]
threading.Thread(target=daemon.stderr.read, daemon=True).start()

shown, events, samples, lsl_events = [], [], [], []  # each with the time at which it was received


def read_websocket():
    try:
        with connect(f"ws://{address}/v1/state", compression=None) as socket:
            for text in socket:
                now, message = pylsl.local_clock(), json.loads(text)
                if message["type"] in ("state", "heartbeat"):
                    shown.append((now, message["state"]))
                elif message["type"] == "event":
                    events.append((now, message))
    except ConnectionClosed:
        pass


def read_lsl(kind, kept):
    inlet = pylsl.StreamInlet(pylsl.resolve_byprop("name", f"{name}-{kind}", 1, 30)[0], recover=False)
    labels = inlet.info(10).get_channel_labels() if kind == "Cursor" else None
    try:
        while True:
            values, _ = inlet.pull_sample(timeout=1)
            if values is not None:
                now = pylsl.local_clock()
                kept.append((now, dict(zip(labels, values)) if labels else json.loads(values[0])))
    except pylsl.util.LostError:
        pass


readers = [threading.Thread(target=read_websocket, daemon=True)]
readers += [threading.Thread(target=read_lsl, args=given, daemon=True) for given in (("Cursor", samples), ("Events", lsl_events))]
for reader in readers:
    reader.start()
time.sleep(3)


def first_after(kept, since, fits):
    return next((at for at, what in list(kept) if at > since and fits(what)), float("inf"))


def told_stale(event):
    return event["kind"] == "state" and event["data"]["state"] == "stale" and event["data"]["previous"] != "stale"


figures = {"stale at the WebSocket": [], "event at the WebSocket": [], "LSL sample stands still": [], "event over LSL": []}
longest_silence, stood, stale_before = 0.0, True, 0
for _ in range(arguments.outages):
    time.sleep(4)
    stale_before += shown[-1][1] != "control"
    sending.clear()
    time.sleep(arguments.away)
    since = last_sent[0]
    for what, at in (
        ("stale at the WebSocket", first_after(shown, since, lambda state: state == "stale")),
        ("event at the WebSocket", first_after(events, since, told_stale)),
        ("LSL sample stands still", first_after(samples, since, lambda s: s["vx"] == s["vy"] == 0 and s["incomplete"] == 1)),
        ("event over LSL", first_after(lsl_events, since, told_stale)),
    ):
        figures[what].append(1e3 * (at - since))
    standing = [at for at, sample in list(samples) if at > since + 0.02]
    stood &= all(s["vx"] == s["vy"] == 0 and s["intent_valid"] == 0 for at, s in list(samples) if at > since + 0.05)
    pauses = [later - earlier for earlier, later in zip(standing, standing[1:])]
    longest_silence = max([longest_silence, *pauses])
    sending.set()

# a sender that starts noisily: stamps 120 ms ahead, then behind, changing many times a second
time.sleep(4)
before = len(events)
start = pylsl.local_clock()
while pylsl.local_clock() - start < 5:
    shift[0] = 0.12
    time.sleep(0.15)
    shift[0] = -0.12
    time.sleep(0.3)
shift[0] = 0.0
time.sleep(2)
noisy = [event for _, event in events[before:] if event["kind"] == "state"]
changes = len([event for event in noisy if event["data"]["state"] != event["data"]["previous"]])

daemon.terminate()
daemon.wait(20)
for reader in readers:
    reader.join(5)
ws, lsl = [event for _, event in events], [event for _, event in lsl_events]
shared = [event for event in ws if event in lsl]
alike = shared and shared == ws[ws.index(shared[0]) :] == lsl[lsl.index(shared[0]) :]
print(f"{arguments.outages} outages of {arguments.away} s, {stale_before} of them not from control; load {os.getloadavg()[0]:.1f}")
for what, values in figures.items():
    values.sort()
    print(f"  last sample to {what:<24} median {values[len(values) // 2]:6.1f} ms, longest {values[-1]:6.1f} ms")
print(f"  longest time between two samples that stand still: {1e3 * longest_silence:.1f} ms; all of them stood still: {stood}")
print(f"  changes of state in 7 s of a noisy sender: {changes}")
print(f"  events alike over WebSocket and LSL, in one order: {bool(alike)} ({len(ws)} and {len(lsl)})")
last = samples[-1][1]
print(f"  last sample before the end: velocity {last['vx']}, {last['vy']}, state {last['state']:.0f}")
good = (
    max(map(max, figures.values())) <= 250
    and stale_before == 0
    and longest_silence <= 0.15
    and stood
    and alike
    and changes <= 21
    and last["vx"] == last["vy"] == 0
)
print("good" if good else "MISSED")
sys.exit(0 if good else 1)
