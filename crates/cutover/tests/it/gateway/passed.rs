//! Sockets that systemd opened: `fcgi:systemd:NAME`, as a socket unit passes them.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use super::front::Kind;
use super::hand_over::end_successor;
use super::stand::Stand;
use super::wire::Wire;
use crate::port;
use crate::serve::client::request;
use crate::serve::server::{App, CUTOVER, Server};

const ACTIVATE: &str = "/usr/bin/systemd-socket-activate";

/// Served on these sockets, each with its name, as soon as somebody connects to one of them; `None`: there is no
/// systemd here, which was said.
fn activated(test: &str, app: App, sockets: &[(&str, &str)]) -> Option<Server> {
    if !std::path::Path::new(ACTIVATE).exists() {
        println!("\nskipped: gateway::passed::{test}: there is no systemd-socket-activate\n");
        return None;
    }
    let mut command = Command::new(ACTIVATE);
    for (at, _) in sockets {
        command.args(["-l", at]);
    }
    let names: Vec<_> = sockets.iter().map(|(_, name)| *name).collect();
    command.arg(format!("--fdname={}", names.join(":"))).args([CUTOVER, "serve"]).arg(app.root());
    let server = app.serve_by(command);
    let each = |log: &str| sockets.iter().all(|(at, _)| log.contains(&format!("Listening on {at} as")));
    server.wait_for("the sockets", each);
    Some(server)
}

fn app(listen: &str) -> App {
    App::new(&format!("[serve]\nlisten = [{listen}]\n"))
        .release("r1", &[("public/a.txt", "one")])
        .sealed("r1")
        .live("r1")
}

fn asked(port: u16) -> String {
    Wire::to(port).ask(&[("SCRIPT_NAME", "/a.txt")], b"").text()
}

fn got(port: u16) -> String {
    request(port, "GET /a.txt HTTP/1.0\r\nHost: a\r\n\r\n").text()
}

#[test]
fn a_socket_unit_may_pass_one_for_fastcgi_and_another_for_http() {
    let name = "a_socket_unit_may_pass_one_for_fastcgi_and_another_for_http";
    let (fcgi, http) = (port::free(), port::free());
    let at = [fcgi, http].map(|port| format!("127.0.0.1:{port}"));
    let app = app("\"fcgi:systemd:shop\", \"systemd:web\"");
    let Some(mut server) = activated(name, app, &[(&at[0], "shop"), (&at[1], "web")]) else { return };
    // The first to come starts it, and waits in the socket meanwhile.
    assert_eq!((asked(fcgi), got(http)), ("one".into(), "one".into()), "{}", server.log());
    server.app.cutover(&["reload"]);
    assert_eq!((asked(fcgi), got(http)), ("one".into(), "one".into()));
    // They are handed on under their names.
    server.app.cutover(&["upgrade"]);
    assert!(server.ends(), "{}", server.log());
    assert_eq!((asked(fcgi), got(http)), ("one".into(), "one".into()));
    end_successor(&server);
}

/// A unit with several `ListenStream=` has one `FileDescriptorName=` for all of them.
#[test]
fn a_socket_unit_with_several_addresses_has_them_all_served() {
    let name = "a_socket_unit_with_several_addresses_has_them_all_served";
    let app = app("\"fcgi:systemd:shop\"");
    fs::set_permissions(app.root(), PermissionsExt::from_mode(0o755)).unwrap();
    let (port, socket) = (port::free(), app.root().join("fcgi.sock").display().to_string());
    let at = format!("127.0.0.1:{port}");
    let Some(server) = activated(name, app, &[(&at, "shop"), (&socket, "shop")]) else { return };
    fs::set_permissions(&socket, PermissionsExt::from_mode(0o666)).unwrap();
    // nginx asks by the Unix socket.
    let mut stand = Stand::of_passed(server, Kind::Nginx, "/public", port);
    for _ in 0..2 {
        assert_eq!(stand.get("/a.txt").text(), "one", "{}", stand.said());
        assert_eq!(asked(port), "one", "{}", stand.said());
    }
    stand.server.app.cutover(&["upgrade"]);
    assert!(stand.server.ends(), "{}", stand.said());
    assert_eq!((stand.get("/a.txt").text(), asked(port)), ("one".into(), "one".into()), "{}", stand.said());
    end_successor(&stand.server);
}

#[test]
fn a_name_that_no_unit_passed_is_told_with_what_to_write_there() {
    let app = app("\"fcgi:systemd:shop\"");
    let out = Command::new(CUTOVER).arg("serve").arg(app.root()).output().unwrap();
    let said = String::from_utf8_lossy(&out.stderr);
    assert_eq!(out.status.code(), Some(1), "{said}");
    for part in ["no socket systemd:shop was passed", "FileDescriptorName="] {
        assert!(said.contains(part), "{said}");
    }
}
