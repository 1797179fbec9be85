//! The promise under `prove`: no request failed, mixed or stale, whatever else nginx is told to do.

use super::stand::Stand;
use crate::web::{a_thousand_per_second, ids, page, spread};

/// As hurtful as it gets: what does not exist is remembered too.
const FILES: &str = "open_file_cache max=1000;\nopen_file_cache_valid 60s;\nopen_file_cache_errors on;\n";

/// Answers of PHP are kept, by release.
fn cached(stand: &str) -> String {
    format!(
        "{FILES}fastcgi_cache_path {stand} keys_zone=probe:1m;\nfastcgi_cache probe;\nfastcgi_cache_valid 200 404 1m;\n\
         fastcgi_cache_key \"$cutover_probe_release $request_uri\";\n"
    )
}

#[test]
fn nginx_as_we_set_it_up_holds_the_promise_with_its_open_file_cache_too() {
    Stand::start("", FILES).holds(&spread(), Vec::new());
}

#[test]
fn a_thousand_flips_per_second_change_nothing_of_it() {
    Stand::start("", "").holds(&a_thousand_per_second(), Vec::new());
}

/// Two pools, kept answers of PHP, an error page, X-Accel-Redirect to a file of the release, and a script of the
/// release that is asked whether a file may be had: its header must name the release that the file is of.
#[test]
fn whatever_leads_to_another_path_leads_to_one_of_the_same_release() {
    let kept = tempfile::tempdir().unwrap();
    let guarded = "location ^~ /guarded/ {\n    root $cutover_probe_root;\n    auth_request /may.php;\n\
                   \x20   auth_request_set $by $upstream_http_x_by;\n    add_header X-Cutover-Release $by always;\n}\n";
    let stand =
        Stand::own("[site.error]\n404 = \"/gone.html\"\n", &cached(kept.path().to_str().unwrap()), guarded);
    for id in ids() {
        stand.file(&id, "gone.html", &format!("gone [release {id}]\n"));
        stand.file(&id, "own.txt", &format!("own [release {id}]\n"));
        stand.file(&id, "guarded/in.txt", &format!("in [release {id}]\n"));
        stand.file(&id, "accel.php", "<?php usleep(3000); header('X-Accel-Redirect: /own.txt');");
        stand.file(&id, "may.php", &format!("<?php http_response_code(204); header('X-By: {id}');"));
    }
    let more = vec![
        page("/.hidden", 404, "gone [release {}]\n"),
        page("/accel.php", 200, "own [release {}]\n"),
        page("/guarded/in.txt", 200, "in [release {}]\n"),
    ];
    stand.holds(&spread(), more);
    let found = std::fs::read_dir(kept.path()).unwrap().count();
    assert!(found >= 6, "only {found} answers were kept: {}", stand.said());
}
