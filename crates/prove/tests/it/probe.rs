//! The probe application of static files behind a real nginx that has nothing else. (PHP: see `stacks`; CGI and all kinds
//! behind `cutover serve`: see that crate's tests.)

use prove::probe::pages::{Kind, pages};
use prove::probe::scaffold_as;
use prove::scenario::{Load, Scenario};
use prove::{Flipper, Target, judge, report, run_blocking};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::time::{Duration, Instant};
use tempfile::TempDir;

struct Nginx {
    dir: TempDir,
    master: Child,
}

impl Nginx {
    /// Serves `app/current`, by one realpath for each request.
    fn start(ids: &[String]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        // Workers are not root.
        fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755)).unwrap();
        scaffold_as(&dir.path().join("app"), ids, Kind::Static).unwrap();
        fs::write(dir.path().join("nginx.conf"), conf(dir.path())).unwrap();
        let master = Command::new("/usr/sbin/nginx")
            .arg("-p")
            .arg(dir.path())
            .arg("-c")
            .arg(dir.path().join("nginx.conf"))
            .arg("-e")
            .arg(dir.path().join("early"))
            .spawn()
            .unwrap_or_else(|why| panic!("cannot run nginx ({why}): install the package nginx-light"));
        let mut nginx = Self { dir, master };
        let began = Instant::now();
        while UnixStream::connect(nginx.socket()).is_err() {
            let ended = nginx.master.try_wait().unwrap();
            assert!(ended.is_none() && began.elapsed() < Duration::from_secs(30), "nginx never came");
            std::thread::sleep(Duration::from_millis(10));
        }
        nginx
    }

    fn socket(&self) -> PathBuf {
        self.dir.path().join("nginx.sock")
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        // SIGTERM, so that the master takes its workers with it.
        Command::new("/bin/kill").arg(self.master.id().to_string()).output().unwrap();
        self.master.wait().unwrap();
    }
}

fn conf(dir: &Path) -> String {
    let at = dir.display();
    format!(
        "user www-data; worker_processes 2; daemon off; pid {at}/pid; error_log {at}/log crit;\n\
         events {{ worker_connections 256; }}\n\
         http {{ access_log off; types {{ text/html html; text/plain txt; }}\n\
           client_body_temp_path {at}/t1; proxy_temp_path {at}/t2; fastcgi_temp_path {at}/t3;\n\
           uwsgi_temp_path {at}/t4; scgi_temp_path {at}/t5;\n\
           map $server_name $cutover_pin {{ default $realpath_root; }}\n\
           server {{ listen unix:{at}/nginx.sock; server_name _; root {at}/app/current;\n\
             set $cutover_root $cutover_pin; if ($cutover_root = \"\") {{ return 503; }}\n\
             location / {{ root $cutover_root; }} }} }}\n"
    )
}

#[test]
fn a_site_of_static_files_and_indexes_behind_nginx_with_a_pinned_root_is_acquitted() {
    let ids: Vec<String> = ["r1", "r2"].map(str::to_owned).into();
    let nginx = Nginx::start(&ids);
    let by = Flipper::link(nginx.dir.path().join("app/current"));
    let mut scenario =
        Scenario::new(Target::unix(nginx.socket()), ids.clone(), pages(&ids, Kind::Static), by);
    scenario.load = Load { requests: 4_000, ..Load::default() };
    scenario.flips.count = 400;
    let observed = run_blocking(scenario).unwrap();
    let verdicts = judge(&observed).unwrap();
    println!("{}", report::text(&observed, &verdicts));
    assert!(verdicts.holds(), "{:?}", verdicts.total);
    assert!(verdicts.by_page.iter().all(|page| page.ok > 0), "each page was asked");
}
