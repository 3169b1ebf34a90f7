//! The settings of PostgreSQL by their usual names, put together into its URL.

use dvp_model::error::Reason;

use super::Entry;

/// The URL of the database that the settings name one by one; none without a host.
pub(super) fn read(entries: &[Entry], errors: &mut Vec<Reason>) -> Option<String> {
    let of = |name: &str| entries.iter().find(|entry| entry.key == name);
    let text = |name: &str| {
        of(name).map(|entry| entry.value.to_string_lossy().into_owned()).unwrap_or_default()
    };
    let host = text("postgres_host");
    if host.is_empty() {
        return None;
    }
    let mut refuse = |name: &str, what: &str| {
        let source = of(name).map(|entry| entry.source.to_string()).unwrap_or_default();
        errors.push(Reason::spec(format!("{name} (from {source}) {what}")));
    };
    if !host.chars().all(|c| c.is_ascii_alphanumeric() || "-._".contains(c)) {
        refuse("postgres_host", "is no host name: give it without scheme, login and port");
    }
    let port = text("postgres_port");
    if port.parse::<u16>().ok().filter(|port| *port > 0).is_none() {
        refuse("postgres_port", "is no port: give 1 to 65535");
    }
    let (user, password) = (escaped(&text("postgres_user")), escaped(&text("postgres_password")));
    let login = if password.is_empty() { user } else { format!("{user}:{password}") };
    Some(format!("postgres://{login}@{host}:{port}/{}", escaped(&text("postgres_db"))))
}

/// As it may stand in a URL.
fn escaped(text: &str) -> String {
    let one = |byte: u8| match byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
        true => char::from(byte).to_string(),
        false => format!("%{byte:02X}"),
    };
    text.bytes().map(one).collect()
}

#[cfg(test)]
mod tests {
    use super::super::{Config, Environment, Flags};

    fn load(pairs: &[(&str, &str)]) -> Result<Config, String> {
        let pairs = pairs.iter().chain(&[("HOME", "/home/x")]);
        let env = Environment::of(pairs.map(|(key, value)| (key.into(), value.into())));
        Config::load_from(&Flags::default(), &env).map_err(|errors| errors.to_string())
    }

    #[test]
    fn the_names_are_those_of_the_image_and_any_password_will_do() {
        assert_eq!(load(&[("POSTGRES_PASSWORD", "x")]).unwrap().database, None);
        let with = [("POSTGRES_HOST", "postgres"), ("POSTGRES_PASSWORD", "a/b@c#%")];
        let config = load(&with).unwrap();
        let url = "postgres://dbuser:a%2Fb%40c%23%25@postgres:5432/dvp";
        assert_eq!(config.database.as_deref(), Some(url));
        let shown: String = config.entries.iter().map(super::Entry::shown).collect();
        assert!(!shown.contains("a/b@c"));
        let whole = load(&[("POSTGRES_HOST", "p"), ("DVP_DATABASE", "postgres://q/d")]).unwrap();
        assert_eq!(whole.database.as_deref(), Some("postgres://q/d"));
        let errors = load(&[("POSTGRES_HOST", "u:hunter2@p"), ("POSTGRES_PORT", "x")]).unwrap_err();
        assert!(errors.lines().count() == 2 && !errors.contains("hunter2"), "{errors}");
    }
}
