//! Logins to registries of images: a file of the host's own administrators, read anew for each
//! fetch. What is in it never leaves this module but to the engine.

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;

use berth_process::{file, mistake};
use serde::{Deserialize, Deserializer};

use crate::config::version_1;
use crate::identity::is_exposed;

/// The file.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Registries {
    #[serde(rename = "version", deserialize_with = "version_1")]
    _version: u32,
    /// By address, as image names begin: `registry.example.org`, `10.0.0.1:5000`.
    #[serde(default)]
    registry: BTreeMap<String, Login>,
}

/// A login to one registry.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Login {
    /// The name.
    pub user: String,
    /// The password or token.
    pub password: Secret,
}

/// A text that is never printed.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(pub String);

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(secret)")
    }
}

impl<'de> Deserialize<'de> for Secret {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        // The parser's own words would hold the value.
        match toml::Value::deserialize(from)? {
            toml::Value::String(text) => Ok(Self(text)),
            _ => Err(serde::de::Error::custom("write the password in quotes")),
        }
    }
}

/// The logins of the file; without a file none.
///
/// # Errors
/// What is wrong with the file, without what is in it.
pub fn read(path: &Path) -> Result<BTreeMap<String, Login>, String> {
    let name = path.display();
    if is_exposed(path) {
        return Err(format!("others can read {name}, so it is not used: chmod 600 {name}"));
    }
    let text = file::read_if_there(path).map_err(|error| error.to_string())?;
    let text = text.ok_or_else(|| {
        format!("{name}: there is no such file; write it, or see [agent] registries")
    })?;
    // Without the line itself, which may hold a password.
    let all: Registries = mistake::read(&name.to_string(), &text)
        .map_err(|wrong| format!("{name}:{}: {}", wrong.line, wrong.message))?;
    Ok(all.registry)
}

/// The login for the registry of an image, if there is one.
///
/// # Errors
/// As [`read`].
pub fn login(path: Option<&Path>, image: &str) -> Result<Option<(String, Login)>, String> {
    let Some(path) = path else { return Ok(None) };
    let registry = image.split('/').next().unwrap_or_default();
    let found = read(path)?.remove(registry);
    Ok(found.map(|login| (registry.to_owned(), login)))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn what_is_in_the_file_is_in_no_message() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("registries.toml");
        let write = |text: &str, mode: u32| {
            std::fs::write(&path, text).unwrap();
            std::fs::set_permissions(&path, PermissionsExt::from_mode(mode)).unwrap();
        };
        let good = "version = 1\n[registry.\"r.example.org:5000\"]\nuser = \"u\"\npassword = ";
        write(&format!("{good}\"hunter2\"\n"), 0o600);
        let (address, found) = login(Some(&path), "r.example.org:5000/nb:1").unwrap().unwrap();
        assert_eq!(
            (address.as_str(), found.password.0.as_str()),
            ("r.example.org:5000", "hunter2")
        );
        assert!(!format!("{found:?}").contains("hunter2"));
        assert_eq!(login(Some(&path), "other.example.org/nb:1"), Ok(None));
        assert_eq!(login(None, "r.example.org:5000/nb:1"), Ok(None));

        write(&format!("{good}12345\n"), 0o600);
        let told = read(&path).unwrap_err();
        assert!(told.contains(":4: password: write the password in quotes"), "{told}");
        assert!(!told.contains("12345"), "{told}");
        write(&format!("{good}\"hunter2\"\n"), 0o640);
        assert!(read(&path).unwrap_err().contains("chmod 600"));
        write(&format!("{good}\"hunter2\"\ntoken = \"x\"\n"), 0o600);
        assert!(read(&path).unwrap_err().contains("unknown key \"token\""));
        std::fs::remove_file(&path).unwrap();
        assert!(read(&path).unwrap_err().contains("there is no such file"));
    }
}
