//! lock, unlock: a Freeze, for as long as nobody may deploy.

use deploy::freeze;
use serde_json::json;

use crate::answer::{Answer, Failure};
use crate::opened::Opened;
use crate::who::who;
use crate::working::told;

pub fn lock(opened: &Opened, reason: &str) -> Result<Answer, Failure> {
    if reason.trim().is_empty() {
        return Err(Failure::usage("a lock needs a reason").next("cutover lock --reason 'sale until Monday'"));
    }
    if let Ok(Some(frozen)) = freeze::frozen(&opened.app) {
        return Err(Failure::refused(told(&frozen)).next("`cutover unlock` first"));
    }
    let frozen = freeze::freeze(&opened.app, reason.trim(), &who()).map_err(Failure::failed)?;
    let text = format!("nobody may deploy until `cutover unlock`: {}", frozen.reason);
    Ok(Answer::new(text, json!({ "frozen": frozen })))
}

pub fn unlock(opened: &Opened) -> Result<Answer, Failure> {
    let was = freeze::thaw(&opened.app).map_err(Failure::failed)?;
    let text = match &was {
        Some(was) => format!("deploys are allowed again; it was {} ({})", was.reason, was.who),
        None => "deploys were allowed already".into(),
    };
    Ok(Answer::new(text, json!({ "was": was })))
}
