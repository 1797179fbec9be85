//! Gateways: sockets where `cutover serve` speaks FastCGI. What is handed there is pinned, by whatever path it is named.

use config::value::ListenAt;

use super::app::App;

/// The sockets of the apps that were looked at, as web servers write them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Gateways(Vec<String>);

impl Gateways {
    /// Of these apps, by their own cutover.toml.
    pub fn of(apps: &[App]) -> Gateways {
        let ours = apps.iter().filter_map(|app| app.ours.as_ref());
        let listens = ours.flat_map(|ours| &ours.config.host.serve.listen).filter(|listen| listen.fastcgi);
        let named = listens.filter_map(|listen| match &listen.at {
            ListenAt::Unix(path) => Some(path.display().to_string()),
            ListenAt::Tcp(at) => Some(at.to_string()),
            // Whoever passes it knows the address.
            ListenAt::Systemd(_) | ListenAt::Fd(_) => None,
        });
        Gateways(named.collect())
    }

    /// Whether a text names one of them: `unix:/run/shop.sock`, `proxy:unix:/run/shop.sock|fcgi://localhost`.
    pub fn named_in(&self, text: &str) -> bool {
        let more = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
        self.0.iter().any(|name| {
            text.match_indices(name.as_str()).any(|(at, _)| {
                !text[..at].ends_with(more) && !text[at + name.len()..].starts_with(|c| more(c) || c == '/')
            })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gateway_is_known_by_its_whole_name() {
        let known = Gateways(vec!["/run/shop.sock".into(), "127.0.0.1:9001".into()]);
        for text in [
            "unix:/run/shop.sock",
            "proxy:unix:/run/shop.sock|fcgi://localhost",
            "php_fastcgi unix//run/shop.sock {",
            "\"socket\" => \"/run/shop.sock\"",
            "proxy:fcgi://127.0.0.1:9001",
        ] {
            assert!(known.named_in(text), "{text}");
        }
        for text in
            ["unix:/run/shop.sock2", "unix:/srv/run/shop.sock", "127.0.0.1:90011", "10.127.0.0.1:9001", ""]
        {
            assert!(!known.named_in(text), "{text}");
        }
    }
}
