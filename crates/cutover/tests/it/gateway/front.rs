//! Front: a web server in front of the gateway, set up as docs/fastcgi-gateway.md says.

use std::fs;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

const DOCS: &str = include_str!("../../../../../docs/fastcgi-gateway.md");

/// The web servers, by their headings in the docs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Nginx,
    NginxWithFiles,
    ApacheSetHandler,
    ApacheProxyPassMatch,
    Lighttpd,
    Caddy,
    Haproxy,
}

/// One that runs.
pub struct Front {
    pub port: u16,
    child: Child,
    log: std::path::PathBuf,
}

impl Kind {
    fn heading(self) -> &'static str {
        match self {
            Kind::Nginx => "nginx",
            Kind::NginxWithFiles => "nginx, which serves files itself",
            Kind::ApacheSetHandler => "Apache, SetHandler",
            Kind::ApacheProxyPassMatch => "Apache, ProxyPassMatch",
            Kind::Lighttpd => "lighttpd",
            Kind::Caddy => "Caddy",
            Kind::Haproxy => "HAProxy",
        }
    }

    fn program(self) -> &'static str {
        match self {
            Kind::Nginx | Kind::NginxWithFiles => "/usr/sbin/nginx",
            Kind::ApacheSetHandler | Kind::ApacheProxyPassMatch => "/usr/sbin/apache2",
            Kind::Lighttpd => "/usr/sbin/lighttpd",
            Kind::Caddy => "/usr/bin/caddy",
            Kind::Haproxy => "/usr/sbin/haproxy",
        }
    }

    /// The block that the docs show for it.
    fn documented(self) -> &'static str {
        let (_, section) = DOCS.split_once(&format!("### {}\n", self.heading())).expect("its heading");
        let (_, block) = section.split_once("```").expect("a block");
        let (_, text) = block.split_once('\n').expect("a line");
        text.split_once("```").expect("the block's end").0
    }

    /// A whole configuration around the documented block. `app`: the app's root; `gateway`: our TCP port.
    fn config(self, dir: &Path, app: &Path, docroot: &str, gateway: u16, port: u16) -> String {
        let (dir, app) = (dir.display(), app.display());
        let block = self
            .documented()
            .replace("/run/cutover/shop.sock", &format!("{app}/fcgi.sock"))
            .replace("127.0.0.1:9001", &format!("127.0.0.1:{gateway}"))
            .replace("/srv/shop/current/public", &format!("{app}/current{docroot}"))
            .replace("/srv/shop/releases", &format!("{app}/releases"))
            .replace("listen 80;", &format!("listen 127.0.0.1:{port};"))
            .replace("*:80", &format!("127.0.0.1:{port}"))
            .replace("bind :80", &format!("bind 127.0.0.1:{port}"))
            // Whoever asks, by whatever name.
            .replace("http://shop.example.com {", &format!("http://:{port} {{"));
        let temp = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
            .map(|name| format!("{name}_temp_path {dir}/{name};"))
            .join("\n");
        let module =
            |name: &str| format!("LoadModule {name}_module /usr/lib/apache2/modules/mod_{name}.so\n");
        match self {
            Kind::Nginx | Kind::NginxWithFiles => format!(
                "daemon off;\nuser www-data;\npid {dir}/nginx.pid;\nerror_log {dir}/front.log;\nworker_processes 2;\n\
                 events {{ worker_connections 512; }}\nhttp {{\naccess_log off;\n{temp}\n{}\n}}\n",
                block.replace("include fastcgi_params", "include /etc/nginx/fastcgi_params")
            ),
            Kind::ApacheSetHandler | Kind::ApacheProxyPassMatch => format!(
                "{}ServerName localhost\nListen 127.0.0.1:{port}\nUser www-data\nGroup www-data\nPidFile {dir}/apache2.pid\n\
                 Mutex file:{dir}\nDefaultRuntimeDir {dir}\nErrorLog {dir}/front.log\nLogLevel warn\n\
                 <Directory />\nRequire all granted\nAllowOverride None\n</Directory>\n{block}",
                ["mpm_event", "authz_core", "dir", "proxy", "proxy_fcgi"].map(module).concat()
            ),
            Kind::Lighttpd => format!(
                "server.modules = ()\nserver.bind = \"127.0.0.1\"\nserver.port = {port}\nserver.username = \"www-data\"\n\
                 server.groupname = \"www-data\"\nserver.errorlog = \"{dir}/front.log\"\nserver.upload-dirs = ( \"{dir}\" )\n{block}"
            ),
            Kind::Caddy => format!(
                "{{\nadmin off\nauto_https off\ndefault_bind 127.0.0.1\nstorage file_system {dir}/caddy\nlog {{\noutput file {dir}/front.log\nlevel WARN\n}}\n}}\n{block}"
            ),
            Kind::Haproxy => format!(
                "global\nmaxconn 512\nuser www-data\ngroup www-data\ndefaults\nmode http\ntimeout connect 5s\ntimeout client 60s\n\
                 timeout server 60s\n{block}"
            ),
        }
    }

    /// Starts it; it is there when this returns.
    pub fn start(self, dir: &Path, app: &Path, docroot: &str, gateway: u16) -> Front {
        let port = crate::port::free();
        let (conf, log) = (dir.join("front.conf"), dir.join("front.out"));
        fs::write(&conf, self.config(dir, app, docroot, gateway, port)).unwrap();
        let mut command = Command::new(self.program());
        match self {
            Kind::Nginx | Kind::NginxWithFiles => command.arg("-c").arg(&conf),
            Kind::ApacheSetHandler | Kind::ApacheProxyPassMatch => {
                command.args(["-D", "FOREGROUND", "-d"]).arg(dir).arg("-f").arg(&conf)
            }
            Kind::Lighttpd => command.args(["-D", "-f"]).arg(&conf),
            Kind::Caddy => command
                .args(["run", "--adapter", "caddyfile", "--config"])
                .arg(&conf)
                .env("HOME", dir)
                .env("XDG_DATA_HOME", dir)
                .env("XDG_CONFIG_HOME", dir),
            Kind::Haproxy => command.args(["-db", "-f"]).arg(&conf),
        };
        let out = fs::File::create(&log).unwrap();
        command.stdin(Stdio::null()).stdout(out.try_clone().unwrap()).stderr(out);
        let child =
            command.spawn().unwrap_or_else(|why| panic!("{}: {why}: see scripts/setup", self.program()));
        let mut front = Front { port, child, log };
        let until = Instant::now() + Duration::from_secs(60);
        while std::net::TcpStream::connect(("127.0.0.1", port)).is_err() {
            let ended = front.child.try_wait().unwrap();
            assert!(
                ended.is_none() && Instant::now() < until,
                "{self:?} does not answer: {}",
                front.said(dir)
            );
            std::thread::sleep(Duration::from_millis(20));
        }
        front
    }
}

impl Front {
    /// What it printed and logged.
    pub fn said(&self, dir: &Path) -> String {
        let read = |path: &Path| fs::read_to_string(path).unwrap_or_default();
        read(&self.log) + &read(&dir.join("front.log"))
    }
}

impl Drop for Front {
    fn drop(&mut self) {
        // SIGTERM, so that a master takes its workers with it.
        Command::new("/bin/kill").arg(self.child.id().to_string()).output().unwrap();
        self.child.wait().unwrap();
    }
}
