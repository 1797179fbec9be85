//! Drain: whatever comes of a deploy, the host is back in its load balancer at the end.

use deploy::journal::Ending;

use crate::shop::Shop;

/// A balancer that is a file: there while the host is in.
const BALANCER: &str =
    "drain = ['echo drain; rm $CUTOVER_ROOT/in']\nundrain = ['echo undrain; touch $CUTOVER_ROOT/in']\n";

fn balanced(shop: &Shop, more: &str) {
    shop.configure(&format!("[hooks]\n{BALANCER}{more}"));
}

fn is_in(shop: &Shop) -> bool {
    shop.path("app/in").exists()
}

fn shop() -> Shop {
    let shop = Shop::new("");
    std::fs::write(shop.path("app/in"), "").unwrap();
    shop.deployed("one");
    balanced(&shop, "");
    shop.page("two");
    shop
}

#[test]
fn the_host_is_back_when_what_follows_the_drain_fails() {
    for (more, ending, said) in [
        ("after_verify = ['exit 1']\n", Ending::FlippedBack, &["drain", "undrain"][..]),
        ("before_verify = ['ls $CUTOVER_ROOT/in']\n", Ending::FlippedBack, &["drain", "undrain"]),
        ("before_flip = ['exit 1']\n", Ending::Undone, &[]),
    ] {
        let shop = shop();
        balanced(&shop, more);
        let told = shop.deploy();
        assert_eq!(told.outcome.ending, ending, "{more}");
        let drains: Vec<&str> = told.output().into_iter().filter(|line| line.ends_with("drain")).collect();
        assert_eq!(drains, said, "{more}");
        assert!(is_in(&shop) && !shop.app().drained().exists(), "{more}");
        assert_eq!(shop.live_page(), "one");
    }
}

#[test]
fn the_host_is_back_when_the_drain_itself_or_the_flip_fails() {
    let shop = shop();
    shop.configure(
        "[hooks]\ndrain = ['rm $CUTOVER_ROOT/in; exit 1']\nundrain = ['touch $CUTOVER_ROOT/in']\n",
    );
    assert_eq!(shop.deploy().outcome.ending, Ending::Undone);
    assert!(is_in(&shop));
    // Something that is no link stands where the link should.
    balanced(&shop, "");
    let link = shop.app().link().to_owned();
    std::fs::remove_file(&link).unwrap();
    std::fs::create_dir(&link).unwrap();
    let told = shop.deploy();
    assert_eq!((told.outcome.ending, told.output()), (Ending::Undone, vec!["drain", "undrain"]));
    assert!(is_in(&shop));
}

#[test]
fn the_host_is_back_though_there_is_nothing_to_flip_back_to() {
    let shop = Shop::new("");
    std::fs::write(shop.path("app/in"), "").unwrap();
    balanced(&shop, "after_verify = ['exit 1']\n");
    let told = shop.deploy();
    assert_eq!((told.outcome.ending, told.output()), (Ending::Unhealthy, vec!["drain", "undrain"]));
    assert!(is_in(&shop));
}

#[test]
fn a_deploy_killed_while_the_host_is_out_puts_it_back_when_it_is_recovered() {
    for (hook, page) in [("drain", "one"), ("after_verify", "two")] {
        let shop = shop();
        let waits = "touch $CUTOVER_ROOT/there; sleep 600";
        match hook {
            "drain" => shop.configure(&format!(
                "[hooks]\ndrain = ['rm $CUTOVER_ROOT/in; {waits}']\nundrain = ['touch $CUTOVER_ROOT/in']\n"
            )),
            hook => balanced(&shop, &format!("{hook} = ['{waits}']\n")),
        }
        let mut deploy = shop.deploying();
        while !shop.path("app/there").exists() {
            std::thread::sleep(std::time::Duration::from_millis(10));
        }
        deploy.kill().unwrap();
        deploy.wait().unwrap();
        assert!(!is_in(&shop));
        balanced(&shop, "");
        shop.recover();
        assert_eq!(shop.live_page(), page);
        assert!(is_in(&shop), "killed in {hook}");
    }
}

#[test]
fn a_host_that_cannot_be_put_back_is_told_and_the_next_deploy_tries_again() {
    let shop = shop();
    shop.configure("[hooks]\ndrain = ['rm -f $CUTOVER_ROOT/in']\nundrain = ['exit 1']\n");
    let told = shop.deploy();
    assert_eq!(told.outcome.ending, Ending::Live);
    assert!(told.outcome.problems[0].starts_with("undrain: `exit 1` failed"), "{:?}", told.outcome.problems);
    assert!(shop.app().drained().exists());
    shop.configure("[hooks]\nundrain = ['touch $CUTOVER_ROOT/in']\n");
    shop.deployed("three");
    assert!(is_in(&shop) && !shop.app().drained().exists());
}
