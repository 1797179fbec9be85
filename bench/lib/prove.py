"""Prove: the probe application, and the verdict on a server that serves it while its releases flip."""

import json
import os
import subprocess
from dataclasses import dataclass

import cutover
from process import Failed, pinned

# So many that a server which remembers an old one is seen to fall behind; between two it would be right by chance.
RELEASES = [f"r{number:02}" for number in range(1, 13)]


class Probe:
    """The probe application, in Cutover's layout; the docroot is the release itself."""

    def __init__(self, root):
        self.root = root
        self.releases = RELEASES
        self.link = os.path.join(root, "current")
        done = subprocess.run(scaffold(root), capture_output=True, text=True)
        if done.returncode != 0:
            raise Failed(f"the probe application: {done.stderr}")
        os.chmod(root, 0o755)
        for release in RELEASES:
            with open(os.path.join(root, "releases", release, "hello.php"), "w") as out:
                out.write('<?php header("Content-Type: text/plain"); echo "hello\\n";\n')
            # The scaffold sealed it, and now there is more in it: whoever serves it sealed seals it again.
            os.remove(os.path.join(root, ".cutover", "manifests", release))


@dataclass
class Flips:
    """How often the link is flipped and how: `pace` for people."""

    pace: str
    per_second: int
    remove_then_link: bool = False


@dataclass
class Verdict:
    requests: int
    flips: int
    failed: int
    mixed: int
    stale: int
    worst_late_ns: int | None


def judge(url, app, flips, seconds, cpus):
    """Floods for so long and says what visitors would have seen."""
    done = subprocess.run(pinned(cpus) + flood(url, app, flips, seconds), capture_output=True, text=True, start_new_session=True)
    try:
        told = json.loads(done.stdout[done.stdout.index("{"):])
    except ValueError:
        raise Failed(f"cutover prove {url}: {done.stdout[-500:]} {done.stderr[-1500:]}") from None
    if "verdicts" not in told:
        raise Failed(f"cutover prove {url}: {done.stdout[-1500:]}")
    count = told["verdicts"]
    if count["failed"] == count["requests"]:
        raise Failed(f"cutover prove {url}: nothing was answered well: {done.stderr[-1500:]}")
    return Verdict(count["requests"], told["flips"]["count"], count["failed"], count["mixed"], count["stale"], told["worst_late_ns"])


def scaffold(root):
    return [cutover.binary(), "prove", "--scaffold", root, "--releases", ",".join(RELEASES)]


def flood(url, app, flips, seconds):
    return [cutover.binary(), "prove", url, "--releases", ",".join(app.releases), "--link", app.link, "--json",
            "--flips-per-second", str(flips.per_second), "--for", f"{seconds}s", "--connections", "32", "--closing", "8",
            *(["--manner", "remove-then-link"] if flips.remove_then_link else [])]
