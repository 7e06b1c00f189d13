"""Files with very many parts: reading one twice as large takes about twice as long.

python tests/endurance/hostile_files.py [--kalmind target/release/kalmind]
A CSV with 40,000 named columns and an XDF file with 100,000 streams, each beside one of half the size. Prints seconds, and ends with
code 1 where doubling the size more than triples the time (and that time is not too short to tell).
"""
import argparse
import os
import struct
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def chunk(tag, content):
    return b"\x04" + struct.pack("<I", len(content) + 2) + struct.pack("<H", tag) + content


def xdf(path, streams):
    with open(path, "wb") as file:
        file.write(b"XDF:")
        file.write(chunk(1, b"<?xml version='1.0'?><info><version>1.0</version></info>"))
        for number in range(1, streams + 1):
            header = f"<info><name>S{number}</name><type>T</type><channel_count>1</channel_count><nominal_srate>0</nominal_srate>" \
                     f"<channel_format>double64</channel_format></info>"
            file.write(chunk(2, struct.pack("<I", number) + header.encode()))
        for number in range(1, streams + 1):
            sample = b"\x01\x01\x08" + struct.pack("<d", number) + struct.pack("<d", 1.5)
            file.write(chunk(3, struct.pack("<I", number) + sample))
            footer = b"<info><first_timestamp>1</first_timestamp><last_timestamp>1</last_timestamp><sample_count>1</sample_count></info>"
            file.write(chunk(6, struct.pack("<I", number) + footer))


def csv(path, columns):
    with open(path, "w") as file:
        file.write(",".join(f"channel{number}" for number in range(columns)) + "\n")
        for row in range(3):
            file.write(",".join(str((row * number) % 7) for number in range(columns)) + "\n")


def seconds(command, folder):
    best = float("inf")
    for _ in range(3):
        begin = time.monotonic()
        subprocess.run(command, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, timeout=300)
        best = min(best, time.monotonic() - begin)
    return best


parser = argparse.ArgumentParser()
parser.add_argument("--kalmind", default=str(ROOT / "target/release/kalmind"))
kalmind = str(Path(parser.parse_args().kalmind).resolve())
print(f"load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")
missed = []
with tempfile.TemporaryDirectory() as folder:
    path = Path(folder)
    (path / "z.csv").write_text("vx,vy\n1,2\n2,1\n3,3\n")
    for size in (20_000, 40_000):
        csv(path / f"{size}.csv", size)
    for size in (50_000, 100_000):
        xdf(path / f"{size}.xdf", size)
    fit = [kalmind, "fit", "--states", "z.csv", "--rate", "50", "--decoder", "kalman", "-o", "m", "--features"]
    for what, command, half, whole in [
        ("CSV, named columns", fit, "20000.csv", "40000.csv"),
        ("XDF, streams: check", [kalmind, "recording", "check"], "50000.xdf", "100000.xdf"),
        ("XDF, streams: info", [kalmind, "recording", "info"], "50000.xdf", "100000.xdf"),
        ("XDF, streams: states of a stream", [kalmind, "fit", "--states-stream", "S1", "--decoder", "kalman", "-o", "m"],
         "50000.xdf", "100000.xdf"),
    ]:
        small, large = seconds([*command, half], folder), seconds([*command, whole], folder)
        print(f"{what}: {half} {small:.2f} s, {whole} {large:.2f} s", flush=True)
        if large > 3 * small and large > 1:
            missed.append(what)
if missed:
    sys.exit("more than three times as long for twice the size: " + "; ".join(missed))
