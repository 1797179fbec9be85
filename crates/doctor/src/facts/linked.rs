//! Linked: whether PHP is given paths through a link that deploys flip, so that which release it runs is for its own
//! caches to say. By evidence of the running pool only: what a web server would hand over is for its own facts.

use std::path::{Path, PathBuf};

use super::Facts;
use super::php::Php;

/// A path through a link that a pool was seen to use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Linked {
    /// The link.
    pub link: PathBuf,
    /// What was seen, for people.
    pub seen: String,
}

impl Facts {
    /// The evidence that this PHP is given paths through a link.
    pub fn linked(&self, php: &Php) -> Option<Linked> {
        let pool = self.pools().map(|(_, pool)| pool).find(|pool| std::ptr::eq(&raw const pool.php, php));
        let scripts = pool.and_then(|pool| pool.status()).into_iter().flat_map(|status| &status.workers);
        let script = scripts.map(|worker| worker.script.as_str()).find_map(|script| {
            let link = self.link_of(Path::new(script))?;
            Some(Linked { link, seen: format!("{} was given {script}", php.name) })
        });
        script.or_else(|| {
            let links = php.inside().into_iter().flat_map(|inside| &inside.realpath.links);
            links.filter_map(|(path, to)| Some((self.link_of(Path::new(path))?, to))).next().map(
                |(link, to)| {
                    let seen = format!("{} has {} in its realpath cache, as {to}", php.name, link.display());
                    Linked { link, seen }
                },
            )
        })
    }

    /// The link of an app that a path leads through.
    fn link_of(&self, path: &Path) -> Option<PathBuf> {
        let links = self.apps.iter().map(|app| &app.current.path);
        links.filter(|link| path.starts_with(link)).max().cloned()
    }
}
