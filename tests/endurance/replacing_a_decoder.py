"""Kalmind in another decoder's place, configured by docs/replacing-a-decoder.md, against a linear decoder on the same task.

python tests/endurance/replacing_a_decoder.py [--kalmind target/release/kalmind] [--closed 60] [--seeds 1,2,3] [--without-position]
Runs tests/python/foreign_task.py in real time for each seed. Prints the targets held by both, and ends with code 1 where Kalmind
holds fewer than three quarters of what the linear decoder does, or where its outlet stands still in the closed loop.
"""
import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
TASK = ROOT / "tests/python/foreign_task.py"


def configuration(name, position):
    """The page's own configuration, under a name and on a port of its own."""
    page = (ROOT / "docs/replacing-a-decoder.md").read_text()
    toml = re.search(r"```toml\n(.*?)```", page, re.S).group(1).replace('"Lab-', f'"{name}-')
    if not position:
        toml = re.sub(r"\[cursor.position_from\]\n(.+\n)+", "", toml)
    own = f'instance.name = "{name}"\nserver.bind = "127.0.0.1:0"\nsafety.auto_resume_ms = 600000\n'
    return own + toml


def run(arguments, seed):
    name = f"foreign-{os.getpid()}-{seed}"
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        port = 21000 + os.getpid() % 200 * 48
        (folder / "lsl.cfg").write_text(
            f"[ports]\nIPv6 = disable\nBasePort = {port}\nPortRange = 40\nMulticastPort = {port + 41}\n"
            f"[multicast]\nResolveScope = machine\n[lab]\nKnownPeers = {{127.0.0.1}}\nSessionID = {name}\n[log]\nlevel = -2\n"
        )
        (folder / "lab.toml").write_text(configuration(name, not arguments.without_position))
        environment = {**os.environ, "LSLAPICFG": str(folder / "lsl.cfg")}
        options = ["--seed", str(seed), "--open", str(arguments.open), "--closed", str(arguments.closed)]
        task = subprocess.Popen([sys.executable, TASK, "--name", name, *options], env=environment, stdout=subprocess.PIPE, text=True)
        assert task.stdout.readline().strip() == "ready"
        with open(folder / "log", "w") as log:
            command = [arguments.kalmind, "run", "--config", folder / "lab.toml", "--wait", "30"]
            daemon = subprocess.Popen(command, env=environment, stderr=log, stdin=subprocess.DEVNULL)
            try:
                live = json.loads(task.communicate(timeout=300 + arguments.open + arguments.closed)[0])
            finally:
                daemon.terminate()
                ended = daemon.wait(30)
                if task.poll() is None:
                    task.kill()
        if ended != 0:
            print((folder / "log").read_text())
            sys.exit(f"kalmind ended with {ended}")
    ideal = json.loads(subprocess.check_output([sys.executable, TASK, "--alone", *options], text=True))
    return live, ideal


parser = argparse.ArgumentParser()
parser.add_argument("--kalmind", default=str(ROOT / "target/release/kalmind"))
parser.add_argument("--open", type=float, default=30.0)
parser.add_argument("--closed", type=float, default=60.0)
parser.add_argument("--seeds", default="1,2,3")
parser.add_argument("--without-position", action="store_true", help="leave [cursor.position_from] out")
arguments = parser.parse_args()
print(f"load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")
held = ideal = still = ticks = 0
for seed in map(int, arguments.seeds.split(",")):
    live, alone = run(arguments, seed)
    print(f"seed {seed}: Kalmind holds {live['held']} of {live['shown']}, a linear decoder {alone['held']} of {alone['shown']}; "
          f"{live['still']} of {live['ticks']} ticks at 0", flush=True)
    held, ideal, still, ticks = held + live["held"], ideal + alone["held"], still + live["still"], ticks + live["ticks"]
if held < 0.75 * ideal:
    sys.exit(f"{held} held, fewer than three quarters of {ideal}")
if still > 0.02 * ticks:
    sys.exit(f"{still} of {ticks} ticks stand still")
