//! HeaderRule and CacheRule: response headers by pattern.

use crate::complaint::ConfigError;
use crate::read::{At, Section};
use crate::value::Pattern;

/// One `[[site.header]]`: headers set on every answer for a path, those of PHP included (ours win).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeaderRule {
    /// Which paths.
    pub path: Pattern,
    /// Header names in lower case, and values; each is a legal header (RFC 9110), none is hop-by-hop or framing.
    pub set: Vec<(String, String)>,
}

/// One `[[site.cache]]`: the `Cache-Control` of static files; answers of PHP keep their own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CacheRule {
    /// Which paths.
    pub path: Pattern,
    /// The header's value.
    pub control: String,
}

impl HeaderRule {
    pub(crate) fn read(section: &Section<'_>) -> Result<HeaderRule, ConfigError> {
        let path = section.need("path")?;
        let mut set = Vec::new();
        for (name, at) in section.named("set")? {
            set.push((header_name(&name, &at)?, at.read_as("a header's value: \"DENY\"", header_value)?));
        }
        if set.is_empty() {
            return Err(section
                .complain("[[site.header]] sets nothing", "write set = { X-Frame-Options = \"DENY\" }"));
        }
        Ok(HeaderRule { path, set })
    }
}

impl CacheRule {
    pub(crate) fn read(section: &Section<'_>) -> Result<CacheRule, ConfigError> {
        let path = section.need("path")?;
        let shape = "a Cache-Control value: \"public, max-age=31536000, immutable\"";
        let Some(control) = section.at("control") else {
            return Err(
                section.complain("[[site.cache]] needs `control`", format!("write control = {shape}"))
            );
        };
        Ok(CacheRule { path, control: control.read_as(shape, header_value)? })
    }
}

/// Headers that frame the message or belong to the connection: the server's own business.
const OURS: &[&str] =
    &["connection", "content-length", "date", "keep-alive", "te", "trailer", "transfer-encoding", "upgrade"];

fn header_name(name: &str, at: &At<'_>) -> Result<String, ConfigError> {
    // RFC 9110, 5.6.2: token.
    let token = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c);
    if name.is_empty() || !name.chars().all(token) {
        return Err(
            at.complain(format!("`{}` is not a header's name", name.escape_debug()), "use letters and `-`")
        );
    }
    let name = name.to_ascii_lowercase();
    match OURS.contains(&name.as_str()) {
        true => Err(at.complain(format!("`{name}` is set by the server itself"), "take it out")),
        false => Ok(name),
    }
}

fn header_value(text: &str) -> Result<String, String> {
    let plain = |c: char| c.is_ascii_graphic() || c == ' ' || c == '\t';
    match text.chars().all(plain) && text.trim() == text && !text.is_empty() {
        true => Ok(text.to_owned()),
        false => Err("a header's value is printable ASCII, without space around it".into()),
    }
}
