//! Patterns and prefixes on URL paths.

use config::value::{Pattern, Prefix};
use proptest::prelude::*;

#[test]
fn patterns_mean_what_the_docs_say() {
    let table: &[(&str, &[&str], &[&str])] = &[
        ("*.css", &["/a.css", "/x/y/a.css", "/.css"], &["/a.css/b", "/a.CSS", "/acss", "a.css", ""]),
        (
            "/assets/**",
            &["/assets", "/assets/", "/assets/a", "/assets/a/b/c"],
            &["/assetsx", "/x/assets/a", "/"],
        ),
        ("img/*.png", &["/img/a.png", "/x/img/a.png"], &["/img/x/a.png", "/ximg/a.png"]),
        ("/img/*.png", &["/img/a.png"], &["/x/img/a.png", "/img/a.png/"]),
        ("/a/**/z", &["/a/z", "/a/b/z", "/a/b/c/z", "/a/z/z"], &["/a/b", "/b/z", "/a/zz"]),
        ("/**", &["/", "/a", "/a/b"], &["", "a"]),
        ("**", &["/", "/a", "/a/b"], &[]),
        ("/", &["/"], &["/a", "//"]),
        ("/v?/*-*.js", &["/v1/a-b.js", "/v2/--.js"], &["/v12/a-b.js", "/v1/ab.js", "/v1/a-b.jsx"]),
        ("robots.txt", &["/robots.txt", "/x/robots.txt"], &["/robots.txt.bak"]),
        ("/über/*", &["/über/x"], &["/uber/x"]),
    ];
    for (pattern, yes, no) in table {
        let compiled = Pattern::parse(pattern).unwrap();
        yes.iter().for_each(|path| assert!(compiled.matches(path), "{pattern} should match {path}"));
        no.iter().for_each(|path| assert!(!compiled.matches(path), "{pattern} should not match {path}"));
        assert_eq!(compiled.as_str(), *pattern);
    }
}

#[test]
fn a_pattern_of_many_stars_against_a_long_path_takes_no_time() {
    let pattern = Pattern::parse("/**/a*a*a*a*a*a*b/**/c").unwrap();
    let path = format!("/{}", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa/".repeat(200));
    let took = || {
        let began = std::time::Instant::now();
        assert!(!pattern.matches(&path));
        began.elapsed()
    };
    // The machine may be busy with something else meanwhile, but not each time.
    assert!((0..20).any(|_| took().as_millis() < 200));
}

#[test]
fn a_prefix_covers_whole_segments_only() {
    let admin = Prefix::parse("/admin/").unwrap();
    assert_eq!(admin.as_str(), "/admin");
    for path in ["/admin", "/admin/", "/admin/x/y"] {
        assert!(admin.covers(path), "{path}");
    }
    for path in ["/administrator", "/", "/x/admin", "/Admin"] {
        assert!(!admin.covers(path), "{path}");
    }
    assert_eq!(admin.rest(b"/admin/x"), Some(&b"/x"[..]));
    let all = Prefix::parse("/").unwrap();
    assert!(all.covers("/") && all.covers("/a/b"));
    assert_eq!(all.to_string(), "/");
}

/// The definition, as directly as it can be written: try everything.
fn obviously(pattern: &[&str], path: &[&str]) -> bool {
    match pattern.split_first() {
        None => path.is_empty(),
        Some((&"**", rest)) => (0..=path.len()).any(|n| obviously(rest, &path[n..])),
        Some((glob, rest)) => path.split_first().is_some_and(|(segment, tail)| {
            obviously_within(glob.as_bytes(), segment.as_bytes()) && obviously(rest, tail)
        }),
    }
}

fn obviously_within(glob: &[u8], text: &[u8]) -> bool {
    match glob.split_first() {
        None => text.is_empty(),
        Some((b'*', rest)) => (0..=text.len()).any(|n| obviously_within(rest, &text[n..])),
        Some((b'?', rest)) => text.split_first().is_some_and(|(_, tail)| obviously_within(rest, tail)),
        Some((byte, rest)) => {
            text.split_first().is_some_and(|(b, tail)| b == byte && obviously_within(rest, tail))
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4000))]

    #[test]
    fn the_compiled_pattern_agrees_with_the_obvious_one(
        anchored: bool,
        pattern in prop::collection::vec(prop_oneof!["[ab*?]{1,4}".prop_filter("no **", |s| !s.contains("**")), Just("**".to_owned())], 1..4),
        path in prop::collection::vec("[ab]{0,3}", 1..5),
    ) {
        let text = pattern.join("/");
        let text = if anchored { format!("/{text}") } else { text };
        let compiled = Pattern::parse(&text).unwrap();
        let mut segments: Vec<&str> = pattern.iter().map(String::as_str).collect();
        if !anchored {
            segments.insert(0, "**");
        }
        let names: Vec<&str> = path.iter().map(String::as_str).collect();
        let url = format!("/{}", path.join("/"));
        prop_assert_eq!(compiled.matches(&url), obviously(&segments, &names), "{} on {}", text, url);
    }
}
