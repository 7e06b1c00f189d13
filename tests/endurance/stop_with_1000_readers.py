"""STOP while a thousand clients read every tick.

python tests/endurance/stop_with_1000_readers.py [--readers 1000] [--trials 100]
Needs the example: cargo build --release -p kalmind-output --example readers. Prints in how many of the trials STOP was in
force within 20 ms, and in how many a client that had just connected saw it within 50 ms; ends with 1 where fewer than 99
of 100 did.
"""
import argparse
import subprocess
import sys
import threading

from laboratory import Laboratory, Watcher, line, load, program, stops

parser = argparse.ArgumentParser()
parser.add_argument("--readers", type=int, default=1000)
parser.add_argument("--trials", type=int, default=100)
arguments = parser.parse_args()

with Laboratory(max_connections=arguments.readers + 100) as laboratory:
    watcher = Watcher(laboratory)
    assert watcher.wait_for("control", 10)
    readers = laboratory.start(
        [program("examples/readers"), f"127.0.0.1:{laboratory.port}", arguments.readers],
        stdout=subprocess.PIPE, text=True,
    )
    assert readers.stdout.readline().strip() == "ready"
    newest = []
    threading.Thread(target=lambda: [newest.append(text.strip()) for text in readers.stdout], daemon=True).start()
    results = stops(laboratory, watcher, arguments.trials, fresh=True)
    print(f"{arguments.readers} readers, {load()}; last second: {newest[-1] if newest else 'none'}")
    row, in_force = line("in force within 20 ms", results, 0, 20)
    print(row)
    row, seen = line("seen by a fresh client within 50 ms", results, 1, 50)
    print(row)
    clients = laboratory.status()["clients"]
    print({name: clients[name] for name in ("open_websockets", "messages_sent", "gaps", "states_missed")})
sys.exit(min(in_force, seen) < 0.99 * arguments.trials)
