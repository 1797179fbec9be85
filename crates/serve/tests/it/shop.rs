//! Shop: an app on disk with one live release, and a visitor.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use config::Says;
use http::{HeaderMap, HeaderName, Method, StatusCode};
use http_body_util::BodyExt;
use release::manifest::{load, seal};
use release::{App, Lease, ReleaseId, live};
use rustix::fs::{CWD, symlinkat};
use serve::file::memory::Memory;
use serve::file::{self, Ask, listing};
use serve::resource::{Resource, UrlPath};
use serve::tree::{Ground, Tree};
use tempfile::TempDir;

pub struct Shop {
    place: TempDir,
    pub app: App,
    pub says: Says,
    pub memory: Arc<Memory>,
    pub execute_shared: bool,
}

/// What a visitor got.
#[derive(Debug, Clone, PartialEq)]
pub struct Answer {
    pub status: u16,
    pub headers: HeaderMap,
    pub body: Vec<u8>,
}

impl Shop {
    /// An app whose release `r1` is live and empty, with a shared directory.
    pub fn new() -> Shop {
        let place = tempfile::tempdir().unwrap();
        let root = place.path().join("shop");
        for dir in ["releases/r1", "shared", ".cutover/manifests"] {
            fs::create_dir_all(root.join(dir)).unwrap();
        }
        symlinkat("releases/r1", CWD, root.join("current")).unwrap();
        let app = App::new(&root, Path::new("current"), &[]).unwrap();
        let memory = Arc::new(Memory::new(64 << 20, 1 << 20));
        Shop { place, app, says: Says::default(), memory, execute_shared: false }
    }

    /// An absolute path; `path` is relative to the app, or to its parent with `../`.
    pub fn path(&self, path: &str) -> PathBuf {
        match path.strip_prefix("../") {
            Some(outside) => self.place.path().join(outside),
            None => self.app.root().join(path),
        }
    }

    pub fn release(&self, path: &str) -> PathBuf {
        self.app.root().join("releases/r1").join(path)
    }

    /// A file of the release, its directories with it.
    pub fn write(&self, path: &str, content: impl AsRef<[u8]>) -> &Shop {
        write(&self.release(path), content);
        self
    }

    pub fn write_at(&self, path: &str, content: impl AsRef<[u8]>) -> &Shop {
        write(&self.path(path), content);
        self
    }

    /// A link in the release.
    pub fn link(&self, path: &str, target: impl AsRef<Path>) -> &Shop {
        let at = self.release(path);
        fs::create_dir_all(at.parent().unwrap()).unwrap();
        symlinkat(target.as_ref(), CWD, at).unwrap();
        self
    }

    pub fn seal(&self) -> &Shop {
        seal(&self.app, &ReleaseId::parse("r1").unwrap()).unwrap();
        self
    }

    /// A pin's tree.
    pub fn tree(&self) -> Tree {
        let lease = Lease::take(&self.app, &live::read(&self.app).unwrap()).unwrap();
        let seal = load(&self.app, lease.live()).unwrap();
        let shared = Ground::shared(&self.app).unwrap();
        Tree::new(&lease, shared, seal, self.says.clone().into(), self.execute_shared, self.memory.clone())
            .unwrap()
    }

    /// A GET of a fresh pin.
    pub fn get(&self, path: &str) -> Answer {
        get(&self.tree(), path, &[])
    }

    pub fn resolve(&self, target: &str) -> Resource {
        resolve(&self.tree(), target)
    }
}

impl Answer {
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    pub fn text(&self) -> &str {
        str::from_utf8(&self.body).unwrap()
    }
}

pub fn resolve(tree: &Tree, target: &str) -> Resource {
    let (path, query) = target.split_once('?').map_or((target, None), |(path, query)| (path, Some(query)));
    match UrlPath::parse(path) {
        Ok(path) => Resource::resolve(tree, &path, query),
        Err(why) => Resource::Refused(why.into()),
    }
}

pub fn get(tree: &Tree, target: &str, headers: &[(&str, &str)]) -> Answer {
    ask(tree, Method::GET, target, headers)
}

pub fn ask(tree: &Tree, method: Method, target: &str, headers: &[(&str, &str)]) -> Answer {
    let mut fields = HeaderMap::new();
    for (name, value) in headers {
        fields.append(HeaderName::from_bytes(name.as_bytes()).unwrap(), value.parse().unwrap());
    }
    answer(tree, Ask { method: &method, headers: &fields, by_kernel: false }, resolve(tree, target))
}

/// What the resource gives, without PHP: a script is answered by its path.
pub fn answer(tree: &Tree, ask: Ask<'_>, resource: Resource) -> Answer {
    let response = match resource {
        Resource::File(found) => block_on(file::serve(ask, tree, found)),
        Resource::Listing(listing) => listing::page(ask, tree, &listing),
        Resource::Script(script) => return plain(200, format!("run {}", script.file.display())),
        Resource::Redirect(to) => {
            let mut answer = plain(301, String::new());
            answer.headers.insert("location", to);
            return answer;
        }
        Resource::Refused(why) => return plain(why.status(), String::new()),
        Resource::NotFound => return plain(404, String::new()),
    };
    match response {
        Ok(response) => {
            let (parts, body) = response.into_parts();
            let body = block_on(body.collect()).unwrap().to_bytes().to_vec();
            Answer { status: parts.status.as_u16(), headers: parts.headers, body }
        }
        Err(miss) => plain(miss.status(), String::new()),
    }
}

pub fn block_on<T>(future: impl Future<Output = T>) -> T {
    thread_local! {
        static RUNTIME: tokio::runtime::Runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    }
    RUNTIME.with(|runtime| runtime.block_on(future))
}

fn plain(status: u16, body: String) -> Answer {
    let status = StatusCode::from_u16(status).unwrap().as_u16();
    Answer { status, headers: HeaderMap::new(), body: body.into_bytes() }
}

fn write(path: &Path, content: impl AsRef<[u8]>) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, content).unwrap();
}
