//! Wiki: DokuWiki's source as its developers have it, version after version, and two mistakes of theirs.
//!
//! ```text
//!   <source>/cutover.toml      how this version wants to be served; names it in a header
//!   <source>/public/           what Debian has in /usr/share/dokuwiki, patched; the docroot
//!   <source>/lib/              the libraries Debian packages apart
//! ```

use crate::stuck::{Stuck, Trying};
use crate::tree;
use std::fs;
use std::path::Path;

/// A state of the source.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Version {
    /// What it calls itself.
    pub name: &'static str,
    /// The colour of its badge.
    pub colour: &'static str,
}

/// The versions, in the order they are written.
pub const VERSIONS: [Version; 4] = [
    Version { name: "v1", colour: "#2b73b7" },
    Version { name: "v2", colour: "#b7402b" },
    Version { name: "v3", colour: "#2b8f4b" },
    Version { name: "v4", colour: "#7a3fa0" },
];

/// What a developer got wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mistake {
    /// A file that PHP cannot parse.
    Typo,
    /// Every page crashes.
    Crash,
}

/// Where pages show the id that Cutover gave their release.
pub const PLACEHOLDER: &str = "@release@";

/// The header that names the version.
pub const HEADER: &str = "x-wiki-version";

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

/// The files of a version that name it, below the source.
const NAMING: [&str; 7] = [
    "cutover.toml",
    "public/inc/template.php",
    "public/lib/tpl/dokuwiki/main.php",
    "public/lib/tpl/dokuwiki/tpl_footer.php",
    "public/lib/tpl/dokuwiki/meta.html",
    "public/lib/tpl/dokuwiki/footer.html",
    "public/lib/tpl/dokuwiki/images/release.svg",
];

/// Writes the first version into `source`, which is not there yet, from the unpacked packages.
///
/// # Errors
/// When a file cannot be written, or the packages are not what the patches are for.
pub fn write_first(packages: &Path, source: &Path) -> Result<(), Stuck> {
    copy_code(packages, source)?;
    own_paths(source)?;
    let [first, ..] = VERSIONS;
    let says = format!(
        "# How this version wants to be served. It is sealed with it, and flips with it.\n\
         [app]\ndocroot = \"public\"\n\n[php]\nfront = \"doku.php\"\n\n\
         [[site.header]]\npath = \"/**\"\nset = {{ {HEADER} = \"{}\" }}\n",
        first.name
    );
    write(&source.join("cutover.toml"), &says)?;
    patch(&source.join("public"), first)
}

/// Goes from one version to another: a change of six files and the badge.
///
/// # Errors
/// When a file cannot be read or written.
pub fn change(source: &Path, from: Version, to: Version) -> Result<(), Stuck> {
    for file in NAMING {
        let path = source.join(file);
        let text = read(&path)?;
        let text =
            [(mark(from), mark(to)), (quoted(from), quoted(to)), (from.colour.into(), to.colour.into())]
                .into_iter()
                .fold(text, |text, (from, to)| text.replace(&from, &to));
        write(&path, &text)?;
    }
    Ok(())
}

impl Mistake {
    fn file(self) -> &'static str {
        match self {
            Self::Typo => "public/lib/tpl/dokuwiki/main.php",
            Self::Crash => "public/doku.php",
        }
    }

    /// What is written at the beginning of the file.
    fn text(self) -> &'static str {
        match self {
            Self::Typo => "<?php echo 'the quotation mark is missing); ?>\n",
            Self::Crash => "<?php nobody_wrote_this_function(); ?>\n",
        }
    }

    /// Makes it in the source.
    ///
    /// # Errors
    /// When the file cannot be read or written.
    pub fn make(self, source: &Path) -> Result<(), Stuck> {
        let path = source.join(self.file());
        write(&path, &format!("{}{}", self.text(), read(&path)?))
    }

    /// Takes it back.
    ///
    /// # Errors
    /// When the file cannot be read or written.
    pub fn correct(self, source: &Path) -> Result<(), Stuck> {
        let path = source.join(self.file());
        write(&path, &read(&path)?.replacen(self.text(), "", 1))
    }
}

fn mark(version: Version) -> String {
    format!("[release {}]", version.name)
}

fn quoted(version: Version) -> String {
    format!("\"{}\"", version.name)
}

/// The badge of a version.
#[must_use]
pub fn badge(Version { name, colour }: Version) -> String {
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"120\" height=\"20\"><rect width=\"120\" height=\"20\" \
         fill=\"{colour}\"/><text x=\"8\" y=\"15\" fill=\"#fff\" font-family=\"sans-serif\" font-size=\"13\">[release \
         {name}]</text></svg>\n"
    )
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
fn patch(public: &Path, version: Version) -> Result<(), Stuck> {
    let template = public.join("lib/tpl/dokuwiki");
    let (mark, Version { name, colour }) = (mark(version), version);
    replace(
        &public.join("inc/template.php"),
        "'content'=> 'DokuWiki')",
        &format!("'content'=> 'DokuWiki {mark}')"),
    )?;
    replace(&template.join("main.php"), "<body>", &format!("<body data-begin=\"{mark}\">"))?;
    replace(&template.join("main.php"), "</body>", &format!("<!-- {mark} --></body>"))?;
    // The placeholder is filled in by a hook of the deploy.
    replace(
        &template.join("tpl_footer.php"),
        "<div class=\"buttons\">",
        &format!(
            "<p style=\"padding:.4em;color:#fff;background:{colour}\">This page is {mark}, deployed as \
             {PLACEHOLDER} <img src=\"<?php echo tpl_basedir(); ?>images/release.svg\" alt=\"{name}\" /></p>\n    \
             <div class=\"buttons\">"
        ),
    )?;
    write(&template.join("meta.html"), &format!("<meta name=\"release\" content=\"{mark}\" />\n"))?;
    write(&template.join("footer.html"), &format!("<!-- {mark} -->\n"))?;
    write(&public.join(BADGE), &badge(version))
}

fn replace(path: &Path, what: &str, with: &str) -> Result<(), Stuck> {
    let text = read(path)?;
    if text.matches(what).count() != 1 {
        return Err(Stuck::because(format!(
            "{} does not have {what:?} once; is this another DokuWiki?",
            path.display()
        )));
    }
    write(path, &text.replace(what, with))
}

fn read(path: &Path) -> Result<String, Stuck> {
    fs::read_to_string(path).trying(|| format!("cannot read {}", path.display()))
}

fn write(path: &Path, text: &str) -> Result<(), Stuck> {
    fs::write(path, text).trying(|| format!("cannot write {}", path.display()))
}
