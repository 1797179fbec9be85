"""App: the tree that is served, in Cutover's layout, with a certificate beside it."""

import os
import subprocess

SIZES = {"1k.txt": 1 << 10, "100k.txt": 100 << 10, "10m.bin": 10 << 20}

PHP = {
    "hello.php": '<?php header("Content-Type: text/plain"); echo "hello\\n";\n',
    # Reads what was sent without ever holding it, and tells what came.
    "upload.php": '''<?php
$in = fopen("php://input", "rb"); $n = 0;
while (!feof($in)) { $n += strlen(fread($in, 1 << 20)); }
header("Content-Type: text/plain"); echo $n, "\\n";
''',
    "download.php": '''<?php
header("Content-Type: application/octet-stream");
$megabyte = str_repeat("0123456789abcdef", 65536);
for ($i = 0, $n = (int)$_GET["mib"]; $i < $n; $i++) { echo $megabyte; flush(); }
''',
}


class App:
    def __init__(self, root, releases=("r1",)):
        self.root = root
        self.releases = list(releases)
        for name in self.releases:
            public = os.path.join(root, "releases", name, "public")
            os.makedirs(public)
            for file, size in SIZES.items():
                line = f"{name} {file} ".encode().ljust(64, b".")
                with open(os.path.join(public, file), "wb") as out:
                    out.write((line * (size // len(line) + 1))[:size])
            for file, text in PHP.items():
                with open(os.path.join(public, file), "w") as out:
                    out.write(text)
        self.link = os.path.join(root, "current")
        self.flip(self.releases[0])

    def flip(self, name):
        """As a foreign tool does it: a new link, renamed over the old one."""
        fresh = self.link + ".new"
        os.symlink(f"releases/{name}", fresh)
        os.rename(fresh, self.link)

    def certificate(self):
        """A self-signed P-256 certificate and its key, made once: their two paths."""
        cert, key = os.path.join(self.root, "cert.pem"), os.path.join(self.root, "key.pem")
        if not os.path.exists(cert):
            subprocess.run(
                ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "30",
                 "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1", "-keyout", key, "-out", cert],
                check=True, capture_output=True)
        return cert, key
