//! Probe: an application whose every part names its release, and what each release of it answers.
//!
//! ```text
//!   DIR/current -> releases/<first>
//!   DIR/releases/<id>/
//!     index.php             front controller: /route/… is 200, anything else 404, both name the release
//!     probe.php  slow.php   main, __DIR__ include, DOCUMENT_ROOT include, relative include, include_path include,
//!                           autoloaded class, data file; slow.php sleeps 3 x 5 ms in between
//!     upload.php            length and hash (FNV-1a) of what was posted
//!     sometimes.php  sometimes.txt        in every other release only (the first, the third, …)
//!     cgi-bin/probe.cgi  slow.cgi         the same by CGI: the script, a file found from its directory and, in slow.cgi
//!                           after a sleep, one from DOCUMENT_ROOT
//!     cgi-bin/sometimes.cgi  sometimes/index.html     in every other release only
//!     static/small.txt  medium.txt  big.txt     1 KiB, 100 KiB, 2.5 MiB: every line names the release
//!     index.html            the same, where there is no front controller
//! ```
//!
//! [`scaffold`] writes all of it but `index.html`, which would be in the front controller's way; [`scaffold_as`] what one kind
//! of site needs. A test runs each kind behind real servers.
//!
//! A release whose files all have the same length and age in every release would hide a cache that is keyed by them;
//! one whose files differ in length would hide a torn answer that happens to be as long as it should be. So lengths are
//! the same if the ids are equally long.

pub mod pages;

use pages::Kind;
use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

/// Pause between the parts of `slow.php`, in microseconds; there are three.
pub const SLEEP_US: u32 = 5_000;

/// The static files under `static/`, with the number of their lines of 64 bytes.
pub const STATIC: [(&str, usize); 3] = [("small.txt", 16), ("medium.txt", 1_600), ("big.txt", 40_960)];

/// Lines of `index.html`.
pub const INDEX_LINES: usize = 16;

/// Why there is no probe application.
#[derive(Debug, thiserror::Error)]
pub enum ScaffoldError {
    /// An id that cannot be a directory's name, or that would break the marks.
    #[error("{0:?} cannot name a probe release: use letters, digits, and . _ + ~ - after the first")]
    Id(String),
    /// The directory is not empty: nothing of other people's is overwritten.
    #[error("{0} is not empty")]
    NotEmpty(PathBuf),
    /// A file.
    #[error("cannot write {path}")]
    Write {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
}

/// Writes the application with these releases into `dir`, which is made if need be, and `current` to the first of them.
///
/// # Errors
/// When an id is no name, the directory is not empty, or a file cannot be written.
pub fn scaffold(dir: &Path, ids: &[String]) -> Result<(), ScaffoldError> {
    write_all(dir, ids, |name| name != "index.html")
}

/// The same with only what this kind of site serves, so that a server of static files has no scripts to give away.
///
/// # Errors
/// As [`scaffold`].
pub fn scaffold_as(dir: &Path, ids: &[String], kind: Kind) -> Result<(), ScaffoldError> {
    write_all(dir, ids, |name| {
        let (script, program) = (name.ends_with(".php"), name.starts_with("cgi-bin/"));
        match kind {
            Kind::Php => !program && name != "index.html",
            Kind::PhpWithoutFront => !program && name != "index.html" && name != "index.php",
            Kind::Cgi => !script,
            Kind::Static => !script && !program,
        }
    })
}

fn write_all(dir: &Path, ids: &[String], wanted: impl Fn(&str) -> bool) -> Result<(), ScaffoldError> {
    if let Some(wrong) = ids.iter().find(|id| !is_name(id)) {
        return Err(ScaffoldError::Id(wrong.clone()));
    }
    let releases = dir.join("releases");
    let failed = |path: &Path, source| ScaffoldError::Write { path: path.to_owned(), source };
    fs::create_dir_all(dir).map_err(|source| failed(dir, source))?;
    if fs::read_dir(dir).map_err(|source| failed(dir, source))?.next().is_some() {
        return Err(ScaffoldError::NotEmpty(dir.to_owned()));
    }
    for (number, id) in ids.iter().enumerate() {
        for (name, bytes) in files(id, number).into_iter().filter(|(name, _)| wanted(name)) {
            let path = releases.join(id).join(&name);
            let mode = if name.ends_with(".cgi") { 0o755 } else { 0o644 };
            write(&path, &bytes, mode).map_err(|source| failed(&path, source))?;
        }
    }
    if let Some(first) = ids.first() {
        let link = dir.join("current");
        #[allow(
            clippy::disallowed_methods,
            reason = "a first link in a directory that was empty; nobody serves it yet"
        )]
        let linked = std::os::unix::fs::symlink(Path::new("releases").join(first), &link);
        linked.map_err(|source| failed(&link, source))?;
    }
    Ok(())
}

fn write(path: &Path, text: &str, mode: u32) -> io::Result<()> {
    path.parent().map_or(Ok(()), fs::create_dir_all)?;
    fs::write(path, text)?;
    fs::set_permissions(path, fs::Permissions::from_mode(mode))
}

/// Whether the release with this number has the files that only every other release has.
#[must_use]
pub fn has_sometimes(number: usize) -> bool {
    number.is_multiple_of(2)
}

/// A static file of so many lines; each names the release and is 64 bytes long (longer for ids beyond 30 bytes).
#[must_use]
pub fn lines(id: &str, count: usize) -> String {
    let mut text = String::with_capacity(count * 64);
    for line in 0..count {
        let begin = format!("[release {id}] line {line:06} ");
        text.push_str(&format!("{begin:.<63}\n"));
    }
    text
}

fn files(id: &str, number: usize) -> Vec<(String, String)> {
    let own = |template: &str| template.replace("__RELEASE__", id);
    let main = |sleep_us: u32| own(include_str!("probe.php")).replace("__SLEEP_US__", &sleep_us.to_string());
    let program = |sleep_s: &str| own(include_str!("probe.cgi")).replace("__SLEEP_S__", sleep_s);
    let part = |name: &str| own(include_str!("part.php")).replace("__PART__", name);
    let mut files = vec![
        ("index.php".to_owned(), own(include_str!("index.php"))),
        ("probe.php".to_owned(), main(0)),
        ("slow.php".to_owned(), main(SLEEP_US)),
        ("upload.php".to_owned(), own(include_str!("upload.php"))),
        ("cgi-bin/probe.cgi".to_owned(), program("0")),
        ("cgi-bin/slow.cgi".to_owned(), program("0.005")),
        ("index.html".to_owned(), lines(id, INDEX_LINES)),
        ("parts/dir.php".to_owned(), part("dir")),
        ("parts/root.php".to_owned(), part("root")),
        ("parts/relative.php".to_owned(), part("relative")),
        ("parts/path.php".to_owned(), part("path")),
        ("parts/Loaded.php".to_owned(), own(include_str!("Loaded.php"))),
        ("parts/data.txt".to_owned(), format!("data [release {id}]\n")),
    ];
    files.extend(STATIC.map(|(name, count)| (format!("static/{name}"), lines(id, count))));
    if has_sometimes(number) {
        files.push(("sometimes.php".to_owned(), own(include_str!("sometimes.php"))));
        for name in ["sometimes.txt", "sometimes/index.html"] {
            files.push((name.to_owned(), format!("sometimes [release {id}]\n")));
        }
        files.push(("cgi-bin/sometimes.cgi".to_owned(), own(include_str!("sometimes.cgi"))));
    }
    files
}

fn is_name(id: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._+~-".contains(&byte);
    !id.is_empty() && id.len() <= 128 && !id.starts_with(['.', '-']) && id.bytes().all(plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_of_a_static_file_names_the_release_and_is_as_long_as_in_any_other() {
        let text = lines("r1", 3);
        assert_eq!(text.len(), 3 * 64);
        assert!(text.lines().all(|line| line.contains("[release r1]")));
        assert_eq!(lines("20261122T101500Z-9f3c2a", 16).len(), 1024);
    }

    #[test]
    fn a_scaffold_writes_only_into_an_empty_directory() {
        let dir = tempfile::tempdir().unwrap();
        let ids = ["r1", "r2"].map(str::to_owned);
        scaffold(dir.path(), &ids).unwrap();
        assert!(dir.path().join("current/sometimes.txt").exists());
        assert!(dir.path().join("releases/r2/probe.php").exists());
        assert!(!dir.path().join("releases/r2/sometimes.txt").exists());
        assert!(matches!(scaffold(dir.path(), &ids), Err(ScaffoldError::NotEmpty(_))));
    }

    #[test]
    fn a_kind_of_site_has_no_other_kinds_files() {
        let ids = ["r1".to_owned()];
        let found = |kind| {
            let dir = tempfile::tempdir().unwrap();
            scaffold_as(dir.path(), &ids, kind).unwrap();
            ["index.php", "index.html", "probe.php", "cgi-bin/probe.cgi"]
                .map(|name| dir.path().join("current").join(name).exists())
        };
        assert_eq!(found(Kind::Php), [true, false, true, false]);
        assert_eq!(found(Kind::PhpWithoutFront), [false, false, true, false]);
        assert_eq!(found(Kind::Static), [false, true, false, false]);
        assert_eq!(found(Kind::Cgi), [false, true, false, true]);
    }

    #[test]
    fn an_id_that_is_a_path_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        for id in ["..", "a/b", "", "a]b", "-x"] {
            assert!(matches!(scaffold(dir.path(), &[id.to_owned()]), Err(ScaffoldError::Id(_))), "{id}");
        }
    }
}
