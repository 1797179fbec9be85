//! Discovered: apps that nobody named, found by what web servers serve: a path that goes through a link beside
//! `releases/`, which leads to one of them. So Capistrano, Deployer, Envoyer, Ansistrano, Mina and Cutover lay them out.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

use super::Facts;
use super::app::App;
use super::links::Way;
use crate::finding::Blind;
use crate::machine::{Kind, Machine};

/// Apps that are looked at unasked, and files of PHP in all of their releases: reading takes time.
const APPS_MAX: usize = 20;
const FILES_MAX: usize = 60_000;

impl Facts {
    /// Looks at the apps that the web servers serve; those that were named are known already.
    pub(super) fn discover_apps(&mut self, machine: &dyn Machine) {
        let known: BTreeSet<PathBuf> = self.apps.iter().map(|app| app.root.clone()).collect();
        let served: BTreeSet<(PathBuf, PathBuf)> = self.ways().flat_map(|way| way.links.clone()).collect();
        let found: BTreeMap<PathBuf, OsString> =
            served.iter().filter_map(|(link, to)| app_of(machine, link, to)).collect();
        let mut left: Vec<_> = found.into_iter().filter(|(root, _)| !known.contains(root)).rev().collect();
        let (mut apps, mut files) = (0, 0);
        while apps < APPS_MAX
            && files < FILES_MAX
            && let Some((root, link)) = left.pop()
        {
            let app = App::look(machine, &mut self.sources, &root, Some(&link));
            files += app.live.as_ref().map_or(0, |tree| tree.php.len());
            apps += 1;
            self.apps.push(app);
        }
        if let Some((root, _)) = left.last() {
            let (what, count) = (root.display().to_string(), left.len());
            let why = match count {
                1 => "enough apps were looked at: look at this one with -C".to_owned(),
                more => {
                    format!("enough apps were looked at: look at this one, and {} more, with -C", more - 1)
                }
            };
            self.blind.push(Blind { what, why, at: None });
        }
    }

    /// How the paths lead that web servers serve.
    fn ways(&self) -> impl Iterator<Item = &Way> {
        let nginx = self.nginx.iter().flat_map(|nginx| nginx.ways.values());
        let apache = self
            .apache
            .iter()
            .flat_map(|apache| apache.sites())
            .flat_map(|site| site.docroot.iter().chain(site.mapped.iter().map(|mapped| &mapped.place)));
        let caddy = self.caddy.iter().flat_map(|caddy| &caddy.handlers).flat_map(|handler| &handler.roots);
        let lighttpd = self.lighttpd.iter().flat_map(|lighttpd| &lighttpd.roots).map(|root| &root.place);
        nginx.chain(apache.chain(caddy).chain(lighttpd).map(|place| &place.way))
    }
}

/// The root of the app that a link belongs to, and the link's name: it leads into `releases/`, which stands beside it.
fn app_of(machine: &dyn Machine, link: &Path, to: &Path) -> Option<(PathBuf, OsString)> {
    let (root, name) = (link.parent()?, link.file_name()?);
    let releases = Way::follow(machine, &root.join("releases"));
    let beside = releases.real().filter(|_| is_dir(&releases))?;
    // Capistrano and Envoyer write the whole path, Deployer and Cutover what is below the root.
    let holds = Way::follow(machine, root.join(to).parent()?);
    let leads = is_dir(&Way::follow(machine, link)) && name != OsStr::new("releases");
    (leads && holds.real() == Some(beside)).then(|| (root.to_owned(), name.to_owned()))
}

fn is_dir(way: &Way) -> bool {
    matches!(way.end, super::links::End::There(_, Kind::Directory))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::facts::Targets;
    use crate::machine::Recorded;

    /// A machine with a release, these links, and an nginx that serves these roots.
    fn apps(links: &[(&str, &str)], roots: &[&str]) -> Vec<(String, String)> {
        let mut machine = Recorded::default();
        machine.file(Path::new("/srv/shop/releases/20240101/public/index.php"), Vec::new());
        machine.file(Path::new("/srv/plain/public/index.php"), Vec::new());
        for (at, to) in links {
            machine.link_to(Path::new(at), Path::new(to));
        }
        let servers = roots.iter().map(|root| format!("server {{ root {root}; }}\n"));
        let conf = format!("events {{}}\nhttp {{\n{}}}\n", servers.collect::<String>());
        machine.file(Path::new("/etc/nginx/nginx.conf"), conf.into());
        let facts = Facts::look(&machine, &Targets::default());
        let told = |path: &Path| path.display().to_string();
        facts.apps.iter().map(|app| (told(&app.root), told(&app.current.path))).collect()
    }

    #[test]
    fn an_app_is_known_by_a_link_into_the_releases_beside_it() {
        let shop = |link: &str| vec![("/srv/shop".to_owned(), format!("/srv/shop/{link}"))];
        for (links, root, found) in [
            (&[("/srv/shop/current", "releases/20240101")][..], "/srv/shop/current/public", shop("current")),
            (&[("/srv/shop/current", "/srv/shop/releases/20240101")], "/srv/shop/current", shop("current")),
            (&[("/srv/shop/live", "./releases/20240101")], "/srv/shop/live/public", shop("live")),
            (
                &[("/srv/shop/current", "releases/20240101"), ("/var/www/html", "/srv/shop/current/public")],
                "/var/www/html",
                shop("current"),
            ),
            (
                &[("/web", "/srv"), ("/srv/shop/current", "/web/shop/releases/20240101")],
                "/web/shop/current/public",
                shop("current"),
            ),
            // A plain root, a link to elsewhere, one that leads nowhere, and one in a release.
            (&[], "/srv/plain/public", vec![]),
            (&[("/srv/plain/current", "public")], "/srv/plain/current", vec![]),
            (&[("/srv/shop/current", "/srv/plain/public")], "/srv/shop/current", vec![]),
            (&[("/srv/shop/current", "releases/gone")], "/srv/shop/current/public", vec![]),
            (&[("/srv/shop/releases/newest", "20240101")], "/srv/shop/releases/newest/public", vec![]),
        ] {
            assert_eq!(apps(links, &[root]), found, "{root} {links:?}");
        }
    }

    #[test]
    fn an_app_of_several_sites_is_one_and_very_many_are_told_to_be_left_out() {
        let link = &[("/srv/shop/current", "releases/20240101")];
        assert_eq!(apps(link, &["/srv/shop/current/public", "/srv/shop/current"]).len(), 1);
        let mut machine = Recorded::default();
        let mut conf = "events {}\nhttp {\n".to_owned();
        for number in 0..APPS_MAX + 3 {
            let root = PathBuf::from(format!("/srv/{number}"));
            machine.file(&root.join("releases/1/index.php"), Vec::new());
            machine.link_to(&root.join("current"), Path::new("releases/1"));
            conf += &format!("server {{ root {}/current; }}\n", root.display());
        }
        machine.file(Path::new("/etc/nginx/nginx.conf"), (conf + "}\n").into());
        let facts = Facts::look(&machine, &Targets::default());
        assert_eq!(facts.apps.len(), APPS_MAX);
        let told: Vec<_> = facts.blind.iter().filter(|blind| blind.why.contains("with -C")).collect();
        assert!(told.len() == 1 && told[0].why.contains("and 2 more"), "{told:?}");
    }
}
