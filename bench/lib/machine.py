"""Machine: what the figures were taken on, in a few words, without names or paths."""

import os
import re
import subprocess


def describe():
    cpu = next((line.split(":")[1].strip() for line in open("/proc/cpuinfo") if line.startswith("model name")), "unknown CPU")
    memory = next(int(line.split()[1]) for line in open("/proc/meminfo") if line.startswith("MemTotal"))
    return [
        f"{os.cpu_count()} x {cpu}, {memory / (1 << 20):.0f} GiB, Linux {os.uname().release}, load before the run {os.getloadavg()[0]:.2f}",
        ", ".join(filter(None, [version(["/usr/sbin/nginx", "-v"]), version(["/usr/sbin/php-fpm8.2", "-v"]), version(["wrk", "-v"]),
                                version([os.environ.get("CUTOVER", "cutover"), "--version"]), version(["openssl", "version"])])),
    ]


def version(argv):
    try:
        done = subprocess.run(argv, capture_output=True, text=True)
    except OSError:
        return ""
    words = (done.stdout + done.stderr).splitlines()
    found = re.search(r"(nginx/\S+|PHP \S+|wrk \S+|cutover \S+|OpenSSL \S+)", words[0] if words else "")
    return found.group(1).replace("debian/", "") if found else ""
