//! Settings: what php.ini, a pool or a virtual host says, parsed once for each way that it is said.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use release::App;

/// The settings as PHP has them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Raw {
    /// `cutover.link`
    pub link: Vec<u8>,
    /// `cutover.root`
    pub root: Vec<u8>,
    /// `cutover.allow`
    pub allow: Vec<u8>,
    /// `cutover.on_failure`
    pub on_failure: Vec<u8>,
    /// `incpath.search_replace_pattern`
    pub pattern: Vec<u8>,
    /// `incpath.realpath_sapi_list`
    pub realpath_sapis: Vec<u8>,
    /// `incpath.docroot_sapi_list`
    pub docroot_sapis: Vec<u8>,
}

/// What is to be done in each request.
#[derive(Debug)]
pub struct Settings {
    /// What is pinned; `None`: nothing, by the administrator's wish.
    pub pinning: Result<Option<Pinning>, String>,
    /// What becomes of a request that cannot be pinned.
    pub on_failure: OnFailure,
    /// What was not understood, and what is done instead.
    pub complaint: Option<String>,
}

/// What becomes of a request that cannot be pinned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnFailure {
    /// It runs unpinned, with a warning.
    Warn,
    /// It is answered with a 503.
    Refuse,
}

/// What stands at a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stands {
    /// A symbolic link.
    Link,
    /// A directory.
    Directory,
    /// Something else, or nothing.
    Other,
}

/// An app, and the paths of include_path that lead through its link.
#[derive(Debug)]
pub struct Pinning {
    /// The app.
    pub app: App,
    /// The paths.
    pub places: Vec<Place>,
}

/// A path through the link, and what stands for it in a pinned request.
#[derive(Debug, PartialEq, Eq)]
pub struct Place {
    /// The path.
    pub from: PathBuf,
    /// What stands for it.
    pub to: To,
}

/// What stands for a path through the link.
#[derive(Debug, PartialEq, Eq)]
pub enum To {
    /// This path below where the link leads.
    Release(PathBuf),
    /// The request's DOCUMENT_ROOT.
    Docroot,
}

impl Settings {
    /// Takes the settings for a PHP that runs as `sapi`. `look` says what stands at a path.
    pub fn parse(raw: &Raw, sapi: &str, look: impl Fn(&Path) -> Stands) -> Settings {
        let (on_failure, complaint) = match raw.on_failure.as_slice() {
            b"warn" | b"" => (OnFailure::Warn, None),
            b"503" => (OnFailure::Refuse, None),
            other => {
                let shown = String::from_utf8_lossy(other);
                let complaint =
                    format!("cutover.on_failure = \"{shown}\" is neither warn nor 503; it counts as warn");
                (OnFailure::Warn, Some(complaint))
            }
        };
        Settings { pinning: pinning(raw, sapi, look), on_failure, complaint }
    }
}

fn pinning(raw: &Raw, sapi: &str, look: impl Fn(&Path) -> Stands) -> Result<Option<Pinning>, String> {
    if !raw.link.is_empty() {
        let link = absolute(&raw.link, "cutover.link")?;
        let app = app(raw, &link, look)?;
        return Ok(Some(Pinning {
            app,
            places: vec![Place { from: link, to: To::Release(PathBuf::new()) }],
        }));
    }
    let docroot = named(&raw.docroot_sapis, sapi);
    if raw.pattern.is_empty() || !(docroot || named(&raw.realpath_sapis, sapi)) {
        return Ok(None);
    }
    let mut places = Vec::new();
    let mut common: Option<PathBuf> = None;
    for part in list(&raw.pattern) {
        let from = absolute(part, "incpath.search_replace_pattern")?;
        let link = from.ancestors().find(|path| look(path) == Stands::Link).ok_or_else(|| {
            format!(
                "there is no symbolic link at or above {}, which incpath.search_replace_pattern names",
                from.display()
            )
        })?;
        let link = common.get_or_insert_with(|| link.to_owned());
        let rest = from.strip_prefix(&*link).map_err(|_| {
            format!(
                "{} and {}, which incpath.search_replace_pattern names, have no link in common",
                from.display(),
                link.display()
            )
        })?;
        let to = if docroot { To::Docroot } else { To::Release(rest.to_owned()) };
        places.push(Place { to, from });
    }
    // The longest first: of two that fit, it is the one that was meant.
    places.sort_by_key(|place| std::cmp::Reverse(place.from.as_os_str().len()));
    let Some(link) = common else { return Ok(None) };
    Ok(Some(Pinning { app: app(raw, &link, look)?, places }))
}

fn app(raw: &Raw, link: &Path, look: impl Fn(&Path) -> Stands) -> Result<App, String> {
    let root = if raw.root.is_empty() {
        link.parent().unwrap_or(Path::new("/")).to_owned()
    } else {
        absolute(&raw.root, "cutover.root")?
    };
    let mut allow =
        list(&raw.allow).map(|path| absolute(path, "cutover.allow")).collect::<Result<Vec<_>, _>>()?;
    // Some have their releases right beside the link, named as they like: site -> A, and B.
    if allow.is_empty() && look(&root.join("releases")) == Stands::Other {
        allow.extend(link.parent().map(Path::to_owned));
    }
    App::new(&root, link, &allow).map_err(|why| format!("cutover.link: {why}"))
}

fn absolute(path: &[u8], setting: &str) -> Result<PathBuf, String> {
    let path = Path::new(OsStr::from_bytes(path.trim_ascii()));
    let plain = path.is_absolute() && !path.components().any(|part| part == std::path::Component::ParentDir);
    // Collected from its parts, it has no doubled slashes.
    if plain {
        Ok(path.components().collect())
    } else {
        Err(format!("{setting}: {} is not an absolute path without `..`", path.display()))
    }
}

/// The parts between colons.
fn list(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    text.split(|byte| *byte == b':').map(<[u8]>::trim_ascii).filter(|part| !part.is_empty())
}

/// Whether a list names this SAPI, by its whole name.
fn named(list: &[u8], sapi: &str) -> bool {
    list.split(|byte| *byte == b',').any(|name| name.trim_ascii() == sapi.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn look(path: &Path) -> Stands {
        match path.file_name().and_then(|name| name.to_str()) {
            Some("current") => Stands::Link,
            Some("releases") if path.starts_with("/srv") => Stands::Directory,
            Some(_) | None => Stands::Other,
        }
    }

    fn parse(set: impl FnOnce(&mut Raw)) -> Settings {
        let mut raw = Raw::default();
        set(&mut raw);
        Settings::parse(&raw, "fpm-fcgi", look)
    }

    fn places(settings: Settings) -> Vec<Place> {
        settings.pinning.unwrap().map_or(vec![], |pinning| pinning.places)
    }

    fn place(from: &str, rest: &str) -> Place {
        Place { from: from.into(), to: To::Release(rest.into()) }
    }

    #[test]
    fn a_link_is_all_that_has_to_be_said() {
        let settings = parse(|raw| raw.link = b"/srv/shop//current/".into());
        let pinning = settings.pinning.unwrap().unwrap();
        assert_eq!(
            (pinning.app.root(), pinning.app.link()),
            (Path::new("/srv/shop"), Path::new("/srv/shop/current"))
        );
        assert_eq!(pinning.places, [place("/srv/shop/current", "")]);
        assert_eq!((settings.on_failure, settings.complaint), (OnFailure::Warn, None));
        let pinning = parse(|raw| {
            raw.link = b"/var/www/site".into();
            raw.root = b"/srv/shop".into();
            raw.allow = b"/data/builds: /data/more".into();
        });
        let app = pinning.pinning.unwrap().unwrap().app;
        assert_eq!((app.root(), app.allow().len()), (Path::new("/srv/shop"), 2));
    }

    #[test]
    fn without_one_nothing_is_pinned() {
        assert_eq!(places(parse(|_| ())), []);
        assert_eq!(places(parse(|raw| raw.pattern = b"/srv/shop/current".into())), []);
    }

    #[test]
    fn the_settings_of_incpath_are_understood_for_whole_names_of_sapis() {
        let with = |pattern: &str, realpath: &str, docroot: &str| {
            parse(|raw| {
                raw.pattern = pattern.into();
                raw.realpath_sapis = realpath.into();
                raw.docroot_sapis = docroot.into();
            })
        };
        let current = "/srv/shop/current";
        assert_eq!(places(with(current, "cli, fpm-fcgi", "")), [place(current, "")]);
        for other in ["cli", "fpm", "fpm-fcgi2", " , ", "f"] {
            assert_eq!(places(with(current, other, "")), [], "{other}");
        }
        let docroot = Place { from: current.into(), to: To::Docroot };
        assert_eq!(places(with(current, "", "fpm-fcgi")), [docroot]);
        assert!(matches!(places(with(current, "fpm-fcgi", "fpm-fcgi"))[0].to, To::Docroot), "as in incpath");
        let both = "/srv/shop/current/lib:/srv/shop/current/public/lib/";
        let longest_first =
            [place("/srv/shop/current/public/lib", "public/lib"), place("/srv/shop/current/lib", "lib")];
        assert_eq!(places(with(both, "fpm-fcgi", "")), longest_first);
        let allowed = |pattern| with(pattern, "fpm-fcgi", "").pinning.unwrap().unwrap().app.allow().to_vec();
        assert_eq!((allowed(current), allowed("/etsy/current")), (vec![], vec!["/etsy".into()]));
        for (pattern, why) in [
            ("current", "incpath.search_replace_pattern: current is not an absolute path without `..`"),
            ("/srv/shop/now", "there is no symbolic link at or above /srv/shop/now"),
            ("/srv/shop/current:/srv/blog/current", "have no link in common"),
        ] {
            let said = with(pattern, "fpm-fcgi", "").pinning.unwrap_err();
            assert!(said.contains(why), "{said}");
        }
    }

    #[test]
    fn what_is_not_understood_is_told() {
        let link = |link: &str| parse(|raw| raw.link = link.into()).pinning.unwrap_err();
        assert_eq!(link("current"), "cutover.link: current is not an absolute path without `..`");
        assert_eq!(
            link("/srv/../current"),
            "cutover.link: /srv/../current is not an absolute path without `..`"
        );
        assert_eq!(link("/"), "cutover.link: / cannot be the link of an app");
        let mut raw = Raw { link: b"/srv/shop/current".into(), on_failure: b"die".into(), ..Raw::default() };
        let settings = Settings::parse(&raw, "cli", look);
        assert!(settings.pinning.is_ok() && settings.on_failure == OnFailure::Warn);
        let said = settings.complaint.unwrap();
        assert_eq!(said, "cutover.on_failure = \"die\" is neither warn nor 503; it counts as warn");
        raw.on_failure = b"503".into();
        raw.allow = b"builds".into();
        let settings = Settings::parse(&raw, "cli", look);
        assert_eq!(settings.on_failure, OnFailure::Refuse);
        assert_eq!(
            settings.pinning.unwrap_err(),
            "cutover.allow: builds is not an absolute path without `..`"
        );
    }
}
