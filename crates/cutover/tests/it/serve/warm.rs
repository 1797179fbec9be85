//! warm, and what status says of PHP's caches, on the pool of a running server.

use serde_json::Value;

use super::server::App;

const PHP: &str = "[php]\nfpm = \"embedded\"\nworkers = 2\nini = { \"opcache.interned_strings_buffer\" = 1, \"opcache.memory_consumption\" = 8 }\n";
const FRONT: &str = "<?php require __DIR__ . '/../src/page.php'; echo page();";
const PAGE: &str = "<?php function page(): string { return $_SERVER['CUTOVER_RELEASE']; }";

fn app() -> App {
    let app = App::new(PHP);
    // PHP runs as another user than root.
    std::fs::set_permissions(app.root(), std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let files = [("public/index.php", FRONT), ("src/page.php", PAGE)];
    app.release("r1", &files).release("r2", &files).sealed("r1").sealed("r2").live("r1")
}

fn status(app: &App) -> Value {
    let said: Value = serde_json::from_str(&app.cutover(&["status", "--json"])).unwrap();
    said["opcache"][0].clone()
}

#[test]
fn a_release_is_warmed_by_hand_and_its_first_visitor_compiles_nothing() {
    let server = app().serve();
    assert_eq!(server.get("/index.php").text(), "r1");
    // Its files are so young that opcache left them out.
    server.app.cutover(&["warm"]);
    let said = server.app.cutover(&["warm", "r2"]);
    assert_eq!(said.trim_end(), "r2 is warm: 2 files in opcache, 0 requests answered");
    server.app.cutover(&["flip", "r2"]);
    let before = status(&server.app);
    assert_eq!(before["releases"]["r2"]["scripts"], 2, "{before}");
    assert_eq!(server.get("/index.php").text(), "r2");
    server.app.cutover(&["rollback"]);
    assert_eq!(server.get("/index.php").text(), "r1");
    let after = status(&server.app);
    assert_eq!(after["figures"]["misses"], before["figures"]["misses"], "{before}\n{after}");
    assert!(after["forecast"]["deploys"].as_u64().unwrap() > 3, "{after}");
}

#[test]
fn status_says_what_opcache_has_of_which_release() {
    let server = app().serve();
    let cold = server.app.cutover(&["status"]);
    assert!(cold.contains("nothing of r1 is in it: `cutover warm` puts it there"), "{cold}");
    let warm = server.app.cutover(&["warm"]);
    assert!(warm.starts_with("r1 is warm: 2 files in opcache"), "{warm}");
    server.app.cutover(&["flip", "r2"]);
    server.app.cutover(&["warm"]);
    let said = server.app.cutover(&["status"]);
    assert!(said.contains("fpm-") && said.contains(" MB of 8.0 MB used, 0.0 MB wasted; "), "{said}");
    assert!(said.contains("r2 (live) 0.0 MB, r1 (rollback) 0.0 MB"), "{said}");
    assert!(said.contains("room for "), "{said}");
}
