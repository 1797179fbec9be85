//! Fetch: DokuWiki and what it stands on, from Debian's packages, unpacked without installing anything.

use crate::stuck::{Stuck, Trying};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// The application, then what its links and includes point to.
const PACKAGES: [&str; 8] = [
    "dokuwiki",
    "libjs-jquery",
    "libjs-jquery-cookie",
    "libjs-jquery-ui",
    "libphp-simplepie",
    "php-geshi",
    "php-phpseclib",
    "php-random-compat",
];

/// Gives a directory that holds the packages' files as they would lie under `/`. Downloads them once into `cache`.
///
/// # Errors
/// When apt has no such packages, or they cannot be unpacked.
pub fn unpacked(cache: &Path) -> Result<PathBuf, Stuck> {
    let root = cache.join("root");
    if root.join("usr/share/dokuwiki/doku.php").exists() && cache.join("whole").exists() {
        return Ok(root);
    }
    let debs = cache.join("debs");
    for dir in [&debs, &root] {
        if dir.exists() {
            fs::remove_dir_all(dir).trying(|| format!("cannot clear {}", dir.display()))?;
        }
        fs::create_dir_all(dir).trying(|| format!("cannot make {}", dir.display()))?;
    }
    if download(&debs).is_err() {
        update_lists()?;
        download(&debs)?;
    }
    let mut packages: Vec<PathBuf> = fs::read_dir(&debs)
        .and_then(|entries| entries.map(|entry| entry.map(|entry| entry.path())).collect())
        .trying(|| format!("cannot read {}", debs.display()))?;
    packages.sort();
    for package in packages {
        run(Command::new("dpkg-deb").arg("-x").arg(&package).arg(&root))?;
        // DokuWiki's package (the first by name) has links where the libraries' own packages have directories.
        for stray in ["usr/share/php/phpseclib", "usr/share/php/random_compat"] {
            let stray = root.join(stray);
            if stray.is_symlink() {
                fs::remove_file(&stray).trying(|| format!("cannot remove {}", stray.display()))?;
            }
        }
    }
    fs::write(cache.join("whole"), "").trying(|| format!("cannot write into {}", cache.display()))?;
    Ok(root)
}

fn download(into: &Path) -> Result<(), Stuck> {
    // As root apt would drop to its own user, who may not write here; nothing is installed, so nothing is at risk.
    let mut apt = Command::new("apt-get");
    run(apt.args(["-o", "APT::Sandbox::User=root", "download"]).args(PACKAGES).current_dir(into))
}

fn update_lists() -> Result<(), Stuck> {
    let root = Command::new("id").arg("-u").output().is_ok_and(|id| id.stdout.trim_ascii() == b"0");
    if root {
        run(Command::new("apt-get").args(["update", "-q"]))
    } else {
        run(Command::new("sudo").args(["apt-get", "update", "-q"]))
    }
}

/// Runs a command to its end; what it wrote is told only if it failed.
///
/// # Errors
/// When it cannot be started, or says that it failed.
pub fn run(command: &mut Command) -> Result<(), Stuck> {
    let output = command.stdin(Stdio::null()).output().trying(|| format!("cannot run {command:?}"))?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
    Err(Stuck::because(format!("{command:?} failed ({}): {said}", output.status)))
}
