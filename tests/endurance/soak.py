"""Fifteen minutes of everything at once: participant, fit, closed loop, recording, fast and slow clients, busy cores.

.venv/bin/python tests/endurance/soak.py [--kalmind target/release/kalmind] [--seconds 900]
Ends with code 1 where a sample, a tick or a message is in none of the counts, where memory grew after the first minute,
or where the recording is not replayed bit for bit. Talks to loopback only, and ends what it started.
"""
import argparse
import json
import multiprocessing
import os
import socket
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import pyxdf
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

ROOT = Path(__file__).resolve().parents[2]
CALIBRATION = 30
FAST_CLIENTS = 16
# allocators keep some pages; what grows by this much in fourteen minutes grows
GROWTH_KB = 4096

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("--kalmind", type=Path, default=ROOT / "target/release/kalmind")
parser.add_argument("--seconds", type=float, default=900)
parser.add_argument("--hogs", type=int, default=2, help="processes that only compute")


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def hog(until):
    number = 1
    while time.monotonic() < until:
        number = number * 6364136223846793005 % 18446744073709551557


class Client(threading.Thread):
    """Reads states; a slow one stops reading now and then. Counts what came and what was said to be missed."""

    def __init__(self, url, pause=0.0):
        super().__init__(daemon=True)
        self.url, self.pause = url, pause
        self.first = self.last = None
        self.states = self.missed = self.gaps = 0
        self.problem = None

    def run(self):
        try:
            with connect(self.url, compression=None, max_queue=4, open_timeout=30) as messages:
                woke = time.monotonic()
                for text in messages:
                    self.take(json.loads(text))
                    if self.pause and time.monotonic() - woke > 20:
                        time.sleep(self.pause)
                        woke = time.monotonic()
        except ConnectionClosed:
            pass
        except OSError as error:
            self.problem = str(error)

    def take(self, message):
        if message["type"] == "gap":
            self.gaps += 1
            self.missed += message["missed"]
        elif message["type"] == "state":
            if self.last is not None and message["seq"] <= self.last:
                self.problem = f"seq {message['seq']} after {self.last}"
            if self.first is None:
                self.first, self.missed = message["seq"], 0
            self.last = message["seq"]
            self.states += 1

    def unaccounted(self):
        """States of which this client neither got one nor was told that it missed them."""
        return 0 if self.first is None else self.last - self.first + 1 - self.states - self.missed


def resident_kb(process):
    for line in Path(f"/proc/{process}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1])
    return 0


def main():
    arguments = parser.parse_args()
    problems = []
    with tempfile.TemporaryDirectory() as folder:
        recording = Path(folder) / "soak.xdf"
        port = free_port()
        configuration = Path(folder) / "soak.toml"
        configuration.write_text(
            (ROOT / "config/demo.toml").read_text() + f'\n[server]\nbind = "127.0.0.1:{port}"\n'
        )
        demo = subprocess.Popen(
            [arguments.kalmind, "demo", "--headless", "--json", "--config", configuration, "--record", recording,
             "--calibration-seconds", str(CALIBRATION), "--seconds", str(arguments.seconds)],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=folder,
        )
        ends = time.monotonic() + CALIBRATION + arguments.seconds
        hogs = [multiprocessing.Process(target=hog, args=(ends,), daemon=True) for _ in range(arguments.hogs)]
        for process in hogs:
            process.start()
        url = f"ws://127.0.0.1:{port}/v1/state"
        while demo.poll() is None:
            try:
                socket.create_connection(("127.0.0.1", port), 1).close()
                break
            except OSError:
                time.sleep(0.2)
        clients = [Client(url) for _ in range(FAST_CLIENTS)]
        clients += [Client(url, pause=seconds) for seconds in (1, 5, 9)]
        for client in clients:
            client.start()
        memory = []
        output = {}
        reader = threading.Thread(target=lambda: output.update(zip(("out", "err"), demo.communicate())))
        reader.start()
        began = time.monotonic()
        while reader.is_alive():
            reader.join(5)
            if demo.poll() is None:
                memory.append((time.monotonic() - began, resident_kb(demo.pid)))
        for process in hogs:
            process.kill()
            process.join()
        for client in clients:
            client.join(15)
        if demo.returncode != 0:
            sys.exit(f"the demo ended with code {demo.returncode}: {output.get('err')}")
        summary = json.loads(output["out"])
        print(json.dumps(summary))

        for number, client in enumerate(clients):
            if client.problem:
                problems.append(f"client {number}: {client.problem}")
            if client.first is None:
                problems.append(f"client {number} saw no state")
            elif client.unaccounted():
                problems.append(f"client {number}: {client.unaccounted()} states neither seen nor told as missed")
        slow = [client.gaps for client in clients[FAST_CLIENTS:]]
        print(f"clients: {sum(client.states for client in clients)} states, gaps of the slow ones {slow}")

        # the last sample stands for the time after the clients and the fit have settled
        settled = [kb for second, kb in memory if second >= 60]
        if settled:
            growth = max(settled[-3:]) - settled[0]
            print(f"memory: {settled[0]} kB after the first minute, {settled[-1]} kB at the end")
            if growth > GROWTH_KB:
                problems.append(f"memory grew by {growth} kB after the first minute")

        streams, _ = pyxdf.load_xdf(recording, synchronize_clocks=False, dejitter_timestamps=False)
        counts = {stream["info"]["name"][0]: len(stream["time_stamps"]) for stream in streams}
        print("recorded samples:", counts)
        replay = subprocess.run(
            [arguments.kalmind, "replay", recording, "--json"], capture_output=True, text=True, check=False
        )
        replayed = json.loads(replay.stdout)
        print("replay:", replay.stdout.strip())
        if not replayed["identical"]:
            problems.append("the recording is not replayed bit for bit")
        if replayed["ticks"] != summary["ticks"]:
            problems.append(f"{summary['ticks']} ticks were published, {replayed['ticks']} are recorded")
        participant = next(count for name, count in counts.items() if "Participant" in name)
        decoded = summary["ticks"] - summary["incomplete_bins"]
        print(f"samples: {participant} received, {decoded} decoded, {summary['lost_samples']} counted as lost")
        if participant + 2 < decoded or participant > decoded + summary["lost_samples"] + 2:
            problems.append("samples received are neither decoded nor counted")
    for problem in problems:
        print("FAILED:", problem)
    print("passed" if not problems else f"{len(problems)} problems")
    sys.exit(bool(problems))


if __name__ == "__main__":
    main()
