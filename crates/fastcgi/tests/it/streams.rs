//! Long bodies in constant memory, answers before the request is over, aborts.

use std::{
    io,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use fastcgi::client::{Body, BodySource, ClientError, Policy, Request};

use crate::{
    fpm::{self, Fpm},
    pool::{LONG, eventually, get, pool, text, told},
};

/// So many pieces of 64 KiB, made when they are asked for.
struct Pieces {
    left: usize,
    given: Arc<AtomicUsize>,
}

const PIECE: usize = 64 << 10;

impl BodySource for Pieces {
    fn poll_piece(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<io::Result<Bytes>>> {
        if self.left == 0 {
            return Poll::Ready(None);
        }
        self.left -= 1;
        self.given.fetch_add(1, Ordering::SeqCst);
        Poll::Ready(Some(Ok(Bytes::from(vec![b'u'; PIECE]))))
    }
}

fn upload(fpm: &Fpm, script: &str, pieces: usize) -> (Request, Arc<AtomicUsize>) {
    let given = Arc::new(AtomicUsize::new(0));
    let source = Box::pin(Pieces { left: pieces, given: given.clone() });
    let params = fpm::post(&fpm.path(script), pieces * PIECE);
    (Request { body: Body::Stream(source), ..Request::new(params) }, given)
}

fn resident_kib() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

/// 100 MB each way; with CUTOVER_TEST_LONG=1 it is 2 GB.
fn pieces() -> usize {
    if std::env::var_os("CUTOVER_TEST_LONG").is_some() { 32_768 } else { 1_600 }
}

#[tokio::test]
async fn a_long_upload_and_a_long_download_take_constant_memory() {
    let fpm = Fpm::start(1);
    let pool = pool(&fpm, Policy::Exclusive { total: 1 });
    fpm.script(
        "count.php",
        "$n = 0; $in = fopen('php://input', 'rb'); while (!feof($in)) $n += strlen(fread($in, 65536)); echo $n;",
    );
    let before = resident_kib();
    let (request, _) = upload(&fpm, "count.php", pieces());
    assert_eq!(text(pool.send(request).await.unwrap()).await, (pieces() * PIECE).to_string());
    let down = fpm
        .script("down.php", &format!("for ($i = 0; $i < {}; $i++) echo str_repeat('d', 65536);", pieces()));
    let mut response = pool.send(get(&down)).await.unwrap();
    let mut len = 0;
    while let Some(chunk) = response.body.chunk().await.unwrap() {
        assert!(!chunk.is_empty());
        len += chunk.len();
    }
    assert_eq!(len, pieces() * PIECE);
    // Other tests run beside us: far less than the bodies is what counts.
    assert!(resident_kib() < before + 50_000, "{} KiB before, {} after", before, resident_kib());
}

#[tokio::test]
async fn an_echo_of_100_mb_runs_both_ways_at_once() {
    let fpm = Fpm::start_with(1, "php_admin_flag[enable_post_data_reading] = off", false);
    let pool = pool(&fpm, Policy::Exclusive { total: 1 });
    // Without the input being read ahead by PHP: each piece is answered as it comes.
    fpm.script(
        "echo.php",
        "$in = fopen('php://input', 'rb'); while (!feof($in)) { echo fread($in, 65536); flush(); }",
    );
    let (request, given) = upload(&fpm, "echo.php", 1_600);
    let mut response = pool.send(request).await.unwrap();
    assert!(given.load(Ordering::SeqCst) < 100, "the head is there before the body was sent");
    let mut len = 0;
    while let Some(chunk) = response.body.chunk().await.unwrap() {
        len += chunk.len();
    }
    assert_eq!(len, 1_600 * PIECE);
    eventually("it is kept", || pool.occupancy().idle == 1).await;
}

#[tokio::test]
async fn who_does_not_read_lets_the_script_wait_and_who_does_not_take_lets_the_sender_wait() {
    let fpm = Fpm::start_with(1, "php_admin_flag[enable_post_data_reading] = off", false);
    let pool = pool(&fpm, Policy::Exclusive { total: 1 });
    fpm.script(
        "deaf.php",
        &format!(
            "echo 'x'; flush(); {} echo strlen(file_get_contents('php://input'));",
            fpm.until_open("gate")
        ),
    );
    let (request, given) = upload(&fpm, "deaf.php", 400);
    let response = pool.send(request).await.unwrap();
    assert!(given.load(Ordering::SeqCst) < 100);
    fpm.open("gate");
    assert_eq!(text(response).await, format!("x{}", 400 * PIECE));

    let path = fpm.path("progress");
    let code = format!(
        "for ($i = 0; $i < 800; $i++) {{ echo str_repeat('d', 65536); flush(); }} touch('{}');",
        path.display()
    );
    let mut response = pool.send(get(&fpm.script("flood.php", &code))).await.unwrap();
    response.body.chunk().await.unwrap();
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert!(!path.exists(), "the script waits for its reader");
    while response.body.chunk().await.unwrap().is_some() {}
    assert!(path.exists());
}

#[tokio::test]
async fn a_response_that_is_dropped_aborts_the_script_and_holds_until_it_has_ended() {
    let fpm = Fpm::start(1);
    let pool = pool(&fpm, Policy::Exclusive { total: 1 });
    let (begun, ended) = (fpm.path("begun"), fpm.path("ended"));
    let code = format!(
        "register_shutdown_function(function() {{ usleep(300000); file_put_contents('{}', connection_status()); }}); \
         touch('{}'); echo 'x'; flush(); while (true) {{ echo str_repeat('y', 10000); flush(); usleep(10000); }}",
        ended.display(),
        begun.display()
    );
    let endless = fpm.script("endless.php", &code);
    let (held, freed) = told();
    let response = pool.send(Request { until_free: Some(Box::new(held)), ..get(&endless) }).await.unwrap();
    assert!(begun.exists());
    drop(response);
    eventually("the script noticed", || ended.exists()).await;
    eventually("it is freed", || freed.load(Ordering::SeqCst)).await;
    assert_eq!(std::fs::read_to_string(&ended).unwrap(), "1", "PHP calls it aborted");
    eventually("it is closed", || pool.occupancy().open == 0).await;
    assert_eq!(text(pool.send(get(&fpm.script("hello.php", "echo 'hello';"))).await.unwrap()).await, "hello");
}

#[tokio::test]
async fn a_script_that_says_nothing_runs_on_after_the_abort_and_is_held_so_long() {
    let fpm = Fpm::start(1);
    let pool = pool(&fpm, Policy::Exclusive { total: 1 });
    let (begun, ended) = (fpm.path("begun"), fpm.path("ended"));
    let code =
        format!("touch('{}'); {} touch('{}');", begun.display(), fpm.until_open("gate"), ended.display());
    let quiet = fpm.script("quiet.php", &code);
    let (held, freed) = told();
    let request = Request { until_free: Some(Box::new(held)), ..get(&quiet) };
    let sending = tokio::spawn({
        let pool = pool.clone();
        async move { pool.send(request).await.map(drop) }
    });
    eventually("it runs", || begun.exists()).await;
    sending.abort();
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert!(!freed.load(Ordering::SeqCst) && !ended.exists());
    fpm.open("gate");
    eventually("it is freed", || freed.load(Ordering::SeqCst)).await;
    assert!(ended.exists(), "not freed before the script ended");
}

#[tokio::test]
async fn an_upload_that_breaks_off_ends_the_request_and_says_why() {
    struct Breaks(usize);
    impl BodySource for Breaks {
        fn poll_piece(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<io::Result<Bytes>>> {
            self.0 += 1;
            Poll::Ready(Some(match self.0 {
                1..10 => Ok(Bytes::from(vec![b'u'; PIECE])),
                _ => Err(io::ErrorKind::ConnectionReset.into()),
            }))
        }
    }
    let fpm = Fpm::start(1);
    let pool = pool(&fpm, Policy::Exclusive { total: 1 });
    fpm.script("sum.php", "echo strlen(file_get_contents('php://input'));");
    let params = fpm::post(&fpm.path("sum.php"), 100 * PIECE);
    let (held, freed) = told();
    let request = Request {
        body: Body::Stream(Box::pin(Breaks(0))),
        until_free: Some(Box::new(held)),
        ..Request::new(params)
    };
    assert!(matches!(pool.send(request).await, Err(ClientError::RequestBody(_))));
    eventually("it is freed", || freed.load(Ordering::SeqCst) && pool.occupancy().open == 0).await;
}

#[tokio::test]
async fn a_worker_that_is_killed_within_its_response_is_closed_early() {
    let fpm = Fpm::start(1);
    let pool = pool(&fpm, Policy::Exclusive { total: 1 });
    let killed = fpm.script("killed.php", "header('X-Pid: '.getmypid()); echo 'x'; flush(); sleep(600);");
    let mut response = pool.send(get(&killed)).await.unwrap();
    let pid = std::str::from_utf8(response.head.field("x-pid").unwrap()).unwrap().parse().unwrap();
    assert_eq!(response.body.chunk().await.unwrap().unwrap(), "x");
    let pid = rustix::process::Pid::from_raw(pid).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
    let why = tokio::time::timeout(LONG, response.body.chunk()).await.expect("it is told").unwrap_err();
    assert!(matches!(why, ClientError::ClosedEarly { heard: true }), "{why:?}");
    assert_eq!(text(pool.send(get(&fpm.script("hello.php", "echo 'hello';"))).await.unwrap()).await, "hello");
}

#[tokio::test]
async fn a_reload_of_fpm_between_requests_fails_none() {
    let fpm = Fpm::start(2);
    let pool = pool(&fpm, Policy::Exclusive { total: 2 });
    let hello = fpm.script("hello.php", "echo 'hello';");
    for reload in 1..=3 {
        assert_eq!(text(pool.send(Request::new(hello.clone())).await.unwrap()).await, "hello");
        eventually("it is kept", || pool.occupancy().idle == 1).await;
        rustix::process::kill_process(fpm.master(), rustix::process::Signal::USR2).unwrap();
        // FPM ends its idle workers and becomes a new master.
        let comes = |log: String| log.matches("ready to handle connections").count();
        eventually("the next master", || comes(fpm.log()) == 1 + reload).await;
    }
}
