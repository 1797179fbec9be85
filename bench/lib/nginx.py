"""nginx, tuned as its manual and common practice say: what we measure ourselves against."""

import os

import port
from process import Process

BINARY = "/usr/sbin/nginx"

# keepalive_requests: its default closes a connection after 1,000 requests, which only costs CPU here.
# open_file_cache: no open and no stat per request (and up to 60 s of staleness, which we let pass here).
# keepalive 7: below the pool's 8 workers, since an idle kept connection holds one.
CONF = """
daemon off;
pid {dir}/nginx.pid;
error_log {dir}/nginx.error.log error;
worker_processes 1;
worker_rlimit_nofile 65536;
{user}
events {{ worker_connections 16384; multi_accept on; }}
http {{
    include /etc/nginx/mime.types;
    default_type application/octet-stream;
    sendfile on;
    tcp_nopush on;
    tcp_nodelay on;
    keepalive_timeout 75s;
    keepalive_requests 100000000;
    open_file_cache max=10000 inactive=60s;
    open_file_cache_valid 60s;
    open_file_cache_min_uses 1;
    client_body_temp_path {dir}/nginx.body;
    fastcgi_temp_path {dir}/nginx.fastcgi;
    proxy_temp_path {dir}/nginx.proxy;
    uwsgi_temp_path {dir}/nginx.uwsgi;
    scgi_temp_path {dir}/nginx.scgi;
    client_max_body_size 0;
    {log}
    upstream php {{ server unix:{dir}/fpm.sock; keepalive {kept}; }}
    server {{
        listen 127.0.0.1:{http} backlog=4096;
        listen 127.0.0.1:{https} ssl http2 backlog=4096;
        ssl_certificate {cert};
        ssl_certificate_key {key};
        ssl_protocols TLSv1.3;
        ssl_session_cache shared:tls:10m;
        server_name _;
        root {link}/public;
        location / {{ try_files $uri =404; }}
        location ~ \\.php$ {{
            try_files $uri =404;
            include /etc/nginx/fastcgi_params;
            fastcgi_param SCRIPT_FILENAME $realpath_root$fastcgi_script_name;
            fastcgi_param DOCUMENT_ROOT $realpath_root;
            fastcgi_keep_conn on;
            fastcgi_pass php;
        }}
    }}
}}
"""

LOGS = {
    "off": "access_log off;",
    "on": "access_log {dir}/nginx.access.log combined buffer=64k flush=1s;",
    "unbuffered": "access_log {dir}/nginx.access.log combined;",
}


def start(directory, app, logs, cpus, kept=7):
    cert, key = app.certificate()
    http, https = port.free(), port.free()
    conf = os.path.join(directory, "nginx.conf")
    with open(conf, "w") as out:
        out.write(CONF.format(
            dir=directory, http=http, https=https, cert=cert, key=key, link=app.link, kept=kept,
            user="user root;" if os.getuid() == 0 else "", log=LOGS[logs].format(dir=directory)))
    nginx = Process("nginx", [BINARY, "-c", conf, "-p", directory, "-e", os.path.join(directory, "nginx.error.log")],
                    cpus, os.path.join(directory, "nginx.out"))
    nginx.http, nginx.https = http, https
    return nginx.wait_until(lambda: port.answers(http), "answer")
