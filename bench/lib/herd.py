"""Herd: a heavy PHP application gets release after release while visitors come; flipped cold by nginx, deployed warm by cutover."""

import json
import os
import statistics
import subprocess
import time

import cutover
import peer
import port
from mediawiki import PATHS, MediaWiki
from process import Failed, Process
from visitors import Visitors

CPUS = "0,1"
# Before the steady seconds: whatever release comes first has to be compiled by somebody.
SETTLE = 8
# After a flip, before the next deploy.
REST = 3
# Room for several releases, so that the herd is looked at and not a cache that is full.
OPCACHE = {"opcache.memory_consumption": 512, "opcache.interned_strings_buffer": 32, "opcache.max_accelerated_files": 50000}

CONF = """[app]
name = "wiki"
root = "{root}"
keep = 1
keep_for = "1s"

[source]
dir = "{source}"

[php]
fpm = "embedded"
front = "index.php"
workers = 8
ini = {{ {ini} }}

[serve]
listen = ["127.0.0.1:{port}"]
workers = 2

[warm]
requests = [{requests}]

[health]
path = "{health}"
"""


def about(args):
    return (
        f"## A heavy application and its deploys\n\nMediaWiki, {args.per_second} requests per second at fixed moments, each counted from the moment it was due;"
        f" {args.steady} steady seconds, then {args.flips} releases that PHP has never seen, one after the other. nginx: the link is flipped (cold)."
        " cutover: each is a `cutover deploy` with one file changed (copied, sealed, warmed, flipped, checked, pruned) beside the visitors."
        f" opcache has {OPCACHE['opcache.memory_consumption']} MB.\n\n"
        "| peer | steady p99 | worst steady second | first second after a flip: median of p99 | worst | over steady p99 | p99 while warming | over steady p99 | deploys take | not 200 | again |\n"
        "|---|---|---|---|---|---|---|---|---|---|---|")


def rows(args, directory):
    wiki = MediaWiki(os.path.join(directory, "wiki"))
    for scene in (nginx, ours):
        yield scene(args, wiki, directory)


def nginx(args, wiki, directory):
    ini = os.path.join(directory, "ini")
    os.mkdir(ini)
    with open(os.path.join(ini, "opcache.ini"), "w") as out:
        out.writelines(f"{key}={value}\n" for key, value in OPCACHE.items())
    os.environ["PHP_INI_SCAN_DIR"] = f":{ini}"
    try:
        server = peer.start("nginx-realpath-root", directory, wiki, CPUS, 2, CPUS)
    finally:
        del os.environ["PHP_INI_SCAN_DIR"]

    def deploy(number):
        fresh = f"cold{number}"
        releases = os.path.join(wiki.root, "releases")
        subprocess.run(["cp", "-al", os.path.join(releases, wiki.releases[0]), os.path.join(releases, fresh)], check=True)
        time.sleep(REST)
        began = time.monotonic()
        wiki.flip(fresh)
        return {"flip": began}

    try:
        return row(peer.TITLES["nginx-realpath-root"] + ", cold", args, server.url, deploy)
    finally:
        peer.stop(server)


def ours(args, wiki, directory):
    root = os.path.join(directory, "app")
    os.mkdir(root)
    os.chmod(root, 0o755)
    source = os.path.join(wiki.root, "releases", wiki.releases[1])
    http = port.free()
    with open(os.path.join(root, "cutover.toml"), "w") as out:
        out.write(CONF.format(
            root=root, source=source, port=http, health=PATHS[2], requests=", ".join(f'"{path}"' for path in PATHS),
            ini=", ".join(f'"{key}" = {value}' for key, value in OPCACHE.items())))

    def deploy(number):
        # The twin of what nginx serves shares its files: a new one, not a changed one.
        path = os.path.join(source, "deployed.txt")
        if os.path.exists(path):
            os.unlink(path)
        with open(path, "w") as out:
            out.write(f"{number}\n")
        return deployed(root)

    server = Process("cutover", [cutover.binary(), "serve", root], CPUS, os.path.join(directory, "serve.out"))
    try:
        server.wait_until(lambda: port.answers(http), "answer")
        deploy(0)
        return row("`cutover serve`, `cutover deploy`", args, f"http://127.0.0.1:{http}", deploy)
    finally:
        server.stop()


def deployed(root):
    """One `cutover deploy`: the moments at which its steps began, and how long it took."""
    began = time.monotonic()
    child = subprocess.Popen([cutover.binary(), "-C", root, "deploy", "--json"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    moments = {}
    for line in child.stdout:
        event = json.loads(line)
        if event.get("event") == "started":
            moments.setdefault(event["step"], time.monotonic())
    if child.wait() != 0:
        raise Failed(f"cutover deploy: {child.stderr.read()[-2000:]}")
    return {**moments, "took": time.monotonic() - began}


def row(title, args, url, deploy):
    visitors = Visitors(url, args.per_second, PATHS, CPUS)
    time.sleep(SETTLE)
    steady = time.monotonic()
    time.sleep(args.steady)
    until, deploys = time.monotonic(), []
    for number in range(1, args.flips + 1):
        deploys.append(deploy(number))
        time.sleep(REST)
    seen = visitors.seen()
    wrong = [one for one in seen if one["status"] not in (200, 301, 302)]
    if len(wrong) == len(seen):
        raise Failed(f"{title}: MediaWiki answered nothing well: {seen[0]}")

    def within(begin, end):
        return [one["took"] for one in seen if begin <= one["due"] < end]

    calm = p99(within(steady, until))
    worst_second = max(max(within(at, at + 1), default=0) for at in (steady + second for second in range(args.steady)))
    first = [within(at["flip"], at["flip"] + 1) for at in deploys]
    after = statistics.median(p99(took) for took in first)
    warming = [took for at in deploys if "warm" in at for took in within(at["warm"], at["flip"])]
    return "| " + " | ".join([
        title, ms(calm), ms(worst_second), f"**{ms(after)}**", ms(max(max(took) for took in first)), f"**{after / calm:.2f}**",
        ms(p99(warming)) if warming else "", f"**{p99(warming) / calm:.2f}**" if warming else "",
        f"{statistics.median(at['took'] for at in deploys):.1f} s" if "took" in deploys[0] else "", str(len(wrong)),
        f"`bench/caches herd --flips {args.flips} --steady {args.steady}`",
    ]) + " |"


def p99(took):
    ordered = sorted(took)
    return ordered[min(len(ordered) - 1, int(len(ordered) * 0.99))] if ordered else 0.0


def ms(seconds):
    return f"{seconds * 1e3:,.0f} ms"
