//! A file's path that survives JSON whatever its bytes are. Text where it is UTF-8 (nearly always),
//! else the bytes in hex, so that a name in another encoding still reaches its file.

use std::ffi::{OsStr, OsString};
use std::fmt;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A path to a file. JSON: a string, or `{"hex": "..."}` for a path that is not UTF-8.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FilePath(pub PathBuf);

impl FilePath {
    /// The path itself.
    pub fn as_path(&self) -> &Path {
        &self.0
    }

    /// The last component, or the whole path where there is none.
    pub fn file_name(&self) -> &OsStr {
        self.0.file_name().unwrap_or(self.0.as_os_str())
    }
}

impl<P: Into<PathBuf>> From<P> for FilePath {
    fn from(path: P) -> Self {
        Self(path.into())
    }
}

impl AsRef<Path> for FilePath {
    fn as_ref(&self) -> &Path {
        &self.0
    }
}

/// As a person reads it: what is not UTF-8 is replaced, control characters are escaped.
impl fmt::Display for FilePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&printable(&self.0.to_string_lossy()))
    }
}

impl fmt::Debug for FilePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Text from outside, fit for a terminal line: every control character is escaped.
pub fn printable(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if c.is_control() {
            out.extend(c.escape_default());
        } else {
            out.push(c);
        }
    }
    out
}

#[derive(Serialize, Deserialize)]
struct Hex {
    hex: String,
}

impl JsonSchema for FilePath {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "FilePath".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "A path: text, or its bytes in hex where it is no UTF-8.",
            "anyOf": [
                { "type": "string" },
                {
                    "type": "object", "required": ["hex"],
                    "properties": { "hex": { "type": "string", "pattern": "^([0-9a-fA-F]{2})*$" } }
                }
            ]
        })
    }
}

impl Serialize for FilePath {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0.to_str() {
            Some(text) => serializer.serialize_str(text),
            None => {
                let bytes = self.0.as_os_str().as_bytes();
                let hex = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
                Hex { hex }.serialize(serializer)
            }
        }
    }
}

impl<'de> Deserialize<'de> for FilePath {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Form {
            Text(String),
            Hex(Hex),
        }
        match Form::deserialize(deserializer)? {
            Form::Text(text) => Ok(Self(text.into())),
            Form::Hex(Hex { hex }) => {
                if hex.len() % 2 != 0 || !hex.bytes().all(|byte| byte.is_ascii_hexdigit()) {
                    return Err(D::Error::custom("a path's hex form has pairs of hex digits"));
                }
                let bytes = (0..hex.len())
                    .step_by(2)
                    .map(|at| u8::from_str_radix(&hex[at..at + 2], 16).map_err(D::Error::custom))
                    .collect::<Result<Vec<u8>, _>>()?;
                Ok(Self(OsString::from_vec(bytes).into()))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_bytes_survive_json() {
        for bytes in [&b"/a/plain name.mp4"[..], b"/a/new\nline", b"/a/\xff\xfe.mkv", b"-dash%20"] {
            let path = FilePath::from(PathBuf::from(OsStr::from_bytes(bytes)));
            let json = serde_json::to_string(&path).unwrap();
            assert_eq!(serde_json::from_str::<FilePath>(&json).unwrap(), path, "{json}");
        }
        assert!(serde_json::from_str::<FilePath>(r#"{"hex":"f"}"#).is_err());
    }

    #[test]
    fn shown_without_control_characters() {
        assert_eq!(FilePath::from("a\n\x1b[31m").to_string(), "a\\n\\u{1b}[31m");
    }
}
