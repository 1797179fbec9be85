//! Tree: directories copied so that no link leads out of the copy.

use crate::stuck::{Stuck, Trying};
use std::fs;
use std::path::{Component, Path, PathBuf};

/// Links within links, before it is called a loop.
const DEPTH_MAX: usize = 16;

/// Copies `from` (a path below `root`) to `to`. A link is replaced by what it leads to, absolute ones taken as
/// beginning at `root`; one that leads nowhere is left out. Names in `without` are left out at the top.
///
/// # Errors
/// When something cannot be read or written.
pub fn copy(root: &Path, from: &Path, to: &Path, without: &[&str]) -> Result<(), Stuck> {
    for entry in fs::read_dir(from).trying(|| format!("cannot read {}", from.display()))? {
        let entry = entry.trying(|| format!("cannot read {}", from.display()))?;
        if entry.file_name().to_str().is_some_and(|name| without.contains(&name)) {
            continue;
        }
        let path = entry.path();
        if let Some(real) = resolve(root, &path, 0)? {
            copy_one(root, &real, &to.join(entry.file_name()))?;
        }
    }
    Ok(())
}

fn copy_one(root: &Path, from: &Path, to: &Path) -> Result<(), Stuck> {
    if from.is_dir() {
        fs::create_dir_all(to).trying(|| format!("cannot make {}", to.display()))?;
        return copy(root, from, to, &[]);
    }
    if let Some(parent) = to.parent() {
        fs::create_dir_all(parent).trying(|| format!("cannot make {}", parent.display()))?;
    }
    fs::copy(from, to).trying(|| format!("cannot copy {} to {}", from.display(), to.display()))?;
    Ok(())
}

/// Where a path leads once its last component is no link; `None`: nowhere.
fn resolve(root: &Path, path: &Path, depth: usize) -> Result<Option<PathBuf>, Stuck> {
    let Ok(meta) = fs::symlink_metadata(path) else { return Ok(None) };
    if !meta.is_symlink() {
        return Ok(Some(path.to_owned()));
    }
    if depth > DEPTH_MAX {
        return Err(Stuck::because(format!("{} is a loop of links", path.display())));
    }
    let text = fs::read_link(path).trying(|| format!("cannot read the link {}", path.display()))?;
    let base = if text.is_absolute() { root } else { path.parent().unwrap_or(root) };
    resolve(root, &join(base, &text), depth + 1)
}

fn join(base: &Path, text: &Path) -> PathBuf {
    text.components().fold(base.to_owned(), |mut joined, component| {
        match component {
            Component::ParentDir => drop(joined.pop()),
            Component::Normal(name) => joined.push(name),
            Component::RootDir | Component::CurDir | Component::Prefix(_) => {}
        }
        joined
    })
}

/// All files below `dir` whose name ends so, with their path relative to it.
///
/// # Errors
/// When something cannot be read.
pub fn files(dir: &Path, ending: &str) -> Result<Vec<PathBuf>, Stuck> {
    let mut found = Vec::new();
    let mut open = vec![PathBuf::new()];
    while let Some(below) = open.pop() {
        let here = dir.join(&below);
        for entry in fs::read_dir(&here).trying(|| format!("cannot read {}", here.display()))? {
            let entry = entry.trying(|| format!("cannot read {}", here.display()))?;
            let path = below.join(entry.file_name());
            if entry.path().is_dir() {
                open.push(path);
            } else if path.to_str().is_some_and(|path| path.ends_with(ending)) {
                found.push(path);
            }
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    #[allow(clippy::disallowed_methods, reason = "links for a package's tree, which nobody serves")]
    fn link(text: &str, at: &Path) {
        std::os::unix::fs::symlink(text, at).unwrap();
    }

    #[test]
    fn no_link_leads_out_of_the_copy() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().join("root");
        fs::create_dir_all(root.join("var/lib/tpl")).unwrap();
        fs::create_dir_all(root.join("usr/app/inc")).unwrap();
        fs::write(root.join("var/lib/tpl/main.php"), "tpl").unwrap();
        fs::write(root.join("usr/app/inc/a.php"), "a").unwrap();
        link("/var/lib/tpl", &root.join("usr/app/tpl"));
        link("../inc/a.php", &root.join("usr/app/inc/b.php"));
        link("/etc/nowhere", &root.join("usr/app/gone"));
        let to = dir.path().join("to");
        copy(&root, &root.join("usr/app"), &to, &[]).unwrap();
        assert_eq!(fs::read_to_string(to.join("tpl/main.php")).unwrap(), "tpl");
        assert_eq!(fs::read_to_string(to.join("inc/b.php")).unwrap(), "a");
        assert!(!to.join("gone").exists());
        assert!(files(&to, ".php").unwrap().iter().all(|path| !to.join(path).is_symlink()));
    }
}
