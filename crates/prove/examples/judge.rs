//! Judge: how long the verdict on a large run takes. Makes up a run, saves it, reads the file back, judges and reports.
//!
//! ```text
//! cargo run --release -p cutover-prove --example judge -- --requests 1000000 --flips 100000
//! ```
//!
//! With `--faults 50` the made-up server is wrong in 50 of 1,000 requests near a flip; `--html FILE` keeps the page.

use clap::Parser;
use prove::observations::{Flip, Observations, Response, Seen};
use prove::{judge, report, saved};
use std::error::Error;
use std::path::PathBuf;
use std::time::{Duration, Instant};

#[derive(Parser)]
#[command(about = "Makes up a run of any size, and says how long its judgement takes")]
struct Flags {
    #[arg(long, default_value_t = 1_000_000)]
    requests: u64,
    #[arg(long, default_value_t = 100_000)]
    flips: u64,
    /// How many releases take turns.
    #[arg(long, default_value_t = 2)]
    releases: u32,
    /// How long the made-up run took.
    #[arg(long, default_value_t = 20)]
    seconds: u64,
    /// Of 1,000 requests near a flip so many are answered wrongly.
    #[arg(long, default_value_t = 0)]
    faults: u64,
    /// Where to keep the page.
    #[arg(long)]
    html: Option<PathBuf>,
    /// Print the report for a terminal too.
    #[arg(long)]
    text: bool,
}

const CLIENTS: u64 = 64;
const US: u64 = 1_000;

fn main() -> Result<(), Box<dyn Error>> {
    let flags = Flags::parse();
    let dir = tempfile::tempdir()?;
    let path = dir.path().join("run");
    saved::to_file(&made_up(&flags), &path)?;
    let bytes = std::fs::metadata(&path)?.len();

    let began = Instant::now();
    let observed = saved::from_file(&path)?;
    let read = began.elapsed();
    let verdicts = judge(&observed)?;
    let judged = began.elapsed();
    let peak = peak_mib();
    let page = report::html(&observed, &verdicts);
    let reported = began.elapsed();

    println!(
        "{} responses, {} flips, saved in {} MiB",
        observed.responses.len(),
        observed.flips.len(),
        bytes >> 20
    );
    println!(
        "read in {read:.2?}, judged in {:.2?}, together {judged:.2?}, at most {peak} MiB",
        judged - read
    );
    println!("page of {} KiB drawn in {:.2?}", page.len() >> 10, reported - judged);
    if flags.text {
        print!("{}", report::text(&observed, &verdicts));
    }
    if let Some(path) = flags.html {
        std::fs::write(path, page)?;
    }
    Ok(())
}

/// A run as a good server would have answered it, with faults near flips where they are asked for.
fn made_up(flags: &Flags) -> Observations {
    let end = Duration::from_secs(flags.seconds).as_nanos() as u64;
    let mut dice = Dice(0x9E37_79B9_7F4A_7C15);
    let gap = end / (flags.flips + 1);
    let flips: Vec<Flip> = (0..flags.flips)
        .map(|nth| {
            let called_ns = gap * (nth + 1) + dice.below(gap / 4 + 1);
            let returned_ns = Some(called_ns + (20 * US + dice.below(60 * US)).min(gap / 4));
            Flip { to: ((nth + 1) % u64::from(flags.releases)) as u32, called_ns, returned_ns }
        })
        .collect();
    let pages = ["small.txt", "front", "script", "slow script", "sometimes.php"];
    let each = end * CLIENTS / flags.requests.max(1);
    let responses = (0..flags.requests).map(|nth| {
        let (client, turn) = (nth % CLIENTS, nth / CLIENTS);
        let sent_ns = turn * each + each * client / CLIENTS;
        let page = dice.below(pages.len() as u64);
        let at = flips.partition_point(|flip| flip.called_ns <= sent_ns);
        let since = at.checked_sub(1).map(|last| sent_ns - flips[last].called_ns);
        let cold = since.map_or(1, |since| 1 + 12 * 20_000 * US / (since + 20_000 * US));
        let usual = (each / 12).clamp(60 * US, 2_000 * US);
        let took = (usual / 2 + dice.below(usual) + dice.below(20) / 19 * usual * 3) * cold * (page + 2) / 4;
        let done_ns = sent_ns + took.min(each - 1).max(1);
        let live = |at: usize| at.checked_sub(1).map_or(0, |last| flips[last].to);
        let near = since.is_some_and(|since| since < 30_000 * US) && dice.below(1_000) < flags.faults;
        let seen = match dice.below(4) {
            0 if near => Seen::Wrong(
                "status 404 and a body of 153 bytes that no release answers: File not found.".into(),
            ),
            1 if near => Seen::Parts([live(at - 1), live(at)].into()),
            2 | 3 if near => Seen::Of(live(at - 1)),
            _ => Seen::Of(live(at)),
        };
        let (page, client) = (page as u32, client as u32);
        Response { page, client, due_ns: sent_ns, sent_ns, done_ns, seen }
    });
    Observations {
        releases: (1..=flags.releases).map(|nth| format!("r{nth}")).collect(),
        pages: pages.map(str::to_owned).into(),
        responses: responses.collect(),
        flips,
        took_ns: end,
        target: "http://127.0.0.1:8080 (made up)".to_owned(),
        load: format!(
            "{CLIENTS} connections that ask again as soon as they are answered; {} flips",
            flags.flips
        ),
        began: "2026-11-22T20:15:00Z".to_owned(),
        ..Observations::default()
    }
}

/// The most memory this process ever held (proc(5), `VmHWM`).
fn peak_mib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    line.and_then(|line| line.split_whitespace().next()).and_then(|kib| kib.parse::<u64>().ok()).unwrap_or(0)
        >> 10
}

/// A small random sequence (xorshift64*), the same in every run.
struct Dice(u64);

impl Dice {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 16).checked_rem(limit).unwrap_or(0)
    }
}
