//! What goes well: deploys, and the commands that look and go back.

use std::os::unix::fs::PermissionsExt;

use super::web1::{Web1, rename};
use crate::shop::timeless;

#[test]
fn a_project_here_becomes_live_there_and_only_what_changed_is_sent() {
    let web1 = Web1::with("[hooks]\nbefore_flip = ['echo from $(basename $PWD)']\n");
    let said = web1.ok(&["deploy"]);
    assert!(said.contains("received 2 files, 10 B"), "{said}");
    assert!(said.contains("shop: ") && said.contains(" is live, nothing was before; "), "{said}");
    assert_eq!(web1.live_page(), "one");
    let first = web1.live();
    assert!(
        said.contains(&format!("flip     $ echo from $(basename $PWD)\n         | from {first}\n")),
        "{said}"
    );

    web1.page("two");
    let said = web1.ok(&["deploy"]);
    assert!(said.contains("received 1 files, 3 B"), "{said}");
    assert!(said.contains(&format!("{first} was")), "{said}");
    assert_eq!(web1.live_page(), "two");

    let same = web1.ok(&["deploy", "--only-if-changed"]);
    assert!(same.contains("received 0 files") && same.contains("nothing changed, "), "{same}");
}

#[test]
fn what_stands_there_under_another_name_is_not_sent_again() {
    let web1 = Web1::with("");
    web1.ok(&["deploy"]);
    let site = |name: &str| web1.path("project/site").join(name);
    rename(site("css/main.css"), site("css/moved.css"));
    std::fs::copy(site("index.html"), site("copy.html")).unwrap();
    rustix::fs::symlink("index.html", site("link.html")).unwrap();
    let said = web1.ok(&["deploy"]);
    assert!(said.contains("received 0 files"), "{said}");
    let live = |name: &str| std::fs::read_to_string(web1.root().join("current").join(name));
    assert_eq!(live("css/moved.css").unwrap(), "body {}");
    assert_eq!(live("copy.html").unwrap(), "one");
    assert_eq!(live("link.html").unwrap(), "one");
    assert!(live("css/main.css").is_err());
    // What was received is gone, but the live release still has it.
    std::fs::remove_dir_all(web1.root().join(".cutover/received")).unwrap();
    assert!(web1.ok(&["deploy"]).contains("received 0 files"));
    assert_eq!(live("css/moved.css").unwrap(), "body {}");
}

#[test]
fn a_tree_with_odd_names_modes_and_nothing_in_it_arrives_as_it_is() {
    use std::os::unix::ffi::OsStrExt;
    let web1 = Web1::with("");
    let site = web1.path("project/site");
    let odd = site.join(std::ffi::OsStr::from_bytes(b"a\nb \xff'\"$(x)"));
    std::fs::write(&odd, "").unwrap();
    std::fs::set_permissions(&odd, std::fs::Permissions::from_mode(0o751)).unwrap();
    std::fs::create_dir(site.join("empty")).unwrap();
    std::fs::write(site.join("large"), vec![7; 3_000_000]).unwrap();
    web1.ok(&["deploy"]);
    let live = web1.root().join("current");
    let there = live.join(odd.file_name().unwrap());
    assert_eq!(there.metadata().unwrap().permissions().mode() & 0o777, 0o751);
    assert!(live.join("empty").is_dir());
    assert_eq!(std::fs::read(live.join("large")).unwrap(), vec![7; 3_000_000]);
    // A file where a directory was, and the other way round.
    std::fs::remove_dir(site.join("empty")).unwrap();
    std::fs::write(site.join("empty"), "a file").unwrap();
    std::fs::remove_file(site.join("large")).unwrap();
    std::fs::create_dir(site.join("large")).unwrap();
    std::fs::remove_file(&odd).unwrap();
    web1.ok(&["deploy"]);
    assert_eq!(std::fs::read_to_string(live.join("empty")).unwrap(), "a file");
    assert!(live.join("large").is_dir() && live.join(odd.file_name().unwrap()).symlink_metadata().is_err());
}

#[test]
fn commands_say_from_here_what_they_say_there() {
    let web1 = Web1::with("");
    web1.ok(&["deploy"]);
    web1.page("two");
    web1.ok(&["deploy"]);
    let (one, two) = {
        let all = web1.ok(&["releases", "--json"]);
        let all: serde_json::Value = serde_json::from_str(&all).unwrap();
        let ids: Vec<String> = all["releases"]
            .as_array()
            .unwrap()
            .iter()
            .map(|one| one["id"].as_str().unwrap().into())
            .collect();
        assert_eq!(ids.len(), 2);
        let two = web1.live();
        (ids.into_iter().find(|id| *id != two).unwrap(), two)
    };
    for args in [
        &["status"][..],
        &["releases"],
        &["diff", &one, &two],
        &["prune", "--dry-run"],
        &["status", "--json"],
    ] {
        let (here, there) = (web1.run(args), web1.there(args));
        assert_eq!((here.code, here.err.as_str()), (0, ""), "{args:?}");
        assert_eq!(timeless(&here.out), timeless(&there.out), "{args:?}");
    }
    assert!(web1.ok(&["rollback"]).starts_with(&one), "{one}");
    assert_eq!(web1.live_page(), "one");
    assert!(web1.there(&["releases"]).out.contains("bad"));
    web1.ok(&["flip", &two]);
    assert_eq!(web1.live_page(), "two");
    web1.ok(&["lock", "--reason", "it's --json \"sale\""]);
    let refused = web1.fails(3, &["deploy"]);
    assert!(refused.contains("nobody may deploy: it's --json \"sale\" (alice@"), "{refused}");
    web1.ok(&["unlock"]);
    web1.ok(&["prune", "--keep", "1"]);
    // The app's directory there is enough to be asked about.
    let elsewhere = tempfile::tempdir().unwrap();
    let to = format!("web1:{}", web1.root().display());
    let mut asked = web1.command(&["status", "--to", &to]);
    // Nothing stands there yet that could be started by its hash: it is put.
    let asked = asked.current_dir(elsewhere.path()).output().unwrap();
    assert!(String::from_utf8_lossy(&asked.stdout).contains("is live"), "{asked:?}");
}

#[test]
fn the_configuration_that_was_sent_is_found_there_and_works_there() {
    let web1 = Web1::with("[hooks]\nafter_flip = ['echo hook ran']\n");
    web1.ok(&["deploy"]);
    let kept = web1.root().join(".cutover/sent.toml");
    assert_eq!(kept.metadata().unwrap().permissions().mode() & 0o777, 0o600);
    web1.page("two");
    web1.ok(&["deploy"]);
    // Although it names a [[host]], who is logged in there means there.
    let back = web1.there(&["rollback"]);
    assert!(back.code == 0 && back.out.contains("| hook ran"), "{}{}", back.out, back.err);
    assert_eq!(web1.live_page(), "one");
    // One that stands there itself goes first, and a deploy says so.
    std::fs::write(web1.root().join("cutover.toml"), "[app]\nname = 'other'\n").unwrap();
    assert!(web1.there(&["status"]).out.starts_with("other: "));
    let said = web1.ok(&["deploy"]);
    assert!(said.contains("warning: /srv/shop/cutover.toml is another one"), "{said}");
}

#[test]
fn for_programs_the_events_of_both_sides_are_one_stream() {
    let web1 = Web1::with("");
    web1.configure(&format!(
        "build = ['echo built here > made']\n[[host]]\nssh = 'web1'\nprogram = '{}'\n",
        env!("CARGO_BIN_EXE_cutover")
    ));
    let lines: Vec<serde_json::Value> = web1
        .ok(&["deploy", "--json"])
        .lines()
        .map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}")))
        .collect();
    let events: Vec<&str> = lines.iter().filter_map(|line| line["event"].as_str()).collect();
    assert_eq!((events.first(), events.last()), (Some(&"begins"), Some(&"ended")));
    assert!(lines.iter().any(|line| line["command"] == "echo built here > made"), "{lines:?}");
    let answer = lines.last().unwrap();
    assert_eq!((&answer["ending"], &answer["live"]), (&"live".into(), &answer["release"]));
    assert!(web1.root().join("current/made").is_file());
    assert!(!web1.path("project/site/made").exists(), "the source is as it was");
}

#[test]
fn a_failing_build_here_and_a_failing_hook_there_leave_the_old_release_live() {
    let web1 = Web1::with("");
    web1.ok(&["deploy"]);
    web1.page("two");
    let program = env!("CARGO_BIN_EXE_cutover");
    let host = format!("[[host]]\nssh = 'web1'\nprogram = '{program}'\n");
    web1.configure(&format!("build = ['echo no composer; exit 9']\n{host}"));
    let ran = web1.run(&["deploy"]);
    assert_eq!(ran.code, 1);
    assert!(
        ran.out.contains("| no composer") && ran.err.contains("failed at build"),
        "{}{}",
        ran.out,
        ran.err
    );
    assert!(ran.err.contains("is still live"), "{}", ran.err);
    web1.configure(&format!("{host}[hooks]\nafter_stage = ['exit 4']\n"));
    assert!(web1.fails(1, &["deploy"]).contains("failed at stage"));
    assert_eq!(web1.live_page(), "one");
    // Nobody is locked out by what failed.
    web1.configure(&host);
    web1.ok(&["deploy"]);
    assert_eq!(web1.live_page(), "two");
}

#[test]
fn a_plan_from_here_says_what_a_deploy_would_do_there_and_sends_nothing() {
    let web1 = Web1::with("[hooks]\nbefore_flip = ['true']\n");
    web1.ok(&["deploy"]);
    web1.page("two");
    std::fs::write(web1.path("project/site/new.html"), "new").unwrap();
    std::fs::remove_file(web1.path("project/site/css/main.css")).unwrap();
    let said = web1.ok(&["plan"]);
    for line in [
        "shop: from alice@",
        "adds 1 files\n  new.html",
        "changes 1 files\n  index.html",
        "removes 1 files\n  css/main.css",
        "0 files stay as they are; 6 new bytes",
        "runs before_flip: true",
    ] {
        assert!(said.contains(line), "{line}: {said}");
    }
    let json: serde_json::Value = serde_json::from_str(&web1.ok(&["plan", "--json"])).unwrap();
    assert_eq!(json["added"][0]["path"], "new.html");
    assert_eq!(web1.live_page(), "one");
    assert!(web1.root().join(".cutover/received/tree/css/main.css").exists());
}
