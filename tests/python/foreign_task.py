"""A laboratory's own closed loop, made for another decoder: it knows LSL and nothing of Kalmind.

python foreign_task.py --name NAME [--open 30] [--closed 60] [--seed 1]    drives a decoder that listens to it
python foreign_task.py --alone [--closed 60] [--seed 1]                    the same task with a linear decoder of its own, in simulated time

The screen is 1920 x 1200 pixels, y down, 4 pixels a millimetre. The task keeps its cursor itself, in whole pixels: with every
sample of the stream NAME-Velocity (vx, vy in mm a tick, y down) it adds what the sample says, rounds, and stops at the edges of
the screen. It sends a participant's counts (NAME-counts), the cursor (NAME-cursor) and the target (NAME-targets) in pixels, and
texts (NAME-markers) for the beginning and the end of its blocks. Prints a line as each block begins, and one JSON document at
the end.
"""
import argparse
import json
import math
import sys
import time
from collections import deque

import numpy as np

WIDTH, HEIGHT, PIXELS_PER_MM = 1920, 1200, 4
TICK = 0.02
DISTANCE, RADIUS = 400, 120  # pixels: 100 mm and 30 mm
HOLD, TIMEOUT = 0.3, 5.0
UNITS = 96
FASTEST, TIME_CONSTANT = 0.6, 0.4  # screen widths a second, seconds


class Participant:
    """96 units, log-linear in the velocity that brings the cursor to the target; it sees 200 ms late, new targets 250 ms."""

    def __init__(self, seed):
        self.random = np.random.default_rng(seed)
        angles = self.random.uniform(0, 2 * math.pi, UNITS)
        self.directions = np.stack([np.cos(angles), np.sin(angles)], axis=1)
        self.depth = 0.5 * np.abs(self.random.normal(size=UNITS))
        self.depth[self.random.permutation(UNITS)[: UNITS // 4]] = 0
        self.baseline = math.log(8) + 0.6 * self.random.normal(size=UNITS)
        self.loading = self.random.normal(size=UNITS)
        self.drift = self.wander = 0.0
        self.seen, self.targets = deque(maxlen=64), deque(maxlen=64)

    def sees(self, now, cursor, target):
        self.seen.append((now, cursor))
        if not self.targets or self.targets[-1][1] != target:
            self.targets.append((now, target))

    def counts(self, now):
        self.drift = self.drift * math.exp(-TICK / 1.0) + 0.1 * math.sqrt(1 - math.exp(-2 * TICK / 1.0)) * self.random.normal()
        spread = math.radians(10)
        self.wander = self.wander * math.exp(-TICK / 0.3) + spread * math.sqrt(1 - math.exp(-2 * TICK / 0.3)) * self.random.normal()
        intent = np.zeros(2)
        cursor = next((place for when, place in reversed(self.seen) if when <= now - 0.2), None)
        target = next((place for when, place in reversed(self.targets) if when <= now - 0.25), None)
        if cursor is not None and target is not None:
            intent = law(cursor, target)
            c, s = math.cos(self.wander), math.sin(self.wander)
            intent = np.array([c * intent[0] - s * intent[1], s * intent[0] + c * intent[1]])
        log_rate = self.baseline + self.depth * (self.directions @ intent) / FASTEST + self.loading * self.drift
        return self.random.poisson(np.exp(log_rate) * TICK).astype(float)


def law(cursor, target):
    """Velocity from one pixel to another, in screen widths a second, y up."""
    error = np.array([target[0] - cursor[0], cursor[1] - target[1]]) / WIDTH
    velocity = error / TIME_CONSTANT
    speed = np.hypot(*velocity)
    return velocity if speed <= FASTEST else velocity * FASTEST / speed


class Task:
    """From the centre to eight targets and back. A target is held when the cursor stays in it for 0.3 s; after 5 s the cursor is
    put on it."""

    def __init__(self, seed, cursor=(WIDTH // 2, HEIGHT // 2)):
        self.random = np.random.default_rng(1000 + seed)
        self.cursor = np.array(cursor, float)
        self.order, self.outward, self.held, self.shown = [], False, 0, 0
        self.next(0.0)

    def next(self, now):
        self.outward = not self.outward
        self.target = (WIDTH // 2, HEIGHT // 2)
        if self.outward:
            if not self.order:
                self.order = list(self.random.permutation(8))
            angle = self.order.pop() * math.pi / 4
            self.target = (round(WIDTH / 2 + DISTANCE * math.cos(angle)), round(HEIGHT / 2 - DISTANCE * math.sin(angle)))
        self.since, self.inside = now, None
        self.shown += 1

    def step(self, now):
        if math.hypot(self.cursor[0] - self.target[0], self.cursor[1] - self.target[1]) <= RADIUS:
            self.inside = now if self.inside is None else self.inside
            if now - self.inside >= HOLD:
                self.held += 1
                self.next(now)
        else:
            self.inside = None
            if now - self.since >= TIMEOUT:
                self.cursor[:] = self.target
                self.next(now)

    def add(self, vx, vy, whole):
        """What the task does with a velocity in mm a tick, y down."""
        moved = self.cursor + np.array([vx, vy]) * PIXELS_PER_MM
        self.cursor[:] = np.clip(np.round(moved) if whole else moved, 0, [WIDTH, HEIGHT])


def alone(arguments):
    """The same task and participant with a steady Kalman filter, nothing rounded, in simulated time."""
    participant, task = Participant(arguments.seed), Task(arguments.seed)
    features, labels, now = [], [], 0.0
    per_tick = WIDTH * TICK
    for _ in range(round(arguments.open / TICK)):
        participant.sees(now, tuple(task.cursor), task.target)
        label = law(task.cursor, task.target)
        labels.append(label)
        features.append(participant.counts(now))
        task.cursor += np.array([label[0], -label[1]]) * per_tick
        task.step(now)
        now += TICK
    x, z = np.array(features), np.array(labels)
    mean = x.mean(axis=0)
    a = np.linalg.lstsq(z[:-1], z[1:], rcond=None)[0].T
    g = np.cov((z[1:] - z[:-1] @ a.T).T)
    h = np.linalg.lstsq(z, x - mean, rcond=None)[0].T
    q = np.cov((x - mean - z @ h.T).T) + 1e-3 * np.eye(UNITS)
    p = np.eye(2)
    for _ in range(500):
        p = a @ p @ a.T + g
        gain = p @ h.T @ np.linalg.inv(h @ p @ h.T + q)
        p = (np.eye(2) - gain @ h) @ p
    task, state, start = Task(arguments.seed + 1), np.zeros(2), now
    while now < start + arguments.closed:
        participant.sees(now, tuple(task.cursor), task.target)
        state = a @ state
        state = state + gain @ (participant.counts(now) - mean - h @ state)
        velocity = state * min(1.0, 1.0 / max(np.hypot(*state), 1e-12))
        task.add(velocity[0] * per_tick / PIXELS_PER_MM, -velocity[1] * per_tick / PIXELS_PER_MM, whole=False)
        task.step(now - start)
        now += TICK
    return {"held": task.held, "shown": task.shown, "seconds": arguments.closed}


def live(arguments):
    import pylsl

    def outlet(kind, channels, rate, format):
        name = f"{arguments.name}-{kind}"
        return pylsl.StreamOutlet(pylsl.StreamInfo(name, kind, channels, rate, format, name))

    counts = outlet("counts", UNITS, 1 / TICK, "float32")
    cursor = outlet("cursor", 2, 1 / TICK, "float32")
    targets = outlet("targets", 3, 1 / TICK, "float32")
    markers = outlet("markers", 1, 0, "string")
    participant = Participant(arguments.seed)
    task = Task(arguments.seed)
    result = {"ticks": 0, "still": 0, "held": 0, "shown": 0, "seconds": arguments.closed}
    velocity, number, start = None, 0, pylsl.local_clock()
    found = pylsl.ContinuousResolver("name", f"{arguments.name}-Velocity")

    def round_of(block, began, seconds):
        """50 rounds a second until the block is over."""
        nonlocal number, velocity
        while seconds is None or pylsl.local_clock() - began < seconds:
            number += 1
            due = start + number * TICK
            while (left := due - pylsl.local_clock()) > 0:
                time.sleep(left)
            if velocity is None:
                streams = found.results()
                if streams and counts.have_consumers():
                    velocity = pylsl.StreamInlet(streams[0], max_buflen=10)
                    velocity.open_stream(10)
                    return
            else:
                for vx, vy in velocity.pull_chunk(timeout=0.0)[0]:
                    if block is not None:
                        result["ticks"] += block == "closed"
                        result["still"] += block == "closed" and vx == 0 and vy == 0
                        task.add(vx, vy, whole=True)
            if block is not None:
                task.step(due - began)
                participant.sees(due, tuple(task.cursor), task.target)
                targets.push_sample([*task.target, RADIUS], due)
            cursor.push_sample(list(task.cursor), due)
            counts.push_sample(list(participant.counts(due)), due)

    print("ready", flush=True)
    round_of(None, start, None)
    # what followed the streams has had time to connect
    round_of(None, pylsl.local_clock(), arguments.settle)
    for block, seconds in [("open", arguments.open), ("closed", arguments.closed)]:
        task = Task(arguments.seed + (block == "closed"), cursor=tuple(task.cursor))
        markers.push_sample([f"{block} begins"])
        print(f"{block} begins", flush=True)
        round_of(block, pylsl.local_clock(), seconds)
        markers.push_sample([f"{block} ends"])
        if block == "open":
            round_of(None, pylsl.local_clock(), arguments.settle)  # it is fitted
    return {**result, "held": task.held, "shown": task.shown}


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--name")
    parser.add_argument("--alone", action="store_true")
    parser.add_argument("--open", type=float, default=30.0)
    parser.add_argument("--closed", type=float, default=60.0)
    parser.add_argument("--settle", type=float, default=4.0)
    parser.add_argument("--seed", type=int, default=1)
    parsed = parser.parse_args()
    if not parsed.alone and not parsed.name:
        sys.exit("--name or --alone")
    print(json.dumps(alone(parsed) if parsed.alone else live(parsed)), flush=True)
