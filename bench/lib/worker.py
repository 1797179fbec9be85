"""Worker: what a php-fpm worker does for a request, in numbers that a busy machine does not change."""

import collections
import os
import re
import shutil
import signal
import subprocess
import time

from process import Failed


def callgrind(directory):
    """The command that runs php-fpm under callgrind, which notes down what there was at the start of each request."""
    return ["valgrind", "--tool=callgrind", f"--callgrind-out-file={directory}/callgrind.%p", "--dump-before=php_request_startup"]


def can_callgrind():
    return shutil.which("valgrind") is not None


def instructions(directory, fpm, text, requests=21):
    """Instructions of one request: the least of some, for what lasts a second is over sooner here. `fpm` runs under `callgrind(directory)`."""
    # More than it takes until everything is remembered.
    for _ in range(40):
        fpm.ask(text)
    prefix = f"callgrind.{fpm.pid()}."
    for name in dumps(directory, prefix):
        os.unlink(os.path.join(directory, name))
    for _ in range(requests):
        fpm.ask(text)
    found = [total(os.path.join(directory, name)) for name in dumps(directory, prefix)]
    if len(found) < requests - 1:
        raise Failed(f"callgrind noted down {len(found)} of {requests} requests: {fpm.process.last_words()}")
    return min(found)


def dumps(directory, prefix):
    return [name for name in os.listdir(directory) if name.startswith(prefix)]


def total(path):
    with open(path) as lines:
        for line in lines:
            if line.startswith("totals:"):
                return int(line.split()[1])
    raise Failed(f"no totals in {path}")


def system_calls(directory, fpm, text, requests=100):
    """System calls of one request, by their names. `None`: there is no strace, or it may not look."""
    if not shutil.which("strace"):
        return None
    for _ in range(40):
        fpm.ask(text)
    path = os.path.join(directory, "strace.out")
    with open(os.path.join(directory, "strace.err"), "w+") as said:
        tracer = subprocess.Popen(["strace", "-p", str(fpm.pid()), "-o", path], stdout=said, stderr=said)
        try:
            until = time.monotonic() + 30
            while "attached" not in read(said):
                if tracer.poll() is not None or time.monotonic() > until:
                    return None
                time.sleep(0.02)
            for _ in range(requests):
                fpm.ask(text)
        finally:
            if tracer.poll() is None:
                tracer.send_signal(signal.SIGINT)
            tracer.wait(30)
    with open(path) as lines:
        return most_common(lines)


def most_common(lines):
    """The system calls of the usual one of many requests: now and then one does more, which is remembered for a second."""
    seen, current = collections.Counter(), None
    for line in lines:
        # The header of a FastCGI record that begins a request.
        if re.match(r'read\(\d+, "\\1\\1', line):
            if current:
                seen[frozenset(current.items())] += 1
            current = collections.Counter()
        name = re.match(r"(\w+)\(", line)
        if name and current is not None:
            current[name.group(1)] += 1
    return dict(seen.most_common(1)[0][0]) if seen else None


def read(file):
    file.seek(0)
    return file.read()
