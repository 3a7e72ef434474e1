//! What an image's name stands for. A name with a tag is only a name: hosts that fetched it at
//! different times may hold different things under it. What most of them hold is the site's build.

use std::collections::{BTreeMap, BTreeSet};

use berth_common::Timestamp;
use berth_common::link::HostFacts;

use super::{Fleet, Server};
use crate::settings::Settings;

/// What hosts say that names stand for: of each name, how many say which build.
#[derive(Debug, Clone, Default)]
struct Said(BTreeMap<String, BTreeMap<String, u32>>);

impl Said {
    /// A host that said the one says the other now.
    fn change(&mut self, before: &BTreeMap<String, String>, after: &BTreeMap<String, String>) {
        for (name, build) in before {
            let Some(builds) = self.0.get_mut(name) else { continue };
            if let Some(hosts) = builds.get_mut(build) {
                *hosts = hosts.saturating_sub(1);
            }
            builds.retain(|_, hosts| *hosts > 0);
            if builds.is_empty() {
                self.0.remove(name);
            }
        }
        for (name, build) in after {
            let hosts = self.0.entry(name.clone()).or_default().entry(build.clone()).or_default();
            *hosts = hosts.saturating_add(1);
        }
    }

    /// What most say.
    fn most(&self, name: &str) -> Option<&str> {
        let builds = self.0.get(name)?.iter();
        builds.max_by_key(|(_, hosts)| *hosts).map(|(build, _)| build.as_str())
    }
}

/// Which builds hosts hold under which names, as they last reported, and what registries give for
/// the names that no host holds.
#[derive(Debug, Clone, Default)]
pub struct Builds {
    held: Said,
    offered: Said,
}

/// A build that any host can fetch from its registry, and not one that is known to an engine alone.
fn is_fetchable(build: &str) -> bool {
    build.contains("@sha256:")
}

impl Builds {
    /// A host that told the one tells the other now.
    pub(crate) fn change(&mut self, before: &HostFacts, after: &HostFacts) {
        self.held.change(&before.builds, &after.builds);
        self.offered.change(&before.offered, &after.offered);
    }

    /// Those of these names of which no host holds a build: their registries are to be asked.
    pub fn unknown<'a>(&self, names: impl Iterator<Item = &'a str>) -> BTreeSet<String> {
        let unknown = names.filter(|name| !is_fetchable(name) && self.usual(name).is_none());
        unknown.map(str::to_owned).collect()
    }

    /// What its registry gives for a name.
    pub(crate) fn offered(&self, name: &str) -> Option<&str> {
        self.offered.most(name).filter(|build| is_fetchable(build))
    }

    /// The site's build of a name: what most hosts hold; `None`: no host has it.
    pub fn usual(&self, name: &str) -> Option<&str> {
        self.held.most(name)
    }

    /// What a prepared host is to have under a name: the site's build where it can be fetched.
    pub fn to_fetch<'a>(&'a self, name: &'a str) -> &'a str {
        self.usual(name).filter(|build| is_fetchable(build)).unwrap_or(name)
    }

    /// What a server is to run on a host that has these images; empty: nobody knows it yet.
    pub(crate) fn pinned(&self, name: &str, there: Option<&HostFacts>) -> String {
        if is_fetchable(name) {
            return name.to_owned();
        }
        let usual = self.usual(name);
        let own = || there.and_then(|facts| facts.builds.get(name)).map(String::as_str);
        let build = usual.filter(|build| is_fetchable(build)).or_else(own).or(usual);
        build.unwrap_or_default().to_owned()
    }

    /// The names of the images on a host, without those that stand for another build there.
    pub(crate) fn present(&self, settings: &Settings, there: &HostFacts) -> BTreeSet<String> {
        let is_same = |name: &&String| self.other(name, there).is_none();
        let mut names: BTreeSet<String> = there.images.iter().filter(is_same).cloned().collect();
        for name in settings.references() {
            if self.usual(name).is_some_and(|build| names.contains(build)) {
                names.insert(name.to_owned());
            }
        }
        names
    }

    /// The build that a host holds under a name, and the site's, where the two differ.
    pub fn other<'a>(&'a self, name: &str, there: &'a HostFacts) -> Option<(&'a str, &'a str)> {
        let (own, usual) = (there.builds.get(name)?, self.usual(name)?);
        (own != usual).then_some((own.as_str(), usual))
    }
}

impl Fleet {
    /// Whether a server that runs would be given something else under its image's name by its next
    /// start. What nobody knows yet is nothing else.
    pub fn is_outdated(&self, server: &Server, now: Timestamp) -> bool {
        let Some(placement) = server.placement() else { return false };
        let Some(pin) = placement.image.as_deref() else { return false };
        let (owner, groups) = (&server.owner, server.groups());
        let given = self.settings.reference(&server.ask.image, owner, &groups, now);
        let Some(given) = given else { return false };
        let heard = self.hosts.get(&placement.host).and_then(|host| host.heard.as_ref());
        let build = self.builds.pinned(given, heard.map(|heard| &heard.facts));
        match build.is_empty() || pin.build.is_empty() {
            true => given != pin.name,
            false => build != pin.build,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use crate::example::{NOW, fleet, id, placement_mut, server_mut};
    use crate::fleet::ImagePin;
    use crate::settings::Image;

    use super::*;

    fn facts(names: &[(&str, &str)]) -> HostFacts {
        let pairs = names.iter().map(|(name, build)| ((*name).to_owned(), (*build).to_owned()));
        let builds: BTreeMap<_, _> = pairs.collect();
        HostFacts { images: builds.keys().cloned().collect(), builds, ..HostFacts::default() }
    }

    const NAME: &str = "registry.example.org/nb:1";
    const OLD: &str = "registry.example.org/nb@sha256:01";
    const NEW: &str = "registry.example.org/nb@sha256:02";

    #[test]
    fn what_most_hosts_hold_is_run_everywhere_and_fetched_where_it_is_not() {
        let (mut builds, nothing) = (Builds::default(), HostFacts::default());
        let (old, new) = (facts(&[(NAME, OLD)]), facts(&[(NAME, NEW)]));
        assert_eq!(builds.pinned(NAME, None), "", "nobody knows it");
        assert_eq!(builds.to_fetch(NAME), NAME);
        for host in [&old, &old, &new] {
            builds.change(&nothing, host);
        }
        assert_eq!(builds.pinned(NAME, Some(&new)), OLD, "not what this one host has");
        assert_eq!((builds.pinned(NAME, None).as_str(), builds.to_fetch(NAME)), (OLD, OLD));
        assert_eq!(builds.other(NAME, &new), Some((NEW, OLD)));
        let settings = Settings::default();
        assert!(builds.present(&settings, &new).is_empty(), "it has to be fetched there");
        assert!(builds.present(&settings, &old).contains(NAME));
        // The others follow.
        builds.change(&old, &new);
        assert_eq!(builds.usual(NAME), Some(NEW));
        builds.change(&old, &nothing);
        builds.change(&new, &nothing);
        builds.change(&new, &nothing);
        assert_eq!(builds.usual(NAME), None);
    }

    #[test]
    fn an_image_that_cannot_be_fetched_is_what_the_host_has() {
        let (mut builds, nothing) = (Builds::default(), HostFacts::default());
        let hosts = ["sha256:01", "sha256:01", "sha256:02"].map(|id| facts(&[("berth/nb:1", id)]));
        for host in &hosts {
            builds.change(&nothing, host);
        }
        assert_eq!(builds.pinned("berth/nb:1", Some(&hosts[2])), "sha256:02");
        assert_eq!(builds.pinned("berth/nb:1", None), "sha256:01");
        assert_eq!(builds.to_fetch("berth/nb:1"), "berth/nb:1");
        assert_eq!(builds.pinned(OLD, None), OLD, "a name that says it");
    }

    #[test]
    fn what_no_host_holds_is_what_its_registry_gives() {
        let (mut builds, nothing) = (Builds::default(), HostFacts::default());
        let names = || [NAME, OLD, "berth/nb:1"].into_iter();
        assert_eq!(Vec::from_iter(builds.unknown(names())), ["berth/nb:1", NAME]);
        let offered = BTreeMap::from([(NAME.to_owned(), NEW.to_owned())]);
        let asked = HostFacts { offered, ..HostFacts::default() };
        builds.change(&nothing, &asked);
        assert_eq!(builds.offered(NAME), Some(NEW));
        assert_eq!(builds.usual(NAME), None, "nobody holds it");
        builds.change(&nothing, &facts(&[(NAME, OLD)]));
        assert_eq!(Vec::from_iter(builds.unknown(names())), ["berth/nb:1"]);
        builds.change(&asked, &nothing);
        assert_eq!(builds.offered(NAME), None);
    }

    #[test]
    fn a_server_is_outdated_when_a_restart_would_give_it_something_else() {
        let mut fleet = fleet();
        let image = |reference: &str| Image {
            reference: reference.into(),
            title: String::new(),
            shm: None,
            cite: Default::default(),
        };
        let mut settings = Settings::clone(&fleet.settings);
        settings.images.insert("py".into(), image(NAME));
        fleet.settings = Arc::new(settings.clone());
        server_mut(&mut fleet, 1).ask.image = "py".into();
        let is_outdated = |fleet: &Fleet| fleet.is_outdated(&fleet.servers[&id(1)], NOW);
        assert!(!is_outdated(&fleet), "of before builds were decided");
        let pin = ImagePin { name: NAME.into(), build: OLD.into() };
        placement_mut(&mut fleet, 1).image = Some(Box::new(pin));
        assert!(!is_outdated(&fleet), "nobody has said what the name stands for");
        let (old, new) = (facts(&[(NAME, OLD)]), facts(&[(NAME, NEW)]));
        Arc::make_mut(&mut fleet.builds).change(&HostFacts::default(), &old);
        assert!(!is_outdated(&fleet));
        Arc::make_mut(&mut fleet.builds).change(&old, &new);
        assert!(is_outdated(&fleet), "the same name, another build");
        settings.images.insert("py".into(), image(OLD));
        fleet.settings = Arc::new(settings.clone());
        assert!(!is_outdated(&fleet), "another name, the same build");
        settings.images.insert("py".into(), image("berth/nb:2"));
        fleet.settings = Arc::new(settings);
        assert!(is_outdated(&fleet), "another name, of which no host has said anything");
    }
}
