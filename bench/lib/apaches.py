"""Apaches: the same Apache twice, once with mod_cutover, loaded in turn."""

import math
import os
import shutil
import statistics
import subprocess
import time
from dataclasses import dataclass

import peer
import port
import wrk
from process import Failed

ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..")
SERVER_CPU, LOAD_CPU = "0", "1"
GOAL = 0.97
APACHE = "/usr/sbin/apache2"

# A section that names the link, as every configuration has one: with the module it is read anew for each release.
SECTION = "<Directory @LINK@>\n    Options FollowSymLinks\n</Directory>\n"
MODULE = "LoadModule cutover_module @MODULE@\nCutover On\n"


@dataclass
class Case:
    name: str
    peer: str
    path: str
    connections: int


CASES = [
    Case("prefork-static-1k", "apache-prefork", "/1k.txt", 32),
    Case("prefork-mod-php", "apache-prefork", "/hello.php", 32),
    Case("prefork-front-controller", "apache-prefork", "/no/such/file", 32),
    Case("event-static-1k", "apache-event", "/1k.txt", 64),
    Case("event-static-100k", "apache-event", "/100k.txt", 64),
    Case("event-php-fpm", "apache-event", "/hello.php", 16),
]

HEAD = ("| case | without req/s | with req/s | req/s with/without | goal | without µs/req | with µs/req | CPU without/with | rounds |\n"
        "|---|---|---|---|---|---|---|---|---|")


def build():
    """Builds the module, unless MOD_CUTOVER names one."""
    if "MOD_CUTOVER" in os.environ:
        return
    subprocess.run([os.path.join(ROOT, "scripts", "modules"), "apache"], cwd=ROOT, check=True)
    target = os.environ.get("CARGO_TARGET_DIR", os.path.join(ROOT, "target"))
    os.environ["MOD_CUTOVER"] = os.path.join(os.path.abspath(target), "modules", "mod_cutover.so")


def start(case, name, directory, app, with_module, run=f"{APACHE} -D FOREGROUND"):
    """An Apache and its pool, as peer.start has them; `run` is how the program is started."""
    where = os.path.join(directory, name)
    shutil.rmtree(where, ignore_errors=True)
    os.mkdir(where)
    os.chmod(where, 0o777)
    http, socket = port.free(), os.path.join(where, "fpm.sock")
    places = {"LINK": os.path.join(app.link, "public"), "FPM": socket, "PORT": http, "USER": peer.user(), "WORKERS": 1,
              "MODULE": os.environ["MOD_CUTOVER"]}
    pool = peer.Template("php-fpm").start(where, places, f"{SERVER_CPU},{LOAD_CPU}", lambda: os.path.exists(socket))
    try:
        template = peer.Template(case.peer)
        template.text = template.text.replace(f"{APACHE} -D FOREGROUND", run) + SECTION + (MODULE if with_module else "")
        server = template.start(where, places, SERVER_CPU, lambda: port.answers(http))
    except Failed:
        pool.stop()
        raise
    server.pool, server.port, server.url = pool, http, f"http://127.0.0.1:{http}"
    return server


@dataclass
class Run:
    rate: float  # requests per second
    us: float    # the server's CPU per request


def measure(server, case, seconds, directory):
    before = server.ran_ns()
    summary = wrk.run(server.url + case.path, case.connections, seconds, LOAD_CPU, directory)
    spent = server.ran_ns() - before
    return Run(summary["requests"] / (summary["us"] / 1e6), spent / summary["requests"] / 1e3)


def row(case, app, directory, rounds, seconds):
    started = []
    try:
        servers = {}
        for name in ("without", "with"):
            servers[name] = start(case, name, directory, app, name == "with")
            started.append(servers[name])
        took = {"without": [], "with": []}
        for server in servers.values():
            measure(server, case, 1, directory)  # processes are started, PHP is compiled
        # A link that was flipped just now is read for each request; what is measured is one that has stood for a while.
        time.sleep(11)
        for number in range(rounds):
            turn = list(servers.items())
            for name, server in turn if number % 2 == 0 else reversed(turn):
                took[name].append(measure(server, case, seconds, directory))
    finally:
        for server in started:
            peer.stop(server)
    # Of the two runs of one round, which stand side by side in time.
    pairs = list(zip(took["without"], took["with"]))
    rates, costs = [ours.rate / plain.rate for plain, ours in pairs], [plain.us / ours.us for plain, ours in pairs]
    return "| " + " | ".join([
        case.name, *(f"{statistics.median(one.rate for one in took[name]):,.0f}" for name in took), told(rates),
        f"≥ {GOAL} {verdict(*within(rates))}", *(f"{statistics.median(one.us for one in took[name]):.2f}" for name in took), told(costs),
        str(rounds)]) + " |"


def told(ratios):
    low, high = within(ratios)
    return f"**{statistics.median(ratios):.3f}** ({low:.3f} to {high:.3f})"


def within(ratios):
    """Where the median is with 95 % certainty, whatever the distribution: between the k-th smallest and the k-th largest."""
    ordered, certain, below = sorted(ratios), 0.05 / 2, 0.0
    for k in range(len(ordered) // 2):
        below += math.comb(len(ordered), k) / 2 ** len(ordered)
        if below > certain:
            return ordered[max(k - 1, 0)], ordered[-max(k, 1)]
    return ordered[0], ordered[-1]


def verdict(low, high):
    """What the rounds show; where they scatter too much, nothing."""
    if low >= GOAL:
        return "ok"
    return "MISSED" if high < GOAL else "not shown"
