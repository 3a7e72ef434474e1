//! What is known beside the files that are read: how the hub runs that they are for, and what its
//! hosts have reported. Without it the files are judged by themselves.

use std::collections::BTreeMap;
use std::path::Path;

use berth_common::{ByteCount, HostId, Timestamp};

use super::draft::Draft;
use super::files::Kept;
use super::sources::Sources;
use super::{HubConfig, understand};

/// The code of a key that the running hub does not take over by itself.
pub const NEEDS_RESTART: &str = "config.warning.restart";

/// What is known beside the files.
#[derive(Debug, Clone, Default)]
pub struct Beside {
    /// What the hub was started with; `None`: none runs, as far as is known.
    pub running: Option<HubConfig>,
    /// What hosts have reported.
    pub hosts: BTreeMap<HostId, Reported>,
}

/// What a host has, by its own report.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reported {
    /// Memory, with what is kept free of it.
    pub memory: ByteCount,
    /// Processors, in thousandths.
    pub cpu_milli: u32,
    /// Ports that the compute farm reaches.
    pub farm_ports: u32,
}

impl Beside {
    /// What the state folder says when no hub is asked: it keeps the files that were last in force.
    pub fn of_state(folder: &Path, now: Timestamp) -> Self {
        let state = Sources::read(folder, None).texts().state();
        let running = Kept::read(&state).and_then(|kept| {
            let sources = Sources::of(&kept.files, folder);
            understand(sources, now, &Self::default()).ok().map(|(config, _)| config.hub)
        });
        Self { running, hosts: BTreeMap::new() }
    }
}

impl HubConfig {
    /// What a running hub takes over of other files: all that does not hang on what it has opened
    /// at its start.
    #[must_use]
    pub fn reloaded(&self, fresh: &Self) -> Self {
        Self {
            logs: fresh.logs,
            mail: fresh.mail.clone(),
            keep_decisions: fresh.keep_decisions,
            keep_audit: fresh.keep_audit,
            keep_ended_cards: fresh.keep_ended_cards,
            per_user: fresh.per_user,
            ..self.clone()
        }
    }

    /// The keys of `hub.toml` that only a restart takes over, by section, with their values.
    fn until_restart(&self) -> [(&'static str, &'static str, String); 10] {
        let path = |path: &Path| path.display().to_string();
        let puppet = self.puppet.as_ref();
        // Where it is not written it follows public_url.
        let api_url = match &self.api_url {
            url if *url == format!("{}/hub/api", self.public_url) => String::new(),
            url => url.clone(),
        };
        let crl = puppet.and_then(|it| it.revoked.as_deref());
        [
            ("hub", "public_url", self.public_url.clone()),
            ("hub", "listen", self.listen.to_string()),
            ("hub", "state", path(&self.state)),
            ("hub", "admin_socket", path(&self.admin_socket)),
            ("hub", "api_url", api_url),
            ("hub", "insecure_cookies", self.insecure_cookies.to_string()),
            ("agents", "listen", self.agents_listen.to_string()),
            ("agents", "puppet_ca", puppet.map_or_else(String::new, |it| path(&it.ca))),
            ("agents", "puppet_crl", crl.map_or_else(String::new, path)),
            ("proxy", "api", self.proxy_api.clone()),
        ]
    }
}

/// Says which keys the running hub does not take over by itself.
pub(super) fn warn_of_restart(draft: &mut Draft, running: &HubConfig, fresh: &HubConfig) {
    let pairs = running.until_restart().into_iter().zip(fresh.until_restart());
    for ((section, key, before), (_, _, after)) in pairs {
        if before == after {
            continue;
        }
        let before = if before.is_empty() { "not set".to_owned() } else { format!("\"{before}\"") };
        let message = format!(
            "[{section}] {key} takes effect when berth-hub is restarted, which stops nobody; until \
             then it is {before}"
        );
        if let Some(place) = draft.sources.place_of("hub", &[section, key]) {
            draft.sources.warn(&place, NEEDS_RESTART, message);
        }
    }
}
