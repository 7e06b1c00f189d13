"""A loopback network of its own for one measurement, the daemon on it, and what /proc says of its threads."""

import contextlib
import json
import os
import pathlib
import random
import signal
import subprocess
import sys
import time

from program import KALMIND


class Network:
    """LSL on the loopback interface alone, with a session of its own, so that nothing else is heard or disturbed."""

    def __init__(self, folder):
        base = 21000 + random.randrange(500) * 48
        self.session, self.base, self.multicast = f"signals-{os.getpid()}", base, base + 47
        self.file = pathlib.Path(folder) / "lsl.cfg"
        self.file.write_text(
            f"[ports]\nMulticastPort = {self.multicast}\nBasePort = {base}\nPortRange = 40\n[multicast]\nResolveScope = machine\n"
            f"AddressesOverride = {{127.0.0.1}}\n[lab]\nKnownPeers = {{127.0.0.1}}\nSessionID = {self.session}\n",
            encoding="utf-8",
        )

    def toml(self):
        """The same for the daemon's configuration."""
        return (
            f'\n[lsl]\nnetwork = "loopback"\nsession_id = "{self.session}"\nbase_port = {self.base}\nport_range = 40\n'
            f"multicast_port = {self.multicast}\n"
        )

    def environment(self):
        """For another program."""
        return os.environ | {"LSLAPICFG": str(self.file)}


class Daemon:
    """`kalmind run`, ended by its process; its summary is in `summary` afterwards."""

    def __init__(self, configuration, record=None, wait=30):
        command = [KALMIND, "run", "--config", str(configuration), "--wait", str(wait), "--json"]
        if record:
            command += ["--record", str(record)]
        environment = {name: value for name, value in os.environ.items() if name != "LSLAPICFG"}
        self.log = open(f"{configuration}.log", "w+", encoding="utf-8")
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=self.log, text=True, env=environment)
        self.summary, self.said = None, ""

    def end(self):
        """Asks it to end, and waits until it has."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
        with contextlib.suppress(subprocess.TimeoutExpired):
            out, _ = self.process.communicate(timeout=30)
            self.log.seek(0)
            self.said = self.log.read()
            try:
                self.summary = json.loads(out)
            except ValueError:
                sys.exit(f"kalmind run ended with {self.process.returncode}:\n{self.said}")
            return self.summary
        self.process.kill()
        sys.exit("kalmind run did not end within 30 s")

    def threads(self):
        """Seconds on a processor so far, by thread: liblsl's bear the name of the thread that started them, and a higher number."""
        ticks, taken = os.sysconf("SC_CLK_TCK"), {}
        for task in pathlib.Path(f"/proc/{self.process.pid}/task").iterdir():
            with contextlib.suppress(OSError):
                name, rest = (task / "stat").read_text().split("(", 1)[1].rsplit(")", 1)
                fields = rest.split()
                # schedstat counts in nanoseconds, stat in hundredths of a second
                try:
                    spent = int((task / "schedstat").read_text().split()[0]) / 1e9
                except OSError:
                    spent = (int(fields[11]) + int(fields[12])) / ticks
                taken[f"{name} {int(task.name) - self.process.pid}"] = spent
        return taken

    def memory_mb(self):
        for line in pathlib.Path(f"/proc/{self.process.pid}/status").read_text().splitlines():
            if line.startswith("VmRSS"):
                return int(line.split()[1]) / 1024
        return float("nan")


def load():
    return " ".join(pathlib.Path("/proc/loadavg").read_text().split()[:3])


def wait_until(deadline):
    while (left := deadline - time.monotonic()) > 0:
        time.sleep(min(left, 0.5))
