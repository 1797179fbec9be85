//! Home: where the demo keeps its packages, its site and its log, such that PHP's user can reach it.

use crate::fetch::run;
use crate::stuck::{Stuck, Trying};
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Where root's demo lives if PHP's user cannot get to the place asked for (below /root, say).
const OPEN: &str = "/var/tmp/cutover-demo";

/// Whom `cutover serve` runs PHP as when root started it.
const PHP_USER: &str = "www-data";

/// Finds, makes and gives the absolute path of the home.
///
/// # Errors
/// When it cannot be made.
pub fn settle(asked: &Path) -> Result<PathBuf, Stuck> {
    let mut home = std::path::absolute(asked).trying(|| format!("cannot find {}", asked.display()))?;
    if is_root() && !home.ancestors().skip(1).all(others_may_pass) {
        home = PathBuf::from(OPEN);
    }
    fs::create_dir_all(&home).trying(|| format!("cannot make {}", home.display()))?;
    Ok(home)
}

/// Gives a directory to whoever will run PHP.
///
/// # Errors
/// When root cannot.
pub fn give_to_php(dir: &Path) -> Result<(), Stuck> {
    if !is_root() {
        return Ok(());
    }
    run(Command::new("chown").arg("-R").arg(format!("{PHP_USER}:")).arg(dir))
}

fn is_root() -> bool {
    fs::metadata("/proc/self").is_ok_and(|meta| meta.uid() == 0)
}

fn others_may_pass(dir: &Path) -> bool {
    fs::metadata(dir).is_ok_and(|meta| meta.mode() & 0o001 != 0)
}
