//! Mask: what must not leave the machine with a pack: passwords, keys, tokens, values of environments, private keys.
//!
//! Rather too much than too little: what is masked keeps its place in the line, so that findings still point at it.

use std::path::Path;

use serde_json::Value;

/// What stands in the place of a secret.
const MASK: &str = "***";

/// Parts of names whose values are secret.
const SECRET: [&str; 18] = [
    "password",
    "passwd",
    "passphrase",
    "pwd",
    "secret",
    "token",
    "apikey",
    "api_key",
    "api-key",
    "app_key",
    "access_key",
    "private_key",
    "auth_key",
    "credential",
    "dsn",
    "salt",
    "authorization",
    "cookie_validation",
];

/// Names that only look like it.
const HARMLESS: [&str; 12] = [
    "fastcgi_pass",
    "proxy_pass",
    "uwsgi_pass",
    "scgi_pass",
    "grpc_pass",
    "memcached_pass",
    "server_tokens",
    "servertokens",
    "ssl_password_file",
    "proxy_ssl_password_file",
    "session.sid_length",
    "tokenizer",
];

/// A file's bytes without its secrets. What is no text stays as it is.
pub fn file(path: &Path, bytes: &[u8]) -> Vec<u8> {
    let Ok(content) = std::str::from_utf8(bytes) else { return bytes.to_owned() };
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    if name.starts_with(".env") || name == "environ" {
        return content.split_inclusive('\n').map(assignment).collect::<String>().into_bytes();
    }
    text(content).into_bytes()
}

/// Text without its secrets.
pub fn text(content: &str) -> String {
    let mut out = String::with_capacity(content.len());
    let mut in_key = false;
    let mut in_environment = false;
    for line in content.split_inclusive('\n') {
        let bare = line.trim();
        in_key |= bare.starts_with("-----BEGIN") && bare.contains("PRIVATE KEY");
        if in_key {
            in_key = !bare.starts_with("-----END");
            out.push_str(MASK);
            out.push('\n');
            continue;
        }
        // `php -i` prints the environment, and what a request had, in sections of these names.
        if bare == "Environment" || bare == "PHP Variables" {
            in_environment = true;
        } else if bare == "PHP License" {
            in_environment = false;
        }
        if in_environment && let Some((name, _)) = line.split_once("=>") {
            out.push_str(&format!("{name}=> {MASK}\n"));
            continue;
        }
        out.push_str(&masked(line));
    }
    out
}

/// JSON without its secrets.
pub fn json(value: Value) -> Value {
    match value {
        Value::Object(entries) => Value::Object(
            entries
                .into_iter()
                .map(|(name, value)| {
                    let value = if is_secret(&name) && value.is_string() { MASK.into() } else { json(value) };
                    (name, value)
                })
                .collect(),
        ),
        Value::Array(items) => items.into_iter().map(json).collect(),
        Value::String(text) => Value::String(masked(&text)),
        same @ (Value::Null | Value::Bool(_) | Value::Number(_)) => same,
    }
}

/// `NAME=value` with the value masked.
fn assignment(line: &str) -> String {
    let (text, end) = line.strip_suffix('\n').map_or((line, ""), |text| (text, "\n"));
    match text.split_once('=') {
        Some((name, _)) => format!("{name}={MASK}{end}"),
        // The further lines of a value that has several.
        None if !text.trim().is_empty() && !text.starts_with('#') => format!("{MASK}{end}"),
        None => line.to_owned(),
    }
}

fn masked(line: &str) -> String {
    let begin = line.trim_start().to_ascii_lowercase();
    if ["env[", "setenv ", "environment=", "$_env[", "$_server["].iter().any(|known| begin.starts_with(known))
    {
        return environment(line);
    }
    names(&addresses(line))
}

/// `env[NAME] = value`, `SetEnv NAME value`, `Environment=NAME=value`: all but the name.
fn environment(line: &str) -> String {
    let (text, end) = line.strip_suffix('\n').map_or((line, ""), |text| (text, "\n"));
    let at = match text.find("] ").or_else(|| text.find("]=")) {
        Some(at) => at + 1,
        None if text.trim_start().to_ascii_lowercase().starts_with("setenv") => {
            let name =
                text.trim_start().find(' ').map_or(0, |at| at + text.len() - text.trim_start().len() + 1);
            text[name..].find(' ').map_or(text.len(), |at| name + at)
        }
        None => {
            text.find('=').map_or(text.len(), |at| text[at + 1..].find('=').map_or(at, |next| at + 1 + next))
        }
    };
    format!("{} = {MASK}{end}", text[..at].trim_end_matches(['=', ' ']))
}

/// `scheme://user:password@host`.
fn addresses(line: &str) -> String {
    let mut out = String::with_capacity(line.len());
    let mut rest = line;
    while let Some(at) = rest.find("://") {
        let (before, behind) = rest.split_at(at + 3);
        out.push_str(before);
        let end =
            behind.find(|c: char| c.is_whitespace() || "\"'/?#;,<>".contains(c)).unwrap_or(behind.len());
        rest = match behind[..end].rfind('@') {
            Some(user) => {
                out.push_str(MASK);
                &behind[user..]
            }
            None => behind,
        };
    }
    out + rest
}

/// Values behind names that say that they are secret.
fn names(line: &str) -> String {
    let is_name = |c: char| c.is_ascii_alphanumeric() || "_-.".contains(c);
    let mut out = String::with_capacity(line.len());
    let mut rest = line;
    while let Some(begin) = rest.find(is_name) {
        let end = rest[begin..].find(|c| !is_name(c)).map_or(rest.len(), |end| begin + end);
        let name = &rest[begin..end];
        out.push_str(&rest[..end]);
        rest = &rest[end..];
        if !is_secret(name) {
            continue;
        }
        let value = rest.find(|c: char| !" \t=:>|\"'])".contains(c)).unwrap_or(rest.len());
        let (between, behind) = rest.split_at(value);
        out.push_str(between);
        let quote = between.chars().rev().find(|c| "\"'".contains(*c) && between.ends_with(*c));
        let stop = |c: char| match quote {
            Some(quote) => c == quote || c == '\n',
            None => c.is_whitespace() || ";,)}&".contains(c),
        };
        let end = behind.find(stop).unwrap_or(behind.len());
        // A variable or a file is no secret; nothing is none either.
        let plain = end == 0 || between.is_empty() || behind.starts_with(['$', '/', '{']);
        out.push_str(if plain { &behind[..end] } else { MASK });
        rest = &behind[end..];
    }
    out + rest
}

fn is_secret(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    let pass = name == "pass" || name.ends_with("_pass") || name.ends_with(".pass");
    let said = pass || SECRET.iter().any(|part| name.contains(part));
    said && !HARMLESS.contains(&&*name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_masked_and_the_rest_stays() {
        for (line, expected) in [
            ("fastcgi_param DB_PASSWORD \"hunter2\";", "fastcgi_param DB_PASSWORD \"***\";"),
            ("fastcgi_param DB_PASSWORD $pw;", "fastcgi_param DB_PASSWORD $pw;"),
            ("fastcgi_pass unix:/run/php.sock;", "fastcgi_pass unix:/run/php.sock;"),
            ("server_tokens off;", "server_tokens off;"),
            ("proxy_pass http://bob:pw@10.0.0.1:80/;", "proxy_pass http://***@10.0.0.1:80/;"),
            ("env[APP_KEY] = base64:abc", "env[APP_KEY] = ***"),
            ("env[HOME] = /srv", "env[HOME] = ***"),
            ("SetEnv SECRET_THING abc def", "SetEnv SECRET_THING = ***"),
            ("Environment=TOKEN=abc", "Environment=TOKEN = ***"),
            ("'password' => 'x y',", "'password' => '***',"),
            ("  DATABASE_DSN: mysql:host=a;password=b", "  DATABASE_DSN: ***;password=***"),
            ("mysql --password=hunter2 shop", "mysql --password=*** shop"),
            ("ssl_certificate_key /etc/ssl/key.pem;", "ssl_certificate_key /etc/ssl/key.pem;"),
            ("fastcgi_cache_key \"$scheme$host\";", "fastcgi_cache_key \"$scheme$host\";"),
            ("root /srv/shop/current;", "root /srv/shop/current;"),
        ] {
            assert_eq!(text(line), expected, "{line}");
        }
    }

    #[test]
    fn private_keys_dot_env_files_and_the_environment_of_php_are_masked_whole() {
        let key = "a\n-----BEGIN RSA PRIVATE KEY-----\nMIIE\nabcd\n-----END RSA PRIVATE KEY-----\nb\n";
        assert_eq!(text(key), "a\n***\n***\n***\n***\nb\n");
        let env = file(Path::new("/srv/.env.local"), b"# x\nA=1\nB=\"2\n3\"\n");
        assert_eq!(String::from_utf8(env).unwrap(), "# x\nA=***\nB=***\n***\n");
        let php = "Environment\n\nVariable => Value\nFOO => bar\n\nPHP License\nmemory_limit => 1 => 2\n";
        assert!(!text(php).contains("bar") && text(php).contains("memory_limit => 1"), "{}", text(php));
    }

    #[test]
    fn any_bytes_can_be_masked() {
        for rubbish in
            ["pass", "password=", "://", "env[", "password \u{e9}\u{e9}", "setenv", "Environment==", "a://@"]
        {
            let once = text(rubbish);
            assert_eq!(text(&once), once, "{rubbish}");
        }
    }
}
