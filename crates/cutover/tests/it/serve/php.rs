//! PHP, in the embedded php-fpm: what a script is told, what it may answer, and who holds a worker.

use std::io::{Read, Write};
use std::time::{Duration, Instant};

use super::client::{connect, read_reply, request};
use super::server::{App, LONG, Server};

/// One worker, so that whoever holds it is seen to; output goes out as it is written.
const ONE_WORKER: &str =
    "[php]\nfront = \"index.php\"\nworkers = 1\nconnections = 1\nini = { output_buffering = \"0\" }\n";

/// PHP that waits until [`open`] was called.
const UNTIL_OPEN: &str =
    "while (!file_exists(dirname(__DIR__, 3) . '/gate')) { clearstatcache(); usleep(2000); }";

fn open(server: &Server) {
    std::fs::write(server.app.root().join("gate"), "").unwrap();
}

fn shop(files: &[(&str, &str)]) -> Server {
    App::new(ONE_WORKER).release("r1", files).sealed("r1").live("r1").serve()
}

#[test]
fn a_script_is_told_its_request_by_the_pin() {
    let code = "<?php header('Content-Type: text/plain'); foreach ($_SERVER as $k => $v) if (is_string($v)) echo \"$k=$v\\n\";";
    let server = shop(&[("public/index.php", code), ("public/a/b.php", code)]);
    let root = std::fs::canonicalize(server.app.root()).unwrap().join("releases/r1");
    let root = root.display();
    let headers = "X-Own: yes\r\nProxy: http://evil/\r\nX_Own: forged\r\nPHP-VALUE: memory_limit=1\r\nCookie: a=1\r\nCookie: b=2\r\n";
    let told = server.get_with("/a/b.php/more%20info?x=%20&y", headers).text();
    for line in [
        format!("SCRIPT_FILENAME={root}/public/a/b.php"),
        format!("DOCUMENT_ROOT={root}/public"),
        format!("CUTOVER_RELEASE_ROOT={root}"),
        format!("PATH_TRANSLATED={root}/public/more info"),
        "CUTOVER_RELEASE=r1".into(),
        "SCRIPT_NAME=/a/b.php".into(),
        "PATH_INFO=/more info".into(),
        "PHP_SELF=/a/b.php/more info".into(),
        "REQUEST_URI=/a/b.php/more%20info?x=%20&y".into(),
        "QUERY_STRING=x=%20&y".into(),
        "REQUEST_METHOD=GET".into(),
        "SERVER_NAME=shop.test".into(),
        "SERVER_PROTOCOL=HTTP/1.1".into(),
        "REMOTE_ADDR=127.0.0.1".into(),
        "SERVER_ADDR=127.0.0.1".into(),
        format!("SERVER_PORT={}", server.port()),
        "HTTP_HOST=shop.test".into(),
        "HTTP_X_OWN=yes".into(),
        "HTTP_COOKIE=a=1; b=2".into(),
        "REDIRECT_STATUS=200".into(),
    ] {
        assert!(told.lines().any(|own| own == line), "{line} is not in\n{told}");
    }
    for absent in ["HTTP_PROXY=", "forged", "PHP_VALUE", "HTTPS=", "CONTENT_LENGTH="] {
        assert!(!told.contains(absent), "{absent} is in\n{told}");
    }
    let front = server.get("/no/such/page?q=1").text();
    for line in ["SCRIPT_NAME=/index.php", "REQUEST_URI=/no/such/page?q=1"] {
        assert!(front.lines().any(|own| own == line), "{line} is not in\n{front}");
    }
    assert!(!front.contains("PATH_INFO="));
}

#[test]
fn a_body_reaches_the_script_whole_with_its_length_whether_small_large_or_chunked() {
    let server = shop(&[(
        "public/index.php",
        "<?php $b = file_get_contents('php://input'); echo $_SERVER['CONTENT_LENGTH'], ' ', strlen($b), ' ', md5($b);",
    )]);
    for len in [0, 5, 70_000, 3_000_000] {
        let body = vec![b'p'; len];
        let wanted = format!("{len} {len} ");
        let head =
            format!("POST / HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: {len}\r\n\r\n");
        let whole = request(server.port(), [head.as_bytes(), &body].concat()).text();
        assert!(whole.starts_with(&wanted), "{whole}");
        let mut chunked =
            b"POST / HTTP/1.1\r\nHost: a\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n".to_vec();
        for part in body.chunks(100_000) {
            chunked.extend_from_slice(format!("{:x}\r\n", part.len()).as_bytes());
            chunked.extend_from_slice(part);
            chunked.extend_from_slice(b"\r\n");
        }
        chunked.extend_from_slice(b"0\r\n\r\n");
        assert_eq!(request(server.port(), chunked).text(), whole);
    }
}

#[test]
fn a_slow_sender_holds_no_worker() {
    let server =
        shop(&[("public/index.php", "<?php echo 'len ', strlen(file_get_contents('php://input'));")]);
    let mut slow = connect(server.port());
    slow.write_all(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n12345").unwrap();
    std::thread::sleep(Duration::from_millis(100));
    // The one worker answers although the other request is not over.
    assert_eq!(server.get("/").text(), "len 0");
    slow.write_all(b"67890").unwrap();
    assert_eq!(read_reply(&mut slow).unwrap().text(), "len 10");
}

#[test]
fn a_slow_reader_holds_no_worker_and_gets_all_of_it() {
    let server = shop(&[
        ("public/index.php", "<?php for ($i = 0; $i < 400; $i++) echo str_repeat(chr(65 + $i % 26), 65536);"),
        ("public/hello.php", "<?php echo 'hello';"),
    ]);
    let mut slow = connect(server.port());
    slow.write_all(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").unwrap();
    // The one worker answers although nothing of the other answer was read yet.
    assert_eq!(server.get("/hello.php").text(), "hello");
    let mut all = Vec::new();
    slow.read_to_end(&mut all).unwrap();
    let letters: Vec<u8> = all.iter().copied().filter(u8::is_ascii_uppercase).collect();
    assert!(letters.len() >= 400 * 65_536 && all.ends_with(b"0\r\n\r\n"), "{}", letters.len());
}

#[test]
fn what_a_script_writes_goes_out_as_it_is_written() {
    for head in ["", "header('X-Accel-Buffering: no');"] {
        let code = format!("<?php {head} echo 'first'; flush(); {UNTIL_OPEN} echo 'second';");
        let server = shop(&[("public/index.php", &code)]);
        let mut stream = connect(server.port());
        stream.write_all(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").unwrap();
        let (mut seen, mut chunk) = (Vec::new(), [0; 4096]);
        while !seen.windows(5).any(|window| window == b"first") {
            let count = stream.read(&mut chunk).unwrap();
            assert!(count > 0);
            seen.extend_from_slice(&chunk[..count]);
        }
        open(&server);
        assert!(!String::from_utf8_lossy(&seen).to_lowercase().contains("x-accel"));
        stream.read_to_end(&mut seen).unwrap();
        assert!(String::from_utf8_lossy(&seen).contains("second"));
    }
}

#[test]
fn a_script_may_send_files_of_its_release_and_of_shared_and_no_others() {
    let code = r#"<?php
        header('Content-Type: application/x-own'); header('Cache-Control: private');
        $root = $_SERVER['CUTOVER_RELEASE_ROOT'];
        $paths = ['release' => "$root/data/private.bin", 'shared' => dirname($root, 2) . '/shared/film',
                  'outside' => '/etc/passwd', 'dots' => "$root/../../../../../etc/passwd",
                  'source' => "$root/public/index.php"];
        if (isset($_GET['url'])) header('X-Accel-Redirect: ' . $_GET['url']);
        else header('X-Sendfile: ' . $paths[$_GET['to']]);
        echo 'not this';"#;
    let files =
        [("public/index.php", code), ("data/private.bin", "private bytes"), ("public/open.txt", "open")];
    let app = App::new(ONE_WORKER).release("r1", &files);
    std::fs::create_dir_all(app.root().join("shared")).unwrap();
    std::fs::write(app.root().join("shared/film"), "film").unwrap();
    let server = app.sealed("r1").live("r1").serve();
    let sent = server.get("/?to=release");
    assert_eq!((sent.status, &sent.text()[..]), (200, "private bytes"), "{}", server.log());
    assert_eq!(sent.header("content-type"), Some("application/x-own"));
    assert_eq!(sent.header("cache-control"), Some("private"));
    assert_eq!(sent.header("x-sendfile"), None);
    assert!(sent.header("etag").is_some());
    let part = server.get_with("/?to=release", "Range: bytes=8-12\r\n");
    assert_eq!((part.status, &part.text()[..]), (206, "bytes"));
    assert_eq!(server.get("/?to=shared").text(), "film");
    assert_eq!(server.get("/?url=/open.txt").text(), "open");
    assert_eq!(server.get("/?url=/data/private%2562in").status, 502, "decoded once only");
    assert_eq!(server.get("/?url=/data/private.bin").text(), "private bytes");
    assert_eq!(server.get("/?url=/film").text(), "film");
    for bad in
        ["to=outside", "to=dots", "to=source", "url=/../../../../../etc/passwd", "url=/.env", "url=open.txt"]
    {
        let refused = server.get(&format!("/?{bad}"));
        assert_eq!(refused.status, 502, "{bad}: {}", refused.text());
        assert!(!refused.text().contains("root:") && !refused.text().contains("<?php"));
    }
    // What a script may send is not open to everybody for it, not even by its path on disk.
    let path = std::fs::canonicalize(server.app.root()).unwrap().join("releases/r1/data/private.bin");
    for url in ["/data/private.bin".to_owned(), path.display().to_string()] {
        assert!(!server.get(&url).text().contains("private bytes"), "{url}");
    }
}

#[test]
fn head_and_bodiless_answers_have_no_body_and_keep_the_connection_in_step() {
    let server = shop(&[(
        "public/index.php",
        "<?php if (isset($_GET['s'])) http_response_code((int)$_GET['s']); header('X-Method: '.$_SERVER['REQUEST_METHOD']); \
         echo 'body';",
    )]);
    let mut stream = connect(server.port());
    for (line, status) in [("GET /?s=204", 204), ("GET /?s=304", 304), ("GET /", 200), ("GET /?s=404", 404)] {
        stream.write_all(format!("{line} HTTP/1.1\r\nHost: a\r\n\r\n").as_bytes()).unwrap();
        let reply = read_reply(&mut stream).unwrap();
        assert_eq!(reply.status, status);
        assert_eq!(reply.text(), if status == 204 || status == 304 { "" } else { "body" });
    }
    stream.write_all(b"HEAD / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").unwrap();
    let mut head = String::new();
    stream.read_to_string(&mut head).unwrap();
    assert!(head.starts_with("HTTP/1.1 200") && head.to_lowercase().contains("x-method: head"), "{head}");
    assert!(head.ends_with("\r\n\r\n"), "{head}");
}

#[test]
fn a_release_is_in_use_until_its_worker_is_free() {
    let code = &format!("<?php echo 'done'; fastcgi_finish_request(); {UNTIL_OPEN}");
    let server = App::new(ONE_WORKER)
        .release("r1", &[("public/index.php", code)])
        .release("r2", &[("public/index.php", "<?php echo 'two';")])
        .live("r1")
        .serve();
    assert_eq!(server.get("/").text(), "done", "the response does not wait");
    server.app.link("releases/r2");
    // The one worker still runs r1's code; who comes now waits for it and gets r2.
    let root = server.app.root().to_owned();
    let release = std::fs::File::open(root.join("releases/r1")).unwrap();
    std::thread::sleep(Duration::from_millis(200));
    let exclusive = rustix::fs::FlockOperation::NonBlockingLockExclusive;
    assert!(rustix::fs::flock(&release, exclusive).is_err(), "r1 is leased while its worker runs");
    std::thread::scope(|scope| {
        let next = scope.spawn(|| server.get("/"));
        std::thread::sleep(Duration::from_millis(200));
        assert!(!next.is_finished());
        open(&server);
        let two = next.join().unwrap();
        assert_eq!((&two.text()[..], two.release()), ("two", "r2"));
    });
    let until = Instant::now() + LONG;
    while rustix::fs::flock(&release, exclusive).is_err() {
        assert!(Instant::now() < until, "r1 is let go");
        std::thread::sleep(Duration::from_millis(20));
    }
}
