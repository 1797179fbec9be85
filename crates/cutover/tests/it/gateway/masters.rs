//! A flip that goes to a second php-fpm master: nobody notices, however busy the first one is.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use prove::probe::pages::{Kind as Pages, pages};
use prove::scenario::{Load, Pace, Scenario};
use prove::{Flipper, Target, judge, report, run_blocking};
use serve::control::{self, Answer, Command};

use super::front::Kind;
use super::stand::{CONFIG, Stand, probe, serve_as, status, until};
use crate::serve::server::App;
use crate::web::{full, ids};

#[test]
fn a_fresh_master_takes_over_under_load_and_no_request_is_lost() {
    let app = App::new(CONFIG);
    let text = probe(&app).replace("workers = 4\n", "workers = 3\nlinger = \"0s\"\n");
    let stand = Stand::of(serve_as(app, &text), Kind::Nginx, "");
    let root = stand.server.app.root();
    let (socket, mut link) = (root.join(".cutover/run/serve.sock"), Flipper::link(root.join("current")));
    let masters = Arc::new(Mutex::new(vec![status(&stand.server).sites[0].masters[0].pid]));
    let flip = {
        let masters = Arc::clone(&masters);
        move |id: &str| {
            let fresh = Command::Fresh { site: "shop".into(), release: id.into() };
            let until = Instant::now() + Duration::from_secs(60);
            let pid = loop {
                match control::ask(&socket, &fresh, Duration::from_secs(60)).map_err(|why| why.to_string())? {
                    Answer::Fresh(master) => break master.pid,
                    // The ones before still work: that is what is asked of them.
                    Answer::Failed(why)
                        if why.contains("still run in the old ones") && Instant::now() < until =>
                    {
                        std::thread::sleep(Duration::from_millis(20));
                    }
                    other @ (Answer::Failed(_) | Answer::Done(_) | Answer::Status(_)) => {
                        return Err(format!("{other:?}"));
                    }
                }
            };
            masters.lock().unwrap().push(pid);
            link.flip(id).map_err(|why| why.to_string())
        }
    };
    let target = Target::parse(&format!("http://127.0.0.1:{}", stand.front.port)).unwrap();
    let mut scenario = Scenario::new(target, ids(), pages(&ids(), Pages::Php), Flipper::call(flip));
    let (requests, flips) = if full() { (100_000, 200) } else { (1_500, 6) };
    let at_most = Duration::from_secs(3600);
    scenario.load = Load { connections: 8, closing: 3, requests, at_most, ..Load::default() };
    scenario.flips.count = flips;
    scenario.flips.pace = Pace::Spread;
    let observed = run_blocking(scenario).unwrap();
    let verdicts = judge(&observed).unwrap();
    println!("{}", report::text(&observed, &verdicts));
    assert!(verdicts.holds(), "{:?}\n{}", verdicts.total, stand.said());
    assert!(verdicts.total.ok >= requests, "{:?}", verdicts.total);
    let mut seen = masters.lock().unwrap().clone();
    seen.sort_unstable();
    seen.dedup();
    // The first one, one for the release that is put live before the load, and one for each flip.
    assert_eq!(seen.len() as u64, flips + 2, "{seen:?}");
    until("the old ones end", &stand.server, || status(&stand.server).sites[0].masters.len() == 1);
}
