#!/usr/bin/env python3
"""What broadband costs: 96 channels at 30 kHz, blanked, through a band-pass, a regression reference, spikes and powers.

    KALMIND=target/release/kalmind benches/signals/cost.py file [--seconds 20]     # `kalmind features`, one thread
    KALMIND=target/release/kalmind benches/signals/cost.py live [--seconds 120] [--chunk-ms 1] [--patient]    # `kalmind run`, fed by pylsl

`live` runs three times: without stages, with the chain and no recording, and with the chain and the stream recorded as it is
received. Processor time is that of the daemon's threads, from 10 s after the first sample on. Latency is the daemon's own ledger.
"""

import argparse
import json
import pathlib
import subprocess
import sys
import tempfile
import time

import numpy

from program import KALMIND, configure, kalmind, processor, write_json, write_xdf
from laboratory import Daemon, Network, load, wait_until

CHANNELS, RATE = 96, 30000
NAME = "signals-broadband"
STAGES = [
    'stage = "blank", saturation = 8000, blank_ms = 2',
    'stage = "filter", kind = "band_pass", hz = [250, 5000], order = {order}',
    # as a ridge regression would have them: small, and none for a channel itself
    'stage = "reference", kind = "regression", arrays = [[0, 96]], weights = '
    + str([[0.0 if to == of else (to * 31 + of * 17) % 13 / 13 / 96 for of in range(CHANNELS)] for to in range(CHANNELS)]),
    'stage = "spikes", scales = [10], multiple = -4.5, refractory_ms = 1, power = true',
]
SOURCE = """
import sys, time, numpy, pylsl
channels, rate, seconds, chunk = 96, 30000, float(sys.argv[1]), int(sys.argv[2])
random = numpy.random.default_rng(1)
rows = (10 * random.standard_normal((rate, channels))).astype(numpy.float32)
for _ in range(10 * channels):
    at = random.integers(rate - 20)
    rows[at : at + 6, random.integers(channels)] -= 80
info = pylsl.StreamInfo("%s", "Broadband", channels, rate, "float32", "signals")
parent = info.desc().append_child("channels")
for channel in range(channels):
    one = parent.append_child("channel")
    one.append_child_value("label", f"e{channel}")
    one.append_child_value("unit", "microvolts")
outlet = pylsl.StreamOutlet(info, chunk, 10)
while not outlet.have_consumers():
    time.sleep(0.05)
begin, pushed, late = pylsl.local_clock(), 0, 0.0
while pushed < seconds * rate:
    due = begin + (pushed + chunk) / rate
    left = due - pylsl.local_clock()
    if left > 0:
        time.sleep(left)
    late = max(late, -left)
    at = pushed %% rate
    outlet.push_chunk(rows[at : at + chunk], due)
    pushed += chunk
time.sleep(1)
print(pushed, late)
sys.stdin.readline()
""" % NAME


def of_file(seconds, order):
    random = numpy.random.default_rng(1)
    block = 10 * random.standard_normal((RATE * 10, CHANNELS), dtype=numpy.float32)
    at = random.integers(len(block), size=10 * 10 * CHANNELS)
    block[at, numpy.arange(len(at)) % CHANNELS] -= 80
    rows = numpy.tile(block, (seconds // 10, 1))
    stages = [stage.replace("{order}", str(order)) for stage in STAGES]
    told = []
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        write_xdf(folder / "r.xdf", RATE, rows)
        configure(folder / "chain.toml", stages)
        configure(folder / "bare.toml", [])
        for name in ["bare", "chain"] * 3:
            begin = time.monotonic()
            _, _, taken = kalmind("features", folder / "r.xdf", "--config", folder / f"{name}.toml", "-o", folder / "x.npz")
            wall = time.monotonic() - begin
            told.append({"what": name, "wall_s": wall, "processor_s": taken, "times_real_time": seconds / taken, "share": taken / seconds, "load": load()})
            print(f"{name}: {taken:.1f} s on a processor, {wall:.1f} s by the clock, {seconds / taken:.1f} times real time, {100 * taken / seconds:.1f} % of a core, load {load()}", flush=True)
    return told


def live(seconds, order, which, patient, chunk_ms):
    stages = [stage.replace("{order}", str(order)) for stage in STAGES]
    told = []
    for name in which:
        with tempfile.TemporaryDirectory() as folder:
            folder = pathlib.Path(folder)
            network = Network(folder)
            more = network.toml() + '\n[server]\nbind = "127.0.0.1:0"\n\n[instance]\nname = "SignalsCost"\n\n[record]\nwhat = "raw"\nfree_hours = 0\n'
            configuration = folder / "live.toml"
            configure(configuration, [] if name == "bare" else stages, more=more)
            configuration.write_text(configuration.read_text().replace('type = "Broadband"', f'name = "{NAME}"' + ("\nbacklog_ms = 10000\nstall_ms = 10000" if patient else "")))
            source = subprocess.Popen(
                [sys.executable, "-c", SOURCE, str(seconds), str(RATE // 1000 * chunk_ms)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=network.environment()
            )
            record = folder / "live.xdf" if name == "chain, recorded raw" else None
            daemon = Daemon(configuration, record=record)
            time.sleep(14)
            begin, threads, memory, before = time.monotonic(), daemon.threads(), daemon.memory_mb(), load()
            wait_until(begin + seconds - 16)
            taken = time.monotonic() - begin
            after, memory_after = daemon.threads(), daemon.memory_mb()
            pushed, late = source.stdout.readline().split()
            summary = daemon.end()
            source.stdin.close()
            source.wait(timeout=10)
            stream = summary["streams"][0]
            shares = {key: 100 * (after[key] - threads.get(key, 0.0)) / taken for key in after}
            found = {
                "what": name, "chunk_ms": chunk_ms, "seconds": taken, "pushed": int(pushed), "source_late_at_most_ms": 1e3 * float(late),
                "counts": {key: stream[key] for key in ["received", "dropped", "late", "missing", "overflows", "reconnects", "health"]},
                "shares_percent": {key: round(share, 2) for key, share in sorted(shares.items(), key=lambda pair: -pair[1]) if share > 0.05},
                "whole_daemon_percent": round(sum(shares.values()), 2),
                "memory_mb": [round(memory, 1), round(memory_after, 1)], "load": [before, load()],
                "summary": {key: summary[key] for key in summary if key not in ["streams", "configuration"]},
            }
            if record:
                found["recording_mb"] = record.stat().st_size / 1e6
            print(json.dumps(found, indent=1), flush=True)
            for line in daemon.said.splitlines():
                if "event_bus" not in line:
                    print(line)
            told.append(found)
    return told


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=["file", "live"])
    parser.add_argument("--seconds", type=int)
    parser.add_argument("--order", type=int, default=2, help="of the band-pass")
    parser.add_argument("--only", nargs="*", default=["bare", "chain", "chain, recorded raw"])
    parser.add_argument("--chunk-ms", type=int, default=1, help="how much is sent at once")
    parser.add_argument("--patient", action="store_true", help="late samples are used, not dropped: for a machine that is busy otherwise")
    parser.add_argument("--json", type=pathlib.Path)
    arguments = parser.parse_args()
    print(f"{processor()}, load {load()}, {KALMIND}")
    if arguments.what == "file":
        told = of_file(arguments.seconds or 20, arguments.order)
    else:
        told = live(arguments.seconds or 120, arguments.order, arguments.only, arguments.patient, arguments.chunk_ms)
    write_json(arguments.json, told)


if __name__ == "__main__":
    main()
