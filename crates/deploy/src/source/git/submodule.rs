//! Submodules: which a commit has, and where they come from.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::source::run::{line, run};

/// `160000 <commit> 0<TAB>path`: a submodule.
pub(super) fn parse(line: &[u8]) -> Option<(String, PathBuf)> {
    let line = line.strip_prefix(b"160000 ")?;
    let tab = line.iter().position(|byte| *byte == b'\t')?;
    let commit = std::str::from_utf8(line.get(..tab)?).ok()?.split(' ').next()?;
    Some((commit.to_owned(), PathBuf::from(OsStr::from_bytes(line.get(tab + 1..)?))))
}

/// What .gitmodules says about the submodule at this path.
pub(super) fn url_of(git: &dyn Fn() -> Command, path: &Path) -> Option<String> {
    let mut ask = git();
    ask.args(["config", "--file", ".gitmodules", "-z", "--get-regexp", r"^submodule\..*\.path$"]);
    let listed = run("git", &mut ask, &mut |_| {}).ok()?;
    let name = listed.split(|byte| *byte == 0).find_map(|entry| {
        let at = entry.iter().position(|byte| *byte == b'\n')?;
        let same = entry.get(at + 1..)? == path.as_os_str().as_bytes();
        let key = std::str::from_utf8(entry.get(..at)?).ok()?;
        if same { Some(key.strip_suffix(".path")?.to_owned()) } else { None }
    })?;
    let mut ask = git();
    ask.args(["config", "--file", ".gitmodules", "--get"]).arg(format!("{name}.url"));
    run("git", &mut ask, &mut |_| {})
        .ok()
        .map(|bytes| line(&bytes))
        .filter(|url| !url.is_empty() && !url.starts_with('-'))
}

/// A submodule's address may be relative to that of its parent (gitsubmodules(7)).
pub(super) fn resolve(parent: &str, url: &str) -> String {
    if !(url.starts_with("./") || url.starts_with("../")) {
        return url.to_owned();
    }
    let mut base = parent.trim_end_matches('/').to_owned();
    let mut rest = url;
    loop {
        if let Some(next) = rest.strip_prefix("./") {
            rest = next;
        } else if let Some(next) = rest.strip_prefix("../") {
            rest = next;
            let cut = base.rfind(['/', ':']).unwrap_or(0);
            base.truncate(cut);
        } else {
            let separator = if base.is_empty() || base.ends_with(':') { "" } else { "/" };
            return format!("{base}{separator}{rest}");
        }
    }
}

/// A path as a pattern of `git clean -e` that means this path only.
pub(super) fn literal(path: &Path) -> std::ffi::OsString {
    let mut pattern = vec![b'/'];
    for byte in path.as_os_str().as_bytes() {
        if b"*?[]\\ !#".contains(byte) {
            pattern.push(b'\\');
        }
        pattern.push(*byte);
    }
    OsStr::from_bytes(&pattern).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_relative_submodule_lies_beside_its_parent() {
        for (parent, url, wanted) in [
            ("https://host/group/shop.git", "../lib.git", "https://host/group/lib.git"),
            ("git@host:group/shop.git", "../lib.git", "git@host:group/lib.git"),
            ("/srv/git/shop/", "../../lib", "/srv/lib"),
            ("/srv/git/shop", "./lib", "/srv/git/shop/lib"),
            ("/srv/git/shop", "https://x/y", "https://x/y"),
        ] {
            assert_eq!(resolve(parent, url), wanted);
        }
    }
}
