"""cutover serve: the same app, the same pool, the same number of workers."""

import os
import subprocess

import port
from process import Failed, Process

ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..")

CONF = """[app]
name = "bench"
root = "{root}"
docroot = "public"

[php]
fpm = "unix:{fpm}"
exclusive = true
connections = 7

[serve]
listen = [{{ addr = "127.0.0.1:{http}", tls = false }}, {{ addr = "127.0.0.1:{https}", tls = true }}]
tls = [{{ cert = "{cert}", key = "{key}" }}]
workers = 1

[serve.log]
access = "{access}"

[serve.limits]
body = "8G"
connections = 16384
"""


def build():
    """Builds the release binary, unless CUTOVER names one."""
    if "CUTOVER" in os.environ:
        return
    target = os.environ.get("CARGO_TARGET_DIR", os.path.join(ROOT, "target"))
    subprocess.run(["cargo", "build", "--release", "--locked", "-p", "cutover"], cwd=ROOT, check=True)
    os.environ["CUTOVER"] = os.path.join(os.path.abspath(target), "release", "cutover")


def binary():
    """What `build` built; CUTOVER names another one."""
    return os.environ["CUTOVER"]


def start(directory, app, logs, cpus, more=""):
    cert, key = app.certificate()
    http, https = port.free(), port.free()
    conf = os.path.join(directory, "cutover.toml")
    with open(conf, "w") as out:
        out.write(CONF.format(
            root=app.root, fpm=os.path.join(directory, "fpm.sock"), http=http, https=https, cert=cert, key=key,
            access="off" if logs == "off" else os.path.join(directory, "access.log")) + more)
    for release in app.releases:
        seal(conf, app, release)
    server = Process("cutover", [binary(), "serve", conf], cpus, os.path.join(directory, "serve.out"))
    server.http, server.https = http, https
    server.conf = conf
    return server.wait_until(lambda: port.answers(http), "answer")


def seal(conf, app, release):
    """A sealed release cannot change, so its small files are served from memory."""
    if os.path.exists(os.path.join(app.root, ".cutover", "manifests", release)):
        return
    done = subprocess.run([binary(), "--config", conf, "seal", release], capture_output=True, text=True)
    if done.returncode != 0:
        raise Failed(f"cutover seal {release}: {done.stderr}")
