"""Senders that push in chunks, as most amplifiers do: what becomes of their samples and bins.

python tests/endurance/chunked_senders.py [--kalmind target/release/kalmind] [--seconds 8] [--only TEXT]
Needs the peers of the tests (.venv). Each case is a daemon and a sender of its own on the loopback interface, one after the
other. Prints for each the bins that were incomplete, the samples lost, how often the state of the stream or the output changed,
and the delay that the daemon shows, all after the first seconds, in which it measures how the stream arrives. Exit code 1
where a bin was incomplete, a sample lost, or a state changed.
"""
import argparse
import json
import os
import pathlib
import re
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request

HERE = pathlib.Path(__file__).resolve()
ROOT = HERE.parents[2]
STREAMS = {
    "250 Hz mean": {"rate": 250, "channels": 8, "binning": "mean"},
    "30 kHz x 96 sum": {"rate": 30000, "channels": 96, "binning": "sum"},
    "50 Hz sample": {"rate": 50, "channels": 8, "binning": "sample"},
}
CHUNKS_MS = [10, 20, 40, 100, 200, 500]


def send(name, rate, channels, chunk_ms):
    """Pushes chunks for ever, each when its last sample is due, stamped as a device stamps it."""
    import numpy
    import pylsl

    count = max(round(rate * chunk_ms / 1000), 1)
    outlet = pylsl.StreamOutlet(pylsl.StreamInfo(name, "EEG", channels, rate, "float32", name))
    data = numpy.random.default_rng(1).normal(size=(count, channels)).astype(numpy.float32)
    print("ready", flush=True)
    start, pushed = pylsl.local_clock(), 0
    while True:
        newest = start + (pushed + count - 1) / rate
        time.sleep(max(newest - pylsl.local_clock(), 0))
        # liblsl itself spreads the chunk's stamps back from that of its last sample
        outlet.push_chunk(data, newest)
        pushed += count


def free_port(kind):
    with socket.socket(socket.AF_INET, kind) as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Case:
    """A sender and a daemon that decodes from it."""

    def __init__(self, folder, kalmind, stream, chunk_ms):
        self.name = f"chunks-{os.getpid()}-{time.monotonic_ns()}"
        multicast = free_port(socket.SOCK_DGRAM)
        settings = folder / "lsl_api.cfg"
        settings.write_text(
            f"[ports]\nIPv6 = disable\nMulticastPort = {multicast}\nBasePort = {20000 + multicast % 300 * 32}\nPortRange = 32\n"
            "[multicast]\nResolveScope = machine\n[lab]\nKnownPeers = {127.0.0.1}\n"
            f"SessionID = {self.name}\n"
        )
        environment = {**os.environ, "LSLAPICFG": str(settings)}
        configuration = folder / "kalmind.toml"
        configuration.write_text(
            f'instance.name = "{self.name}"\nserver.bind = "127.0.0.1:0"\nlog.level = "warn"\n'
            f'[[stream]]\nname = "{self.name}"\nbinning = "{stream["binning"]}"\n'
        )
        self.log = folder / "log"
        self.sender = subprocess.Popen(
            [sys.executable, HERE, "--send", self.name, str(stream["rate"]), str(stream["channels"]), str(chunk_ms)],
            env=environment, stdout=subprocess.PIPE, text=True)
        self.sender.stdout.readline()
        self.daemon = subprocess.Popen(
            [kalmind, "run", "--config", configuration, "--wait", "20"],
            env=environment, stdout=subprocess.DEVNULL, stderr=self.log.open("w"))
        deadline = time.monotonic() + 60
        self.address = None
        while self.address is None:
            if self.daemon.poll() is not None or time.monotonic() > deadline:
                raise SystemExit(f"the daemon did not start:\n{self.log.read_text()}")
            found = re.search(r"page: (http://[^/]+)/", self.log.read_text())
            self.address = found and found[1]
            time.sleep(0.05)

    def status(self):
        with urllib.request.urlopen(f"{self.address}/v1/status", timeout=10) as answer:
            return json.load(answer)

    def end(self):
        self.daemon.send_signal(signal.SIGTERM)
        self.daemon.wait(20)
        self.sender.kill()
        self.sender.wait()


def losses(status):
    stream = status["streams"][0]
    return sum(stream[name] for name in ("missing", "dropped", "late"))


def settled(case):
    """The status once how the stream arrives has been measured, five seconds after the first tick at most."""
    deadline = time.monotonic() + 8
    while True:
        status = case.status()
        measured = status.get("input", {}).get("delay_ms") is not None
        if measured or time.monotonic() > deadline:
            time.sleep(1.0)
            return case.status()
        time.sleep(0.1)


def run(kalmind, stream, chunk_ms, seconds):
    with tempfile.TemporaryDirectory() as folder:
        case = Case(pathlib.Path(folder), kalmind, stream, chunk_ms)
        try:
            before = settled(case)
            shown, changes, deadline = None, [], time.monotonic() + seconds
            while time.monotonic() < deadline:
                status = case.status()
                now = (status["streams"][0]["health"], status["state"])
                if shown not in (None, now):
                    changes.append(now)
                shown = now
                time.sleep(0.02)
            after = case.status()
        finally:
            case.end()
    tick = lambda name: after["tick"][name] - before["tick"][name]
    received = after["streams"][0]["received"] - before["streams"][0]["received"]
    return {
        "bins": tick("ticks"), "incomplete": tick("incomplete"), "late_ticks": tick("late"),
        "received": received, "lost": losses(after) - losses(before), "lost_in_all": losses(after),
        "changes": changes, "delay_ms": after.get("input", {}).get("delay_ms"),
        "max_wait_ms": after.get("input", {}).get("max_wait_ms"), "health": shown,
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kalmind", default=ROOT / "target/release/kalmind")
    parser.add_argument("--seconds", type=float, default=8)
    parser.add_argument("--only", default="")
    arguments = parser.parse_args()
    failed = 0
    print(f"load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")
    print(f"{'stream':<17}{'chunk':>7}{'bins':>6}{'incomplete':>12}{'samples':>9}{'lost':>7}{'at start':>9}{'changes':>9}{'delay':>8}{'wait':>7}")
    for name, stream in STREAMS.items():
        for chunk_ms in CHUNKS_MS:
            label = f"{name} {chunk_ms}"
            if arguments.only not in label:
                continue
            got = run(arguments.kalmind, stream, chunk_ms, arguments.seconds)
            bad = got["incomplete"] or got["lost"] or got["changes"] or not got["bins"]
            failed += bool(bad)
            number = lambda value: "-" if value is None else f"{value:.0f}"
            print(
                f"{name:<17}{chunk_ms:>4} ms{got['bins']:>6}{got['incomplete']:>12}{got['received']:>9}{got['lost']:>7}"
                f"{got['lost_in_all'] - got['lost']:>9}{len(got['changes']):>9}{number(got['delay_ms']):>8}{number(got['max_wait_ms']):>7}"
                f"  {got['health']} {got['changes'][:6] if got['changes'] else ''}", flush=True)
    print(f"{failed} cases missed" if failed else "all bins complete, nothing lost, no state changed")
    return 1 if failed else 0


if __name__ == "__main__":
    if sys.argv[1:2] == ["--send"]:
        send(sys.argv[2], float(sys.argv[3]), int(sys.argv[4]), float(sys.argv[5]))
    sys.exit(main())
