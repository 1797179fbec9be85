//! Value: what can be read from one place of the file; the error half-sentence says what is wrong with it.

use std::num::NonZeroU32;
use std::path::{Component, Path, PathBuf};

use ipnet::IpNet;
use toml::de::DeValue;

use super::At;
use crate::value::{Address, HostPattern, Pattern, Prefix, parse_duration, parse_size};

/// A type that one TOML value can hold.
pub(crate) trait Value: Sized {
    /// What to write, as `write {SHAPE}` reads on.
    const SHAPE: &'static str;

    /// Reads it, or says what is wrong.
    fn read(at: &At<'_>) -> Result<Self, String>;
}

/// A duration as the file writes it.
pub(crate) struct Duration(pub(crate) std::time::Duration);

/// A number of bytes as the file writes it.
pub(crate) struct Size(pub(crate) u64);

impl Value for String {
    const SHAPE: &'static str = "text in quotes";

    fn read(at: &At<'_>) -> Result<String, String> {
        let text = at.text()?;
        match text.contains('\0') {
            true => Err("it has a NUL byte in it".into()),
            false => Ok(text.to_owned()),
        }
    }
}

impl Value for bool {
    const SHAPE: &'static str = "`true` or `false`";

    fn read(at: &At<'_>) -> Result<bool, String> {
        at.value().as_bool().ok_or_else(|| at.not_a("a yes or no"))
    }
}

impl Value for u64 {
    const SHAPE: &'static str = "a whole number";

    fn read(at: &At<'_>) -> Result<u64, String> {
        let Some(number) = at.value().as_integer() else {
            return Err(at.not_a("a number"));
        };
        let parsed = u64::from_str_radix(&number.as_str().replace('_', ""), number.radix());
        parsed.map_err(|_| format!("{number} is not a whole number from 0 on"))
    }
}

impl Value for u16 {
    const SHAPE: &'static str = "a whole number up to 65535";

    fn read(at: &At<'_>) -> Result<u16, String> {
        let number = u64::read(at)?;
        u16::try_from(number).map_err(|_| format!("{number} is too large"))
    }
}

impl Value for NonZeroU32 {
    const SHAPE: &'static str = "a whole number from 1 on";

    fn read(at: &At<'_>) -> Result<NonZeroU32, String> {
        let number = u64::read(at)?;
        let small = u32::try_from(number).map_err(|_| format!("{number} is too large"))?;
        NonZeroU32::new(small).ok_or_else(|| "it is 0".into())
    }
}

impl Value for Size {
    const SHAPE: &'static str = "a size such as \"64K\", \"256M\" or \"1G\", or a number of bytes";

    fn read(at: &At<'_>) -> Result<Size, String> {
        if at.value().is_integer() {
            return u64::read(at).map(Size);
        }
        parse_size(at.text()?).map(Size)
    }
}

impl Value for Duration {
    const SHAPE: &'static str =
        "a duration with its unit, such as \"500ms\", \"30s\", \"5m\", \"1h\" or \"7d\"";

    fn read(at: &At<'_>) -> Result<Duration, String> {
        if at.value().is_integer() {
            return Err("it has no unit".into());
        }
        parse_duration(at.text()?).map(Duration)
    }
}

impl Value for PathBuf {
    const SHAPE: &'static str = "a path in quotes";

    fn read(at: &At<'_>) -> Result<PathBuf, String> {
        let text = String::read(at)?;
        if text.is_empty() {
            return Err("it is empty".into());
        }
        if text.starts_with("~/") {
            return Err("`~` is not expanded".into());
        }
        Ok(PathBuf::from(text))
    }
}

impl Value for Address {
    const SHAPE: &'static str = "\"127.0.0.1:9000\" or \"unix:/path\"";

    fn read(at: &At<'_>) -> Result<Address, String> {
        Address::parse(at.text()?)
    }
}

impl Value for HostPattern {
    const SHAPE: &'static str = "a host name such as \"shop.example.com\" or \"*.example.com\"";

    fn read(at: &At<'_>) -> Result<HostPattern, String> {
        HostPattern::parse(at.text()?)
    }
}

impl Value for Pattern {
    const SHAPE: &'static str = "a pattern such as \"*.css\", \"/assets/**\" or \"/img/*.png\"";

    fn read(at: &At<'_>) -> Result<Pattern, String> {
        Pattern::parse(at.text()?)
    }
}

impl Value for Prefix {
    const SHAPE: &'static str = "a path such as \"/admin\"";

    fn read(at: &At<'_>) -> Result<Prefix, String> {
        Prefix::parse(at.text()?)
    }
}

impl Value for IpNet {
    const SHAPE: &'static str = "an address or a network such as \"10.0.0.0/8\"";

    fn read(at: &At<'_>) -> Result<IpNet, String> {
        let text = at.text()?;
        if let Ok(address) = text.parse::<std::net::IpAddr>() {
            return Ok(IpNet::from(address));
        }
        let net: IpNet = text.parse().map_err(|_| format!("`{text}` is not a network"))?;
        match net.addr() == net.network() {
            true => Ok(net),
            false => Err(format!("bits are set behind the prefix: that network is {}", net.trunc())),
        }
    }
}

/// A path inside a release or below the app's root: relative, and staying beneath.
pub(crate) struct Beneath(pub(crate) PathBuf);

impl Value for Beneath {
    const SHAPE: &'static str = "a relative path that stays inside, such as \"public\"";

    fn read(at: &At<'_>) -> Result<Beneath, String> {
        beneath(&String::read(at)?).map(Beneath)
    }
}

/// Normalises a relative path; `""` and `"."` are the directory itself.
pub(crate) fn beneath(text: &str) -> Result<PathBuf, String> {
    let mut clean = PathBuf::new();
    for component in Path::new(text).components() {
        match component {
            Component::Normal(name) => clean.push(name),
            Component::CurDir => {}
            Component::ParentDir => return Err("`..` leads out of it".into()),
            Component::RootDir | Component::Prefix(_) => return Err("it must be relative".into()),
        }
    }
    Ok(clean)
}

/// The name of a TOML value's type, for errors.
pub(crate) fn type_name(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "text",
        DeValue::Integer(_) | DeValue::Float(_) => "a number",
        DeValue::Boolean(_) => "a yes or no",
        DeValue::Datetime(_) => "a date",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a table",
    }
}
