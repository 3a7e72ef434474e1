//! What is judged by looking at the whole: what really runs against what is saved, and whether all
//! came right when the faults were over.

use berth_common::{ByteCount, Generation, Seconds, ServerId};
use berth_core::check::violations;
use berth_core::fleet::{Phase, ResizeState};
use berth_core::placement::{Look, Need, place};
use berth_core::queue::waiters;

use crate::world::invariants::Broken;
use crate::world::{ATTACHED_S, KEEP_FREE, RESIZED_S, STOPPED_S, World};

impl World {
    /// S1 and S3 as they really are, for the servers that this happening was about.
    pub(super) fn judge_running(&mut self) {
        let mut touched = std::mem::take(&mut self.nature.touched);
        touched.sort();
        touched.dedup();
        for server in touched {
            let running = self.running(&server);
            if running.len() > 1 {
                let found = format!("{server} runs on {running:?}");
                self.nature.history.violated("S1-one", found);
            }
            for (host, generation) in running {
                if self.nature.history.released(&server).is_some_and(|r| generation <= r) {
                    let found =
                        format!("start {generation} of {server} is released and runs on {host}");
                    self.nature.history.violated("S1-released", found);
                }
                let machine = &self.machines[host];
                let used = machine.engine.containers.values().filter(|made| made.runs());
                let late = used.clone().any(|made| made.resized_late);
                let used = used.fold(ByteCount::ZERO, |sum, made| sum.plus(made.limit));
                // A call that outlives its agent may come after the next one: until the agent that
                // is there has measured and mended that, nobody can know.
                if !late && used > machine.memory.minus(KEEP_FREE) {
                    let found = format!("{}: containers may use {used}", machine.id);
                    self.nature.history.violated("S3-containers", found);
                }
                let running = machine.engine.containers.values().filter(|made| made.runs());
                let mut held: Vec<_> = running.flat_map(|made| &made.origin.gpus).collect();
                held.sort_by(|a, b| a.gpu.cmp(&b.gpu));
                if let Some(pair) = held.windows(2).find(|pair| pair[0].gpu == pair[1].gpu) {
                    let found = format!("{}: two containers have {}", machine.id, pair[0].gpu);
                    self.nature.history.violated("S4-containers", found);
                }
                self.judge_limit(host, &server, generation);
            }
        }
    }

    /// S3 for one server: its container never has more than is saved as reserved for it. One that
    /// was adopted may.
    fn judge_limit(&mut self, host: usize, server: &ServerId, generation: Generation) {
        let machine = &self.machines[host];
        let Some((_, made)) = machine.engine.running(server) else { return };
        let Some(saved) = self.hub.disk.servers.get(server) else { return };
        let Some(placement) = saved.placement().filter(|it| it.host == machine.id) else { return };
        let adopted = saved.account.is_none() || saved.generation != generation;
        if !adopted && !made.resized_late && made.limit > placement.reservation.memory {
            let reserved = placement.reservation.memory;
            let found = format!("{server} may use {} of {reserved} on {}", made.limit, machine.id);
            self.nature.history.violated("S3-limit", found);
        }
    }

    /// Where a server runs, among the hosts that have a container of it.
    fn running(&self, server: &ServerId) -> Vec<(usize, Generation)> {
        let hosts = self.nature.history.hosts_of(server);
        let running = hosts.filter_map(|host| {
            let (_, made) = self.machines.get(host)?.engine.running(server)?;
            Some((host, made.generation))
        });
        running.collect()
    }

    /// L1, L2, L4: every server runs, rests, or waits for room that is not there, and none goes on that
    /// is to stop; nothing else exists.
    pub(super) fn judge_calm(&self) -> Result<(), Broken> {
        let broken = |invariant, found| Err(Broken { invariant, found });
        let Some(fleet) = self.hub.fleet() else {
            return broken("L1-hub", "the hub does not run".into());
        };
        if let Some(found) = violations(fleet).into_iter().next() {
            return broken(found.invariant, found.found);
        }
        let now = self.nature.schedule.now();
        let first = waiters(fleet, now).into_iter().next();
        for server in fleet.servers.values() {
            let running = self.running(&server.id);
            match &server.phase {
                Phase::Placed(placement) if is_stopping_idle(placement, now) => {}
                Phase::Placed(placement) if placement.stop.is_some() => {
                    return broken("L1-stopping", format!("{} is still stopping", server.id));
                }
                Phase::Placed(placement) => {
                    let history = &self.nature.history;
                    let idle = history.lives.as_ref().and_then(|it| it.overdue(server, now));
                    let over = history.grants.as_ref().and_then(|it| it.overdue(server, now));
                    if let Some(found) = idle.or(over) {
                        return broken("L4-overdue", found);
                    }
                    let there = running.first().is_some_and(|(host, generation)| {
                        self.machines[*host].id == placement.host
                            && *generation == server.generation
                    });
                    let made = running
                        .first()
                        .and_then(|(host, _)| self.machines.get(*host)?.engine.running(&server.id));
                    let limit = made.map(|(_, made)| made.limit);
                    let settled = placement.resize.as_ref().is_none_or(|resize| {
                        // Memory may be lent at any moment.
                        let fresh = now <= resize.at.plus(Seconds(RESIZED_S));
                        fresh && resize.state == ResizeState::UnderWay
                            || resize.state != ResizeState::UnderWay
                                && limit == Some(placement.reservation.memory)
                                && limit == Some(resize.limit.memory)
                    });
                    if !settled {
                        let found = format!("{}: {placement:?}, has {limit:?}", server.id);
                        return broken("L6-limit", found);
                    }
                    // After a restore nobody can tell it from one that is only busy: it is kept, and
                    // its owner may stop it.
                    let kept = there
                        && server.account.is_none()
                        && made.is_some_and(|(_, made)| made.answers_at.is_none());
                    if (placement.ready_at.is_none() || !there) && !kept {
                        let found = format!("{}: {placement:?}, runs on {running:?}", server.id);
                        return broken("L1-starting", found);
                    }
                }
                Phase::Waiting { .. } => {
                    let first = first.as_ref().filter(|first| first.server.id == server.id);
                    let need = first.and_then(|first| first.checked.as_ref().ok());
                    let fits = |need: &Need| {
                        let look = &mut Look::Only(fleet.rows());
                        place(look, need, None, None).choice.is_ok()
                    };
                    if need.is_some_and(fits) {
                        return broken("L1-waiting", format!("{} waits in vain", server.id));
                    }
                }
                Phase::Idle if !running.is_empty() => {
                    return broken("L2-orphan", format!("{} is idle and runs", server.id));
                }
                Phase::Idle => {}
            }
        }
        for machine in &self.machines {
            for made in machine.engine.containers.values() {
                let right = fleet.servers.get(&made.server).is_some_and(|server| {
                    made.generation == server.generation
                        && server.placement().is_some_and(|p| p.host == machine.id)
                });
                if !right {
                    let found =
                        format!("{}: start {} of {}", machine.id, made.generation, made.server);
                    return broken("L2-orphan", found);
                }
            }
        }
        Ok(())
    }

    /// L5: soon after a restart of the hub all agents have reported.
    pub(super) fn judge_attached(&self) -> Result<(), Broken> {
        let fleet = self.hub.fleet();
        let silent = fleet.is_none_or(|fleet| {
            self.machines
                .iter()
                .any(|machine| fleet.hosts.get(&machine.id).is_none_or(|host| host.heard.is_none()))
        });
        if silent {
            let found = format!("not all agents have reported after {ATTACHED_S} s");
            return Err(Broken { invariant: "L5-attached", found });
        }
        Ok(())
    }

    /// S14: what is booked is what was held.
    pub(super) fn judge_usage(&self) -> Result<(), Broken> {
        let found = self.nature.history.judge_usage(self.hub.disk.usage.values());
        found.map_or(Ok(()), |found| Err(Broken { invariant: "S14-usage", found }))
    }

    /// L2, L3: when everybody has stopped nothing is left and nothing is promised.
    pub(super) fn judge_empty(&self) -> Result<(), Broken> {
        let broken = |invariant, found| Err(Broken { invariant, found });
        let Some(fleet) = self.hub.fleet() else { return Ok(()) };
        if let Some(found) = violations(fleet).into_iter().next() {
            return broken(found.invariant, found.found);
        }
        for server in fleet.servers.values() {
            if server.is_active() {
                let found = format!("{} is {:?}", server.id, server.phase);
                return broken("L3-reservation", found);
            }
        }
        for machine in &self.machines {
            if let Some(made) = machine.engine.containers.values().next() {
                let found = format!("{}: start {} of {}", machine.id, made.generation, made.server);
                return broken("L2-orphan", found);
            }
        }
        Ok(())
    }
}

/// Whether a server is being stopped because nobody worked in it: that may happen at any moment.
fn is_stopping_idle(placement: &berth_core::Placement, now: berth_common::Timestamp) -> bool {
    placement.stop.as_ref().is_some_and(|stop| {
        let idle = stop.end.reason == berth_common::Reason::StoppedIdle;
        idle && now <= stop.end.at.plus(Seconds(STOPPED_S))
    })
}
