//! What happens, and to whom: each happening goes to the part of the world that it is about.

use berth_core::event::Event;

use crate::world::nature::Happening;
use crate::world::network::Cut;
use crate::world::{World, hub, lives, network, people};

impl World {
    /// Whoever a happening is about hears of it.
    pub(super) fn happens(&mut self, happening: Happening) {
        let Some(happening) = self.unless_paused(happening) else { return };
        let Self { nature, hub, machines, people, restores, loans, .. } = self;
        match happening {
            Happening::HubStarts => hub.start(nature),
            Happening::HubTicks { life } if life == hub.life => {
                if hub.reign.is_some() {
                    hub.tick(nature);
                }
            }
            Happening::HubTakes { life } if life == hub.life => hub.take(nature),
            Happening::HubSaved { life } if life == hub.life => hub.saved(nature),
            Happening::SessionEnds { life, session } if life == hub.life => {
                hub.session_ends(session);
            }
            Happening::HubTicks { .. }
            | Happening::HubTakes { .. }
            | Happening::HubSaved { .. }
            | Happening::SessionEnds { .. } => {}

            Happening::AgentDials { host, process } => machines[host].dial(nature, process),
            Happening::Dialled { host, process } => {
                let cut = nature.cuts[host];
                let session = if cut.up || cut.down || nature.process_of(host) != process {
                    None
                } else {
                    hub.accept(host, process)
                };
                match session {
                    Some(session) => {
                        let (life, way) = (hub.life, network::way_us(nature));
                        let up = Happening::LinkUp { host, process, life, session };
                        nature.schedule.after_us(way, up);
                    }
                    None => machines[host].not_reached(nature, process),
                }
            }
            Happening::LinkUp { host, process, life, session } => {
                machines[host].link_up(nature, process, life, session);
                if life != hub.life || hub.reign.is_none() {
                    machines[host].link_lost(nature, process, None);
                }
            }
            Happening::LinkLost { host, process, session } => {
                machines[host].link_lost(nature, process, Some(session));
            }
            Happening::Heartbeat { life, host, session, report } => {
                if life == hub.life {
                    let host = machines[host].id.clone();
                    hub.send(nature, Event::Reported { host, session, report }, None);
                }
            }
            Happening::Desired { host, process, set } => {
                machines[host].obey(nature, process, *set);
            }

            Happening::HostUp { host, boot } => {
                if machines[host].boot == boot && !machines[host].powered {
                    machines[host].boots(nature);
                    let wait = nature.chance.between(500..=20_000);
                    let boot = machines[host].boot;
                    nature.schedule.after_ms(wait, Happening::AgentStarts { host, boot });
                }
            }
            Happening::AgentStarts { host, boot } => {
                if machines[host].boot == boot {
                    machines[host].start_agent(nature);
                }
            }
            Happening::AgentTicks { host, process } => machines[host].tick(nature, process),
            Happening::AgentPublishes { host, process } => machines[host].publish(nature, process),
            Happening::AgentWoken { host, process } => machines[host].woken(nature, process),
            Happening::ListTaken { host, process, look } => {
                machines[host].list_taken(nature, process, look);
            }
            Happening::Listed { host, process, look, answer } => {
                machines[host].listed(nature, process, look, answer);
            }
            Happening::Settled { host, process, settled } => {
                let (operation, outcome) = *settled;
                machines[host].settled(nature, process, &operation, outcome);
            }
            Happening::Answered { host, process, server, container } => {
                machines[host].answered(nature, process, &server, &container);
            }

            Happening::CallArrives { host, call } => {
                machines[host].engine.arrives(nature, host, call);
            }
            Happening::CallDone { host, call } => {
                let boot = hub::boot_id(machines[host].boot);
                machines[host].engine.done(nature, host, call, &boot);
            }
            Happening::CallExpires { host, call } => {
                machines[host].engine.expires(nature, host, call);
            }
            Happening::ContainerExits { host, number, code } => {
                if machines[host].engine.exit(nature, number, code) {
                    nature.wake(host);
                }
            }
            Happening::EngineReturns { host, boot } => {
                if machines[host].boot == boot {
                    machines[host].engine.up = true;
                    nature.wake(host);
                }
            }

            Happening::PersonActs { person } => {
                if !nature.healed {
                    people[person].acts(nature, hub);
                    let wait = nature.chance.around(nature.plan.thinks_s * 1000);
                    let wait = people::awake_ms(nature, wait);
                    nature.schedule.after_ms(wait, Happening::PersonActs { person });
                }
            }
            Happening::PersonWishes { person, wish } => people[person].wishes(nature, hub, wish),
            Happening::PersonWorks { person } => {
                if !nature.healed {
                    let servers = people[person].servers(hub);
                    let wish = lives::person_works(nature, hub, person, &servers);
                    if let Some(wish) = wish {
                        people[person].wishes(nature, hub, wish);
                    }
                }
            }
            Happening::PersonAsks { person } => {
                if let Some(grants) = nature.history.grants.as_mut().filter(|_| !nature.healed) {
                    let (wish, wait) = (grants.wish(), grants.asks_ms());
                    nature.schedule.after_ms(wait, Happening::PersonAsks { person });
                    people[person].wishes(nature, hub, wish);
                }
            }
            Happening::WhitelistChanges => {
                if let Some(grants) = nature.history.grants.as_mut().filter(|_| !nature.healed) {
                    grants.change();
                    let (wait, bug) = (grants.changes_ms(), nature.bug);
                    hub.under(|settings| grants.write(settings, bug));
                    nature.schedule.after_ms(wait, Happening::WhitelistChanges);
                    nature.transcript.mark("a whitelist changed");
                    hub.send(nature, Event::SettingsChanged(hub.settings()), None);
                }
            }
            Happening::ProxyIsRead => lives::proxy_is_read(nature, hub),
            Happening::BackupIsTaken { again } => {
                if let Some(restores) = restores {
                    restores.back_up(nature, hub, again);
                }
            }
            Happening::IsRestored { again } => {
                if let Some(restores) = restores {
                    restores.restore(nature, hub, again);
                }
            }
            Happening::UseChanges => {
                if let Some(loans) = loans.as_mut().filter(|_| !nature.healed) {
                    let host = loans.host(machines.len());
                    loans.use_changes(&mut machines[host].engine);
                    nature.schedule.after_ms(loans.wait_ms(), Happening::UseChanges);
                }
            }
            Happening::Strikes(strike) => {
                if !nature.healed
                    && let Some(mean_s) = nature.plan.strikes.get(&strike).copied()
                {
                    let wait = nature.chance.around(mean_s * 1000);
                    nature.schedule.after_ms(wait, Happening::Strikes(strike));
                    let host = nature.chance.between(0..=machines.len() as u64 - 1) as usize;
                    self.strike(strike, host);
                }
            }
            Happening::Chore(host, chore) => self.chore(host, chore),
            Happening::StrikesHost(strike, host) => self.strike(strike, host),
            Happening::CutEnds { host, cut } => {
                if nature.cuts[host].number == cut {
                    nature.cuts[host] = Cut { number: cut, ..Cut::default() };
                }
            }
        }
    }

    /// What is for a process that stands still happens when it goes on.
    fn unless_paused(&mut self, happening: Happening) -> Option<Happening> {
        let now = self.nature.schedule.now();
        let until = match &happening {
            Happening::HubTicks { .. }
            | Happening::HubTakes { .. }
            | Happening::HubSaved { .. }
            | Happening::Dialled { .. }
            | Happening::Heartbeat { .. } => self.hub.paused_until,
            Happening::AgentTicks { host, .. }
            | Happening::AgentDials { host, .. }
            | Happening::AgentPublishes { host, .. }
            | Happening::AgentWoken { host, .. }
            | Happening::LinkUp { host, .. }
            | Happening::LinkLost { host, .. }
            | Happening::Desired { host, .. }
            | Happening::Listed { host, .. }
            | Happening::Settled { host, .. }
            | Happening::Answered { host, .. } => self.machines[*host].paused_until,
            _ => now,
        };
        if until > now {
            self.nature.schedule.at(until, happening);
            return None;
        }
        Some(happening)
    }
}
