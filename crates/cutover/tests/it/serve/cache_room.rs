//! Deploys in a row of an application that takes a third of the opcache, under light load: nobody waits for a compile.

use std::fmt::Write as _;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use serde_json::Value;

use super::client::request;
use super::server::{App, CUTOVER};

const DEPLOYS: usize = 12;
const FILES: usize = 30;

/// Says which release it is, how many of its files were not compiled yet, and how the cache is.
const INDEX: &str = r#"<?php
$compiled = 0;
foreach (glob(__DIR__ . '/../lib/*.php') as $file) {
    $file = realpath($file);
    $compiled += opcache_is_script_cached($file) ? 0 : 1;
    require $file;
}
$status = opcache_get_status(false);
echo json_encode(['release' => RELEASE, 'compiled' => $compiled, 'master' => posix_getppid(),
    'full' => $status['cache_full'], 'restarts' => $status['opcache_statistics']['oom_restarts']
        + $status['opcache_statistics']['hash_restarts'] + $status['opcache_statistics']['manual_restarts']]);
"#;

fn write_source(dir: &Path, release: usize) {
    fs::create_dir_all(dir.join("lib")).unwrap();
    fs::create_dir_all(dir.join("public")).unwrap();
    fs::write(dir.join("public/index.php"), INDEX.replace("RELEASE", &release.to_string())).unwrap();
    for file in 0..FILES {
        let mut text = format!("<?php\nclass C{file} {{\n");
        for method in 0..60 {
            writeln!(
                text,
                "  public function m{method}($a, $b) {{ $x = ['k{method}' => $a, 'n' => [$b, {file}, {release}]]; \
                 if ($a > {method}) {{ $x['z'] = strtoupper($b . '{file}-{method}-{release}'); }} \
                 return json_encode($x) . 'text {file} {method}' . $a; }}"
            )
            .unwrap();
        }
        fs::write(dir.join(format!("lib/f{file}.php")), text + "}\n").unwrap();
    }
}

fn answer(port: u16) -> Value {
    let reply = request(port, "GET /index.php HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    assert_eq!(reply.status, 200, "{}", reply.text());
    serde_json::from_str(&reply.text()).unwrap()
}

#[test]
fn deploys_in_a_row_find_room_and_no_visitor_compiles_anything() {
    let source = tempfile::tempdir().unwrap();
    write_source(source.path(), 0);
    let config = format!(
        "[source]\ndir = \"{}\"\n[php]\nfpm = \"embedded\"\nworkers = 3\n[php.ini]\n\
         \"opcache.memory_consumption\" = \"8\"\n\"opcache.interned_strings_buffer\" = \"1\"\n\
         \"opcache.file_update_protection\" = \"0\"\n",
        source.path().display()
    );
    let app = App::new(&config);
    app.write_config(
        &app.config().replace("docroot = \"public\"", "docroot = \"public\"\nkeep = 1\nkeep_for = \"0s\""),
    );
    fs::set_permissions(app.root(), PermissionsExt::from_mode(0o755)).unwrap();
    app.cutover(&["deploy"]);
    let server = app.serve();
    let port = server.port();
    // The first one was live before anybody served.
    answer(port);
    let stop = AtomicBool::new(false);
    let (visits, masters) = std::thread::scope(|scope| {
        let visitor = scope.spawn(|| {
            let mut visits: Vec<Value> = Vec::new();
            while !stop.load(Ordering::Relaxed) {
                visits.push(answer(port));
                std::thread::sleep(Duration::from_millis(15));
            }
            visits
        });
        let mut masters = Vec::new();
        for release in 1..=DEPLOYS {
            write_source(source.path(), release);
            let out = Command::new(CUTOVER).arg("-C").arg(server.app.root()).arg("deploy").output().unwrap();
            let said =
                String::from_utf8_lossy(&out.stdout).into_owned() + &String::from_utf8_lossy(&out.stderr);
            assert!(out.status.success(), "{said}\n{}", server.log());
            let now = answer(port);
            assert_eq!(now["release"], release, "{said}");
            masters.push(now["master"].as_u64().unwrap());
        }
        stop.store(true, Ordering::Relaxed);
        (visitor.join().unwrap(), masters)
    });
    for visit in &visits {
        let told = (&visit["compiled"], &visit["full"], &visit["restarts"]);
        assert_eq!(told, (&0.into(), &false.into(), &0.into()), "{visit}\n{}", server.log());
    }
    let mut different = masters.clone();
    different.dedup();
    assert!(different.len() > DEPLOYS / 4, "a fresh one where room ran out: {masters:?}");
    assert!(visits.len() > DEPLOYS, "{}", visits.len());
    assert!(!server.log().contains("exited on signal"), "{}", server.log());
}
