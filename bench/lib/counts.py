"""Counts: what a request costs, as far as other load on the machine changes it little: instructions, calls to the file system, and CPU in short turns."""

import glob
import os
import shutil
import socket
import statistics
import time

import apaches
import peer
from process import Failed, ran_ns

WARM, ASKED, TRACED = 300, 2000, 100
TURNS, TURN = 300, 50
# Refused before any rule, and the connection is kept.
REFUSED = "/%2F"
VALGRIND, STRACE, SETPRIV = "/usr/bin/valgrind", "/usr/bin/strace", "/usr/bin/setpriv"

FILES = {"open", "openat", "close", "stat", "lstat", "fstat", "newfstatat", "statx", "access", "faccessat2", "readlink", "readlinkat",
         "flock", "fstatfs", "getdents64", "chdir"}

HEAD = ("| case | instructions without | with | with/without | calls to the file system without | with | CPU µs without | with | without/with |\n"
        "|---|---|---|---|---|---|---|---|---|")


def row(case, app, directory):
    """One process of Apache, one connection, so that nothing depends on who came first."""
    # As for the speed: a link that was flipped just now is read for each request.
    time.sleep(11)
    instructions = [count(case, app, directory, with_module) for with_module in (False, True)]
    calls = [trace(case, app, directory, with_module) for with_module in (False, True)]
    costs = turns(case, app, directory)
    return "| " + " | ".join([
        case.name, f"{instructions[0]:,.0f}", f"{instructions[1]:,.0f}", f"{instructions[1] / instructions[0]:.3f}",
        f"{calls[0]:.1f}", f"{calls[1]:.1f}", *(f"{statistics.median(cost):.2f}" for cost in costs),
        apaches.told([plain / ours for plain, ours in zip(*costs)])]) + " |"


def count(case, app, directory, with_module):
    """Instructions in user mode per request: of this process, not of the kernel's nor of php-fpm."""
    where = os.path.join(directory, "counted")
    out = os.path.join(where, "callgrind")
    # What was counted is written each time that an error is answered.
    tool = f"{VALGRIND} --quiet --vgdb=no --tool=callgrind --callgrind-out-file={out} --dump-before=ap_send_error_response"
    server = start(case, app, directory, "counted", with_module, tool)
    try:
        with Client(server.port) as client:
            client.ask(case.path, WARM)
            client.ask(REFUSED, 1, b" 404 ")
            client.ask(case.path, ASKED)
            client.ask(REFUSED, 1, b" 404 ")
        written(lambda: parts(out) >= 2)
    finally:
        peer.stop(server)
    with open(f"{out}.2") as part:
        total = next(line for line in part if line.startswith("totals:"))
    return int(total.split()[1]) / ASKED


def trace(case, app, directory, with_module):
    """Calls to the file system per request. Of the others, those that wait depend on who comes first."""
    where = os.path.join(directory, "traced")
    out = os.path.join(where, "strace")
    # The tracer apart, so that a signal ends Apache and not the tracer alone.
    server = start(case, app, directory, "traced", with_module, f"{STRACE} -D -f -qq -o {out}")
    try:
        with Client(server.port) as client:
            client.ask(case.path, WARM)
            before = calls(out)
            client.ask(case.path, TRACED)
            return (calls(out) - before) / TRACED
    finally:
        peer.stop(server)


def turns(case, app, directory):
    """The process's CPU per request in microseconds, without and with the module, in turns that stand side by side."""
    servers, clients, costs = [], [], ([], [])
    try:
        for with_module in (False, True):
            name = ("plain", "ours")[with_module]
            servers.append(apaches.start(case, name, directory, app, with_module, f"{apaches.APACHE} -X"))
            clients.append(Client(servers[-1].port))
            clients[-1].ask(case.path, WARM)
        for number in range(TURNS):
            for at in (0, 1) if number % 2 == 0 else (1, 0):
                before = ran_ns(servers[at].pid)
                clients[at].ask(case.path, TURN)
                costs[at].append((ran_ns(servers[at].pid) - before) / TURN / 1e3)
    finally:
        for client in clients:
            client.__exit__()
        for server in servers:
            peer.stop(server)
    return costs


def start(case, app, directory, name, with_module, tool):
    shutil.rmtree(os.path.join(directory, name), ignore_errors=True)
    if not os.path.exists(tool.split(" ")[0]):
        raise Failed(f"{tool.split(' ')[0]} is missing: run scripts/setup bench")
    # Root would write files that the user whom Apache becomes cannot write again.
    if os.getuid() == 0 and tool.startswith(VALGRIND):
        tool = f"{SETPRIV} --reuid={peer.user()} --regid={peer.user()} --clear-groups {tool}"
    return apaches.start(case, name, directory, app, with_module, f"{tool} {apaches.APACHE} -X")


def parts(out):
    return sum(1 for part in glob.glob(f"{out}.*") if os.path.getsize(part))


def written(is_so):
    until = time.monotonic() + 60
    while not is_so():
        if time.monotonic() > until:
            raise Failed("valgrind has written nothing")
        time.sleep(0.05)


def calls(out):
    # The tracer is a moment behind.
    time.sleep(0.5)
    with open(out, errors="replace") as lines:
        return sum(1 for line in lines if line.split(" ", 1)[1].lstrip().partition("(")[0] in FILES)


class Client:
    """One kept connection, one request at a time."""

    def __init__(self, port):
        self.stream = socket.create_connection(("127.0.0.1", port))
        self.answers = self.stream.makefile("rb")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.answers.close()
        self.stream.close()

    def ask(self, path, times, expected=b" 200 "):
        for _ in range(times):
            self.stream.sendall(f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
            status = self.answers.readline()
            if expected not in status:
                raise Failed(f"{path}: {status}")
            head = {}
            while (line := self.answers.readline()) not in (b"\r\n", b""):
                name, _, value = line.partition(b":")
                head[name.lower()] = value.strip()
            self.body(head)

    def body(self, head):
        if b"content-length" in head:
            self.answers.read(int(head[b"content-length"]))
            return
        while length := int(self.answers.readline(), 16):
            self.answers.read(length + 2)
        self.answers.readline()
