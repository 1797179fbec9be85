//! Apache over the probe application, set up by `cutover apache --write`.

use std::fs;
use std::net::TcpStream;
use std::ops::Deref;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::OnceLock;

use crate::web::{CUTOVER, Site, ids};

/// Apache, php-fpm, and perhaps `cutover serve`, over an app.
pub struct Stand {
    site: Site,
    with: With,
}

/// Who pins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum With {
    Module,
    Http,
    FastCgi,
}

/// What Debian loads beside the MPM for a site such as ours.
const MODULES: [&str; 20] = [
    "authz_core",
    "authz_host",
    "mime",
    "dir",
    "alias",
    "env",
    "setenvif",
    "headers",
    "rewrite",
    "autoindex",
    "deny",
    "proxy",
    "proxy_http",
    "proxy_fcgi",
    "proxy_balancer",
    "lbmethod_byrequests",
    "slotmem_shm",
    "proxy_wstunnel",
    "access_compat",
    "unixd",
];

impl Stand {
    /// `more` is appended to cutover.toml's `[serve]`; `files` adds to the releases.
    pub fn start(mpm: &str, with: With, more: &str, pools: usize, files: impl FnOnce(&Site)) -> Stand {
        let site = Site::lay(more, pools);
        files(&site);
        ids().iter().for_each(|id| drop(site.cutover(&["seal", id, "--again"])));
        let listen = format!("listen = [\"127.0.0.1:{}\"]", site.port);
        let socket = site.path("serve.sock");
        let at = match with {
            With::Module => listen.clone(),
            With::Http => format!("listen = [\"unix:{}\"]", socket.display()),
            With::FastCgi => format!("listen = [\"fcgi:unix:{}\"]", socket.display()),
        };
        site.change(&listen, &at);
        let mut stand = Stand { site, with };
        if with != With::Module {
            let mut command = Command::new(CUTOVER);
            command.arg("serve").arg(stand.path("app"));
            stand.site.run(&mut command);
            stand.until(|| UnixStream::connect(&socket).is_ok());
            // Apache's children are not root.
            fs::set_permissions(&socket, fs::Permissions::from_mode(0o666)).unwrap();
        }
        fs::write(stand.conf(), stand.server(mpm)).unwrap();
        fs::create_dir(stand.path("sites")).unwrap();
        let said = stand.write();
        assert!(said.contains("written and tested; Apache does not run"), "{said}");
        let mut command = Command::new("/usr/sbin/apache2");
        // When it ends, it sends SIGTERM to its whole process group.
        command.arg("-f").arg(stand.conf()).arg("-DFOREGROUND").process_group(0);
        stand.site.run(&mut command);
        let port = stand.port;
        stand.until(|| TcpStream::connect(("127.0.0.1", port)).is_ok());
        stand
    }

    fn server(&self, mpm: &str) -> String {
        let own = self.dir.path().display();
        let mut text = format!(
            "ServerRoot {own}\nServerName probe.test\nPidFile {own}/apache.pid\nMutex file:{own}\nDefaultRuntimeDir {own}\n\
             ErrorLog {own}/apache.log\nListen 127.0.0.1:{}\nUser www-data\nGroup www-data\n",
            self.port
        );
        let load = |module: &str, file: &Path| format!("LoadModule {module}_module {}\n", file.display());
        let installed = |module: &str| PathBuf::from(format!("/usr/lib/apache2/modules/mod_{module}.so"));
        for module in [&format!("mpm_{mpm}")[..]].iter().chain(&MODULES) {
            // Some are built in.
            if installed(module).exists() {
                text += &load(module, &installed(module));
            }
        }
        if self.with == With::Module {
            text += &load("cutover", module());
        }
        text += match mpm {
            "prefork" => "StartServers 4\nMaxRequestWorkers 16\n",
            // Out of threads, event closes kept connections that are idle, and requests on their way with them.
            _ => "StartServers 2\nServerLimit 4\nThreadsPerChild 25\nMaxRequestWorkers 100\n",
        };
        text + &format!(
            "TypesConfig /etc/mime.types\n<Directory />\n    Require all denied\n    AllowOverride None\n</Directory>\n\
             IncludeOptional {own}/sites/*.conf\n"
        )
    }

    pub fn conf(&self) -> PathBuf {
        self.path("apache.conf")
    }

    pub fn vhost(&self) -> PathBuf {
        self.path("sites/probe.conf")
    }

    /// `cutover apache --write`; what it said.
    pub fn write(&self) -> String {
        let out = self.try_write();
        assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
        String::from_utf8(out.stdout).unwrap()
    }

    pub fn try_write(&self) -> Output {
        let apache = format!("/usr/sbin/apache2 -f {}", self.conf().display());
        let with = if self.with == With::Module { "module" } else { "serve" };
        let listen = format!("127.0.0.1:{}", self.port);
        let file = self.vhost();
        let words = ["apache", "--with", with, "--listen", &listen, "--apache", &apache, "--write"];
        self.tries(&[&words[..], &[file.to_str().unwrap()]].concat())
    }
}

impl Deref for Stand {
    type Target = Site;

    fn deref(&self) -> &Site {
        &self.site
    }
}

/// mod_cutover, built once.
fn module() -> &'static Path {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    BUILT.get_or_init(|| {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).unwrap();
        let target = Path::new(CUTOVER).ancestors().nth(2).unwrap().join("modules/build");
        let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".into());
        let mut command = Command::new(cargo);
        command.args(["build", "--locked", "--quiet", "-p", "mod_cutover"]).current_dir(root.join("modules"));
        let done = command.env("CARGO_TARGET_DIR", &target).env_remove("RUSTFLAGS").status().unwrap();
        assert!(done.success(), "mod_cutover cannot be built");
        target.join("debug/libmod_cutover.so")
    })
}
