"""Between: nginx asks PHP-FPM itself, and by way of the gateway; one visitor asks both in turn."""

import os
import socket
import statistics
import time

import cutover
import fpm
import port
from process import Failed, Process

NGINX = "/usr/sbin/nginx"

# Both ways keep their connections: two to each, below the pool's size.
CONF = """
daemon off;
pid {dir}/nginx.pid;
error_log {dir}/nginx.error.log error;
worker_processes 1;
{user}
events {{ worker_connections 1024; }}
http {{
    access_log off;
    keepalive_requests 100000000;
    client_body_temp_path {dir}/nginx.body;
    fastcgi_temp_path {dir}/nginx.fastcgi;
    proxy_temp_path {dir}/nginx.proxy;
    uwsgi_temp_path {dir}/nginx.uwsgi;
    scgi_temp_path {dir}/nginx.scgi;
    upstream direct {{ server unix:{direct}; keepalive 7; keepalive_requests 100000000; }}
    upstream gateway {{ server unix:{gateway}; keepalive 7; keepalive_requests 100000000; }}
    {servers}
}}
"""

SERVER = """
    server {{
        listen 127.0.0.1:{port};
        root {root};
        location / {{
            include /etc/nginx/fastcgi_params;
            fastcgi_param SCRIPT_FILENAME {script}$fastcgi_script_name;
            fastcgi_keep_conn on;
            fastcgi_pass {upstream};
        }}
    }}
"""

SERVE = """[app]
name = "bench"
root = "{root}"
docroot = "public"

[php]
fpm = "unix:{fpm}"
exclusive = true
connections = 7

[serve]
listen = ["fcgi:unix:{gateway}"]
"""

HEAD = ("| request | nginx to PHP-FPM, p50 | by way of the gateway, p50 | added, p50 | goal | added in each round | p90, both |\n"
        "|---|---|---|---|---|---|---|")
GOAL_US = 60


class Visitor:
    """One kept connection."""

    def __init__(self, at):
        self.socket = socket.create_connection(("127.0.0.1", at), 10)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def ask(self, path, wanted):
        """Asks once; gives how long the answer took, in µs."""
        request = f"GET {path} HTTP/1.1\r\nHost: bench.test\r\n\r\n".encode()
        began = time.perf_counter_ns()
        self.socket.sendall(request)
        answer = b""
        while not answer.endswith(wanted):
            more = self.socket.recv(1 << 16)
            if not more:
                raise Failed(f"{path}: the connection was closed behind {answer[:200]!r}")
            answer += more
        took = time.perf_counter_ns() - began
        if not answer.startswith(b"HTTP/1.1 200"):
            raise Failed(f"{path}: {answer[:200]!r}")
        return took / 1000


def compare(app, directory, requests, rounds, cpus="0,1"):
    """The row of a PHP hello; requests go to both in turn, so a machine that slows down for a while slows both."""
    started = []
    try:
        places = [os.path.join(directory, name) for name in ("direct", "behind")]
        pools = []
        for place in places:
            os.mkdir(place)
            pools.append(fpm.start(place, cpus))
            started.append(pools[-1])
        gateway = os.path.join(directory, "gateway.sock")
        conf = os.path.join(directory, "cutover.toml")
        with open(conf, "w") as out:
            out.write(SERVE.format(root=app.root, fpm=pools[1].socket, gateway=gateway))
        for release in app.releases:
            cutover.seal(conf, app, release)
        serve = Process("cutover", [cutover.binary(), "serve", conf], cpus, os.path.join(directory, "serve.out"))
        started.append(serve)
        serve.wait_until(lambda: os.path.exists(gateway), "socket")
        ports = [port.free(), port.free()]
        root = os.path.join(app.link, "public")
        servers = [SERVER.format(port=ports[0], root=root, script="$realpath_root", upstream="direct"),
                   SERVER.format(port=ports[1], root=root, script="$document_root", upstream="gateway")]
        nginx_conf = os.path.join(directory, "nginx.conf")
        with open(nginx_conf, "w") as out:
            out.write(CONF.format(dir=directory, direct=pools[0].socket, gateway=gateway, servers="".join(servers),
                                  user="user root;" if os.getuid() == 0 else ""))
        nginx = Process("nginx", [NGINX, "-c", nginx_conf, "-p", directory, "-e", os.path.join(directory, "nginx.error.log")],
                        cpus, os.path.join(directory, "nginx.out"))
        started.append(nginx)
        nginx.wait_until(lambda: all(map(port.answers, ports)), "answer")
        return row(*measure([Visitor(at) for at in ports], requests, rounds))
    finally:
        for process in reversed(started):
            process.stop()


def measure(visitors, requests, rounds):
    took = []
    for number in range(rounds + 1):
        here = ([], [])
        for turn in range(requests):
            for which in (0, 1) if turn % 2 == 0 else (1, 0):
                here[which].append(visitors[which].ask("/hello.php", (b"0\r\n\r\n", b"hello\n")[which]))
        # The first round warms up.
        if number > 0:
            took.append(here)
    return [one[0] for one in took], [one[1] for one in took]


def row(direct, behind):
    def all_of(rounds):
        return sorted(us for one in rounds for us in one)

    def p90(rounds):
        return all_of(rounds)[len(all_of(rounds)) * 9 // 10]

    added = [statistics.median(theirs) - statistics.median(ours) for ours, theirs in zip(direct, behind)]
    median = statistics.median(added)
    verdict = "ok" if median <= GOAL_US else "MISSED"
    return (f"| PHP hello | {statistics.median(all_of(direct)):.0f} µs | {statistics.median(all_of(behind)):.0f} µs | **{median:.0f} µs** "
            f"| ≤ {GOAL_US} µs {verdict} | {' '.join(f'{one:.0f}' for one in added)} | {p90(direct):.0f}, {p90(behind):.0f} µs |")
