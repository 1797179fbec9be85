"""MediaWiki: a real application that is heavy to compile, from Debian's package, installed privately on SQLite."""

import os
import secrets
import shutil
import subprocess

import peer
from process import Failed

PACKAGE = "/usr/share/mediawiki"
# What a few visitors ask, so that a good part of the code is needed.
PATHS = [
    "/index.php?title=Main_Page",
    "/index.php?title=Special:RecentChanges",
    "/load.php?modules=startup&only=scripts&raw=1&skin=vector",
    "/index.php?title=Main_Page&action=history",
    "/index.php?title=Special:Version",
]


class MediaWiki:
    """Two releases with the same content and one database, in Cutover's layout; the docroot is the release itself."""

    def __init__(self, root):
        if not os.path.exists(PACKAGE):
            raise Failed(f"{PACKAGE} is missing: run scripts/setup bench")
        self.root = root
        self.releases = ["r1", "r2"]
        self.link = os.path.join(root, "current")
        first, second = (os.path.join(root, "releases", release) for release in self.releases)
        data = os.path.join(root, "shared")
        os.makedirs(data)
        # Debian's package is full of links out of itself (to /var/lib and /etc); the one to LocalSettings.php leads nowhere yet.
        shutil.copytree(PACKAGE, first, ignore_dangling_symlinks=True)
        installed = subprocess.run(
            ["php8.2", "maintenance/install.php", "--dbtype", "sqlite", "--dbpath", data, "--dbname", "wiki", "--confpath", first,
             "--server", "http://127.0.0.1", "--scriptpath", "", "--pass", secrets.token_hex(12), "Bench", "Admin"],
            cwd=first, capture_output=True, text=True)
        if installed.returncode != 0:
            raise Failed(f"MediaWiki's install.php: {(installed.stdout + installed.stderr)[-2000:]}")
        subprocess.run(["cp", "-al", first, second], check=True)
        for path in (root, data, *(os.path.join(data, name) for name in os.listdir(data))):
            os.chmod(path, 0o755 if os.path.isdir(path) else 0o644)
            if os.getuid() == 0:
                shutil.chown(path, peer.user(), peer.user())
        os.chmod(os.path.join(first, "LocalSettings.php"), 0o644)
        self.flip(self.releases[0])

    def flip(self, release):
        fresh = self.link + ".new"
        os.symlink(f"releases/{release}", fresh)
        os.rename(fresh, self.link)
