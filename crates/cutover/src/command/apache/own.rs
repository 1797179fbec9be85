//! Own: an Apache that serves by itself, with mod_cutover, which pins.

use config::host::{Fpm, Php};
use config::says::Says;

use super::quote::{expression, header, path, quoted, substitution};
use super::text::{Apache, Written};
use crate::webserver::lines::{error_pages, put};
use crate::webserver::regex;

/// The variable that says which cache rule is meant.
const CACHE: &str = "cutover_cache";

impl Apache<'_> {
    /// The virtual hosts.
    pub fn own(&self) -> Result<Written, String> {
        let mut left_out = Vec::new();
        let (says, host) = (&self.config.says, &self.config.host);
        if !says.auth.is_empty() {
            left_out.push("[[site.auth]]: write AuthUserFile and Require into a <Location>".into());
        }
        if host.serve.cgi.is_some() {
            left_out.push("[serve.cgi]: write a ScriptAlias; mod_cutover pins it".into());
        }
        let mut modules = vec!["cutover", "alias", "dir", "rewrite", "headers", "setenvif"];
        let mut before = String::new();
        if let Some(php) = &host.php {
            modules.extend(["proxy", "proxy_fcgi"]);
            if !php.path_map.is_empty() {
                left_out.push("php.path_map: the pool must see releases under the paths that they have here; or use --with serve".into());
            }
            self.pools(&mut before, &mut modules, php)?;
        }
        if !host.serve.forward.is_empty() {
            modules.extend(["proxy", "proxy_http"]);
        }
        let hosts = self.hosts(&mut left_out)?;
        if hosts.iter().any(|(_, _, tls)| *tls) {
            modules.push("ssl");
        }
        modules.sort_unstable();
        modules.dedup();
        let own = self.site(says)?;
        let hosts = hosts.into_iter().map(|(address, names, _)| (address, format!("{names}{own}")));
        let by = "mod_cutover pins.".to_owned();
        Ok(Written { by, modules, before, hosts: hosts.collect(), left_out })
    }

    /// What stands in each virtual host.
    fn site(&self, says: &Says) -> Result<String, String> {
        let mut out = String::new();
        let docroot = self.link.join(&says.docroot);
        put(
            &mut out,
            "# The only places that name the link. mod_cutover puts in what it led to when the request began.",
        );
        put(&mut out, &format!("DocumentRoot {}", path(&docroot)?));
        put(&mut out, "Cutover On");
        put(&mut out, &format!("CutoverLink {}", path(self.link)?));
        for allowed in &self.config.host.app.allow {
            put(&mut out, &format!("CutoverAllow {}", path(allowed)?));
        }
        let named = if self.config.host.serve.release_header { "On" } else { "Off" };
        put(&mut out, &format!("CutoverReleaseHeader {named}"));
        put(&mut out, "AllowEncodedSlashes NoDecode");
        put(&mut out, &format!("LimitRequestBody {}", self.config.host.serve.limits.body));
        put(&mut out, "RequestHeader unset Proxy early");
        let index: Vec<String> = says.index.iter().map(|name| quoted(name)).collect::<Result<_, _>>()?;
        put(&mut out, &format!("DirectoryIndex {}", index.join(" ")));
        for (status, page) in error_pages(says) {
            put(&mut out, &format!("ErrorDocument {status} {}", quoted(page)?));
        }
        put(&mut out, "RewriteEngine On");
        self.maintenance(&mut out, says)?;
        self.redirects(&mut out, says)?;
        put(&mut out, "RedirectMatch 404 \"/\\\\.(?!well-known(/|$))\"");
        for forward in &self.config.host.serve.forward {
            let from = forward.path.as_str().trim_end_matches('/');
            let to = quoted(&format!("{}{from}/", self.target(&forward.to, "http")?))?;
            put(&mut out, &format!("ProxyPass {} {to} upgrade=websocket", quoted(&format!("{from}/"))?));
        }
        put(&mut out, &format!("<Directory {}>", path(&docroot)?));
        put(&mut out, "    Require all granted");
        put(&mut out, "    # Those of the release count, and are read under the pin.");
        put(&mut out, "    AllowOverride All");
        put(&mut out, &format!("    Options FollowSymLinks{}", if says.listing { " Indexes" } else { "" }));
        let php = self.config.host.php.as_ref();
        if let Some(front) = says.front.as_ref().filter(|_| php.is_some()) {
            let front = format!("/{}", front.trim_start_matches('/'));
            put(&mut out, &format!("    FallbackResource {}", quoted(&front)?));
        }
        put(&mut out, "</Directory>");
        match php {
            None => {
                put(&mut out, "# There is no [php]: scripts are refused, never sent as text.");
                put(&mut out, "<FilesMatch \"\\\\.php$\">\n    Require all denied\n</FilesMatch>");
            }
            Some(php) => self.php(&mut out, says, php)?,
        }
        self.headers(&mut out, says)?;
        Ok(out)
    }

    fn maintenance(&self, out: &mut String, says: &Says) -> Result<(), String> {
        put(out, "# cutover maintenance on, off");
        let file = self.maintenance.to_str().ok_or("the app's root is not UTF-8")?;
        put(out, &format!("RewriteCond {} -f", substitution(file, "")?));
        for net in &says.maintenance.allow {
            put(out, &format!("RewriteCond expr \"! -R '{net}'\""));
        }
        if let Some(page) = &says.maintenance.page {
            put(out, &format!("RewriteCond %{{REQUEST_URI}} {}", expression(&format!("!={page}"))?));
        }
        put(out, &format!("RewriteRule ^ - [R={},L]", says.maintenance.status));
        if let Some(page) = &says.maintenance.page {
            put(out, &format!("ErrorDocument {} {}", says.maintenance.status, quoted(page)?));
        }
        Ok(())
    }

    /// By the request line, for redirects are about paths as they are sent.
    fn redirects(&self, out: &mut String, says: &Says) -> Result<(), String> {
        for redirect in &says.redirects {
            let (from, open) = redirect.from();
            let (to, carries) = redirect.to();
            let slashes = if carries && to.ends_with('/') { r"[/\\]*" } else { "" };
            let tail = if open { format!("{slashes}([^? ]*)") } else { String::new() };
            let from = format!("^[^ ]+ {}{tail}[? ]", regex::literal(from));
            put(out, &format!("RewriteCond %{{THE_REQUEST}} {}", expression(&from)?));
            let to = substitution(to, if carries { "%1" } else { "" })?;
            put(out, &format!("RewriteRule ^ {to} [R={},L,NE]", redirect.status));
        }
        Ok(())
    }

    fn php(&self, out: &mut String, says: &Says, php: &Php) -> Result<(), String> {
        put(out, "<FilesMatch \"\\\\.php$\">");
        put(out, "    # Only what is there: the rest is the front controller's.");
        put(out, "    <If \"-f %{REQUEST_FILENAME}\">");
        put(out, &format!("        SetHandler {}", self.handler(php)?));
        put(out, "    </If>");
        put(out, "</FilesMatch>");
        for dir in self.config.host.app.shared_dirs.iter().filter(|_| !php.execute_shared) {
            let Ok(below) = dir.strip_prefix(&says.docroot) else { continue };
            let text = below.to_str().ok_or_else(|| format!("{} is not UTF-8", below.display()))?;
            let slash = if text.is_empty() { "" } else { "/" };
            put(out, "# What visitors may have uploaded neither runs nor configures.");
            let scripts = format!("^/{}{slash}.*\\.php(/|$)", regex::literal(text));
            put(out, &format!("<LocationMatch {}>", quoted(&scripts)?));
            put(out, "    Require all denied");
            put(out, "</LocationMatch>");
            put(out, &format!("<Directory {}>", path(&self.link.join(dir))?));
            put(out, "    AllowOverride None");
            put(out, "</Directory>");
        }
        Ok(())
    }

    /// What runs scripts: the pool, or the group of pools.
    fn handler(&self, php: &Php) -> Result<String, String> {
        match &php.fpm {
            Fpm::Embedded => {
                Err("php.fpm is \"embedded\": that PHP-FPM is run by `cutover serve`, for itself".into())
            }
            Fpm::At(pools) => match pools.as_slice() {
                [only] => quoted(&format!("proxy:{}/", self.target(only, "fcgi")?)),
                _ => quoted(&format!("proxy:balancer://{}/", self.group())),
            },
        }
    }

    /// The group of pools, and how long a script may be silent.
    fn pools(&self, out: &mut String, modules: &mut Vec<&'static str>, php: &Php) -> Result<(), String> {
        let Fpm::At(pools) = &php.fpm else { return Ok(()) };
        let timeout = php.read_timeout.as_secs().max(1);
        match pools.as_slice() {
            [only] => {
                put(out, &format!("<Proxy {}>", quoted(&format!("{}/", self.target(only, "fcgi")?))?));
                put(out, &format!("    ProxySet timeout={timeout}"));
            }
            _ => {
                modules.extend(["proxy_balancer", "lbmethod_byrequests", "slotmem_shm"]);
                put(out, &format!("<Proxy {}>", quoted(&format!("balancer://{}", self.group()))?));
                for (number, pool) in pools.iter().enumerate() {
                    // Sockets are told apart by the name behind them.
                    let to = self
                        .target(pool, "fcgi")?
                        .replace("fcgi://localhost", &format!("fcgi://pool{number}"));
                    put(out, &format!("    BalancerMember {} timeout={timeout}", quoted(&to)?));
                }
            }
        }
        put(out, "</Proxy>");
        Ok(())
    }

    fn group(&self) -> String {
        let app = self.config.host.app.name.to_ascii_lowercase();
        let app: String = app.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).collect();
        format!("cutover-{app}-php")
    }

    /// Headers and cache rules go by the path that was asked for, which a redirect within Apache keeps in `REDIRECT_…`.
    fn headers(&self, out: &mut String, says: &Says) -> Result<(), String> {
        if says.headers.is_empty() && says.cache.is_empty() {
            return Ok(());
        }
        put(out, "# In a section, so that the path is looked at when it is decoded.");
        put(out, "<Location \"/\">");
        for (number, rule) in says.headers.iter().enumerate() {
            let pattern = quoted(&regex::pattern(rule.path.as_str()))?;
            put(out, &format!("    SetEnvIf Request_URI {pattern} cutover_header{number}=1"));
        }
        // The first that matches wins, so it is looked at last.
        for (number, rule) in says.cache.iter().enumerate().rev() {
            let pattern = quoted(&regex::pattern(rule.path.as_str()))?;
            put(out, &format!("    SetEnvIf Request_URI {pattern} {CACHE}={number}"));
        }
        put(out, "</Location>");
        for (number, rule) in says.headers.iter().enumerate() {
            let name = format!("cutover_header{number}");
            let meant = format!("\"expr=reqenv('{name}') == '1' || reqenv('REDIRECT_{name}') == '1'\"");
            for (name, value) in &rule.set {
                put(out, &format!("Header onsuccess unset {name} {meant}"));
                put(out, &format!("Header always set {name} {} {meant}", header(value)?));
            }
        }
        for (number, rule) in says.cache.iter().enumerate() {
            let meant = format!("\"expr=reqenv('{CACHE}') == '{number}' && ! (%{{HANDLER}} =~ /^proxy:/)\"");
            put(out, &format!("Header set Cache-Control {} {meant}", header(&rule.control)?));
        }
        Ok(())
    }
}
