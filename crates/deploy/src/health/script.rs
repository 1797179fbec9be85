//! Script: which file of a release answers a path, and the parameters that a pool is given for it.

use std::path::{Path, PathBuf};

use fastcgi::Params;

use super::Subject;

/// What answers a path.
pub enum Found {
    /// A file that is sent as it is.
    File,
    /// A script.
    Script(Script),
    /// Nothing: 404.
    Nothing,
}

/// A script of a release, as it is asked for.
pub struct Script {
    file: PathBuf,
    name: String,
    path_info: String,
}

/// Finds what answers `target` (path and query, percent-encoded): the file of that name, a directory's index, or the
/// front controller. Redirects and rewrites of a web server in front are not known here.
pub fn find(subject: &Subject<'_, '_>, target: &str) -> Found {
    let docroot = subject.dir.join(&subject.says.docroot);
    let path = decoded(target.split(['?', '#']).next().unwrap_or_default());
    let inside = path.split('/').filter(|part| !part.is_empty()).collect::<Vec<_>>();
    if inside.contains(&"..") {
        return Found::Nothing;
    }
    let below = inside.join("/");
    let file = docroot.join(&below);
    if !below.is_empty() && file.is_file() {
        return found(&docroot, &below, "");
    }
    if file.is_dir() {
        let names = subject.says.index.iter();
        let index = names.map(|name| Path::new(&below).join(name)).find(|name| docroot.join(name).is_file());
        if let Some(index) = index.as_deref().and_then(Path::to_str) {
            return found(&docroot, index, "");
        }
    }
    // `/index.php/articles`: the script is on the way.
    for (at, _) in below.match_indices(".php/") {
        let (name, info) = below.split_at(at + 4);
        if docroot.join(name).is_file() {
            return found(&docroot, name, info);
        }
    }
    match &subject.says.front {
        Some(front) if docroot.join(front).is_file() => found(&docroot, front, ""),
        Some(_) | None => Found::Nothing,
    }
}

fn found(docroot: &Path, name: &str, path_info: &str) -> Found {
    match name.ends_with(".php") {
        true => Found::Script(Script {
            file: docroot.join(name),
            name: format!("/{name}"),
            path_info: path_info.into(),
        }),
        false => Found::File,
    }
}

impl Script {
    /// What a pool is told, as a visitor's request would tell it (RFC 3875, section 4.1).
    pub fn params(&self, subject: &Subject<'_, '_>, target: &str) -> Params {
        let host = subject.host();
        let docroot = subject.dir.join(&subject.says.docroot);
        let map = subject.deploy.config.host.php.as_ref().map_or(&[][..], |php| &php.path_map);
        let there = |path: &Path| mapped(map, path).into_os_string().into_encoded_bytes();
        let query = target.split_once('?').map_or("", |(_, query)| query);
        let mut params = Params::with_capacity(1024);
        params
            .push(b"SCRIPT_FILENAME", &there(&self.file))
            .push(b"DOCUMENT_ROOT", &there(&docroot))
            .push(b"CUTOVER_RELEASE_ROOT", &there(subject.dir))
            .push(b"CUTOVER_RELEASE", subject.id.as_str().as_bytes())
            .push(b"SCRIPT_NAME", self.name.as_bytes())
            .push(b"DOCUMENT_URI", format!("{}{}", self.name, self.path_info).as_bytes())
            .push(b"REQUEST_URI", target.as_bytes())
            .push(b"QUERY_STRING", query.as_bytes())
            .push(b"REQUEST_METHOD", b"GET")
            .push(b"REQUEST_SCHEME", b"http")
            .push(b"SERVER_PROTOCOL", b"HTTP/1.1")
            .push(b"SERVER_NAME", host.as_bytes())
            .push(b"SERVER_ADDR", b"127.0.0.1")
            .push(b"SERVER_PORT", b"80")
            .push(b"REMOTE_ADDR", b"127.0.0.1")
            .push(b"REMOTE_PORT", b"0")
            .push(b"GATEWAY_INTERFACE", b"CGI/1.1")
            .push(b"SERVER_SOFTWARE", concat!("cutover/", env!("CARGO_PKG_VERSION")).as_bytes())
            .push(b"REDIRECT_STATUS", b"200")
            .push(b"HTTP_HOST", host.as_bytes())
            .push(b"HTTP_USER_AGENT", concat!("cutover/", env!("CARGO_PKG_VERSION")).as_bytes());
        if !self.path_info.is_empty() {
            params.push(b"PATH_INFO", self.path_info.as_bytes());
        }
        params
    }
}

/// A path of ours as a pool in a container sees it; the map has its longest prefixes first.
pub(crate) fn mapped(map: &[(PathBuf, PathBuf)], path: &Path) -> PathBuf {
    let found = map.iter().find_map(|(here, there)| Some((path.strip_prefix(here).ok()?, there)));
    match found {
        Some((rest, there)) if rest.as_os_str().is_empty() => there.clone(),
        Some((rest, there)) => there.join(rest),
        None => path.to_owned(),
    }
}

/// Percent-decoded; what is no UTF-8 then is in no path that is configured.
fn decoded(path: &str) -> String {
    let mut bytes = Vec::with_capacity(path.len());
    let mut rest = path.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        let hex = after.get(..2).and_then(|two| u8::from_str_radix(std::str::from_utf8(two).ok()?, 16).ok());
        match (first, hex) {
            (b'%', Some(byte)) => {
                bytes.push(byte);
                rest = after.get(2..).unwrap_or_default();
            }
            (_, _) => {
                bytes.push(*first);
                rest = after;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_decoded_and_mapped() {
        assert_eq!(decoded("/a%20b/%zz%"), "/a b/%zz%");
        let map = [(PathBuf::from("/srv/shop"), PathBuf::from("/app"))];
        assert_eq!(mapped(&map, Path::new("/srv/shop/releases/r1")), Path::new("/app/releases/r1"));
        assert_eq!(mapped(&map, Path::new("/srv/shop2")), Path::new("/srv/shop2"));
        assert_eq!(mapped(&map, Path::new("/srv/shop")), Path::new("/app"));
    }
}
