//! Wiki: DokuWiki as an app of Cutover: releases that differ by a visible patch, `data` and `conf` shared.
//!
//! ```text
//!   <site>/cutover.toml
//!   <site>/releases/r1/public/        what Debian has in /usr/share/dokuwiki, patched; the docroot
//!   <site>/releases/r1/lib/           the libraries Debian packages apart
//!   <site>/releases/r1/data, conf     links to shared/
//!   <site>/shared/data/  conf/        pages, media, caches; settings
//!   <site>/shared/sessions/           PHP's sessions
//! ```

use crate::stuck::{Stuck, Trying};
use crate::tree;
use std::fs;
use std::path::Path;

/// The releases, each with the colour of its badge.
pub const RELEASES: [(&str, &str); 3] = [("r1", "#2b73b7"), ("r2", "#b7402b"), ("r3", "#2b8f4b")];

/// Marks of the release in each page the wiki's template makes.
pub const MARKS: usize = 6;

/// The badge's path in the docroot: a static file that differs from release to release.
pub const BADGE: &str = "lib/tpl/dokuwiki/images/release.svg";

/// Where Debian puts the libraries, and where a release has them.
const LIBRARIES: [(&str, &str); 3] = [
    ("usr/share/javascript", "lib/javascript"),
    ("usr/share/php", "lib/php"),
    ("usr/share/php-geshi", "lib/php-geshi"),
];

/// Builds the app into `site`, which does not exist yet, from the unpacked packages.
///
/// # Errors
/// When a file cannot be written, or the packages are not what the patches are for.
pub fn build(packages: &Path, site: &Path) -> Result<(), Stuck> {
    share(packages, site)?;
    for (id, colour) in RELEASES {
        let release = site.join("releases").join(id);
        copy_code(packages, &release)?;
        own_paths(&release)?;
        patch(&release.join("public"), id, colour)?;
        for name in ["data", "conf"] {
            link(&format!("../../shared/{name}"), &release.join(name))?;
        }
    }
    Ok(())
}

/// The badge of a release.
#[must_use]
pub fn badge(id: &str, colour: &str) -> String {
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"120\" height=\"20\"><rect width=\"120\" height=\"20\" \
         fill=\"{colour}\"/><text x=\"8\" y=\"15\" fill=\"#fff\" font-family=\"sans-serif\" font-size=\"13\">[release \
         {id}]</text></svg>\n"
    )
}

fn share(packages: &Path, site: &Path) -> Result<(), Stuck> {
    let shared = site.join("shared");
    for dir in ["data", "conf", "sessions"] {
        let dir = shared.join(dir);
        fs::create_dir_all(&dir).trying(|| format!("cannot make {}", dir.display()))?;
    }
    tree::copy(packages, &packages.join("var/lib/dokuwiki/data"), &shared.join("data"), &[])?;
    tree::copy(packages, &packages.join("etc/dokuwiki"), &shared.join("conf"), &[])?;
    // The settings below come after Debian's and win. An open wiki on loopback: anybody may edit.
    let local = "<?php\n\
        $conf['title'] = 'Cutover demo';\n\
        $conf['savedir'] = realpath(DOKU_INC . '../data');\n\
        $conf['start'] = 'wiki:welcome';\n\
        $conf['useacl'] = 0;\n\
        $conf['userewrite'] = 2;\n\
        $conf['updatecheck'] = 0;\n";
    write(&shared.join("conf/local.php"), local)
}

fn copy_code(packages: &Path, release: &Path) -> Result<(), Stuck> {
    // What belongs to an installation by hand, and Debian's own preload.php, which names fixed paths.
    let public = release.join("public");
    tree::copy(packages, &packages.join("usr/share/dokuwiki"), &public, &["bin", "install.php"])?;
    for (from, to) in LIBRARIES {
        tree::copy(packages, &packages.join(from), &release.join(to), &["doc"])?;
    }
    let preload = "<?php\n// Settings live beside the docroot, not in it.\n\
        if (!defined('DOKU_CONF')) define('DOKU_CONF', dirname(__DIR__, 2) . '/conf/');\n";
    write(&public.join("inc/preload.php"), preload)
}

/// Makes every path that Debian fixed at `/usr/share/…` one of the release's own.
fn own_paths(release: &Path) -> Result<(), Stuck> {
    let public = release.join("public");
    for file in tree::files(&public, ".php")? {
        let path = public.join(&file);
        let Ok(text) = fs::read_to_string(&path) else { continue };
        if !text.contains("'/usr/share/") {
            continue;
        }
        let up = "../".repeat(file.components().count());
        let owned = LIBRARIES.iter().fold(text, |text, (from, to)| {
            text.replace(&format!("'/{from}/"), &format!("__DIR__ . '/{up}{to}/"))
        });
        // Debian's patch put an absolute path behind a variable in one place that is never reached.
        let owned = owned.replace("$vendorDir . __DIR__", "__DIR__");
        if owned.contains("'/usr/share/") {
            return Err(Stuck::because(format!(
                "{} names a path of the system's that this demo does not know",
                path.display()
            )));
        }
        write(&path, &owned)?;
    }
    Ok(())
}

/// The visible difference: the wiki's own code, its template's two files, its include hooks and a static file.
fn patch(public: &Path, id: &str, colour: &str) -> Result<(), Stuck> {
    let template = public.join("lib/tpl/dokuwiki");
    let mark = format!("[release {id}]");
    replace(
        &public.join("inc/template.php"),
        "'content'=> 'DokuWiki')",
        &format!("'content'=> 'DokuWiki {mark}')"),
    )?;
    replace(&template.join("main.php"), "<body>", &format!("<body data-begin=\"{mark}\">"))?;
    replace(&template.join("main.php"), "</body>", &format!("<!-- {mark} --></body>"))?;
    replace(
        &template.join("tpl_footer.php"),
        "<div class=\"buttons\">",
        &format!(
            "<p style=\"padding:.4em;color:#fff;background:{colour}\">This page is {mark} \
             <img src=\"<?php echo tpl_basedir(); ?>images/release.svg\" alt=\"{id}\" /></p>\n    <div class=\"buttons\">"
        ),
    )?;
    write(&template.join("meta.html"), &format!("<meta name=\"release\" content=\"{mark}\" />\n"))?;
    write(&template.join("footer.html"), &format!("<!-- {mark} -->\n"))?;
    write(&public.join(BADGE), &badge(id, colour))
}

fn replace(path: &Path, what: &str, with: &str) -> Result<(), Stuck> {
    let text = fs::read_to_string(path).trying(|| format!("cannot read {}", path.display()))?;
    if text.matches(what).count() != 1 {
        return Err(Stuck::because(format!(
            "{} does not have {what:?} once; is this another DokuWiki?",
            path.display()
        )));
    }
    write(path, &text.replace(what, with))
}

fn write(path: &Path, text: &str) -> Result<(), Stuck> {
    fs::write(path, text).trying(|| format!("cannot write {}", path.display()))
}

#[allow(clippy::disallowed_methods, reason = "new links in a release that is being built and not yet sealed")]
fn link(text: &str, at: &Path) -> Result<(), Stuck> {
    std::os::unix::fs::symlink(text, at).trying(|| format!("cannot link {}", at.display()))
}
