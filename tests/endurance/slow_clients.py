"""Clients that pause or hang, and what they are shown when they go on.

python tests/endurance/slow_clients.py [--pause 9] [--only NAME]
A Python client (with and without reading ahead), one in Node.js, and a page in Chromium, each with `?flow=ack` and
without, stop for 9 s while their connection stays open. Printed for each: the states that it is shown before `gap`, which
were under way when it stopped, the oldest of them, and the age of the first state after `gap`. Ends with 1 where there was
no gap, where a state after it was older than 250 ms, or where an acknowledging client had more than 4 before it.
Node.js 20 or newer and Chromium (setup/browser.sh) are left out where they are missing, which is said.
"""
import argparse
import json
import os
import shutil
import subprocess
import sys
import time

from websockets.sync.client import connect

from laboratory import ROOT, Laboratory, load

parser = argparse.ArgumentParser()
parser.add_argument("--pause", type=float, default=9.0)
parser.add_argument("--only", default="")
arguments = parser.parse_args()
READ_S = 2.0


def python_client(url, max_queue):
    """Messages with their arrival, before and after a pause, of a client that handles one after the other."""
    acknowledges, before, after = url.endswith("ack"), [], []
    with connect(url, max_queue=max_queue) as client:
        def read_for(seconds, into):
            end = time.monotonic() + seconds
            while time.monotonic() < end:
                message = json.loads(client.recv(timeout=10))
                into.append((time.monotonic(), message))
                if acknowledges and message["type"] == "state":
                    client.send(json.dumps({"type": "ack", "seq": message["seq"]}))
        read_for(READ_S, before)
        time.sleep(arguments.pause)
        read_for(READ_S, after)
    return client.close_code, after


def javascript_client(command):
    """The same, by a program that prints it as JSON; its clock is compared with ours at the end."""
    answer = subprocess.run(command, capture_output=True, text=True, timeout=120)
    if answer.returncode:
        sys.exit(answer.stderr)
    told = json.loads(answer.stdout)
    ahead = time.time() - time.monotonic()
    return told["code"], [(arrived / 1e3 - ahead, message) for arrived, message in told["after"]]


def judge(name, code, messages, acknowledges):
    kinds = [message["type"] for _, message in messages]
    gap = kinds.index("gap") if "gap" in kinds else len(kinds)
    old = [arrived - message["sent"] for arrived, message in messages[:gap] if message["type"] == "state"]
    first = [arrived - message["sent"] for arrived, message in messages[gap:] if message["type"] == "state"]
    missed = messages[gap][1]["missed"] if gap < len(kinds) else 0
    good = bool(first) and max(first) < 0.25 and code == 1000 and not (acknowledges and len(old) > 4)
    print(
        f"{name:34} {len(old):3} old states (oldest {max(old, default=0.0):5.2f} s), gap of {missed}, "
        f"next {first[0] * 1e3 if first else float('nan'):6.1f} ms old, then at most "
        f"{max(first[1:], default=float('nan')) * 1e3:6.1f} ms; closed {code}",
        flush=True,
    )
    return good


node = shutil.which("node")
chromium = os.environ.get("KALMIND_CHROMIUM", "/usr/bin/chromium")
page = ROOT / "tests/browser/node_modules/ready"
with Laboratory() as laboratory:
    print(f"clients that stop for {arguments.pause} s ({load()}):")
    plan = []
    for query in ("", "?flow=ack"):
        url, milliseconds = laboratory.url + query, str(int(arguments.pause * 1e3))
        plan.append((f"Python {query}", lambda url=url: python_client(url, 16)))
        plan.append((f"Python, reads ahead by 1 {query}", lambda url=url: python_client(url, 1)))
        if node:
            command = [node, "--experimental-websocket", ROOT / "tests/endurance/slow_client.mjs", url, milliseconds]
            plan.append((f"Node.js {query}", lambda command=command: javascript_client(command)))
        if node and os.path.exists(chromium) and page.exists():
            command = [node, ROOT / "tests/browser/slow_page.js", url, milliseconds]
            plan.append((f"Chromium, page hangs {query}", lambda command=command: javascript_client(command)))
    results = [judge(name, *work(), "ack" in name) for name, work in plan if arguments.only in name]
    for name, there in (("Node.js", node), ("Chromium", os.path.exists(chromium) and page.exists())):
        if not there:
            print(f"{name} is not here: left out")
sys.exit(not all(results))
