"""A daemon whose stderr nobody reads: is a lost sender found again, and does SIGTERM end it?

python blocked_stderr.py [--kalmind target/release/kalmind] [--limit 3]
Fills a pipe, gives it to `kalmind run` as stderr, kills and restarts the sender (pylsl), and prints how long each step took, with
liblsl as talkative as a foreign LSLAPICFG may make it. Ends with 1 where a step took longer than the limit, in seconds.
"""
import argparse
import json
import os
import pathlib
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parents[2]
NAME = f"blocked-{os.getpid()}"
PATIENCE = 30.0


def arguments():
    parser = argparse.ArgumentParser()
    parser.add_argument("--kalmind", default=ROOT / "target/release/kalmind", type=pathlib.Path)
    parser.add_argument("--limit", type=float, default=3.0)
    return parser.parse_args()


def full_pipe():
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    try:
        while True:
            os.write(writing, b"\n")
    except BlockingIOError:
        os.set_blocking(writing, True)
    return reading, writing


def start_sender(settings):
    sender = subprocess.Popen(
        [sys.executable, str(ROOT / "tests/python/outlet.py"), "--name", NAME],
        env=settings, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
    )
    assert b"ready" in sender.stdout.readline()
    return sender


def wait_for(port, what, holds):
    begun = time.monotonic()
    while time.monotonic() - begun < PATIENCE:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/v1/status", timeout=2) as answer:
                if holds(json.load(answer)):
                    return time.monotonic() - begun
        except OSError:
            pass
        time.sleep(0.02)
    raise SystemExit(f"never within {PATIENCE:.0f} s: {what}")


def health(expected):
    return lambda status: status["streams"][0]["health"] == expected


def main():
    options = arguments()
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        (folder / "lsl.cfg").write_text(
            "[ports]\nIPv6 = disable\n[multicast]\nResolveScope = machine\n[lab]\nKnownPeers = {127.0.0.1}\n"
            f"SessionID = {NAME}\n[log]\nlevel = 4\n"
        )
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        (folder / "kalmind.toml").write_text(
            f'instance.name = "{NAME}"\nserver.bind = "127.0.0.1:{port}"\nlog.level = "trace"\n[[stream]]\nname = "{NAME}"\n'
        )
        settings = dict(os.environ, LSLAPICFG=str(folder / "lsl.cfg"))
        sender = start_sender(settings)
        unread, stderr = full_pipe()
        daemon = subprocess.Popen(
            [str(options.kalmind), "run", "--json", "--wait", "20", "--config", str(folder / "kalmind.toml")],
            env=settings, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=stderr,
        )
        os.close(stderr)
        try:
            took = {"running": wait_for(port, "running", health("live"))}
            sender.kill()
            sender.wait()
            took["lost"] = wait_for(port, "the sender is lost", health("lost"))
            sender = start_sender(settings)
            took["found again"] = wait_for(port, "the sender is found again", health("live"))
            begun = time.monotonic()
            daemon.send_signal(signal.SIGTERM)
            result, _ = daemon.communicate(timeout=PATIENCE)
            took["ended"] = time.monotonic() - begun
        finally:
            for process in (daemon, sender):
                process.kill()
                process.wait()
        os.close(unread)
    print("   ".join(f"{step} {seconds:.2f} s" for step, seconds in took.items()))
    print("exit code", daemon.returncode, "- lines of the log dropped:", json.loads(result)["log"]["dropped_lines"])
    sys.exit(0 if daemon.returncode == 0 and max(took.values()) <= options.limit else 1)


if __name__ == "__main__":
    main()
