//! Doctor: what `cutover doctor` finds here, and is not to tell.

use std::path::PathBuf;

use crate::complaint::ConfigError;
use crate::read::Section;

/// One `[[doctor.ignore]]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IgnoredCheck {
    /// `check`: its id, as `N05`.
    pub check: String,
    /// `path`: only where it stands in this file, or below this directory; `*` and `?` as in a shell.
    pub path: Option<PathBuf>,
    /// `reason`: why that is all right here.
    pub reason: String,
}

impl IgnoredCheck {
    pub(crate) fn read(section: &Section<'_>) -> Result<IgnoredCheck, ConfigError> {
        let id = |text: &str| {
            let (letter, number) = text.split_at_checked(1).unwrap_or(("", ""));
            let fits = letter.chars().all(|c| c.is_ascii_uppercase()) && number.len() == 2;
            if fits && number.chars().all(|c| c.is_ascii_digit()) {
                Ok(text.to_owned())
            } else {
                Err("it is no id of a check".to_owned())
            }
        };
        let said = |text: &str| match text.trim() {
            "" => Err("nobody will know why it was ignored".to_owned()),
            said => Ok(said.to_owned()),
        };
        let (Some(check), Some(reason)) = (section.at("check"), section.at("reason")) else {
            let fix = "write check = \"N05\" and reason = \"why that is all right here\"";
            return Err(section.complain("[[doctor.ignore]] needs `check` and `reason`", fix));
        };
        Ok(IgnoredCheck {
            check: check.read_as("the id of a check: \"N05\"", id)?,
            path: section.get("path")?,
            reason: reason.read_as("why that is all right here", said)?,
        })
    }
}
