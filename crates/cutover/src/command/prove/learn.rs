//! Learn: what each release answers, of a site that cannot be changed, written down for `--known`.

use std::path::Path;

use prove::Scenario;
use prove::client::Client;
use prove::known::{self, KnownError};
use prove::page::{Ask, Print};
use serde_json::json;
use tokio::runtime::Builder;

use crate::answer::{Answer, Failure};
use serve::log::with_reasons;

/// Flips to each release once, asks for each page some times, and writes the file.
pub fn learn(scenario: Scenario, file: &Path) -> Result<Answer, Failure> {
    let runtime = Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::failed(format!("cannot start the runtime: {error}")))?;
    let mut client = Client::new(scenario.target, scenario.clock, scenario.load.patience);
    let paths: Vec<String> = scenario.pages.into_iter().map(|page| page.ask.path).collect();
    let mut by = scenario.flips.by;
    let learnt = known::learn(
        &scenario.releases,
        &paths,
        |release| by.flip(release).map_err(|error| with_reasons(&error)),
        |path| {
            let exchange = runtime.block_on(client.ask(&Ask::get(path), true));
            let answer = exchange.answer.map_err(|fault| fault.to_string())?;
            Ok(Print::of(answer.status, answer.body))
        },
    );
    let learnt = learnt.map_err(told)?;
    let text = learnt.known.to_text().map_err(told)?;
    std::fs::write(file, text)
        .map_err(|error| Failure::failed(format!("cannot write {}: {error}", file.display())))?;
    let count = learnt.known.page.len();
    let mut lines = vec![format!("wrote what {} pages answer to {}", count, file.display())];
    lines.extend(learnt.notes.iter().map(|note| format!("  {note}")));
    Ok(Answer::new(lines.join("\n"), json!({ "file": file, "pages": count, "notes": learnt.notes })))
}

fn told(error: KnownError) -> Failure {
    Failure::failed(with_reasons(&error)).still("nothing was written")
}
