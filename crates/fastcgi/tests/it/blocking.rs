//! The blocking client.

use fastcgi::blocking::{self, BlockingError, Limits};

use crate::fpm::{self, Fpm};

#[test]
fn the_blocking_client_gets_a_whole_response_with_status_fields_log_and_body() {
    for tcp in [false, true] {
        let fpm = Fpm::start_with(1, "", tcp);
        let params = fpm.script(
            "a.php",
            "http_response_code(404); header('X-A: b'); error_log('to the log'); echo 'body';",
        );
        let response = blocking::send(&fpm.address(), &params, b"", Limits::default()).unwrap();
        assert_eq!((response.head.status, &response.body[..]), (404, &b"body"[..]));
        assert_eq!(response.head.field("x-a"), Some(&b"b"[..]));
        assert!(String::from_utf8_lossy(&response.stderr).contains("to the log"));
        assert_eq!(response.app_status, 0);
    }
}

#[test]
fn the_blocking_client_sends_a_large_body_to_a_script_that_answers_before_it_reads() {
    let fpm = Fpm::start_with(1, "php_admin_flag[enable_post_data_reading] = off", false);
    fpm.script(
        "early.php",
        "echo str_repeat('x', 3000000); flush(); echo strlen(file_get_contents('php://input'));",
    );
    let body = vec![b'y'; 5_000_000];
    let params = fpm::post(&fpm.path("early.php"), body.len());
    let response = blocking::send(&fpm.address(), &params, &body, Limits::default()).unwrap();
    assert!(response.body.ends_with(b"x5000000"), "{}", response.body.len());
}

#[test]
fn the_blocking_client_gives_up_in_time_and_says_whom_it_tried() {
    let fpm = Fpm::start(1);
    let params = fpm.script("slow.php", "sleep(600);");
    let limits = Limits { total: std::time::Duration::from_millis(200), ..Limits::default() };
    let why = blocking::send(&fpm.address(), &params, b"", limits).unwrap_err();
    assert!(
        matches!(&why, BlockingError::Exchange { source, .. } if source.kind() == std::io::ErrorKind::TimedOut)
    );
    assert!(why.to_string().contains("fpm.sock"));
    let nobody = fastcgi::Address::Unix(fpm.path("nobody"));
    assert!(matches!(
        blocking::send(&nobody, &params, b"", Limits::default()),
        Err(BlockingError::Connect { .. })
    ));
}
