//! seal: says that a release is complete, and writes down what it consists of.

use std::time::Instant;

use release::ReleaseId;
use release::manifest::{self, ManifestError};
use serde_json::json;

use crate::answer::{Answer, Failure};
use crate::busy::busy;
use crate::command::running;
use crate::opened::Opened;
use crate::when;

pub fn run(opened: &Opened, id: &ReleaseId, again: bool) -> Result<Answer, Failure> {
    let refused = |what: String| Failure::refused(what).still("the seal was not touched");
    match manifest::sealed(&opened.app, id) {
        Ok(_) if !again => {
            return Ok(Answer::new(
                format!("{id} is sealed already"),
                json!({ "sealed": id.to_string(), "anew": false }),
            ));
        }
        Ok(_) => {}
        Err(error @ ManifestError::NoRelease { .. }) => {
            return Err(Failure::failed(error).next("`cutover releases` lists what there is"));
        }
        Err(ManifestError::Unsealed { .. }) => {}
        Err(error) if !again => {
            let next = format!("if it is complete: cutover seal {id} --again");
            return Err(refused(format!("{id} has a seal that cannot be relied on: {error}")).next(next));
        }
        Err(_) => {}
    }
    let began = Instant::now();
    let busy = busy(format!("sealing {id}"));
    let sealed = manifest::seal(&opened.app, id).map_err(|error| {
        Failure::failed(error).still(format!("{id} is not sealed, and {}", opened.still()))
    })?;
    drop(busy);
    let mut text = format!("{} is sealed, in {}", sealed.id(), when::took(began.elapsed()));
    if opened.live().is_ok_and(|live| live.id == *id)
        && let Err(error) = running::renew(opened)
    {
        text +=
            &format!("\nthe running server goes on serving it as unsealed until its next reload: {error}");
    }
    Ok(Answer::new(text, json!({ "sealed": id.to_string(), "anew": true })))
}
