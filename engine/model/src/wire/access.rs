//! URLs that the engine signs for workers: one object in S3, one thing that may be done with it, for a while.
//! A worker asks for one whenever it meets a name in S3, and again when S3 refuses the one it has. No
//! credential travels.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::error::Reason;
use crate::s3::S3Name;

/// Bytes that are written at once; what is longer comes in parts of this length.
pub const PART: u64 = 64 << 20;
/// Most parts of an object (S3's own limit).
const MOST_PARTS: u64 = 10_000;

/// Length of the parts of an object of `bytes`; the last one is shorter.
pub fn part_length(bytes: u64) -> u64 {
    PART.max(bytes.div_ceil(MOST_PARTS))
}

/// What a URL allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Access {
    /// Reading the object.
    Get,
    /// Writing it whole.
    Put,
    /// Writing this part of it, from 1.
    Part(u32),
}

/// What a worker needs a URL for.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Ask {
    /// Which object.
    pub name: S3Name,
    /// What is to be done with it.
    pub access: Access,
}

/// A URL, or why there is none.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Answer {
    /// What it is for.
    pub ask: Ask,
    /// The URL.
    pub signed: Result<Signed, Reason>,
}

/// A signed URL. Whoever has it may do what it allows: it is shown nowhere.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Signed {
    url: String,
    authority: Option<String>,
}

impl Signed {
    /// A URL, and the certificates (PEM) of the authority that vouches for its server, where no public one
    /// does.
    pub fn new(url: String, authority: Option<String>) -> Self {
        Self { url, authority }
    }

    /// The URL.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Certificates (PEM) that vouch for the server.
    pub fn authority(&self) -> Option<&str> {
        self.authority.as_deref()
    }
}

impl fmt::Debug for Signed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Signed({}?***)", self.url.split('?').next().unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_as_many_as_s3_takes() {
        assert_eq!(part_length(1), PART);
        assert_eq!(part_length(PART * MOST_PARTS), PART);
        for bytes in [PART * MOST_PARTS + 1, 5 << 40] {
            let length = part_length(bytes);
            assert!(length > PART && bytes.div_ceil(length) <= MOST_PARTS, "{bytes}: {length}");
        }
    }

    #[test]
    fn a_signature_is_not_shown() {
        let signed = Signed::new("http://minio:9000/b/k?X-Amz-Signature=abc".into(), None);
        assert_eq!(format!("{signed:?}"), "Signed(http://minio:9000/b/k?***)");
    }
}
