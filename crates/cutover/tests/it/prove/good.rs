//! Sites that are fine, asked in every way there is.

use super::site::{Site, prove};

#[test]
fn our_server_keeps_the_promise_in_every_way_of_asking_and_flipping() {
    let site = Site::start();
    let (link, app) = (site.link(), site.app());
    let line = format!("ln -s releases/{{release}} {link}.new && mv -T {link}.new {link}");
    for words in [
        &["--requests", "2000", "--link", &link, "--flips", "100"][..],
        &["--requests", "2000", "--link", &link, "--flips-per-second", "1000", "--http2", "--streams", "4"],
        &["--requests", "2000", "--link", &link, "--flip-every", "5ms", "--pipeline", "8"],
        &["--requests", "300", "--app", &app, "--flips", "10", "--arrivals", "500"],
        &["--requests", "1000", "--flip", &line, "--flips", "10"],
    ] {
        let ran = site.prove(words);
        assert_eq!(ran.code, 0, "{words:?}: {}{}", ran.out, ran.err);
        assert!(ran.out.starts_with(&format!("flooding {}: ", site.url)), "{}", ran.out);
    }
}

#[test]
fn what_was_saved_is_judged_again_as_it_was() {
    let site = Site::start();
    let saved = site.path("saved.jsonl").display().to_string();
    let first = site.prove(&[
        "--requests",
        "500",
        "--link",
        &site.link(),
        "--flips",
        "20",
        "--save",
        &saved,
        "--json",
    ]);
    let junit = site.path("report.xml").display().to_string();
    let again = prove(&["--replay", &saved, "--json", "--junit", &junit]);
    assert_eq!((first.code, again.code), (0, 0), "{}{}", first.err, again.err);
    assert_eq!(first.out, again.out);
    assert!(std::fs::read_to_string(&junit).unwrap().contains("<testsuite"));
}

#[test]
fn a_site_that_is_no_probe_is_judged_by_its_header_or_by_what_was_learnt_of_it() {
    let site = Site::start();
    let link = site.link();
    let by_header = site.prove(&[
        "--header",
        "x-cutover-release",
        "--page",
        "/",
        "--page",
        "/static/small.txt",
        "--link",
        &link,
        "--requests",
        "500",
    ]);
    assert_eq!(by_header.code, 0, "{}{}", by_header.out, by_header.err);

    let known = site.path("known.toml").display().to_string();
    let learnt = site.prove(&["--learn", &known, "--page", "/", "--page", "/sometimes.txt", "--link", &link]);
    assert_eq!(learnt.code, 0, "{}{}", learnt.out, learnt.err);
    let by_hash = site.prove(&["--known", &known, "--link", &link, "--flips", "50", "--requests", "500"]);
    assert_eq!(by_hash.code, 0, "{}{}", by_hash.out, by_hash.err);
}
