//! What the hub says: desired sets, made as production makes them.

use std::collections::BTreeMap;

use berth_common::link::{Desired, DesiredSet, Origin, RunSpec, Verdict, Watch};
use berth_common::{HostId, Revision, ServerId};
use berth_core::reconcile::{Order, What, orders};
use berth_core::{Fleet, Server};

use super::Reign;
use crate::world::bugs::{self, Bug};
use crate::world::disk::Disk;
use crate::world::nature::{Happening, Nature};
use crate::world::network::arrivals;

/// As in production.
const STOP_GRACE_S: u32 = 10;

/// Sends a host its desired set, over every connection that seems to be one of its agent's.
pub fn tell(nature: &mut Nature, reign: &mut Reign, disk: &Disk, host: &HostId, index: usize) {
    let Some(set) = desired_set(&reign.fleet, host, nature.bug) else { return };
    nature.history.tells_secrets(host, &set, &disk.servers);
    nature.history.told(index, &set);
    let cut = nature.cuts.get(index).is_some_and(|cut| cut.down);
    for session in reign.sessions.values_mut().filter(|session| session.host == index) {
        for at in arrivals(nature, cut, &mut session.last) {
            let (process, set) = (session.process, Box::new(set.clone()));
            nature.schedule.at(at, Happening::Desired { host: index, process, set });
        }
    }
}

/// The desired set of a host, made as production makes it.
fn desired_set(fleet: &Fleet, host: &HostId, bug: Option<Bug>) -> Option<DesiredSet> {
    let record = fleet.hosts.get(host)?;
    let heard = record.heard.as_ref()?;
    let mut revision = Revision { epoch: fleet.epoch, seq: record.seq };
    if bug == Some(Bug::ReusesRevisions) {
        revision.seq = revision.seq.div_ceil(2);
    }
    let mut orders = orders(fleet, host);
    if bug == Some(Bug::TellsEveryHost) {
        bugs::tells_every_host(fleet, &mut orders);
    }
    let servers = orders
        .into_iter()
        .filter_map(|(server, order)| Some((server.clone(), desired(fleet, &server, order)?)));
    Some(DesiredSet {
        revision,
        incarnation: heard.incarnation,
        echo: heard.sent,
        servers: servers.collect(),
        watch: Watch::default(),
    })
}

fn desired(fleet: &Fleet, id: &ServerId, order: Order) -> Option<Desired> {
    let what = match order.what {
        What::Stop => Verdict::Stop { grace_s: STOP_GRACE_S },
        What::Keep => Verdict::Keep,
        What::Run => Verdict::Run(Box::new(run_spec(fleet, fleet.servers.get(id)?)?)),
    };
    Some(Desired { generation: order.generation, what, limit: order.limit })
}

fn run_spec(fleet: &Fleet, server: &Server) -> Option<RunSpec> {
    let account = server.account.clone()?;
    let image = fleet.settings.images.get(&server.ask.image)?.reference.clone();
    let pool = fleet.settings.profiles.get(&server.ask.profile)?.pool.clone();
    Some(RunSpec {
        origin: Origin {
            user: server.owner.clone(),
            server_name: server.name.clone(),
            profile: server.ask.profile.clone(),
            memory: server.ask.memory,
            gpus: server.placement().map_or_else(Vec::new, |it| it.gpus.clone()),
            decision: server.decision.clone(),
        },
        account,
        pool,
        image,
        build: String::new(),
        command: Vec::new(),
        spaces: Vec::new(),
        shown: BTreeMap::new(),
        env: BTreeMap::new(),
        api_url: String::new(),
        prefix: server.prefix(),
        port: 8888,
        farm_ports: server.placement().map_or_else(Vec::new, |it| it.farm_ports.clone()),
        shm: None,
        cpu: Default::default(),
    })
}
