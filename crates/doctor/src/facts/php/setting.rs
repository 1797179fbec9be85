//! Setting: what a key of PHP is set to, by which line or whom else, and how to set it otherwise.

use super::Php;
use crate::facts::ini::{number, on};
use crate::finding::{Edit, Finding, Fix};
use crate::source::Span;

/// What a key is set to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Setting {
    /// The key.
    pub key: &'static str,
    /// Its value.
    pub value: String,
    /// By whom.
    pub from: From,
    /// What its line says, if the running PHP has it otherwise.
    pub written: Option<(String, Span)>,
    /// Below which line it could be set; for a pool its own section, else php.ini.
    home: Option<Span>,
    /// Whether that home is a pool.
    in_pool: bool,
}

/// Who set a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum From {
    /// A line: all of it, and its value.
    Line(Span, Span),
    /// The running PHP has it from nowhere that was read.
    Running(String),
    /// Nobody: it is PHP's default.
    Default,
}

/// PHP's defaults (main/main.c, ext/opcache/zend_accelerator_module.c, sapi/fpm) of the keys that are checked.
const DEFAULTS: &[(&str, &str)] = &[
    ("max_execution_time", "30"),
    ("opcache.enable", "1"),
    ("opcache.enable_file_override", "0"),
    ("opcache.file_update_protection", "2"),
    ("opcache.force_restart_timeout", "180"),
    ("opcache.interned_strings_buffer", "8"),
    ("opcache.jit_buffer_size", "0"),
    ("opcache.max_accelerated_files", "10000"),
    ("opcache.max_wasted_percentage", "5"),
    ("opcache.memory_consumption", "128"),
    ("opcache.revalidate_freq", "2"),
    ("opcache.revalidate_path", "0"),
    ("opcache.use_cwd", "1"),
    ("opcache.validate_permission", "0"),
    ("opcache.validate_root", "0"),
    ("opcache.validate_timestamps", "1"),
    ("realpath_cache_size", "4096K"),
    ("realpath_cache_ttl", "120"),
];

/// Keys of what the master makes before there is a pool: a pool's own value is shown, and has no effect (php-src#23288).
const SHARED: &[&str] = &[
    "opcache.interned_strings_buffer",
    "opcache.jit_buffer_size",
    "opcache.max_accelerated_files",
    "opcache.memory_consumption",
    "opcache.preload",
    "opcache.preload_user",
];

/// The keys whose defaults are known.
pub fn keys() -> impl Iterator<Item = &'static str> {
    DEFAULTS.iter().map(|(key, _)| *key)
}

/// Whether a key belongs to what the master makes before there is a pool.
pub fn is_shared(key: &str) -> bool {
    SHARED.contains(&key)
}

impl Setting {
    pub(super) fn of(php: &Php, key: &'static str) -> Setting {
        let own = php.own.iter().filter(|own| own.key == key && !is_shared(key));
        // An admin value wins over a plain one, wherever they stand; of the same kind the last wins.
        let own = own.enumerate().max_by_key(|(at, own)| (own.admin, *at)).map(|(_, own)| &own.line);
        let line = own.or_else(|| php.files.get(key));
        let default = DEFAULTS.iter().find(|(name, _)| *name == key).map_or("", |(_, value)| value);
        let (mut value, mut from) = match line {
            Some(line) => (line.value.clone(), From::Line(line.at.clone(), line.value_at.clone())),
            None => (default.to_owned(), From::Default),
        };
        let mut written = None;
        // A pool shows its own value for what is shared, though it has no effect.
        let shown_only = is_shared(key) && php.own.iter().any(|own| own.key == key);
        if let Some(running) = php.inside().filter(|_| !shown_only).and_then(|inside| inside.ini.get(key))
            && !same(running, &value)
        {
            written = line.map(|line| (line.value.clone(), line.at.clone()));
            value = running.clone();
            from = From::Running(php.name.clone());
        }
        let in_pool = !is_shared(key) && php.home.is_some();
        let home = if in_pool { php.home.clone() } else { php.files.home(key) };
        Setting { key, value, from, written, home, in_pool }
    }

    /// As a number.
    pub fn number(&self) -> Option<i64> {
        number(&self.value)
    }

    /// As a switch.
    pub fn on(&self) -> bool {
        on(&self.value)
    }

    /// The line that sets it.
    pub fn at(&self) -> Option<&Span> {
        match &self.from {
            From::Line(at, _) => Some(at),
            From::Running(_) | From::Default => None,
        }
    }

    /// `opcache.use_cwd = 0`, and where that comes from, if no line is shown beside it.
    pub fn told(&self) -> String {
        let Setting { key, value, .. } = self;
        let value = if value.is_empty() { "\"\"" } else { value };
        match &self.from {
            From::Line(..) => format!("{key} = {value}"),
            From::Running(who) => format!("{key} = {value} (in {who} as it runs)"),
            From::Default => format!("{key} = {value} (PHP's default)"),
        }
    }

    /// A finding about it: what is wrong behind [`Setting::told`], and the value that it should have.
    pub fn wrong(&self, why: &str, to: &str) -> Finding {
        let what = format!("{}: {why}", self.told());
        let Setting { key, .. } = self;
        let fix = match (&self.from, &self.home) {
            (From::Line(_, value), _) => Fix::from(format!("{key} = {to}"))
                .edit(Edit::Replace { at: value.clone(), with: to.to_owned() }),
            (From::Running(_) | From::Default, Some(home)) => {
                let line = if self.in_pool {
                    format!("php_admin_value[{key}] = {to}")
                } else {
                    format!("{key} = {to}")
                };
                let text = format!("{line} in {}", home.file.display());
                Fix::from(text).edit(Edit::Below { at: home.clone(), lines: line })
            }
            (From::Running(_) | From::Default, None) => Fix::from(format!("{key} = {to} in php.ini")),
        };
        Finding { at: self.at().cloned(), ..Finding::anywhere(what, fix) }
    }
}

/// Whether two values mean the same: `On` and `1`, `4096K` and `4096K`, `""` and `0` for a switch that is off.
fn same(one: &str, other: &str) -> bool {
    let plain = |value: &str| {
        let lower = value.trim().to_ascii_lowercase();
        match lower.as_str() {
            "on" | "yes" | "true" => "1".to_owned(),
            "off" | "no" | "false" | "none" | "null" | "" => "0".to_owned(),
            _ => number(&lower)
                .filter(|_| lower.ends_with(|c: char| c.is_ascii_digit() || "kmg".contains(c)))
                .map_or(lower.clone(), |n| n.to_string()),
        }
    };
    plain(one) == plain(other)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_the_same_if_php_takes_them_so() {
        for (one, other, are) in [
            ("1", "On", true),
            ("", "off", true),
            ("4M", "4096K", true),
            ("120", "121", false),
            (".:/usr/share/php", ".", false),
            ("/a", "/b", false),
        ] {
            assert_eq!(same(one, other), are, "{one} {other}");
        }
    }
}
