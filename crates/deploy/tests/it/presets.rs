//! Each kind of project is recognised by a skeleton of it, and what is written for it can be read.

use std::path::{Path, PathBuf};

use config::Config;
use config::host::Origin;
use deploy::init::{Guess, Place, Sure, guess, write};

/// A tree with these files; `path: text` gives a file its content.
fn tree(files: &[&str]) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    for file in files {
        let (path, text) = file.split_once(": ").unwrap_or((file, ""));
        let path = dir.path().join(path);
        if file.ends_with('/') {
            std::fs::create_dir_all(path).unwrap();
            continue;
        }
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }
    dir
}

fn look(files: &[&str]) -> (tempfile::TempDir, Guess) {
    let dir = tree(files);
    let guess = guess(&[dir.path().to_owned()]).unwrap();
    (dir, guess)
}

fn place() -> Place {
    Place { name: "shop".into(), source: vec!["dir = \".\"".into()], ..Place::default() }
}

fn parse(text: &str) -> Config {
    let file = Path::new("/srv/shop/cutover.toml");
    Config::parse(text, file).unwrap_or_else(|error| panic!("{error}\n{text}"))
}

/// The text with every comment that holds a key taken off.
fn uncommented(text: &str) -> String {
    let mut lines = Vec::new();
    let mut list = false;
    for line in text.lines() {
        let Some(bare) = line.strip_prefix("# ") else {
            lines.push(line);
            continue;
        };
        let key = bare.split(" = ").next().filter(|key| *key != bare).unwrap_or_default();
        let is_key = !key.is_empty() && key.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
        if list || is_key || bare.starts_with('[') {
            lines.push(bare);
            list = (list || bare.ends_with('[')) && bare != "]";
        }
    }
    lines.join("\n")
}

/// Name, files of the skeleton, docroot, shared directories, shared files, front controller.
type Row = (
    &'static str,
    &'static [&'static str],
    &'static str,
    &'static [&'static str],
    &'static [&'static str],
    Option<&'static str>,
);

#[rustfmt::skip]
const KINDS: &[Row] = &[
    ("Laravel", &["artisan", "bootstrap/app.php", "public/index.php", "composer.json: \"laravel/framework\"", "vite.config.js", "package.json: \"vite\""],
        "public", &["storage"], &[".env"], Some("index.php")),
    ("Statamic", &["please", "artisan", "bootstrap/app.php", "public/index.php", "composer.json: \"statamic/cms\""],
        "public", &["storage"], &[".env"], Some("index.php")),
    ("Symfony", &["bin/console", "config/bundles.php", "public/index.php", "symfony.lock", "migrations/"],
        "public", &["var/log", "var/sessions"], &[".env.local"], Some("index.php")),
    ("WordPress (Bedrock)", &["web/app/", "web/wp/wp-load.php", "web/wp-config.php", "web/index.php", "config/application.php"],
        "web", &["web/app/uploads"], &[".env"], Some("index.php")),
    ("WordPress", &["wp-load.php", "wp-includes/version.php", "wp-settings.php", "wp-content/themes/", "index.php"],
        "", &["wp-content/uploads"], &["wp-config.php"], Some("index.php")),
    ("WordPress", &["web/wp-load.php", "web/index.php", "README"],
        "web", &["web/wp-content/uploads"], &["web/wp-config.php"], Some("index.php")),
    ("Drupal", &["web/core/lib/Drupal.php", "web/index.php", "composer.json: \"drupal/core-recommended\""],
        "web", &["web/sites/default/files"], &["web/sites/default/settings.php"], Some("index.php")),
    ("Drupal", &["core/lib/Drupal.php", "index.php"],
        "", &["sites/default/files"], &["sites/default/settings.php"], Some("index.php")),
    ("Magento", &["bin/magento", "app/etc/di.xml", "pub/index.php", "index.php", "composer.json: \"magento/product-community-edition\""],
        "pub", &["pub/media", "var/log", "var/session", "var/export", "var/import", "var/report"], &["app/etc/env.php"], Some("index.php")),
    ("MediaWiki", &["includes/Setup.php", "load.php", "api.php", "index.php"],
        "", &["images"], &["LocalSettings.php"], None),
    ("DokuWiki", &["doku.php", "inc/init.php", "index.php", "data/pages/"],
        "", &["data", "conf"], &[], None),
    ("CakePHP", &["bin/cake", "webroot/index.php", "index.php", "composer.json: \"cakephp/cakephp\"", "config/Migrations/"],
        "webroot", &["logs", "tmp/sessions"], &["config/app_local.php"], Some("index.php")),
    ("CodeIgniter", &["spark", "app/Config/App.php", "public/index.php", "composer.json"],
        "public", &["writable/logs", "writable/session", "writable/uploads"], &[".env"], Some("index.php")),
    ("CodeIgniter", &["application/config/config.php", "application/logs/", "application/cache/", "system/core/CodeIgniter.php", "index.php"],
        "", &["application/logs"], &[], Some("index.php")),
    ("Craft CMS", &["craft", "config/general.php", "web/index.php", "composer.json: \"craftcms/cms\""],
        "web", &["storage", "web/cpresources"], &[".env"], Some("index.php")),
    ("TYPO3", &["composer.json: \"typo3/cms-core\"", "public/index.php", "public/typo3/", "config/system/"],
        "public", &["public/fileadmin", "public/typo3temp/assets", "var/log", "var/session", "var/lock"], &["config/system/settings.php"], Some("index.php")),
    ("Joomla", &["administrator/components/", "libraries/src/", "includes/framework.php", "index.php"],
        "", &["images", "administrator/logs", "media/upload"], &["configuration.php"], Some("index.php")),
    ("plain PHP", &["public/index.php", "src/shop.php", "composer.json"], "public", &[], &[], Some("index.php")),
    ("plain PHP", &["index.php"], "", &[], &[], Some("index.php")),
    ("Hugo", &["hugo.toml", "content/a.md", "public/index.html"], "public", &[], &[], None),
    ("Jekyll", &["_config.yml", "_posts/2026-11-22-a.md", "Gemfile: gem 'jekyll'", "index.html"], "_site", &[], &[], None),
    ("Vite", &["vite.config.ts", "package.json: \"vite\"", "index.html"], "dist", &[], &[], None),
    ("CGI", &["htdocs/cgi-bin/count", "htdocs/index.html"], "htdocs", &[], &[], None),
    ("static files", &["index.html", "style.css"], "", &[], &[], None),
    ("static files", &["build/index.html"], "build", &[], &[], None),
];

#[test]
fn each_kind_of_project_is_recognised_and_gets_a_file_that_can_be_read() {
    for (name, files, docroot, dirs, shared_files, front) in KINDS {
        let (_dir, guess) = look(files);
        assert_eq!(guess.preset.name, *name, "{}", guess.told());
        assert!(matches!(guess.sure, Sure::Recognised { .. }), "{name}: {:?}", guess.sure);
        let text = write(&guess, &place());
        let config = parse(&text);
        let paths =
            |paths: &[PathBuf]| paths.iter().map(|path| path.display().to_string()).collect::<Vec<_>>();
        assert_eq!(config.says.docroot, PathBuf::from(docroot), "{name}");
        assert_eq!(paths(&config.host.app.shared_dirs), *dirs, "{name}");
        assert_eq!(paths(&config.host.app.shared_files), *shared_files, "{name}");
        assert_eq!(config.says.front.as_deref(), *front, "{name}");
        assert_eq!(config.host.php.is_some(), guess.preset.php, "{name}");
        assert_eq!(config.host.source.unwrap().origin, Origin::Dir("/srv/shop/.".into()), "{name}");
        parse(&uncommented(&text));
        // Without a source the same keys are suggestions.
        let text = write(&guess, &Place { source: Vec::new(), ..place() });
        assert!(parse(&text).host.source.is_none());
        let source = parse(&uncommented(&text).replace("dir = \".\"", "")).host.source.unwrap();
        assert!(matches!(source.origin, Origin::Git { .. }), "{name}");
    }
}

#[test]
fn every_preset_has_its_skeleton() {
    for preset in deploy::preset::all() {
        assert!(KINDS.iter().any(|(name, ..)| *name == preset.name), "{}", preset.name);
    }
}

#[test]
fn what_is_written_says_why() {
    let (_dir, guess) = look(KINDS[0].1);
    assert_eq!(guess.told(), "this looks like Laravel: artisan, bootstrap/app.php");
    let text = write(&guess, &place());
    for part in [
        "# storage holds uploads, sessions and logs, so it outlives releases.\nshared_dirs = [\"storage\"]\n",
        "before_flip = [\"php artisan migrate --force\"]",
        "\"npm ci && npm run build\",",
        "# [health]\n",
        "# path = \"/up\"\n",
    ] {
        assert!(text.contains(part), "{part}\n{text}");
    }
}

#[test]
fn a_project_of_two_kinds_is_doubtful_and_one_of_no_kind_is_plain_php() {
    let (_dir, both) = look(&["doku.php", "inc/init.php", "artisan", "bootstrap/app.php"]);
    assert_eq!(
        both.told(),
        "this looks like DokuWiki (doku.php, inc/init.php), but also like Laravel: check the file"
    );
    let (_dir, none) = look(&["README"]);
    assert_eq!((none.preset.name.as_str(), &none.sure), ("plain PHP", &Sure::Unknown));
    parse(&write(&none, &place()));
    let (_dir, empty) = look(&[]);
    assert_eq!((empty.preset.name.as_str(), empty.tree.is_none()), ("plain PHP", true));
    parse(&uncommented(&write(&empty, &place())));
}

#[test]
fn odd_names_are_written_so_that_they_are_read_back() {
    let (_dir, guess) = look(&["index.php"]);
    let root = PathBuf::from("/srv/a \"b\" \\ #c");
    let text = write(&guess, &Place { name: "shop".into(), root: Some(root.clone()), ..Place::default() });
    assert_eq!(parse(&text).host.app.root, root);
}

#[test]
fn what_dokuwiki_keeps_in_its_docroot_is_for_nobody() {
    let (_dir, guess) = look(&["doku.php", "inc/init.php"]);
    let guarded = parse(&write(&guess, &place())).says.auth;
    for path in ["/data/pages/a.txt", "/conf/users.auth.php", "/inc/init.php", "/bin/indexer.php"] {
        assert!(guarded.iter().any(|rule| rule.path.covers(path.as_bytes())), "{path}");
    }
    assert!(
        !guarded.iter().any(|rule| rule.path.covers(b"/doku.php") || rule.path.covers(b"/lib/exe/css.php"))
    );
}
