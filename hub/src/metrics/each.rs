//! Series of single servers and people. How far these may be told apart is the site's to say
//! (`[metrics] per_user` in hub.toml).

use berth_common::{ByteCount, Timestamp};
use berth_core::{Fleet, Server, life};
use berth_store::User;
use prometheus::GaugeVec;

use super::present::set;
use super::shelf::Shelf;
use crate::config::PerUser;
use crate::keys;

/// The series.
#[derive(Debug)]
pub struct Each {
    memory: GaugeVec,
    gpus: GaugeVec,
    idle: GaugeVec,
    age: GaugeVec,
    groups: GaugeVec,
}

/// Digits of a hash that stands for a name: enough to tell the people of a site apart.
const DIGITS: usize = 12;

impl Each {
    /// With nothing in it.
    pub fn new(shelf: &mut Shelf) -> Result<Self, prometheus::Error> {
        Ok(Self {
            memory: shelf.amounts(
                "berth_server_memory_bytes",
                "Memory of a server: limit, used, and peak, the most of this start",
                &["server", "kind"],
            )?,
            gpus: shelf.amounts(
                "berth_server_gpu_utilization_ratio",
                "Part of the time in which a kernel ran on a GPU of a server",
                &["server", "gpu"],
            )?,
            idle: shelf.amounts(
                "berth_server_idle_seconds",
                "For how long there was no sign of work in a server",
                &["server"],
            )?,
            age: shelf.amounts(
                "berth_server_age_seconds",
                "For how long a server has been running",
                &["server"],
            )?,
            groups: shelf.amounts(
                "jupyterhub_user_group_info",
                "1 for each group of each person; the name in all spellings that boards ask for",
                &["usergroup", "username", "username_escape", "username_escaped", "username_safe"],
            )?,
        })
    }

    /// What is the case now.
    pub fn look(&self, fleet: &Fleet, people: &[User], how: PerUser, now: Timestamp) {
        for server in fleet.servers.values() {
            self.server(fleet, server, how, now);
        }
        for user in people {
            let Some(name) = shown(user.account.name.as_str(), how) else { return };
            for group in &user.account.groups {
                let labels = [group.name.as_str(), &name, &name, &name, &name];
                set(&self.groups, &labels, 1.0);
            }
        }
    }

    fn server(&self, fleet: &Fleet, server: &Server, how: PerUser, now: Timestamp) {
        let Some(placement) = server.placement() else { return };
        let name = match how {
            PerUser::None => return,
            // An id is made by chance, and says nothing of its owner.
            PerUser::Hashed => server.id.to_string(),
            PerUser::Name if server.name.is_default() => server.owner.to_string(),
            PerUser::Name => format!("{}/{}", server.owner, server.name),
        };
        set(&self.memory, &[&name, "limit"], placement.limit().0 as f64);
        if let Some(ready) = placement.ready_at {
            let seconds = |since: Timestamp| now.millis_since(since) as f64 / 1e3;
            set(&self.age, &[&name], seconds(ready));
            let idle = life::idle_since(&fleet.settings, server);
            set(&self.idle, &[&name], seconds(idle));
        }
        let heard = fleet.hosts.get(&placement.host).and_then(|host| host.heard.as_ref());
        let Some(heard) = heard else { return };
        if let Some(seen) = heard.observed.get(&server.id) {
            let ByteCount(peak) = seen.usage.memory_highest;
            set(&self.memory, &[&name, "used"], seen.memory_used.0 as f64);
            set(&self.memory, &[&name, "peak"], peak as f64);
        }
        for part in &placement.gpus {
            let used = heard.facts.gpus.used.iter().find(|used| used.gpu == part.gpu);
            if let Some(busy) = used.and_then(|used| used.busy) {
                set(&self.gpus, &[&name, part.gpu.as_str()], f64::from(busy) / 100.0);
            }
        }
    }
}

/// A name as the site lets it be shown; `None`: not at all.
fn shown(name: &str, how: PerUser) -> Option<String> {
    match how {
        PerUser::None => None,
        PerUser::Name => Some(name.to_owned()),
        PerUser::Hashed => {
            let hash = keys::hash(name);
            Some(hash.iter().map(|byte| format!("{byte:02x}")).collect::<String>())
                .map(|digits| digits.chars().take(DIGITS).collect())
        }
    }
}
