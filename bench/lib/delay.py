"""A TCP proxy that lets every byte wait: what a long way does to a connection, without its limits of bandwidth."""

import collections
import socket
import threading
import time


class Delay:
    """Listens on a port of its own, and forwards to another port of this machine; `one_way` in seconds."""

    def __init__(self, to_port, one_way):
        self.to_port, self.one_way = to_port, one_way
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            try:
                near, _ = self.listener.accept()
            except OSError:
                return
            # The handshake of TCP itself is a round trip too.
            threading.Thread(target=self.connect, args=(near,), daemon=True).start()

    def connect(self, near):
        time.sleep(2 * self.one_way)
        far = socket.create_connection(("127.0.0.1", self.to_port))
        for one in (near, far):
            one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        Pipe(near, far, self.one_way)
        Pipe(far, near, self.one_way)

    def close(self):
        self.listener.close()


class Pipe:
    """One direction: a thread that reads, one that writes what has waited long enough."""

    def __init__(self, source, target, wait):
        self.source, self.target, self.wait = source, target, wait
        self.queue, self.ready = collections.deque(), threading.Condition()
        threading.Thread(target=self.read, daemon=True).start()
        threading.Thread(target=self.write, daemon=True).start()

    def read(self):
        while True:
            try:
                data = self.source.recv(1 << 18)
            except OSError:
                data = b""
            with self.ready:
                self.queue.append((time.monotonic() + self.wait, data))
                self.ready.notify()
            if not data:
                return

    def write(self):
        while True:
            with self.ready:
                while not self.queue:
                    self.ready.wait()
                due, data = self.queue.popleft()
            time.sleep(max(0, due - time.monotonic()))
            try:
                if not data:
                    self.target.shutdown(socket.SHUT_WR)
                    return
                self.target.sendall(data)
            except OSError:
                return
