//! Args: the command line. One variant per command; the help texts live here, the doing in `command/`.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args as Group, Parser, Subcommand, ValueEnum};
use release::ReleaseId;

use crate::answer::{Failure, print};
use crate::command::adopt::AdoptFlags;
use crate::command::apache::ApacheFlags;
use crate::command::doctor::flags::DoctorFlags;
use crate::command::exec::flags::ExecFlags;
use crate::command::nginx::NginxFlags;
use crate::command::prove::flags::ProveFlags;

/// Atomic deploys for web applications served from a document root: every request sees exactly one release.
#[derive(Debug, Parser)]
#[command(name = "cutover", version, max_term_width = 100, after_help = EXAMPLES, disable_help_subcommand = true)]
pub struct Args {
    #[command(flatten)]
    pub globals: Globals,
    #[command(subcommand)]
    pub command: Command,
}

/// What every command takes.
#[derive(Debug, Clone, Default, Group)]
pub struct Globals {
    /// The app's directory: where its cutover.toml or, without one, its `current` link and `releases/` are
    #[arg(short = 'C', long = "dir", value_name = "DIR", global = true)]
    pub dir: Option<PathBuf>,
    /// The app's cutover.toml
    #[arg(long, value_name = "FILE", global = true)]
    pub config: Option<PathBuf>,
    /// Answer in JSON, errors too
    #[arg(long, global = true)]
    pub json: bool,
    /// Work on this host, over ssh: user@host or an alias; with :/DIR the app that is in a directory there
    #[arg(long, value_name = "HOST", global = true)]
    pub to: Option<String>,
    /// Work on this machine, although cutover.toml names a [[host]]
    #[arg(long, global = true)]
    pub local: bool,
    /// Instead of ~/.ssh/config
    #[arg(long, value_name = "FILE", global = true)]
    pub ssh_config: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Look at the project and write a commented cutover.toml for it
    #[command(
        after_help = "Examples:\n  cutover init\n  cutover -C /srv/shop init --name shop\n\nKnown: Laravel, Statamic, Symfony, WordPress (Bedrock too), Drupal, Magento, MediaWiki, DokuWiki, CakePHP,\nCodeIgniter, Craft CMS, TYPO3, Joomla; Hugo, Jekyll, Vite; CGI, plain PHP, static files."
    )]
    Init {
        /// The app's name; by default the directory's
        #[arg(long)]
        name: Option<String>,
        /// Write it although there is one already
        #[arg(long)]
        force: bool,
    },
    /// Say what `deploy` would do, without doing it
    #[command(after_help = "Examples:\n  cutover plan\n  cutover plan --ref v2.1 --json")]
    Plan {
        /// Branch, tag or commit, instead of the configured source.ref
        #[arg(long = "ref", value_name = "REF")]
        reference: Option<String>,
        #[command(flatten)]
        lock: Lock,
    },
    /// Build, stage, warm, flip, verify and prune: a new release from the source
    #[command(
        after_help = "Examples:\n  cutover deploy\n  cutover deploy --ref v2.1 --wait 5m\n  cutover deploy --only-if-changed --json\n  cutover deploy --to deploy@web1   (built here, live there)\n\nBefore the flip every failure leaves the old release live; after it a failed check flips back. A deploy that\nwas killed is finished or undone by the next command."
    )]
    Deploy {
        /// Branch, tag or commit, instead of the configured source.ref
        #[arg(long = "ref", value_name = "REF")]
        reference: Option<String>,
        /// Do nothing if it would be what is live: the same commit, or the same files
        #[arg(long)]
        only_if_changed: bool,
        #[command(flatten)]
        lock: Lock,
    },
    /// Freeze: nobody may deploy or flip until `unlock`; `rollback` still works
    #[command(after_help = "Example:\n  cutover lock --reason 'the sale lasts until Monday'")]
    Lock {
        /// Why; whoever wants to deploy is told
        #[arg(long)]
        reason: String,
    },
    /// End the freeze
    #[command(after_help = "Example:\n  cutover unlock")]
    Unlock,
    /// Take over the tree of Capistrano, Deployer, Ansistrano, Mina or Envoyer in place, or hand it back
    #[command(
        after_help = "Examples:\n  cutover -C /var/www/shop adopt --dry-run\n  cutover -C /var/www/shop adopt\n  cutover -C /var/www/shop adopt --link /var/www/html/shop --good 41\n  cutover -C /var/www/shop adopt --undo\n\nThe link, the releases and the other tool's files are not changed, so that tool goes on working; what it flips,\nCutover follows. Releases that were provably live are sealed, so that `cutover rollback` takes them."
    )]
    Adopt(AdoptFlags),
    /// Make a release live
    #[command(
        after_help = "Examples:\n  cutover flip r42\n  cutover -C /srv/shop flip r42 --force   (although it is not sealed)"
    )]
    Flip {
        /// The release
        #[arg(value_parser = ReleaseId::parse)]
        release: ReleaseId,
        /// Flip although the release is not sealed
        #[arg(long)]
        force: bool,
        #[command(flatten)]
        lock: Lock,
    },
    /// Go back to the last good release, or to the one named
    #[command(
        after_help = "Examples:\n  cutover rollback\n  cutover rollback r40\n\nThe release that is left is marked bad, so that nothing rolls back to it; `cutover flip` still takes it."
    )]
    Rollback {
        /// The release to go back to; by default the last good one before the live one
        #[arg(value_parser = ReleaseId::parse)]
        release: Option<ReleaseId>,
        /// Go back although the release is not sealed, was never good, or is marked bad
        #[arg(long)]
        force: bool,
        /// Do not mark the release that is left as bad
        #[arg(long)]
        keep_good: bool,
        #[command(flatten)]
        lock: Lock,
    },
    /// List the releases: sealed, live, good, bad, in use
    #[command(
        after_help = "Examples:\n  cutover releases\n  cutover releases --json | jq -r '.releases[] | select(.live).id'"
    )]
    Releases,
    /// Say what is live, since when, and whether all is well
    #[command(
        after_help = "Example:\n  cutover status || mail -s 'the link is broken' ops\n\nExits with 1 if no release is live."
    )]
    Status,
    /// Mark a release as complete: hash its files and write its manifest
    #[command(
        after_help = "Example:\n  rsync -a build/ /srv/shop/releases/r42/ && cutover -C /srv/shop seal r42 && cutover -C /srv/shop flip r42"
    )]
    Seal {
        /// The release; nothing may change in it afterwards
        #[arg(value_parser = ReleaseId::parse)]
        release: ReleaseId,
        /// Seal it anew although it is sealed
        #[arg(long)]
        again: bool,
    },
    /// Say in which files, and in which commits, two sealed releases differ
    #[command(
        after_help = "Examples:\n  cutover diff r41 r42\n  cutover diff r41 r42 --json | jq -r '.changed[].path'\n\n+ only in the second, ~ in both but different, - only in the first, * a commit of the second."
    )]
    Diff {
        /// The first release
        #[arg(value_parser = ReleaseId::parse)]
        first: ReleaseId,
        /// The second release
        #[arg(value_parser = ReleaseId::parse)]
        second: ReleaseId,
    },
    /// Read every blob and every sealed release, and say what is not as it was sealed
    #[command(
        after_help = "Examples:\n  cutover fsck\n  cutover fsck r42 --repair\n\nWhat is missing or damaged is made again from any other file that has its content; what nothing has any more is\ntold. Exits with 1 if anything is still wrong."
    )]
    Fsck {
        /// Only these releases; by default all that are sealed
        #[arg(value_parser = ReleaseId::parse)]
        releases: Vec<ReleaseId>,
        /// Mend what can be mended
        #[arg(long)]
        repair: bool,
        #[command(flatten)]
        lock: Lock,
    },
    /// Delete releases that are neither needed nor in use
    #[command(
        after_help = "Examples:\n  cutover prune --dry-run\n  cutover prune --keep 3\n\nNever deleted: the live release, the one that `rollback` would go to, those that a process holds, and those that\nwere live within app.keep_for. What was never sealed and never live is left alone: it may be in the making."
    )]
    Prune {
        /// Good releases to leave besides the live one and the way back; by default app.keep
        #[arg(long, value_name = "N")]
        keep: Option<u32>,
        /// Only say what would be deleted
        #[arg(long)]
        dry_run: bool,
        #[command(flatten)]
        lock: Lock,
    },
    /// Compile a release's PHP files into opcache, and ask it for its pages; by default what is live
    #[command(
        after_help = "Examples:\n  cutover warm            after PHP-FPM was restarted\n  cutover warm r40        before a rollback to it, or before another tool flips to it\n\nWhat visitors use most comes first. `cutover deploy` does this before each flip."
    )]
    Warm {
        /// The release; it must be sealed
        #[arg(value_parser = ReleaseId::parse)]
        release: Option<ReleaseId>,
        #[command(flatten)]
        lock: Lock,
    },
    /// Serve one app or several, each request from exactly one release
    #[command(
        after_help = "Examples:\n  cutover serve /srv/shop\n  cutover serve /etc/cutover/*.toml\n  cutover serve --check /etc/cutover/*.toml"
    )]
    Serve {
        /// Each app's cutover.toml, or its directory; by default the current directory
        #[arg(value_name = "FILE|DIR")]
        apps: Vec<PathBuf>,
        /// Only read the configuration and say what it means or what is wrong with it
        #[arg(long)]
        check: bool,
    },
    /// Run a command on the live release, which stays as long as the command uses it
    #[command(after_help = EXEC_EXAMPLES)]
    Exec(ExecFlags),
    /// Let the running server read its configuration again, without losing a request
    #[command(
        after_help = "Example:\n  cutover serve --check /srv/shop && cutover -C /srv/shop reload\n\nA configuration that cannot be served changes nothing: what was served still is."
    )]
    Reload,
    /// Let a newer program take over from the running server, without refusing a connection
    #[command(
        after_help = "Example:\n  install cutover-new /usr/local/bin/cutover && cutover -C /srv/shop upgrade"
    )]
    Upgrade {
        /// The program; by default what now stands where the running one was started from
        program: Option<PathBuf>,
    },
    /// Show visitors the maintenance page, or the site again
    #[command(
        after_help = "Examples:\n  cutover maintenance on\n  cutover maintenance off\n\nThe page, and who gets the site all the same, is said by [site.maintenance]."
    )]
    Maintenance {
        /// On or off
        state: OnOff,
    },
    /// Print or write the configuration that makes stock nginx pin each request to one release
    #[command(
        after_help = "Examples:\n  cutover -C /srv/shop nginx\n  cutover -C /srv/shop nginx --listen 443\\ ssl --write /etc/nginx/conf.d/shop.conf\n  cutover -C /srv/shop nginx --part server > /etc/nginx/shop-locations.conf\n  cutover -C /srv/shop nginx --follow   (mode = \"reload\", after another tool has flipped)\n\nNo module is needed, and nothing is reloaded for a flip, unless [nginx] says mode = \"reload\"."
    )]
    Nginx(NginxFlags),
    /// Print or write the virtual host that makes Apache serve each request from one release
    #[command(
        after_help = "Examples:\n  cutover -C /srv/shop apache\n  cutover -C /srv/shop apache --with module --write /etc/apache2/sites-available/shop.conf\n\nStock Apache can pin nothing by itself: `cutover serve` behind it does, or mod_cutover within it."
    )]
    Apache(ApacheFlags),
    /// Flood a site while its releases flip, and judge what its visitors would have seen
    #[command(after_help = PROVE_EXAMPLES)]
    Prove(Box<ProveFlags>),
    /// Look at this machine's servers, and say what will break a deploy
    #[command(after_help = DOCTOR_EXAMPLES)]
    Doctor(Box<DoctorFlags>),
    /// The far end of --to: takes orders on stdin and answers on stdout; not for people
    #[command(
        after_help = "Example:\n  cutover deploy --to deploy@web1   (starts it on web1, by way of ssh; it ends with the connection)"
    )]
    Host,
    /// Write completions for a shell
    #[command(after_help = "Example:\n  cutover completions bash > /etc/bash_completion.d/cutover")]
    Completions {
        /// Which shell
        shell: clap_complete::Shell,
    },
}

/// A switch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum OnOff {
    /// Visitors get the page
    On,
    /// Visitors get the site
    Off,
}

/// How long to wait for another command.
#[derive(Debug, Clone, Copy, Default, Group)]
pub struct Lock {
    /// Wait so long if another command is at work; by default not at all
    #[arg(long, value_name = "DURATION", value_parser = config::value::parse_duration)]
    wait: Option<std::time::Duration>,
}

impl Lock {
    /// As it stands on a command line.
    pub fn words(&self) -> Option<String> {
        self.wait.map(|wait| format!("--wait={}ms", wait.as_millis()))
    }

    /// How long.
    pub fn wait(&self) -> std::time::Duration {
        self.wait.unwrap_or_default()
    }
}

const PROVE_EXAMPLES: &str = "Examples:
  cutover prove --scaffold /tmp/probe          the probe application, to be served by the server under judgement
  cutover prove http://127.0.0.1:8080 --link /tmp/probe/current --flips-per-second 1000
  cutover prove http://127.0.0.1:8080 --flip 'ln -sfn releases/{release} /tmp/probe/current' --html report.html
  cutover prove http://127.0.0.1:8080 --app /tmp/probe --arrivals 500 --for 1m --slow 1s --junit report.xml
  cutover prove http://127.0.0.1 --header x-cutover-release --page / --releases r41,r42 --app /srv/shop
  cutover prove --replay saved.jsonl --html report.html

All times are of a monotonic clock: setting the system's clock changes no verdict.
Exit codes: 0 the promise held, 1 it was broken or the run was cut short, 2 wrong usage, or a site that cannot be judged.";

const DOCTOR_EXAMPLES: &str = "Examples:
  cutover doctor                                 everything that is found on this machine
  cutover doctor --nginx /etc/nginx/nginx.conf   only what is named
  cutover doctor --explain N05
  cutover doctor --fix | less                    the lines that would be changed
  cutover doctor --fix --write                   change them, let the server test them, keep a copy
  cutover doctor --collect web1.tar              pack what is looked at, secrets masked, for somebody else
  cutover doctor web1.tar                        look at what was packed
  cutover doctor --live https://shop.example.com from outside, by a few harmless requests

It only reads, unless --write or --probe is said. Exit codes: 0 nothing found that counts (--fail-on), 1 findings, 2 wrong usage.";

const EXEC_EXAMPLES: &str = "Examples:
  cutover -C /srv/shop exec -- php artisan schedule:run                       a line for cron
  cutover -C /srv/shop exec --follow -- php artisan queue:work                a worker that every flip renews
  cutover -C /srv/shop exec --follow --signal QUIT --grace 5m -- ./worker     that takes another signal, and its time
  cutover -C /srv/shop exec --release r41 -- php bin/console                  another sealed release

The command starts in the release's real directory, with CUTOVER_RELEASE and CUTOVER_RELEASE_ROOT.
Exit codes: the command's own; 125 it was not begun (no release is live, say), 126 it cannot be run, 127 it is not there.";

const EXAMPLES: &str = "Examples:
  cutover -C /srv/shop init
  cutover -C /srv/shop deploy
  cutover serve /srv/shop
  cutover -C /srv/shop flip r42
  cutover -C /srv/shop rollback

Exit codes: 0 done, 1 failed, 2 wrong usage or configuration, 3 refused (locked or in use).";

/// Prints what clap has to say: help and version are answers, the rest is wrong usage, in JSON where that was asked.
pub fn told(told: &clap::Error) -> ExitCode {
    if told.use_stderr() && std::env::args_os().any(|word| word == "--json") {
        let text = told.render().to_string();
        let error = text.lines().next().unwrap_or_default().trim_start_matches("error: ");
        let failure = Failure::usage(error).still("nothing was done").next("cutover --help");
        return print(Err(failure), true);
    }
    // A reader that went away wants no more words, and there is nowhere else to say them.
    match told.print() {
        Ok(()) | Err(_) if told.use_stderr() => ExitCode::from(2),
        Ok(()) | Err(_) => ExitCode::SUCCESS,
    }
}
