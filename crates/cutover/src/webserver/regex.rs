//! Regex: our patterns as the regular expressions (PCRE) of nginx and Apache, which match decoded paths.

/// A glob as an anchored expression.
pub fn pattern(glob: &str) -> String {
    let (mut regex, inner) = match glob.strip_prefix('/') {
        Some(inner) => ("^".to_owned(), inner),
        None => ("^(/[^/]*)*".to_owned(), glob),
    };
    let segments: Vec<&str> = inner.split('/').collect();
    for (index, segment) in segments.iter().enumerate() {
        match (*segment, index + 1 == segments.len()) {
            ("**", true) => regex.push_str("(/.*)?"),
            ("**", false) => regex.push_str("(/[^/]+)*"),
            (segment, _) => {
                regex.push('/');
                for c in segment.chars() {
                    match c {
                        '*' => regex.push_str("[^/]*"),
                        '?' => regex.push_str("[^/]"),
                        c => escape(&mut regex, c),
                    }
                }
            }
        }
    }
    regex + "$"
}

/// The text itself.
pub fn literal(text: &str) -> String {
    let mut regex = String::new();
    text.chars().for_each(|c| escape(&mut regex, c));
    regex
}

fn escape(regex: &mut String, c: char) {
    if r"\.+*?()[]{}|^$".contains(c) {
        regex.push('\\');
    }
    regex.push(c);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn globs_become_anchored_expressions() {
        for (glob, regex) in [
            ("*.css", r"^(/[^/]*)*/[^/]*\.css$"),
            ("/assets/**", r"^/assets(/.*)?$"),
            ("/a/**/b?.js", r"^/a(/[^/]+)*/b[^/]\.js$"),
            ("img/*.png", r"^(/[^/]*)*/img/[^/]*\.png$"),
        ] {
            assert_eq!(pattern(glob), regex, "{glob}");
        }
    }
}
