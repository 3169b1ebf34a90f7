//! The settings of an engine elsewhere, put together. Its token comes from the environment or a file, never
//! from an argument, which every user of the machine could read.

use std::fmt;
use std::path::PathBuf;

use dvp_model::error::Reason;
use dvp_model::path::printable;

use super::Entry;

/// An engine elsewhere.
#[derive(Clone, PartialEq, Eq)]
pub struct Remote {
    /// `http://host:port`, without a slash at its end.
    pub url: String,
    token: Option<String>,
    file: Option<PathBuf>,
}

impl fmt::Debug for Remote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Remote({})", self.url)
    }
}

impl Remote {
    /// Its token, where one was named; the file is read anew each time.
    ///
    /// # Errors
    /// When the file can't be read, or holds none.
    pub fn token(&self) -> Result<Option<String>, Reason> {
        let (None, Some(file)) = (&self.token, &self.file) else { return Ok(self.token.clone()) };
        let at = printable(&file.to_string_lossy());
        let wrong = |why: String| Reason::spec(format!("token_file is {at}, which {why}"));
        let text = std::fs::read_to_string(file)
            .map_err(|error| wrong(format!("can't be read: {error}")))?;
        match text.trim() {
            token if fits(token) => Ok(Some(token.to_owned())),
            _ => Err(wrong("holds no token".to_owned())),
        }
    }
}

/// What may stand in a header.
fn fits(token: &str) -> bool {
    !token.is_empty() && token.bytes().all(|byte| byte.is_ascii_graphic())
}

/// The engine that the settings name; none without a URL.
pub(super) fn read(entries: &[Entry], errors: &mut Vec<Reason>) -> Option<Remote> {
    let of = |name: &str| {
        let entry = entries.iter().find(|entry| entry.key == name)?;
        Some((entry.value.to_string_lossy().trim().to_owned(), entry))
    };
    let (url, entry) = of("connect").filter(|(url, _)| !url.is_empty())?;
    let url = url.trim_end_matches('/').to_owned();
    let rest = url.strip_prefix("http://").or_else(|| url.strip_prefix("https://"));
    let plain = |rest: &str| {
        !rest.is_empty() && rest.chars().all(|c| c.is_ascii_alphanumeric() || "-._:[]".contains(c))
    };
    if !rest.is_some_and(plain) {
        // Not repeated: a login may stand in it.
        errors.push(Reason::spec(format!(
            "connect (from {}) is no address of an API: give http://host:port, without login and path",
            entry.source
        )));
    }
    let token = of("token").map(|(token, _)| token).filter(|token| !token.is_empty());
    if token.as_deref().is_some_and(|token| !fits(token)) {
        errors.push(Reason::spec("token is none: give what `dvp-engine token` prints there"));
    }
    let file = of("token_file").map(|(file, _)| file).filter(|file| !file.is_empty());
    Some(Remote { url, token, file: file.map(PathBuf::from) })
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
    fn an_address_and_a_token_from_the_environment_or_a_file() {
        assert!(load(&[("DVP_TOKEN", "abc")]).unwrap().connect.is_none());
        let config =
            load(&[("DVP_CONNECT", "http://api:8000/"), ("DVP_TOKEN", "hunter2")]).unwrap();
        let remote = config.connect.unwrap();
        assert_eq!(
            (remote.url.as_str(), remote.token().unwrap().as_deref()),
            ("http://api:8000", Some("hunter2"))
        );
        let shown: String = config.entries.iter().map(super::Entry::shown).collect();
        assert!(!shown.contains("hunter2") && !format!("{remote:?}").contains("hunter2"));
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("token");
        let name = file.to_str().unwrap();
        let with = || load(&[("DVP_CONNECT", "http://[::1]:8000"), ("DVP_TOKEN_FILE", name)]);
        let missing = with().unwrap().connect.unwrap().token().unwrap_err();
        assert!(missing.text.contains(name), "{missing}");
        std::fs::write(&file, "from a file\n").unwrap();
        assert!(with().unwrap().connect.unwrap().token().unwrap_err().text.contains("no token"));
        std::fs::write(&file, "0123\n").unwrap();
        assert_eq!(with().unwrap().connect.unwrap().token().unwrap().as_deref(), Some("0123"));
    }

    #[test]
    fn what_is_wrong_is_said_without_a_login() {
        for url in
            ["api:8000", "http://", "http://me:hunter2@api:8000", "http://api:8000/jobs", "ftp://a"]
        {
            let errors = load(&[("DVP_CONNECT", url)]).unwrap_err();
            assert!(errors.contains("DVP_CONNECT") && !errors.contains("hunter2"), "{errors}");
        }
    }
}
