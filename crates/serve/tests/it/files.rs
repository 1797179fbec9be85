//! A file as an answer: from memory and from disk, sealed and not.

use std::fs;
use std::io::{Read, Write};
use std::sync::Arc;

use config::value::Pattern;
use config::{Says, says::CacheRule};
use http::{HeaderMap, Method, StatusCode};
use rustix::fs::{AtFlags, CWD, Timespec, Timestamps, utimensat};
use serve::file::memory::Memory;
use serve::file::{self, Ask};
use serve::resource::Resource;
use serve::tree::Tree;

use crate::shop::{Answer, Shop, answer, ask, block_on, get, resolve};

/// Runs the story for every way a file can come: memory or disk, sealed or not.
fn in_every_way(prepare: impl Fn(&mut Shop), story: impl Fn(&Tree, &str)) {
    for sealed in [false, true] {
        for from in ["memory", "disk", "a memory without room"] {
            let mut shop = Shop::new();
            let (capacity, file_max) = match from {
                "memory" => (64 << 20, 1 << 20),
                "disk" => (64 << 20, 0),
                _ => (0, 1 << 20),
            };
            shop.memory = Arc::new(Memory::new(capacity, file_max));
            prepare(&mut shop);
            if sealed {
                shop.seal();
            }
            let tree = shop.tree();
            for round in 1..=3 {
                story(&tree, &format!("from {from}, sealed: {sealed}, round {round}"));
            }
        }
    }
}

fn age(shop: &Shop, path: &str, seconds: i64) {
    let time = Timespec { tv_sec: seconds, tv_nsec: 0 };
    let times = Timestamps { last_access: time, last_modification: time };
    utimensat(CWD, shop.release(path), &times, AtFlags::empty()).unwrap();
}

#[test]
fn a_file_is_told_by_its_type_length_tag_and_time() {
    in_every_way(
        |shop| {
            shop.write("a.css", "body { color: red }").write("b.bin", [0, 159, 146, 150]);
            age(shop, "a.css", 784_111_777);
            age(shop, "b.bin", 0);
        },
        |tree, how| {
            let css = get(tree, "/a.css", &[]);
            assert_eq!((css.status, css.text()), (200, "body { color: red }"), "{how}");
            assert_eq!(css.header("content-type"), "text/css; charset=utf-8");
            assert_eq!(css.header("last-modified"), "Sun, 06 Nov 1994 08:49:37 GMT");
            assert_eq!(css.header("accept-ranges"), "bytes");
            assert_eq!(css.header("etag"), format!("\"{}\"", tag(b"body { color: red }")));
            let bin = get(tree, "/b.bin", &[]);
            assert_eq!(
                (bin.header("content-type"), &bin.body[..]),
                ("application/octet-stream", &[0, 159, 146, 150][..])
            );
            assert_eq!(bin.header("last-modified"), "", "a levelled time says nothing");
            let head = ask(tree, Method::HEAD, "/a.css", &[]);
            assert_eq!(
                (head.status, head.body.len(), head.header("content-length")),
                (200, 0, "19"),
                "{how}"
            );
            assert_eq!(head.header("etag"), css.header("etag"));
            for method in [Method::POST, Method::PUT, Method::DELETE, Method::OPTIONS] {
                let answer = ask(tree, method, "/a.css", &[]);
                assert_eq!((answer.status, answer.header("allow")), (405, "GET, HEAD"));
            }
        },
    );
}

/// The hash of an ETag, worked out in another way than the server does.
fn tag(content: &[u8]) -> String {
    let hash = blake3::hash(content);
    let bits: String = hash.as_bytes()[..15].iter().map(|byte| format!("{byte:08b}")).collect();
    let alphabet: Vec<char> = ('A'..='Z').chain('a'..='z').chain('0'..='9').chain(['-', '_']).collect();
    (0..20).map(|at| alphabet[usize::from_str_radix(&bits[at * 6..at * 6 + 6], 2).unwrap()]).collect()
}

#[test]
fn conditions_are_answered_without_the_bytes() {
    in_every_way(
        |shop| {
            shop.says.cache = vec![rule("*.css", "public, max-age=60")];
            shop.write("a.css", "x".repeat(2000));
            age(shop, "a.css", 784_111_777);
        },
        |tree, how| {
            let full = get(tree, "/a.css", &[]);
            let tag = full.header("etag");
            let same = get(tree, "/a.css", &[("if-none-match", tag)]);
            assert_eq!((same.status, same.body.len()), (304, 0), "{how}");
            assert_eq!((same.header("etag"), same.header("cache-control")), (tag, "public, max-age=60"));
            assert_eq!((same.header("content-type"), same.header("accept-ranges")), ("", ""));
            assert_eq!(
                get(tree, "/a.css", &[("if-modified-since", full.header("last-modified"))]).status,
                304
            );
            assert_eq!(get(tree, "/a.css", &[("if-none-match", "\"other\"")]), full);
            let failed = get(tree, "/a.css", &[("if-match", "\"other\"")]);
            assert_eq!((failed.status, failed.body.len()), (412, 0));
            assert_eq!(get(tree, "/a.css", &[("if-match", tag)]), full);
        },
    );
}

#[test]
fn any_part_of_a_file_can_be_had() {
    let content: Vec<u8> = (0..5000u32).map(|at| (at % 251) as u8).collect();
    in_every_way(
        |shop| {
            shop.write("film.mp4", &content).write("empty.mp4", "");
        },
        |tree, how| {
            let range = |value: &str| get(tree, "/film.mp4", &[("range", value)]);
            let full = get(tree, "/film.mp4", &[]);
            assert_eq!((full.status, &full.body), (200, &content), "{how}");
            for (value, span, told) in [
                ("bytes=0-99", 0..100, "bytes 0-99/5000"),
                ("bytes=4990-", 4990..5000, "bytes 4990-4999/5000"),
                ("bytes=-1", 4999..5000, "bytes 4999-4999/5000"),
                ("bytes=0-", 0..5000, "bytes 0-4999/5000"),
                ("bytes=10-20,15-30", 10..31, "bytes 10-30/5000"),
            ] {
                let part = range(value);
                assert_eq!((part.status, part.header("content-range")), (206, told), "{value} {how}");
                assert_eq!(part.body, content[span]);
                assert_eq!(
                    (part.header("etag"), part.header("content-type")),
                    (full.header("etag"), "video/mp4")
                );
            }
            let none = range("bytes=5000-");
            assert_eq!(
                (none.status, none.header("content-range"), none.body.len()),
                (416, "bytes */5000", 0)
            );
            assert_eq!(range("bytes=nonsense"), full);
            let head = ask(tree, Method::HEAD, "/film.mp4", &[("range", "bytes=0-1")]);
            assert_eq!((head.status, head.header("content-length")), (200, "5000"));
            let empty = |value| get(tree, "/empty.mp4", &[("range", value)]).status;
            assert_eq!((empty("bytes=0-"), empty("bytes=-5")), (416, 200));
            let several = range("bytes=0-1,4998-,100-102");
            assert_eq!(several.status, 206);
            let parts = multipart(&several);
            let wanted = [
                ("bytes 0-1/5000", 0..2),
                ("bytes 4998-4999/5000", 4998..5000),
                ("bytes 100-102/5000", 100..103),
            ];
            assert_eq!(parts.len(), 3);
            for ((told, bytes), (range, span)) in parts.into_iter().zip(wanted) {
                assert_eq!((told.as_str(), &bytes[..]), (range, &content[span]));
            }
            let tag = full.header("etag");
            assert_eq!(get(tree, "/film.mp4", &[("range", "bytes=0-1"), ("if-range", tag)]).status, 206);
            assert_eq!(get(tree, "/film.mp4", &[("range", "bytes=0-1"), ("if-range", "\"other\"")]), full);
        },
    );
}

/// The parts of a multipart answer, read as a client reads them.
fn multipart(answer: &Answer) -> Vec<(String, Vec<u8>)> {
    let boundary = answer.header("content-type").strip_prefix("multipart/byteranges; boundary=").unwrap();
    let delimiter = format!("\r\n--{boundary}").into_bytes();
    let at: Vec<usize> = memchr::memmem::find_iter(&answer.body, &delimiter).collect();
    assert!(answer.body.ends_with(&[&delimiter[..], b"--\r\n"].concat()));
    let mut parts = Vec::new();
    for pair in at.windows(2) {
        let part = &answer.body[pair[0] + delimiter.len()..pair[1]];
        let end = memchr::memmem::find(part, b"\r\n\r\n").unwrap();
        let head = str::from_utf8(&part[..end]).unwrap();
        assert!(head.contains("content-type: video/mp4"));
        let told = head.split("content-range: ").nth(1).unwrap().to_owned();
        parts.push((told, part[end + 4..].to_vec()));
    }
    parts
}

fn unpacked(answer: &Answer) -> String {
    let mut text = String::new();
    match answer.header("content-encoding") {
        "gzip" => flate2::read::GzDecoder::new(&answer.body[..]).read_to_string(&mut text).unwrap(),
        "br" => brotli::Decompressor::new(&answer.body[..], 4096).read_to_string(&mut text).unwrap(),
        "zstd" => zstd::Decoder::new(&answer.body[..]).unwrap().read_to_string(&mut text).unwrap(),
        _ => return answer.text().to_owned(),
    };
    text
}

#[test]
fn text_is_packed_for_who_can_unpack_it() {
    let text = "one request, one release. ".repeat(100);
    for sealed in [false, true] {
        let shop = Shop::new();
        shop.write("a.js", &text).write("small.js", "x".repeat(511)).write("a.png", &text);
        if sealed {
            shop.seal();
        }
        let tree = shop.tree();
        for round in 1..=2 {
            let plain = get(&tree, "/a.js", &[]);
            assert_eq!((plain.text(), plain.header("content-encoding")), (&*text, ""));
            assert_eq!(plain.header("vary"), "accept-encoding", "sealed: {sealed}, round {round}");
            let mut tags = vec![plain.header("etag").to_owned()];
            for (accept, encoding, suffix) in [
                ("gzip", "gzip", "-gz\""),
                ("gzip, br;q=0.9", "gzip", "-gz\""),
                ("gzip, deflate, br, zstd", "br", "-br\""),
                ("zstd", "zstd", "-zst\""),
            ] {
                let packed = get(&tree, "/a.js", &[("accept-encoding", accept)]);
                assert_eq!((packed.status, packed.header("content-encoding")), (200, encoding), "{accept}");
                assert_eq!((unpacked(&packed), packed.header("vary")), (text.clone(), "accept-encoding"));
                assert_eq!(packed.header("content-type"), "text/javascript; charset=utf-8");
                assert!(packed.body.len() < 300 && packed.header("etag").ends_with(suffix));
                tags.push(packed.header("etag").to_owned());
                let asked = [("accept-encoding", accept), ("if-none-match", packed.header("etag"))];
                assert_eq!(get(&tree, "/a.js", &asked).status, 304);
                assert_eq!(
                    get(&tree, "/a.js", &[("if-none-match", packed.header("etag"))]).status,
                    200,
                    "other bytes"
                );
                let head = ask(&tree, Method::HEAD, "/a.js", &[("accept-encoding", accept)]);
                assert_eq!(head.header("content-length"), packed.body.len().to_string());
                let part = get(&tree, "/a.js", &[("accept-encoding", accept), ("range", "bytes=3-9")]);
                assert_eq!((part.status, &part.body[..]), (206, &packed.body[3..10]));
            }
            tags.sort();
            tags.dedup();
            assert_eq!(tags.len(), 4, "each form has a tag of its own");
            for path in ["/small.js", "/a.png"] {
                let alone = get(&tree, path, &[("accept-encoding", "gzip, br")]);
                assert_eq!(alone.header("content-encoding"), "", "{path}");
            }
            assert_eq!(get(&tree, "/a.png", &[]).header("vary"), "");
        }
    }
}

#[test]
fn packing_can_be_switched_off_and_siblings_still_count() {
    for sealed in [false, true] {
        let mut shop = Shop::new();
        shop.says.compress = false;
        shop.write("a.js", "x".repeat(2000))
            .write("b.js", "y".repeat(2000))
            .write("b.js.br", "not really brotli");
        if sealed {
            shop.seal();
        }
        let tree = shop.tree();
        for _ in 0..2 {
            assert_eq!(
                get(&tree, "/a.js", &[("accept-encoding", "gzip, br")]).header("content-encoding"),
                ""
            );
            let packed = get(&tree, "/b.js", &[("accept-encoding", "gzip, br")]);
            assert_eq!(
                (packed.header("content-encoding"), packed.text()),
                ("br", "not really brotli"),
                "sealed: {sealed}"
            );
            assert_eq!(packed.header("etag"), format!("\"{}-br\"", tag(b"not really brotli")));
            assert_eq!(packed.header("content-type"), "text/javascript; charset=utf-8");
            let plain = get(&tree, "/b.js", &[("accept-encoding", "gzip")]);
            assert_eq!((plain.header("content-encoding"), plain.header("vary")), ("", "accept-encoding"));
        }
    }
}

#[test]
fn an_edited_file_is_not_hidden_by_its_old_packed_form() {
    let shop = Shop::new();
    shop.write("a.css", "old").write("a.css.gz", "packed");
    age(&shop, "a.css", 1_000_000_000);
    age(&shop, "a.css.gz", 1_000_000_000);
    let tree = shop.tree();
    let gzip = [("accept-encoding", "gzip")];
    assert_eq!(get(&tree, "/a.css", &gzip).text(), "packed");
    shop.write("a.css", "new");
    assert_eq!(get(&tree, "/a.css", &gzip).text(), "new");
}

#[test]
fn edits_of_an_unsealed_release_show_at_once() {
    let shop = Shop::new();
    shop.write("a.css", "0000").write("page.html", "x".repeat(3000));
    let tree = shop.tree();
    for round in 0..300 {
        let content = format!("{round:04}");
        shop.write("a.css", &content);
        let answer = get(&tree, "/a.css", &[]);
        assert_eq!(answer.text(), content, "of the same size, within one tick of the clock");
        assert_eq!(answer.header("etag"), format!("\"{}\"", tag(content.as_bytes())));
    }
    for round in 0..20 {
        let content = format!("{round:04}").repeat(1000);
        shop.write("page.html", &content);
        assert_eq!(unpacked(&get(&tree, "/page.html", &[("accept-encoding", "br")])), content);
    }
    shop.write("new.css", "new");
    assert_eq!(get(&tree, "/new.css", &[]).text(), "new");
    fs::remove_file(shop.release("a.css")).unwrap();
    assert_eq!(get(&tree, "/a.css", &[]).status, 404);
}

#[test]
fn a_sealed_file_in_memory_is_sent_without_a_look() {
    let shop = Shop::new();
    shop.write("a.css", "a")
        .write("b/index.html", "b")
        .write("c.css", "c")
        .write("d.js", "d".repeat(900))
        .seal();
    let tree = shop.tree();
    let gzip = [("accept-encoding", "gzip")];
    let packed = get(&tree, "/d.js", &gzip);
    for path in ["/a.css", "/b/", "/d.js"] {
        assert_eq!(get(&tree, path, &[]).status, 200);
    }
    for path in ["a.css", "b/index.html", "c.css", "d.js"] {
        fs::remove_file(shop.release(path)).unwrap();
    }
    assert_eq!(get(&tree, "/a.css", &[]).text(), "a");
    assert_eq!(get(&tree, "/%61.css", &[]).text(), "a");
    assert_eq!(get(&tree, "/b/", &[]).text(), "b");
    assert_eq!(get(&tree, "/d.js", &gzip), packed);
    assert_eq!(get(&tree, "/c.css", &[]).status, 404, "it was never read");
}

#[test]
fn a_sealed_file_that_the_kernel_sends_is_the_one_that_was_sealed_whole_and_in_part() {
    let shop = Shop::new();
    let sealed = "as it was sealed. ".repeat(5_000);
    shop.write("a.css", &sealed).write("b.css", "b").seal();
    let tree = shop.tree();
    let by_kernel = |path: &str, range: Option<&str>| {
        let mut headers = HeaderMap::new();
        if let Some(range) = range {
            headers.insert("range", range.parse().unwrap());
        }
        let ask = Ask { method: &Method::GET, headers: &headers, by_kernel: true };
        answer(&tree, ask, resolve(&tree, path))
    };
    let whole = get(&tree, "/a.css", &[]);
    for _ in 0..2 {
        assert_eq!(by_kernel("/a.css", None), whole);
        assert_eq!(by_kernel("/a.css", Some("bytes=3-5")).text(), "it ");
        assert_eq!(by_kernel("/b.css", None).text(), "b");
    }
    // In place, so that the descriptor that is kept shows it.
    let edited = "as it was edited. ".repeat(5_000);
    fs::OpenOptions::new()
        .write(true)
        .open(shop.release("a.css"))
        .unwrap()
        .write_all(edited.as_bytes())
        .unwrap();
    let after = by_kernel("/a.css", None);
    assert_eq!(
        after.header("etag"),
        format!("\"{}\"", tag(after.text().as_bytes())),
        "tag and bytes belong together"
    );
}

#[test]
fn what_is_linked_from_shared_is_looked_at_each_time() {
    let shop = Shop::new();
    shop.write_at("shared/logo.txt", "old").link("logo.txt", "../../shared/logo.txt").seal();
    let tree = shop.tree();
    for content in ["one", "two", "six"] {
        shop.write_at("shared/logo.txt", content);
        let answer = get(&tree, "/logo.txt", &[]);
        assert_eq!(
            (answer.text(), answer.header("etag")),
            (content, &*format!("\"{}\"", tag(content.as_bytes())))
        );
    }
    fs::remove_file(shop.path("shared/logo.txt")).unwrap();
    assert_eq!(get(&tree, "/logo.txt", &[]).status, 404);
}

#[test]
fn a_sealed_file_that_was_edited_all_the_same_is_sent_as_it_is_now() {
    for file_max in [1 << 20, 10] {
        let mut shop = Shop::new();
        shop.memory = Arc::new(Memory::new(1 << 20, file_max));
        shop.write("a.css", "as it was sealed").write("b.css", "as it was sealed").seal();
        shop.write("a.css", "as it was edited").write("b.css", "longer than it was");
        let tree = shop.tree();
        for _ in 0..2 {
            for (path, content) in [("/a.css", "as it was edited"), ("/b.css", "longer than it was")] {
                let answer = get(&tree, path, &[]);
                assert_eq!((answer.status, answer.text()), (200, content));
                assert_eq!(answer.header("etag"), format!("\"{}\"", tag(content.as_bytes())));
            }
        }
    }
}

#[test]
fn the_same_content_has_the_same_tag_in_every_release_sealed_or_not() {
    let tags = [false, true].map(|sealed| {
        let shop = Shop::new();
        shop.write("a.css", "x".repeat(3000));
        if sealed {
            shop.seal();
        }
        let tree = shop.tree();
        ["", "gzip", "br", "zstd"]
            .map(|accept| get(&tree, "/a.css", &[("accept-encoding", accept)]).header("etag").to_owned())
    });
    assert_eq!(tags[0], tags[1]);
}

fn rule(pattern: &str, control: &str) -> CacheRule {
    CacheRule { path: Pattern::parse(pattern).unwrap(), control: control.into() }
}

#[test]
fn the_first_cache_rule_for_a_path_counts() {
    in_every_way(
        |shop| {
            shop.says = Says {
                cache: vec![
                    rule("/assets/**", "public, immutable"),
                    rule("*.html", "no-cache"),
                    rule("/", "private"),
                ],
                ..Says::default()
            };
            shop.write("assets/a.html", "").write("index.html", "home").write("a.txt", "");
        },
        |tree, how| {
            for (path, control) in [
                ("/assets/a.html", "public, immutable"),
                ("/index.html", "no-cache"),
                ("/", "private"),
                ("/a.txt", ""),
            ] {
                assert_eq!(get(tree, path, &[]).header("cache-control"), control, "{path} {how}");
            }
        },
    );
}

#[test]
fn an_error_page_is_the_release_s_file_and_nothing_caches_it_as_such() {
    in_every_way(
        |shop| {
            shop.write("404.html", "not here");
        },
        |tree, how| {
            let mut headers = HeaderMap::new();
            for (name, value) in [(http::header::RANGE, "bytes=0-1"), (http::header::IF_NONE_MATCH, "*")] {
                headers.insert(name, value.parse().unwrap());
            }
            for (method, len) in [(Method::GET, 8), (Method::POST, 8), (Method::HEAD, 0)] {
                let Resource::File(found) = resolve(tree, "/404.html") else { panic!("{how}") };
                let ask = Ask { method: &method, headers: &headers, by_kernel: false };
                let page = block_on(file::page(ask, tree, found, StatusCode::NOT_FOUND)).unwrap();
                assert_eq!(page.status(), 404);
                assert!(
                    !page.headers().contains_key("etag") && !page.headers().contains_key("accept-ranges")
                );
                let body = block_on(http_body_util::BodyExt::collect(page.into_body())).unwrap().to_bytes();
                assert_eq!(body.len(), len, "{method} {how}");
            }
        },
    );
}

#[test]
fn memory_stays_within_its_cap_and_every_file_is_right() {
    let mut shop = Shop::new();
    shop.memory = Arc::new(Memory::new(100_000, 10_000));
    for at in 0..300 {
        shop.write(&format!("{at}.txt"), format!("{at:03}").repeat(700));
    }
    shop.seal();
    let tree = shop.tree();
    for round in 0..3 {
        for at in 0..300 {
            let accept: &[_] = if (at + round) % 2 == 0 { &[("accept-encoding", "gzip")] } else { &[] };
            let answer = get(&tree, &format!("/{at}.txt"), accept);
            assert_eq!(unpacked(&answer), format!("{at:03}").repeat(700));
            assert!(shop.memory.used_bytes() <= 100_000);
        }
    }
    assert!(shop.memory.len() > 20);
}

#[test]
fn a_flip_does_not_read_again_what_stayed_the_same() {
    let shop = Shop::new();
    shop.write("a.css", "same").write("b.css", "other").seal();
    let before = shop.tree();
    let seen = get(&before, "/a.css", &[]);
    assert_eq!(shop.memory.len(), 1);
    let after = shop.tree();
    fs::remove_file(shop.release("a.css")).unwrap();
    assert_eq!(get(&after, "/a.css", &[]), seen, "known by its content");
    drop((before, after));
    assert_eq!(shop.memory.len(), 1);
}
