//! Condition: sections that are read, or left out, when the server starts.

use super::directive::Directive;
use super::expand::Expander;

/// Whether such a section is read; `None`: it is no such section. An error: it cannot be said, and why.
pub fn holds(section: &Directive, reader: &Expander<'_>) -> Option<Result<bool, String>> {
    let (not, what) = match section.word(0).strip_prefix('!') {
        Some(what) => (true, what),
        None => (false, section.word(0)),
    };
    let holds = match section.name.as_str() {
        "ifmodule" => reader.modules.has(what),
        "ifdefine" => reader.defines.contains_key(what),
        "iffile" => reader.is_file(what),
        "ifversion" => return Some(version(section, &reader.version)),
        "ifdirective" | "ifsection" => {
            return Some(Err(format!("whether {} is known to this server is not", what)));
        }
        _ => return None,
    };
    Some(Ok(holds != not))
}

/// `<IfVersion >= 2.4.10>`, as mod_version compares.
fn version(section: &Directive, is: &[u32]) -> Result<bool, String> {
    let (sign, wanted) = match section.words.as_slice() {
        [only] => ("=", only.text.as_str()),
        [sign, wanted, ..] => (sign.text.as_str(), wanted.text.as_str()),
        [] => return Err("no version is named".into()),
    };
    let (not, sign) = sign.strip_prefix('!').map_or((false, sign), |sign| (true, sign));
    let parts: Option<Vec<u32>> = wanted.split('.').map(|part| part.parse().ok()).collect();
    let Some(parts) = parts else { return Err(format!("{wanted} is not compared here")) };
    let known = is.len().min(parts.len());
    let mut order = is[..known].cmp(&parts[..known]);
    if order.is_eq() && known < parts.len() {
        if parts[known..].iter().any(|part| *part > 0) {
            return Err("the server's version is not known so exactly".into());
        }
        order = std::cmp::Ordering::Equal;
    }
    let holds = match sign {
        "=" | "==" => order.is_eq(),
        ">" => order.is_gt(),
        ">=" => order.is_ge(),
        "<" => order.is_lt(),
        "<=" => order.is_le(),
        _ => return Err(format!("{sign} is not compared here")),
    };
    Ok(holds != not)
}
