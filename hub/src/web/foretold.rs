//! What a drain would do, before it is ordered: who is hit, what they run, and what they are told.

use std::collections::BTreeSet;

use berth_common::link::{GpuUse, Kernels, Observed, Terminals};
use berth_common::{ByteCount, GpuId, HostId, Seconds, ServerId, Timestamp, Username};
use berth_core::drain::intent::{Intent as Plan, Told};
use berth_core::drain::next::Outlook;
use berth_core::drain::single::{AtDeadline, End, What};
use berth_core::fleet::{Heard, Leaving, Order};
use berth_core::settings::Channel;
use berth_core::{Fleet, Server, step};

/// The plan of an order: what it does not say is as `lifecycle.toml` has it.
pub fn plan(
    fleet: &Fleet,
    host: &HostId,
    by: Option<Timestamp>,
    at_deadline: Option<AtDeadline>,
) -> Plan {
    let rule = &fleet.settings.lifecycle.drain;
    let plan = step::drain_plan(host, by, at_deadline.unwrap_or(rule.at_deadline));
    Plan { leads: rule.leads.clone(), ..plan }
}

/// An order that nobody has given yet, looked at.
pub struct Foretold<'a> {
    fleet: &'a Fleet,
    host: &'a HostId,
    by: Option<Timestamp>,
    plan: &'a Plan,
    outlook: Outlook,
}

/// One server that is hit.
pub struct Hit<'a> {
    /// The server.
    pub server: &'a Server,
    /// Its working set; `None`: its host has not said.
    pub used: Option<ByteCount>,
    /// The GPUs that it holds.
    pub gpus: Vec<HeldGpu<'a>>,
    /// Its kernels as its host last saw them; `None`: not known.
    pub kernels: Option<Kernels>,
    /// Its terminals, likewise.
    pub terminals: Option<Terminals>,
    /// How it leaves the host.
    pub end: End,
    /// Where its next start would have a place.
    pub place: Option<&'a HostId>,
}

/// A GPU that a server holds.
pub struct HeldGpu<'a> {
    /// Which.
    pub gpu: &'a GpuId,
    /// NVML's name of the model, as far as its host says one.
    pub model: Option<&'a str>,
    /// What is known of its use.
    pub used: Option<&'a GpuUse>,
}

impl HeldGpu<'_> {
    /// Share of the last moments in which it computed, in percent.
    pub fn busy(&self) -> Option<u32> {
        self.used.and_then(|used| used.busy)
    }
}

/// Who is told, when, and by which ways.
pub struct Telling {
    /// The people.
    pub people: BTreeSet<Username>,
    /// How long before the deadline they are told again, the longest first.
    pub leads: Vec<Seconds>,
    /// The ways.
    pub channels: Vec<Channel>,
}

impl<'a> Foretold<'a> {
    /// What would happen if the host were emptied by this plan from now on.
    pub fn of(
        fleet: &'a Fleet,
        host: &'a HostId,
        by: Option<Timestamp>,
        plan: &'a Plan,
        now: Timestamp,
    ) -> Self {
        let outlook = step::drain_preview(fleet, plan, host, now);
        Self { fleet, host, by, plan, outlook }
    }

    /// When the host is empty; `None` if somebody stays.
    pub fn empty_at(&self, now: Timestamp) -> Option<Timestamp> {
        self.outlook.plan.empty_at(now)
    }

    /// How many have no place elsewhere for their next start.
    pub fn without_place(&self) -> usize {
        self.outlook.plan.stuck().count()
    }

    /// The servers that are hit.
    pub fn hits(&self) -> impl Iterator<Item = Hit<'_>> {
        let heard = self.fleet.hosts.get(self.host).and_then(|host| host.heard.as_deref());
        self.outlook.servers.iter().zip(&self.outlook.plan.fates).filter_map(move |(id, fate)| {
            let server = self.fleet.servers.get(id)?;
            let seen = heard.and_then(|heard| seen(heard, server));
            Some(Hit {
                server,
                used: seen.map(|seen| seen.memory_used),
                gpus: gpus(heard, server),
                kernels: seen.and_then(|seen| seen.usage.kernels),
                terminals: seen.and_then(|seen| seen.usage.terminals),
                end: fate.end,
                place: fate.place.and_then(|place| self.outlook.hosts.get(place)),
            })
        })
    }

    /// Who would be told.
    pub fn telling(&self, has_mail: bool) -> Telling {
        let owner = |id: &ServerId| Some(self.fleet.servers.get(id)?.owner.clone());
        let leads: BTreeSet<Seconds> = (self.outlook.plan.actions.iter())
            .filter_map(|action| match action.what {
                What::Tell(lead) => lead,
                What::StopIdle | What::Restart(_) | What::Stop => None,
            })
            .collect();
        let chosen = &self.fleet.settings.lifecycle.warn.channels;
        let ways = [Channel::Lab, Channel::Card, Channel::Mail].into_iter();
        // The card shows it whatever the files say.
        let is_used = |way: &Channel| match way {
            Channel::Card => true,
            Channel::Lab => chosen.contains(way),
            Channel::Mail => chosen.contains(way) && has_mail,
        };
        Telling {
            people: self.outlook.servers.iter().filter_map(owner).collect(),
            leads: leads.into_iter().rev().collect(),
            channels: ways.filter(is_used).collect(),
        }
    }

    /// What they would read, put into words by somebody who knows the reader's.
    pub fn text(&self, order: &Order, say: impl FnOnce(&Leaving<'_>) -> String) -> String {
        let told = Told {
            host: self.host.clone(),
            at: order.at,
            lead: None,
            newest: order.at,
            mailed: false,
        };
        say(&Leaving {
            host: self.host,
            order,
            by: self.by,
            at_deadline: self.plan.at_deadline,
            message: self.plan.message.as_deref(),
            told: &told,
        })
    }
}

/// This start of a server, as its host last saw it.
fn seen<'a>(heard: &'a Heard, server: &Server) -> Option<&'a Observed> {
    heard.observed.get(&server.id).filter(|seen| seen.generation == server.generation)
}

fn gpus<'a>(heard: Option<&'a Heard>, server: &'a Server) -> Vec<HeldGpu<'a>> {
    let parts = server.placement().map(|placement| placement.gpus.as_slice()).unwrap_or_default();
    let held = parts.iter().map(|part| HeldGpu {
        gpu: &part.gpu,
        model: heard.and_then(|heard| {
            let device = heard.gpus.iter().find(|device| device.gpu == part.gpu)?;
            Some(device.model.as_str())
        }),
        used: heard
            .and_then(|heard| heard.facts.gpus.used.iter().find(|used| used.gpu == part.gpu)),
    });
    held.collect()
}
