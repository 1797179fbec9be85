//! Quote: values as nginx reads them; what it cannot hold is an error.

use std::path::Path;

/// A path as text.
pub fn plain(path: &Path) -> Result<String, String> {
    let text = path.to_str().ok_or_else(|| format!("{} is not UTF-8", path.display()))?;
    Ok(text.trim_end_matches('/').to_owned())
}

/// A value in quotes; nginx has no way to write a dollar sign that is none of a variable.
pub fn quoted(text: &str) -> Result<String, String> {
    mixed(text, "")
}

/// The key of a map that is an expression.
pub fn expression(regex: &str) -> String {
    bare(&format!("~{regex}"))
}

/// An expression in quotes: nginx looks for no variables in it.
pub fn bare(regex: &str) -> String {
    format!("\"{}\"", escaped(regex))
}

/// Text, then variables.
pub fn mixed(text: &str, variables: &str) -> Result<String, String> {
    if text.contains('$') || text.chars().any(char::is_control) {
        return Err(format!("nginx cannot hold {text:?}"));
    }
    Ok(format!("\"{}{variables}\"", escaped(text)))
}

/// nginx takes `\"`, `\'`, `\\`, `\t`, `\r` and `\n` in quotes, and leaves other backslashes alone (ngx_conf_file.c).
pub fn escaped(text: &str) -> String {
    let mut out = String::new();
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        let taken = matches!(chars.peek(), Some('"' | '\'' | '\\' | 't' | 'r' | 'n') | None);
        match c {
            '"' => out.push_str("\\\""),
            '\\' if taken => out.push_str("\\\\"),
            c => out.push(c),
        }
    }
    out
}

/// A word without quotes.
pub fn unquoted(text: &str) -> Result<&str, String> {
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-".contains(c);
    if text.chars().all(plain) { Ok(text) } else { Err(format!("nginx cannot hold {text:?}")) }
}
