"""Peer: a web server that is set up in one known way, from its template in bench/peers, with a PHP-FPM pool of its own."""

import os
import pwd
import shutil

import cutover
import port
from process import Failed, Process

TEMPLATES = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "peers")

# In the order of the tables, with the name they are shown by.
TITLES = {
    "nginx-document-root": "nginx, `$document_root`",
    "nginx-realpath-root": "nginx, `$realpath_root`",
    "nginx-pinned": "nginx, pinned root",
    "apache-prefork": "Apache prefork, mod_php",
    "apache-event": "Apache event, proxy_fcgi",
    "caddy": "Caddy, `resolve_root_symlink`",
    "lighttpd": "lighttpd",
    "cutover": "`cutover serve`",
}


class Template:
    """A configuration with @NAMES@ in it, and comments that say how it is started (`run:`) and who brings the program."""

    def __init__(self, name):
        with open(os.path.join(TEMPLATES, name + ".conf.in")) as text:
            self.text = text.read()
        self.name = name

    def start(self, directory, places, cpus, ready, before=lambda conf: None):
        """Writes the configuration, does what comes `before`, and runs the program until `ready()` says that it is there."""
        conf = os.path.join(directory, self.name + ".conf")
        places = {**places, "CONF": conf, "DIR": directory}
        with open(conf, "w") as out:
            out.write(fill(self.text, places))
        argv = fill(self.said("run: "), places).split(" ")
        if not os.path.exists(argv[0]):
            raise Failed(f"{argv[0]} is missing: install the package {self.said('package: ')}, or run scripts/setup bench")
        before(conf)
        # Caddy keeps its state below the home directory.
        server = Process(self.name, argv, cpus, os.path.join(directory, self.name + ".out"), env={"HOME": directory})
        server.conf = conf
        return server.wait_until(ready, "answer", 30)

    def said(self, label):
        comments = (line[1:].strip() for line in self.text.splitlines() if line[:1] in "#;")
        return next(line[len(label):] for line in comments if line.startswith(label))


def start(name, directory, app, cpus, workers, pool_cpus):
    """The pool, then the server: what stands has `url`, `link`, `pool` and `stop()`."""
    where = os.path.join(directory, name)
    shutil.rmtree(where, ignore_errors=True)
    os.mkdir(where)
    os.chmod(where, 0o755)
    http, socket = port.free(), os.path.join(where, "fpm.sock")
    places = {
        "APP": app.root, "LINK": app.link, "FPM": socket, "PORT": http, "LISTEN": f"127.0.0.1:{http}", "USER": user(),
        # Kept connections of all workers together stay below the pool's eight.
        "WORKERS": workers, "KEPT": 6 // workers, "CUTOVER": os.environ.get("CUTOVER", ""),
    }
    pool = Template("php-fpm").start(where, places, pool_cpus, lambda: os.path.exists(socket))
    try:
        seal = (lambda conf: [cutover.seal(conf, app, release) for release in app.releases]) if name == "cutover" else lambda conf: None
        server = Template(name).start(where, places, cpus, lambda: port.answers(http), seal)
        server.pool = pool
        server.url = f"http://127.0.0.1:{http}"
    except Failed:
        pool.stop()
        raise
    return server


def stop(server):
    server.stop()
    server.pool.stop()


def fill(text, places):
    for key, value in places.items():
        text = text.replace(f"@{key}@", str(value))
    return text


def user():
    """Root gives its rights up to www-data; anybody else stays who they are."""
    return "www-data" if os.getuid() == 0 else pwd.getpwuid(os.getuid()).pw_name
