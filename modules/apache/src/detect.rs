//! Detect: which link in a DocumentRoot says what is live, where no `CutoverLink` does.

use std::path::{Path, PathBuf};

/// Looks at the parts of a document root that lie below `above`, once, when the server starts.
///
/// Of several links it is the one that stands beside its releases: it leads to something in the same directory, or in
/// the `releases/` there. Failing that it is the last one. Where nothing is there yet, it is the part beside a
/// `releases/`.
pub fn link_of(root: &Path, above: Option<&Path>) -> Option<PathBuf> {
    let parts: Vec<&Path> = root.ancestors().collect();
    let mut last = None;
    for part in parts
        .into_iter()
        .rev()
        .filter(|part| above.is_none_or(|above| *part != above && part.starts_with(above)))
    {
        let Some(beside) = part.parent() else { continue };
        let releases = beside.join("releases");
        match std::fs::read_link(part) {
            Ok(text) => {
                let leads_to = beside.join(text);
                if releases.is_dir() || leads_to.parent() == Some(beside) {
                    return Some(part.to_owned());
                }
                last = Some(part.to_owned());
            }
            Err(why) if why.kind() == std::io::ErrorKind::NotFound => {
                if releases.is_dir() {
                    return Some(part.to_owned());
                }
                break;
            }
            // A directory, or a file that Apache will complain of.
            Err(_) => {}
        }
    }
    last
}

/// What a link without `CutoverAllow` may lead to: with a `releases/` beside it nothing else, otherwise what stands
/// beside that which it leads to now.
pub fn allowed(link: &Path) -> Vec<PathBuf> {
    let Some(beside) = link.parent() else { return Vec::new() };
    if beside.join("releases").is_dir() {
        return Vec::new();
    }
    #[allow(clippy::disallowed_methods, reason = "what stands beside a release does not change with a flip")]
    let leads_to = link.canonicalize();
    let among = leads_to.ok().and_then(|end| end.parent().map(Path::to_owned));
    vec![among.unwrap_or_else(|| beside.to_owned())]
}
