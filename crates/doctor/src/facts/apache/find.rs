//! Find: which Apache servers there are: those that were named, else those that run, else Debian's.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::facts::procs::Proc;
use crate::machine::Machine;

/// How an Apache is started.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Start {
    /// Its program.
    pub program: PathBuf,
    /// Its configuration file.
    pub config: PathBuf,
    /// Where relative paths begin, until the configuration says otherwise.
    pub root: PathBuf,
    /// What `-D` names.
    pub defines: Vec<String>,
    /// Its environment, as far as it is known.
    pub environment: BTreeMap<String, String>,
}

/// Where Debian's Apache is configured.
const DEBIAN: &str = "/etc/apache2";

/// The servers with these configuration files.
pub fn named(machine: &dyn Machine, config: &Path) -> Start {
    let beside = config.parent().unwrap_or(Path::new(DEBIAN));
    let own = machine.stat(&beside.join("envvars")).is_ok();
    let root = if own { beside } else { Path::new(DEBIAN) };
    Start {
        program: "apache2".into(),
        config: config.to_owned(),
        root: root.to_owned(),
        defines: Vec::new(),
        environment: envvars(machine, root),
    }
}

/// The servers that run, else Debian's, if it is there.
pub fn searched(machine: &dyn Machine, processes: &[Proc]) -> Vec<Start> {
    let is = |process: &Proc| matches!(process.name(), "apache2" | "httpd");
    let children = |process: &Proc| processes.iter().any(|other| other.pid == process.parent && is(other));
    let mut found: Vec<Start> = Vec::new();
    for process in processes.iter().filter(|process| is(process) && !children(process)) {
        let start = running(machine, process);
        if !found.contains(&start) {
            found.push(start);
        }
    }
    let debian = Path::new(DEBIAN).join("apache2.conf");
    if found.is_empty() && machine.stat(&debian).is_ok() {
        found.push(named(machine, &debian));
    }
    found
}

fn running(machine: &dyn Machine, process: &Proc) -> Start {
    let redhat = process.name() == "httpd";
    let root = process.switch("-d").unwrap_or(if redhat { "/etc/httpd" } else { DEBIAN });
    let file = process.switch("-f").unwrap_or(if redhat { "conf/httpd.conf" } else { "apache2.conf" });
    let environment = process.environment(machine);
    Start {
        // Not the file it was started from: anybody may start something that is called so.
        program: process.name().into(),
        config: Path::new(root).join(file),
        root: root.into(),
        defines: process.switches("-D").map(str::to_owned).collect(),
        environment: if environment.is_empty() { envvars(machine, Path::new(root)) } else { environment },
    }
}

/// What Debian's `envvars` exports: a shell script, of which only plain assignments are understood.
fn envvars(machine: &dyn Machine, root: &Path) -> BTreeMap<String, String> {
    let bytes = machine.read(&root.join("envvars")).unwrap_or_default();
    let text = String::from_utf8_lossy(&bytes);
    let suffix = root.to_str().and_then(|root| root.strip_prefix("/etc/apache2-"));
    let suffix = suffix.map_or(String::new(), |name| format!("-{name}"));
    let mut known = BTreeMap::from([("SUFFIX".to_owned(), suffix)]);
    for line in text.lines() {
        let line = line.trim();
        let line = line.strip_prefix("export ").unwrap_or(line);
        let Some((name, value)) = line.split_once('=') else { continue };
        let plain = |c: char| c.is_ascii_alphanumeric() || c == '_';
        if name == "SUFFIX" || !name.chars().all(plain) || value.contains(['`', '(', ';']) {
            continue;
        }
        let value = value.trim_matches(['"', '\'']);
        let value = known.iter().fold(value.to_owned(), |value, (name, is)| {
            value.replace(&format!("${{{name}}}"), is).replace(&format!("${name}"), is)
        });
        if !value.contains('$') {
            known.insert(name.to_owned(), value);
        }
    }
    known
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::machine::Recorded;

    #[test]
    fn debians_environment_is_understood_as_far_as_it_is_plain() {
        let mut machine = Recorded::default();
        let text = "unset HOME\nif [ x ] ; then\n\tSUFFIX=\"-${APACHE_CONFDIR##/etc/apache2-}\"\nfi\nexport APACHE_RUN_USER=www-data\nexport APACHE_LOG_DIR=/var/log/apache2$SUFFIX\nexport A=`id`\nexport LANG\n";
        machine.file(Path::new("/etc/apache2-two/envvars"), text.into());
        let known = envvars(&machine, Path::new("/etc/apache2-two"));
        assert_eq!(known["APACHE_RUN_USER"], "www-data");
        assert_eq!(known["APACHE_LOG_DIR"], "/var/log/apache2-two");
        assert!(!known.contains_key("A"));
    }
}
