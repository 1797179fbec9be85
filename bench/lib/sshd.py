"""An sshd of one's own, on a port of its own, with keys of its own; and the ssh_config that reaches it."""

import getpass
import os
import socket
import subprocess
import time


class Sshd:
    def __init__(self, top):
        self.top = top
        os.makedirs(top)
        for key in ("host", "mine"):
            subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", self.at(key)], check=True)
        if os.geteuid() == 0:
            os.makedirs("/run/sshd", exist_ok=True)
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = free.getsockname()[1]
        with open(self.at("sshd_config"), "w") as file:
            file.write(
                f"ListenAddress 127.0.0.1:{self.port}\nHostKey {self.at('host')}\nAuthorizedKeysFile {self.at('mine.pub')}\n"
                f"StrictModes no\nUsePAM no\nPermitRootLogin yes\nPasswordAuthentication no\nPidFile none\nUseDNS no\n"
                f"SetEnv HOME={self.at('home')} XDG_CACHE_HOME={self.at('cache')}\n"
            )
        for name in ("home", "cache"):
            os.makedirs(self.at(name))
        self.process = subprocess.Popen(
            ["/usr/sbin/sshd", "-D", "-e", "-f", self.at("sshd_config")], stderr=subprocess.DEVNULL
        )
        self.wait()
        with open(self.at("host.pub")) as key, open(self.at("known"), "w") as known:
            known.write(f"* {key.read()}")

    def at(self, name):
        return os.path.join(self.top, name)

    def wait(self):
        until = time.monotonic() + 10
        while True:
            try:
                socket.create_connection(("127.0.0.1", self.port)).close()
                return
            except OSError:
                if time.monotonic() > until or self.process.poll() is not None:
                    raise
                time.sleep(0.05)

    def config(self, hosts):
        """Writes an ssh_config; `hosts` is a name, a port and further lines for each."""
        path = self.at("ssh_config")
        with open(path, "w") as file:
            for name, port, more in hosts:
                file.write(
                    f"Host {name}\n  HostName 127.0.0.1\n  Port {port}\n  User {getpass.getuser()}\n  IdentityFile {self.at('mine')}\n"
                    f"  IdentitiesOnly yes\n  IdentityAgent none\n  UserKnownHostsFile {self.at('known')}\n"
                    f"  GlobalKnownHostsFile none\n  StrictHostKeyChecking yes\n"
                    + "".join(f"  {line}\n" for line in more)
                )
        return path

    def close(self):
        self.process.terminate()
        self.process.wait()
