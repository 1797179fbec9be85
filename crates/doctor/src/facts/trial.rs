//! Trial: how a server is asked whether it takes its files as they stand.

use std::path::Path;

use super::Facts;
use crate::machine::Program;

impl Facts {
    /// The tests of all servers that read a file. None: no server that we can ask.
    pub fn trials(&self, file: &Path) -> Vec<Program> {
        let nginx =
            self.nginx.iter().filter(|nginx| nginx.files.contains_key(file)).map(|nginx| nginx.trial());
        let beside = |config: &Path| config.parent().is_some_and(|dir| file.starts_with(dir));
        let apache = self.apache.iter().filter(|apache| beside(&apache.config));
        let apache = apache.map(|apache| {
            Program::new("apache2ctl", ["-t".as_ref(), "-f".as_ref(), apache.config.as_os_str()])
        });
        let lighttpd = self.lighttpd.iter().filter(|lighttpd| beside(&lighttpd.config));
        let lighttpd = lighttpd.map(|lighttpd| {
            Program::new("lighttpd", ["-tt".as_ref(), "-f".as_ref(), lighttpd.config.as_os_str()])
        });
        nginx.chain(apache).chain(lighttpd).collect()
    }
}
