//! The name of an object in S3, `s3://bucket/key`. It may stand wherever a path may: a path that begins with
//! `s3://` is one, since files are named by absolute paths.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::error::Reason;
use crate::path::FilePath;

/// How every name begins.
pub const SCHEME: &str = "s3://";
/// The longest key, in bytes (S3's own limit).
const LONGEST_KEY: usize = 1024;

/// A bucket and a key in it, both fit for S3. The key's parts are names: none is empty, `.` or `..`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct S3Name {
    bucket: String,
    key: String,
}

impl S3Name {
    /// Of a bucket and a key.
    ///
    /// # Errors
    /// What is wrong with them.
    pub fn new(bucket: &str, key: &str) -> Result<Self, Reason> {
        let unfit = |what: &str| Err(Reason::spec(format!("{SCHEME}{bucket}/{key}: {what}")));
        if !is_bucket(bucket) {
            return unfit(
                "a bucket's name has 3 to 63 lower-case letters, digits, dots and dashes",
            );
        }
        if key.is_empty() {
            return unfit("name an object in the bucket, as in s3://bucket/film.mp4");
        }
        if key.len() > LONGEST_KEY {
            return unfit("a key has at most 1024 bytes");
        }
        if key.chars().any(char::is_control) {
            return unfit("a key with control characters is not taken");
        }
        if key.split('/').any(|part| matches!(part, "" | "." | "..")) {
            return unfit("a key whose parts are empty, '.' or '..' is not taken");
        }
        Ok(Self { bucket: bucket.to_owned(), key: key.to_owned() })
    }

    /// The name that `path` is; none when it is a file's path.
    ///
    /// # Errors
    /// When it begins as a name does, and is none.
    pub fn of(path: &FilePath) -> Result<Option<Self>, Reason> {
        if !is_name(path) {
            return Ok(None);
        }
        match path.as_path().to_str() {
            Some(text) => text.parse().map(Some),
            None => Err(Reason::spec(format!("{path}: a name in S3 is UTF-8"))),
        }
    }

    /// The bucket.
    pub fn bucket(&self) -> &str {
        &self.bucket
    }

    /// The key.
    pub fn key(&self) -> &str {
        &self.key
    }

    /// The name as a path.
    pub fn to_path(&self) -> FilePath {
        FilePath::from(self.to_string())
    }
}

/// Whether `path` means an object in S3, well named or not.
pub fn is_name(path: &FilePath) -> bool {
    path.as_path().as_os_str().as_encoded_bytes().starts_with(SCHEME.as_bytes())
}

/// Whether `text` is fit to be a bucket's name.
pub fn is_bucket(text: &str) -> bool {
    let is_end = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let bytes = text.as_bytes();
    (3..=63).contains(&bytes.len())
        && bytes.iter().all(|&byte| is_end(byte) || byte == b'.' || byte == b'-')
        && is_end(bytes[0])
        && is_end(bytes[bytes.len() - 1])
        && !text.contains("..")
}

impl fmt::Display for S3Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{SCHEME}{}/{}", self.bucket, self.key)
    }
}

impl std::str::FromStr for S3Name {
    type Err = Reason;

    fn from_str(text: &str) -> Result<Self, Reason> {
        let rest = text.strip_prefix(SCHEME).unwrap_or_default();
        let (bucket, key) = rest.split_once('/').unwrap_or((rest, ""));
        Self::new(bucket, key)
    }
}

impl TryFrom<String> for S3Name {
    type Error = Reason;

    fn try_from(text: String) -> Result<Self, Reason> {
        text.parse()
    }
}

impl From<S3Name> for String {
    fn from(name: S3Name) -> String {
        name.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_paths_and_come_back() {
        for text in ["s3://films/a.mp4", "s3://my.films-2/a b/ü?#%20+.mkv", "s3://abc/.hidden"] {
            let name: S3Name = text.parse().unwrap();
            assert_eq!(name.to_string(), text);
            assert_eq!(S3Name::of(&name.to_path()).unwrap(), Some(name.clone()));
            let json = serde_json::to_string(&name).unwrap();
            assert_eq!(serde_json::from_str::<S3Name>(&json).unwrap(), name);
        }
        assert_eq!(S3Name::of(&"/s3://films/a.mp4".into()).unwrap(), None);
    }

    #[test]
    fn what_is_no_name_is_refused_in_words() {
        for text in [
            "s3://",
            "s3://films",
            "s3://films/",
            "s3://Films/a",
            "s3:///a",
            "s3://-ab/a",
            "s3://a..b/c",
            "s3://films/a//b",
            "s3://films/../a",
            "s3://films/a/.",
            "s3://films/a\nb",
        ] {
            let reason = S3Name::of(&FilePath::from(text)).unwrap_err();
            assert!(reason.text.starts_with("s3://"), "{reason}");
        }
        let long = format!("s3://films/{}", "k".repeat(1025));
        assert!(long.parse::<S3Name>().is_err());
    }
}
