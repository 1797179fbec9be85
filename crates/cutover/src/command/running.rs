//! reload, upgrade, maintenance: what a running server is asked over its control socket.

use std::path::PathBuf;
use std::time::Duration;

use release::atomic;
use serde_json::{Value, json};
use serve::control::{self, ControlError, Status};
use serve::log::with_reasons;

use crate::answer::{Answer, Failure};
use crate::opened::Opened;

/// A reload may have to start a pool, an upgrade a whole process.
const PATIENCE: Duration = Duration::from_secs(60);

/// Reads the configuration again.
pub fn reload(opened: &Opened) -> Result<Answer, Failure> {
    obeyed(opened, &control::Command::Reload)
}

/// Hands over to a newer program.
pub fn upgrade(opened: &Opened, program: Option<PathBuf>) -> Result<Answer, Failure> {
    let program = program.map(|program| std::path::absolute(&program).unwrap_or(program));
    obeyed(opened, &control::Command::Upgrade { program })
}

/// Turns the maintenance page on or off: in the running server, or, if none runs, for the next one.
pub fn maintenance(opened: &Opened, on: bool) -> Result<Answer, Failure> {
    let site = opened.config.host.app.name.clone();
    match ask(opened, &control::Command::Maintenance { site: site.clone(), on }) {
        Err(ControlError::NotRunning(_)) => {}
        answer => return told(answer.map_err(|error| unasked(&error))?),
    }
    let file = opened.app.maintenance();
    let done = if on {
        atomic::make_dir(&opened.app.state()).and_then(|()| atomic::replace(&file, b"on\n"))
    } else {
        atomic::remove(&file)
    };
    done.map_err(|error| Failure::failed(error).still("maintenance is as it was"))?;
    let word = if on { "on" } else { "off" };
    let text = format!("maintenance is {word} for {site}; no server is running, the next one heeds it");
    Ok(Answer::new(text.clone(), json!({ "done": text })))
}

/// Tells the server that its live release was sealed just now. That none runs is fine.
pub fn renew(opened: &Opened) -> Result<(), ControlError> {
    let site = opened.config.host.app.name.clone();
    match ask(opened, &control::Command::Renew { site }) {
        Ok(_) | Err(ControlError::NotRunning(_)) => Ok(()),
        Err(error) => Err(error),
    }
}

/// Has the server start a fresh php-fpm for a release that is to go live; gives where it is.
pub fn fresh(opened: &Opened, release: &str) -> Result<PathBuf, String> {
    let site = opened.config.host.app.name.clone();
    match ask(opened, &control::Command::Fresh { site, release: release.to_owned() }) {
        Ok(control::Answer::Fresh(master)) => Ok(master.socket),
        Ok(control::Answer::Failed(why)) => Err(why),
        Ok(control::Answer::Done(_) | control::Answer::Status(_)) => {
            Err(with_reasons(&ControlError::Answer(opened.app.serve_socket())))
        }
        Err(error) => Err(with_reasons(&error)),
    }
}

/// Tells the server that the release does not go live after all. That none runs is fine.
pub fn discard(opened: &Opened, release: Option<&str>) {
    let site = opened.config.host.app.name.clone();
    // What is not told now the server finds out with the next deploy.
    drop(ask(opened, &control::Command::Discard { site, release: release.map(str::to_owned) }));
}

/// Has the server close its idle connections to PHP, so that the workers behind them count as idle.
pub fn close_idle(opened: &Opened) {
    let site = opened.config.host.app.name.clone();
    // Without a server there are none.
    drop(ask(opened, &control::Command::CloseIdle { site }));
}

/// What the server says of itself; `None`: none is running.
pub fn status(opened: &Opened) -> Result<Option<Status>, ControlError> {
    let socket = opened.app.serve_socket();
    match control::ask(&socket, &control::Command::Status, Duration::from_secs(5)) {
        Ok(control::Answer::Status(status)) => Ok(Some(status)),
        Ok(control::Answer::Done(_) | control::Answer::Failed(_) | control::Answer::Fresh(_)) => {
            Err(ControlError::Answer(socket))
        }
        Err(ControlError::NotRunning(_)) => Ok(None),
        Err(error) => Err(error),
    }
}

fn obeyed(opened: &Opened, command: &control::Command) -> Result<Answer, Failure> {
    told(ask(opened, command).map_err(|error| unasked(&error))?)
}

fn ask(opened: &Opened, command: &control::Command) -> Result<control::Answer, ControlError> {
    control::ask(&opened.app.serve_socket(), command, PATIENCE)
}

fn told(answer: control::Answer) -> Result<Answer, Failure> {
    match answer {
        control::Answer::Done(text) => Ok(Answer::new(text.clone(), json!({ "done": text }))),
        // The server says itself, behind a semicolon, what is still true.
        control::Answer::Failed(text) => Err(match text.rsplit_once("; ") {
            Some((error, still)) => Failure::failed(error).still(still),
            None => Failure::failed(text),
        }),
        control::Answer::Fresh(master) => {
            Ok(Answer::new("", serde_json::to_value(master).unwrap_or(Value::Null)))
        }
        control::Answer::Status(status) => {
            Ok(Answer::new("", serde_json::to_value(status).unwrap_or(Value::Null)))
        }
    }
}

fn unasked(error: &ControlError) -> Failure {
    let failure = Failure::failed(with_reasons(error));
    match error {
        ControlError::NotRunning(_) => {
            failure.still("no server was asked").next("start one with `cutover serve`")
        }
        ControlError::Reach { source, .. } if source.kind() == std::io::ErrorKind::PermissionDenied => {
            failure
                .still("the server was not asked")
                .next("run it as the server's user or a member of serve.group")
        }
        ControlError::Reach { .. } | ControlError::Answer(_) => {
            failure.next("`cutover status` says what is served")
        }
    }
}
