//! completions: what a shell needs to complete our commands.

use clap::CommandFactory;
use serde_json::json;

use crate::answer::{Answer, Failure};
use crate::args::Args;

pub fn run(shell: clap_complete::Shell) -> Result<Answer, Failure> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Args::command(), "cutover", &mut script);
    let script = String::from_utf8_lossy(&script).trim_end().to_owned();
    Ok(Answer::new(script.clone(), json!({ "script": script })))
}
