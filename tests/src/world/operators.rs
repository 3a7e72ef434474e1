//! What operators and old hardware do, in scenarios: hosts are closed and emptied, GPUs fail, and
//! agents are replaced by newer ones.

use berth_common::link::{DesiredSet, GpuDevice, Report};
use berth_common::{ByteCount, GpuId, Seconds};
use berth_core::Event;
use berth_core::drain::intent::{Goal, Intent as Emptying};
use berth_core::drain::single::AtDeadline;
use berth_core::fleet::{Intent, Order};

use crate::world::World;
use crate::world::nature::Happening;

/// What happens to one host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Chore {
    /// It takes nothing new.
    Cordon,
    /// It is to be empty in so many seconds; who is left then is stopped.
    Drain(u64),
    /// It takes servers again.
    Open,
    /// Its GPU of this number reports an error from now on.
    GpuFails(usize),
    /// Its GPU of this number is not there any more.
    GpuVanishes(usize),
    /// Its agent is an old one, that knows of no limits that change.
    IsOld,
    /// Its agent is stopped and a new one started.
    Upgrade,
}

impl World {
    /// Somebody, or age, does this to a host.
    pub(super) fn chore(&mut self, host: usize, chore: Chore) {
        let now = self.nature.schedule.now();
        let machine = &mut self.machines[host];
        let id = machine.id.clone();
        self.nature.say(|| format!("{id}: {chore:?}"));
        let order = |reason: &str| Order { reason: reason.into(), who: "operator".into(), at: now };
        let intent = match chore {
            Chore::Open => {
                self.nature.history.drained.remove(&id);
                Intent::Open
            }
            Chore::Cordon => Intent::Cordoned(order("a fan is loud")),
            Chore::Drain(seconds) => {
                self.nature.history.drained.insert(id.clone());
                let by = Some(now.plus(Seconds(seconds)));
                let goal = Goal::Drain { by };
                let plan =
                    Emptying::new(goal, [id.clone()], vec![Seconds(30)], AtDeadline::Stop, 1);
                Intent::Draining { order: order("a new kernel"), by, plan }
            }
            Chore::GpuFails(number) => {
                if let Some(gpu) = machine.gpus.get_mut(number) {
                    gpu.trouble = Some("XID 79: it has fallen off the bus".into());
                }
                return;
            }
            Chore::GpuVanishes(number) => {
                if number < machine.gpus.len() {
                    machine.gpus.remove(number);
                }
                return;
            }
            Chore::IsOld => {
                machine.is_old = true;
                return;
            }
            Chore::Upgrade => {
                machine.is_old = false;
                let boot = machine.boot;
                if machine.kill_agent(&mut self.nature) {
                    self.nature.schedule.after_ms(1_000, Happening::AgentStarts { host, boot });
                }
                return;
            }
        };
        self.hub.send(&mut self.nature, Event::Intend { host: id, intent, reply: None }, None);
    }
}

/// The GPUs that a host begins with.
pub fn gpus(host: usize, count: u64) -> Vec<GpuDevice> {
    let device = |number| {
        let gpu: GpuId = format!("GPU-{host}-{number}").parse().ok()?;
        let (model, memory) = ("H200".to_owned(), ByteCount(141 << 30));
        Some(GpuDevice { gpu, model, memory, trouble: None })
    };
    (0..count).filter_map(device).collect()
}

/// What an old agent makes of a set: what it does not know it does not see.
pub fn read_by_old(set: &mut DesiredSet) {
    for desired in set.servers.values_mut() {
        desired.limit = None;
    }
}

/// What an old agent's report lacks.
pub fn told_by_old(report: &mut Report) {
    for seen in report.engine.iter_mut().flatten() {
        seen.limit = None;
        seen.resize_refused = None;
    }
}
