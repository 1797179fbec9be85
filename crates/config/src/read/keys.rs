//! Every key of cutover.toml, by section; the list that unknown keys are judged by and that docs/config.md must cover.

/// One table of the file.
#[derive(Debug, Clone, Copy)]
pub struct Table {
    /// Dotted path; empty for the top of the file.
    pub name: &'static str,
    /// True when it is an array of tables: `[[name]]`.
    pub many: bool,
    /// Its keys, subtables excluded.
    pub keys: &'static [&'static str],
    /// Its subtables, by last name.
    pub tables: &'static [&'static str],
}

/// All tables of the file.
pub const TABLES: &[Table] = &[
    one(
        "",
        &[],
        &[
            "app", "source", "stage", "php", "site", "serve", "nginx", "health", "warm", "hooks", "notify",
            "doctor", "host",
        ],
    ),
    one(
        "app",
        &[
            "name",
            "root",
            "link",
            "docroot",
            "allow",
            "shared_dirs",
            "shared_files",
            "writable",
            "user",
            "keep",
            "keep_for",
            "layout",
            "slots",
            "slot_wait",
            "link_mode",
        ],
        &[],
    ),
    one("stage", &["precompress", "precompress_min"], &[]),
    one("source", &["dir", "git", "ref", "archive", "exclude", "build"], &[]),
    one(
        "php",
        &[
            "fpm",
            "front",
            "path_map",
            "connections",
            "execute_shared",
            "exclusive",
            "status",
            "user",
            "group",
            "workers",
            "ini",
            "env",
            "binary",
            "preload",
            "linger",
            "drain",
            "connect_timeout",
            "read_timeout",
            "queue_timeout",
            "buffer_request",
            "buffer_response",
            "spool_memory",
        ],
        &[],
    ),
    one(
        "site",
        &["index", "listing", "compress"],
        &["redirect", "header", "cache", "error", "auth", "maintenance"],
    ),
    many("site.redirect", &["from", "to", "status"]),
    many("site.header", &["path", "set"]),
    many("site.cache", &["path", "control"]),
    many("site.auth", &["path", "realm", "users"]),
    one("site.maintenance", &["page", "allow", "status", "retry_after"], &[]),
    one(
        "serve",
        &[
            "listen",
            "hosts",
            "tls",
            "metrics",
            "trusted_proxies",
            "workers",
            "user",
            "group",
            "release_header",
            "fastcgi_stderr",
            "memory",
            "file_max",
        ],
        &["log", "limits", "forward", "cgi"],
    ),
    many("serve.listen", &["addr", "tls", "proxy_protocol"]),
    many("serve.tls", &["cert", "key"]),
    one("serve.log", &["access", "format", "error", "level"], &[]),
    one(
        "serve.limits",
        &[
            "header_bytes",
            "uri_bytes",
            "body",
            "header_timeout",
            "body_timeout",
            "idle",
            "send_timeout",
            "connections",
            "drain",
        ],
        &[],
    ),
    many("serve.forward", &["path", "to"]),
    one("serve.cgi", &["path", "dir", "timeout", "env", "processes"], &[]),
    one("nginx", &["mode", "command", "tree", "include", "takeover", "pin_cookie", "pin_scope"], &[]),
    one("health", &["path", "expect", "timeout", "attempts", "url"], &[]),
    one("warm", &["compile", "exclude", "requests", "log", "log_requests"], &[]),
    one(
        "hooks",
        &[
            "before_build",
            "after_build",
            "before_stage",
            "after_stage",
            "before_warm",
            "after_warm",
            "before_flip",
            "drain",
            "before_verify",
            "after_verify",
            "undrain",
            "after_flip",
            "before_prune",
            "after_prune",
            "on_failure",
            "on_rollback",
            "timeout",
        ],
        &[],
    ),
    many("notify", &["url", "url_env", "url_file", "format", "on"]),
    one("doctor", &[], &["ignore"]),
    many("doctor.ignore", &["check", "path", "reason"]),
    many("host", &["ssh", "program"]),
];

/// The table called `name`.
pub(crate) fn table(name: &str) -> Option<&'static Table> {
    TABLES.iter().find(|table| table.name == name)
}

/// The tables that know `key`: where a key that stands in the wrong table belongs.
pub(crate) fn homes(key: &str) -> impl Iterator<Item = &'static Table> {
    TABLES.iter().filter(move |table| table.keys.contains(&key))
}

const fn one(name: &'static str, keys: &'static [&'static str], tables: &'static [&'static str]) -> Table {
    Table { name, many: false, keys, tables }
}

const fn many(name: &'static str, keys: &'static [&'static str]) -> Table {
    Table { name, many: true, keys, tables: &[] }
}
