"""Warming: how long `cutover warm` takes for a release that PHP has never seen, beside the bare compiling of it."""

import os
import statistics
import subprocess
import time

import cutover
import fastcgi
from fpm import BINARY
from process import Failed, Process

CPUS = "0,1"
METHODS = 12
GOAL = 1.5

FPM = """[global]
error_log = {dir}/fpm.log
daemonize = no
[www]
listen = {dir}/fpm.sock
pm = static
pm.max_children = 4
"""

INI = {
    "opcache.memory_consumption": 512, "opcache.interned_strings_buffer": 32, "opcache.max_accelerated_files": 50000,
    "opcache.file_update_protection": 0,
}

CONF = """[app]
name = "warming"
root = "{root}"

[php]
fpm = "unix:{fpm}"
"""

# One request of one worker compiles all; nothing else happens in it.
BARE = """<?php
set_time_limit(0);
$files = file($_SERVER['SCRIPT_FILENAME'] . '.list', FILE_IGNORE_NEW_LINES);
$began = hrtime(true);
foreach ($files as $file) { opcache_compile_file($file); }
$took = (hrtime(true) - $began) / 1e9;
printf("%.6f %d", $took, opcache_get_status(false)['opcache_statistics']['num_cached_scripts']);
"""


def about(args):
    return (
        f"## Warming a release\n\n{args.files} generated classes of {METHODS} methods; a new PHP-FPM for each measure, {args.rounds} rounds, each first one and then the other."
        " Bare: `opcache_compile_file` for all, by one worker in one request, timed inside. Warm: `cutover warm` from its start to its end.\n\n"
        "| files | source | bare compiling | `cutover warm` | over bare | goal | again |\n|---|---|---|---|---|---|---|")


def rows(args, directory):
    root = os.path.join(directory, "app")
    files = tree(os.path.join(root, "releases", "r1"), args.files)
    os.symlink("releases/r1", os.path.join(root, "current"))
    conf = os.path.join(directory, "cutover.toml")
    with open(conf, "w") as out:
        out.write(CONF.format(root=root, fpm=os.path.join(directory, "fpm.sock")))
    run(conf, "seal", "r1")
    bare, warm = [], []
    for _ in range(args.rounds):
        bare.append(once(directory, lambda socket: compile_bare(directory, socket, files)))
        warm.append(once(directory, lambda socket: compile_warm(conf, args.files)))
    over = statistics.median(two / one for one, two in zip(bare, warm))
    size = sum(os.path.getsize(file) for file in files) / 1e6
    held = f"{GOAL} x, {'held' if over <= GOAL else 'MISSED'}"
    yield (
        f"| {args.files} | {size:.1f} MB | {statistics.median(bare):.2f} s | {statistics.median(warm):.2f} s | **{over:.2f}** | {held} |"
        f" `bench/caches warm --files {args.files} --rounds {args.rounds}` |")


def tree(release, count):
    """Classes as an application has them: each file its own, with strings, arrays and calls."""
    files = []
    for number in range(count):
        path = os.path.join(release, "src", f"d{number // 100:03}", f"C{number:05}.php")
        os.makedirs(os.path.dirname(path), exist_ok=True)
        methods = "".join(
            f"""
    /** Says what m{n} of {number} is about. */
    public function m{n}(int $count, array $given = []): array
    {{
        $found = ['name{n}' => $count, 'text' => 'what {number} says of {n}'];
        foreach ($given as $key => $value) {{
            $found[$key] = $value > {n} ? $value * {number} : sprintf('%s-%s', $key, strtolower((string) $value));
        }}
        return $found;
    }}
""" for n in range(METHODS))
        with open(path, "w") as out:
            out.write(f"<?php\n\nnamespace Bench\\D{number // 100};\n\nfinal class C{number:05}\n{{{methods}}}\n")
        files.append(path)
    return files


def once(directory, measure):
    """Measures with a PHP-FPM whose caches are empty."""
    ini = os.path.join(directory, "ini")
    os.makedirs(ini, exist_ok=True)
    with open(os.path.join(ini, "opcache.ini"), "w") as out:
        out.writelines(f"{key}={value}\n" for key, value in INI.items())
    conf = os.path.join(directory, "fpm.conf")
    with open(conf, "w") as out:
        out.write(FPM.format(dir=directory))
    socket = os.path.join(directory, "fpm.sock")
    if os.path.exists(socket):
        os.unlink(socket)
    argv = [BINARY, "-F", "-y", conf] + (["-R"] if os.getuid() == 0 else [])
    fpm = Process("php-fpm", argv, CPUS, os.path.join(directory, "fpm.out"), {"PHP_INI_SCAN_DIR": f":{ini}"})
    try:
        fpm.wait_until(lambda: os.path.exists(socket), "socket")
        return measure(socket)
    finally:
        fpm.stop()


def compile_bare(directory, socket, files):
    script = os.path.join(directory, "bare.php")
    with open(script, "w") as out:
        out.write(BARE)
    with open(script + ".list", "w") as out:
        out.write("".join(f"{file}\n" for file in files))
    said = fastcgi.ask(socket, script).rsplit("\r\n", 1)[-1].split()
    if len(said) != 2 or int(said[1]) < len(files):
        raise Failed(f"bare compiling: {said}")
    return float(said[0])


def compile_warm(conf, count):
    began = time.monotonic()
    said = run(conf, "warm", "r1")
    took = time.monotonic() - began
    if f"{count} files in opcache" not in said:
        raise Failed(f"cutover warm: {said}")
    return took


def run(conf, *args):
    done = subprocess.run([cutover.binary(), "--config", conf, *args], capture_output=True, text=True)
    if done.returncode != 0:
        raise Failed(f"cutover {args[0]}: {done.stderr}{done.stdout}")
    return done.stdout
