//! Rules of the protocol that are broken on purpose, to see that the invariants notice.

use std::collections::BTreeMap;
use std::sync::Arc;

use berth_agent::reconcile::{Act, Container, ContainerState, Keeper, Operation};
use berth_common::link::{DesiredSet, ObservedState, Report};
use berth_common::{Revision, Seconds, ServerId, Timestamp};
use berth_core::event::{Effect, Event, Row};
use berth_core::fleet::{Phase, ResizeState};
use berth_core::reconcile::{Order, What, orders};
use berth_core::{Fleet, Server};

use crate::world::engine::{Engine, id_of};

/// A broken rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bug {
    /// H1: the caller hears of it before it is saved.
    AcknowledgesFirst,
    /// H1: the hosts hear of it before it is saved.
    TellsFirst,
    /// H1: orders to stop are given and not saved.
    SkipsSavingStops,
    /// H1: removals are acknowledged and not saved.
    SkipsSavingRemovals,
    /// 3.4: what an earlier process created and did not start counts as absent.
    NoBarrier,
    /// H3: absence counts whatever the host has taken over.
    IgnoresApplied,
    /// H3: a stop that takes longer than half a minute counts as done.
    FreesOnTimeout,
    /// 3.1: a container that is made and not started counts as absent.
    CreatedIsAbsent,
    /// What a host says of any start counts for the newest one.
    IgnoresGeneration,
    /// A server counts as ready when it runs.
    ReadyBeforeItAnswers,
    /// Two desired sets share a number.
    ReusesRevisions,
    /// A8: an engine that does not answer has no containers.
    UnknownIsAbsent,
    /// H4: the order to stop does not outlive the hub.
    ForgetsStops,
    /// A1: what was meant for an earlier process is obeyed.
    IgnoresIncarnation,
    /// A1: a set that a newer one overtook is obeyed.
    ObeysOvertaken,
    /// A5: what was created is started without another look.
    DoesNotLookAgain,
    /// A9: a container without a verdict is ended.
    EndsStrays,
    /// A10: an agent without a hub ends what it runs.
    EndsWithoutHub,
    /// H5: what runs on a silent host counts as gone.
    SilenceIsAbsence,
    /// A failed commit is answered by loading the fleet as if a new reign began.
    ForgetsWhatWasSaid,
    /// H2: numbers of starts are given again after a restart of the hub.
    ReusesGenerations,
    /// The reign is not saved.
    ReusesEpochs,
    /// H7: the reign goes on from that of the backup.
    RestoresOldReign,
    /// H7: the numbers of starts go on from those of the backup.
    RestoresWithoutLeap,
    /// After a restore, starts do not wait until every host has told what it runs.
    StartsBeforeAllReported,
    /// Idle servers are stopped and nobody is told before.
    WarnsNobody,
    /// What owners were promised does not outlive the hub.
    ForgetsPromises,
    /// What a smaller limit frees is given away before the container has it.
    FreesBeforeProof,
    /// S10: a host's own rules are not asked before a container is made.
    SkipsPolicy,
    /// S11: hosts are told how to start servers that are not theirs.
    TellsEveryHost,
    /// S5: a whitelist that changes is taken for open to everybody.
    ForgetsWhitelist,
    /// S6: trainings are always on.
    OpensCourses,
    /// S14: what was used does not outlive the hub.
    ForgetsUsage,
    /// L4: what the proxy saw is never known, so that nobody counts as idle.
    NeverHearsTheProxy,
}

impl Bug {
    /// All of them.
    pub const ALL: [Self; 34] = [
        Self::AcknowledgesFirst,
        Self::TellsFirst,
        Self::SkipsSavingStops,
        Self::SkipsSavingRemovals,
        Self::NoBarrier,
        Self::IgnoresApplied,
        Self::FreesOnTimeout,
        Self::CreatedIsAbsent,
        Self::IgnoresGeneration,
        Self::ReadyBeforeItAnswers,
        Self::ReusesRevisions,
        Self::UnknownIsAbsent,
        Self::ForgetsStops,
        Self::IgnoresIncarnation,
        Self::ObeysOvertaken,
        Self::DoesNotLookAgain,
        Self::EndsStrays,
        Self::EndsWithoutHub,
        Self::SilenceIsAbsence,
        Self::ForgetsWhatWasSaid,
        Self::ReusesGenerations,
        Self::ReusesEpochs,
        Self::RestoresOldReign,
        Self::RestoresWithoutLeap,
        Self::StartsBeforeAllReported,
        Self::WarnsNobody,
        Self::ForgetsPromises,
        Self::FreesBeforeProof,
        Self::SkipsPolicy,
        Self::TellsEveryHost,
        Self::ForgetsUsage,
        Self::ForgetsWhitelist,
        Self::OpensCourses,
        Self::NeverHearsTheProxy,
    ];
}

/// A stop that takes longer than this is believed by [`Bug::FreesOnTimeout`].
const TIMEOUT: Seconds = Seconds(30);

/// Bends the servers that a hub loads when it starts.
pub fn loaded(bug: Option<Bug>, servers: &mut [Server]) {
    match bug {
        Some(Bug::ReusesGenerations) => {
            for server in servers.iter_mut().filter(|server| !server.is_active()) {
                server.generation.0 = server.generation.0.saturating_sub(1);
            }
        }
        Some(Bug::ForgetsStops) => {
            for server in servers {
                if let Phase::Placed(placement) = &mut server.phase {
                    placement.stop = None;
                }
            }
        }
        Some(Bug::ForgetsPromises) => {
            for server in servers {
                if let Phase::Placed(placement) = &mut server.phase {
                    placement.life.kept_until = None;
                }
            }
        }
        _ => {}
    }
}

/// Bends what a hub saves of a step.
pub fn saved(bug: Option<Bug>, effects: &mut Vec<Effect>) {
    let forgotten = |row: &Row| match (bug, row) {
        (Some(Bug::SkipsSavingStops), Row::Server(server)) => {
            server.placement().is_some_and(|placement| placement.stop.is_some())
        }
        (Some(Bug::SkipsSavingRemovals), Row::ServerGone(_)) => true,
        _ => false,
    };
    if matches!(bug, Some(Bug::SkipsSavingStops | Bug::SkipsSavingRemovals)) {
        effects.retain(|effect| !matches!(effect, Effect::Save(row) if forgotten(row)));
    }
}

/// Bends what a hub takes in of a report.
pub fn heard(bug: Option<Bug>, fleet: &Fleet, report: &mut Report, now: Timestamp) {
    let all = Revision { epoch: fleet.epoch, seq: u64::MAX };
    match bug {
        Some(Bug::IgnoresApplied) => report.applied = all,
        Some(Bug::FreesOnTimeout) => {
            let timed_out = |server: &ServerId| {
                let placement = fleet.servers.get(server).and_then(|it| it.placement());
                let stop = placement.and_then(|placement| placement.stop.as_ref());
                stop.is_some_and(|stop| stop.end.at.plus(TIMEOUT) < now)
            };
            let Ok(observed) = &mut report.engine else { return };
            let known = observed.len();
            observed.retain(|seen| !timed_out(&seen.server));
            if observed.len() < known {
                report.applied = all;
                report.pending.retain(|pending| !timed_out(&pending.server));
            }
        }
        Some(Bug::CreatedIsAbsent) => {
            if let Ok(observed) = &mut report.engine {
                observed.retain(|seen| seen.state != ObservedState::Created);
            }
            report.pending.retain(|pending| pending.operation != "start");
        }
        Some(Bug::IgnoresGeneration) => {
            for seen in report.engine.iter_mut().flatten() {
                if let Some(server) = fleet.servers.get(&seen.server) {
                    seen.generation = server.generation;
                }
            }
        }
        Some(Bug::ReadyBeforeItAnswers) => {
            for seen in report.engine.iter_mut().flatten() {
                if seen.state == ObservedState::Running {
                    seen.state = ObservedState::Ready;
                }
            }
        }
        Some(Bug::FreesBeforeProof) => {
            for seen in report.engine.iter_mut().flatten() {
                let placement = fleet.servers.get(&seen.server).and_then(|it| it.placement());
                if let Some(resize) = placement.and_then(|it| it.resize.as_ref())
                    && resize.state == ResizeState::UnderWay
                {
                    seen.limit = Some(resize.limit.memory);
                }
            }
        }
        _ => {}
    }
}

/// Bends what a hub is told besides reports.
pub fn told(bug: Option<Bug>, event: Event) -> Event {
    match (bug, event) {
        (Some(Bug::ForgetsWhitelist), Event::SettingsChanged(mut settings)) => {
            Arc::make_mut(&mut settings).access.allow.clear();
            Event::SettingsChanged(settings)
        }
        (Some(Bug::NeverHearsTheProxy), Event::ActivityTold { .. }) => {
            Event::ActivityTold { until: Timestamp::default() }
        }
        (_, event) => event,
    }
}

/// Adds what other hosts are to start.
pub fn tells_every_host(fleet: &Fleet, told: &mut BTreeMap<ServerId, Order>) {
    for host in fleet.hosts.keys() {
        let starts = orders(fleet, host).into_iter().filter(|(_, order)| order.what == What::Run);
        for (server, order) in starts {
            told.entry(server).or_insert(order);
        }
    }
}

/// Bends what an agent makes of a desired set that has arrived.
pub fn arrived(bug: Option<Bug>, keeper: &Keeper, set: &mut DesiredSet) {
    match bug {
        Some(Bug::IgnoresIncarnation) => set.incarnation = keeper.incarnation(),
        Some(Bug::ObeysOvertaken) if set.revision <= keeper.applied() => {
            let applied = keeper.applied();
            set.revision = Revision { seq: applied.seq.saturating_add(1), ..applied };
        }
        _ => {}
    }
}

/// Bends the engine's answer to an agent that made these containers.
pub fn listed(
    bug: Option<Bug>,
    made: impl Fn(&str) -> bool,
    answer: Result<Vec<Container>, String>,
) -> Result<Vec<Container>, String> {
    match (bug, answer) {
        (Some(Bug::UnknownIsAbsent), Err(_)) => Ok(Vec::new()),
        (Some(Bug::NoBarrier), Ok(mut containers)) => {
            containers.retain(|container| {
                container.state != ContainerState::Created || made(&container.id)
            });
            Ok(containers)
        }
        (_, answer) => answer,
    }
}

/// What an agent does that it should not: ends what runs without being told to.
pub fn ended(
    bug: Option<Bug>,
    engine: &Engine,
    away: bool,
    set: Option<&DesiredSet>,
) -> Vec<(Operation, Act)> {
    let wrong = |server: &ServerId| match (bug, set) {
        (Some(Bug::EndsWithoutHub), Some(_)) => away,
        (Some(Bug::EndsStrays), Some(set)) => !set.servers.contains_key(server),
        _ => false,
    };
    if !matches!(bug, Some(Bug::EndsWithoutHub | Bug::EndsStrays)) {
        return Vec::new();
    }
    let running = engine.containers.iter().filter(|(_, made)| made.runs() && wrong(&made.server));
    running
        .map(|(number, made)| {
            let (server, generation) = (made.server.clone(), made.generation);
            let operation = Operation { server, generation, number: 0 };
            (operation, Act::Stop { container: id_of(*number), grace_s: 10 })
        })
        .collect()
}

/// A hub that goes on from the fleet as if nothing had been said in this reign.
pub fn forgets_what_was_said(former: &Fleet, mut fleet: Fleet) -> Fleet {
    for (id, host) in &mut fleet.hosts {
        if let Some(before) = former.hosts.get(id) {
            let host = Arc::make_mut(host);
            host.seq = before.seq.saturating_add(1);
            host.session = before.session;
        }
    }
    fleet
}
