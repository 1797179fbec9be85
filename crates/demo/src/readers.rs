//! Readers: the pages of the wiki that are only read, and what tells whose they are.

use crate::wiki::{self, MARKS, VERSIONS};
use prove::page::{Answer, Ask, Expect, Page};

/// The pages, with their share of the load.
#[must_use]
pub fn pages() -> Vec<Page> {
    let badges = VERSIONS.iter().map(|version| Answer::of(200, wiki::badge(*version))).collect();
    vec![
        page("welcome page", 10, "/doku.php/wiki:welcome", "Welcome to your new DokuWiki"),
        page("long page", 3, "/doku.php/wiki:syntax", "Formatting Syntax"),
        page("page by front", 5, "/no/such/file", "Welcome to your new DokuWiki"),
        page("sitemap", 2, "/doku.php?do=index", "This is a sitemap"),
        page("recent changes", 2, "/doku.php?do=recent", "The following pages were changed recently"),
        page("search", 1, "/doku.php?do=search&q=wiki", "Search"),
        // What the wiki composes once and caches in data/, which is shared: only a header names the version.
        unmarked("start, redirected", 2, "/", 302),
        unmarked("style sheet by PHP", 2, "/lib/exe/css.php?t=dokuwiki", 200),
        unmarked("script by PHP", 1, "/lib/exe/js.php?t=dokuwiki", 200),
        unmarked("image by PHP", 2, "/lib/exe/fetch.php?media=wiki:dokuwiki.svg", 200),
        Page::exact("badge, static", 10, Ask::get(&format!("/{}", wiki::BADGE)), badges),
        unmarked("image, static", 8, "/lib/images/smileys/fixme.svg", 200),
        unmarked("code of the wiki's", 1, "/lib/scripts/behaviour.js", 200),
    ]
}

fn page(name: &str, weight: u32, path: &str, contains: &str) -> Page {
    marked(name, weight, path, 200, MARKS, &[contains])
}

fn unmarked(name: &str, weight: u32, path: &str, status: u16) -> Page {
    marked(name, weight, path, status, 0, &[])
}

fn marked(name: &str, weight: u32, path: &str, status: u16, at_least: usize, contains: &[&str]) -> Page {
    let contains = contains.iter().map(|text| (*text).to_owned()).collect();
    let expect = Expect::Marked { status, at_least, contains };
    Page { name: name.to_owned(), weight, ask: Ask::get(path), expect }
}
