"""A laboratory's task program: it knows pylsl, HTTP and nothing else of Kalmind.

python task.py --name MARKERS --cursor OUTLET --address HOST:PORT --token TOKEN [--seconds N]
It sends its own texts and Kalmind's JSON as markers, steers over HTTP, watches the cursor outlet, and checks at every step that the
daemon does what it was told. Prints `ok WHAT` for each step, and ends with code 1 where a step does not come true.
"""
import argparse
import json
import math
import sys
import time
import urllib.error
import urllib.request

import pylsl

parser = argparse.ArgumentParser()
parser.add_argument("--name", required=True)
parser.add_argument("--cursor", required=True)
parser.add_argument("--address", required=True)
parser.add_argument("--token", required=True)
parser.add_argument("--seconds", type=float, default=8.0, help="length of the open loop")
arguments = parser.parse_args()

IDLE, CALIBRATING, CONTROL, HOLD = 0, 1, 2, 3
TARGETS = {"GO_LEFT": (0.2, 0.5), "GO_RIGHT": (0.8, 0.5), "GO_UP": (0.5, 0.8), "GO_DOWN": (0.5, 0.2)}
PATIENCE = 30

markers = pylsl.StreamOutlet(pylsl.StreamInfo(arguments.name, "Markers", 1, 0, "string", arguments.name))
found = pylsl.resolve_byprop("name", arguments.cursor, 1, PATIENCE)
if not found:
    sys.exit(f"no stream {arguments.cursor}")
cursor = pylsl.StreamInlet(found[0], max_buflen=360)
labels = cursor.info(10).get_channel_labels()
cursor.open_stream(10)
last_seq = -1


def ok(what):
    print("ok", what, flush=True)


def fail(what):
    print("failed", what, flush=True)
    sys.exit(1)


def send(marker):
    markers.push_sample([marker if isinstance(marker, str) else json.dumps(marker)])


def http(method, path, body=None, token=True):
    request = urllib.request.Request(f"http://{arguments.address}{path}", method=method)
    request.add_header("Content-Type", "application/json")
    if token:
        request.add_header("Authorization", f"Bearer {arguments.token}")
    data = json.dumps(body).encode() if body is not None else b""
    try:
        with urllib.request.urlopen(request, data=None if method == "GET" else data, timeout=10) as answer:
            return answer.status, json.loads(answer.read())
    except urllib.error.HTTPError as error:
        return error.code, json.loads(error.read())


def status():
    return http("GET", "/v1/status", token=False)[1]


def ticks(seconds=PATIENCE):
    """Ticks of the cursor outlet, by label, as they come: a sample that repeats seq says only that the cursor stands still."""
    global last_seq
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        sample, _ = cursor.pull_sample(timeout=1)
        if sample is not None:
            tick = dict(zip(labels, sample))
            if tick["seq"] != last_seq:
                last_seq = tick["seq"]
                yield tick


def until(what, holds, seconds=PATIENCE):
    for tick in ticks(seconds):
        if holds(tick):
            ok(what)
            return tick
    fail(what)


def for_ticks(what, count, holds):
    for number, tick in enumerate(ticks()):
        if not holds(tick):
            fail(f"{what}: {tick}")
        if number + 1 == count:
            return ok(what)
    fail(what)


def until_status(what, holds):
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        now = status()
        if holds(now):
            ok(what)
            return now
        time.sleep(0.05)
    fail(f"{what}: {status()}")


def target_is(position):
    return lambda now: (now["target"] or {}).get("data", {}).get("position") == (list(position) if position else None)


until("the marker stream is followed", lambda _: markers.have_consumers())
until("idle at the start", lambda tick: tick["state"] == IDLE)

# open loop: the cursor moves by the label law, and the daemon gathers what to fit on
send({"kind": "task_block", "data": {"block": "open_loop", "phase": "start"}})
until("calibrating", lambda tick: tick["state"] == CALIBRATING)
end, trial, names = time.monotonic() + arguments.seconds, 0, list(TARGETS)
before, followed = None, 0
while time.monotonic() < end:
    text, position = names[trial % 4], TARGETS[names[trial % 4]]
    send({"kind": "trial", "data": {"trial": trial, "phase": "start"}})
    send(text)  # its own text, mapped in the configuration
    # ticks from before come out of the outlet's queue first
    shown = until_status(f"{text} is the target", target_is(position))["seq"]
    for tick in ticks(1.5):
        # label law: e / 0.4 s, at most 0.6 widths per second, e from the cursor at the bin's start
        if before is not None and tick["seq"] == before["seq"] + 1 and tick["seq"] > shown + 10:
            e = [position[0] - before["x"], position[1] - before["y"]]
            distance = math.hypot(*e)
            shrink = min(1 / 0.4, 0.6 / distance) if distance else 0
            if math.hypot(tick["vx"] - shrink * e[0], tick["vy"] - shrink * e[1]) > 1e-9:
                fail(f"the label law: {tick} after {before}, target {position}")
            followed += 1
        before = tick
    send({"kind": "trial", "data": {"trial": trial, "phase": "end", "result": "timeout"}})
    trial += 1
if followed < 50:
    fail(f"the label law was seen in {followed} ticks only")
ok(f"the label law in {followed} ticks")
send("END_OPEN")
until_status("a decoder is fitted", lambda now: now["decoder"] is not None)
until("idle after the block", lambda tick: tick["state"] == IDLE)

# closed loop: the decoder moves the cursor
send("BEGIN_CLOSED")
# so few trials, in a fixed order, cannot be tested against chance: a task has to wait for the operator's word
until_status("an untested decoder waits for the operator", lambda now: now["awaiting_confirmation"] and now["state"] == "idle")
code, answer = http("POST", "/v1/control", {"state": "control", "confirm": "poor_decoder"})
if code != 200:
    fail(f"/v1/control with a confirmation: {code} {answer}")
until("control", lambda tick: tick["state"] == CONTROL)
send("GO_LEFT")
until_status("a target in the closed loop", target_is(TARGETS["GO_LEFT"]))
until("the decoder moves the cursor", lambda tick: tick["state"] == CONTROL and tick["intent_valid"] == 1 and tick["vx"] != 0)
send("NO_TARGET")
until_status("the target is taken away", target_is(None))

# a task can stop, and cannot resume
send("HALT")
until("hold", lambda tick: tick["state"] == HOLD)
send({"kind": "operator", "data": {"action": "control"}})
send("BEGIN_CLOSED")
send("GO_RIGHT")
until_status("the markers after the stop have come", target_is(TARGETS["GO_RIGHT"]))
for_ticks("no marker resumes it", 25, lambda tick: tick["state"] == HOLD and tick["vx"] == tick["vy"] == 0)
code, answer = http("POST", "/v1/control", {"state": "control"}, token=False)
if code not in (401, 403) or "token" not in answer["message"]:
    fail(f"without the token: {code} {answer}")
for_ticks("nor does HTTP without the token", 10, lambda tick: tick["state"] == HOLD)
code, answer = http("POST", "/v1/events", {"kind": "operator", "data": {"action": "control"}})
if code != 200:
    fail(f"/v1/events: {code} {answer}")
for_ticks("nor a task's event over HTTP", 10, lambda tick: tick["state"] == HOLD)
code, answer = http("POST", "/v1/control", {"state": "control"})
if code != 200:
    fail(f"/v1/control: {code} {answer}")
until("the operator resumes it", lambda tick: tick["state"] == CONTROL)

# STOP needs no token; events may carry their own time
code, answer = http("POST", "/v1/stop", token=False)
if code != 200:
    fail(f"/v1/stop: {code} {answer}")
until("stop over HTTP", lambda tick: tick["state"] == HOLD)
event = {"kind": "target", "time": pylsl.local_clock() - 0.1, "data": {"position": [0.4, 0.6], "radius": 0.1}}
code, answer = http("POST", "/v1/events", event)
if code != 200:
    fail(f"/v1/events: {code} {answer}")
until_status("a target over HTTP", lambda now: now["target"]["time"] == event["time"] and target_is([0.4, 0.6])(now))
code, answer = http("POST", "/v1/events", {"kind": "target", "data": {"position": [400, 600]}})
if code != 422 or "one unit wide" not in answer["message"]:
    fail(f"a target in pixels: {code} {answer}")
ok("pixels are refused")
send("no such text")
print("all done", flush=True)
sys.stdin.readline()
