"""Throughput: what a request costs each peer, in interleaved rounds."""

import os
import shutil
import statistics
from dataclasses import dataclass

import peer
import prove
import wrk

SERVER_CPU, LOAD_CPU = "0", "1"


@dataclass
class Ask:
    name: str
    path: str
    connections: int
    php: bool = False


ASKS = [
    Ask("static 1 KiB", "/static/small.txt", 64),
    Ask("static 100 KiB", "/static/medium.txt", 64),
    Ask("PHP hello", "/hello.php", 32, php=True),
]

HEAD = ("| request | peer | server µs/req | FPM µs/req | both | req/s | rounds (both) | again |\n"
        "|---|---|---|---|---|---|---|---|")


@dataclass
class Round:
    us: float      # the server's CPU per request
    fpm_us: float  # the pool's
    rate: float

    @property
    def both(self):
        return self.us + self.fpm_us


def rows(names, rounds, seconds, directory):
    """All peers stand all the time (an idle one costs next to nothing) and are loaded in turn, each round in another order."""
    app_root = os.path.join(directory, "probe")
    shutil.rmtree(app_root, ignore_errors=True)
    app = prove.Probe(app_root)
    servers = {}
    try:
        for name in names:
            servers[name] = peer.start(name, directory, app, SERVER_CPU, 1, f"{SERVER_CPU},{LOAD_CPU}")
        for ask in ASKS:
            took = {name: [] for name in names}
            for name in names:
                measure(servers[name], ask, 1, directory)  # warms caches, starts children
            for number in range(rounds):
                for at in range(len(names)):
                    name = names[(at + number) % len(names)]
                    took[name].append(measure(servers[name], ask, seconds, directory))
            for name in names:
                yield row(ask, name, took[name], rounds, seconds)
    finally:
        for server in servers.values():
            peer.stop(server)


def measure(server, ask, seconds, directory):
    before, pool_before = server.cpu(), server.pool.cpu()
    summary = wrk.run(server.url + ask.path, ask.connections, seconds, LOAD_CPU, directory)
    spent, pool_spent = server.cpu() - before, server.pool.cpu() - pool_before
    requests = summary["requests"]
    return Round(spent / requests * 1e6, pool_spent / requests * 1e6 if ask.php else 0.0, requests / (summary["us"] / 1e6))


def row(ask, name, took, rounds, seconds):
    def median(key):
        return statistics.median(getattr(one, key) for one in took)

    # mod_php runs PHP in the server itself.
    outside = ask.php and name != "apache-prefork"
    return "| " + " | ".join([
        ask.name, peer.TITLES[name], f"{median('us'):.1f}", f"{median('fpm_us'):.1f}" if outside else "",
        f"**{median('both'):.1f}**", f"{median('rate'):,.0f}", " ".join(f"{one.both:.1f}" for one in took),
        f"`bench/run throughput --peers {name} --rounds {rounds} --seconds {seconds}`",
    ]) + " |"
