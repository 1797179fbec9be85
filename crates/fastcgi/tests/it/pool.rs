//! The pool against a real PHP-FPM.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
        mpsc,
    },
    time::{Duration, Instant},
};

use bytes::Bytes;
use fastcgi::{
    Params,
    client::{Body, ClientError, Occupancy, Policy, Pool, PoolOptions, Request, Response},
};

use crate::fpm::{self, Fpm};

/// Longer than anything takes on a busy machine: who waits so long waits for ever.
pub const LONG: Duration = Duration::from_secs(60);

pub fn pool(fpm: &Fpm, policy: Policy) -> Pool {
    Pool::new(PoolOptions::new(vec![fpm.address()], policy))
}

pub async fn text(mut response: Response) -> String {
    let mut all = Vec::new();
    while let Some(chunk) = response.body.chunk().await.unwrap() {
        all.extend_from_slice(&chunk);
    }
    String::from_utf8(all).unwrap()
}

pub fn get(params: &Params) -> Request {
    Request { idempotent: true, ..Request::new(params.clone()) }
}

/// Tells when it is dropped.
pub struct Told(Arc<AtomicBool>);

impl Drop for Told {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

pub fn told() -> (Told, Arc<AtomicBool>) {
    let flag = Arc::new(AtomicBool::new(false));
    (Told(flag.clone()), flag)
}

pub async fn eventually(what: &str, mut check: impl FnMut() -> bool) {
    let began = Instant::now();
    while !check() {
        assert!(began.elapsed() < LONG, "never: {what}");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

#[tokio::test]
async fn a_small_response_is_there_with_its_head_and_the_connection_is_used_again() {
    for tcp in [false, true] {
        let fpm = Fpm::start_with(2, "", tcp);
        let pool = pool(&fpm, Policy::Shared { kept: 1, max: 8 });
        let hello = fpm.script("hello.php", "header('X-Pid: '.getmypid()); echo 'hello';");
        let mut pids = std::collections::BTreeSet::new();
        for _ in 0..20 {
            let mut response = pool.send(get(&hello)).await.unwrap();
            assert_eq!(response.head.status, 200);
            pids.insert(response.head.field("x-pid").unwrap().to_vec());
            assert_eq!(response.body.buffered_whole(), response.body.take_whole().is_some());
            while response.body.chunk().await.unwrap().is_some() {}
            assert_eq!(response.body.app_status(), Some(0));
            eventually("the worker is free", || pool.occupancy().idle == 1).await;
        }
        assert_eq!((pids.len(), pool.occupancy().open), (1, 1));
        pool.close_idle();
        assert_eq!(pool.occupancy().open, 0);
    }
}

#[tokio::test]
async fn large_headers_and_what_the_script_logs_come_through() {
    let fpm = Fpm::start(1);
    let pool = pool(&fpm, Policy::Exclusive { total: 1 });
    let code = "for ($i = 0; $i < 10; $i++) header(\"X-$i: \".str_repeat('v', 7000)); error_log('first'); echo 'b'; \
                error_log('second');";
    let params = fpm.script("big.php", code);
    let (log, lines) = mpsc::channel();
    let mut request = get(&params);
    request.log = Some(Box::new(move |text| log.send(String::from_utf8_lossy(text).into_owned()).unwrap()));
    let response = pool.send(request).await.unwrap();
    assert_eq!(response.head.field("X-9").unwrap().len(), 7_000);
    assert_eq!(text(response).await, "b");
    let lines: String = lines.try_iter().collect();
    assert!(lines.contains("first") && lines.contains("second"), "{lines}");

    let narrow = Pool::new(PoolOptions {
        head_len: 1_000,
        ..PoolOptions::new(vec![fpm.address()], Policy::PerRequest { max: 1 })
    });
    assert!(matches!(
        narrow.send(get(&params)).await,
        Err(ClientError::Head(fastcgi::head::HeadError::TooLarge { limit: 1_000 }))
    ));
}

#[tokio::test]
async fn parameters_longer_than_a_record_reach_php_whole() {
    let fpm = Fpm::start(1);
    let pool = pool(&fpm, Policy::Exclusive { total: 1 });
    let mut params = fpm.script(
        "long.php",
        "for ($n = 0, $i = 0; $i < 9; $i++) $n += strlen($_SERVER[\"HTTP_X_$i\"]); echo $n;",
    );
    for nth in 0..9 {
        params.push(format!("HTTP_X_{nth}").as_bytes(), &[b'v'; 30_000]);
    }
    assert_eq!(text(pool.send(get(&params)).await.unwrap()).await, "270000");
}

#[tokio::test]
async fn a_worker_is_not_free_before_what_runs_after_the_response_is_over() {
    let fpm = Fpm::start(2);
    let pool = pool(&fpm, Policy::Shared { kept: 1, max: 8 });
    let ended = fpm.path("ended");
    let code = format!(
        "echo 'done'; fastcgi_finish_request(); {} touch('{}');",
        fpm.until_open("gate"),
        ended.display()
    );
    let after = fpm.script("after.php", &code);
    let hello = fpm.script("hello.php", "echo 'hello';");
    let (held, freed) = told();
    let response = pool.send(Request { until_free: Some(Box::new(held)), ..get(&after) }).await.unwrap();
    assert_eq!(text(response).await, "done", "the response does not wait");
    // The next one takes another connection, so it does not wait either.
    assert_eq!(text(pool.send(get(&hello)).await.unwrap()).await, "hello");
    assert!(!freed.load(Ordering::SeqCst));
    fpm.open("gate");
    eventually("it is freed", || freed.load(Ordering::SeqCst)).await;
    assert!(ended.exists(), "freed before the script ended");
}

#[tokio::test]
async fn per_request_too_holds_until_the_worker_is_free_and_keeps_nothing() {
    let fpm = Fpm::start(1);
    let pool = pool(&fpm, Policy::PerRequest { max: 8 });
    let code = format!("echo 'done'; fastcgi_finish_request(); {}", fpm.until_open("gate"));
    let after = fpm.script("after.php", &code);
    let (held, freed) = told();
    let response = pool.send(Request { until_free: Some(Box::new(held)), ..get(&after) }).await.unwrap();
    assert_eq!(text(response).await, "done");
    assert!(!freed.load(Ordering::SeqCst));
    fpm.open("gate");
    eventually("it is freed", || freed.load(Ordering::SeqCst)).await;
    eventually("it is closed", || pool.occupancy().open == 0).await;
}

#[tokio::test]
async fn workers_that_end_after_a_few_requests_fail_none() {
    for tcp in [false, true] {
        let fpm = Fpm::start_with(4, "pm.max_requests = 50", tcp);
        let pool = pool(&fpm, Policy::Exclusive { total: 4 });
        let hello = fpm.script("hello.php", "echo 'hello', str_repeat('.', 30000);");
        let failed = Arc::new(AtomicUsize::new(0));
        let clients: Vec<_> = (0..6)
            .map(|_| {
                let (pool, hello, failed) = (pool.clone(), hello.clone(), failed.clone());
                tokio::spawn(async move {
                    for _ in 0..500 {
                        // Not idempotent, so nothing is covered up by a retry.
                        match pool.send(Request::new(hello.clone())).await {
                            Ok(response) => assert_eq!(text(response).await.len(), 30_005),
                            Err(why) => {
                                eprintln!("{why}");
                                failed.fetch_add(1, Ordering::SeqCst);
                            }
                        }
                    }
                })
            })
            .collect();
        for client in clients {
            client.await.unwrap();
        }
        assert_eq!(failed.load(Ordering::SeqCst), 0, "of 3,000, tcp {tcp}");
    }
}

#[tokio::test]
async fn the_ninth_client_of_eight_workers_is_served() {
    let fpm = Fpm::start(8);
    // None is closed for having been idle.
    let pool = Pool::new(PoolOptions {
        idle: LONG * 60,
        ..PoolOptions::new(vec![fpm.address()], Policy::Shared { kept: 4, max: 100 })
    });
    let nap = fpm.script("nap.php", "usleep(50000); echo 'x';");
    let all: Vec<_> = (0..9)
        .map(|_| {
            let (pool, nap) = (pool.clone(), nap.clone());
            tokio::spawn(async move { text(pool.send(get(&nap)).await.unwrap()).await })
        })
        .collect();
    for one in all {
        assert_eq!(one.await.unwrap(), "x");
    }
    eventually("four are kept", || pool.occupancy() == Occupancy { open: 4, idle: 4, waiting: 0 }).await;
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert_eq!(pool.occupancy().idle, 4);
    // A stranger finds a worker although ours are kept.
    let stranger = self::pool(&fpm, Policy::PerRequest { max: 1 });
    let served = tokio::time::timeout(LONG, stranger.send(get(&nap))).await;
    assert_eq!(text(served.expect("it is served").unwrap()).await, "x");
    assert_eq!(pool.occupancy().idle, 4);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cap_that_is_as_large_as_the_pool_does_not_starve_a_new_connection_for_ever() {
    let fpm = Fpm::start(2);
    let pool = pool(&fpm, Policy::Shared { kept: 2, max: 100 });
    let nap = fpm.script("nap.php", "usleep(30000); echo 'x';");
    let stop = Arc::new(AtomicBool::new(false));
    // Two that never pause would keep both workers for themselves; a third must get its turn all the same.
    let busy: Vec<_> = (0..2)
        .map(|_| {
            let (pool, nap, stop) = (pool.clone(), nap.clone(), stop.clone());
            tokio::spawn(async move {
                while !stop.load(Ordering::SeqCst) {
                    text(pool.send(get(&nap)).await.unwrap()).await;
                }
            })
        })
        .collect();
    tokio::time::sleep(Duration::from_millis(200)).await;
    for _ in 0..3 {
        let third = tokio::time::timeout(LONG, pool.send(get(&nap))).await;
        assert_eq!(text(third.expect("it is served").unwrap()).await, "x");
    }
    stop.store(true, Ordering::SeqCst);
    for one in busy {
        one.await.unwrap();
    }
}

#[tokio::test]
async fn requests_wait_in_line_for_an_exclusive_pool_and_the_line_has_ends() {
    let fpm = Fpm::start(1);
    let queue = |queue_timeout| {
        let options = PoolOptions::new(vec![fpm.address()], Policy::Exclusive { total: 1 });
        Pool::new(PoolOptions { queue_len: 2, queue_timeout, ..options })
    };
    let go = |pool: &Pool, script: &Params| {
        let (pool, request) = (pool.clone(), get(script));
        tokio::spawn(async move { pool.send(request).await })
    };
    let script = |gate| fpm.script(&format!("{gate}.php"), &format!("{} echo 'x';", fpm.until_open(gate)));

    let (pool, waits) = (queue(LONG), script("patient"));
    let first = go(&pool, &waits);
    eventually("it is under way", || pool.occupancy().open == 1).await;
    let second = go(&pool, &waits);
    eventually("it waits", || pool.occupancy().waiting == 1).await;
    let third = go(&pool, &waits);
    eventually("it waits too", || pool.occupancy().waiting == 2).await;
    assert!(matches!(pool.send(get(&waits)).await, Err(ClientError::QueueFull { waiting: 2 })));
    fpm.open("patient");
    for served in [first, second, third] {
        assert_eq!(text(served.await.unwrap().unwrap()).await, "x");
    }
    eventually("it is free", || pool.occupancy().idle == 1).await;
    assert_eq!(pool.occupancy().open, 1);
    drop(pool);

    let (pool, waits) = (queue(Duration::from_millis(100)), script("hasty"));
    let first = go(&pool, &waits);
    eventually("it is under way", || pool.occupancy().open == 1).await;
    let late = go(&pool, &waits).await.unwrap();
    assert!(matches!(late, Err(ClientError::QueueTimeout { .. })));
    fpm.open("hasty");
    assert_eq!(text(first.await.unwrap().unwrap()).await, "x");
    eventually("it is free", || pool.occupancy() == Occupancy { open: 1, idle: 1, waiting: 0 }).await;
}

#[tokio::test]
async fn idle_connections_are_closed_in_time_and_with_their_pool() {
    let fpm = Fpm::start(1);
    let options = PoolOptions {
        idle: Duration::from_millis(100),
        ..PoolOptions::new(vec![fpm.address()], Policy::Exclusive { total: 1 })
    };
    let pool = Pool::new(options);
    let hello = fpm.script("hello.php", "echo 'hello';");
    text(pool.send(get(&hello)).await.unwrap()).await;
    eventually("it is closed", || pool.occupancy().open == 0).await;

    let options = PoolOptions::new(vec![fpm.address()], Policy::Exclusive { total: 1 });
    let pool = Pool::new(PoolOptions { idle: LONG * 60, ..options });
    text(pool.send(get(&hello)).await.unwrap()).await;
    eventually("it is idle", || pool.occupancy().idle == 1).await;
    drop(pool);
    // The only worker is free for somebody else.
    let other = self::pool(&fpm, Policy::PerRequest { max: 1 });
    let response = tokio::time::timeout(LONG, other.send(get(&hello))).await;
    assert_eq!(text(response.expect("the worker is free").unwrap()).await, "hello");
}

#[tokio::test]
async fn of_two_responders_one_that_is_down_is_passed_over() {
    let fpm = Fpm::start(2);
    let down = fastcgi::Address::Unix(fpm.path("nobody"));
    let policy = Policy::PerRequest { max: 8 };
    let pool = Pool::new(PoolOptions::new(vec![down.clone(), fpm.address()], policy));
    let hello = fpm.script("hello.php", "echo 'hello';");
    for _ in 0..4 {
        assert_eq!(text(pool.send(get(&hello)).await.unwrap()).await, "hello");
    }
    let nobody = Pool::new(PoolOptions::new(vec![down], policy));
    let why = nobody.send(get(&hello)).await.unwrap_err();
    assert!(matches!(&why, ClientError::Connect { .. }) && why.to_string().contains("nobody"), "{why}");
    assert_eq!(nobody.occupancy().open, 0);
}

#[tokio::test]
async fn a_post_reaches_php_whole_whether_small_or_large() {
    let fpm = Fpm::start(1);
    let pool = pool(&fpm, Policy::Exclusive { total: 1 });
    fpm.script("sum.php", "echo strlen($b = file_get_contents('php://input')), ' ', md5($b);");
    for len in [1, 1_000, 40_000, 65_528, 65_529, 3_000_000] {
        let body = Bytes::from(vec![b'p'; len]);
        let params = fpm::post(&fpm.path("sum.php"), len);
        let request = Request { body: Body::Whole(body), ..Request::new(params) };
        let answer = text(pool.send(request).await.unwrap()).await;
        assert!(answer.starts_with(&format!("{len} ")), "{answer}");
    }
    eventually("it is kept", || pool.occupancy().idle == 1).await;
}

#[tokio::test]
async fn a_post_that_the_script_does_not_read_leaves_the_connection_usable() {
    let fpm = Fpm::start(1);
    let pool = pool(&fpm, Policy::Exclusive { total: 1 });
    fpm.script("deaf.php", "echo getmypid();");
    for _ in 0..5 {
        let body = Body::Whole(Bytes::from(vec![b'p'; 2_000_000]));
        let params = fpm::post(&fpm.path("deaf.php"), 2_000_000);
        text(pool.send(Request { body, ..Request::new(params) }).await.unwrap()).await;
        eventually("it is kept", || pool.occupancy().idle == 1).await;
    }
}
