//! A worker that follows the link: asked to finish, started again, one at a time, and nothing lost on the way.

use std::fs;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::follower::{DIARIST, Follower, diary, link, runs_on};
use super::until;
use crate::shop::Shop;

fn shop() -> Shop {
    let shop = Shop::with_live(&["r3", "r2", "r1"]);
    fs::write(shop.path("cutover.toml"), "[app]\nkeep_for = '0s'\n").unwrap();
    shop
}

fn is_alive(pid: i32) -> bool {
    kill(Pid::from_raw(pid), None).is_ok()
}

fn in_use(shop: &Shop, id: &str) -> bool {
    let (_, listed) = shop.json(&["releases"]);
    let row = listed["releases"].as_array().unwrap().iter().find(|row| row["id"] == id).unwrap().clone();
    row["in_use"] == true
}

#[test]
fn after_a_flip_the_worker_finishes_and_the_next_one_runs_on_the_new_release() {
    let shop = shop();
    let follower = Follower::of_diarist(&shop, &[]);
    let first = runs_on(&shop, "r1");
    shop.ok(&["flip", "r2"]);
    let second = runs_on(&shop, "r2");
    assert!(!is_alive(first) && second != first);
    let (code, said) = follower.stopped();
    assert_eq!(code, Some(0), "{said}");
    assert!(!is_alive(second));
    let lines: Vec<(bool, String)> =
        diary(&shop).into_iter().map(|line| (line.begins, line.release)).collect();
    let told = |begins: bool, id: &str| (begins, id.to_owned());
    assert_eq!(lines, [told(true, "r1"), told(false, "r1"), told(true, "r2"), told(false, "r2")]);
    let said = said.replace(&first.to_string(), "1").replace(&second.to_string(), "2");
    insta::assert_snapshot!(said, @"
    cutover: worker 1 runs on r1
    cutover: r2 is live: worker 1 on r1 is asked to finish by SIGTERM, and has 60.0 s
    cutover: worker 1 on r1 ended with code 0
    cutover: worker 2 runs on r2
    cutover: told to stop by SIGTERM: worker 2 on r2 is asked to finish by SIGTERM, and has 60.0 s
    cutover: worker 2 on r2 ended with code 0
    ");
}

/// Flips at any moment: while a worker starts, while it finishes, several in a row.
#[test]
fn through_a_storm_of_flips_there_is_one_worker_at_a_time_and_the_last_is_on_what_is_live() {
    let flips = match std::env::var("CUTOVER_PROMISE").as_deref() {
        Ok("full") => 3_000,
        Ok(_) | Err(_) => 150,
    };
    let shop = shop();
    let follower = Follower::of_diarist(&shop, &[]);
    runs_on(&shop, "r1");
    for flip in 0..flips {
        link(&shop, ["r2", "r3", "r1"][flip % 3]);
        // From nothing to more than a worker needs to finish.
        std::thread::sleep(std::time::Duration::from_millis([0, 0, 1, 5, 20, 60][flip / 3 % 6]));
    }
    link(&shop, "r2");
    runs_on(&shop, "r2");
    let (code, said) = follower.stopped();
    assert_eq!(code, Some(0), "{said}");
    let lines = diary(&shop);
    for pair in lines.chunks(2) {
        assert!(
            pair[0].begins && !pair[1].begins && pair[0].pid == pair[1].pid,
            "two at once: {pair:?}\n{said}"
        );
    }
    println!("{} workers during {flips} flips, one at a time", lines.len() / 2);
    assert!(lines.len() / 2 >= 10, "{said}");
}

#[test]
fn a_worker_that_does_not_finish_is_killed_aloud_and_holds_its_release_until_then() {
    let shop = shop();
    let deaf = format!("{}\n{DIARIST}", "trap '' TERM").replace("trap 'echo", ": 'echo");
    let follower = Follower::start(&shop, &["--grace", "1500ms"], &["sh", "-c", &deaf]);
    let first = runs_on(&shop, "r1");
    shop.ok(&["flip", "r2"]);
    shop.ok(&["flip", "r3"]);
    follower.says("r2 is live");
    assert!(is_alive(first) && in_use(&shop, "r1"));
    follower.says(&format!("worker {first} on r1 has not finished within 1.5 s: it is killed"));
    runs_on(&shop, "r3");
    assert!(!is_alive(first) && !in_use(&shop, "r1") && in_use(&shop, "r3"));
    let (code, said) = follower.stopped();
    assert_eq!(code, Some(137), "work was lost: {said}");
}

#[test]
fn what_a_worker_leaves_in_its_group_is_waited_for_and_no_zombies_stay() {
    let shop = shop();
    // It forks a child that takes its time, and orphans that end at once; then it ends when asked.
    let script = r#"sh -c 'trap "" TERM; while [ ! -e ../../go ]; do sleep 0.02; done' &
        echo $! >> "$DIARY.slow"
        for n in 1 2 3 4 5; do sh -c 'setsid sh -c "exit 0" & setsid sleep 0.01 & exit 0'; done
        echo "begin $CUTOVER_RELEASE $$" >> "$DIARY"
        trap 'exit 0' TERM; while :; do sleep 0.02; done"#;
    let follower = Follower::start(&shop, &[], &["sh", "-c", script]);
    let first = runs_on(&shop, "r1");
    until("only the worker is left", || follower.children().len() == 1);
    link(&shop, "r2");
    until("the worker's end", || !is_alive(first));
    let slow: i32 = fs::read_to_string(shop.path("diary.slow")).unwrap().trim().parse().unwrap();
    assert!(is_alive(slow) && in_use(&shop, "r1"), "what it left behind still works on r1");
    assert_eq!(diary(&shop).len(), 1, "nobody runs beside it");
    fs::write(shop.path("go"), "").unwrap();
    let second = runs_on(&shop, "r2");
    until("r1 is free", || !in_use(&shop, "r1"));
    until("only the worker and its child are left", || {
        let children = follower.children();
        children.len() == 1 && children[0].trim().starts_with(&second.to_string())
    });
    assert_eq!(follower.stopped().0, Some(0));
}

#[test]
fn a_worker_that_fails_is_started_again_ever_later_and_at_once_on_another_release() {
    let shop = shop();
    let script = format!("case $CUTOVER_RELEASE in r1) exit 7;; esac; {DIARIST}");
    let follower = Follower::start(&shop, &[], &["sh", "-c", &script]);
    for pause in ["100.0 ms", "200.0 ms", "400.0 ms", "800.0 ms", "1.6 s"] {
        follower.says(&format!("it is started again in {pause}"));
    }
    assert!(follower.said().contains("ended by itself with code 7 after"));
    // It waits for seconds by now. The flip ends that.
    link(&shop, "r2");
    runs_on(&shop, "r2");
    // A release without what is to be run: told, tried again, and left at the next flip.
    assert_eq!(follower.stopped().0, Some(0));
}

#[test]
fn a_release_that_lacks_the_program_is_told_and_left_at_the_next_flip() {
    let shop = shop();
    let script = "#!/bin/sh\n".to_owned() + DIARIST;
    for id in ["r1", "r3"] {
        fs::write(shop.path("releases").join(id).join("worker"), &script).unwrap();
        let executable = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        fs::set_permissions(shop.path("releases").join(id).join("worker"), executable).unwrap();
    }
    let follower = Follower::start(&shop, &[], &["./worker"]);
    runs_on(&shop, "r1");
    link(&shop, "r2");
    follower.says("./worker is not there, looked for in");
    follower.says("tried again in 200.0 ms");
    link(&shop, "r3");
    runs_on(&shop, "r3");
}

#[test]
fn while_the_link_is_broken_the_worker_goes_on_and_is_even_started_again() {
    let shop = shop();
    let follower = Follower::of_diarist(&shop, &[]);
    let first = runs_on(&shop, "r1");
    fs::remove_file(shop.path("current")).unwrap();
    follower.says("current is not there: what runs goes on");
    link(&shop, "none");
    follower.says("which is not there: what runs goes on");
    assert!(is_alive(first));
    // What ends meanwhile is started again on the last good release.
    kill(Pid::from_raw(first), Signal::SIGKILL).unwrap();
    follower.says("ended by itself by SIGKILL");
    until("the next worker", || diary(&shop).len() == 2);
    assert_ne!(runs_on(&shop, "r1"), first);
    link(&shop, "r1");
    follower.says("the link leads to r1 again");
    link(&shop, "r2");
    runs_on(&shop, "r2");
}

#[test]
fn the_same_release_by_another_text_of_the_link_restarts_nobody() {
    let shop = shop();
    let follower = Follower::of_diarist(&shop, &[]);
    let first = runs_on(&shop, "r1");
    let new = shop.path("new");
    std::os::unix::fs::symlink(shop.path("releases/r1"), &new).unwrap();
    fs::rename(&new, shop.path("current")).unwrap();
    // Only then a flip: had the worker been asked before, it would have ended on r1 and begun there again.
    link(&shop, "r2");
    runs_on(&shop, "r2");
    let begun = diary(&shop).iter().filter(|line| line.begins).count();
    assert_eq!((begun, is_alive(first)), (2, false), "{}", follower.said());
}

#[test]
fn signals_are_passed_on_and_the_worker_may_be_asked_by_another_one() {
    let shop = shop();
    let script = r#"for s in HUP USR1 USR2; do trap "echo \"begin $s $$\" >> '$DIARY'" $s; done
        trap 'exit 0' QUIT; trap '' TERM
        echo "begin $CUTOVER_RELEASE $$" >> "$DIARY"; while :; do sleep 0.02; done"#;
    let follower = Follower::start(&shop, &["--signal", "quit"], &["sh", "-c", script]);
    let first = runs_on(&shop, "r1");
    for (signal, name) in [(Signal::SIGHUP, "HUP"), (Signal::SIGUSR1, "USR1"), (Signal::SIGUSR2, "USR2")] {
        follower.signal(signal);
        assert_eq!(runs_on(&shop, name), first);
    }
    link(&shop, "r2");
    runs_on(&shop, "r2");
    assert!(follower.said().contains("is asked to finish by SIGQUIT"));
    assert_eq!(follower.stopped().0, Some(0));
}

#[test]
fn a_worker_that_ends_by_itself_is_started_again_as_was_asked() {
    let shop = shop();
    for (restart, ends, code) in [
        ("on-failure", "exit 0", Some(0)),
        ("never", "exit 0", Some(0)),
        ("never", "exit 9", Some(9)),
        ("never", "kill -s KILL $$", Some(137)),
    ] {
        let mut follower = Follower::start(&shop, &["--restart", restart], &["sh", "-c", ends]);
        assert_eq!(follower.ended().code(), code, "{restart}, {ends}: {}", follower.said());
    }
    for (restart, ends) in [("always", "exit 0"), ("on-failure", "exit 1")] {
        let follower = Follower::start(&shop, &["--restart", restart], &["sh", "-c", ends]);
        until("three workers", || follower.said().matches("runs on r1").count() >= 3);
    }
}

#[test]
fn with_overlap_the_old_one_goes_on_until_the_new_one_has_proved_itself() {
    let shop = shop();
    // On r2 it fails at once.
    let script = format!("case $CUTOVER_RELEASE in r2) exit 1;; esac; {DIARIST}");
    let follower = Follower::start(&shop, &["--overlap", "500ms"], &["sh", "-c", &script]);
    let first = runs_on(&shop, "r1");
    link(&shop, "r2");
    until("r2 to fail thrice", || follower.said().matches("on r2 ended by itself").count() >= 3);
    assert!(is_alive(first) && !follower.said().contains("is asked to finish"));
    link(&shop, "r3");
    let third = runs_on(&shop, "r3");
    until("the old one's end", || !is_alive(first));
    assert!(is_alive(third));
    let lines: Vec<(bool, String)> =
        diary(&shop).into_iter().map(|line| (line.begins, line.release)).collect();
    assert_eq!(lines[1..], [(true, "r3".to_owned()), (false, "r1".to_owned())], "the new one came first");
    assert_eq!(follower.stopped().0, Some(0));
}

/// A worker that nobody supervises any more: told to end, whatever comes of the test.
struct Orphan(i32);

impl Drop for Orphan {
    fn drop(&mut self) {
        kill(Pid::from_raw(self.0), Signal::SIGTERM).unwrap_or(());
    }
}

#[test]
fn a_supervisor_that_is_killed_leaves_a_worker_that_still_holds_its_release() {
    let shop = shop();
    let mut follower = Follower::of_diarist(&shop, &[]);
    let first = Orphan(runs_on(&shop, "r1"));
    follower.signal(Signal::SIGKILL);
    follower.ended();
    shop.ok(&["flip", "r2"]);
    shop.ok(&["flip", "r3"]);
    let said = shop.ok(&["prune", "--keep", "0"]);
    assert!(said.contains("r1  stays: release r1 is still in use (process "), "{said}");
    // One of those that hold it is named: the worker, or what it runs at this moment.
    let worker = format!("process {} (sh)", first.0);
    until("prune to name the worker", || {
        let said = shop.ok(&["prune", "--keep", "0"]);
        said.contains(&format!("r1  stays: release r1 is still in use ({worker})"))
    });
    until("status to name the worker", || shop.ok(&["status"]).contains(&format!("users    r1: {worker}")));
    drop(first);
    until("the worker's end", || diary(&shop).last().is_some_and(|line| !line.begins));
    until("r1 to go", || shop.ok(&["prune", "--keep", "0"]).contains("r1  deleted"));
}

#[test]
fn a_second_interrupt_does_not_wait_for_the_grace() {
    let shop = shop();
    let deaf = r#"trap '' TERM; echo "begin $CUTOVER_RELEASE $$" >> "$DIARY"; while :; do sleep 0.02; done"#;
    let mut follower = Follower::start(&shop, &["--grace", "1h"], &["sh", "-c", deaf]);
    let worker = runs_on(&shop, "r1");
    follower.signal(Signal::SIGINT);
    follower.says("told to stop by SIGINT");
    assert!(is_alive(worker));
    follower.signal(Signal::SIGINT);
    assert_eq!(follower.ended().code(), Some(137), "{}", follower.said());
    assert!(!is_alive(worker));
}

#[test]
fn as_the_first_process_of_a_container_it_reaps_what_nobody_else_does() {
    let shop = shop();
    // It ends well once it sees that none of its orphans is left, not even as a zombie.
    let script = r#"for n in 1 2 3 4 5; do sh -c 'setsid sleep 0.01 & exit 0'; done
        [ "$(cat /proc/1/comm)" = cutover ] || exit 8
        while grep -l "^State:.Z" /proc/[0-9]*/status 2>/dev/null || pgrep sleep; do :; done; exit 0"#;
    let mut command = std::process::Command::new("unshare");
    command.args(["--pid", "--fork", "--mount-proc", env!("CARGO_BIN_EXE_cutover"), "-C"]).arg(shop.root());
    command.args(["exec", "--follow", "--restart", "never", "--", "timeout", "30", "sh", "-c", script]);
    let out = command.output().unwrap();
    let said = String::from_utf8_lossy(&out.stderr);
    if said.contains("unshare:") {
        println!("skipped: exec::follow::as_the_first_process_of_a_container: {}", said.trim());
        return;
    }
    assert_eq!(out.status.code(), Some(0), "{said}");
}
