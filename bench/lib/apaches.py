"""Apaches: the same Apache twice, once with mod_cutover, loaded in turn."""

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

HEAD = ("| case | without req/s | with req/s | with/without | goal | without µs/req | with µs/req | rounds without | rounds with |\n"
        "|---|---|---|---|---|---|---|---|---|")


def build():
    """Builds the module, unless MOD_CUTOVER names one."""
    if "MOD_CUTOVER" in os.environ:
        return
    subprocess.run([os.path.join(ROOT, "scripts", "modules"), "apache"], cwd=ROOT, check=True)
    target = os.environ.get("CARGO_TARGET_DIR", os.path.join(ROOT, "target"))
    os.environ["MOD_CUTOVER"] = os.path.join(os.path.abspath(target), "modules", "mod_cutover.so")


def start(case, name, directory, app, with_module):
    """An Apache and its pool, as peer.start has them."""
    where = os.path.join(directory, name)
    shutil.rmtree(where, ignore_errors=True)
    os.mkdir(where)
    os.chmod(where, 0o755)
    http, socket = port.free(), os.path.join(where, "fpm.sock")
    places = {"LINK": os.path.join(app.link, "public"), "FPM": socket, "PORT": http, "USER": peer.user(), "WORKERS": 1,
              "MODULE": os.environ["MOD_CUTOVER"]}
    pool = peer.Template("php-fpm").start(where, places, f"{SERVER_CPU},{LOAD_CPU}", lambda: os.path.exists(socket))
    try:
        template = peer.Template(case.peer)
        template.text += SECTION + (MODULE if with_module else "")
        server = template.start(where, places, SERVER_CPU, lambda: port.answers(http))
    except Failed:
        pool.stop()
        raise
    server.pool, server.url = pool, f"http://127.0.0.1:{http}"
    return server


def measure(server, case, seconds, directory):
    """Requests per second, and the server's CPU per request in microseconds."""
    before = server.cpu()
    summary = wrk.run(server.url + case.path, case.connections, seconds, LOAD_CPU, directory)
    spent = server.cpu() - before
    return summary["requests"] / (summary["us"] / 1e6), spent / summary["requests"] * 1e6


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
    ratio = statistics.median(ours[0] / plain[0] for plain, ours in zip(took["without"], took["with"]))
    rate = {name: statistics.median(one[0] for one in all) for name, all in took.items()}
    cost = {name: statistics.median(one[1] for one in all) for name, all in took.items()}
    return "| " + " | ".join([
        case.name, f"{rate['without']:,.0f}", f"{rate['with']:,.0f}", f"**{ratio:.3f}**", f"≥ {GOAL} {'ok' if ratio >= GOAL else 'MISSED'}",
        f"{cost['without']:.1f}", f"{cost['with']:.1f}",
        " ".join(f"{one[0]:,.0f}" for one in took["without"]), " ".join(f"{one[0]:,.0f}" for one in took["with"])]) + " |"
