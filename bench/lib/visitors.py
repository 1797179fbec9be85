#!/usr/bin/env python3
"""Visitors: requests at fixed moments, whatever becomes of those before (an open loop).

A latency is counted from the moment a request was due, so one that had to wait for others shows it.

    visitors.py HOST:PORT PER_SECOND SECONDS PATH…    one JSON list on stdout; end of file on stdin ends it sooner

All moments are those of CLOCK_MONOTONIC, so they compare with those of other processes.
"""

import http.client
import json
import os
import subprocess
import sys
import threading
import time

from process import Failed, pinned

# More requests than this at a time wait, as visitors before a full server do.
CLIENTS = 32


class Visitors:
    """They come from now on, from a process of their own."""

    def __init__(self, url, per_second, paths, cpus, seconds=3600):
        argv = [sys.executable, os.path.abspath(__file__), url.removeprefix("http://"), str(per_second), str(seconds), *paths]
        self.child = subprocess.Popen(
            pinned(cpus) + argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True)

    def seen(self):
        """Ends them: a list of {due, took, status, path}, in seconds, in the order they were due."""
        out, err = self.child.communicate()
        if self.child.returncode != 0:
            raise Failed(f"visitors: {err[-1000:]}")
        return sorted(json.loads(out), key=lambda one: one["due"])


def main():
    where, per_second, seconds, *paths = sys.argv[1:]
    per_second, seconds = float(per_second), float(seconds)
    began = time.monotonic() + 0.2
    due = iter((began + number / per_second, paths[number % len(paths)]) for number in range(int(seconds * per_second)))
    turn, seen, over = threading.Lock(), [], threading.Event()

    def ask():
        connection = http.client.HTTPConnection(where, timeout=30)
        while True:
            with turn:
                at, path = next(due, (None, None))
            if at is None:
                return
            if over.wait(max(0.0, at - time.monotonic())):
                return
            try:
                connection.request("GET", path)
                answer = connection.getresponse()
                answer.read()
                status = answer.status
            except OSError as why:
                status = str(why)
                connection.close()
            seen.append({"due": at, "took": time.monotonic() - at, "status": status, "path": path})

    def listen():
        sys.stdin.read()
        over.set()

    threading.Thread(target=listen, daemon=True).start()
    clients = [threading.Thread(target=ask) for _ in range(CLIENTS)]
    for client in clients:
        client.start()
    for client in clients:
        client.join()
    json.dump(seen, sys.stdout)


if __name__ == "__main__":
    main()
