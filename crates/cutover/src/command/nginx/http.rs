//! Http: what stands in `http { }`: the pin, and what is worked out from it and from the path.

use config::host::{Fpm, Php};
use config::says::Says;

use super::quote::{expression, mixed, plain, quoted};
use super::text::{Nginx, address};
use crate::webserver::lines::put;
use crate::webserver::regex;

impl Nginx<'_> {
    /// Maps and upstreams.
    pub(super) fn http(&self, says: &Says) -> Result<String, String> {
        let mut out = String::new();
        let php = self.config.host.php.as_ref();
        match &self.included {
            None => {
                self.pinned(&mut out, php)?;
                if let Some(cookie) = &self.config.host.nginx.pin_cookie {
                    self.visitors(&mut out, cookie);
                }
            }
            Some(file) => {
                put(
                    &mut out,
                    "# The only place that names releases: each flip rewrites it and reloads nginx.",
                );
                put(&mut out, &format!("include {};", quoted(&plain(file)?)?));
            }
        }
        if let Some(Fpm::At(pools)) = php.map(|php| &php.fpm)
            && pools.len() > 1
        {
            put(&mut out, &format!("upstream {} {{", self.upstream()));
            for pool in pools {
                put(&mut out, &format!("    server {};", address(pool)));
            }
            put(&mut out, "}");
        }
        let path = self.var("path");
        put(&mut out, "# The path that was asked for, whichever it is after a redirect within nginx.");
        put(&mut out, &format!("map $uri {path} {{ default $uri; }}"));
        if !says.cache.is_empty() {
            put(&mut out, &format!("map {path} {} {{", self.var("cache")));
            put(&mut out, "    default \"\";");
            for rule in &says.cache {
                put(
                    &mut out,
                    &format!(
                        "    {} {};",
                        expression(&regex::pattern(rule.path.as_str())),
                        quoted(&rule.control)?
                    ),
                );
            }
            put(&mut out, "}");
        }
        for (number, rule) in says.headers.iter().enumerate() {
            for (at, (_, value)) in rule.set.iter().enumerate() {
                let pattern = expression(&regex::pattern(rule.path.as_str()));
                let name = self.var(&format!("header{number}_{at}"));
                put(
                    &mut out,
                    &format!("map {path} {name} {{ default \"\"; {pattern} {}; }}", quoted(value)?),
                );
            }
        }
        for (number, redirect) in says.redirects.iter().enumerate() {
            let moved = self.var(&format!("moved{number}"));
            let rest = self.var(&format!("moved{number}_rest")).replace('$', "");
            let (from, open) = redirect.from();
            let (to, carries) = redirect.to();
            let slashes = if carries && to.ends_with('/') { r"[/\\]*" } else { "" };
            let tail = if open { format!("{slashes}(?<{rest}>[^?]*)") } else { String::new() };
            let from = expression(&format!("^{}{tail}(\\?|$)", regex::literal(from)));
            let query = if to.contains('?') { "" } else { "$is_args$args" };
            let to =
                mixed(to, &format!("{}{query}", if carries { format!("${rest}") } else { String::new() }))?;
            put(&mut out, &format!("map $request_uri {moved} {{ default \"\"; {from} {to}; }}"));
        }
        if !says.maintenance.allow.is_empty() {
            put(&mut out, &format!("geo {} {{", self.var("visitor")));
            put(&mut out, "    default 1;");
            for net in &says.maintenance.allow {
                put(&mut out, &format!("    {net} 0;"));
            }
            put(&mut out, "}");
        }
        Ok(out)
    }

    /// The pin, and what is worked out from it.
    fn pinned(&self, out: &mut String, php: Option<&Php>) -> Result<(), String> {
        let (pin, root) = (self.var("pin"), self.var("root"));
        let (release, dir) = (self.var("release"), self.var("dir"));
        put(out, "# One realpath(3) per request, kept for its internal redirects and subrequests.");
        put(out, &format!("map $server_name {pin} {{ default $realpath_root; }}"));
        put(out, "# The release that it is: for the header, the log, and every cache key.");
        let releases = regex::literal(&plain(&self.releases)?);
        let id = self.var("id").replace('$', "");
        let named = expression(&format!("^{releases}/(?<{id}>[^/]+)"));
        put(out, &format!("map {root} {release} {{ default \"\"; {named} ${id}; }}"));
        if let Some(php) = php {
            put(out, "# The release's directory and its docroot, as PHP sees them.");
            let id = self.var("home").replace('$', "");
            let named = expression(&format!("^(?<{id}>{releases}/[^/]+)"));
            put(out, &format!("map {root} {dir} {{ default {root}; {named} ${id}; }}"));
            self.path_map(out, php, &dir, &self.var("dir_seen"))?;
            self.path_map(out, php, &root, &self.var("seen"))?;
        }
        Ok(())
    }

    /// What PHP has in the place of a path here.
    fn path_map(&self, out: &mut String, php: &Php, from: &str, to: &str) -> Result<(), String> {
        put(out, &format!("map {from} {to} {{"));
        put(out, &format!("    default {from};"));
        let map = match self.config.host.nginx.tree {
            // What is mapped is the path here, which nginx does not know.
            Some(_) => vec![(self.releases.clone(), self.by_php(&self.here))],
            None => php.path_map.clone(),
        };
        for (number, (here, there)) in map.iter().enumerate() {
            let rest = format!("{to}{number}").replace('$', "");
            let here = expression(&format!("^{}(?<{rest}>(/.*)?)$", regex::literal(&plain(here)?)));
            put(out, &format!("    {here} {};", mixed(&plain(there)?, &format!("${rest}"))?));
        }
        put(out, "}");
        Ok(())
    }
}
