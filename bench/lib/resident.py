"""Resident: memory and descriptors of `cutover serve` when idle, over a million requests, and under big transfers."""

import os
import re
import socket
import subprocess
import threading
import time

import compare
import cutover
import fpm
import wrk
from process import Failed

HEAD = "| case | what | measured | goal |\n|---|---|---|---|"
MIB = 1 << 20
IDLE = 1_000
REQUESTS = int(os.environ.get("BENCH_REQUESTS", 1_000_000))
FLIPS = int(os.environ.get("BENCH_FLIPS", 10_000))
BIG_MIB = int(os.environ.get("BENCH_BIG_MIB", 2048))


def idle(app, directory):
    """1,000 kept connections, one request done on each."""
    server = cutover.start(directory, app, "off", compare.SERVER_CPU)
    try:
        first = server.rss()
        open_connections = []
        for _ in range(IDLE):
            client = socket.create_connection(("127.0.0.1", server.http))
            client.sendall(b"GET /1k.txt HTTP/1.1\r\nHost: localhost\r\n\r\n")
            open_connections.append(client)
        for client in open_connections:
            answer(client, 1024)
        time.sleep(1)
        now = server.rss()
        fds = server.fds()
        if fds < IDLE:
            raise Failed(f"only {fds} descriptors: the connections were not kept")
        for client in open_connections:
            client.close()
        time.sleep(1)
        return line("idle", f"{IDLE:,} idle connections", f"{mib(now)} resident ({mib(first)} before, {mib(server.rss())} after)",
                    "< 30 MiB", now < 30 * MIB)
    finally:
        server.stop()


def growth(app, directory):
    """A million requests while the link is flipped ten thousand times: nothing may pile up."""
    server = cutover.start(directory, app, "off", compare.SERVER_CPU)
    try:
        url = f"http://127.0.0.1:{server.http}"
        # The first tenth fills caches and arenas; what grows after it is a leak.
        requests, flips = churn(server, app, url, REQUESTS // 10, FLIPS // 10, directory)
        rss, fds = server.rss(), server.fds()
        more_requests, more_flips = churn(server, app, url, REQUESTS, FLIPS, directory)
        grown, more_fds = server.rss() - rss, server.fds() - fds
        return line("growth", f"{more_requests:,} requests, {more_flips:,} flips after the first {requests:,} and {flips:,}",
                    f"{grown / MIB:+.1f} MiB resident (at {mib(rss)}), {more_fds:+d} descriptors (at {fds})",
                    "flat", grown < 2 * MIB and more_fds <= 2)
    finally:
        server.stop()


def churn(server, app, url, requests, flips, directory):
    """Loads until both numbers are reached; returns what was done."""
    flipped, over = 0, threading.Event()

    def flip():
        nonlocal flipped
        while not over.is_set():
            app.flip(app.releases[flipped % len(app.releases)])
            flipped += 1
            time.sleep(0.0005)

    flipper = threading.Thread(target=flip)
    flipper.start()
    done = 0
    try:
        while done < requests or flipped < flips:
            for path in ("/1k.txt", "/100k.txt", "/1k.txt"):
                done += wrk.run(url + path, 64, 2, compare.LOAD_CPU, directory)["requests"]
    finally:
        over.set()
        flipper.join()
    time.sleep(1)
    return done, flipped


def large(app, directory):
    """A big upload to PHP and a big download from it; the server's peak is watched."""
    pool = fpm.start(directory, f"{compare.SERVER_CPU},{compare.LOAD_CPU}")
    try:
        server = cutover.start(directory, app, "off", compare.SERVER_CPU)
        try:
            up = peak_of(server, lambda: upload(server, BIG_MIB))
            down = peak_of(server, lambda: download(server, BIG_MIB))
            slow = peak_of(server, lambda: download(server, BIG_MIB // 4, rest_s=0.002))
        finally:
            server.stop()
    finally:
        pool.stop()
    most = max(up[0], down[0], slow[0])
    return line("large", f"{BIG_MIB:,} MiB up, as much down, a quarter of it to a slow client",
                ", ".join(f"{way} {peak / MIB:+.1f} MiB, {seconds:.1f} s" for way, (peak, seconds) in (("up", up), ("down", down), ("slow", slow))),
                "constant memory", most < 16 * MIB)


def peak_of(server, work):
    """How far the peak rose above what was resident before, and the seconds it took."""
    server.forget_peak()
    before, began = server.rss(), time.monotonic()
    work()
    return server.peak() - before, time.monotonic() - began


def upload(server, mib):
    with socket.create_connection(("127.0.0.1", server.http)) as client:
        client.sendall(f"POST /upload.php HTTP/1.1\r\nHost: localhost\r\nContent-Length: {mib * MIB}\r\n\r\n".encode())
        chunk = bytes(MIB)
        for _ in range(mib):
            client.sendall(chunk)
        head, body = answer(client)
        if body.strip() != str(mib * MIB).encode():
            raise Failed(f"upload of {mib} MiB: PHP read {body[:80]!r}: {head[:200]!r}")


def download(server, mib, rest_s=0.0):
    with socket.create_connection(("127.0.0.1", server.http)) as client:
        client.sendall(f"GET /download.php?mib={mib} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode())
        got = 0
        while chunk := client.recv(MIB):
            got += len(chunk)
            if rest_s:
                time.sleep(rest_s)
        if got < mib * MIB:
            raise Failed(f"download of {mib} MiB: only {got} bytes came")


def answer(client, length=None):
    """Reads one response with Content-Length or chunks (small ones only): its head and its body."""
    data = b""
    while b"\r\n\r\n" not in data:
        data += receive(client)
    head, body = data.split(b"\r\n\r\n", 1)
    if not head.startswith(b"HTTP/1.1 200"):
        raise Failed(f"not a 200: {head[:300]!r}")
    declared = re.search(rb"(?i)\r\ncontent-length: *(\d+)", head)
    if declared:
        while len(body) < int(declared.group(1)):
            body += receive(client)
    else:
        while not body.endswith(b"0\r\n\r\n"):
            body += receive(client)
        body = re.sub(rb"(?m)^[0-9a-f]+\r\n|\r\n$", b"", body).split(b"\r\n")[0]
    if length is not None and len(body) != length:
        raise Failed(f"{len(body)} bytes of {length}")
    return head, body


def receive(client):
    chunk = client.recv(65536)
    if not chunk:
        raise Failed("the connection was closed in mid-answer")
    return chunk


def look(_app, _directory):
    """The cost of a pin when nothing flipped, beside getppid() in the same run."""
    done = subprocess.run(["cargo", "run", "--release", "--locked", "--quiet", "-p", "cutover-serve", "--example", "look"],
                          cwd=os.path.join(os.path.dirname(__file__), "..", ".."), capture_output=True, text=True)
    if done.returncode != 0:
        raise Failed(f"example look: {done.stderr[-1000:]}")
    return line("look", "one pin, nothing flipped", " ".join(done.stdout.split()), "≤ 2 x getppid()", None)


def mib(size):
    return f"{size / MIB:.1f} MiB"


def line(name, what, measured, goal, reached):
    verdict = "" if reached is None else (" ok" if reached else " MISSED")
    return f"| {name} | {what} | {measured} | {goal}{verdict} |"


CASES = {"idle": idle, "growth": growth, "large": large, "look": look}
