"""Compare: interleaved rounds of nginx and cutover; CPU per request of each, and the ratio of the medians."""

import os
import shutil
import statistics
from dataclasses import dataclass

import cutover
import fpm
import nginx
import wrk

SERVER_CPU, LOAD_CPU = "0", "1"


@dataclass
class Case:
    name: str
    path: str
    connections: int
    goal: float | None  # nginx's CPU per request over ours must reach it
    tls: bool = False
    php: bool = False


CASES = [
    Case("static-1k", "/1k.txt", 64, 1.25),
    Case("static-100k", "/100k.txt", 64, 1.1),
    Case("static-10m", "/10m.bin", 16, 0.9),
    Case("php-hello", "/hello.php", 32, 1.3, php=True),
    Case("tls-1k", "/1k.txt", 64, 1.1, tls=True),
    Case("tls-100k", "/100k.txt", 64, 1.8, tls=True),
]

HEAD = ("| case | access log | nginx µs/req | cutover µs/req | nginx/cutover | goal | nginx req/s | cutover req/s | rounds nginx | rounds cutover | FPM µs/req (nginx, cutover) |\n"
        "|---|---|---|---|---|---|---|---|---|---|---|")


@dataclass
class Round:
    us: float      # the server's CPU per request
    rate: float    # requests per second, as wrk saw them
    fpm_us: float  # the pool's CPU per request


def measure(server, case, seconds, directory):
    pool = server.pool
    url = f"https://127.0.0.1:{server.https}{case.path}" if case.tls else f"http://127.0.0.1:{server.http}{case.path}"
    # An embedded pool would be a child of ours: it is counted beside, as the external one is.
    before, pool_before = server.cpu(leave_out=("php-fpm8.2",)), pool.cpu() if pool else 0.0
    summary = wrk.run(url, case.connections, seconds, LOAD_CPU, directory)
    spent, pool_spent = server.cpu(leave_out=("php-fpm8.2",)) - before, (pool.cpu() - pool_before) if pool else 0.0
    requests = summary["requests"]
    return Round(spent / requests * 1e6, requests / (summary["us"] / 1e6), pool_spent / requests * 1e6)


def compare(case, logs, app, directory, rounds, seconds, ours="cutover"):
    """Both servers stand all the time (an idle one costs nothing) and are loaded in turn, each first in every other round."""
    started = []
    try:
        # A pool each, alike: idle kept connections of one server would starve the other's.
        places = [place(directory, "nginx"), place(directory, "ours")]
        pools = [fpm.start(where, f"{SERVER_CPU},{LOAD_CPU}") if case.php else None for where in places]
        started += [pool for pool in pools if pool]
        theirs = nginx.start(places[0], app, logs, SERVER_CPU)
        started.append(theirs)
        mine = (nginx.start(places[1], app, logs, SERVER_CPU) if ours == "nginx"
                else cutover.start(places[1], app, "off" if logs == "off" else "on", SERVER_CPU))
        started.append(mine)
        theirs.pool, mine.pool = pools
        took = {"nginx": [], "ours": []}
        for server in (theirs, mine):
            measure(server, case, 1, directory)  # warms caches, opens files
        for number in range(rounds):
            turn = [("nginx", theirs), ("ours", mine)]
            for name, server in turn if number % 2 == 0 else reversed(turn):
                took[name].append(measure(server, case, seconds, directory))
        return row(case, logs, took["nginx"], took["ours"])
    finally:
        for process in reversed(started):
            process.stop()


def place(directory, name):
    """A directory of its own for a server and its pool, emptied of what an earlier case left."""
    where = os.path.join(directory, name)
    shutil.rmtree(where, ignore_errors=True)
    os.mkdir(where)
    return where


def row(case, logs, theirs, ours):
    def median(rounds, key):
        return statistics.median(getattr(one, key) for one in rounds)

    # Of the two runs of one round, which stand side by side in time: a machine that slows down for a while slows both.
    ratio = statistics.median(their.us / our.us for their, our in zip(theirs, ours))
    verdict = "" if case.goal is None else f"≥ {case.goal} {'ok' if ratio >= case.goal else 'MISSED'}"
    return "| " + " | ".join([
        case.name, logs, f"{median(theirs, 'us'):.1f}", f"{median(ours, 'us'):.1f}", f"**{ratio:.2f}**", verdict,
        f"{median(theirs, 'rate'):,.0f}", f"{median(ours, 'rate'):,.0f}",
        " ".join(f"{one.us:.1f}" for one in theirs), " ".join(f"{one.us:.1f}" for one in ours),
        f"{median(theirs, 'fpm_us'):.1f}, {median(ours, 'fpm_us'):.1f}" if case.php else "",
    ]) + " |"
