//! Site: the scaffolded probe application, served by ours; and peers that answer as nobody should.

use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::shop::Ran;

const CUTOVER: &str = env!("CARGO_BIN_EXE_cutover");

/// The static probe application, served.
pub struct Site {
    dir: TempDir,
    server: Child,
    pub url: String,
}

/// Runs `cutover prove` with these words.
pub fn prove(words: &[&str]) -> Ran {
    ran(Command::new(CUTOVER).arg("prove").args(words))
}

fn ran(command: &mut Command) -> Ran {
    let output = command.stdin(Stdio::null()).output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    Ran { code: output.status.code().unwrap(), out: text(output.stdout), err: text(output.stderr) }
}

impl Site {
    pub fn start() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let app = dir.path().join("probe");
        let scaffolded = prove(&["--scaffold", app.to_str().unwrap(), "--kind", "static"]);
        assert_eq!(scaffolded.code, 0, "{}{}", scaffolded.out, scaffolded.err);
        let config = app.join("cutover.toml");
        let text = fs::read_to_string(&config).unwrap().replace("127.0.0.1:8080", "127.0.0.1:0");
        fs::write(&config, text).unwrap();
        let log = dir.path().join("log");
        let mut server = Command::new(CUTOVER)
            .arg("serve")
            .arg(&app)
            .stderr(fs::File::create(&log).unwrap())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let url = await_port(&log).unwrap_or_else(|said| {
            server.kill().unwrap();
            panic!("the server never listened: {said}")
        });
        Self { dir, server, url }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub fn app(&self) -> String {
        self.path("probe").display().to_string()
    }

    pub fn link(&self) -> String {
        self.path("probe/current").display().to_string()
    }

    /// Proves it with these words besides its address and kind.
    pub fn prove(&self, words: &[&str]) -> Ran {
        ran(&mut self.command(words))
    }

    pub fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new(CUTOVER);
        command.args(["prove", &self.url, "--kind", "static"]).args(words);
        command
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        self.server.kill().unwrap();
        self.server.wait().unwrap();
    }
}

/// Its address; or, after a while, what it said instead.
fn await_port(log: &Path) -> Result<String, String> {
    let until = Instant::now() + Duration::from_secs(60);
    loop {
        let text = fs::read_to_string(log).unwrap();
        let said = text.split("listening on http://127.0.0.1:").nth(1);
        if let Some(port) = said.and_then(|rest| rest.split(|c: char| !c.is_ascii_digit()).next()) {
            return Ok(format!("http://127.0.0.1:{port}"));
        }
        if Instant::now() > until {
            return Err(text);
        }
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// A peer that answers every connection with this text and closes it; an empty one resets it.
pub fn peer(text: &'static str) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        while let Ok((mut stream, _)) = listener.accept() {
            // A reset is what closing with unread bytes does.
            if !text.is_empty() {
                let mut request = [0; 4096];
                assert!(stream.read(&mut request).unwrap() > 0);
                stream.write_all(text.as_bytes()).unwrap();
            }
        }
    });
    address
}
