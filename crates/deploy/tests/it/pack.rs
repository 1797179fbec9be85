//! Packed siblings of text files: made once per content, sealed with the release, gone with the last that needs them.

use std::io::Read;
use std::os::unix::fs::MetadataExt;

use deploy::journal::Ending;
use deploy::plan::Aim;
use release::manifest;

use crate::shop::{Shop, Told};

const KEYS: &str = "keep = 1\n[stage]\nprecompress = ['br', 'gz', 'zst']\n";

/// How many siblings a deploy made, and how many of them anew.
fn said(told: &Told) -> Option<&str> {
    told.output().into_iter().find(|line| line.contains(" packed siblings"))
}

fn unpacked(path: &std::path::Path) -> String {
    let mut text = String::new();
    let file = std::fs::File::open(path).unwrap();
    match path.extension().unwrap().to_str().unwrap() {
        "gz" => flate2::read::GzDecoder::new(file).read_to_string(&mut text).unwrap(),
        "br" => brotli::Decompressor::new(file, 4096).read_to_string(&mut text).unwrap(),
        "zst" => zstd::Decoder::new(file).unwrap().read_to_string(&mut text).unwrap(),
        other => panic!("{other}"),
    };
    text
}

#[test]
fn text_files_get_packed_siblings_that_are_part_of_the_seal_and_are_packed_once() {
    let shop = Shop::new(KEYS);
    let long = "body { color: red }\n".repeat(200);
    shop.source("public/app.css", &long);
    shop.source("public/own.js", &long);
    shop.source("public/own.js.gz", "the source's own");
    shop.source("public/short.css", "a");
    shop.source("public/photo.jpg", &long);
    shop.source("src/Secret.xml", &long);
    shop.source("public/once.txt", "only here\n".repeat(300).as_str());
    let first = shop.deploy();
    // own.js and app.css have one content: whichever comes first is packed, or both at once.
    assert!(said(&first).unwrap().starts_with("8 packed siblings, "), "{:?}", said(&first));
    let dir = shop.app().release(&shop.live()).join("public");
    let of = dir.join("app.css").metadata().unwrap();
    for name in ["app.css.br", "app.css.gz", "app.css.zst", "own.js.br"] {
        assert_eq!(unpacked(&dir.join(name)), long, "{name}");
        let sibling = dir.join(name).metadata().unwrap();
        assert_eq!((sibling.mode(), sibling.uid()), (of.mode(), of.uid()));
        assert!(sibling.len() < of.len());
    }
    assert_eq!(dir.join("app.css.br").metadata().unwrap().mtime(), of.mtime());
    assert_eq!(std::fs::read_to_string(dir.join("own.js.gz")).unwrap(), "the source's own");
    for name in ["short.css.gz", "photo.jpg.gz", "../src/Secret.xml.gz"] {
        assert!(!dir.join(name).exists(), "{name}");
    }
    let sealed = manifest::load_at(&shop.app(), &shop.live(), dir.parent().unwrap()).unwrap().unwrap();
    assert!(sealed.get(b"public/app.css.zst").is_some());

    let again = shop.run(Aim::Deploy { reference: None, only_if_changed: true });
    assert_eq!(again.outcome.ending, Ending::Unchanged, "siblings are no change");
    std::fs::remove_file(shop.path("src/public/once.txt")).unwrap();
    assert_eq!(said(&shop.deploy()), Some("5 packed siblings, 0 packed anew"));
    // A torn memory is noticed.
    for entry in std::fs::read_dir(shop.app().packed()).unwrap() {
        let file = std::fs::File::options().write(true).open(entry.unwrap().path()).unwrap();
        file.set_len(20).unwrap();
    }
    assert!(said(&shop.deploy()).unwrap().starts_with("5 packed siblings, "));
    assert_eq!(unpacked(&shop.app().link().join("public/app.css.br")), long);
    // What only pruned releases had is forgotten with them.
    let kept = || std::fs::read_dir(shop.app().packed()).unwrap().count();
    assert_eq!(kept(), 6);
    for page in ["a", "b", "c"] {
        shop.deployed(page);
    }
    assert_eq!(kept(), 3);
}
