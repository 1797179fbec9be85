"""Machine: what the figures were taken on, in a few words, without names or paths."""

import os
import re
import subprocess


def describe():
    """A line about the machine and one about the programs, as Markdown."""
    cpu = next((line.split(":")[1].strip() for line in open("/proc/cpuinfo") if line.startswith("model name")), "unknown CPU")
    memory = next(int(line.split()[1]) for line in open("/proc/meminfo") if line.startswith("MemTotal"))
    programs = (["/usr/sbin/nginx", "-v"], ["/usr/sbin/apache2", "-v"], ["/usr/bin/caddy", "version"], ["/usr/sbin/lighttpd", "-v"],
                ["/usr/sbin/php-fpm8.2", "-v"], ["wrk", "-v"], [os.environ.get("CUTOVER", "cutover"), "--version"], ["openssl", "version"])
    return (f"{os.cpu_count()} x {cpu}, {memory / (1 << 20):.0f} GiB, Linux {os.uname().release}, load average before the run {os.getloadavg()[0]:.2f}  \n"
            + ", ".join(filter(None, map(version, programs))))


def version(argv):
    try:
        done = subprocess.run(argv, capture_output=True, text=True)
    except OSError:
        return ""
    words = (done.stdout + done.stderr).splitlines()
    found = re.search(r"(nginx/\S+|Apache/\S+|lighttpd/\S+|PHP \S+|wrk \S+|cutover \S+|OpenSSL \S+)", words[0] if words else "")
    if found:
        return found.group(1).replace("debian/", "")
    return f"Caddy {words[0].split()[0]}" if argv[0].endswith("caddy") and words else ""
