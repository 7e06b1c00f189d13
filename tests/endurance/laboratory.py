"""A daemon in `control` with a moving cursor, on a loopback network of its own, for the scripts beside this one.

The stream comes from tests/python/outlet.py at 50 Hz, the model is fixtures/models/kalman.safetensors. With `--server-only`
the program `fake_session` of tests/tools takes the daemon's place: the same server with ticks made up. Everything that is
started is ended by its process, the daemon last.
"""
import contextlib
import json
import os
import random
import socket
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

ROOT = Path(__file__).resolve().parents[2]
TOKEN = "0123456789abcdef0123456789abcdef"
SERVER_ONLY = "--server-only" in sys.argv
if SERVER_ONLY:
    sys.argv.remove("--server-only")
KALMIND = None
if "--kalmind" in sys.argv:
    at = sys.argv.index("--kalmind")
    KALMIND = Path(sys.argv[at + 1]).resolve()
    del sys.argv[at : at + 2]


def program(name="kalmind"):
    """The program (`--kalmind FILE`, else its newest build), or the newest build of one of tests/tools."""
    if name == "kalmind" and KALMIND:
        return KALMIND
    built = [path for kind in ("release", "debug") if (path := ROOT / "target" / kind / name).exists()]
    if not built:
        sys.exit(f"build {name} first: cargo build --release [-p kalmind-tools]")
    return max(built, key=lambda path: path.stat().st_mtime)


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Laboratory:
    """`with Laboratory(max_connections=64) as laboratory`: outlet and daemon run, and the cursor is in `control`."""

    def __init__(self, **server):
        self.folder = tempfile.TemporaryDirectory(prefix="kalmind-endurance-")
        self.port = free_port()
        self.address = ("127.0.0.1", self.port)
        self.url = f"ws://127.0.0.1:{self.port}/v1/state"
        self.processes = []
        name, path = f"endurance-{os.getpid()}", Path(self.folder.name)
        base = 21000 + random.randrange(300) * 32
        (path / "lsl_api.cfg").write_text(
            f"[ports]\nIPv6 = disable\nBasePort = {base}\nPortRange = 32\n"
            f"[multicast]\nResolveScope = machine\n[lab]\nKnownPeers = {{127.0.0.1}}\nSessionID = {name}\n"
        )
        more = "".join(f"server.{key} = {value}\n" for key, value in server.items())
        (path / "kalmind.toml").write_text(
            f'start = "control"\ninstance.name = "{name}"\nserver.bind = "127.0.0.1:{self.port}"\n'
            f'server.token = "{TOKEN}"\nsafety.stale_after_ms = 60000\n{more}'
            f'decoder.model = "{ROOT}/fixtures/models/kalman.safetensors"\n[[stream]]\nname = "{name}"\n'
        )
        self.environment = {**os.environ, "LSLAPICFG": str(path / "lsl_api.cfg")}
        self.name, self.connections = name, server.get("max_connections", 64)

    def __enter__(self):
        if SERVER_ONLY:
            self.daemon = self.start([program("fake_session"), self.port, self.connections], stdout=subprocess.DEVNULL)
        else:
            self.start_daemon()
        for _ in range(300):
            try:
                with connect(self.url) as client:
                    while json.loads(client.recv(timeout=30)).get("state") != "control":
                        pass
                return self
            except OSError:
                time.sleep(0.2)
        self.__exit__()
        sys.exit("the daemon did not start")

    def start_daemon(self):
        outlet = self.start([sys.executable, ROOT / "tests/python/outlet.py", "--name", self.name], stdin=subprocess.PIPE,
                            stdout=subprocess.PIPE, text=True)
        assert outlet.stdout.readline().strip() == "ready"
        log = open(Path(self.folder.name) / "log", "w")
        self.daemon = self.start([program(), "run", "--config", "kalmind.toml", "--wait", "30"], stdout=log, stderr=log)

    def start(self, command, **options):
        process = subprocess.Popen([str(part) for part in command], cwd=self.folder.name, env=self.environment, **options)
        self.processes.append(process)
        return process

    def __exit__(self, *_):
        for process in reversed(self.processes):
            process.terminate()
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
        self.folder.cleanup()

    def request(self, text):
        """Sends a request over a new connection; the answer's status line, empty where there was none."""
        with socket.create_connection(self.address, timeout=3) as connection:
            connection.sendall(text.format(host=f"127.0.0.1:{self.port}").encode())
            return connection.recv(4096).split(b"\r\n")[0].decode()

    def status(self):
        """The status document; asked for again where too many had asked just before."""
        while "clients" not in (answer := self.read_status()):
            time.sleep(1)
        return answer

    def read_status(self):
        with socket.create_connection(self.address, timeout=10) as connection:
            request = f"GET /v1/status HTTP/1.1\r\nhost: 127.0.0.1:{self.port}\r\nconnection: close\r\n\r\n"
            connection.sendall(request.encode())
            answer = b""
            while part := connection.recv(65536):
                answer += part
        return json.loads(answer.split(b"\r\n\r\n", 1)[1])


class Watcher:
    """A client that reads everything and notes when the state changes. Times are on the LSL clock, which on Linux is
    Python's `time.monotonic`."""

    def __init__(self, laboratory, query=""):
        self.socket = connect(laboratory.url + query, subprotocols=["kalmind.v1", f"kalmind.token.{TOKEN}"], max_queue=None)
        self.changed = threading.Condition()
        self.state, self.sent, self.arrived, self.missed = None, 0.0, 0.0, 0
        self.changes = []
        threading.Thread(target=self.read, daemon=True).start()

    def read(self):
        try:
            for text in self.socket:
                arrived, message = time.monotonic(), json.loads(text)
                if message["type"] == "gap":
                    self.missed += message["missed"]
                if message["type"] == "event" and message["kind"] in ("state", "fault"):
                    with self.changed:
                        self.changes.append((message["data"]["state"], message["time"]))
                        self.changed.notify_all()
                if message["type"] in ("hello", "state", "heartbeat") and message["state"] != self.state:
                    with self.changed:
                        self.state, self.sent, self.arrived = message["state"], message["sent"], arrived
                        self.changed.notify_all()
        except ConnectionClosed as ending:
            with self.changed:
                self.state = f"closed: {ending}"
                self.changed.notify_all()

    def wait_for(self, state, seconds):
        """Whether `state` came within so many seconds."""
        with self.changed:
            return self.changed.wait_for(lambda: self.state == state or str(self.state).startswith("closed"), seconds) \
                and self.state == state

    def in_force(self, state, since, seconds):
        """When `state` was in force, as the event of the change says; None where none says so within so many seconds."""
        def told():
            return next((time for changed, time in self.changes if changed == state and time >= since), None)

        with self.changed:
            self.changed.wait_for(lambda: told() is not None, seconds)
            return told()

    def resume(self):
        for _ in range(20):
            self.socket.send('{"type":"control","state":"control"}')
            if self.wait_for("control", 1):
                return
        sys.exit(f"the daemon did not resume: {self.state}")

    def close(self):
        self.socket.close()


def load():
    return "load of the machine {:.1f} on {} processors".format(os.getloadavg()[0], os.cpu_count())


def stops(laboratory, watcher, trials, fresh=False):
    """Stops `trials` times over new connections, and resumes each time. For each, in ms: until the stop was in force (the
    time of its event; where nothing makes events, `sent` of the first message that says so), and until the watcher
    had it; None where it did not come within 3 s.
    `fresh`: a watcher of its own, connected for each stop. At real-time priority where the system gives it, so that the
    daemon is measured and not this script."""
    with real_time():
        return [one_stop(laboratory, watcher, fresh) for _ in range(trials)]


@contextlib.contextmanager
def real_time():
    """The calling thread, and those it starts, at real-time priority."""
    try:
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))
    except PermissionError:
        print("no real-time priority: the script's own waiting for a processor is in the figures")
    try:
        yield
    finally:
        os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))


def one_stop(laboratory, watcher, fresh):
    """One stop, and the resume after it; see `stops`."""
    seen_by = Watcher(laboratory) if fresh else watcher
    if fresh:
        assert seen_by.wait_for("control", 5)
    time.sleep(random.uniform(0.02, 0.06))
    asked, result = time.monotonic(), None
    try:
        laboratory.request("POST /v1/stop HTTP/1.1\r\nhost: {host}\r\ncontent-length: 0\r\n\r\n")
    except OSError:
        pass
    if seen_by.wait_for("hold", 3):
        in_force = seen_by.sent if SERVER_ONLY else seen_by.in_force("hold", asked, 3)
        result = (((in_force or seen_by.sent) - asked) * 1e3, (seen_by.arrived - asked) * 1e3)
    if fresh:
        seen_by.close()
    watcher.wait_for("hold", 3)
    watcher.resume()
    return result


def line(name, results, which, limit):
    """One row of the table, and how many came within the limit."""
    times = sorted(result[which] for result in results if result)
    within = sum(milliseconds <= limit for milliseconds in times)
    if not times:
        return f"{name:34} {0:4} of {len(results)}", 0
    row = f"{name:34} {within:4} of {len(results)}   median {times[len(times) // 2]:7.2f} ms   max {times[-1]:8.2f} ms"
    return row + f"   never {len(results) - len(times)}", within
