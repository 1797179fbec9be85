//! What it costs to resolve a path and answer with a sealed file from memory, without connection and parser:
//! `cargo run --release -p cutover-serve --example file`.
#![allow(clippy::unwrap_used, reason = "an example that cannot go on stops")]

use std::future::Future;
use std::hint::black_box;
use std::path::Path;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Instant;

use http::{HeaderMap, HeaderName, Method};
use release::{App, Lease, ReleaseId, live, manifest};
use serve::file::memory::Memory;
use serve::file::{self, Ask};
use serve::resource::{Resource, UrlPath};
use serve::tree::{Ground, Tree};
use tokio::runtime::Runtime;

const ROUNDS: u32 = 1_000_000;

fn main() {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let _inside = runtime.enter();
    let place = tempfile::tempdir().unwrap();
    let root = place.path();
    let release = root.join("releases/r1");
    std::fs::create_dir_all(release.join("assets")).unwrap();
    std::fs::write(release.join("assets/1k.css"), "x".repeat(1024)).unwrap();
    std::fs::write(release.join("index.php"), "<?php").unwrap();
    rustix::fs::symlinkat("releases/r1", rustix::fs::CWD, root.join("current")).unwrap();
    let app = App::new(root, Path::new("current"), &[]).unwrap();
    let memory = Arc::new(Memory::new(64 << 20, 1 << 20));
    for sealed in [true, false] {
        if sealed {
            manifest::seal(&app, &ReleaseId::parse("r1").unwrap()).unwrap();
        } else {
            std::fs::remove_file(app.manifest(&ReleaseId::parse("r1").unwrap())).unwrap();
            // Until its hash may be remembered.
            std::thread::sleep(std::time::Duration::from_secs(3));
        }
        let lease = Lease::take(&app, &live::read(&app).unwrap()).unwrap();
        let seal = manifest::load(&app, lease.live()).unwrap();
        let says = config::Says { front: Some("index.php".into()), ..config::Says::default() };
        let tree = Tree::new(&lease, Ground::shared(&app).unwrap(), seal, says.into(), false, memory.clone())
            .unwrap();
        println!("{}", if sealed { "sealed" } else { "unsealed" });
        for (what, path, headers) in [
            ("GET", "/assets/1k.css", &[][..]),
            (
                "GET as a browser",
                "/assets/1k.css",
                &[("accept-encoding", "gzip, deflate, br, zstd"), ("accept", "*/*")],
            ),
            ("revalidated", "/assets/1k.css", &[("if-none-match", "*")]),
            ("a range", "/assets/1k.css", &[("range", "bytes=0-99")]),
            ("the front controller", "/blog/some-post", &[]),
        ] {
            let mut fields = HeaderMap::new();
            for (name, value) in headers {
                fields.insert(HeaderName::from_static(name), value.parse().unwrap());
            }
            let rounds = if sealed { ROUNDS } else { ROUNDS / 20 };
            let began = Instant::now();
            for _ in 0..rounds {
                let path = UrlPath::parse(black_box(path)).unwrap();
                let resource = black_box(Resource::resolve(&tree, &path, None));
                if let Resource::File(found) = resource {
                    let ask = Ask { method: &Method::GET, headers: &fields, by_kernel: false };
                    drop(black_box(now(&runtime, file::serve(ask, &tree, found))));
                }
            }
            println!("  {what:<22} {:>6.0} ns", began.elapsed().as_secs_f64() * 1e9 / f64::from(rounds));
        }
    }
}

/// Small files in memory never wait; the first answer may be packed on another thread.
fn now<T>(runtime: &Runtime, future: impl Future<Output = T>) -> T {
    let mut future = pin!(future);
    match future.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(value) => value,
        Poll::Pending => runtime.block_on(future),
    }
}
