//! Trees of other tools are taken over as they are, and handed back as they were.

use std::path::Path;
use std::time::Duration;

use config::Config;
use deploy::adopt::standing::Standing;
use deploy::adopt::survey::{Survey, SurveyError};
use deploy::adopt::{self, AdoptError, Adopted, Tool, books, scheme, undo};
use release::history::{self, What};
use release::lock::DeployLock;
use release::{App, ReleaseId, Target, flip, manifest};

use crate::trees::{CAPISTRANO, DEPLOYER, Tree};

fn id(name: &str) -> ReleaseId {
    ReleaseId::parse(name).unwrap()
}

fn survey(tree: &Tree) -> Survey {
    adopt::survey(tree.root(), None, &[]).unwrap()
}

fn lock(app: &App) -> DeployLock {
    DeployLock::take(app, Duration::ZERO).unwrap()
}

fn adopt_it(survey: &Survey) -> Result<Adopted, AdoptError> {
    let (_, text) = adopt::config(survey, "shop").unwrap();
    adopt::adopt(&lock(&survey.app), survey, &text, "test@here", &mut |_| {})
}

/// `1 good, 2 live`, by the last digit of each name.
fn standings(survey: &Survey) -> String {
    let told = survey.releases.iter().map(|found| {
        let name = found.id.as_str().trim_end_matches('Z');
        format!("{} {}", &name[name.len() - 1..], found.standing.word())
    });
    told.collect::<Vec<_>>().join(", ")
}

fn config_of(tree: &Tree) -> Config {
    Config::read(&tree.path("cutover.toml")).unwrap()
}

#[test]
fn a_tree_of_capistrano_is_adopted_with_what_its_log_proves() {
    let tree = Tree::made_by(CAPISTRANO);
    let before = tree.everything();
    let survey = survey(&tree);
    assert_eq!(
        (survey.tool, survey.by.as_slice()),
        (Tool::Capistrano, ["revisions.log".to_owned()].as_slice())
    );
    assert_eq!(standings(&survey), "3 unknown, 1 good, 2 good, 4 live");
    let adopted = adopt_it(&survey).unwrap();
    assert_eq!(adopted.sealed, ["1", "2", "4"].map(|n| id(&format!("2026112210150{n}"))));

    let app = &survey.app;
    let events = history::read(app).unwrap();
    let live = id("20261122101504");
    assert_eq!(history::last_live(&events), Some(&live));
    let good = ["20261122101502", "20261122101501"].map(id);
    assert_eq!(history::good_before(&events, &live), good);
    assert!(manifest::sealed(app, &id("20261122101503")).is_err());

    let config = config_of(&tree);
    assert_eq!(config.host.app.shared_dirs, [Path::new("storage")]);
    assert_eq!(config.host.app.shared_files, [Path::new(".env")]);
    assert_eq!(config.says.docroot, Path::new("public"));
    let text = tree.read("cutover.toml");
    assert!(text.contains("git = \"git@example.com:shop.git\"\nref = \"main\"\n"), "{text}");

    // All that was there is there, but for the root's own time of change.
    let after = tree.everything();
    for (path, was) in &before {
        assert!(path.as_os_str().is_empty() || after.get(path) == Some(was), "{}", path.display());
    }
}

#[test]
fn what_was_adopted_is_handed_back_exactly() {
    for script in [
        CAPISTRANO.to_owned(),
        format!("{CAPISTRANO}\n{CAPISTRANO_LITTER}"),
        DEPLOYER.to_owned(),
        ENVOYER.to_owned(),
    ] {
        let tree = Tree::made_by(&script);
        let before = tree.everything();
        let survey = survey(&tree);
        adopt_it(&survey).unwrap();
        assert_ne!(tree.everything(), before);
        let back = adopt::undo(lock(&survey.app)).unwrap();
        assert_eq!((back.tool, back.kept), (survey.tool, None));
        assert_eq!(tree.everything(), before, "{}", survey.tool);
        let error = adopt::undo(lock(&survey.app)).unwrap_err();
        assert!(matches!(error, undo::UndoError::NotAdopted(_)), "{error}");
    }
}

/// R1: killed between `ln` and `mv`; the next deploy's link then goes into the old release, and the old one goes live.
const CAPISTRANO_LITTER: &str = r#"
ln -s $D/releases/20261122101502 releases/20261122101504/20261122101502
ln -s $D/releases/20261122101503 releases/current
touch -h -d '1 hour ago' releases/current
"#;

#[test]
fn litter_is_removed_and_the_times_that_capistrano_goes_by_are_kept() {
    let tree = Tree::made_by(&format!(
        "{CAPISTRANO}\n{CAPISTRANO_LITTER}\ntouch -d '2 hours ago' releases/20261122101504"
    ));
    let before = tree.everything();
    let survey = survey(&tree);
    // Its flip went astray, so the log's word is no proof.
    assert_eq!(standings(&survey), "3 unknown, 2 unknown, 1 good, 4 live");
    let adopted = adopt_it(&survey).unwrap();
    let removed: Vec<_> = adopted.removed.iter().map(|path| path.to_str().unwrap()).collect();
    assert_eq!(removed, ["releases/current", "releases/20261122101504/20261122101502"]);
    let after = tree.everything();
    for path in ["releases", "releases/20261122101504", "releases/20261122101503"] {
        assert_eq!(after.get(Path::new(path)), before.get(Path::new(path)), "{path}");
    }
}

#[test]
fn what_only_looks_like_litter_is_left() {
    let tree = Tree::made_by(
        &format!(
            "{CAPISTRANO}
ln -s $D/releases/20261122101503 releases/current
ln -s $D/elsewhere releases/20261122101504/20261122101501
mkdir releases/20261122101504/20261122101502
ln -s releases/20261122101503 release
mkdir '$D/releases/a b'
"
        )
        .replace("'$D/releases/a b'", "\"$D/releases/a b\""),
    );
    let survey = survey(&tree);
    assert_eq!(survey.litter, []);
    assert_eq!(survey.young.len(), 1, "a flip that may be under way");
    assert_eq!(survey.nameless, ["a b"]);
    let before = tree.everything();
    assert_eq!(adopt_it(&survey).unwrap().removed, [] as [&Path; 0]);
    let after = tree.everything();
    assert!(before.iter().all(|(path, was)| path.as_os_str().is_empty() || after.get(path) == Some(was)));
}

#[test]
fn who_was_rolled_back_from_is_bad_and_a_deploy_that_the_link_denies_proves_nothing() {
    let back = format!(
        "{CAPISTRANO}
ln -s $D/releases/20261122101502 releases/current; mv releases/current $D
echo 'deploy rolled back to release 20261122101502' >> revisions.log"
    );
    let tree = Tree::made_by(&back);
    assert_eq!(standings(&survey(&tree)), "3 unknown, 1 good, 4 bad, 2 live");
    tree.sh("ln -s $D/releases/20261122101501 releases/current; mv releases/current $D");
    let denied = survey(&tree);
    assert_eq!(standings(&denied), "3 unknown, 4 bad, 2 good, 1 live");
    adopt_it(&denied).unwrap();
    let events = history::read(&denied.app).unwrap();
    assert_eq!(history::verdict(&events, &id("20261122101504")), Some(What::Bad));
    assert_eq!(history::last_live(&events), Some(&id("20261122101501")));

    let denied = Tree::made_by(&format!("{CAPISTRANO}\nln -sfn $D/releases/20261122101502 current"));
    assert_eq!(standings(&survey(&denied)), "3 unknown, 4 unknown, 1 good, 2 live");
}

#[test]
fn a_tree_of_deployer_is_adopted_and_its_log_is_no_proof() {
    let tree = Tree::made_by(DEPLOYER);
    let survey = survey(&tree);
    assert_eq!(survey.tool, Tool::Deployer);
    assert_eq!(standings(&survey), "1 unknown, 3 unknown, 2 live");
    let adopted = adopt_it(&survey).unwrap();
    assert_eq!((adopted.sealed, adopted.removed), (vec![id("2")], vec!["release".into()]));
    assert_eq!(config_of(&tree).host.app.shared_dirs, [Path::new("storage")]);

    let vouched = Tree::made_by(DEPLOYER);
    let survey = adopt::survey(vouched.root(), None, &[id("1")]).unwrap();
    assert_eq!(standings(&survey), "3 unknown, 1 good, 2 live");
    assert!(matches!(adopt::survey(vouched.root(), None, &[id("7")]), Err(SurveyError::NoRelease(_))));
    vouched.sh("echo 2026,alice > releases/1/BAD_RELEASE");
    let survey = adopt::survey(vouched.root(), None, &[]).unwrap();
    assert_eq!(survey.releases.iter().filter(|found| found.standing == Standing::Bad).count(), 1);
}

#[test]
fn a_lock_of_the_other_tool_is_respected() {
    let tree = Tree::made_by(&format!("{DEPLOYER}\necho -n alice > .dep/deploy.lock"));
    let before = tree.everything();
    let error = adopt_it(&survey(&tree)).unwrap_err();
    assert!(error.to_string().ends_with(".dep/deploy.lock says that alice is deploying"), "{error}");
    assert_eq!(std::fs::read_link(tree.path("release")).unwrap(), Path::new("releases/3"));
    assert!(before.keys().all(|path| tree.root().join(path).symlink_metadata().is_ok()));
}

#[test]
fn flips_of_ours_are_noted_as_the_other_tool_would_and_keep_its_style_of_link() {
    let tree = Tree::made_by(CAPISTRANO);
    let survey = survey(&tree);
    let app = &survey.app;
    let note = |to: &str, back| {
        let to = id(to);
        let target = Target::Sealed(manifest::sealed(app, &to).unwrap());
        flip(app, target).unwrap();
        books::flipped(app, &books::Flip { to: &to, back, commit: None, branch: Some("main"), who: "bob" })
            .unwrap();
    };
    adopt_it(&survey).unwrap();
    let log = tree.read("revisions.log");
    note("20261122101502", true);
    note("20261122101504", false);
    let noted = "bob rolled back to release 20261122101502\nBranch main (at dddd) deployed as release 20261122101504 by bob\n";
    assert_eq!(tree.read("revisions.log"), log + noted);
    assert_eq!(std::fs::read_link(tree.path("current")).unwrap(), tree.path("releases/20261122101504"));
    let next = scheme::next(app, &[id("20991122101504")], jiff::Timestamp::now()).unwrap();
    assert_eq!(next, Some(id("20991122101505")));

    let tree = Tree::made_by(&format!("{DEPLOYER}\nln .dep/latest_release latest"));
    let survey = adopt::survey(tree.root(), None, &[]).unwrap();
    adopt_it(&survey).unwrap();
    let known = ["1", "2", "3"].map(id);
    let next = scheme::next(&survey.app, &known, jiff::Timestamp::now()).unwrap().unwrap();
    assert_eq!(next, id("4"));
    tree.sh("cp -a releases/2 releases/4");
    manifest::seal(&survey.app, &next).unwrap();
    let sealed = manifest::sealed(&survey.app, &next).unwrap();
    flip(&survey.app, Target::Sealed(sealed)).unwrap();
    for _ in 0..2 {
        let flip = books::Flip { to: &next, back: false, commit: None, branch: Some("main"), who: "bob" };
        books::flipped(&survey.app, &flip).unwrap();
    }
    assert_eq!(tree.read(".dep/latest_release"), "4\n");
    // The same file: a new one might not be Deployer's to write.
    tree.sh("test .dep/latest_release -ef latest");
    let log = tree.read(".dep/releases_log");
    assert_eq!(log.lines().count(), 4, "{log}");
    assert!(log.lines().last().unwrap().contains("\"release_name\":\"4\""), "{log}");
    assert_eq!(std::fs::read_link(tree.path("current")).unwrap(), Path::new("releases/4"));
}

/// Envoyer keeps `storage` and `.env` beside the link.
const ENVOYER: &str = r#"
mkdir -p storage/app releases; echo secret > .env
for n in 1 2; do
  R=$D/releases/2026112210150$n; mkdir -p $R/public; echo $n > $R/public/index.php
  ln -s $D/storage $R/storage; ln -s $D/.env $R/.env
  ln -s $R $D/new; mv -T $D/new $D/current
done
"#;

#[test]
fn what_envoyer_keeps_beside_the_link_is_shared() {
    let tree = Tree::made_by(ENVOYER);
    let survey = survey(&tree);
    assert_eq!((survey.tool, standings(&survey).as_str()), (Tool::Envoyer, "1 unknown, 2 live"));
    adopt_it(&survey).unwrap();
    let config = config_of(&tree);
    assert_eq!(config.host.app.shared_dirs, [Path::new("storage")]);
    assert_eq!(config.host.app.shared_files, [Path::new(".env")]);
    assert_eq!(tree.read("shared/.env"), "secret\n");
    assert!(tree.path("shared/storage/app").is_dir());
}

#[test]
fn trees_of_ansistrano_mina_and_nobody_are_known_too() {
    let release = |name: &str, mark: &str, link: &str| {
        format!(
            "mkdir -p releases/{name}; echo x > releases/{name}/{mark}; ln -sfn {link}releases/{name} current\n"
        )
    };
    let ansistrano = Tree::made_by(&release("20261122101501Z", "REVISION", "./"));
    assert_eq!(survey(&ansistrano).tool, Tool::Ansistrano);
    let mina = Tree::made_by(&release("1", ".mina_git_revision", "$D/"));
    let seen = survey(&mina);
    assert_eq!(seen.tool, Tool::Mina);
    adopt_it(&seen).unwrap();
    let next = scheme::next(&seen.app, &[id("1")], jiff::Timestamp::now()).unwrap();
    assert_eq!(next, Some(id("2")));
    let nobody = Tree::made_by(&format!("{}mv current latest", release("v1", "x", "")));
    let seen = survey(&nobody);
    assert_eq!((seen.tool, seen.app.link().file_name()), (Tool::Other, Some("latest".as_ref())));
    adopt_it(&seen).unwrap();
    assert_eq!(config_of(&nobody).host.app.link, Path::new("latest"));
}

#[test]
fn trees_that_cannot_be_adopted_are_refused_with_the_reason() {
    let cases = [
        ("true", "it has no directory releases/"),
        ("mkdir releases", "no link in it leads into releases/"),
        ("mkdir -p releases/1; ln -s releases/1 a; ln -s releases/1 b", "several links"),
        ("mkdir -p releases/1; ln -s releases/2 current", "which is not there"),
        ("mkdir -p releases/1 current", "is a directory, not a link"),
        ("mkdir -p releases/1 other; ln -s other current", "outside of releases/"),
    ];
    for (script, why) in cases {
        let tree = Tree::made_by(script);
        let before = tree.everything();
        let error = adopt::survey(tree.root(), None, &[]).unwrap_err();
        assert!(error.to_string().contains(why), "{script}: {error}");
        assert_eq!(tree.everything(), before, "{script}");
    }
    let tree = Tree::made_by(&format!("{CAPISTRANO}\ntouch cutover.toml"));
    let error = adopt_it(&survey(&tree)).unwrap_err();
    assert!(matches!(error, AdoptError::Configured(_)), "{error}");
}

#[test]
fn a_file_that_was_changed_since_is_left_when_the_tree_is_handed_back() {
    let tree = Tree::made_by(CAPISTRANO);
    let survey = survey(&tree);
    adopt_it(&survey).unwrap();
    tree.sh("echo '# mine' >> cutover.toml; echo x > shared/.env");
    let back = adopt::undo(lock(&survey.app)).unwrap();
    assert_eq!(back.kept, Some(tree.path("cutover.toml")));
    assert!(!tree.path(".cutover").exists() && tree.path("releases/20261122101504").exists());
}
