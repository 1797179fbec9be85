//! Value: text with variables in it.

/// A part of a value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Part<'v> {
    /// Text as it is.
    Text(&'v str),
    /// A variable, without its `$`.
    Var(&'v str),
}

/// A value's parts (`ngx_http_script_compile`): `$name`, `${name}`, `$1`.
pub fn parts(value: &str) -> Vec<Part<'_>> {
    let mut parts = Vec::new();
    let mut rest = value;
    while let Some(at) = rest.find('$') {
        let behind = &rest[at + 1..];
        let (name, end) = match behind.strip_prefix('{') {
            Some(inner) => {
                let end = inner.find('}').unwrap_or(inner.len());
                (&inner[..end], (at + 2 + end + 1).min(rest.len()))
            }
            None => {
                let is = |c: char| c.is_ascii_alphanumeric() || c == '_';
                let end = behind.find(|c| !is(c)).unwrap_or(behind.len());
                (&behind[..end], at + 1 + end)
            }
        };
        if at > 0 {
            parts.push(Part::Text(&rest[..at]));
        }
        if name.is_empty() {
            parts.push(Part::Text("$"));
        } else {
            parts.push(Part::Var(name));
        }
        rest = &rest[end..];
    }
    if !rest.is_empty() {
        parts.push(Part::Text(rest));
    }
    parts
}

/// The variables in a value.
pub fn variables(value: &str) -> impl Iterator<Item = &str> {
    parts(value).into_iter().filter_map(|part| match part {
        Part::Var(name) => Some(name),
        Part::Text(_) => None,
    })
}

/// Whether a value has this variable.
pub fn has(value: &str, variable: &str) -> bool {
    variables(value).any(|name| name == variable)
}

/// A variable's values that begin with a slash: what stands before them is a whole path.
const SLASHED: [&str; 5] = ["uri", "fastcgi_script_name", "document_uri", "request_uri", "fastcgi_path_info"];

/// The path that a value begins with, for certain: `/srv/a$uri` -> `/srv/a`, `/srv/$host` -> `/srv`. And whether that
/// is all but a path below it.
pub fn path(value: &str) -> Option<(&str, bool)> {
    let all = parts(value);
    let Some(Part::Text(text)) = all.first() else { return None };
    if !text.starts_with('/') {
        return None;
    }
    match all.get(1) {
        None => Some((text, true)),
        Some(Part::Var(name)) if SLASHED.contains(name) => Some((text, true)),
        // What follows a slash may lead anywhere below it.
        Some(Part::Var(_) | Part::Text(_)) => {
            let cut = text.rfind('/').unwrap_or(0).max(1);
            Some((&text[..cut], false))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_have_parts_and_begin_with_paths() {
        use Part::{Text, Var};
        assert_eq!(parts("$a/${b}c$1$"), [Var("a"), Text("/"), Var("b"), Text("c"), Var("1"), Text("$")]);
        assert_eq!(parts("${a"), [Var("a")]);
        for (value, expected) in [
            ("/srv/a", Some(("/srv/a", true))),
            ("/srv/a$fastcgi_script_name", Some(("/srv/a", true))),
            ("/srv/$host/current", Some(("/srv", false))),
            ("/srv/shop-$x", Some(("/srv", false))),
            ("$document_root/x", None),
            ("html", None),
        ] {
            assert_eq!(path(value), expected, "{value}");
        }
    }
}
