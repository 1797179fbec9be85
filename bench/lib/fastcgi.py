"""FastCGI: one request to a PHP-FPM, without a web server between (FastCGI specification 1.0, section 3)."""

import socket
import struct

BEGIN, END, PARAMS, STDIN, STDOUT = 1, 3, 4, 5, 6


def ask(path, script, timeout=600):
    """Runs a script by the pool at the Unix socket `path`; gives what it answered, headers and all."""
    with socket.socket(socket.AF_UNIX) as link:
        link.settimeout(timeout)
        link.connect(path)
        params = {"SCRIPT_FILENAME": script, "REQUEST_METHOD": "GET", "REDIRECT_STATUS": "200"}
        link.sendall(
            record(BEGIN, struct.pack("!HB5x", 1, 0)) + record(PARAMS, b"".join(pair(*one) for one in params.items())) + record(PARAMS, b"")
            + record(STDIN, b""))
        received = b"".join(iter(lambda: link.recv(1 << 16), b""))
    out, at = b"", 0
    while at + 8 <= len(received):
        _, kind, _, length, padding, _ = struct.unpack("!BBHHBB", received[at:at + 8])
        out += received[at + 8:at + 8 + length] if kind == STDOUT else b""
        at += 8 + length + padding
    return out.decode(errors="replace")


def record(kind, content):
    return struct.pack("!BBHHBB", 1, kind, 1, len(content), 0, 0) + content


def pair(name, value):
    name, value = name.encode(), value.encode()
    return length(name) + length(value) + name + value


def length(text):
    return bytes([len(text)]) if len(text) < 128 else struct.pack("!I", len(text) | 1 << 31)
