//! CGI programs: real ones, in shell, that answer, fail, hang and are left.

use std::fs::{self, File};
use std::io::{Seek, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use fastcgi::Head;
use serve::cgi::program::{self, Job, ProgramError, Run};
use tokio::sync::Semaphore;

/// Longer than anything takes on a busy machine: who waits so long waits for ever.
const LONG: Duration = Duration::from_secs(60);

struct Bench {
    dir: tempfile::TempDir,
    places: Arc<Semaphore>,
    log: Arc<Mutex<Vec<String>>>,
}

impl Bench {
    fn new() -> Bench {
        let dir = tempfile::tempdir().unwrap();
        fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755)).unwrap();
        Bench { dir, places: Arc::new(Semaphore::new(2)), log: Arc::default() }
    }

    fn program(&self, script: &str) -> PathBuf {
        let path = self.dir.path().join("program");
        // Written by another process: a descriptor of ours would be held by whatever other tests fork meanwhile, and a
        // file that somebody can write to cannot be executed (ETXTBSY).
        let mut writer = std::process::Command::new("sh");
        writer
            .args(["-c", "cat > \"$0\" && chmod 755 \"$0\""])
            .arg(&path)
            .stdin(std::process::Stdio::piped());
        let mut writer = writer.spawn().unwrap();
        write!(writer.stdin.take().unwrap(), "#!/bin/sh\n{script}").unwrap();
        assert!(writer.wait().unwrap().success());
        path
    }

    fn job(&self, script: &str) -> Job {
        let log = Arc::clone(&self.log);
        Job {
            file: self.program(script),
            env: vec![(b"PATH".to_vec(), b"/usr/bin:/bin".to_vec())],
            stdin: None,
            account: None,
            timeout: LONG,
            place: Arc::clone(&self.places).try_acquire_owned().unwrap(),
            log: Arc::new(move |line| log.lock().unwrap().push(line.to_owned())),
            hold: Box::new(()),
        }
    }

    async fn log_has(&self, text: &str) {
        eventually(text, || self.log.lock().unwrap().iter().any(|line| line.contains(text))).await;
    }
}

async fn eventually(what: &str, mut is: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !is() {
        assert!(begun.elapsed() < LONG, "never: {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

async fn whole((head, mut run): (Head, Run)) -> (Head, String) {
    let mut body = Vec::new();
    while let Some(piece) = run.read().await.unwrap() {
        body.extend_from_slice(&piece);
    }
    run.finish().await;
    (head, String::from_utf8(body).unwrap())
}

fn refusal(result: Result<(Head, Run), ProgramError>) -> ProgramError {
    match result {
        Ok((head, _)) => panic!("answered {}", head.status),
        Err(why) => why,
    }
}

#[tokio::test]
async fn a_program_has_its_environment_its_directory_and_the_body_and_nothing_else() {
    let bench = Bench::new();
    let mut stdin: File = tempfile::tempfile().unwrap();
    stdin.write_all(b"the body").unwrap();
    stdin.rewind().unwrap();
    let mut job =
        bench.job("printf 'Status: 201 Made\\r\\nX-A: b\\r\\n\\r\\n'; env; pwd; cat; ls -l /proc/self/fd");
    job.env.push((b"QUERY_STRING".to_vec(), b"a=1&b=$(id)".to_vec()));
    job.stdin = Some(stdin);
    let (head, body) = whole(program::run(job).await.unwrap()).await;
    assert_eq!((head.status, head.field("x-a")), (201, Some(&b"b"[..])));
    assert!(body.contains("QUERY_STRING=a=1&b=$(id)\n"), "{body}");
    assert!(!body.contains("CARGO"), "our environment leaks: {body}");
    assert!(body.contains(&format!("\n{}\nthe body", bench.dir.path().display())), "{body}");
    // Connections, sockets and the runtime's own must not be held by a program.
    let descriptors = body.rsplit_once("total 0").unwrap().1;
    assert!(!descriptors.contains("socket:") && !descriptors.contains("anon_inode:"), "{descriptors}");
}

#[tokio::test]
async fn what_a_program_says_on_standard_error_is_logged_line_by_line() {
    let bench = Bench::new();
    let script = "echo one >&2; printf 'two' >&2; printf 'Content-Type: a/b\\n\\nbody'; exit 3";
    let (_, body) = whole(program::run(bench.job(script)).await.unwrap()).await;
    assert_eq!(body, "body");
    bench.log_has("one").await;
    bench.log_has("two").await;
    bench.log_has("exit status: 3").await;
}

#[tokio::test]
async fn a_large_answer_is_read_as_it_is_asked_for() {
    let bench = Bench::new();
    let script = "printf '\\n'; head -c 30000000 /dev/zero | tr '\\0' x";
    let (_, body) = whole(program::run(bench.job(script)).await.unwrap()).await;
    assert_eq!(body.len(), 30_000_000);
}

#[tokio::test]
async fn what_is_no_answer_is_told_apart() {
    let bench = Bench::new();
    let gone = refusal(program::run(bench.job("exit 0")).await);
    assert!(gone.to_string().contains("ended before its headers did"), "{gone}");
    let text = refusal(program::run(bench.job("echo hello; echo; echo you")).await);
    assert!(text.to_string().contains("without a colon"), "{text}");
    let endless =
        refusal(program::run(bench.job("while :; do echo 'X: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa'; done")).await);
    assert!(endless.to_string().contains("longer than"), "{endless}");
    let mut job = bench.job("");
    fs::set_permissions(&job.file, fs::Permissions::from_mode(0o644)).unwrap();
    let plain = refusal(program::run(job).await);
    assert!(
        matches!(plain, ProgramError::Start { ref source, .. }
        if source.kind() == std::io::ErrorKind::PermissionDenied),
        "{plain}"
    );
    job = bench.job("");
    fs::write(&job.file, "#!/no/such/interpreter\n").unwrap();
    assert!(matches!(refusal(program::run(job).await), ProgramError::Start { .. }));
    assert_eq!(bench.places.available_permits(), 2);
}

/// The processes of `script` write their ids to a file; gives those that still run.
fn alive(bench: &Bench) -> Vec<String> {
    let ids = fs::read_to_string(bench.dir.path().join("ids")).unwrap_or_default();
    let runs = |id: &&str| {
        let stat = fs::read_to_string(format!("/proc/{id}/stat")).unwrap_or_default();
        stat.rsplit_once(") ").is_some_and(|(_, rest)| !rest.starts_with('Z'))
    };
    ids.split_whitespace().filter(runs).map(str::to_owned).collect()
}

const WITH_CHILD: &str =
    "echo $$ >> ids; sh -c 'echo $$ >> ids; exec sleep 600' & printf 'A: b\\n\\nfirst'; sleep 600";

#[tokio::test]
async fn a_program_that_takes_too_long_is_killed_with_what_it_started() {
    let bench = Bench::new();
    let mut job = bench.job("echo $$ >> ids; sleep 600 & echo $! >> ids; wait");
    job.timeout = Duration::from_millis(300);
    assert!(matches!(refusal(program::run(job).await), ProgramError::Late { .. }));
    eventually("all are gone", || alive(&bench).is_empty()).await;
    assert_eq!(bench.places.available_permits(), 2);
}

#[tokio::test]
async fn a_program_whose_client_leaves_is_killed_with_what_it_started() {
    let bench = Bench::new();
    let (_, mut run) = program::run(bench.job(WITH_CHILD)).await.unwrap();
    assert_eq!(run.read().await.unwrap().unwrap(), "first");
    eventually("both run", || alive(&bench).len() == 2).await;
    drop(run);
    eventually("all are gone", || alive(&bench).is_empty()).await;
    assert_eq!(bench.places.available_permits(), 2);
}

#[tokio::test]
async fn a_program_that_goes_on_after_its_answer_keeps_its_place_until_it_ends() {
    let bench = Bench::new();
    let (_, mut run) =
        program::run(bench.job("printf '\\nbody'; exec >&-; while [ ! -e over ]; do sleep 0.01; done"))
            .await
            .unwrap();
    while run.read().await.unwrap().is_some() {}
    let finishing = tokio::spawn(run.finish());
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert_eq!((bench.places.available_permits(), finishing.is_finished()), (1, false));
    fs::write(bench.dir.path().join("over"), "").unwrap();
    finishing.await.unwrap();
    assert_eq!(bench.places.available_permits(), 2);
}

#[tokio::test]
async fn the_time_a_client_takes_is_not_the_programs() {
    let bench = Bench::new();
    let mut job = bench.job("printf '\\n'; head -c 300000 /dev/zero; sleep 0.2; echo end");
    job.timeout = Duration::from_secs(2);
    let answer = program::run(job).await.unwrap();
    tokio::time::sleep(Duration::from_millis(2_200)).await;
    let (_, body) = whole(answer).await;
    assert!(body.ends_with("end\n"));
}

#[tokio::test]
async fn a_program_runs_as_whom_it_is_told() {
    if !rustix::process::geteuid().is_root() {
        return;
    }
    let bench = Bench::new();
    let mut job = bench.job("printf '\\n'; id -u; id -g; id -G");
    job.account = Some((33, 33));
    assert_eq!(whole(program::run(job).await.unwrap()).await.1, "33\n33\n33\n");
}
