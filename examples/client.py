"""What an app starts from: follows Kalmind's cursor, counts presses, and can stop it.

    pip install websockets; python client.py [HOST:PORT]        Enter stops the cursor, Ctrl-C ends the client
    pip install pylsl; python client.py --lsl [STREAM]          the same cursor over LSL, with nothing to steer
"""
import json
import sys
import threading
import time
import urllib.request

# Kalmind sends something at least every 100 ms, with or without a signal: after so many seconds the connection is dead.
SILENCE = 1.0


class App:
    """What an app keeps: where its cursor is, and the presses made while it was connected."""

    def __init__(self):
        self.position, self.presses, self.counter, self.shown = [0.0, 0.0], 0, None, None

    def handle(self, message):
        if message["type"] == "hello":
            decoder = (message["decoder"] or {"name": "none"})["name"]
            say(f"connected: Kalmind {message['version']}, decoder {decoder}, {message['bin_ms']:g} ms a tick")
            self.counter = None
        elif message["type"] == "state":
            # only in `control` does the decoder move the cursor; in every other state ours stays where it is
            if message["state"] == "control":
                self.position = message["position"]
            # the counter tells of every press, whatever states were missed; those before we connected are not ours
            if message["click"]:
                now = message["click"]["presses"]
                self.presses += 0 if self.counter is None else now - self.counter
                self.counter = now
            self.show(message)
        elif message["type"] == "heartbeat":  # there are no ticks: only what state Kalmind is in
            self.show(message)
        elif message["type"] == "event":
            say(f"event {message['kind']}: {json.dumps(message['data'])}")
        elif message["type"] == "gap":
            say(f"gap: {message['missed']} states and {message['missed_events']} events missed")

    def show(self, message):
        """A line when something changes, and one a second."""
        if self.shown != (shown := (message["state"], self.presses, int(message["sent"]))):
            self.shown, (x, y) = shown, self.position
            say(f"{message['state']} ({message['reason'] or ''}): cursor {x:.3f} {y:.3f}, presses {self.presses}")


def say(line):
    print(line, flush=True)


def follow(address, app):
    """One connection, to its end."""
    from websockets.sync.client import connect

    with connect(f"ws://{address}/v1/state?flow=ack") as socket:
        while True:
            message = json.loads(socket.recv(timeout=SILENCE))
            app.handle(message)
            if message["type"] == "state":  # handled: now Kalmind sends the newest, and old ones never queue up for us
                socket.send(json.dumps({"type": "ack", "seq": message["seq"]}))


def stop_on_enter(address):
    """Anybody may stop, without a token. Only the operator resumes."""
    for _ in sys.stdin:
        try:
            urllib.request.urlopen(f"http://{address}/v1/stop", data=b"", timeout=5).close()
        except OSError as error:
            say(f"NOT STOPPED: {error}")


def follow_lsl(name):
    """One sample a tick, and one every 100 ms while there are no ticks."""
    import pylsl

    inlet = pylsl.StreamInlet(pylsl.resolve_byprop("name", name)[0])
    labels = inlet.info().get_channel_labels()
    while True:
        sample, stamp = inlet.pull_sample()
        cursor = dict(zip(labels, sample))
        say(f"{stamp:.3f} s: state {cursor['state']:.0f}, cursor {cursor['x']:.3f} {cursor['y']:.3f}")


if __name__ == "__main__":
    arguments = sys.argv[1:]
    if arguments[:1] == ["--lsl"]:
        follow_lsl((arguments[1:] or ["Kalmind-Cursor"])[0])
    address, app = (arguments or ["127.0.0.1:8765"])[0], App()
    threading.Thread(target=stop_on_enter, args=[address], daemon=True).start()
    while True:
        try:
            follow(address, app)
        except Exception as error:  # whatever it was: the cursor stands still until there is a connection again
            say(f"no connection: {error or type(error).__name__}")
            time.sleep(1)
