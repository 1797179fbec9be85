//! Stack: a private nginx and php-fpm on Unix sockets in a temporary directory, over the probe application.

use prove::Target;
use prove::probe;
use std::fs::{self, File};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// How nginx finds the release.
#[derive(Clone, Copy)]
pub enum Root {
    /// `root …/current` and `$document_root`: what most tutorials show.
    Document,
    /// One `$realpath_root` per request, behind a map: what stock nginx can do right.
    Pinned,
}

pub struct Stack {
    dir: TempDir,
    running: Vec<Child>,
}

impl Stack {
    pub fn start(ids: &[String], root: Root) -> Self {
        let dir = tempfile::tempdir().unwrap();
        // php-fpm and nginx give up root's rights where we have them.
        fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755)).unwrap();
        let mut stack = Self { dir, running: Vec::new() };
        probe::scaffold(&stack.app(), ids).unwrap();
        stack.write("fpm.conf", &fpm_conf(stack.dir.path()));
        stack.write("nginx.conf", &nginx_conf(stack.dir.path(), &stack.link(), root));
        let fpm_conf = stack.dir.path().join("fpm.conf");
        stack.run("/usr/sbin/php-fpm8.2", "php8.2-fpm", &["-F", "-y", fpm_conf.to_str().unwrap()]);
        stack.await_socket("fpm.sock");
        let nginx_conf = stack.dir.path().join("nginx.conf");
        let prefix = stack.dir.path().to_str().unwrap().to_owned();
        let early_errors = stack.dir.path().join("nginx.early");
        let words = ["-p", &prefix, "-c", nginx_conf.to_str().unwrap(), "-e", early_errors.to_str().unwrap()];
        stack.run("/usr/sbin/nginx", "nginx-light", &words);
        stack.await_socket("nginx.sock");
        stack
    }

    pub fn target(&self) -> Target {
        Target::unix(self.dir.path().join("nginx.sock"))
    }

    pub fn link(&self) -> PathBuf {
        self.app().join("current")
    }

    fn app(&self) -> PathBuf {
        self.dir.path().join("app")
    }

    fn write(&self, name: &str, text: &str) {
        fs::write(self.dir.path().join(name), text).unwrap();
    }

    fn run(&mut self, program: &str, package: &str, words: &[&str]) {
        let out = File::create(self.dir.path().join(format!("{package}.out"))).unwrap();
        let child = Command::new(program)
            .args(words)
            .stdout(out.try_clone().unwrap())
            .stderr(out)
            .spawn()
            .unwrap_or_else(|why| panic!("cannot run {program} ({why}): install the package {package}"));
        self.running.push(child);
    }

    fn await_socket(&mut self, name: &str) {
        let path = self.dir.path().join(name);
        let began = Instant::now();
        while UnixStream::connect(&path).is_err() {
            let dead = self.running.iter_mut().any(|child| child.try_wait().unwrap().is_some());
            assert!(!dead && began.elapsed() < Duration::from_secs(20), "{name} never came: {}", self.said());
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    fn said(&self) -> String {
        let logs = ["php8.2-fpm.out", "nginx-light.out", "nginx.early", "nginx.log"];
        logs.map(|log| fs::read_to_string(self.dir.path().join(log)).unwrap_or_default()).concat()
    }
}

impl Drop for Stack {
    fn drop(&mut self) {
        for child in self.running.iter_mut().rev() {
            // SIGTERM, so that the masters take their workers with them; a kill would leave those behind.
            Command::new("/bin/kill").arg(child.id().to_string()).status().unwrap();
            child.wait().unwrap();
        }
    }
}

fn fpm_conf(dir: &Path) -> String {
    let dir = dir.display();
    format!(
        "[global]\nerror_log = {dir}/fpm.log\ndaemonize = no\n\
         [probe]\nuser = www-data\ngroup = www-data\nlisten = {dir}/fpm.sock\nlisten.mode = 0666\n\
         pm = static\npm.max_children = 8\nclear_env = yes\n\
         php_admin_value[opcache.file_update_protection] = 0\n"
    )
}

fn nginx_conf(dir: &Path, link: &Path, root: Root) -> String {
    let (dir, link) = (dir.display(), link.display());
    let (map, set, root) = match root {
        Root::Document => (String::new(), String::new(), format!("root {link};")),
        Root::Pinned => (
            "map $server_name $cutover_pin { default $realpath_root; }".to_owned(),
            format!(
                "root {link}; set $cutover_root $cutover_pin; if ($cutover_root = \"\") {{ return 503; }}"
            ),
            "root $cutover_root;".to_owned(),
        ),
    };
    format!(
        "user www-data;\nworker_processes 2;\ndaemon off;\npid {dir}/nginx.pid;\nerror_log {dir}/nginx.log;\n\
         events {{ worker_connections 512; }}\n\
         http {{\n\
           access_log off; default_type text/plain;\n\
           client_body_temp_path {dir}/t1; proxy_temp_path {dir}/t2; fastcgi_temp_path {dir}/t3;\n\
           uwsgi_temp_path {dir}/t4; scgi_temp_path {dir}/t5; client_max_body_size 8m;\n\
           {map}\n\
           server {{\n\
             listen unix:{dir}/nginx.sock; server_name _;\n\
             {set}\n\
             location / {{ {root} try_files $uri /index.php?$query_string; }}\n\
             location ~ \\.php$ {{ {root} try_files $uri /index.php?$query_string;\n\
               include /etc/nginx/fastcgi_params;\n\
               fastcgi_param SCRIPT_FILENAME $document_root$fastcgi_script_name;\n\
               fastcgi_pass unix:{dir}/fpm.sock; }}\n\
           }}\n\
         }}\n"
    )
}
