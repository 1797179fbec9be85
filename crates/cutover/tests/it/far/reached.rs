//! How a host is reached: our program is put there, and hosts that cannot be reached or used say why.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use nix::sys::signal::Signal;

use super::web1::{Web1, signal};

fn put(web1: &Web1) -> Vec<PathBuf> {
    let bin = web1.path("cache/cutover/bin");
    let list = |dir: PathBuf| std::fs::read_dir(dir).into_iter().flatten().map(|entry| entry.unwrap().path());
    list(bin).flat_map(list).collect()
}

#[test]
fn our_program_is_put_there_once_and_again_when_it_is_not_what_it_was() {
    let web1 = Web1::bare("");
    let said = web1.ok(&["deploy"]);
    assert!(said.contains("puts cutover onto web1, "), "{said}");
    let there = put(&web1);
    assert_eq!(there.len(), 1, "{there:?}");
    assert_eq!(there[0].metadata().unwrap().permissions().mode() & 0o777, 0o700);
    assert!(std::fs::read(&there[0]).unwrap() == std::fs::read(env!("CARGO_BIN_EXE_cutover")).unwrap());
    assert!(!web1.ok(&["status"]).contains("puts cutover"));
    // What it makes is not closed to the web server, though it itself is to others.
    let mode = |name: &str| web1.root().join(name).metadata().unwrap().permissions().mode() & 0o777;
    assert_eq!((mode("releases"), mode("current/index.html")), (0o755, 0o644));

    // Cut short, as by a full disk.
    replace(&there[0], b"#!/bin/sh\n");
    assert!(web1.ok(&["status"]).contains("puts cutover onto web1"));
    // As long as it was, and no program.
    let length = std::fs::metadata(&there[0]).unwrap().len();
    replace(&there[0], &vec![b'x'; length as usize]);
    assert!(web1.ok(&["status"]).contains("puts cutover onto web1"));
    assert!(!web1.ok(&["status"]).contains("puts cutover"));
    assert_eq!(put(&web1).len(), 1, "nothing is left of what was half put");
}

/// In a new file: the one that is there may still run for a moment, and cannot be written to then.
fn replace(path: &Path, bytes: &[u8]) {
    std::fs::remove_file(path).unwrap();
    std::fs::write(path, bytes).unwrap();
    std::fs::set_permissions(path, PermissionsExt::from_mode(0o700)).unwrap();
}

#[test]
fn a_host_that_cannot_be_reached_says_so_with_what_ssh_says() {
    let web1 = Web1::with("");
    let said = web1.fails(1, &["deploy", "--to", "nowhere"]);
    assert!(said.starts_with("cutover: cannot reach nowhere: "), "{said}");
    assert!(
        said.contains("still: nothing was changed on nowhere") && said.contains("try `ssh nowhere true`"),
        "{said}"
    );
    std::fs::write(web1.path("authorized"), "").unwrap();
    let said = web1.fails(1, &["deploy"]);
    assert!(said.contains("cannot reach web1") && said.contains("Permission denied"), "{said}");
    web1.write("known", "");
    let said = web1.fails(1, &["status"]);
    assert!(said.contains("Host key verification failed"), "{said}");
}

#[test]
fn ctrl_c_while_a_host_does_not_answer_ends_it() {
    let web1 = Web1::with("");
    let near = web1.begin(&["deploy", "--to", "silent"]);
    web1.wait_for("called");
    signal(near.id(), Signal::SIGINT);
    let ended = near.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&ended.stderr);
    assert_eq!(ended.status.code(), Some(1), "{said}");
    assert!(said.contains("stopped before silent answered"), "{said}");
}

#[test]
fn what_a_login_prints_is_passed_over_and_what_comes_instead_of_us_is_shown() {
    let web1 = Web1::with("");
    // bash reads it for commands of ssh too; other shells do not, and then there is nothing to pass over.
    std::fs::write(web1.path("home/.bashrc"), "echo Welcome to web1; printf 'no line'; echo oh >&2\n")
        .unwrap();
    web1.ok(&["deploy"]);
    let config = std::fs::read_to_string(web1.path("sshd_config")).unwrap();
    web1.write("sshd_config", &format!("{config}\nForceCommand echo This account is not available.\n"));
    let said = web1.fails(1, &["deploy"]);
    assert!(said.contains("web1 did not answer as it should; it printed \""), "{said}");
    assert!(said.contains("This account is not available."), "{said}");
    web1.write("sshd_config", &format!("{config}\nForceCommand cat /dev/zero\n"));
    assert!(web1.fails(1, &["status"]).contains("did not answer as it should"));
}

#[test]
fn a_host_where_our_program_cannot_be_put_or_run_says_why() {
    // No directory can be made below a file.
    let web1 = Web1::bare("");
    std::fs::remove_dir(web1.path("cache")).unwrap();
    std::fs::write(web1.path("cache"), "").unwrap();
    let said = web1.fails(1, &["deploy"]);
    assert!(said.contains("cannot put cutover onto web1: ") && said.contains("Not a directory"), "{said}");
    assert!(said.contains("still: nothing was changed on web1"), "{said}");

    // Another kind of machine.
    let web1 = Web1::bare("");
    let fake = web1.path("fake");
    std::fs::create_dir(&fake).unwrap();
    std::fs::write(fake.join("uname"), "#!/bin/sh\necho SunOS sparc\n").unwrap();
    std::fs::set_permissions(fake.join("uname"), std::fs::Permissions::from_mode(0o755)).unwrap();
    let config = std::fs::read_to_string(web1.path("sshd_config")).unwrap();
    let path = format!("LANG=C PATH={}:/usr/bin:/bin", fake.display());
    web1.write("sshd_config", &config.replace("LANG=C", &path));
    let said = web1.fails(1, &["deploy"]);
    assert!(said.contains("web1 is SunOS sparc, and this cutover is for Linux "), "{said}");
    assert!(said.contains("[[host]] program ="), "{said}");

    // A program that is named and is not there.
    let web1 = Web1::with("");
    web1.configure("[[host]]\nssh = 'web1'\nprogram = '/nowhere/cutover'\n");
    let said = web1.fails(1, &["deploy"]);
    assert!(said.contains("cutover does not run on web1: ") && said.contains("/nowhere/cutover"), "{said}");
}

#[test]
fn what_makes_no_sense_is_refused_before_anybody_is_called() {
    let web1 = Web1::with("");
    for (args, said) in [
        (&["serve", "--to", "web1"][..], "this command works on this machine only"),
        (&["deploy", "--to=-oProxyCommand=x"], "--to wants user@host"),
        (&["deploy", "--to", "web1", "--local"], "cannot be used together"),
        (&["deploy", "--to", "web1:/srv/shop"], "a deploy needs a cutover.toml on this side"),
    ] {
        let told = web1.fails(2, args);
        assert!(told.contains(said), "{args:?}: {told}");
    }
    web1.write(
        "project/cutover.toml",
        "[app]\nroot = 'shop'\n[source]\ndir = 'site'\n[[host]]\nssh = 'web1'\n",
    );
    assert!(web1.fails(2, &["deploy"]).contains("app.root has to say where the app is on web1"));
    // Here, all the same: the host is not asked.
    web1.ok(&["deploy", "--local"]);
    assert!(web1.path("project/shop/current").exists());
    web1.write(
        "project/cutover.toml",
        "[app]\nroot = '/srv/shop'\n[[host]]\nssh = 'a'\n[[host]]\nssh = 'b'\n",
    );
    assert!(web1.fails(2, &["status"]).contains("names several hosts"));
}
