//! What breaks: the connection, at several moments; and what must be true then. R7 and R9 of the other tools, as far
//! as they are about one host and its connection: nobody is left half flipped, nobody is left locked out.

use nix::sys::signal::Signal;

use super::web1::{Web1, children, rename, signal, wait};

/// What stands between here and there.
#[derive(Clone, Copy, Debug)]
enum Cut {
    /// ssh, here.
    Ssh,
    /// sshd, there.
    Sshd,
    /// The whole near end, with `kill -9`.
    Near,
}

impl Cut {
    fn cut(self, near: u32) {
        // sh became ssh, and ssh has started sshd.
        let ssh = children(near).into_iter().next().unwrap();
        match self {
            Cut::Ssh => signal(ssh, Signal::SIGKILL),
            Cut::Sshd => children(ssh).into_iter().for_each(|sshd| signal(sshd, Signal::SIGKILL)),
            Cut::Near => signal(near, Signal::SIGKILL),
        }
    }
}

/// A hook that says that it runs, and then waits until it is let go on.
fn waiting(web1: &Web1, moment: &str) -> String {
    let (here, go) = (web1.path("here"), web1.path("go"));
    format!(
        "[hooks]\n{moment} = ['touch {}; while test ! -e {}; do sleep 0.05; done']\n[[host]]\nssh = 'web1'\nprogram = '{}'\n",
        here.display(),
        go.display(),
        env!("CARGO_BIN_EXE_cutover")
    )
}

/// web1 with "one" live, and a deploy of "two" that waits in a hook.
fn in_the_middle(moment: &str) -> (Web1, std::process::Child) {
    let web1 = Web1::with("");
    web1.ok(&["deploy"]);
    web1.page("two");
    web1.configure(&waiting(&web1, moment));
    let deploy = web1.begin(&["deploy"]);
    web1.wait_for("here");
    (web1, deploy)
}

#[test]
fn cut_before_the_flip_the_old_release_is_live_and_nobody_is_locked_out() {
    for (moment, cut) in [("before_stage", Cut::Ssh), ("before_warm", Cut::Sshd), ("before_flip", Cut::Near)]
    {
        let (web1, near) = in_the_middle(moment);
        cut.cut(near.id());
        let ended = near.wait_with_output().unwrap();
        web1.settled();
        assert_eq!(web1.live_page(), "one", "{moment} {cut:?}");
        if !matches!(cut, Cut::Near) {
            let said = String::from_utf8_lossy(&ended.stderr);
            assert_eq!(ended.status.code(), Some(1), "{said}");
            assert!(said.contains("the connection to web1 broke"), "{said}");
            assert!(said.contains("web1 undoes what was begun") || said.contains("or undoes it"), "{said}");
        }
        // Undone by itself: nothing is left in hand for the next command.
        let status = web1.there(&["status"]);
        assert!(!status.out.contains("in hand") && !status.out.contains("killed"), "{}", status.out);
        assert!(status.out.contains("  last     the deploy by alice@"), "{}", status.out);
        assert!(status.out.contains("; it was undone, "), "{}", status.out);
        assert_eq!(std::fs::read_dir(web1.root().join("releases")).unwrap().count(), 1);
        std::fs::write(web1.path("go"), "").unwrap();
        web1.ok(&["deploy"]);
        assert_eq!(web1.live_page(), "two");
    }
}

#[test]
fn cut_after_the_flip_the_deploy_is_finished_there() {
    for cut in [Cut::Ssh, Cut::Sshd] {
        let (web1, near) = in_the_middle("after_verify");
        cut.cut(near.id());
        let ended = near.wait_with_output().unwrap();
        let said = String::from_utf8_lossy(&ended.stderr);
        assert!(said.contains("the new release was flipped to, and web1 finishes the deploy"), "{said}");
        std::fs::write(web1.path("go"), "").unwrap();
        web1.settled();
        assert_eq!(web1.live_page(), "two", "{cut:?}");
        let record = std::fs::read_to_string(web1.root().join(".cutover/records").join(web1.live())).unwrap();
        assert!(record.contains("\"ending\":\"live\""), "{record}");
        assert!(web1.ok(&["releases"]).contains("good"));
    }
}

#[test]
fn cut_while_it_is_built_here_the_other_end_lets_go_of_the_lock() {
    let web1 = Web1::with("");
    web1.ok(&["deploy"]);
    web1.configure(&format!(
        "build = ['touch {}; sleep 30']\n[[host]]\nssh = 'web1'\nprogram = '{}'\n",
        web1.path("here").display(),
        env!("CARGO_BIN_EXE_cutover")
    ));
    let near = web1.begin(&["deploy"]);
    web1.wait_for("here");
    // While it is built here, nobody else deploys there.
    assert!(web1.there(&["flip", &web1.live()]).err.contains("another command"));
    Cut::Near.cut(near.id());
    drop(near.wait_with_output().unwrap());
    web1.settled();
    assert_eq!(web1.live_page(), "one");
    assert_eq!(web1.there(&["flip", &web1.live()]).code, 0);
}

#[test]
fn ctrl_c_here_undoes_it_there() {
    let (web1, near) = in_the_middle("before_flip");
    signal(near.id(), Signal::SIGINT);
    let ended = near.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&ended.stderr);
    assert_eq!(ended.status.code(), Some(1), "{said}");
    assert!(said.contains("the deploy failed at flip") && said.contains("is still live"), "{said}");
    assert_eq!(web1.live_page(), "one");
    assert_eq!(std::fs::read_dir(web1.root().join("releases")).unwrap().count(), 1);
}

#[test]
fn a_flip_that_fails_leaves_neither_a_lock_nor_a_half_of_it() {
    let web1 = Web1::with("");
    web1.ok(&["deploy"]);
    web1.page("two");
    let program = env!("CARGO_BIN_EXE_cutover");
    let host = format!("[[host]]\nssh = 'web1'\nprogram = '{program}'\n");
    // Where the link was stands a directory: renaming onto it fails.
    let link = web1.root().join("current");
    let put = format!("mv {0} {0}.away; mkdir -p {0}/x", link.display());
    web1.configure(&format!("[hooks]\nbefore_flip = ['{put}']\n{host}"));
    let ran = web1.run(&["deploy"]);
    assert_eq!(ran.code, 1, "{}{}", ran.out, ran.err);
    assert!(ran.err.contains("failed at flip"), "{}", ran.err);
    std::fs::remove_dir_all(&link).unwrap();
    rename(web1.root().join("current.away"), &link);
    assert_eq!(web1.live_page(), "one");
    web1.configure(&host);
    web1.ok(&["deploy"]);
    assert_eq!(web1.live_page(), "two");
}

#[test]
fn of_two_deploys_at_once_one_is_refused_and_says_who_works() {
    let (web1, near) = in_the_middle("before_flip");
    let second = tempfile::tempdir().unwrap();
    let mut other = web1.command(&["deploy"]);
    // Somebody else's checkout: here the first one's lock would refuse already.
    std::fs::create_dir(second.path().join("site")).unwrap();
    std::fs::copy(web1.path("project/cutover.toml"), second.path().join("cutover.toml")).unwrap();
    let refused = other.current_dir(second.path()).output().unwrap();
    let said = String::from_utf8_lossy(&refused.stderr);
    assert_eq!(refused.status.code(), Some(3), "{said}");
    assert!(said.contains("another command (process") && said.contains("deploy, since"), "{said}");
    std::fs::write(web1.path("go"), "").unwrap();
    assert!(near.wait_with_output().unwrap().status.success());
    assert_eq!(web1.live_page(), "two");
    wait("nobody works any more", || web1.run(&["status"]).code == 0);
}
