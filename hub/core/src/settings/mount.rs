//! Spaces: folders of the hosts that servers are given beside HOME, as templates.

use std::collections::BTreeMap;

use berth_common::link::{Account, Space};
use serde::{Deserialize, Serialize};

use super::Cite;

/// What the files say about spaces.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mounts {
    /// In the order of the files.
    pub mounts: Vec<Mount>,
    /// How they are watched on each host.
    pub health: Health,
}

/// How spaces are watched.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Health {
    /// Between two looks, in seconds.
    pub every_s: u64,
    /// A look that takes longer has failed, in seconds.
    pub timeout_s: u64,
    /// Failures in a row that make a space sick.
    pub sick_after: u32,
}

impl Default for Health {
    fn default() -> Self {
        Self { every_s: 30, timeout_s: 5, sick_after: 3 }
    }
}

/// A space. In its paths and values `{user}`, `{home}`, `{main_group}` and, for one of each group,
/// `{group}` stand for the person's.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mount {
    /// Its name, e.g. `SPS`.
    pub name: String,
    /// On the host; `{home}` is HOME itself, which every server has.
    pub source: String,
    /// Inside.
    pub target: String,
    /// Whether servers may only read it.
    pub read_only: bool,
    /// Whether what is mounted below it later shows inside.
    pub follows: bool,
    /// Whether no server starts without it.
    pub required: bool,
    /// Whether it is left out without a word where it does not exist.
    pub only_if_exists: bool,
    /// Whether there is one for each of the person's groups.
    pub for_each_group: bool,
    /// What servers find in their environment.
    pub env: BTreeMap<String, String>,
    /// Its name in JupyterLab's file browser, if it is shown there.
    pub shown: Option<String>,
    /// What each host looks at; `None`: nothing is the same for everybody, and nothing is said.
    pub probe: Option<String>,
    /// The profiles whose servers get it; empty: all.
    #[serde(default)]
    pub profiles: Vec<String>,
    /// Where it is defined.
    pub cite: Cite,
}

/// What a person's server gets.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Given {
    /// Folders beside HOME.
    pub spaces: Vec<Space>,
    /// For the environment.
    pub env: BTreeMap<String, String>,
    /// For the file browser: names there, and paths inside.
    pub shown: BTreeMap<String, String>,
}

/// The template of HOME itself.
pub const HOME: &str = "{home}";

impl Mount {
    /// Whether it is HOME itself: that is mounted anyhow, and only watched by this.
    pub fn is_home(&self) -> bool {
        self.source == HOME
    }

    /// Whether servers of this profile get it.
    pub fn is_for(&self, profile: &str) -> bool {
        self.profiles.is_empty() || self.profiles.iter().any(|name| name == profile)
    }
}

impl Mounts {
    /// What this person's servers of a profile get.
    pub fn given(&self, account: &Account, profile: &str) -> Given {
        let mut given = Given::default();
        for mount in self.mounts.iter().filter(|mount| mount.is_for(profile)) {
            let groups: Vec<Option<&str>> = if mount.for_each_group {
                groups_of(account).into_iter().map(Some).collect()
            } else {
                vec![None]
            };
            for group in groups {
                let fill = |template: &str| filled(template, account, group);
                if !mount.is_home() {
                    given.spaces.push(Space {
                        name: mount.name.clone(),
                        source: fill(&mount.source),
                        target: fill(&mount.target),
                        read_only: mount.read_only,
                        follows: mount.follows,
                        required: mount.required,
                        only_if_exists: mount.only_if_exists,
                    });
                }
                let env = mount.env.iter().map(|(name, value)| (name.clone(), fill(value)));
                given.env.extend(env);
                given.shown.extend(mount.shown.iter().map(|it| (fill(it), fill(&mount.target))));
            }
        }
        given
    }

    /// The names of the spaces that this person's servers of a profile cannot do without.
    pub fn required_of(&self, groups: &[&str], profile: &str) -> Vec<String> {
        let given =
            |mount: &&Mount| mount.is_for(profile) && (!mount.for_each_group || !groups.is_empty());
        let required = self.mounts.iter().filter(|mount| mount.required).filter(given);
        required.map(|mount| mount.name.clone()).collect()
    }

    /// Which of the first 64 spaces are meant, as bits by number.
    pub fn numbers(&self, meant: impl Fn(&str) -> bool) -> u64 {
        let bit = |(number, mount): (usize, &Mount)| u64::from(meant(&mount.name)) << number;
        self.mounts.iter().take(64).enumerate().map(bit).fold(0, |all, one| all | one)
    }

    /// What each host looks at, by name.
    pub fn watched(&self) -> BTreeMap<String, String> {
        let probe = |mount: &Mount| Some((mount.name.clone(), mount.probe.clone()?));
        self.mounts.iter().filter_map(probe).collect()
    }
}

/// The names of a person's groups, the main one among them, each once and in order.
fn groups_of(account: &Account) -> Vec<&str> {
    let mut names: Vec<&str> = account.groups.iter().map(|group| group.name.as_str()).collect();
    names.sort_unstable();
    names.dedup();
    names
}

/// A template with the person's names in it. Names of people and groups hold neither `/` nor `{`,
/// so that nothing that is put in is read again.
fn filled(template: &str, account: &Account, group: Option<&str>) -> String {
    template
        .replace("{user}", account.name.as_str())
        .replace("{main_group}", account.main_group())
        .replace("{group}", group.unwrap_or_default())
        .replace(HOME, &account.home)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use berth_common::link::Group;

    fn mount(name: &str, source: &str) -> Mount {
        Mount {
            name: name.into(),
            source: source.into(),
            target: source.into(),
            read_only: false,
            follows: false,
            required: false,
            only_if_exists: false,
            for_each_group: false,
            env: BTreeMap::new(),
            shown: None,
            probe: None,
            profiles: Vec::new(),
            cite: Cite::default(),
        }
    }

    fn alice() -> Account {
        let group = |name: &str, gid| Group { name: name.into(), gid };
        Account {
            name: "alice".parse().unwrap(),
            uid: 2001,
            gid: 3001,
            groups: vec![group("lsst", 3002), group("atlas", 3001)],
            home: "/pbs/home/a/alice".into(),
        }
    }

    #[test]
    fn each_group_gets_its_space_and_names_are_filled_in() {
        let sps = Mount {
            for_each_group: true,
            shown: Some("sps/{group}".into()),
            ..mount("SPS", "/sps/{group}")
        };
        let env = BTreeMap::from([("THRONG_DIR".into(), "/pbs/throng/{main_group}".into())]);
        let throng = Mount { env, ..mount("THRONG_DIR", "/pbs/throng") };
        let own = Mount { target: "/scratch".into(), ..mount("SCRATCH", "/scratch/{user}") };
        let all = Mounts {
            mounts: vec![mount("HOME", HOME), sps, throng, own],
            health: Health::default(),
        };
        let given = all.given(&alice(), "cpu");
        let paths: Vec<_> =
            given.spaces.iter().map(|it| (it.source.as_str(), it.target.as_str())).collect();
        assert_eq!(
            paths,
            [
                ("/sps/atlas", "/sps/atlas"),
                ("/sps/lsst", "/sps/lsst"),
                ("/pbs/throng", "/pbs/throng"),
                ("/scratch/alice", "/scratch"),
            ]
        );
        assert_eq!(given.env, [("THRONG_DIR".into(), "/pbs/throng/atlas".into())].into());
        let shown = [("sps/atlas", "/sps/atlas"), ("sps/lsst", "/sps/lsst")];
        assert_eq!(given.shown, shown.map(|(a, b)| (a.to_owned(), b.to_owned())).into());
    }

    #[test]
    fn who_has_no_group_needs_no_groups_space() {
        let sps = Mount { for_each_group: true, required: true, ..mount("SPS", "/sps/{group}") };
        let soft = Mount { required: true, ..mount("SOFTWARE", "/pbs/software") };
        let all = Mounts { mounts: vec![sps, soft], health: Health::default() };
        assert_eq!(all.required_of(&[], "cpu"), ["SOFTWARE"]);
        assert_eq!(all.required_of(&["atlas"], "cpu"), ["SPS", "SOFTWARE"]);
    }

    #[test]
    fn a_profiles_spaces_are_its_servers_alone() {
        let env = BTreeMap::from([("SLURM_CONF".into(), "/opt/slurm/etc/slurm.conf".into())]);
        let profiles = vec!["farm".into()];
        let slurm = Mount { profiles, required: true, env, ..mount("SLURM", "/opt/slurm") };
        let all = Mounts { mounts: vec![slurm], health: Health::default() };
        assert_eq!(all.given(&alice(), "cpu"), Given::default());
        assert!(all.required_of(&[], "cpu").is_empty());
        let given = all.given(&alice(), "farm");
        assert_eq!((given.spaces.len(), given.env.len()), (1, 1));
        assert_eq!(all.required_of(&[], "farm"), ["SLURM"]);
    }
}
