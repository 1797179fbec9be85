//! Steps that are held: how several hosts will be kept in step. The near end here is the library itself.

use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use deploy::host::link::{Link, Patience};
use deploy::host::message::{About, Answered, Far, Near, Order, PROTOCOL};
use deploy::host::session::{Session, Tree};
use deploy::host::walk::walk;
use deploy::receipt::Step;
use deploy::source::Revision;
use deploy::stage::exclude::Exclude;
use release::App;

fn tree(dir: &Path, text: &str) -> Tree {
    let from = dir.join("site");
    std::fs::create_dir_all(&from).unwrap();
    std::fs::write(from.join("index.html"), text).unwrap();
    let near = App::new(&dir.join("near"), Path::new("current"), &[]).unwrap();
    let walked = walk(&near, &Exclude::new(&[]), &from).unwrap();
    Tree { from, walked, revision: Revision::default() }
}

/// A deploy to a far end of its own; `held` is asked before these steps.
fn deploy(dir: &Path, text: &str, hold: &[Step], held: &mut dyn FnMut(Step) -> bool) -> Answered {
    let mut far = Command::new(env!("CARGO_BIN_EXE_cutover"))
        .arg("host")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let (to, from) = (far.stdin.take().unwrap(), far.stdout.take().unwrap());
    let link = Link::over(from, to, Patience::default(), Arc::default());
    let never = AtomicBool::new(false);
    assert!(matches!(link.hear(&|| false).unwrap(), Far::Hello { protocol: PROTOCOL, .. }));
    link.sender().say(&Near::Hello { protocol: PROTOCOL, who: "alice@laptop".into() }).unwrap();
    let text_of = format!("[app]\nroot = '{}'\n[source]\ndir = '.'\n", dir.join("app").display());
    let order = Order {
        about: About::Config { text: text_of },
        words: vec!["deploy".into()],
        hold: hold.to_vec(),
        webhooks: Vec::new(),
    };
    let session = Session::begin(&link, order, &never).unwrap();
    let answered = session.answer(&mut || Ok(tree(dir, text)), &mut |_| {}, held).unwrap();
    drop(link);
    far.wait().unwrap();
    answered
}

fn live(dir: &Path) -> String {
    std::fs::read_to_string(dir.join("app/current/index.html")).unwrap_or_else(|_| "nothing".into())
}

#[test]
fn a_step_that_is_held_begins_when_it_may_and_all_before_it_is_done() {
    let dir = tempfile::tempdir().unwrap();
    let mut met = Vec::new();
    let answered = deploy(dir.path(), "one", &[Step::Stage, Step::Flip, Step::Verify], &mut |step| {
        met.push((step, live(dir.path())));
        true
    });
    assert!(matches!(answered, Answered::Answer { bad: false, .. }), "{answered:?}");
    let nothing = || "nothing".to_owned();
    assert_eq!(met, [(Step::Stage, nothing()), (Step::Flip, nothing()), (Step::Verify, "one".into())]);
}

#[test]
fn a_step_that_may_not_begin_has_the_deploy_undone() {
    let dir = tempfile::tempdir().unwrap();
    deploy(dir.path(), "one", &[], &mut |_| true);
    let answered = deploy(dir.path(), "two", &[Step::Flip], &mut |_| false);
    let Answered::Failure { exit, error, still, .. } = answered else { panic!("{answered:?}") };
    assert_eq!((exit, error.as_str()), (1, "the deploy failed at flip: the deploy was stopped"));
    assert!(still.unwrap().ends_with("is still live"));
    assert_eq!(live(dir.path()), "one");
}
