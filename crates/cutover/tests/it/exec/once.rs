//! A command that runs once: where, with what, and how it ends.

use std::os::unix::process::ExitStatusExt;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};

use super::Sets;
use crate::shop::Shop;
use insta::assert_snapshot;

/// `cutover -C <app> exec …`, not yet run.
pub fn exec(shop: &Shop, args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_cutover"));
    command.arg("-C").arg(shop.root()).arg("exec").args(args).stdin(Stdio::null());
    command
}

#[test]
fn a_command_runs_in_the_real_release_and_is_told_which_it_is() {
    let shop = Shop::with_live(&["r1", "r2"]);
    std::fs::create_dir(shop.path("releases/r2/public")).unwrap();
    let told = "echo $CUTOVER_RELEASE; echo $CUTOVER_RELEASE_ROOT; echo $PWD; pwd -P; cat index.html 2>&-";
    assert_snapshot!(shop.ok(&["exec", "--", "sh", "-c", told]), @"
    r2
    /srv/shop/releases/r2
    /srv/shop/releases/r2
    /srv/shop/releases/r2
    r2
    ");
    let told = "echo $CUTOVER_RELEASE_ROOT; pwd -P";
    assert_snapshot!(shop.ok(&["exec", "--chdir", "public", "--", "sh", "-c", told]), @"
    /srv/shop/releases/r2
    /srv/shop/releases/r2/public
    ");
    assert_eq!(shop.ok(&["exec", "--release", "r1", "--", "cat", "index.html"]), "r1");
}

#[test]
fn without_a_configuration_the_layout_is_enough_also_where_another_tool_made_it() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::create_dir_all(dir.path().join("releases/20261130120000")).unwrap();
    let release = dir.path().join("releases/20261130120000").canonicalize().unwrap();
    std::os::unix::fs::symlink(&release, dir.path().join("current")).unwrap();
    let out = Command::new(env!("CARGO_BIN_EXE_cutover"))
        .arg("-C")
        .arg(dir.path())
        .args(["exec", "--", "pwd", "-P"])
        .output()
        .unwrap();
    assert_eq!(String::from_utf8(out.stdout).unwrap().trim_end(), release.to_str().unwrap());
    assert!(!dir.path().join(".cutover").exists(), "nothing was written there");
}

#[test]
fn the_command_ends_as_it_ends() {
    let shop = Shop::with_live(&["r1"]);
    for code in [0, 1, 3, 42, 255] {
        let status = exec(&shop, &["--", "sh", "-c", &format!("exit {code}")]).status().unwrap();
        assert_eq!(status.code(), Some(code));
    }
    let status = exec(&shop, &["--", "sh", "-c", "kill -s USR1 $$"]).status().unwrap();
    assert_eq!(status.signal(), Some(10));
    // Nobody stands between: it is the very process that was started.
    let mut child = exec(&shop, &["--", "sleep", "600"]).spawn().unwrap();
    let comm = format!("/proc/{}/comm", child.id());
    super::until("the command", || std::fs::read_to_string(&comm).unwrap() == "sleep\n");
    child.kill().unwrap();
    assert_eq!(child.wait().unwrap().signal(), Some(9));
}

#[test]
fn what_cannot_be_run_is_said_with_the_codes_of_shells() {
    let shop = Shop::with_live(&["r1"]);
    std::fs::write(shop.path("releases/r1/strange"), "#!/usr/bin/no-such-interpreter\n").unwrap();
    let executable = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(shop.path("releases/r1/strange"), executable).unwrap();
    assert_snapshot!(shop.fails(127, &["exec", "--", "artisan"]), @"
    cutover: artisan is not to be found by PATH
      still: r1 is as it was
      next: if it is a file of the release: ./artisan
    ");
    assert_snapshot!(shop.fails(127, &["exec", "--", "bin/console"]), @"
    cutover: bin/console is not there, looked for in /srv/shop/releases/r1
      still: r1 is as it was
    ");
    assert_snapshot!(shop.fails(126, &["exec", "--", "./index.html"]), @"
    cutover: ./index.html must not be executed (looked for in /srv/shop/releases/r1): Permission denied (os error 13)
      still: r1 is as it was
    ");
    assert_snapshot!(shop.fails(126, &["exec", "--", "./strange"]), @"
    cutover: ./strange names in its first line a program that is not there
      still: r1 is as it was
    ");
    // A worker that cannot even be started once is no worker.
    assert_snapshot!(shop.fails(127, &["exec", "--follow", "--", "artisan"]), @"
    cutover: artisan is not to be found by PATH
      still: r1 is as it was
      next: if it is a file of the release: ./artisan
    ");
}

#[test]
fn without_a_release_nothing_is_run_and_the_code_is_125() {
    let shop = Shop::with_releases(&["r1"]);
    assert_snapshot!(shop.fails(125, &["exec", "--", "true"]), @"
    cutover: no release is live: /srv/shop/current is not there
      still: nothing was run
      next: `cutover flip RELEASE` or `cutover deploy` makes one live; --wait 5m waits for it
    ");
    assert_snapshot!(shop.fails(125, &["exec", "--follow", "--wait", "10ms", "--", "true"]), @"
    cutover: no release is live: /srv/shop/current is not there
      still: nothing was run
      next: `cutover flip RELEASE` or `cutover deploy` makes one live; --wait 5m waits for it
    ");
    std::os::unix::fs::symlink("releases/none", shop.path("current")).unwrap();
    assert_snapshot!(shop.fails(125, &["exec", "--", "true"]), @"
    cutover: no release is live: /srv/shop/current leads to /srv/shop/releases/none, which is not there
      still: nothing was run
      next: `cutover flip RELEASE` mends the link; --release RELEASE does without
    ");
    assert_snapshot!(shop.fails(125, &["exec", "--release", "r1", "--", "true"]), @"
    cutover: r1 is not sealed: nobody has said that it is complete
      still: nothing was run
      next: cutover seal r1, then flip again; or --force
    ");
    assert_snapshot!(shop.fails(125, &["exec", "--release", "r9", "--", "true"]), @"
    cutover: there is no release r9
      still: nothing was run
      next: `cutover releases` lists what there is
    ");
    shop.ok(&["seal", "r1"]);
    assert_eq!(shop.ok(&["exec", "--release", "r1", "--", "cat", "index.html"]), "r1");
    std::fs::write(shop.path("cutover.toml"), "[app]\nnaem = 'shop'\n").unwrap();
    assert!(shop.fails(125, &["exec", "--", "true"]).contains("naem"));
    for (directory, why) in
        [("../..", "leads out"), ("/etc", "leads out"), ("nowhere", "r1 has no directory nowhere")]
    {
        let shop = Shop::with_live(&["r1"]);
        let said = shop.fails(125, &["exec", "--chdir", directory, "--", "true"]);
        assert!(said.contains(why), "{said}");
    }
}

#[test]
fn a_command_may_wait_for_the_first_release() {
    let shop = Shop::with_releases(&["r1"]);
    shop.ok(&["seal", "r1"]);
    let waiting = exec(&shop, &["--wait", "1m", "--", "cat", "index.html"]).stdout(Stdio::piped()).spawn();
    let waiting = waiting.unwrap();
    shop.ok(&["flip", "r1"]);
    assert_eq!(waiting.wait_with_output().unwrap().stdout, b"r1");
}

/// While another tool flips as fast as it can. What a command is told, where it is, and what it reads, early and late,
/// is of one release.
#[test]
fn while_releases_flip_each_command_sees_one() {
    let commands = match std::env::var("CUTOVER_PROMISE").as_deref() {
        Ok("full") => 5_000,
        Ok(_) | Err(_) => 300,
    };
    let shop = Shop::with_live(&["r1", "r2"]);
    for id in ["r1", "r2"] {
        let release = shop.path("releases").join(id);
        std::fs::write(release.join("included.php"), format!("<?php return '{id}';")).unwrap();
        let page =
            "<?php echo getenv('CUTOVER_RELEASE'), ' ', basename(getcwd()), ' ', basename(__DIR__), ' ',
            basename(getenv('PWD')), ' ', basename(getenv('CUTOVER_RELEASE_ROOT')), ' ';
            usleep(random_int(0, 3000));
            echo include 'included.php', ' ', file_get_contents('index.html');";
        std::fs::write(release.join("page.php"), page).unwrap();
    }
    let over = AtomicBool::new(false);
    let (flips, seen) = std::thread::scope(|scope| {
        let flipper = scope.spawn(|| {
            let mut flips = 0_u32;
            while !over.load(Ordering::Relaxed) {
                let (new, id) = (shop.path("new"), ["r1", "r2"][flips as usize % 2]);
                std::os::unix::fs::symlink(format!("releases/{id}"), &new).unwrap();
                std::fs::rename(&new, shop.path("current")).unwrap();
                flips += 1;
                std::thread::sleep(std::time::Duration::from_micros(200));
            }
            flips
        });
        let over = Sets(&over);
        let mut seen = [0, 0];
        for at in 0..commands {
            // Every tenth is PHP, which is slower to start; the rest a shell.
            let told = "read -r early < index.html || :; late=$(cat index.html); \
                        echo $CUTOVER_RELEASE $(basename $(pwd -P)) $(basename $PWD) $early $late";
            let words = if at % 10 == 0 { ["php8.2", "page.php", ""] } else { ["sh", "-c", told] };
            let words: Vec<&str> = words.into_iter().filter(|word| !word.is_empty()).collect();
            let out = exec(&shop, &[&["--"], &words[..]].concat()).output().unwrap();
            let said = String::from_utf8(out.stdout).unwrap();
            let mut names: Vec<&str> = said.split_whitespace().collect();
            assert!(
                out.status.success() && names.len() >= 5,
                "{said}{}",
                String::from_utf8_lossy(&out.stderr)
            );
            names.dedup();
            assert_eq!(names.len(), 1, "parts of two releases: {said}");
            seen[usize::from(names[0] == "r2")] += 1;
        }
        drop(over);
        (flipper.join().unwrap(), seen)
    });
    println!("{commands} commands during {flips} flips: {} on r1, {} on r2, 0 mixed", seen[0], seen[1]);
    assert!(flips > commands && seen.iter().all(|count| *count > 0), "{flips} flips, {seen:?}");
}
