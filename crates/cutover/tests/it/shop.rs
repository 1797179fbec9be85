//! Shop: an app in a directory of its own, and our binary run on it.

use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::Command;

pub struct Shop {
    dir: tempfile::TempDir,
}

/// What a run of the binary left behind.
pub struct Ran {
    pub code: i32,
    pub out: String,
    pub err: String,
}

impl Shop {
    /// An app with these releases, not sealed.
    pub fn with_releases(ids: &[&str]) -> Shop {
        let shop = Shop { dir: tempfile::tempdir().unwrap() };
        std::fs::create_dir(shop.path("releases")).unwrap();
        for id in ids {
            shop.release(id);
        }
        shop
    }

    /// The same, sealed and flipped to in this order.
    pub fn with_live(ids: &[&str]) -> Shop {
        let shop = Shop::with_releases(ids);
        for id in ids {
            shop.ok(&["seal", id]);
            shop.ok(&["flip", id]);
        }
        shop
    }

    pub fn release(&self, id: &str) {
        let dir = self.path("releases").join(id);
        std::fs::create_dir(&dir).unwrap();
        std::fs::write(dir.join("index.html"), id).unwrap();
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub fn root(&self) -> &Path {
        self.dir.path()
    }

    /// What the link says.
    pub fn live(&self) -> String {
        std::fs::read_link(self.path("current")).unwrap().display().to_string()
    }

    /// Runs `cutover -C <the app> …`; the temporary directory's name is taken out of what it prints.
    pub fn run(&self, args: &[&str]) -> Ran {
        let mut command = Command::new(env!("CARGO_BIN_EXE_cutover"));
        command.arg("-C").arg(self.root()).args(args).env("SUDO_USER", "alice").env_remove("COLUMNS");
        let output = command.output().unwrap();
        let clean = |bytes: Vec<u8>| {
            let text = String::from_utf8(bytes).unwrap();
            text.trim_end().replace(self.root().to_str().unwrap(), "/srv/shop")
        };
        Ran { code: output.status.code().unwrap(), out: clean(output.stdout), err: clean(output.stderr) }
    }

    /// Runs it with a kill before its n-th effect on disk; says whether there was one.
    pub fn killed_at(&self, n: u32, args: &[&str]) -> bool {
        let mut command = Command::new(env!("CARGO_BIN_EXE_cutover"));
        command.arg("-C").arg(self.root()).args(args).env("CUTOVER_CRASH_AT", n.to_string());
        let status = command.output().unwrap().status;
        assert!(status.success() || status.signal() == Some(9), "{args:?} at {n}: {status}");
        !status.success()
    }

    /// Runs it and wants success.
    pub fn ok(&self, args: &[&str]) -> String {
        let ran = self.run(args);
        assert_eq!(ran.code, 0, "{args:?}: {}{}", ran.out, ran.err);
        assert_eq!(ran.err, "", "{args:?}");
        ran.out
    }

    /// Runs it and wants this exit code; gives what it said.
    pub fn fails(&self, code: i32, args: &[&str]) -> String {
        let ran = self.run(args);
        assert_eq!(ran.code, code, "{args:?}: {}{}", ran.out, ran.err);
        assert_eq!(ran.out, "", "{args:?}");
        ran.err
    }

    /// Runs it with --json; gives what it said, with its exit code.
    pub fn json(&self, args: &[&str]) -> (i32, serde_json::Value) {
        let ran = self.run(&[args, &["--json"]].concat());
        (ran.code, serde_json::from_str(&ran.out).unwrap_or_else(|error| panic!("{error}: {}", ran.out)))
    }
}

/// Times and durations vary: `in 1.2 ms` becomes `in TIME`.
pub fn timeless(text: &str) -> String {
    let text = text.replace("less than a second", "0 seconds");
    let mut words: Vec<String> = text.split(' ').map(str::to_owned).collect();
    for at in 1..words.len() {
        let unit = words[at].trim_end_matches([',', ')', ';']).to_owned();
        if ["us", "ms", "s", "second", "seconds", "minute", "minutes", "hour", "hours"]
            .contains(&unit.as_str())
            && let number = words[at - 1].trim_start_matches('(')
            && number.parse::<f64>().is_ok()
        {
            words[at - 1] = words[at - 1].replace(number, "SOME");
            words[at] = words[at].replace(&unit, "TIME");
        }
    }
    words.join(" ")
}
