"""Process: a server we started, what it has cost so far, and how it is ended."""

import glob
import os
import signal
import subprocess
import time

TICK = os.sysconf("SC_CLK_TCK")
PAGE = os.sysconf("SC_PAGE_SIZE")


class Failed(Exception):
    """A server did not start, or a load did not do what it should."""


class Process:
    """A process and its descendants. CPU is user + system time of all of them, in seconds."""

    def __init__(self, name, argv, cpus, log, env=None):
        self.name = name
        self.log = log
        with open(log, "ab") as out:
            self.child = subprocess.Popen(
                pinned(cpus) + argv, stdin=subprocess.DEVNULL, stdout=out, stderr=out,
                env={**os.environ, **(env or {})}, start_new_session=True)
        self.pid = self.child.pid

    def pids(self):
        """The process and its living descendants."""
        children = {}
        for entry in os.listdir("/proc"):
            if entry.isdigit():
                stat = read_stat(int(entry))
                if stat:
                    children.setdefault(int(stat[1]), []).append(int(entry))
        found, todo = [], [self.pid]
        while todo:
            pid = todo.pop()
            found.append(pid)
            todo.extend(children.get(pid, []))
        return found

    def cpu(self, leave_out=()):
        """Seconds of CPU so far, without the processes whose name is in `leave_out`."""
        ticks = 0
        for pid in self.pids():
            stat = read_stat(pid)
            if stat and command(pid) not in leave_out:
                ticks += int(stat[11]) + int(stat[12])
        return ticks / TICK

    def ran_ns(self):
        """Nanoseconds of CPU so far, of all threads that stand (`cpu` counts ticks of 10 ms): for short runs."""
        return sum(ran_ns(pid) for pid in self.pids())

    def rss(self):
        """Resident bytes of this process alone."""
        return status(self.pid, "VmRSS")

    def forget_peak(self):
        """Begins a new VmHWM."""
        with open(f"/proc/{self.pid}/clear_refs", "w") as refs:
            refs.write("5")

    def peak(self):
        """The most resident bytes since `forget_peak`."""
        return status(self.pid, "VmHWM")

    def fds(self):
        return len(os.listdir(f"/proc/{self.pid}/fd"))

    def alive(self):
        return self.child.poll() is None

    def stop(self):
        if self.alive():
            self.child.send_signal(signal.SIGTERM)
            try:
                self.child.wait(10)
            except subprocess.TimeoutExpired:
                self.child.kill()
                self.child.wait()

    def last_words(self):
        with open(self.log, errors="replace") as log:
            return log.read()[-2000:]

    def wait_until(self, ready, what, seconds=10):
        """Waits until `ready()` is true; says what the log holds if that never comes."""
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            if not self.alive():
                raise Failed(f"{self.name} ended with {self.child.returncode}: {self.last_words()}")
            if ready():
                return self
            time.sleep(0.02)
        raise Failed(f"{self.name}: no {what} after {seconds} s: {self.last_words()}")


def ran_ns(pid):
    """Nanoseconds of CPU so far of one process's threads that stand."""
    total = 0
    for schedstat in glob.glob(f"/proc/{pid}/task/*/schedstat"):
        try:
            with open(schedstat) as numbers:
                total += int(numbers.read().split()[0])
        except OSError:
            pass  # a thread that has just ended
    return total


def pinned(cpus):
    """The command that puts another on `cpus`, in a session of its own, and before other work where we may."""
    if os.getuid() != 0:
        return ["taskset", "-c", cpus]
    # Under autogroup scheduling (sched(7)) a nice value counts only within its session, so the session has one too.
    first = '{ echo -15 > /proc/self/autogroup; } 2>/dev/null; exec nice -n -15 "$@"'
    return ["taskset", "-c", cpus, "sh", "-c", first, "sh"]


def read_stat(pid):
    """The fields of /proc/PID/stat behind the command's name (proc(5): index 0 is the state)."""
    try:
        with open(f"/proc/{pid}/stat") as stat:
            return stat.read().rsplit(")", 1)[1].split()
    except (OSError, IndexError):
        return None


def command(pid):
    try:
        with open(f"/proc/{pid}/comm") as comm:
            return comm.read().strip()
    except OSError:
        return ""


def status(pid, key):
    with open(f"/proc/{pid}/status") as lines:
        for line in lines:
            if line.startswith(key + ":"):
                return int(line.split()[1]) * 1024
    raise Failed(f"no {key} for process {pid}")
