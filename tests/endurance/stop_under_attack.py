"""STOP over new connections while others do what they can to keep it out.

python tests/endurance/stop_under_attack.py [--trials 100] [--only NAME]
Prints how many of the stops were in force within 50 ms under each attack; ends with 1 where one was not. Loopback only;
each attack lasts as long as its stops, half a minute at most.
"""
import argparse
import json
import multiprocessing
import os
import random
import select
import socket
import sys
import time

from websockets.sync.client import connect

from laboratory import Laboratory, Watcher, line, load, stops

WITHIN_MS = 50
parser = argparse.ArgumentParser()
parser.add_argument("--trials", type=int, default=100)
parser.add_argument("--only", default="")
arguments = parser.parse_args()


def opened(port):
    connection = socket.socket()
    connection.setblocking(False)
    connection.connect_ex(("127.0.0.1", port))
    return connection


def dropped(connection):
    """Whether the server has ended the connection; answers are read and forgotten."""
    try:
        while part := connection.recv(65536):
            pass
        return True
    except BlockingIOError:
        return False
    except OSError:
        return True


def silent(port, rate, say=b""):
    """`rate` new connections a second that say no more than `say`; the newest thousand are kept."""
    kept, started, count = [], time.monotonic(), 0
    while True:
        connection = opened(port)
        kept.append(connection)
        if say:
            select.select([], [connection], [], 1)
            try:
                connection.send(say)
            except OSError:
                pass
        if len(kept) > 1000:
            kept.pop(0).close()
        count += 1
        time.sleep(max(0.0, started + count / rate - time.monotonic()))


def crowd(port, number, begin, drip=b""):
    """`number` connections that say `begin` and then `drip`, a byte every 100 ms; one that is dropped comes again."""
    kept = [(opened(port), 0) for _ in range(number)]
    time.sleep(0.2)
    while True:
        for index, (connection, said) in enumerate(kept):
            if dropped(connection):
                connection.close()
                kept[index] = (opened(port), 0)
                continue
            text = begin + drip
            upto = len(begin) if said == 0 else said + 1
            if said < len(text):
                try:
                    connection.send(text[said:upto])
                    kept[index] = (connection, upto)
                except OSError:
                    pass
        time.sleep(0.1)


def flood(port, connections, pipelined, counted, path="/v1/status"):
    """Requests, `pipelined` at once, over `connections` connections, as fast as they are taken; one that is dropped comes
    again."""
    block = f"GET {path} HTTP/1.1\r\nhost: 127.0.0.1:{port}\r\n\r\n".encode() * pipelined
    poll, open_now, said = select.epoll(), {}, {}

    def join():
        connection = opened(port)
        open_now[connection.fileno()], said[connection.fileno()] = connection, 0
        poll.register(connection, select.EPOLLOUT | select.EPOLLIN)

    def leave(number):
        poll.unregister(number)
        open_now.pop(number).close()
        join()

    for _ in range(connections):
        join()
    while True:
        for number, events in poll.poll(1):
            connection = open_now.get(number)
            if connection is None:
                continue
            if events & ~(select.EPOLLOUT | select.EPOLLIN) or (events & select.EPOLLIN and dropped(connection)):
                leave(number)
                continue
            if events & select.EPOLLOUT:
                try:
                    upto = said[number] + connection.send(block[said[number]:])
                    counted.value += (upto - said[number]) * pipelined // len(block)
                    said[number] = upto % len(block)
                except BlockingIOError:
                    pass
                except OSError:
                    leave(number)


def readers(port, number):
    clients = [connect(f"ws://127.0.0.1:{port}/v1/state?every=10") for _ in range(number)]
    while True:
        for client in clients:
            client.recv(timeout=10)


def foreign_page(port):
    """What a page does that preconnects to many host names of this port, and asks for a picture now and then."""
    kept = []
    while True:
        for number in range(6):
            connection = opened(port)
            kept.append(connection)
            if number == 0:
                select.select([], [connection], [], 1)
                host = f"a{random.randrange(1000)}.localhost:{port}"
                try:
                    connection.send(f"GET /icon.svg HTTP/1.1\r\nhost: {host}\r\n\r\n".encode())
                except OSError:
                    pass
        kept = kept[-600:]
        time.sleep(0.1)


HEAD = b"GET /v1/status HTTP/1.1\r\nhost: 127.0.0.1:%d\r\n"


def counter():
    """Requests that one process has sent; a lock of its own would be left locked when the process is ended."""
    return multiprocessing.Value("q", 0, lock=False)


def attacks(port):
    head = HEAD % port
    slow = head + b"x-slow: " + b"a" * 10_000
    return {
        "nothing": [],
        "60 silent a second": [(silent, port, 60)],
        "200 silent a second": [(silent, port, 200)],
        "2000 silent a second": [(silent, port, 2000)],
        "60 half a STOP a second": [(silent, port, 60, b"POST /v1/stop HTTP/1.1\r\nhost:")],
        "62 readers, 40 silent a second": [(readers, port, 62), (silent, port, 40)],
        "200 half-open": [(crowd, port, 200, b"")],
        "200 slow headers": [(crowd, port, 200, head, slow[len(head):])],
        "200 idle that reconnect": [(crowd, port, 200, head + b"\r\n")],
        "200 slow bodies": [(crowd, port, 200, head.replace(b"GET", b"POST") + b"content-length: 9000\r\n\r\n", b"a" * 9000)],
        "a foreign page preconnects": [(foreign_page, port)],
        "flood of requests, 16 connections": [(flood, port, 8, 500, counter()), (flood, port, 8, 500, counter())],
        "flood of requests, 200 connections": [(flood, port, 100, 100, counter()), (flood, port, 100, 100, counter())],
        "flood of pages, 16 connections": [(flood, port, 16, 50, counter(), "/view.js")],
        "flood of connections": [(flood, port, 50, 1, counter()), (silent, port, 20_000)],
    }


failed = False
with Laboratory() as laboratory:
    watcher = Watcher(laboratory)
    assert watcher.wait_for("control", 10)
    print(f"STOPs in force within {WITHIN_MS} ms ({load()}):")
    for name, processes in attacks(laboratory.port).items():
        if arguments.only not in name:
            continue
        running = [multiprocessing.Process(target=work, args=rest, daemon=True) for work, *rest in processes]
        for process in running:
            process.start()
        if running:
            time.sleep(2)
        counters = [argument for work, *rest in processes if work is flood for argument in rest if hasattr(argument, "value")]
        sent, started = sum(counted.value for counted in counters), time.monotonic()
        results = stops(laboratory, watcher, arguments.trials)
        rate = (sum(counted.value for counted in counters) - sent) / (time.monotonic() - started)
        for process in running:
            assert process.is_alive(), f"the attack \"{name}\" ended by itself"
            process.kill()
            process.join()
        row, within = line(name, results, 0, WITHIN_MS)
        print(row + (f"   {rate:8.0f} requests/s sent" if rate else "") + f"   load {os.getloadavg()[0]:.1f}", flush=True)
        failed |= within < len(results)
    print(json.dumps(laboratory.status()["clients"]))
    watcher.close()
sys.exit(failed)
