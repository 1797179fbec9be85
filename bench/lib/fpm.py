"""FPM: the one PHP-FPM pool that both servers talk to."""

import os

from process import Process

BINARY = "/usr/sbin/php-fpm8.2"
WORKERS = 8

CONF = """[global]
error_log = {dir}/fpm.log
daemonize = no
[www]
listen = {dir}/fpm.sock
listen.backlog = 4096
pm = static
pm.max_children = {workers}
catch_workers_output = no
php_admin_value[post_max_size] = 0
php_admin_value[enable_post_data_reading] = 0
php_admin_value[max_execution_time] = 0
php_admin_value[output_buffering] = 0
"""


def start(directory, cpus):
    conf = os.path.join(directory, "fpm.conf")
    with open(conf, "w") as out:
        out.write(CONF.format(dir=directory, workers=WORKERS))
    argv = [BINARY, "-F", "-y", conf]
    if os.getuid() == 0:
        argv.append("-R")  # the pool runs as whoever runs the benchmark, root included
    fpm = Process("php-fpm", argv, cpus, os.path.join(directory, "fpm.out"))
    fpm.socket = os.path.join(directory, "fpm.sock")
    return fpm.wait_until(lambda: os.path.exists(fpm.socket), "socket")
