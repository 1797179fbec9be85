//! Page: the files that a page names.

/// The address of a style, script or image of the same site that a page names.
pub(super) fn file(html: &str, page: &str) -> Option<String> {
    let (scheme, rest) = page.split_once("://")?;
    let host = rest.split('/').next()?;
    let origin = format!("{scheme}://{host}");
    let dir = page.split(['?', '#']).next()?.rsplit_once('/')?.0;
    let names = html.match_indices("href=").chain(html.match_indices("src="));
    let mut places: Vec<usize> = names.map(|(at, name)| at + name.len()).collect();
    places.sort_unstable();
    places.into_iter().find_map(|at| {
        let value = &html[at..];
        let quote = value.chars().next().filter(|quote| matches!(quote, '"' | '\''))?;
        let value = value[1..].split(quote).next()?;
        let path = value.split(['?', '#']).next()?;
        let asset = [".css", ".js", ".mjs", ".png", ".svg", ".ico", ".jpg", ".webp", ".woff2"];
        if !asset.iter().any(|ending| path.ends_with(ending)) {
            return None;
        }
        match value {
            _ if value.starts_with("//") => None,
            _ if value.starts_with(&format!("{origin}/")) => Some(value.to_owned()),
            _ if value.contains(':') => None,
            _ if value.starts_with('/') => Some(format!("{origin}{value}")),
            _ => Some(format!("{dir}/{value}")),
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_of_the_same_site_is_found() {
        for (html, found) in [
            (r#"<link rel=x href="/app.css?v=1">"#, Some("http://a:8/app.css?v=1")),
            (r#"<a href="/about"><script src='js/a.js'>"#, Some("http://a:8/dir/js/a.js")),
            (r#"<script src="https://cdn.example/a.js">"#, None),
            (r#"<script src="//cdn.example/a.js">"#, None),
            (r#"<img src="http://a:8/x.png">"#, Some("http://a:8/x.png")),
            ("<img src=", None),
            ("<img src=ä.png>", None),
        ] {
            assert_eq!(file(html, "http://a:8/dir/page?x=/y").as_deref(), found, "{html}");
        }
    }
}
