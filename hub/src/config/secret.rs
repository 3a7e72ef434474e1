//! Secrets: never in the files themselves, always in a file of their own.

use std::fmt;
use std::path::PathBuf;

use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserialize, Deserializer, Error, MapAccess, Visitor};
use toml::Spanned;

use super::sources::{File, Sources};

/// A secret's text, which neither the log nor an error shows.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// A secret that is known already.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text, for the one place that needs it.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret")
    }
}

/// `{ file = "/etc/berth/secrets/x" }`; a relative path begins at the configuration folder.
#[derive(Debug)]
pub(super) struct SecretFile(PathBuf);

impl<'de> Deserialize<'de> for SecretFile {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct TheFile;
        impl<'de> Visitor<'de> for TheFile {
            type Value = SecretFile;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("{ file = \"...\" }: secrets have a file of their own")
            }
            fn visit_str<E: Error>(self, _: &str) -> Result<SecretFile, E> {
                Err(E::custom(
                    "a secret is not written here: put it into a file that only the hub can \
                     read, and write { file = \"...\" }",
                ))
            }
            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<SecretFile, A::Error> {
                #[derive(serde::Deserialize)]
                #[serde(deny_unknown_fields)]
                struct Table {
                    file: PathBuf,
                }
                let table = Table::deserialize(MapAccessDeserializer::new(map))?;
                Ok(SecretFile(table.file))
            }
        }
        deserializer.deserialize_any(TheFile)
    }
}

/// Reads a secret; one that cannot be read is reported where it is named.
pub(super) fn read(
    sources: &mut Sources,
    file: File,
    written: &Spanned<SecretFile>,
) -> Option<Secret> {
    let Some(path) = sources.other_file(&written.get_ref().0) else {
        return Some(Secret::new(String::new()));
    };
    let why = match std::fs::read_to_string(&path) {
        Ok(text) if !text.trim().is_empty() => return Some(Secret::new(text.trim())),
        Ok(_) => "it is empty".to_owned(),
        Err(error) => error.to_string(),
    };
    let message = format!("the secret's file {} cannot be used: {why}", path.display());
    sources.bad_value(&file.at(written), message);
    None
}
