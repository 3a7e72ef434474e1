//! The programs that make containers for the agent, and from which versions on they have no known
//! way out of a container. They are the site's to upgrade; the agent looks and says.

use std::fmt;
use std::process::Stdio;
use std::str::FromStr;

use serde::{Deserialize, Deserializer};
use tokio::process::Command;

/// The lowest versions that this host's administrators accept: section `[floors]`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Floors {
    /// Of runc.
    #[serde(deserialize_with = "version")]
    pub runc: Option<Version>,
    /// Of the NVIDIA Container Toolkit.
    #[serde(deserialize_with = "version")]
    pub toolkit: Option<Version>,
    /// Of the Docker Engine.
    #[serde(deserialize_with = "version")]
    pub engine: Option<Version>,
}

/// A version's numbers. What a distribution adds to them does not count.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Version(Vec<u64>);

impl FromStr for Version {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let wrong = "write a version, e.g. \"1.2.8\"";
        let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
        let numbers = text.get(..end).unwrap_or_default().trim_end_matches('.').split('.');
        numbers.map(|part| part.parse().map_err(|_| wrong)).collect::<Result<_, _>>().map(Self)
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let parts: Vec<_> = self.0.iter().map(ToString::to_string).collect();
        f.write_str(&parts.join("."))
    }
}

fn version<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Version>, D::Error> {
    let text = String::deserialize(from)?;
    text.parse().map(Some).map_err(serde::de::Error::custom)
}

/// Holes through which a container's user became root on the host, and where they were mended.
#[derive(Debug)]
pub struct Holes {
    /// Their names.
    pub names: &'static str,
    /// The first good version of each line; later lines are good.
    pub mended: &'static [&'static str],
}

/// Of runc: its folder of work, masked paths, the console, writes into /proc.
pub const RUNC: Holes = Holes {
    names: "CVE-2024-21626, CVE-2025-31133, CVE-2025-52565, CVE-2025-52881",
    mended: &["1.2.8", "1.3.3"],
};

/// Of the NVIDIA Container Toolkit: links and the environment of an image.
pub const TOOLKIT: Holes =
    Holes { names: "CVE-2024-0132, CVE-2025-23266, CVE-2025-23267", mended: &["1.17.8"] };

impl Holes {
    fn are_mended_in(&self, found: &Version) -> bool {
        let mut good = self.mended.iter().filter_map(|text| text.parse::<Version>().ok());
        let newest = self.mended.last().and_then(|text| text.parse().ok());
        newest.is_some_and(|newest| *found >= newest)
            || good.any(|good| found.0.get(..2) == good.0.get(..2) && *found >= good)
    }
}

/// What to say of a program's version, as it tells it itself.
///
/// # Errors
/// It is below the administrators' floor.
pub fn judge(
    key: &str,
    found: &str,
    floor: Option<&Version>,
    holes: Option<&Holes>,
) -> Result<String, String> {
    let Ok(version) = found.parse::<Version>() else {
        return Ok(format!("{found}, which is no version that can be compared"));
    };
    if let Some(floor) = floor {
        return if version < *floor {
            Err(format!("{found} is below [floors] {key} = \"{floor}\" of agent.toml: upgrade it"))
        } else {
            Ok(format!("{found}, from [floors] {key} = \"{floor}\" on"))
        };
    }
    match holes.filter(|holes| !holes.are_mended_in(&version)) {
        None => Ok(found.to_owned()),
        Some(Holes { names, mended }) => Ok(format!(
            "{found}: its makers mended {names} in {}. A distribution may have done so under an \
             older number: look for these names in its changelog, and write [floors] {key} in \
             agent.toml",
            mended.join(" and ")
        )),
    }
}

/// What the NVIDIA Container Toolkit says its version is; `None`: it is not here.
pub async fn toolkit() -> Option<String> {
    for program in ["nvidia-ctk", "nvidia-container-runtime-hook"] {
        let asked = Command::new(program)
            .arg("--version")
            .stdin(Stdio::null())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .output();
        let limit = std::time::Duration::from_secs(10);
        if let Ok(Ok(told)) = tokio::time::timeout(limit, asked).await
            && let Some(version) = after_version(&String::from_utf8_lossy(&told.stdout))
        {
            return Some(version);
        }
    }
    None
}

/// "NVIDIA Container Toolkit CLI version 1.17.8", and a line with the commit.
fn after_version(text: &str) -> Option<String> {
    let mut words = text.split_whitespace().skip_while(|word| *word != "version").skip(1);
    words.next().map(str::to_owned)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn judged(found: &str, floor: Option<&str>) -> Result<String, String> {
        let floor = floor.map(|text| text.parse().unwrap());
        judge("runc", found, floor.as_ref(), Some(&RUNC))
    }

    #[test]
    fn versions_with_known_holes_are_told_with_the_names_of_the_holes() {
        for old in ["1.1.5+ds1", "1.1.12", "1.2.7", "1.3.0-rc.2", "1.3.2"] {
            let told = judged(old, None).unwrap();
            assert!(told.contains("CVE-2025-31133") && told.contains("changelog"), "{old}: {told}");
        }
        for good in ["1.2.8", "1.2.9-2.el9", "1.3.3", "1.4.0", "2.0"] {
            assert_eq!(judged(good, None).unwrap(), good);
        }
        let toolkit = judge("toolkit", "1.17.7", None, Some(&TOOLKIT)).unwrap();
        assert!(toolkit.contains("CVE-2025-23266"), "{toolkit}");
        assert_eq!(judge("toolkit", "1.17.8", None, Some(&TOOLKIT)).unwrap(), "1.17.8");
    }

    #[test]
    fn an_administrators_floor_is_the_last_word() {
        let told = judged("1.2.7", Some("1.2.8")).unwrap_err();
        assert!(told.contains("[floors] runc = \"1.2.8\""), "{told}");
        // A distribution's own number, in which the holes are mended.
        assert!(judged("1.1.5+ds1-1+deb12u1", Some("1.1.5")).is_ok());
        assert!(judged("1.10.0", Some("1.9")).is_ok(), "numbers, not texts");
        assert!(judged("unknown", Some("1.9")).unwrap().contains("no version"));
    }

    #[test]
    fn a_floor_is_a_version() {
        let read = |text: &str| toml::from_str::<Floors>(text);
        assert!(read("runc = \"1.2.8\"").unwrap().runc.is_some());
        for bad in ["runc = \"new\"", "runc = \"\"", "runc = 1", "docker = \"1\""] {
            assert!(read(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn the_toolkit_tells_its_version_in_a_sentence() {
        let told = "NVIDIA Container Toolkit CLI version 1.17.8\ncommit: f202b80\n";
        assert_eq!(after_version(told).as_deref(), Some("1.17.8"));
        assert_eq!(after_version("unknown flag"), None);
    }
}
