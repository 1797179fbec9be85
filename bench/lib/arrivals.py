#!/usr/bin/env python3
"""Arrivals: requests at fixed moments, whatever becomes of those before (an open loop), and one flip in between.

A latency is counted from the moment a request was due, so one that had to wait for others shows it.

    arrivals.py HOST:PORT LINK TARGET PER_SECOND FLIP_AFTER_S SECONDS PATH…    one JSON object on stdout
"""

import http.client
import json
import os
import sys
import threading
import time

# More requests than this at a time wait, as visitors before a full server do.
CLIENTS = 32


def main():
    where, link, target, per_second, flip_after, seconds, *paths = sys.argv[1:]
    per_second, flip_after, seconds = float(per_second), float(flip_after), float(seconds)
    began = time.monotonic() + 0.2
    due = iter([(began + number / per_second, paths[number % len(paths)]) for number in range(int(seconds * per_second))])
    turn, seen = threading.Lock(), []

    def ask():
        connection = http.client.HTTPConnection(where, timeout=30)
        while True:
            with turn:
                at, path = next(due, (None, None))
            if at is None:
                return
            time.sleep(max(0.0, at - time.monotonic()))
            try:
                connection.request("GET", path)
                answer = connection.getresponse()
                answer.read()
                status = answer.status
            except OSError as why:
                status = str(why)
                connection.close()
            seen.append({"due": at - began, "took": time.monotonic() - at, "status": status, "path": path})

    clients = [threading.Thread(target=ask) for _ in range(CLIENTS)]
    for client in clients:
        client.start()
    time.sleep(max(0.0, began + flip_after - time.monotonic()))
    os.symlink(target, link + ".new")
    os.rename(link + ".new", link)
    flipped = time.monotonic() - began
    for client in clients:
        client.join()
    json.dump({"flipped": flipped, "seen": seen}, sys.stdout)


if __name__ == "__main__":
    main()
