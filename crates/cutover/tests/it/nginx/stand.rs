//! nginx over the probe application, set up by `cutover nginx --write`.

use std::fs;
use std::ops::Deref;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use crate::web::Site;

/// nginx and php-fpm over an app.
pub struct Stand(Site);

impl Stand {
    /// The whole file that the command writes. `more` is appended to cutover.toml; `http` goes into nginx's `http { }`.
    pub fn start(more: &str, http: &str) -> Stand {
        Stand::over(Site::lay(more, 1), http, |stand| {
            let said = stand.write();
            assert!(said.contains("written and tested; nginx does not run"), "{said}");
        })
    }

    /// Several pools, and a server of one's own around the parts that the command prints, with this in it.
    pub fn own(more: &str, http: &str, server: &str) -> Stand {
        Stand::over(Site::lay(more, 2), http, |stand| {
            let part = |part: &str| stand.cutover(&["nginx", "--part", part]);
            let text = format!(
                "{}\nserver {{ listen 127.0.0.1:{}; server_name probe.test;\n{}\n{server} }}\n",
                part("http"),
                stand.port,
                part("server")
            );
            fs::write(stand.site(), text).unwrap();
        })
    }

    /// An nginx over a site, whose configuration is written by `write`.
    pub fn over(site: Site, http: &str, write: impl FnOnce(&Stand)) -> Stand {
        let mut stand = Stand(site);
        let own = stand.dir.path().display();
        let text = format!(
            "daemon off;\nuser www-data;\npid {own}/nginx.pid;\nerror_log {own}/nginx.log;\nworker_processes 2;\n\
             events {{ worker_connections 512; }}\nhttp {{\ninclude /etc/nginx/mime.types;\naccess_log off;\n{temp}\n{http}\n\
             include {own}/conf.d/*.conf;\n}}\n",
            temp = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
                .map(|name| format!("{name}_temp_path {own}/{name};"))
                .join("\n")
        );
        fs::write(stand.path("nginx.conf"), text).unwrap();
        fs::create_dir(stand.path("conf.d")).unwrap();
        write(&stand);
        let mut command = Command::new("/usr/sbin/nginx");
        command.arg("-c").arg(stand.path("nginx.conf"));
        stand.0.run(&mut command);
        let port = stand.port;
        stand.until(|| std::net::TcpStream::connect(("127.0.0.1", port)).is_ok());
        stand
    }

    /// `cutover nginx --write`; what it said.
    pub fn write(&self) -> String {
        let out = self.try_write();
        assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
        String::from_utf8(out.stdout).unwrap()
    }

    pub fn try_write(&self) -> Output {
        let site = self.site();
        self.tries(&["nginx", "--nginx", &self.command(), "--write", site.to_str().unwrap()])
    }

    /// How this nginx is called.
    pub fn command(&self) -> String {
        called(&self.path("nginx.conf"))
    }

    pub fn site(&self) -> PathBuf {
        self.path("conf.d/probe.conf")
    }

    pub fn said(&self) -> String {
        fs::read_to_string(self.path("nginx.log")).unwrap_or_default()
    }
}

/// How the nginx with this configuration is called.
pub fn called(conf: &Path) -> String {
    format!("/usr/sbin/nginx -c {}", conf.display())
}

impl Deref for Stand {
    type Target = Site;

    fn deref(&self) -> &Site {
        &self.0
    }
}
