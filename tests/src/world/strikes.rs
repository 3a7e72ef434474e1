//! What a blow from outside does to the world.

use crate::world::faults::{NetworkPlan, Strike};
use crate::world::nature::Happening;
use crate::world::network::Cut;
use crate::world::{World, schedule};

impl World {
    /// A blow falls, on this host if it is about one.
    pub(super) fn strike(&mut self, strike: Strike, host: usize) {
        let Self { nature, hub, machines, .. } = self;
        let machine = &mut machines[host];
        let boot = machine.boot;
        nature.transcript.fault(strike.name());
        match strike {
            Strike::HubCrash => {
                let wait = nature.chance.between(200..=30_000);
                hub.paused_until = nature.schedule.now();
                hub.die(nature, wait);
            }
            Strike::HubPause => {
                let wait = nature.chance.between(1_000..=60_000);
                hub.paused_until = schedule::later(nature.schedule.now(), wait * 1000);
            }
            Strike::AgentCrash | Strike::AgentLosesItsFile => {
                if machine.kill_agent(nature) {
                    if strike == Strike::AgentLosesItsFile {
                        machine.lose_file();
                        nature.history.file_lost(host);
                    }
                    let wait = nature.chance.between(100..=20_000);
                    nature.schedule.after_ms(wait, Happening::AgentStarts { host, boot });
                }
            }
            Strike::AgentPause => {
                let wait = nature.chance.between(1_000..=300_000);
                machine.paused_until = schedule::later(nature.schedule.now(), wait * 1000);
                machine.engine.may_seem_silent(nature);
            }
            Strike::Reboot | Strike::PowerOff => {
                if machine.powered {
                    let stay = nature.chance.permille(500);
                    nature.say(|| format!("{} goes off", machine.id));
                    machine.power_off(nature, stay);
                    let off =
                        if strike == Strike::Reboot { 5_000..=60_000 } else { 60_000..=600_000 };
                    let wait = nature.chance.between(off);
                    nature.schedule.after_ms(wait, Happening::HostUp { host, boot });
                }
            }
            Strike::EngineDown => {
                if machine.engine.up && machine.powered {
                    nature.say(|| format!("{}: the engine goes away", machine.id));
                    machine.engine.goes_down(nature, host);
                    let wait = nature.chance.between(500..=120_000);
                    nature.schedule.after_ms(wait, Happening::EngineReturns { host, boot });
                }
            }
            Strike::Partition => {
                let both = nature.chance.permille(400);
                let up = both || nature.chance.permille(500);
                let number = nature.cuts[host].number + 1;
                nature.cuts[host] = Cut { up, down: both || !up, number };
                nature.say(|| format!("{} is cut off: up {up}, down {}", machine.id, both || !up));
                let wait = nature.chance.between(1_000..=300_000);
                nature.schedule.after_ms(wait, Happening::CutEnds { host, cut: number });
                if nature.chance.permille(500) {
                    let process = nature.process_of(host);
                    machine.link_lost(nature, process, None);
                }
            }
            Strike::LinkBreak => {
                let process = nature.process_of(host);
                machine.link_lost(nature, process, None);
            }
            Strike::Flapping => {
                for _ in 0..nature.chance.between(3..=12) {
                    let wait = nature.chance.between(1..=60_000);
                    let again = Happening::StrikesHost(Strike::LinkBreak, host);
                    nature.schedule.after_ms(wait, again);
                }
            }
            Strike::RemovalByHand | Strike::Exit => {
                let numbers: Vec<u64> = machine.engine.containers.keys().copied().collect();
                if let Some(number) = nature.chance.pick(&numbers).copied() {
                    if strike == Strike::Exit {
                        let code = if nature.chance.permille(300) { 137 } else { 0 };
                        machine.engine.exit(nature, number, code);
                    } else {
                        machine.engine.remove_by_hand(nature, number);
                    }
                    nature.wake(host);
                }
            }
            Strike::ClockSet => {
                // The agent counts its waits by the wall clock, so this much may hold them up.
                let most = 240_000_000;
                let by = nature.chance.between(0..=2 * most) as i64 - most as i64;
                machine.clock_wrong_us = by;
                machine.engine.may_seem_silent(nature);
                nature.say(|| format!("{}: the clock is set by {} s", machine.id, by / 1_000_000));
            }
            Strike::NetworkChange => nature.plan.network = NetworkPlan::draw(&mut nature.chance),
        }
    }
}
