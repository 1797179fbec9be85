//! Pool configuration: the text that a private php-fpm reads.
//!
//! php.ini values go to a scan directory rather than into the pool: only so do those reach their parts that start
//! with the master (opcache's memory, preload, extensions). Environment values are referred to, not written:
//! nothing needs quoting, and secrets stay out of files.

use std::path::Path;

use nix::unistd::{Uid, User};

use super::account::Account;
use super::options::FpmOptions;
use super::place::{Place, is_plain};

/// The URL path at which the status socket answers (`pm.status_path`).
pub const STATUS_PATH: &str = "/cutover-status";

/// Without it scripts would not find the programs they call: the environment is theirs alone.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// The files of a pool.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Written {
    /// php-fpm.conf with its one pool.
    pub(crate) conf: String,
    /// php.ini values.
    pub(crate) ini: String,
    /// What the master's environment must hold for the pool's to be made of: name and value.
    pub(crate) environment: Vec<(String, String)>,
}

/// Writes the files; fails with the key and what is wrong with it, where a value cannot be told to FPM.
pub(crate) fn write(options: &FpmOptions, account: &Account, place: &Place) -> Result<Written, String> {
    let mut conf = global(options);
    pool(&mut conf, options, account, place)?;
    let mut environment = Vec::new();
    let has_path = options.env.iter().any(|(name, _)| name == "PATH");
    let path = (!has_path).then(|| ("PATH".to_owned(), PATH.to_owned()));
    for (index, (name, value)) in path.iter().chain(&options.env).enumerate() {
        variable(name, value)?;
        line(&mut conf, &format!("env[{name}]"), &format!("$CUTOVER_ENV_{index}"));
        environment.push((format!("CUTOVER_ENV_{index}"), value.clone()));
    }
    for (name, value) in &options.admin {
        line(&mut conf, &format!("php_admin_value[{}]", key(name)?), &quoted(name, value)?);
    }
    let mut ini = String::from("; Written by cutover from php.ini of cutover.toml; changes here are lost.\n");
    // Without preloading it means nothing; with it, a master that root starts insists on it.
    if let Some(user) = preloader(account)
        && !options.ini.iter().any(|(name, _)| name == "opcache.preload_user")
    {
        line(&mut ini, "opcache.preload_user", &quoted("php.user", &user)?);
    }
    for (name, value) in &options.ini {
        line(&mut ini, key(name)?, &quoted(name, value)?);
    }
    Ok(Written { conf, ini, environment })
}

/// The line of php.ini that has `file` compiled and kept when the master starts.
///
/// The path may come from who has fewer rights than who reads the line: nothing that could end it is taken.
pub(crate) fn preload(file: &Path) -> Result<String, String> {
    let refused = || format!("php.preload: PHP cannot be told the path {:?}", file.display().to_string());
    let text = file.to_str().filter(|_| file.is_absolute()).ok_or_else(refused)?;
    match text.chars().any(|c| c.is_control() || matches!(c, '\'' | '"' | '\\')) {
        true => Err(refused()),
        false => Ok(format!("opcache.preload = '{text}'\n")),
    }
}

/// The configuration of one generation as that of another, at `place`.
pub(crate) fn moved(conf: &str, place: &Place) -> String {
    let mut moved = String::with_capacity(conf.len() + 16);
    for text in conf.lines() {
        match text.split_once(" = ").map(|(key, _)| key) {
            Some(key @ "listen") => line(&mut moved, key, &place.socket().to_string_lossy()),
            Some(key @ "pm.status_listen") => line(&mut moved, key, &place.status().to_string_lossy()),
            Some(_) | None => moved.extend([text, "\n"]),
        }
    }
    moved
}

fn global(options: &FpmOptions) -> String {
    let mut conf = String::from("; Written by cutover from cutover.toml; changes here are lost.\n[global]\n");
    line(&mut conf, "daemonize", "no");
    // The keeper reads it from a pipe.
    line(&mut conf, "error_log", "/proc/self/fd/2");
    line(&mut conf, "log_level", "warning");
    line(&mut conf, "log_limit", "8192");
    line(&mut conf, "process_control_timeout", &format!("{}s", whole_seconds(options.stop_within)));
    conf
}

fn pool(conf: &mut String, options: &FpmOptions, account: &Account, place: &Place) -> Result<(), String> {
    let plain = |c: char| if c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-') { c } else { '_' };
    let name: String = options.app.chars().map(plain).collect();
    // FPM takes this name for the head of its global section.
    let name = if name.is_empty() || name.eq_ignore_ascii_case("global") { "app".to_owned() } else { name };
    conf.push_str(&format!("\n[{name}]\n"));
    let (user, group) = match account {
        Account::Own => (None, None),
        Account::Other { user, group } => (Some(user.as_str()), group.as_ref()),
        Account::Root { group } => (Some("root"), group.as_ref()),
    };
    if let Some(user) = user {
        line(conf, "user", &quoted("php.user", user)?);
    }
    if let Some(group) = group {
        line(conf, "group", &quoted("php.group", group)?);
    }
    if !is_plain(&place.dir) {
        return Err(format!(
            "the runtime directory {} has a character that PHP takes for a separator",
            place.dir.display()
        ));
    }
    line(conf, "listen", &place.socket().to_string_lossy());
    line(conf, "pm", "static");
    line(conf, "pm.max_children", &options.workers.max(1).to_string());
    line(conf, "pm.max_requests", &options.max_requests.to_string());
    line(conf, "pm.status_path", STATUS_PATH);
    line(conf, "pm.status_listen", &place.status().to_string_lossy());
    let terminate = options.terminate_after.map_or(0, whole_seconds);
    line(conf, "request_terminate_timeout", &format!("{terminate}s"));
    line(conf, "catch_workers_output", "yes");
    line(conf, "decorate_workers_output", "no");
    line(conf, "security.limit_extensions", ".php");
    line(conf, "clear_env", "yes");
    Ok(())
}

/// Who compiles what is preloaded: by name, for PHP takes no number.
fn preloader(account: &Account) -> Option<String> {
    match account {
        Account::Own => None,
        Account::Root { .. } => Some("root".to_owned()),
        Account::Other { user, .. } => match user.parse().map(Uid::from_raw) {
            Err(_name) => Some(user.clone()),
            // A number without a name: it can run PHP, but preload nothing.
            Ok(uid) => User::from_uid(uid).ok().flatten().map(|user| user.name),
        },
    }
}

fn line(out: &mut String, key: &str, value: &str) {
    out.extend([key, " = ", value, "\n"]);
}

fn key(name: &str) -> Result<&str, String> {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    match !name.is_empty() && name.chars().all(plain) {
        true => Ok(name),
        false => Err(format!("php.ini: `{}` is no key of php.ini", name.escape_debug())),
    }
}

fn variable(name: &str, value: &str) -> Result<(), String> {
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let good = !name.is_empty() && name.chars().all(plain) && !name.starts_with(|c: char| c.is_ascii_digit());
    match good && !value.contains('\0') {
        true => Ok(()),
        false => Err(format!("php.env: `{}` cannot be set in an environment", name.escape_debug())),
    }
}

/// A value as the ini scanner reads it back (Zend/zend_ini_scanner.l): in single quotes nothing is special; a
/// single quote itself goes between double ones. An expression of error levels stays bare, or it would be 0.
fn quoted(name: &str, value: &str) -> Result<String, String> {
    if value.chars().any(|c| matches!(c, '\0' | '\n' | '\r')) {
        return Err(format!("`{name}` has a line break in its value"));
    }
    let level = |c: char| c.is_ascii_uppercase() || "_&|~^!() ".contains(c);
    if value.contains("E_") && value.chars().all(level) {
        return Ok(value.to_owned());
    }
    Ok(format!("'{}'", value.replace('\'', "'\"'\"'")))
}

fn whole_seconds(span: std::time::Duration) -> u64 {
    span.as_secs() + u64::from(span.subsec_nanos() > 0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn options() -> FpmOptions {
        FpmOptions::new("shop", Path::new("/run/cutover/shop-1"))
    }

    fn place() -> Place {
        Place { dir: "/run/cutover/shop-1".into(), generation: 3 }
    }

    #[test]
    fn a_pool_is_written_as_php_fpm_reads_it() {
        let account = Account::Other { user: "www-data".into(), group: None };
        let options = FpmOptions {
            workers: 6,
            terminate_after: Some(Duration::from_millis(1500)),
            env: vec![("APP_KEY".into(), "$ecret".into())],
            admin: vec![("open_basedir".into(), "/srv:/tmp".into())],
            ..options()
        };
        let written = write(&options, &account, &place()).unwrap();
        let expected = "; Written by cutover from cutover.toml; changes here are lost.
[global]
daemonize = no
error_log = /proc/self/fd/2
log_level = warning
log_limit = 8192
process_control_timeout = 30s

[shop]
user = 'www-data'
listen = /run/cutover/shop-1/fpm-3.sock
pm = static
pm.max_children = 6
pm.max_requests = 0
pm.status_path = /cutover-status
pm.status_listen = /run/cutover/shop-1/fpm-3.status
request_terminate_timeout = 2s
catch_workers_output = yes
decorate_workers_output = no
security.limit_extensions = .php
clear_env = yes
env[PATH] = $CUTOVER_ENV_0
env[APP_KEY] = $CUTOVER_ENV_1
php_admin_value[open_basedir] = '/srv:/tmp'
";
        assert_eq!(written.conf, expected);
        assert_eq!(written.environment[1], ("CUTOVER_ENV_1".into(), "$ecret".into()));
        assert!(!written.conf.contains("$ecret"), "a secret is in a file");
    }

    #[test]
    fn values_are_quoted_so_that_php_reads_them_back() {
        let cases = [
            ("128M", "'128M'"),
            ("a $x ${HOME} \"q\" \\ ; # b", "'a $x ${HOME} \"q\" \\ ; # b'"),
            ("it's", "'it'\"'\"'s'"),
            ("E_ALL & ~E_DEPRECATED", "E_ALL & ~E_DEPRECATED"),
            ("E_mail", "'E_mail'"),
            ("", "''"),
        ];
        for (value, expected) in cases {
            assert_eq!(quoted("x", value).unwrap(), expected);
        }
    }

    #[test]
    fn what_would_be_another_line_of_configuration_is_refused() {
        let bad = |change: fn(&mut FpmOptions)| {
            let mut options = options();
            change(&mut options);
            write(&options, &Account::Own, &place()).unwrap_err()
        };
        assert!(bad(|options| options.ini = vec![("a\nb".into(), "1".into())]).contains("a\\nb"));
        assert!(
            bad(|options| options.ini = vec![("a".into(), "1\nextension=x".into())]).contains("line break")
        );
        assert!(bad(|options| options.admin = vec![("a]".into(), "1".into())]).contains("no key"));
        assert!(bad(|options| options.env = vec![("A=B".into(), "1".into())]).contains("A=B"));
        assert!(bad(|options| options.env = vec![("1A".into(), "1".into())]).contains("1A"));
    }

    #[test]
    fn a_name_that_fpm_would_misread_is_changed() {
        for (app, head) in [("my shop!", "\n[my_shop_]\n"), ("global", "\n[app]\n"), ("", "\n[app]\n")] {
            let options = FpmOptions { app: app.into(), ..options() };
            assert!(write(&options, &Account::Own, &place()).unwrap().conf.contains(head));
        }
    }
}
