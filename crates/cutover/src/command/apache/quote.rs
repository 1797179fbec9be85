//! Quote: values as Apache reads them; what it cannot hold is an error.

use std::path::Path;

/// A value in quotes. Backslashes and quotes are escaped (ap_getword_conf in server/util.c); `${` would be a variable.
pub fn quoted(text: &str) -> Result<String, String> {
    if text.contains("${") || text.chars().any(char::is_control) {
        return Err(format!("Apache cannot hold {text:?}"));
    }
    Ok(format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\"")))
}

/// A path in quotes, without a slash at its end.
pub fn path(path: &Path) -> Result<String, String> {
    let text = path.to_str().ok_or_else(|| format!("{} is not UTF-8", path.display()))?;
    quoted(text.trim_end_matches('/'))
}

/// The value of a header in quotes: `%` stands for itself.
pub fn header(text: &str) -> Result<String, String> {
    quoted(&text.replace('%', "%%"))
}

/// An expression of mod_rewrite, which reads its lines itself and leaves backslashes alone (parseargline in mod_rewrite.c).
pub fn expression(regex: &str) -> Result<String, String> {
    quoted(regex).map(|_| format!("\"{}\"", regex.replace('"', "\\\"")))
}

/// A text of mod_rewrite: `$`, `%` and `\` stand for themselves; then what a condition matched.
pub fn substitution(text: &str, matched: &str) -> Result<String, String> {
    let mut out = String::new();
    for c in text.chars() {
        if matches!(c, '$' | '%' | '\\') {
            out.push('\\');
        }
        out.push(c);
    }
    expression(&format!("{out}{matched}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_apache_would_read_as_its_own_is_escaped_or_refused() {
        assert_eq!(quoted(r#"a\.b"c"#).unwrap(), r#""a\\.b\"c""#);
        assert_eq!(header("50%").unwrap(), r#""50%%""#);
        assert_eq!(substitution("/a%2Fb$1", "%1").unwrap(), r#""/a\%2Fb\$1%1""#);
        assert!(quoted("${HOME}").is_err() && quoted("a\nb").is_err());
    }
}
