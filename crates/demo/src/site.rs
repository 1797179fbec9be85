//! Site: the wiki as an app of Cutover on this machine: its cutover.toml, and what outlives its releases.
//!
//! ```text
//!   <home>/source/                    what is deployed
//!   <home>/site/cutover.toml
//!   <home>/site/shared/data/ conf/    pages, media, caches; settings
//!   <home>/site/shared/sessions/      PHP's sessions
//!   <home>/site/releases/ current     made by `cutover deploy`
//! ```

use crate::home;
use crate::stuck::{Stuck, Trying};
use crate::{tree, wiki};
use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

/// Where the demo's source and site are.
#[derive(Debug, Clone)]
pub struct Site {
    /// The source.
    pub source: PathBuf,
    /// The app's root.
    pub root: PathBuf,
}

/// Writes source and site anew.
///
/// # Errors
/// When something cannot be removed, copied or written.
pub fn prepare(packages: &Path, home: &Path, address: SocketAddr) -> Result<Site, Stuck> {
    let site = Site { source: home.join("source"), root: home.join("site") };
    for dir in [&site.source, &site.root] {
        if dir.exists() {
            fs::remove_dir_all(dir).trying(|| format!("cannot clear {}", dir.display()))?;
        }
        fs::create_dir_all(dir).trying(|| format!("cannot make {}", dir.display()))?;
    }
    wiki::write_first(packages, &site.source)?;
    let shared = site.root.join("shared");
    share(packages, &shared)?;
    home::give_to_php(&shared)?;
    write(&site.root.join("cutover.toml"), &config(&shared.join("sessions"), address))?;
    Ok(site)
}

fn config(sessions: &Path, address: SocketAddr) -> String {
    let placeholder = wiki::PLACEHOLDER;
    format!(
        r#"# How the wiki is deployed to this machine, and served on it.
[app]
name = "wiki"
shared_dirs = ["data", "conf"]

[source]
dir = "../source"

[php]
fpm = "embedded"
ini = {{ "session.save_path" = "{}" }}

[serve]
listen = ["{address}"]

[health]
path = "/doku.php/wiki:welcome"

[hooks]
after_stage = ["sed -i \"s/{placeholder}/$CUTOVER_RELEASE/\" public/lib/tpl/dokuwiki/tpl_footer.php"]
"#,
        sessions.display()
    )
}

fn share(packages: &Path, shared: &Path) -> Result<(), Stuck> {
    for dir in ["data", "conf", "sessions"] {
        let dir = shared.join(dir);
        fs::create_dir_all(&dir).trying(|| format!("cannot make {}", dir.display()))?;
    }
    tree::copy(packages, &packages.join("var/lib/dokuwiki/data"), &shared.join("data"), &[])?;
    tree::copy(packages, &packages.join("etc/dokuwiki"), &shared.join("conf"), &[])?;
    // The settings below come after Debian's and win. An open wiki on loopback: anybody may edit.
    let local = "<?php\n\
        $conf['title'] = 'Cutover demo';\n\
        $conf['savedir'] = realpath(DOKU_INC . '../data');\n\
        $conf['start'] = 'wiki:welcome';\n\
        $conf['useacl'] = 0;\n\
        $conf['userewrite'] = 2;\n\
        $conf['updatecheck'] = 0;\n";
    write(&shared.join("conf/local.php"), local)
}

fn write(path: &Path, text: &str) -> Result<(), Stuck> {
    fs::write(path, text).trying(|| format!("cannot write {}", path.display()))
}
