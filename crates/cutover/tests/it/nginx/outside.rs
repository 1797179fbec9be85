//! `cutover doctor --live`: nginx as it is seen from outside, pinned and not.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::process::{Command, Output};

use serde_json::Value;

use super::stand::Stand;
use crate::web::{CUTOVER, Site};

/// What most tutorials show: PHP is given paths through the link.
fn tutorial() -> Stand {
    Stand::over(Site::lay("", 1), "", |stand| {
        let text = format!(
            "server {{\nlisten 127.0.0.1:{};\nroot {};\nindex index.php;\nlocation ~ \\.php$ {{\ninclude /etc/nginx/fastcgi_params;\n\
             fastcgi_param SCRIPT_FILENAME $document_root$fastcgi_script_name;\nfastcgi_pass unix:{};\n}}\n}}\n",
            stand.port,
            stand.path("app/current").display(),
            stand.path("fpm0.sock").display(),
        );
        fs::write(stand.site(), text).unwrap();
    })
}

fn live(words: &[&str]) -> Output {
    Command::new(CUTOVER).args(["doctor", "--live"]).args(words).output().unwrap()
}

/// The checks that the probe finds, and the release's files afterwards.
fn probed(stand: &Stand) -> (Vec<Value>, Vec<String>) {
    let (url, docroot) = (format!("http://127.0.0.1:{}/", stand.port), stand.path("app/current"));
    let out = live(&[&url, "--probe", docroot.to_str().unwrap(), "--json"]);
    assert_eq!(out.status.code(), Some(0), "{}", String::from_utf8_lossy(&out.stderr));
    let told: Value = serde_json::from_slice(&out.stdout).unwrap();
    let seen = told["seen"].as_array().unwrap();
    let checks = seen.iter().map(|seen| seen["check"].clone()).filter(|check| !check.is_null()).collect();
    let left = fs::read_dir(docroot).unwrap().map(|file| file.unwrap().file_name().into_string().unwrap());
    (checks, left.filter(|name| name.contains("cutover-")).collect())
}

#[test]
fn a_probe_convicts_the_tutorial_and_acquits_what_cutover_prints() {
    assert_eq!(probed(&tutorial()), (vec!["N01".into()], vec![]));
    assert_eq!(probed(&Stand::start("", "")), (vec![], vec![]));
}

#[test]
fn without_a_probe_it_reports_what_it_sees_and_fails_for_nothing() {
    let stand = tutorial();
    let out = live(&[&format!("http://127.0.0.1:{}/", stand.port)]);
    let said = String::from_utf8(out.stdout).unwrap();
    assert_eq!(out.status.code(), Some(0), "{said}");
    assert!(said.contains("Server: nginx"), "{said}");
    assert!(said.contains("cannot be seen from outside") && said.contains("--probe DIR"), "{said}");
}

#[test]
fn who_is_no_web_server_or_not_there_at_all_is_told_so() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let mail = format!("http://{}/", listener.local_addr().unwrap());
    let greeter = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        // Its visitor may be gone already.
        drop(stream.write_all(b"220 mail.example.com ESMTP\r\n"));
        drop(stream.read(&mut [0; 1024]));
    });
    for (url, code, words) in [
        (mail.as_str(), 1, "no answer from"),
        ("http://127.0.0.1:1/", 1, "no answer from http://127.0.0.1:1/"),
        ("shop.example.com", 2, "no http:// or https:// address"),
    ] {
        let out = live(&[url]);
        let said = String::from_utf8_lossy(&out.stderr);
        assert!(out.status.code() == Some(code) && said.contains(words), "{url}: {said}");
    }
    greeter.join().unwrap();
}
