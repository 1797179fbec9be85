//! Whatever stands in the file: an answer or a complaint, never a panic.

use super::parse;
use proptest::prelude::*;
use std::path::Path;

const GOOD: &str = include_str!("../../../../docs/config.md");

fn example() -> &'static str {
    GOOD.rsplit("```toml\n").next().unwrap().split("```").next().unwrap()
}

/// A complaint must also be printable, and point into the file.
fn judged(text: &str) {
    if let Err(error) = parse(text) {
        assert!(error.to_string().contains("cutover.toml:"), "{error}");
    }
    let release = config::Says::parse_release(text, Path::new("r1/cutover.toml"));
    assert_eq!(release.is_ok(), parse(text).is_ok());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn any_text_is_answered(text in ".{0,400}") {
        judged(&text);
    }

    #[test]
    fn any_bytes_are_answered(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        judged(&String::from_utf8_lossy(&bytes));
    }

    #[test]
    fn the_example_with_something_cut_out_or_put_in_is_answered(
        at in 0usize..4000,
        cut in 0usize..40,
        put in prop_oneof!["\\PC{0,8}", "[\\[\\]{}=\"',.#\n0-9a-z-]{0,12}"],
    ) {
        let text: Vec<char> = example().chars().collect();
        let at = at.min(text.len());
        let end = (at + cut).min(text.len());
        let changed: String = text[..at].iter().copied().chain(put.chars()).chain(text[end..].iter().copied()).collect();
        judged(&changed);
    }

    #[test]
    fn any_value_of_any_key_is_answered(table in 0usize..config::keys::TABLES.len(), key in 0usize..20, value in prop_oneof![
        "\"[ -~]{0,20}\"", "-?[0-9]{1,25}", "\\[[^\\]]{0,10}\\]", "\\{ [a-z0-9]{1,5} = \"[ -~&&[^\"]]{0,10}\" \\}", "[0-9]\\.[0-9]e[0-9]{1,3}",
    ]) {
        let table = &config::keys::TABLES[table];
        if let Some(key) = table.keys.get(key) {
            let open = if table.many { format!("[[{}]]", table.name) } else { format!("[{}]", table.name) };
            judged(&format!("{open}\n{key} = {value}\n"));
        }
    }

    #[test]
    fn small_values_never_panic(text in "\\PC{0,40}") {
        use config::value::*;
        let known = [
            Address::parse(&text).is_ok(), ListenAt::parse(&text).is_ok(), HostPattern::parse(&text).is_ok(),
            Prefix::parse(&text).is_ok(), parse_size(&text).is_ok(), parse_duration(&text).is_ok(),
        ];
        prop_assert!(known.len() == 6);
        if let Ok(pattern) = Pattern::parse(&text) {
            pattern.matches(&text);
        }
    }

    #[test]
    fn an_address_is_written_as_it_was_read(text in "(unix:/[a-z/]{1,20}|[a-z.]{1,10}:[1-9][0-9]{0,3}|\\[::[0-9]\\]:[1-9])") {
        let address = config::value::Address::parse(&text).unwrap();
        prop_assert_eq!(address.to_string(), text);
    }
}
