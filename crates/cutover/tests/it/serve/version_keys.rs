//! Version keys: each recipe of docs/version-keys.md, run against the real component, over a flip and back.

use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use super::server::{App, Server};

const PHP: &str = "[php]\nfpm = \"embedded\"\nworkers = 2\n";

/// The block of docs/version-keys.md with this mark.
fn recipe(name: &str) -> String {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/version-keys.md");
    let text = std::fs::read_to_string(path).unwrap();
    let mark = format!("<!-- recipe: {name} -->\n```php\n");
    let (_, rest) = text.split_once(&mark).unwrap_or_else(|| panic!("{path} has no recipe {name}"));
    rest.split_once("```").unwrap().0.to_owned()
}

/// Two releases with this page, which tells what it remembers of `menu.txt`; the first is live.
fn two_releases(page: &str) -> Server {
    let mut app = App::new(PHP);
    std::fs::set_permissions(app.root(), PermissionsExt::from_mode(0o755)).unwrap();
    for id in ["r1", "r2"] {
        let menu = format!("the menu of {id}");
        app = app.release(
            id,
            &[("public/index.php", page), ("public/menu.txt", &menu), ("templates/menu.html", &menu)],
        );
    }
    app.sealed("r1").sealed("r2").live("r1").serve()
}

/// What each release answers: first r1, after the flip r2, after another r1 again.
fn told(server: &Server) -> [String; 3] {
    let ask = || {
        let reply = server.get("/");
        assert_eq!(reply.status, 200, "{}\n{}", reply.text(), server.log());
        reply.text()
    };
    let first = ask();
    server.app.link("releases/r2");
    let second = ask();
    server.app.link("releases/r1");
    [first, second, ask()]
}

const APART: [&str; 3] = ["the menu of r1", "the menu of r2", "the menu of r1"];

#[test]
fn without_the_release_in_the_key_a_flip_brings_what_the_old_release_remembers() {
    let page = "<?php if (!apcu_exists('menu')) apcu_store('menu', file_get_contents(__DIR__ . '/menu.txt')); echo apcu_fetch('menu');";
    assert_eq!(told(&two_releases(page)), ["the menu of r1"; 3]);
}

#[test]
fn apcu_keeps_releases_apart() {
    let page = format!(
        "<?php {} echo cached('menu', fn() => file_get_contents(__DIR__ . '/menu.txt'));",
        recipe("apcu")
    );
    assert_eq!(told(&two_releases(&page)), APART);
}

#[test]
fn a_pool_of_symfony_keeps_releases_apart_and_neither_empties_the_other() {
    let page = format!(
        "<?php require '/usr/share/php/Symfony/Component/Cache/autoload.php'; {}
        $item = $pool->getItem('menu');
        if (!$item->isHit()) {{ $pool->save($item->set(file_get_contents(__DIR__ . '/menu.txt') . ' made now')); }}
        echo $item->get();",
        recipe("symfony")
    );
    let [first, second, again] = told(&two_releases(&page));
    assert_eq!([&*first, &*second], ["the menu of r1 made now", "the menu of r2 made now"]);
    assert_eq!(again, first);

    // As the third argument the release would empty what the other one remembers.
    let page = page.replace("made now'", "made ' . hrtime(true)").replace(
        "new ApcuAdapter('shop-' . ($_SERVER['CUTOVER_RELEASE'] ?? 'none'), 3600)",
        "new ApcuAdapter('shop', 3600, $_SERVER['CUTOVER_RELEASE'])",
    );
    let [first, _, again] = told(&two_releases(&page));
    assert!(again.starts_with("the menu of") && again != first, "{first}, then {again}");
}

#[test]
fn a_store_of_laravel_keeps_releases_apart_while_the_restart_signal_reaches_both() {
    let page = format!(
        "<?php require '/usr/share/php/Illuminate/Foundation/helpers.php';
        spl_autoload_register(function ($class) {{
            $file = '/usr/share/php/' . str_replace('\\\\', '/', $class) . '.php';
            if (is_file($file)) {{ require $file; }}
        }});
        require '/usr/share/php/Illuminate/Support/autoload.php';
        require '/usr/share/php/Illuminate/Cache/autoload.php';
        require '/usr/share/php/Illuminate/View/autoload.php';
        $app = new Illuminate\\Foundation\\Application(dirname(__DIR__));
        {}
        $app->instance('config', new Illuminate\\Config\\Repository(['cache' => $cache, 'view' => $view]));
        $stores = new Illuminate\\Cache\\CacheManager($app);
        echo $stores->store('release')->rememberForever('menu', fn() => file_get_contents(__DIR__ . '/menu.txt'));
        $signal = $stores->store()->get('illuminate:queue:restart', 'none');
        $stores->store()->forever('illuminate:queue:restart', $_SERVER['CUTOVER_RELEASE']);
        echo ', signal of ', $signal, ', views in ', substr($app['config']['view.compiled'], strlen($_SERVER['CUTOVER_RELEASE_ROOT']));",
        recipe("laravel")
    );
    let views = "views in /bootstrap/cache/views";
    assert_eq!(
        told(&two_releases(&page)),
        [
            format!("the menu of r1, signal of none, {views}"),
            format!("the menu of r2, signal of r1, {views}"),
            format!("the menu of r1, signal of r2, {views}"),
        ]
    );
}

#[test]
fn compiled_templates_lie_in_the_release_that_they_belong_to() {
    let page = format!(
        "<?php require '/usr/share/php/Twig/autoload.php'; {} echo $twig->render('menu.html');",
        recipe("twig")
    );
    let server = two_releases(&page);
    for id in ["r1", "r2"] {
        let dir = server.app.root().join("releases").join(id).join("var");
        std::fs::create_dir(&dir).unwrap();
        std::fs::set_permissions(&dir, PermissionsExt::from_mode(0o777)).unwrap();
    }
    assert_eq!(told(&server), APART);
    for id in ["r1", "r2"] {
        let compiled = server.app.root().join("releases").join(id).join("var/twig");
        assert_eq!(std::fs::read_dir(compiled).unwrap().count(), 1);
    }
}

/// MediaWiki as Debian installs it; what a release has of its own are its settings and two pages.
#[test]
fn mediawiki_keeps_releases_apart_and_its_visitors_logged_in() {
    let begin = "<?php define('MW_CONFIG_FILE', __DIR__ . '/LocalSettings.php');
        require '/usr/share/mediawiki/includes/WebStart.php';
        $services = MediaWiki\\MediaWikiServices::getInstance();";
    let login = format!(
        "{begin}
        $session = RequestContext::getMain()->getRequest()->getSession();
        $session->persist();
        $session->setUser(User::newFromName('Shop'));
        $session->save();
        $services->getDBLoadBalancerFactory()->commitPrimaryChanges('login');"
    );
    let told = format!(
        "{begin}
        $cache = $services->getLocalServerObjectCache();
        $made = fn() => 'the menu of ' . $_SERVER['CUTOVER_RELEASE'];
        echo $cache->getWithSetCallback($cache->makeKey('menu'), 600, $made);
        echo ' for ', RequestContext::getMain()->getUser()->getName();"
    );
    let mut app = App::new(PHP);
    let root = app.root().to_owned();
    let data = root.join("data");
    std::fs::create_dir(&data).unwrap();
    let mut install = Command::new("php8.2");
    install.arg("/usr/share/mediawiki/maintenance/install.php").arg("--confpath").arg(&data);
    install.arg("--dbtype").arg("sqlite").arg("--dbname").arg("wiki").arg("--dbpath").arg(&data);
    install.args(["--server", "http://shop.test", "--scriptpath", "", "--pass", "correct-horse-battery"]);
    let out = install.args(["Shop", "Shop"]).output().unwrap();
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stdout));
    for entry in std::fs::read_dir(&data).unwrap() {
        std::fs::set_permissions(entry.unwrap().path(), PermissionsExt::from_mode(0o666)).unwrap();
    }
    std::fs::set_permissions(&root, PermissionsExt::from_mode(0o755)).unwrap();
    std::fs::set_permissions(&data, PermissionsExt::from_mode(0o777)).unwrap();
    // MediaWiki itself does not lie in the release here.
    let own = recipe("mediawiki").replace("\"$IP/cache\"", "__DIR__");
    let settings = std::fs::read_to_string(data.join("LocalSettings.php")).unwrap() + &own;
    for id in ["r1", "r2"] {
        app = app.release(
            id,
            &[
                ("public/LocalSettings.php", &settings),
                ("public/login.php", &login),
                ("public/told.php", &told),
            ],
        );
        let docroot = root.join("releases").join(id).join("public");
        std::fs::set_permissions(docroot, PermissionsExt::from_mode(0o777)).unwrap();
    }
    let server = app.live("r1").serve();
    let login = server.get("/login.php");
    assert_eq!(login.status, 200, "{}\n{}", login.text(), server.log());
    let set = login.head.lines().filter_map(|line| line.strip_prefix("set-cookie: "));
    let cookies: Vec<&str> = set.filter_map(|line| line.split(';').next()).collect();
    let ask = || server.get_with("/told.php", &format!("Cookie: {}\r\n", cookies.join("; "))).text();
    assert_eq!(ask(), "the menu of r1 for Shop");
    server.app.link("releases/r2");
    assert_eq!(ask(), "the menu of r2 for Shop");
    server.app.link("releases/r1");
    assert_eq!(ask(), "the menu of r1 for Shop");
}
