"""A tree like that of an application with its dependencies."""

import os
import random
import time


def plant(top, files, size):
    """Many small files, nine to a directory, a few large ones; always the same for the same numbers."""
    chance = random.Random(1)
    weights = [chance.paretovariate(1.2) for _ in range(files)]
    scale = size / sum(weights)
    for n in range(files):
        directory = os.path.join(top, f"vendor{n // 900 % 40}", f"package{n // 90}", f"src{n // 9}")
        if n % 9 == 0:
            os.makedirs(directory, exist_ok=True)
        path = os.path.join(directory, f"Class{n}.php")
        with open(path, "wb") as file:
            file.write(chance.randbytes(max(1, int(weights[n] * scale))))
        os.utime(path, (1_700_000_000 + n, 1_700_000_000 + n))


def touch_one(top):
    """Changes one file."""
    path = os.path.join(top, "vendor0", "package0", "src0", "Class0.php")
    with open(path, "w") as file:
        file.write(f"<?php // {time.time_ns()}\n")
