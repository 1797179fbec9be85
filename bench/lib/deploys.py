"""Deploys: one after the other, of an application that takes a third of the opcache, while visitors come.

Each visit counts the files it needs that were not compiled yet: those its visitor waited for.
"""

import json
import os
import statistics
import subprocess
import threading
import time
import urllib.error
import urllib.request

import cutover
import port
from process import Failed, Process

FILES = 30
METHODS = 60
# A release of these files takes about 2.7 MB.
MEGABYTES = 8
CPUS = "0,1"

CONF = """[app]
name = "third"
root = "{root}"
docroot = "public"
keep = 1
keep_for = "0s"

[source]
dir = "{source}"

[php]
fpm = "embedded"
workers = 4

[php.ini]
"opcache.memory_consumption" = "{megabytes}"
"opcache.interned_strings_buffer" = "1"
"opcache.file_update_protection" = "0"

[serve]
listen = ["127.0.0.1:{port}"]
workers = 2
"""

INDEX = """<?php
$compiled = 0;
$files = glob(__DIR__ . '/../lib/*.php');
foreach ($files as $file) {
    $file = realpath($file);
    $compiled += opcache_is_script_cached($file) ? 0 : 1;
    require $file;
}
$status = opcache_get_status(false);
$counts = $status['opcache_statistics'];
echo json_encode(['release' => RELEASE, 'files' => count($files), 'compiled' => $compiled, 'master' => posix_getppid(),
    'full' => $status['cache_full'], 'restarts' => $counts['oom_restarts'] + $counts['hash_restarts'] + $counts['manual_restarts']]);
"""


def about(args):
    return (
        f"## {args.deploys} deploys in a row\n\nAn application of {FILES} files that takes a third of an opcache of {MEGABYTES} MB; every file changes"
        f" with each deploy; {args.per_second} visitors per second. A file that a visit needs and finds not compiled is one its visitor waited for.\n\n"
        "| deploys | php-fpm masters, one after the other | at once, at most | visits | not 200 | files needed | found compiled | `cache_full` seen | restarts of the cache | workers killed | a deploy takes, median | worst |\n"
        "|---|---|---|---|---|---|---|---|---|---|---|---|")


def write(source, release):
    os.makedirs(os.path.join(source, "lib"), exist_ok=True)
    os.makedirs(os.path.join(source, "public"), exist_ok=True)
    with open(os.path.join(source, "public", "index.php"), "w") as out:
        out.write(INDEX.replace("RELEASE", str(release)))
    for file in range(FILES):
        methods = "".join(
            f"  public function m{m}($a, $b) {{ $x = ['k{m}' => $a, 'n' => [$b, {file}, {release}]];"
            f" if ($a > {m}) {{ $x['z'] = strtoupper($b . '{file}-{m}-{release}'); }}"
            f" return json_encode($x) . 'text {file} {m}' . $a; }}\n" for m in range(METHODS))
        with open(os.path.join(source, "lib", f"f{file}.php"), "w") as out:
            out.write(f"<?php\nclass C{file} {{\n{methods}}}\n")


class Visits:
    """Visitors at a steady pace, each on a connection of its own."""

    def __init__(self, url, per_second):
        self.url, self.pause = url, 1 / per_second
        self.seen, self.bad = [], []
        self.ended = threading.Event()
        self.thread = threading.Thread(target=self.run)
        self.thread.start()

    def run(self):
        due = time.monotonic()
        while not self.ended.is_set():
            try:
                with urllib.request.urlopen(self.url, timeout=30) as answer:
                    self.seen.append(json.load(answer))
            except (OSError, ValueError, urllib.error.URLError) as why:
                self.bad.append(str(why))
            due = max(due + self.pause, time.monotonic())
            time.sleep(max(0, due - time.monotonic()))

    def stop(self):
        self.ended.set()
        self.thread.join()


def masters(root):
    """How many php-fpm masters the server has at this moment."""
    done = subprocess.run([cutover.binary(), "-C", root, "status", "--json"], capture_output=True, text=True)
    return len(json.loads(done.stdout)["server"]["sites"][0]["masters"])


def rows(args, directory):
    source, root = os.path.join(directory, "source"), os.path.join(directory, "app")
    os.mkdir(root)
    os.chmod(root, 0o755)
    http = port.free()
    with open(os.path.join(root, "cutover.toml"), "w") as out:
        out.write(CONF.format(root=root, source=source, port=http, megabytes=MEGABYTES))
    log = os.path.join(directory, "serve.out")
    server = Process("cutover", [cutover.binary(), "serve", root], CPUS, log)
    took, most = [], 0
    try:
        server.wait_until(lambda: port.answers(http), "answer")
        deploy(source, root, 0)
        visits = Visits(f"http://127.0.0.1:{http}/index.php", args.per_second)
        try:
            for release in range(1, args.deploys + 1):
                took.append(deploy(source, root, release))
                most = max(most, masters(root))
        finally:
            visits.stop()
    finally:
        server.stop()
    with open(log) as said:
        killed = said.read().count("exited on signal")
    needed = sum(visit["files"] for visit in visits.seen)
    waited = sum(visit["compiled"] for visit in visits.seen)
    order = [visit["master"] for visit in visits.seen]
    changes = 1 + sum(1 for before, after in zip(order, order[1:]) if before != after)
    restarts = sum(visit["restarts"] for visit in visits.seen)
    full = sum(1 for visit in visits.seen if visit["full"])
    yield (
        f"| {args.deploys} | {changes} | {most} | {len(visits.seen)} | {len(visits.bad)} | {needed} | {100 * (1 - waited / max(1, needed)):.3f} % |"
        f" {full} | {restarts} | {killed} | {statistics.median(took):.2f} s | {max(took):.2f} s |")


def deploy(source, root, release):
    write(source, release)
    began = time.monotonic()
    done = subprocess.run([cutover.binary(), "-C", root, "deploy"], capture_output=True, text=True)
    if done.returncode != 0:
        raise Failed(f"deploy {release}: {done.stdout}{done.stderr}")
    return time.monotonic() - began
