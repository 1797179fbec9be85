//! CGI through the server: programs of the live release, and of nothing else.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use super::client::request;
use super::server::{App, Server};

const CGI: &str = "[serve]\nlisten = [\"127.0.0.1:0\"]\n[serve.cgi]\nenv = { GREETING = \"hi\" }\n";

fn app(config: &str) -> App {
    let app = App::new(config);
    // Programs run as another user than root.
    fs::set_permissions(app.root(), fs::Permissions::from_mode(0o755)).unwrap();
    app
}

/// Adds a program to a release.
fn with(app: App, id: &str, path: &str, script: &str) -> App {
    let app = app.release(id, &[(path, &format!("#!/bin/sh\n{script}\n"))]);
    let file = app.root().join("releases").join(id).join(path);
    fs::set_permissions(file, fs::Permissions::from_mode(0o755)).unwrap();
    app
}

fn post(server: &Server, path: &str, headers: &str, body: &str) -> super::client::Reply {
    let head =
        format!("POST {path} HTTP/1.1\r\nHost: shop.test:80\r\nConnection: close\r\n{headers}\r\n{body}");
    request(server.port(), head)
}

/// The body without its chunks.
fn plain(reply: &super::client::Reply) -> String {
    if reply.header("transfer-encoding") != Some("chunked") {
        return reply.text();
    }
    let (mut text, mut rest) = (String::new(), reply.text());
    while let Some((len, after)) = rest.split_once("\r\n") {
        let len = usize::from_str_radix(len, 16).unwrap();
        text.push_str(&after[..len]);
        rest = after[len + 2..].to_owned();
    }
    text
}

#[test]
fn a_program_of_the_live_release_answers_and_a_flip_changes_it() {
    let app = with(app(CGI), "r1", "public/cgi-bin/who", "printf 'Content-Type: text/x\\n\\none'");
    let server = with(app, "r2", "public/cgi-bin/who", "printf 'Status: 203\\n\\ntwo'").live("r1").serve();
    let one = server.get("/cgi-bin/who");
    assert_eq!((one.status, plain(&one).as_str(), one.release()), (200, "one", "r1"));
    assert_eq!(one.header("content-type"), Some("text/x"));
    server.app.link("releases/r2");
    let two = server.get("/cgi-bin/who");
    assert_eq!((two.status, plain(&two).as_str(), two.release()), (203, "two", "r2"));
}

#[test]
fn a_program_is_told_its_request_and_gets_its_body() {
    let script = "printf '\\n'; env | sort; cat";
    let server = with(app(CGI), "r1", "public/cgi-bin/tell", script).live("r1").serve();
    let root = fs::canonicalize(server.app.root()).unwrap();
    let release = root.join("releases/r1");
    let reply = post(
        &server,
        "/cgi-bin/tell/a%20b?x=1",
        "Content-Length: 4\r\nContent-Type: a/b\r\nProxy: evil\r\n",
        "body",
    );
    let text = plain(&reply);
    for line in [
        "CONTENT_LENGTH=4",
        "CONTENT_TYPE=a/b",
        "CUTOVER_RELEASE=r1",
        "GATEWAY_INTERFACE=CGI/1.1",
        "GREETING=hi",
        "PATH_INFO=/a b",
        "QUERY_STRING=x=1",
        "REMOTE_ADDR=127.0.0.1",
        "REQUEST_METHOD=POST",
        "REQUEST_URI=/cgi-bin/tell/a%20b?x=1",
        "SCRIPT_NAME=/cgi-bin/tell",
        "SERVER_NAME=shop.test",
        &format!("SERVER_PORT={}", server.port()),
        &format!("CUTOVER_RELEASE_ROOT={}", release.display()),
        &format!("PATH_TRANSLATED={}/public/a b", release.display()),
        &format!("SCRIPT_FILENAME={}/public/cgi-bin/tell", release.display()),
    ] {
        assert!(text.lines().any(|own| own == line), "{line} is not in\n{text}");
    }
    assert!(!text.contains("HTTP_PROXY"), "{text}");
    assert!(text.ends_with("\nbody"), "{text}");
    let chunked = post(&server, "/cgi-bin/tell", "Transfer-Encoding: chunked\r\n", "3\r\nabc\r\n0\r\n\r\n");
    assert!(plain(&chunked).contains("CONTENT_LENGTH=3\n") && plain(&chunked).ends_with("\nabc"));
}

#[test]
fn programs_may_lie_elsewhere_on_disk_than_in_the_url() {
    let config =
        "[serve]\nlisten = [\"127.0.0.1:0\"]\n[serve.cgi]\npath = \"/run\"\ndir = \"programs/cgi\"\n";
    let script = "printf '\\n%s %s' \"$SCRIPT_NAME\" \"$PATH_INFO\"";
    let server = with(app(config), "r1", "public/programs/cgi/p", script).live("r1").serve();
    assert_eq!(plain(&server.get("/run/p/more")), "/run/p /more");
}

#[test]
fn what_is_no_program_of_the_release_is_refused_and_failures_are_told_apart() {
    let app = with(app(CGI), "r1", "public/cgi-bin/empty", "exit 0");
    let app = app.release("r1", &[("public/cgi-bin/text", "not executable")]);
    let shared = app.root().join("shared");
    fs::create_dir_all(&shared).unwrap();
    fs::write(shared.join("upload"), "#!/bin/sh\nprintf '\\nowned'\n").unwrap();
    fs::set_permissions(shared.join("upload"), fs::Permissions::from_mode(0o755)).unwrap();
    let directory = app.root().join("releases/r1/public/cgi-bin");
    std::os::unix::fs::symlink(Path::new("../../../../shared/upload"), directory.join("upload")).unwrap();
    std::os::unix::fs::symlink("/bin/sh", directory.join("sh")).unwrap();
    let server = app.live("r1").serve();
    let status = |path: &str| server.get(path).status;
    assert_eq!(status("/cgi-bin/none"), 404);
    assert_eq!(status("/cgi-bin/"), 404);
    assert_eq!(status("/cgi-bin"), 404);
    assert_eq!(status("/cgi-bin/text"), 403);
    assert_eq!(status("/cgi-bin/upload"), 403);
    assert!([403, 404].contains(&status("/cgi-bin/sh")));
    assert_eq!(status("/cgi-bin/empty"), 502);
    server.wait_for("the reason", |log| log.contains("ended before its headers did"));
}

#[test]
fn a_program_that_takes_too_long_is_told_apart() {
    let config = format!("{CGI}timeout = \"300ms\"\n");
    let server = with(app(&config), "r1", "public/cgi-bin/slow", "sleep 600").live("r1").serve();
    assert_eq!(server.get("/cgi-bin/slow").status, 504);
}

#[test]
fn head_lets_a_program_finish_and_sends_no_body() {
    let script = "printf '\\nbody'; sleep 0.2; echo done > \"$DOCUMENT_ROOT/done\"";
    let server = with(app(CGI), "r1", "public/cgi-bin/head", script).live("r1").serve();
    let public = server.app.root().join("releases/r1/public");
    fs::set_permissions(&public, fs::Permissions::from_mode(0o777)).unwrap();
    let head =
        request(server.port(), "HEAD /cgi-bin/head HTTP/1.1\r\nHost: shop.test\r\nConnection: close\r\n\r\n");
    assert_eq!((head.status, head.text().as_str()), (200, ""));
    let until = std::time::Instant::now() + super::server::LONG;
    while !public.join("done").exists() {
        assert!(std::time::Instant::now() < until, "it was killed");
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
}
