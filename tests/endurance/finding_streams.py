"""How long a run takes from its start to the streams and to the first tick, in every network setting.

python finding_streams.py [--kalmind target/release/kalmind] [--repeat 3] [--limit 1.5]
Starts an outlet of its own (pylsl) for each setting, then `kalmind run`, and prints one line a setting: seconds from the first
line of the daemon to its page (`found`), and to the first tick (`tick`), the worst of the repeats. Ends with 1 where a
stream was found later than the limit. Run it on a quiet machine: it measures.
"""
import argparse
import json
import os
import pathlib
import re
import subprocess
import sys
import tempfile
import time
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parents[2]
SESSION = f"finding-{os.getpid()}"
PEERS = "[lab]\nKnownPeers = {127.0.0.1}\nSessionID = %s\n" % SESSION
# name: ([lsl] of the configuration, text of a foreign LSLAPICFG or None)
SETTINGS = {
    "loopback": ("loopback", None),
    "machine": ("machine", None),
    "lab": ("lab", None),
    "lab, known_peers": ("lab\"\nknown_peers = [\"127.0.0.1\"]\n#", None),
    "foreign, KnownPeers": ("lab", "[multicast]\nResolveScope = machine\n" + PEERS),
    "foreign, KnownPeers, no IPv6": ("lab", "[ports]\nIPv6 = disable\n[multicast]\nResolveScope = machine\n" + PEERS),
    "foreign, KnownPeers, IPv6 forced": ("lab", "[ports]\nIPv6 = force\n[multicast]\nResolveScope = machine\n[lab]\nKnownPeers = {::1}\nSessionID = %s\n" % SESSION),
    "foreign, KnownPeers, no multicast": (
        "lab",
        "[ports]\nIPv6 = disable\n[multicast]\nResolveScope = machine\nAddressesOverride = {127.0.0.9}\n" + PEERS,
    ),
}


def arguments():
    parser = argparse.ArgumentParser()
    parser.add_argument("--kalmind", default=ROOT / "target/release/kalmind", type=pathlib.Path)
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--limit", type=float, default=1.5)
    return parser.parse_args()


def environment(folder, foreign):
    settings = {key: value for key, value in os.environ.items() if key != "LSLAPICFG"}
    if foreign is not None:
        path = folder / "foreign.cfg"
        path.write_text(foreign + "[log]\nlevel = -2\n")
        settings["LSLAPICFG"] = str(path)
    return settings


def measure(options, folder, network, foreign):
    configuration = folder / "kalmind.toml"
    configuration.write_text(
        f'instance.name = "{SESSION}"\nserver.bind = "127.0.0.1:0"\n[lsl]\nnetwork = "{network}"\n'
        f'session_id = "{SESSION}"\n[[stream]]\nname = "{SESSION}"\n'
    )
    settings = environment(folder, foreign)
    outlet_settings = dict(settings)
    if foreign is None:
        # the outlet lives with the settings that the daemon writes for itself, as far as sessions go
        path = folder / "outlet.cfg"
        loop = "[ports]\nIPv6 = disable\n[multicast]\nResolveScope = machine\n" if network == "loopback" else ""
        path.write_text(f"{loop}[lab]\nSessionID = {SESSION}\n[log]\nlevel = -2\n")
        outlet_settings["LSLAPICFG"] = str(path)
    # of all outlets of a machine the newest hears some searches alone: another one after it makes it the harder case
    outlets = []
    daemon = None
    try:
        for name in (SESSION, SESSION + "-other"):
            outlets.append(
                subprocess.Popen(
                    [sys.executable, str(ROOT / "tests/python/outlet.py"), "--name", name],
                    env=outlet_settings, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
                )
            )
            assert "ready" in outlets[-1].stdout.readline()
        daemon = subprocess.Popen(
            [str(options.kalmind), "run", "--wait", "20", "--config", str(configuration)],
            env=settings, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
        )
        begun = found = None
        said = []
        for line in daemon.stderr:
            said.append(line)
            if begun is None and "looking for the streams" in line:
                begun = time.monotonic()
            address = re.search(r"page: (http://[^/]+)/", line)
            if address:
                found = time.monotonic()
                break
        if found is None:
            raise SystemExit("the daemon did not start:\n" + "".join(said))
        while True:
            with urllib.request.urlopen(address.group(1) + "/v1/status") as answer:
                if json.load(answer)["tick"]["ticks"] > 0:
                    return found - begun, time.monotonic() - begun
            time.sleep(0.02)
    finally:
        for process in (daemon, *outlets):
            if process:
                process.terminate()
                process.communicate()


def main():
    options = arguments()
    missed = False
    with tempfile.TemporaryDirectory() as folder:
        for name, (network, foreign) in SETTINGS.items():
            runs = [measure(options, pathlib.Path(folder), network, foreign) for _ in range(options.repeat)]
            found, tick = (max(values) for values in zip(*runs))
            missed |= found > options.limit
            print(f"{name:<36} found {found:5.2f} s   first tick {tick:5.2f} s", flush=True)
    sys.exit(1 if missed else 0)


if __name__ == "__main__":
    main()
