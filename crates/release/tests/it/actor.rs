//! Actor: this test binary started once more, as another process that does one thing.

use crate::shop::id;
use release::flip::Target;
use release::history::{self, Event, What};
use release::{App, manifest};
use std::path::Path;
use std::process::{Child, Command, Stdio};

const WHAT: &str = "CUTOVER_TEST_ACTOR";
const ROOT: &str = "CUTOVER_TEST_ROOT";

/// A process that does `what` to the app; see [`act`].
pub fn start(app: &App, what: &str, crash_at: Option<u64>) -> Child {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", "actor::an_actor_acts", "--nocapture"]).env(WHAT, what).env(ROOT, app.root());
    if let Some(n) = crash_at {
        command.env("CUTOVER_CRASH_AT", n.to_string());
    }
    command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

/// Not a test: where a started actor begins.
#[test]
fn an_actor_acts() {
    let Ok(what) = std::env::var(WHAT) else { return };
    let root = std::env::var_os(ROOT).unwrap();
    let app = App::new(Path::new(&root), Path::new("current"), &[]).unwrap();
    act(&app, &what.split(' ').collect::<Vec<_>>());
}

fn act(app: &App, what: &[&str]) {
    match what {
        ["flip", name] => {
            let target = Target::Sealed(manifest::sealed(app, &id(name)).unwrap());
            release::flip(app, target).unwrap();
        }
        ["seal", name] => drop(manifest::seal(app, &id(name)).unwrap()),
        ["retire", name] => drop(release::prune::retire(app, &id(name)).unwrap()),
        ["note", name] => history::append(app, &Event::now(id(name), What::Good, "an actor")).unwrap(),
        ["pinner", seconds] => crate::model::pinner(app, seconds.parse().unwrap()),
        ["flipper", seconds] => crate::model::flipper(app, seconds.parse().unwrap()),
        ["pruner", seconds] => crate::model::pruner(app, seconds.parse().unwrap()),
        other => panic!("no actor does {other:?}"),
    }
}
