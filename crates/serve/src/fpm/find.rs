//! Find: where this machine keeps its php-fpm.

use std::env;
use std::ffi::OsString;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use thiserror::Error;

/// Where distributions put it although it is seldom in a user's PATH.
const ALSO: [&str; 5] = ["/usr/local/sbin", "/usr/sbin", "/sbin", "/usr/local/bin", "/usr/bin"];

/// Why there is no php-fpm to start.
#[derive(Debug, Error)]
pub enum FindError {
    /// The configured one cannot be run.
    #[error("php.binary: {} is no file that can be executed", .0.display())]
    NotExecutable(PathBuf),
    /// None is installed where one would be.
    #[error(
        "there is no php-fpm on this machine (looked in {looked}); install it: \
         `apt install php-fpm` (Debian, Ubuntu), `dnf install php-fpm` (Fedora, RHEL), \
         `apk add php84-fpm` (Alpine); or say where it is with php.binary"
    )]
    Missing {
        /// The directories, separated by commas.
        looked: String,
    },
}

/// The configured php-fpm, else the one called `php-fpm`, else the highest version of `php-fpm8.2`, `php-fpm82`….
pub fn find(binary: Option<&Path>) -> Result<PathBuf, FindError> {
    let Some(binary) = binary else {
        return find_in(&directories(env::var_os("PATH")));
    };
    match is_executable(binary) {
        true => Ok(binary.to_owned()),
        false => Err(FindError::NotExecutable(binary.to_owned())),
    }
}

fn directories(path: Option<OsString>) -> Vec<PathBuf> {
    let mut directories: Vec<PathBuf> = Vec::new();
    let named = path.iter().flat_map(env::split_paths).filter(|directory| directory.is_absolute());
    for directory in named.chain(ALSO.map(PathBuf::from)) {
        if !directories.contains(&directory) {
            directories.push(directory);
        }
    }
    directories
}

fn find_in(directories: &[PathBuf]) -> Result<PathBuf, FindError> {
    let plain =
        directories.iter().map(|directory| directory.join("php-fpm")).find(|path| is_executable(path));
    let highest = || {
        directories
            .iter()
            .filter_map(|directory| fs::read_dir(directory).ok())
            .flat_map(|entries| entries.filter_map(Result::ok))
            .filter_map(|entry| Some((version(entry.file_name().to_str()?)?, entry.path())))
            .filter(|(_, path)| is_executable(path))
            .max_by_key(|(version, _)| *version)
            .map(|(_, path)| path)
    };
    plain.or_else(highest).ok_or_else(|| FindError::Missing {
        looked: directories.iter().map(|path| path.display().to_string()).collect::<Vec<_>>().join(", "),
    })
}

/// `php-fpm8.2` (Debian), `php-fpm82` (Alpine) and `php-fpm8` as (8, 2), (8, 2) and (8, 0).
fn version(name: &str) -> Option<(u32, u32)> {
    let version = name.strip_prefix("php-fpm")?;
    let (major, minor) = match version.split_once('.') {
        Some(parts) => parts,
        None => version.split_at_checked(1)?,
    };
    Some((major.parse().ok()?, if minor.is_empty() { 0 } else { minor.parse().ok()? }))
}

fn is_executable(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|found| found.is_file() && found.permissions().mode() & 0o111 != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn machine(names: &[&str]) -> tempfile::TempDir {
        let directory = tempfile::tempdir().unwrap();
        for name in names {
            let path = directory.path().join(name);
            fs::write(&path, "").unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        }
        directory
    }

    #[test]
    fn the_highest_version_is_taken_and_a_plain_name_before_it() {
        let cases: [(&[&str], &str); 5] = [
            (&["php-fpm8.2", "php-fpm8.10", "php-fpm7.4"], "php-fpm8.10"),
            (&["php-fpm82", "php-fpm84", "php-fpm810"], "php-fpm810"),
            (&["php-fpm8.2", "php-fpm"], "php-fpm"),
            (&["php-fpm8"], "php-fpm8"),
            (&["php-fpm-old", "php-fpm8.2", "php-fpm8.3.bak"], "php-fpm8.2"),
        ];
        for (names, expected) in cases {
            let machine = machine(names);
            let found = find_in(&[machine.path().to_owned()]).unwrap();
            assert_eq!(found.file_name().unwrap(), expected);
        }
    }

    #[test]
    fn a_file_that_cannot_be_executed_is_passed_over() {
        let machine = machine(&["php-fpm8.2", "php-fpm8.3"]);
        fs::set_permissions(machine.path().join("php-fpm8.3"), fs::Permissions::from_mode(0o644)).unwrap();
        assert!(find_in(&[machine.path().to_owned()]).unwrap().ends_with("php-fpm8.2"));
        let refused = find(Some(&machine.path().join("php-fpm8.3"))).unwrap_err();
        assert!(refused.to_string().contains("is no file that can be executed"), "{refused}");
    }

    #[test]
    fn without_php_fpm_the_packages_are_named() {
        let machine = machine(&[]);
        let said = find_in(&[machine.path().to_owned()]).unwrap_err().to_string();
        for package in ["apt install php-fpm", "dnf install php-fpm", "apk add php84-fpm", "php.binary"] {
            assert!(said.contains(package), "{said}");
        }
    }
}
