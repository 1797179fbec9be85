//! Shared: what the live release shares with others, as its links tell.

use std::path::{Component, Path, PathBuf};

/// What was found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Shared {
    /// Directories: `storage` is a link to `shared/storage`.
    pub dirs: Vec<String>,
    /// Files likewise.
    pub files: Vec<String>,
    /// Links that should lead there, but to which nothing is found at the other end.
    pub dangling: Vec<String>,
    /// What lies beside the link instead of in `shared/` (Envoyer): there it gets a link of the same name.
    pub beside: Vec<String>,
    /// Links into `shared/` under another name, which cutover.toml cannot say: path and text.
    pub odd: Vec<(String, String)>,
}

/// Deeper than any project; a release has no cycles, for links are not followed.
const MAX_DEPTH: usize = 64;

/// Looks at every link in the release at `dir`. `roots` are the names under which the app's root is known.
pub(crate) fn find(roots: &[PathBuf], dir: &Path) -> std::io::Result<Shared> {
    let mut shared = Shared::default();
    walk(roots, dir, Path::new(""), 0, &mut shared)?;
    for list in [&mut shared.dirs, &mut shared.files, &mut shared.dangling, &mut shared.beside] {
        list.sort();
    }
    shared.odd.sort();
    Ok(shared)
}

fn walk(
    roots: &[PathBuf],
    top: &Path,
    below: &Path,
    depth: usize,
    shared: &mut Shared,
) -> std::io::Result<()> {
    for entry in std::fs::read_dir(top.join(below))? {
        let entry = entry?;
        let path = below.join(entry.file_name());
        let kind = entry.file_type()?;
        if kind.is_dir() && depth < MAX_DEPTH {
            walk(roots, top, &path, depth + 1, shared)?;
        } else if kind.is_symlink() {
            link(roots, top, &path, shared)?;
        }
    }
    Ok(())
}

fn link(roots: &[PathBuf], top: &Path, path: &Path, shared: &mut Shared) -> std::io::Result<()> {
    let at = top.join(path);
    let text = std::fs::read_link(&at)?;
    let to = plain(&at.parent().unwrap_or(top).join(&text));
    let Some(inside) = roots.iter().find_map(|root| to.strip_prefix(root).ok()) else { return Ok(()) };
    // A name that is no UTF-8 cannot be written into cutover.toml; nor can it be a name of a shared path there.
    let (Some(name), Some(told)) = (path.to_str(), text.to_str()) else { return Ok(()) };
    let (name, home) = (name.to_owned(), inside.strip_prefix("shared").ok());
    match home {
        Some(home) if home == path => {}
        // Envoyer keeps them in the app's root.
        None if inside == path => shared.beside.push(name.clone()),
        Some(_) => {
            shared.odd.push((name, told.to_owned()));
            return Ok(());
        }
        None => return Ok(()),
    }
    match at.metadata() {
        Ok(meta) if meta.is_dir() => shared.dirs.push(name),
        Ok(_) => shared.files.push(name),
        Err(_) => shared.dangling.push(name),
    }
    Ok(())
}

/// The path without `.` and with each `..` taken for the component before it.
fn plain(path: &Path) -> PathBuf {
    let mut plain = PathBuf::new();
    for part in path.components() {
        match part {
            Component::CurDir => {}
            Component::ParentDir => {
                plain.pop();
            }
            Component::RootDir | Component::Prefix(_) | Component::Normal(_) => plain.push(part),
        }
    }
    plain
}
