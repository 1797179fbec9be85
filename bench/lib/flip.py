"""Flip: what visitors of a heavy PHP application wait when a release that PHP has never seen goes live."""

import os
import shutil
import statistics
import time

import peer
from mediawiki import PATHS, MediaWiki
from process import Failed
from visitors import Visitors

PEERS = ("nginx-realpath-root", "cutover")
CPUS = "0,1"
PER_SECOND = 10
FLIP_AFTER, SECONDS = 8, 12
BEFORE = 4  # the seconds before the flip that it is compared with; those before them warm the first release

ABOUT = (f"{PER_SECOND} requests per second at fixed moments, each counted from the moment it was due; a fresh pool for each round, 8 s on the first release,"
         f" then the flip to the second, which PHP has never compiled. Medians over the rounds of the slowest in the {BEFORE} s before and in the second after.")
HEAD = ("| peer | median before | slowest before | slowest in the second after | rounds (before, after) | not 200 | again |\n"
        "|---|---|---|---|---|---|---|")


def rows(names, rounds, directory):
    root = os.path.join(directory, "wiki")
    shutil.rmtree(root, ignore_errors=True)
    wiki = MediaWiki(root)
    took = {name: [] for name in names}
    for number in range(rounds):
        for at in range(len(names)):
            name = names[(at + number) % len(names)]
            took[name].append(around(name, wiki, directory))
    for name in names:
        yield row(name, took[name], rounds)


def around(name, wiki, directory):
    """One flip: the latencies before it and in the second after, in seconds."""
    wiki.flip(wiki.releases[0])
    server = peer.start(name, directory, wiki, CPUS, 2, CPUS)
    try:
        visitors = Visitors(server.url, PER_SECOND, PATHS, CPUS, SECONDS)
        time.sleep(FLIP_AFTER)
        wiki.flip(wiki.releases[1])
        flipped = time.monotonic()
        time.sleep(SECONDS - FLIP_AFTER)
        seen = visitors.seen()
    finally:
        peer.stop(server)
    before = [one["took"] for one in seen if flipped - BEFORE <= one["due"] < flipped]
    after = [one["took"] for one in seen if flipped <= one["due"] < flipped + 1]
    wrong = [f"{one['path']} {one['status']}" for one in seen if one["status"] != 200]
    if len(wrong) == len(seen):
        raise Failed(f"{name}: MediaWiki answered nothing with 200: {wrong[0]}")
    return before, after, len(wrong)


def row(name, took, rounds):
    def ms(seconds):
        return f"{seconds * 1e3:,.0f}"

    slowest = [(max(before), max(after)) for before, after, _ in took]
    return "| " + " | ".join([
        peer.TITLES[name], f"{ms(statistics.median(statistics.median(before) for before, _, _ in took))} ms",
        f"{ms(statistics.median(before for before, _ in slowest))} ms", f"**{ms(statistics.median(after for _, after in slowest))} ms**",
        " ".join(f"{ms(before)},{ms(after)}" for before, after in slowest), str(sum(wrong for _, _, wrong in took)),
        f"`bench/run flip --peers {name} --rounds {rounds}`",
    ]) + " |"
