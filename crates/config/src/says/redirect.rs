//! Redirect: one path, or all paths with one beginning, moved elsewhere.

use crate::complaint::ConfigError;
use crate::read::Section;

/// One `[[site.redirect]]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Redirect {
    /// What it matches; the trailing `*` taken off.
    from: String,
    /// True when `from` ended in `*`: any path that begins so.
    open: bool,
    /// Where it leads; a trailing `*` (taken off) receives what `from`'s star matched.
    to: String,
    carries: bool,
    /// 301, 302, 303, 307 or 308.
    pub status: u16,
}

impl Redirect {
    /// What it matches, and whether that is only the beginning of the path (`from` ended in `*`).
    pub fn from(&self) -> (&str, bool) {
        (&self.from, self.open)
    }

    /// Where it leads, and whether what the star of `from` matched comes behind it.
    pub fn to(&self) -> (&str, bool) {
        (&self.to, self.carries)
    }

    /// Where a request is sent, if this redirect is meant: the value of `Location`.
    ///
    /// `raw_path` is the path as it was sent (percent-encoded, beginning with `/`). The query is kept unless the
    /// target has one of its own.
    pub fn target(&self, raw_path: &str, query: Option<&str>) -> Option<String> {
        let rest = raw_path.strip_prefix(self.from.as_str()).filter(|rest| self.open || rest.is_empty())?;
        let mut target = self.to.clone();
        if self.carries {
            // `/old/*` to `/*` must not make `//elsewhere.example`, another site, of `/old//elsewhere.example`.
            let leading = |c: char| c == '/' || c == '\\';
            target.push_str(if target.ends_with('/') { rest.trim_start_matches(leading) } else { rest });
        }
        if let Some(query) = query.filter(|_| !self.to.contains('?')) {
            target.push('?');
            target.push_str(query);
        }
        Some(target)
    }

    pub(crate) fn read(section: &Section<'_>) -> Result<Redirect, ConfigError> {
        let shape_from = "a path: \"/old\" or \"/old/*\"";
        let shape_to = "a path or an address: \"/new\", \"/new/*\" or \"https://example.com/\"";
        let (Some(at_from), Some(at_to)) = (section.at("from"), section.at("to")) else {
            return Err(
                section.complain("[[site.redirect]] needs `from` and `to`", format!("write {shape_from}"))
            );
        };
        let from = at_from.read_as(shape_from, from)?;
        let to = at_to.read_as(shape_to, to)?;
        let (open, carries) = (from.ends_with('*'), to.ends_with('*'));
        if carries && !open {
            return Err(at_to.complain("`to` ends in `*` but `from` does not", "end both in `*`, or neither"));
        }
        let status = section.or("status", 301)?;
        if let Some(at) = section.at("status").filter(|_| ![301, 302, 303, 307, 308].contains(&status)) {
            return Err(at.wrong(&format!("{status} does not redirect"), "301, 302, 303, 307 or 308"));
        }
        let cut = |text: String| text.strip_suffix('*').map(str::to_owned).unwrap_or(text);
        Ok(Redirect { from: cut(from), open, to: cut(to), carries, status })
    }
}

fn from(text: &str) -> Result<String, String> {
    let inner = text.strip_suffix('*').unwrap_or(text);
    match () {
        () if !text.starts_with('/') => Err("it must begin with `/`".into()),
        () if inner.contains('*') => Err("`*` may stand only at the end".into()),
        () if text.contains(['?', '#']) => Err("only the path is looked at".into()),
        () if !inner.chars().all(|c| c.is_ascii_graphic()) => {
            Err("write it percent-encoded, as it is sent".into())
        }
        () => Ok(text.to_owned()),
    }
}

fn to(text: &str) -> Result<String, String> {
    let inner = text.strip_suffix('*').unwrap_or(text);
    let local = inner.starts_with('/') && !inner.starts_with("//") && !inner.starts_with("/\\");
    match () {
        () if !local && !inner.starts_with("https://") && !inner.starts_with("http://") => {
            Err("it must begin with one `/`, `https://` or `http://`".into())
        }
        // Else `https://example.com*` would make another host of `/.elsewhere.example`.
        () if !local && inner != text && inner.splitn(4, '/').count() < 4 => {
            Err("`*` may stand only behind the host's `/`".into())
        }
        () if inner.contains('*') => Err("`*` may stand only at the end".into()),
        () if !inner.chars().all(|c| c.is_ascii_graphic()) => {
            Err("write it percent-encoded, as it is sent".into())
        }
        () => Ok(text.to_owned()),
    }
}
