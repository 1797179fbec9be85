//! What the load speaks, to a real nginx: HTTP/2, pipelining, TLS; and an open loop against a site that stalls.

use prove::page::{Answer, Ask, Page};
use prove::preflight::{PreflightError, preflight};
use prove::scenario::{Arriving, Load, Scenario, Speaking};
use prove::tls::Trust;
use prove::{Flipper, Observations, Target, judge, run_blocking};
use std::fs;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// One small file behind an nginx that closes each connection after 50 requests.
struct Nginx {
    dir: TempDir,
    plain: u16,
    secure: u16,
    child: Child,
}

const BODY: &str = "the same to everybody\n";

impl Nginx {
    fn start() -> Self {
        let dir = tempfile::tempdir().unwrap();
        fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755)).unwrap();
        fs::create_dir(dir.path().join("root")).unwrap();
        fs::write(dir.path().join("root/page.txt"), BODY).unwrap();
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        fs::write(dir.path().join("cert.pem"), made.cert.pem()).unwrap();
        fs::write(dir.path().join("key.pem"), made.signing_key.serialize_pem()).unwrap();
        // Between finding free ports and listening on them somebody else may take one: then others.
        for _ in 0..5 {
            let (plain, secure) = (crate::port::free(), crate::port::free());
            let here = dir.path().display();
            let conf = format!(
                "daemon off; pid {here}/pid; error_log {here}/log; worker_processes 1; events {{ }}\n\
                 http {{ access_log off; default_type text/plain; keepalive_requests 50;\n\
                 server {{ listen 127.0.0.1:{plain}; listen 127.0.0.1:{secure} ssl http2; root {here}/root;\n\
                 ssl_certificate {here}/cert.pem; ssl_certificate_key {here}/key.pem; }} }}\n"
            );
            fs::write(dir.path().join("conf"), conf).unwrap();
            let mut child = Command::new("/usr/sbin/nginx")
                .args(["-p", dir.path().to_str().unwrap(), "-e", "log", "-c", "conf"])
                .stderr(Stdio::null())
                .spawn()
                .unwrap_or_else(|why| panic!("cannot run nginx ({why}): install the package nginx-light"));
            while child.try_wait().unwrap().is_none() {
                if TcpStream::connect(("127.0.0.1", secure)).is_ok() {
                    return Self { dir, plain, secure, child };
                }
                std::thread::sleep(Duration::from_millis(10));
            }
        }
        panic!("nginx never came: {}", fs::read_to_string(dir.path().join("log")).unwrap_or_default());
    }

    fn plain(&self) -> Target {
        Target::parse(&format!("http://localhost:{}", self.plain)).unwrap()
    }

    fn secure(&self, trust: &Trust) -> Target {
        Target::parse_trusting(&format!("https://localhost:{}", self.secure), trust).unwrap()
    }

    fn certificate(&self) -> Trust {
        Trust::File(self.dir.path().join("cert.pem"))
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        // SIGTERM, so that the master takes its worker with it.
        Command::new("/bin/kill").arg(self.child.id().to_string()).output().unwrap();
        self.child.wait().unwrap();
    }
}

fn scenario(target: Target, speaking: Speaking) -> Scenario {
    let page = Page::exact("page", 1, Ask::get("/page.txt"), vec![Answer::of(200, BODY)]);
    let mut scenario = Scenario::new(target, vec!["r1".to_owned()], vec![page], Flipper::Nobody);
    scenario.load = Load { connections: 4, closing: 0, speaking, requests: 2_000, ..Load::default() };
    scenario
}

/// All of it is right, although the server closed its connections again and again.
fn flooded(scenario: Scenario) -> Observations {
    let observed = run_blocking(scenario).unwrap();
    let verdicts = judge(&observed).unwrap();
    assert!(verdicts.total.ok >= 2_000, "{:?}", verdicts.total);
    assert!(
        verdicts.convicted.is_empty(),
        "{:?}",
        verdicts.convicted.first().map(|(at, _)| &observed.responses[*at])
    );
    observed
}

#[test]
fn a_server_that_closes_after_some_requests_fails_nobody_whatever_is_spoken() {
    let nginx = Nginx::start();
    let trust = nginx.certificate();
    for (target, speaking) in [
        (nginx.plain(), Speaking::Http1),
        (nginx.plain(), Speaking::Pipelined { depth: 8 }),
        (nginx.secure(&trust), Speaking::Http1),
        (nginx.secure(&trust), Speaking::Pipelined { depth: 3 }),
        (nginx.secure(&trust), Speaking::Http2 { streams: 8 }),
        (nginx.secure(&Trust::Anyone), Speaking::Http2 { streams: 1 }),
    ] {
        flooded(scenario(target, speaking));
    }
}

#[test]
fn a_certificate_that_nobody_trusts_is_told_before_anything_is_flooded() {
    let nginx = Nginx::start();
    let stranger = nginx.dir.path().join("other.pem");
    let other = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    fs::write(&stranger, other.cert.pem()).unwrap();
    let scenario = scenario(nginx.secure(&Trust::File(stranger)), Speaking::Http1);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let error = runtime.block_on(preflight(&scenario)).unwrap_err();
    assert!(matches!(error, PreflightError::Down { .. }), "{error}");
    assert!(error.to_string().contains("certificate"), "{error}");
}

/// Answers each connection's requests, but none before so long after it was started.
fn stalling(stall: Duration) -> Target {
    let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let address = listener.local_addr().unwrap();
    let opens = Instant::now() + stall;
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            std::thread::spawn(move || {
                let mut asked = Vec::new();
                let mut bytes = [0; 4096];
                while let Ok(count @ 1..) = stream.read(&mut bytes) {
                    asked.extend_from_slice(&bytes[..count]);
                    std::thread::sleep(opens.saturating_duration_since(Instant::now()));
                    while let Some(end) = asked.windows(4).position(|end| end == b"\r\n\r\n") {
                        asked.drain(..end + 4);
                        let length = BODY.len();
                        let answer = format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n{BODY}");
                        if stream.write_all(answer.as_bytes()).is_err() {
                            return;
                        }
                    }
                }
            });
        }
    });
    Target::tcp(address)
}

#[test]
fn an_open_loop_keeps_its_schedule_while_the_site_stalls_and_counts_the_waiting_from_there() {
    const EVERY_NS: u64 = 5_000_000;
    let stall = Duration::from_millis(600);
    let mut scenario = scenario(stalling(stall), Speaking::Http1);
    // Three connections at most, all stuck in the stall: later arrivals have to wait in line.
    scenario.load.connections = 1;
    scenario.load.arrivals = Some(Arriving { per_second: 200.0, connections_max: 3 });
    scenario.load.requests = u64::MAX;
    scenario.load.lasts = Some(Duration::from_secs(1));
    let observed = run_blocking(scenario).unwrap();
    assert!(judge(&observed).unwrap().holds(), "{:?}", observed.responses.first());

    let mut due: Vec<u64> = observed.responses.iter().map(|one| one.due_ns).collect();
    due.sort_unstable();
    assert!(due.len() >= 190, "{} of 200 arrivals were asked for", due.len());
    assert!(due.windows(2).all(|two| two[1] - two[0] == EVERY_NS), "each arrival keeps its due time");
    let waited = observed.responses.iter().filter(|one| one.sent_ns > one.due_ns + 20 * EVERY_NS).count();
    assert!(waited > 20, "{waited} arrivals were sent long after they were due, and say so");
    let slowest = observed.responses.iter().map(|one| one.done_ns - one.due_ns).max().unwrap();
    assert!(slowest > 300_000_000, "a closed loop would have hidden the stall: {slowest} ns");
}
