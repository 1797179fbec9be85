//! include_path: its entries that lead through the link, led into the pinned release instead.

/// Where entries lead from, and where to: paths without a slash at their ends.
pub struct Lead<'a> {
    /// An absolute path through the link.
    pub from: &'a [u8],
    /// The same place in the pinned release.
    pub to: &'a [u8],
}

/// The include_path with every entry at or below a `from` led to its `to`; `None` if there is no such entry.
///
/// Entries are compared by whole components, so `/srv/shop/current2` is not below `/srv/shop/current`. What is
/// relative stays as it is, and so does what was a stream's before its path (`phar://`).
pub fn led(include_path: &[u8], leads: &[Lead<'_>]) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(include_path.len() + 64);
    let (mut rest, mut changed) = (include_path, false);
    loop {
        let scheme = scheme_len(rest);
        let end = rest[scheme..].iter().position(|byte| *byte == b':').map_or(rest.len(), |at| scheme + at);
        out.extend_from_slice(&rest[..scheme]);
        let entry = &rest[scheme..end];
        match leads.iter().find_map(|lead| Some((lead.to, below(entry, lead.from)?))) {
            Some((to, deeper)) => {
                out.extend_from_slice(to);
                out.extend_from_slice(deeper);
                changed = true;
            }
            None => out.extend_from_slice(entry),
        }
        if end == rest.len() {
            return changed.then_some(out);
        }
        out.push(b':');
        rest = &rest[end + 1..];
    }
}

/// What follows `from` in `path`, from its slash on, if `path` is `from` or below it. Doubled slashes and `.` in
/// `path` count for nothing, as they do for the kernel.
pub fn below<'a>(path: &'a [u8], from: &[u8]) -> Option<&'a [u8]> {
    if path.first() != Some(&b'/') {
        return None;
    }
    let mut rest = path;
    for wanted in from.split(|byte| *byte == b'/').filter(|part| !part.is_empty()) {
        rest = after_nothing(rest);
        rest = rest.strip_prefix(wanted)?;
        if rest.first().is_some_and(|byte| *byte != b'/') {
            return None;
        }
    }
    Some(rest)
}

/// The rest of a path behind slashes and single dots.
fn after_nothing(mut path: &[u8]) -> &[u8] {
    loop {
        path = match path {
            [b'/', rest @ ..] => rest,
            [b'.', rest @ ..] if matches!(rest.first(), Some(b'/') | None) => rest,
            _ => return path,
        }
    }
}

/// The length of a stream's scheme with its `://`, 0 for a path. As PHP tells them apart
/// (php_resolve_path in main/fopen_wrappers.c): `.` and `..` before a colon are directories.
fn scheme_len(entry: &[u8]) -> usize {
    let name = entry.iter().position(|b| !(b.is_ascii_alphanumeric() || matches!(b, b'+' | b'-' | b'.')));
    match name {
        Some(len) if len > 1 && entry[len..].starts_with(b"://") && &entry[..len] != b".." => len + 3,
        Some(_) | None => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at_r1(include_path: &str) -> String {
        let leads = [Lead { from: b"/srv/shop/current", to: b"/srv/shop/releases/r1" }];
        let led = led(include_path.as_bytes(), &leads);
        led.map_or("as it was".into(), |led| String::from_utf8(led).unwrap())
    }

    #[test]
    fn every_entry_below_the_link_is_led_into_the_release_and_nothing_else() {
        for (given, wanted) in [
            ("/srv/shop/current", "/srv/shop/releases/r1"),
            ("/srv/shop/current/", "/srv/shop/releases/r1/"),
            (".:/srv/shop/current/lib:/usr/share/php", ".:/srv/shop/releases/r1/lib:/usr/share/php"),
            (
                "/srv/shop/current/a:/srv/shop/current/b:x:/srv/shop/current",
                "/srv/shop/releases/r1/a:/srv/shop/releases/r1/b:x:/srv/shop/releases/r1",
            ),
            ("//srv/./shop//current/lib", "/srv/shop/releases/r1/lib"),
            ("/srv/shop/current/../shared", "/srv/shop/releases/r1/../shared"),
            ("/srv/shop/current2", "as it was"),
            ("/srv/shop/current.old/lib", "as it was"),
            ("/srv/shop", "as it was"),
            ("/data/srv/shop/current", "as it was"),
            ("srv/shop/current", "as it was"),
            (".:..", "as it was"),
            ("", "as it was"),
            (":", "as it was"),
            (":/srv/shop/current:", ":/srv/shop/releases/r1:"),
            ("/srv/shop/releases/r0", "as it was"),
        ] {
            assert_eq!(at_r1(given), wanted, "{given}");
        }
    }

    #[test]
    fn the_path_of_a_stream_is_led_too() {
        assert_eq!(at_r1("phar:///srv/shop/current/a.phar:."), "phar:///srv/shop/releases/r1/a.phar:.");
        assert_eq!(at_r1("..:///srv/shop/current"), "..:/srv/shop/releases/r1");
        assert_eq!(at_r1("x:///srv/shop/current"), "x:/srv/shop/releases/r1", "one letter is no scheme");
        assert_eq!(at_r1("http://host/srv/shop/current"), "as it was");
    }

    #[test]
    fn the_first_lead_that_fits_is_taken() {
        let leads = [Lead { from: b"/a/b/c", to: b"/1" }, Lead { from: b"/a/b", to: b"/2" }];
        assert_eq!(led(b"/a/b/c/d:/a/b/d", &leads), Some(b"/1/d:/2/d".to_vec()));
    }
}
