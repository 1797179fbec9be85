//! Server: what stands in `server { }`: the root, and locations that all use the pinned one.

use config::host::{Fpm, Php};
use config::says::Says;

use super::quote::{bare, plain, quoted, unquoted};
use super::text::{Nginx, address};
use crate::webserver::lines::{error_pages, put};
use crate::webserver::regex;

impl Nginx<'_> {
    /// Root, locations and headers.
    pub(super) fn server(&self, says: &Says) -> Result<String, String> {
        let root = self.var("root");
        let mut out = String::new();
        self.root_of_all(&mut out, says)?;
        self.maintenance(&mut out, says)?;
        for (number, redirect) in says.redirects.iter().enumerate() {
            let moved = self.var(&format!("moved{number}"));
            put(&mut out, &format!("if ({moved}) {{ return {} {moved}; }}", redirect.status));
        }
        put(&mut out, "");
        let index: Vec<String> = says.index.iter().map(|name| quoted(name)).collect::<Result<_, _>>()?;
        put(&mut out, &format!("index {};", index.join(" ")));
        self.errors(&mut out, says)?;
        let limit = self.config.host.serve.limits.body;
        put(&mut out, &format!("client_max_body_size {limit};"));
        let headers = self.headers(says);
        headers.iter().for_each(|line| put(&mut out, line));
        put(&mut out, "");
        put(&mut out, "location ~ /\\.(?!well-known(/|$)) { return 404; }");
        for forward in &self.config.host.serve.forward {
            put(&mut out, &format!("location ^~ {} {{", quoted(forward.path.as_str())?));
            put(&mut out, &format!("    proxy_pass http://{};", address(&forward.to)));
            put(&mut out, "    proxy_http_version 1.1;");
            put(&mut out, "    proxy_set_header Host $host;");
            put(&mut out, "    proxy_set_header Upgrade $http_upgrade;");
            put(&mut out, "    proxy_set_header Connection $http_connection;");
            put(&mut out, "}");
        }
        put(&mut out, "location / {");
        put(&mut out, &format!("    root {root};"));
        put(&mut out, &format!("    try_files $uri $uri/ {};", self.fallback(says)?));
        if says.listing {
            put(&mut out, "    autoindex on;");
        }
        if !says.cache.is_empty() {
            put(&mut out, "    # A location with headers of its own inherits none.");
            headers.iter().for_each(|line| put(&mut out, &format!("    {line}")));
            put(&mut out, &format!("    add_header Cache-Control {};", self.var("cache")));
        }
        put(&mut out, "}");
        self.php(&mut out, says)?;
        Ok(out)
    }

    /// Where the request's release is.
    fn root_of_all(&self, out: &mut String, says: &Says) -> Result<(), String> {
        let root = self.var("root");
        put(out, "uninitialized_variable_warn off;");
        if self.included.is_some() {
            put(
                out,
                "# Has the flip happened? Asked once, for what nginx remembers of files may be a minute old.",
            );
            put(out, "open_file_cache off;");
            self.asks(out);
            put(out, &format!("root {root};"));
            put(out, &format!("set {} {};", self.var("asked"), self.var("path")));
            put(
                out,
                "# Before a flip old workers make room for new ones, and close their idle connections: a request",
            );
            put(
                out,
                "# that is on its way to one would be lost, so none is kept. A connection that has asked for",
            );
            put(out, "# nothing yet may be answered by the old release for so long after the flip.");
            put(out, "keepalive_timeout 0;");
            let wait = self.config.host.serve.limits.header_timeout;
            put(out, &format!("client_header_timeout {}ms;", wait.as_millis()));
            return Ok(());
        }
        if self.config.host.nginx.pin_cookie.is_some() {
            self.visited(out, says)?;
        } else {
            put(
                out,
                "# The only place that names the link. Everything below uses what it led to when the request began.",
            );
            put(out, &format!("root {};", quoted(&plain(&self.link.join(&says.docroot))?)?));
            put(out, &format!("set {root} {};", self.var("pin")));
        }
        put(out, &format!("set {} {};", self.var("asked"), self.var("path")));
        put(out, "# A link that leads nowhere has no real path, and an empty root is undefined behaviour.");
        put(out, &format!("if ({root} = \"\") {{ return 503; }}"));
        Ok(())
    }

    fn maintenance(&self, out: &mut String, says: &Says) -> Result<(), String> {
        let closed = self.var("closed");
        put(out, "# cutover maintenance on, off");
        put(out, &format!("set {closed} 0;"));
        let visitor = if says.maintenance.allow.is_empty() { "1".to_owned() } else { self.var("visitor") };
        put(out, &format!("if (-f {}) {{ set {closed} {visitor}; }}", quoted(&plain(&self.maintenance)?)?));
        if let Some(page) = &says.maintenance.page {
            put(out, &format!("if ($uri = {}) {{ set {closed} 0; }}", quoted(page)?));
            put(out, &format!("error_page {} {};", says.maintenance.status, quoted(page)?));
        }
        put(out, &format!("if ({closed}) {{ return {}; }}", says.maintenance.status));
        Ok(())
    }

    fn errors(&self, out: &mut String, says: &Says) -> Result<(), String> {
        for (status, page) in error_pages(says) {
            put(out, &format!("error_page {status} {};", quoted(page)?));
        }
        Ok(())
    }

    fn headers(&self, says: &Says) -> Vec<String> {
        let mut lines = Vec::new();
        if self.config.host.serve.release_header {
            lines.push(format!("add_header X-Cutover-Release {} always;", self.var("release")));
        }
        if self.config.host.nginx.pin_cookie.is_some() && self.included.is_none() {
            lines.push(format!("add_header Set-Cookie {};", self.var("gives")));
            lines.push(format!("add_header Cache-Control {} always;", self.var("private")));
        }
        for (number, rule) in says.headers.iter().enumerate() {
            for (at, (name, _)) in rule.set.iter().enumerate() {
                lines
                    .push(format!("add_header {name} {} always;", self.var(&format!("header{number}_{at}"))));
            }
        }
        lines
    }

    /// What is shown where no file is.
    fn fallback(&self, says: &Says) -> Result<String, String> {
        match says.front.as_ref().filter(|_| self.config.host.php.is_some()) {
            Some(front) => Ok(format!("/{}$is_args$args", unquoted(front.trim_start_matches('/'))?)),
            None => Ok("=404".into()),
        }
    }

    fn php(&self, out: &mut String, says: &Says) -> Result<(), String> {
        let root = self.var("root");
        let Some(php) = &self.config.host.php else {
            put(out, "# There is no [php]: scripts are refused, never sent as text.");
            put(out, "location ~ \\.php(/|$) { return 403; }");
            return Ok(());
        };
        for dir in self.config.host.app.shared_dirs.iter().filter(|_| !php.execute_shared) {
            let Ok(below) = dir.strip_prefix(&says.docroot) else { continue };
            let below = regex::literal(&plain(below)?);
            let slash = if below.is_empty() { "" } else { "/" };
            put(out, "# Scripts that visitors may have uploaded do not run.");
            put(
                out,
                &format!("location ~ {} {{ return 403; }}", bare(&format!("^/{below}{slash}.*\\.php(/|$)"))),
            );
        }
        put(out, "location ~ [^/]\\.php(/|$) {");
        put(out, &format!("    root {root};"));
        put(out, "    fastcgi_split_path_info ^(.+?\\.php)(/.*)$;");
        put(out, "    # try_files forgets it.");
        put(out, &format!("    set {} $fastcgi_path_info;", self.var("info")));
        put(out, &format!("    try_files $fastcgi_script_name {};", self.fallback(says)?));
        put(out, "    include /etc/nginx/fastcgi_params;");
        put(out, "    # Behind the include: of two parameters with one name the last one counts.");
        let seen = self.var("seen");
        for (name, value) in [
            ("SCRIPT_FILENAME", format!("{seen}$fastcgi_script_name")),
            ("DOCUMENT_ROOT", seen),
            ("PATH_INFO", self.var("info")),
            ("CUTOVER_RELEASE", self.var("release")),
            ("CUTOVER_RELEASE_ROOT", self.var("dir_seen")),
            ("HTTP_PROXY", "\"\"".into()),
        ] {
            put(out, &format!("    fastcgi_param {name} {value};"));
        }
        put(out, &format!("    fastcgi_read_timeout {}ms;", php.read_timeout.as_millis()));
        put(out, &format!("    fastcgi_pass {};", self.pool(php)?));
        put(out, "}");
        Ok(())
    }

    fn pool(&self, php: &Php) -> Result<String, String> {
        match &php.fpm {
            Fpm::Embedded => {
                Err("php.fpm is \"embedded\": that PHP-FPM is run by `cutover serve`, for itself".into())
            }
            Fpm::At(pools) => match pools.as_slice() {
                [only] => Ok(address(only)),
                _ => Ok(self.upstream()),
            },
        }
    }
}
