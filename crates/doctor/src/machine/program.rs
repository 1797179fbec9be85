//! Program: a server's own program, with the switches by which it may be asked about itself.

use std::ffi::OsString;
use std::path::PathBuf;

/// A program that may be run, with the switches it may be run with: each only reads.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Program {
    /// Its file; a bare name is looked for where Debian installs servers, never in `PATH`.
    pub file: PathBuf,
    /// Its arguments.
    pub switches: Vec<OsString>,
}

/// What a program answered.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Ran {
    /// Its exit status; `None`: ended by a signal.
    pub status: Option<i32>,
    /// What it wrote to standard output.
    pub stdout: String,
    /// What it wrote to standard error.
    pub stderr: String,
}

/// What may be run: how the program's name begins (its version may follow), its switches, and those that take a word.
const MAY: &[(&str, &[&str], &[&str])] = &[
    ("nginx", &["-v", "-V", "-t", "-T", "-q"], &["-c", "-p"]),
    ("apache2", &["-v", "-V", "-l", "-M", "-S", "-t"], &["-C", "-D", "-d", "-f"]),
    ("apache2ctl", &["-v", "-V", "-l", "-M", "-S", "-t"], &["-C", "-D", "-d", "-f"]),
    ("httpd", &["-v", "-V", "-l", "-M", "-S", "-t"], &["-C", "-D", "-d", "-f"]),
    ("caddy", &["version", "adapt", "validate", "list-modules"], &["--config", "--adapter"]),
    ("lighttpd", &["-v", "-V", "-t", "-tt", "-p"], &["-f", "-m"]),
    ("php-fpm", &["-v", "-i", "-m", "-t", "-tt"], &["-y", "-c", "-p"]),
    ("php", &["-v", "-i", "-m", "--ini"], &["-c"]),
];

impl Program {
    /// A program with its switches.
    pub fn new<S: Into<OsString>>(
        file: impl Into<PathBuf>,
        switches: impl IntoIterator<Item = S>,
    ) -> Program {
        Program { file: file.into(), switches: switches.into_iter().map(Into::into).collect() }
    }

    /// Whether it is a server's own program, and each switch one of its test and version switches.
    pub fn may_run(&self) -> bool {
        let name = self.file.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        let Some((_, alone, with)) = MAY.iter().find(|(known, ..)| is(name, known)) else { return false };
        let mut words = self.switches.iter().map(|word| word.to_str().unwrap_or_default());
        while let Some(word) = words.next() {
            let next = if with.contains(&word) { words.next() } else { None };
            // Apache reads a line of configuration from there, and a line may load a module.
            let harmless = word != "-C" || next.is_some_and(|line| line.starts_with("Define "));
            let fits = alone.contains(&word) || next.is_some();
            if !fits || !harmless {
                return false;
            }
        }
        // Without a switch a server would start.
        !self.switches.is_empty()
    }
}

/// `php-fpm8.2` is `php-fpm`, with its version.
fn is(name: &str, known: &str) -> bool {
    name.strip_prefix(known).is_some_and(|rest| rest.chars().all(|c| c.is_ascii_digit() || c == '.'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_servers_own_test_and_version_switches_may_be_run() {
        for (file, switches, may) in [
            ("nginx", &["-t", "-c", "/etc/nginx/nginx.conf"][..], true),
            ("/usr/sbin/php-fpm8.2", &["-tt", "-y", "/x"], true),
            ("/opt/php/8.3/bin/php", &["-i"], true),
            ("apache2ctl", &["-t", "-D", "DUMP_VHOSTS"], true),
            ("apache2", &["-C", "Define APACHE_RUN_DIR /run", "-t"], true),
            ("apache2", &["-C", "LoadModule x_module /tmp/x.so", "-t"], false),
            ("nginx", &[], false),
            ("nginx", &["-s", "stop"], false),
            ("nginx", &["-g", "daemon off;", "-t"], false),
            ("/tmp/nginx-evil", &["-t"], false),
            ("php", &["-r", "phpinfo();"], false),
            ("sh", &["-c", "true"], false),
        ] {
            assert_eq!(Program::new(file, switches.iter().copied()).may_run(), may, "{file} {switches:?}");
        }
    }
}
