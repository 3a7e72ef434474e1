//! Which builds of images the servers run that have a place: what was decided for them is looked up
//! at every start of an image of which no host has reported a build.

use std::collections::BTreeMap;

use crate::fleet::{ImagePin, Server};

/// Of each image's name, how many servers were given which build.
#[derive(Debug, Clone, Default)]
pub(crate) struct Decided(BTreeMap<String, BTreeMap<String, usize>>);

/// What a server was given, if that was known.
fn pin(server: &Server) -> Option<&ImagePin> {
    server.placement()?.image.as_deref().filter(|pin| !pin.build.is_empty())
}

impl Decided {
    /// Counts a server that has a place.
    pub fn add(&mut self, server: &Server) {
        if let Some(ImagePin { name, build }) = pin(server) {
            let builds = self.0.entry(name.clone()).or_default();
            let servers = builds.entry(build.clone()).or_default();
            *servers = servers.saturating_add(1);
        }
    }

    /// Takes it out again.
    pub fn remove(&mut self, server: &Server) {
        let Some(ImagePin { name, build }) = pin(server) else { return };
        let Some(builds) = self.0.get_mut(name) else { return };
        if let Some(servers) = builds.get_mut(build) {
            *servers = servers.saturating_sub(1);
        }
        builds.retain(|_, servers| *servers > 0);
        if builds.is_empty() {
            self.0.remove(name);
        }
    }

    /// What servers run under a name; of several builds the last in the order of their names.
    pub fn of(&self, name: &str) -> Option<&str> {
        self.0.get(name)?.last_key_value().map(|(build, _)| build.as_str())
    }
}
