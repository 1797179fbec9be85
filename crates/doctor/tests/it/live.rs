//! A real site, seen from outside: what can be concluded, and what cannot.

use std::fs::File;
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use doctor::live::{self, Live};

use crate::php_fpm::Fpm;
use crate::web::{Kind, Stand};

/// A shop that nginx serves, its PHP run by a php-fpm, with these parameters.
fn site(fpm: &Fpm, params: &str) -> Stand {
    let socket = fpm.dir().join("fpm.sock").display().to_string();
    let conf = format!(
        "pid {{dir}}/run/pid;\nerror_log {{dir}}/run/log;\nevents {{}}\nhttp {{\naccess_log off;\nclient_body_temp_path {{dir}}/run/b;\n\
         fastcgi_temp_path {{dir}}/run/f;\nproxy_temp_path {{dir}}/run/p;\nscgi_temp_path {{dir}}/run/s;\nuwsgi_temp_path {{dir}}/run/u;\n\
         server {{\nlisten 127.0.0.1:{{port}};\nroot {{dir}}/shop/current/public;\nindex index.php;\n\
         location ~ \\.php$ {{\ninclude /etc/nginx/fastcgi_params;\n{params}\nfastcgi_pass unix:{socket};\n}}\n}}\n}}\n"
    );
    let stand = Stand::new(Kind::Nginx, &conf);
    stand
        .file("shop/releases/r1/public/index.php", "<link rel=stylesheet href=\"/app.css\"><?php echo 'r1';");
    stand
}

fn fpm() -> Fpm {
    Fpm::start("opcache.validate_timestamps=0", "", "listen.mode = 0666\npm.max_children = 1")
}

fn look(stand: &Stand, probe: bool) -> Live {
    let public = stand.path("shop/current/public");
    let url = stand.filled("http://127.0.0.1:{port}");
    live::look(&url, probe.then_some(public.as_path())).unwrap()
}

fn checks(live: &Live) -> Vec<&str> {
    live.seen.iter().filter_map(|seen| seen.check).collect()
}

fn says(live: &Live, text: &str) -> bool {
    live.seen.iter().any(|seen| seen.what.contains(text) || seen.means.contains(text))
}

#[test]
fn without_a_probe_it_says_what_it_sees_and_what_it_cannot() {
    let fpm = fpm();
    let stand = site(&fpm, "fastcgi_param SCRIPT_FILENAME $document_root$fastcgi_script_name;");
    let _web = stand.start();
    let live = look(&stand, false);
    assert_eq!(checks(&live), [""; 0], "{live:#?}");
    assert!(says(&live, "Server: nginx") && says(&live, "made of time and size, as nginx does"), "{live:#?}");
    assert!(live.unseen.iter().any(|unseen| unseen.contains("--probe DIR")), "{live:#?}");
    assert!(live.requests <= 6, "{}", live.requests);
}

#[test]
fn a_probe_tells_which_paths_php_is_given_and_is_gone_afterwards() {
    let fpm = fpm();
    let name = "$fastcgi_script_name";
    for (params, ids) in [
        (format!("fastcgi_param SCRIPT_FILENAME $document_root{name};"), &["N01", "P03"][..]),
        (format!("fastcgi_param SCRIPT_FILENAME $realpath_root{name};"), &["N02"]),
        (
            format!(
                "fastcgi_param SCRIPT_FILENAME $realpath_root{name};\nfastcgi_param DOCUMENT_ROOT $realpath_root;"
            ),
            &[],
        ),
    ] {
        let stand = site(&fpm, &params);
        let _web = stand.start();
        let live = look(&stand, true);
        assert_eq!(checks(&live), ids, "{params}: {live:#?}");
        let left = std::fs::read_dir(stand.path("shop/releases/r1/public"))
            .unwrap()
            .map(|entry| entry.unwrap().file_name());
        assert_eq!(left.filter(|name| name.to_string_lossy().contains("cutover")).count(), 0);
    }
}

#[test]
fn a_probe_that_is_not_run_is_said_not_to_be() {
    let fpm = fpm();
    let stand = site(&fpm, "fastcgi_param SCRIPT_FILENAME $document_root$fastcgi_script_name;");
    let _web = stand.start();
    let elsewhere = tempfile::tempdir().unwrap();
    let url = stand.filled("http://127.0.0.1:{port}/");
    let live = live::look(&url, Some(elsewhere.path())).unwrap();
    assert!(live.unseen[0].contains("was not run"), "{live:#?}");
    let nowhere = live::look(&url, Some(Path::new("/nowhere"))).unwrap();
    assert!(nowhere.unseen[0].contains("cannot write /nowhere/"), "{nowhere:#?}");
}

#[test]
fn files_that_are_as_old_in_each_release_are_found_by_their_tags() {
    let fpm = fpm();
    let stand = site(&fpm, "fastcgi_param SCRIPT_FILENAME $document_root$fastcgi_script_name;");
    let then: SystemTime = UNIX_EPOCH + Duration::from_secs(315_532_800);
    File::open(stand.path("shop/releases/r1/public/app.css")).unwrap().set_modified(then).unwrap();
    let _web = stand.start();
    assert!(says(&look(&stand, false), "keeps its tag"));
}

#[test]
fn nobody_there_and_no_address_are_errors_that_say_so() {
    let told = |url: &str| live::look(url, None).unwrap_err().to_string();
    assert_eq!(told("ftp://x/"), "ftp://x/ is no http:// or https:// address");
    assert!(told("http://127.0.0.1:1/").starts_with("no answer from http://127.0.0.1:1/: "));
}
