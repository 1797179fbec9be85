//! The probe application's pages, with what each release answers to each.

use super::{INDEX_LINES, STATIC, has_sometimes, lines};
use crate::page::{Answer, Ask, Page, Piece};
use bytes::Bytes;
use std::time::Duration;

/// How the site under judgement is set up; it changes what it answers where a release has no file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// PHP, with `index.php` as front controller.
    Php,
    /// PHP without a front controller: the server's own 404.
    PhpWithoutFront,
    /// Static files only.
    Static,
    /// Static files, and programs below `/cgi-bin`.
    Cgi,
}

/// The pages with their usual weights: mostly small and fast ones, some that take long, so that flips fall into them.
#[must_use]
pub fn pages(ids: &[String], kind: Kind) -> Vec<Page> {
    let mut pages = statics(ids);
    pages.push(sometimes("sometimes.txt", ids, kind));
    match kind {
        Kind::Php | Kind::PhpWithoutFront => pages.extend(scripts(ids, kind)),
        Kind::Static | Kind::Cgi => {
            pages.push(exact("index", 10, Ask::get("/"), ids, |id| lines(id, INDEX_LINES)));
            pages.push(sometimes("sometimes/", ids, kind));
        }
    }
    if kind == Kind::Cgi {
        pages.extend(cgi(ids));
        pages.push(sometimes("cgi-bin/sometimes.cgi", ids, kind));
    }
    pages
}

fn scripts(ids: &[String], kind: Kind) -> Vec<Page> {
    let mut pages = vec![
        exact("script", 10, Ask::get("/probe.php"), ids, main),
        exact("slow script", 5, Ask::get("/slow.php"), ids, main),
        uploads("slow upload", 4, Upload { pieces: 8, size: 512, pause: Duration::from_millis(2) }, ids),
        uploads("big upload", 1, Upload { pieces: 16, size: 65_536, pause: Duration::ZERO }, ids),
        sometimes("sometimes.php", ids, kind),
    ];
    if kind == Kind::Php {
        pages.push(exact("front", 10, Ask::get("/route/some/where?q=1"), ids, |id| {
            front(id, "route /route/some/where")
        }));
    }
    pages
}

/// The pages by CGI, for a site that runs what is below `/cgi-bin`.
#[must_use]
pub fn cgi(ids: &[String]) -> Vec<Page> {
    ["probe.cgi", "slow.cgi"]
        .map(|name| {
            exact(name, 4, Ask::get(&format!("/cgi-bin/{name}/more")), ids, |id| {
                format!("cgi [release {id}]\ndata [release {id}]\ndata [release {id}]\npath /more\n")
            })
        })
        .into()
}

fn statics(ids: &[String]) -> Vec<Page> {
    let weights = [30, 4, 1];
    let of = |((name, count), weight): ((&str, usize), u32)| {
        exact(name, weight, Ask::get(&format!("/static/{name}")), ids, |id| lines(id, count))
    };
    STATIC.into_iter().zip(weights).map(of).collect()
}

fn exact(name: &str, weight: u32, ask: Ask, ids: &[String], body: impl Fn(&str) -> String) -> Page {
    Page::exact(name, weight, ask, ids.iter().map(|id| Answer::of(200, body(id))).collect())
}

/// A file that every other release has; in the others the front controller answers 404 and names itself, or the server does.
fn sometimes(name: &str, ids: &[String], kind: Kind) -> Page {
    let answer = |(number, id): (usize, &String)| match (has_sometimes(number), kind) {
        (true, _) if name.ends_with(".php") => {
            Answer::of(200, format!("sometimes [release {id}]\ndir [release {id}]\n"))
        }
        (true, _) => Answer::of(200, format!("sometimes [release {id}]\n")),
        (false, Kind::Php) => Answer::of(404, front(id, &format!("nothing at /{name}"))),
        (false, Kind::PhpWithoutFront | Kind::Static | Kind::Cgi) => Answer::status(404),
    };
    Page::exact(name, 10, Ask::get(&format!("/{name}")), ids.iter().enumerate().map(answer).collect())
}

fn front(id: &str, last: &str) -> String {
    format!("front [release {id}]\ndir [release {id}]\nroot [release {id}]\n{last}\n")
}

fn main(id: &str) -> String {
    let parts = ["main", "dir", "root", "relative", "path", "class", "data", "end"];
    parts.map(|part| format!("{part} [release {id}]\n")).concat()
}

#[derive(Clone, Copy)]
struct Upload {
    pieces: usize,
    size: usize,
    pause: Duration,
}

fn uploads(name: &str, weight: u32, upload: Upload, ids: &[String]) -> Page {
    let Upload { pieces, size, pause } = upload;
    let bytes: Vec<Bytes> = (0..pieces).map(|number| Bytes::from(piece(number, size))).collect();
    let (length, hash) = (pieces * size, bytes.iter().fold(FNV_OFFSET, |hash, piece| fnv1a64(hash, piece)));
    let mut ask = Ask::post("/upload.php", "application/octet-stream", Bytes::new());
    ask.upload = bytes.into_iter().map(|bytes| Piece { pause, bytes }).collect();
    exact(name, weight, ask, ids, |id| {
        format!("upload [release {id}]\ndir [release {id}]\nlength {length} fnv1a64 {hash:016x}\n")
    })
}

/// Bytes that are of no text encoding and differ from piece to piece.
fn piece(number: usize, size: usize) -> Vec<u8> {
    let byte = |at: usize| u8::try_from((at * 31 + number * 7 + at / 256) % 256).unwrap_or(0);
    (0..size).map(byte).collect()
}

const FNV_OFFSET: u64 = 0xcbf2_9ce4_8422_2325;

/// FNV-1a, 64 bits (draft-eastlake-fnv): PHP has it, it is a line here, and against accidents it is enough.
fn fnv1a64(hash: u64, bytes: &[u8]) -> u64 {
    bytes.iter().fold(hash, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hash_is_the_one_php_computes() {
        // hash('fnv1a64', 'foobar'), from the draft's test vectors.
        assert_eq!(fnv1a64(FNV_OFFSET, b"foobar"), 0x8594_4171_f739_67e8);
    }

    #[test]
    fn the_cgi_script_answers_as_its_page_expects() {
        let dir = tempfile::tempdir().unwrap();
        let ids = ["r1".to_owned()];
        crate::probe::scaffold(dir.path(), &ids).unwrap();
        let root = dir.path().join("releases/r1");
        let output = std::process::Command::new(root.join("cgi-bin/probe.cgi"))
            .current_dir(root.join("cgi-bin"))
            .env("DOCUMENT_ROOT", &root)
            .env("PATH_INFO", "/more")
            .output()
            .unwrap();
        let crate::page::Expect::Exact(answers) = &cgi(&ids)[0].expect else { panic!("exact") };
        let body = answers[0].body.clone().unwrap();
        assert!(output.stdout.ends_with(&[&b"\r\n\r\n"[..], &body].concat()), "{output:?}");
    }

    #[test]
    fn each_page_knows_an_answer_of_each_release() {
        let ids = ["r1", "r2", "r3"].map(str::to_owned);
        for kind in [Kind::Php, Kind::PhpWithoutFront, Kind::Static, Kind::Cgi] {
            for page in pages(&ids, kind) {
                let crate::page::Expect::Exact(answers) = &page.expect else { panic!("{}", page.name) };
                assert_eq!(answers.len(), 3, "{}", page.name);
            }
        }
    }
}
