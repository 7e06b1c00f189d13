"""STOP while a thousand clients read every tick.

python tests/endurance/stop_with_1000_readers.py [--readers 1000] [--trials 100]
Needs the program: cargo build --release -p kalmind-tools. Prints in how many of the trials STOP was in
force within 20 ms, and in how many a client that had just connected saw it within 50 ms, and what the server's threads
took of a processor meanwhile; ends with 1 where fewer than 99 of 100 did.
"""
import argparse
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

from laboratory import Laboratory, Watcher, line, load, program, stops

parser = argparse.ArgumentParser()
parser.add_argument("--readers", type=int, default=1000)
parser.add_argument("--trials", type=int, default=100)
arguments = parser.parse_args()



def processor_time(process):
    """Seconds that each thread of a process has had of a processor."""
    taken = {}
    for task in Path(f"/proc/{process.pid}/task").iterdir():
        name, _, rest = (task / "stat").read_text().partition("(")[2].rpartition(")")
        fields = rest.split()
        taken[name] = taken.get(name, 0) + (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    return taken


with Laboratory(max_connections=arguments.readers + 100) as laboratory:
    watcher = Watcher(laboratory)
    assert watcher.wait_for("control", 10)
    readers = laboratory.start(
        [program("readers"), f"127.0.0.1:{laboratory.port}", arguments.readers],
        stdout=subprocess.PIPE, text=True,
    )
    assert readers.stdout.readline().strip() == "ready"
    newest = []
    threading.Thread(target=lambda: [newest.append(text.strip()) for text in readers.stdout], daemon=True).start()
    before, sent, started = processor_time(laboratory.daemon), laboratory.status()["clients"]["messages_sent"], time.monotonic()
    results = stops(laboratory, watcher, arguments.trials, fresh=True)
    print(f"{arguments.readers} readers, {load()}; last second: {newest[-1] if newest else 'none'}")
    row, in_force = line("in force within 20 ms", results, 0, 20)
    print(row)
    row, seen = line("seen by a fresh client within 50 ms", results, 1, 50)
    print(row)
    clients, seconds = laboratory.status()["clients"], time.monotonic() - started
    print(f"{(clients['messages_sent'] - sent) / seconds:.0f} messages a second; of a processor:", {
        name: f"{(taken - before.get(name, 0)) / seconds:.1%}"
        for name, taken in processor_time(laboratory.daemon).items() if name.startswith("kalmind")
    })
    print({name: clients[name] for name in ("open_websockets", "messages_sent", "gaps", "states_missed")})
sys.exit(min(in_force, seen) < 0.99 * arguments.trials)
