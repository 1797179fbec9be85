"""Verdicts: what visitors of each peer see while its releases flip."""

import os
import shutil

import peer
import prove
from prove import Flips

CPUS = "0,1"
WORKERS = 2

# A thousand flips per second show every race; one per second shows what is remembered too long.
# The last is how `ln -sfn` of old coreutils and of BusyBox does it, and many a script: for a moment there is no link.
SCENES = {
    "1000/s": Flips("1,000 per second", 1_000),
    "1/s": Flips("1 per second", 1),
    "rm-ln": Flips("100 per second, the link removed and made again", 100, remove_then_link=True),
}

HEAD = ("| flips | peer | requests | flips made | failed | mixed | stale | worst lateness | verdict | again |\n"
        "|---|---|---|---|---|---|---|---|---|---|")


def rows(names, scenes, seconds, directory):
    """One row for each peer and scene, as they come. Each scene has a server of its own: what one remembers too long is no
    fault of the next scene, and might be refused there as the answer of no release."""
    app_root = os.path.join(directory, "probe")
    for name in names:
        for scene in scenes:
            shutil.rmtree(app_root, ignore_errors=True)
            app = prove.Probe(app_root)
            server = peer.start(name, directory, app, CPUS, WORKERS, CPUS)
            try:
                verdict = prove.judge(server.url, app, SCENES[scene], seconds, CPUS)
            finally:
                peer.stop(server)
            yield row(name, scene, verdict, seconds)


def row(name, scene, verdict, seconds):
    broken = [what for what in ("failed", "mixed", "stale") if getattr(verdict, what)]
    return "| " + " | ".join([
        SCENES[scene].pace, peer.TITLES[name], f"{verdict.requests:,}", f"{verdict.flips:,}",
        *(share(getattr(verdict, what), verdict.requests) for what in ("failed", "mixed", "stale")),
        "" if verdict.worst_late_ns is None else late(verdict.worst_late_ns),
        f"**{', '.join(broken)}**" if broken else "held",
        f"`bench/run verdicts --peers {name} --flips {scene} --for {seconds}`",
    ]) + " |"


def share(count, requests):
    return f"{count:,} ({count / requests * 100:.2g} %)" if count else "0"


def late(ns):
    return f"{ns / 1e9:.1f} s" if ns >= 1e9 else f"{ns / 1e6:.1f} ms"
