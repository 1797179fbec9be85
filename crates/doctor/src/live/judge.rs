//! Judge: what follows from a site's answers, and what does not. Pure.

use super::ask::Answer;
use super::etag::{self, Form};
use super::probe::Told;
use super::{Answers, Seen};
use crate::finding::Sure::{self, Certain, Likely};

/// What was seen, and what could not be.
pub(super) fn of(answers: &Answers) -> (Vec<Seen>, Vec<String>) {
    let mut seen = Vec::new();
    let first = answers.page.first();
    seen.extend(first.and_then(server));
    seen.extend(release(&answers.page));
    seen.extend(first.and_then(cache_between));
    seen.extend(first.and_then(kept_pages));
    seen.extend(answers.page.iter().chain(&answers.missing).find_map(php));
    seen.extend(answers.file.as_ref().and_then(file));
    seen.extend(answers.missing.as_ref().and_then(missing));
    let mut unseen = Vec::new();
    match &answers.probe {
        Some(Ok(told)) => seen.extend(paths(told)),
        Some(Err(why)) => unseen.push(format!("which paths PHP is given: {why}")),
        None => unseen.push("which paths PHP is given, and whether a link is in them (--probe DIR puts a script there for a moment)".into()),
    }
    if answers.file.is_none() {
        unseen.push("how files are tagged: the page names no file of its own".into());
    }
    unseen.push(
        "how full opcache is, and what it does with releases that are gone: run the doctor on the machine"
            .into(),
    );
    unseen.push("whether a request stays with its release while the link is flipped: cutover prove shows that, under load".into());
    (seen, unseen)
}

fn server(page: &Answer) -> Option<Seen> {
    let name = page.field("server")?;
    let means = match name.to_ascii_lowercase() {
        name if name.starts_with("nginx") => {
            "nginx, or what calls itself so; something else may stand behind it"
        }
        name if name.starts_with("apache") => "Apache answers, or is passed on by what stands in front of it",
        name if name.starts_with("caddy") => "Caddy answers",
        name if name.starts_with("lighttpd") => "lighttpd answers",
        name if name.starts_with("cloudflare") => "a CDN answers; the server behind it is not seen",
        _ => "not a server that the doctor knows",
    };
    Some(known(format!("Server: {name}"), means, Likely))
}

fn release(pages: &[Answer]) -> Option<Seen> {
    let named: Vec<&str> = pages.iter().filter_map(|page| page.field("x-cutover-release")).collect();
    let first = *named.first()?;
    if named.len() < pages.len() || named.iter().any(|name| *name != first) {
        let what = format!("x-cutover-release: {}", named.join(", "));
        let means = "answers of one moment are of several releases, or from several machines: a deploy is under way, or one machine was left out";
        return Some(Seen { check: None, what, means: means.into(), sure: Likely });
    }
    let means = "Cutover, or a server that it set up, pins each request to one release";
    Some(known(format!("x-cutover-release: {first}"), means, Certain))
}

fn cache_between(page: &Answer) -> Option<Seen> {
    let names = ["age", "x-cache", "cf-cache-status", "x-varnish", "x-cache-status", "x-fastcgi-cache"];
    let (name, value) = names.iter().find_map(|name| Some((name, page.field(name)?)))?;
    let means = "a cache stands in between, so this may be what the site was some time ago; after a flip it stays so until the cache asks again";
    Some(Seen { check: Some("N08"), what: format!("{name}: {value}"), means: means.into(), sure: Likely })
}

/// How long caches may keep the page, if that is long.
fn kept_pages(page: &Answer) -> Option<Seen> {
    let control = page.field("cache-control")?;
    let age = |name: &str| {
        let mut words = control.split(',').map(str::trim);
        words.find_map(|word| {
            word.strip_prefix(name)?.strip_prefix('=')?.trim_matches('"').parse::<u64>().ok()
        })
    };
    let seconds = age("s-maxage").or_else(|| age("max-age")).filter(|seconds| *seconds > 0)?;
    let means = format!(
        "caches keep the page for {seconds} seconds, and its assets must be there as long: keep releases so long after a flip (app.keep_for)"
    );
    Some(Seen { check: Some("D08"), what: format!("Cache-Control: {control}"), means, sure: Certain })
}

fn php(answer: &Answer) -> Option<Seen> {
    let by = answer.field("x-powered-by").filter(|by| by.starts_with("PHP/"))?;
    Some(known(
        format!("X-Powered-By: {by}"),
        "PHP runs, and tells everybody its version (expose_php)",
        Certain,
    ))
}

fn file(file: &Answer) -> Option<Seen> {
    let etag = file.field("etag").unwrap_or("");
    let what = format!("ETag: {etag} of {}", file.url);
    let time = file.field("last-modified").and_then(etag::seconds);
    // 1980 is where zip's calendar begins, and what tools set who want archives to be the same each time.
    let fixed = time.is_some_and(|time| time < 400_000_000);
    match etag::form(file)? {
        Form::TimeAndSize | Form::SizeAndTime if fixed => Some(Seen {
            check: None,
            what: format!("{what}, Last-Modified: {}", file.field("last-modified").unwrap_or("")),
            means: "the tag is made of time and size, and the time is the same for each release: a file that keeps its size keeps its tag, and browsers keep the old one".into(),
            sure: Certain,
        }),
        Form::TimeAndSize => Some(known(what, "made of time and size, as nginx does: an old file may keep its tag in a new release if both are the same", Certain)),
        Form::SizeAndTime => Some(known(what, "made of size and time, as Apache does: an old file may keep its tag in a new release if both are the same", Certain)),
        Form::Other => Some(known(what, "not made of time and size: a hash, as it should be, or something that only the server knows", Likely)),
    }
}

fn missing(answer: &Answer) -> Option<Seen> {
    let what = format!("{} for a path that is not there", answer.status);
    match answer.status {
        404 if answer.field("x-powered-by").is_some() => {
            Some(known(what, "the front controller answers for what is no file", Certain))
        }
        404 => None,
        200 => Some(known(
            what,
            "each path is a page: a missing asset is answered with HTML, and caches keep it",
            Certain,
        )),
        _ => None,
    }
}

/// What the probe tells: which paths PHP is given.
fn paths(told: &Told) -> Vec<Seen> {
    let mut seen = Vec::new();
    let linked = !told.script.is_empty() && told.script != told.file;
    let dir = |path: &str| path.trim_end_matches('/').to_owned();
    if linked {
        let check = if told.sapi.starts_with("apache") { "A12" } else { "N01" };
        let what = format!("SCRIPT_FILENAME is {}, and PHP found it at {}", told.script, told.file);
        let means = "PHP is given a path with a link in it: after a flip its caches decide which release runs, and one page may mix two";
        seen.push(Seen { check: Some(check), what, means: means.into(), sure: Certain });
        if told.opcache && !told.validates {
            let what = "opcache.validate_timestamps = 0".to_owned();
            let means = "with such paths the old code runs until PHP is restarted";
            seen.push(Seen { check: Some("P03"), what, means: means.into(), sure: Certain });
        }
    } else {
        seen.push(known(
            format!("SCRIPT_FILENAME is {}", told.script),
            "no link is in the path that PHP is given",
            Certain,
        ));
        if !told.root.is_empty() && !told.file.starts_with(&format!("{}/", dir(&told.root))) {
            let what = format!("DOCUMENT_ROOT is {}, and the script lies in {}", told.root, told.dir);
            let means = "the script's path has no link in it and the root's has: code that goes by DOCUMENT_ROOT takes files of another release";
            seen.push(Seen { check: Some("N02"), what, means: means.into(), sure: Certain });
        }
    }
    if told.ttl == "0" && told.size != "0" {
        let what = "realpath_cache_ttl = 0".to_owned();
        let means = "0 means for ever: a worker never looks again where a link leads";
        seen.push(Seen { check: Some("P01"), what, means: means.into(), sure: Certain });
    }
    if !told.release.is_empty() {
        seen.push(known(
            format!("CUTOVER_RELEASE is {}", told.release),
            "the request is pinned, and PHP is told to which release",
            Certain,
        ));
    }
    seen
}

fn known(what: String, means: &str, sure: Sure) -> Seen {
    Seen { check: None, what, means: means.to_owned(), sure }
}
