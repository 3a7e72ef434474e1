//! What becomes known of a server: outcomes of calls, lists of the engine, ends.

use std::net::SocketAddr;

use berth_common::link::{Ending, ObservedState, ResizeRefused, RunSpec, StartStep};
use berth_common::{BootId, Epoch, Generation, Reason, Timestamp};

use super::ending::{ending, with_log};
use super::server::{Ended, GivenUp, InFlight, Record, Server};
use super::words::{Act, Container, ContainerState, Operation, Outcome, Remains};
use super::{CONFLICTS_MAX, PlusMillis, RETRY_MS};

impl Server {
    pub(super) fn settle(
        &mut self,
        pending: InFlight,
        outcome: Outcome,
        wanted: Option<Generation>,
        boot: &BootId,
        now: Timestamp,
    ) {
        match (pending.act, outcome) {
            (Act::Create { epoch, spec }, outcome) => {
                self.settle_create(&pending.operation, epoch, &spec, outcome, boot, now);
                // Under a stop nobody waits for this word, and it would pass for a container.
                if self.record.as_ref().is_some_and(|told| wanted != Some(told.generation)) {
                    self.record = None;
                }
            }
            (_, Outcome::Gone) => self.vanish(wanted),
            (Act::Start { .. }, Outcome::Started { address }) => self.started(address, now),
            (Act::Start { .. }, Outcome::Failed(ending)) => {
                self.given_up = Some(GivenUp { ending, examined: true });
            }
            (Act::Resize { limit, .. }, Outcome::Resized) => {
                self.limit = Some(limit.memory);
                self.resize_refused = None;
            }
            (Act::Resize { limit, .. }, Outcome::Failed(ending)) => {
                self.resize_refused = Some(ResizeRefused { number: limit.number, ending });
            }
            (Act::Stop { .. }, Outcome::Stopped) => {
                if let Some(container) = &mut self.container
                    && matches!(container.state, ContainerState::Running { .. })
                {
                    container.state = ContainerState::Exited { code: 0 };
                }
            }
            (Act::Stop { .. }, Outcome::Failed(_)) => self.brute = true,
            (Act::Remove { .. }, Outcome::Removed) => self.vanish(wanted),
            (Act::Remove { .. }, Outcome::Failed(_)) => {
                self.retry_at = now.plus_millis(RETRY_MS);
            }
            (Act::Examine { .. }, Outcome::Examined(remains)) => {
                self.examined(Some(remains), boot, now);
            }
            (Act::Examine { .. }, _) => self.examined(None, boot, now),
            // Cannot be: an outcome of another act. The next list tells.
            _ => {}
        }
    }

    pub(super) fn settle_create(
        &mut self,
        operation: &Operation,
        epoch: Epoch,
        spec: &RunSpec,
        outcome: Outcome,
        boot: &BootId,
        now: Timestamp,
    ) {
        let made = |id: String| Container {
            id,
            server: operation.server.clone(),
            generation: operation.generation,
            epoch,
            boot: boot.clone(),
            origin: spec.origin.clone(),
            prefix: spec.prefix.clone(),
            // The engine's list tells: it stands in the container's labels.
            left_out: Vec::new(),
            state: ContainerState::Created,
        };
        let fail = |known: &mut Self, ending: Ending| {
            known.start = None;
            known.record = Some(Record {
                generation: operation.generation,
                epoch,
                origin: spec.origin.clone(),
                steps: std::mem::take(&mut known.steps),
                state: ObservedState::Failed(ending),
            });
        };
        match outcome {
            Outcome::Created { container } => {
                self.container = Some(made(container));
                self.inspected = true;
                self.limit = Some(spec.origin.memory);
                self.conflicts = 0;
                self.reach(StartStep::Container, now);
            }
            Outcome::Spoiled { container, ending } => {
                self.container = Some(made(container));
                self.given_up = Some(GivenUp { ending, examined: true });
            }
            Outcome::Conflict if self.conflicts >= CONFLICTS_MAX => {
                self.conflicts = 0;
                let detail = "a container of this name exists that is not of this host's Berth";
                fail(self, Ending { reason: Reason::FailedContainer, detail: detail.into() });
            }
            Outcome::Conflict => {
                self.conflicts = self.conflicts.saturating_add(1);
                self.start = None;
                self.retry_at = now.plus_millis(RETRY_MS / 5);
            }
            Outcome::Failed(ending) => fail(self, ending),
            _ => self.start = None, // cannot be: an outcome of another act
        }
    }

    /// Takes what a list, newer than all that was done to this server, says about it.
    pub(super) fn see(
        &mut self,
        listed: Option<Container>,
        wanted: Option<Generation>,
        boot: &BootId,
        now: Timestamp,
    ) {
        let ran = |listed: &Container| {
            matches!(listed.state, ContainerState::Running { .. } | ContainerState::Exited { .. })
        };
        if let (Some(known), Some(listed)) = (&self.container, &listed)
            && known.id == listed.id
            && !self.is_being_removed()
        {
            self.ran |= ran(listed);
        }
        if let Some(pending) = &self.pending {
            if !pending.timed_out {
                // Its outcome will come; until then only a change of state is news.
                if let (Some(known), Some(listed)) = (&self.container, listed)
                    && known.id == listed.id
                {
                    self.change(listed, now);
                }
                return;
            }
            let settled = match (&pending.act, listed.as_ref().map(|listed| &listed.state)) {
                // A hung start may still complete while the list says created.
                (Act::Start { .. }, Some(ContainerState::Created)) => false,
                (Act::Stop { .. }, Some(ContainerState::Running { .. })) => {
                    self.brute = true;
                    true
                }
                // A hung removal is asked for again, later.
                (Act::Remove { .. }, Some(_)) => {
                    self.retry_at = now.plus_millis(RETRY_MS);
                    true
                }
                // It may have been carried out, or be so yet: what is measured from now on tells.
                (Act::Resize { .. }, _) => {
                    self.limit = None;
                    self.retry_at = now.plus_millis(RETRY_MS);
                    true
                }
                (Act::Examine { .. }, Some(_)) => {
                    self.pending = None;
                    self.examined(None, boot, now);
                    true
                }
                _ => true,
            };
            if !settled {
                return;
            }
            self.pending = None;
        }
        match (listed, &self.container) {
            (None, None) => self.start = None,
            (None, Some(_)) => self.vanish(wanted),
            (Some(listed), Some(known)) if known.id == listed.id => self.change(listed, now),
            (Some(listed), _) => {
                // One that this process has not made, or not in this call: adopted if it runs.
                let runs = matches!(listed.state, ContainerState::Running { .. });
                *self = Self {
                    adopted: runs.then_some(now),
                    ran: ran(&listed),
                    container: Some(listed),
                    ..Self::default()
                };
            }
        }
    }

    /// The same container, in a state that may be another one.
    pub(super) fn change(&mut self, listed: Container, now: Timestamp) {
        let created = |found: &Container| matches!(found.state, ContainerState::Created);
        match listed.state {
            ContainerState::Running { address } if self.container.as_ref().is_some_and(created) => {
                self.started(address, now);
            }
            _ => {
                if matches!(listed.state, ContainerState::Exited { .. }) {
                    self.over.get_or_insert(now);
                }
                self.container = Some(listed);
            }
        }
    }

    pub(super) fn started(&mut self, address: Option<SocketAddr>, now: Timestamp) {
        if let Some(container) = &mut self.container
            && matches!(container.state, ContainerState::Created | ContainerState::Running { .. })
        {
            container.state = ContainerState::Running { address };
        }
        self.ran |= !self.is_being_removed();
        self.reach(StartStep::Started, now);
    }

    pub(super) fn examined(&mut self, remains: Option<Remains>, boot: &BootId, now: Timestamp) {
        let Some(container) = &self.container else { return };
        if let Some(why) = &mut self.given_up {
            why.examined = true;
            let log = remains.map(|remains| remains.log).unwrap_or_default();
            why.ending.detail = with_log(&why.ending.detail, &log);
            return;
        }
        let code = match container.state {
            ContainerState::Exited { code } => code,
            ContainerState::Running { .. } if remains.as_ref().is_some_and(|it| it.again) => 0,
            _ => {
                // Not noticed yet by the engine: asked again later.
                self.over = self.over.map(|_| now);
                return;
            }
        };
        let starting = self.start.is_some() && !self.ready;
        let remains = remains.unwrap_or(Remains { code, ..Remains::default() });
        self.ending =
            Some(Ended { ending: ending(&remains, starting, container.boot != *boot), at: now });
    }

    /// The container is gone: what is to be told of it stays.
    pub(super) fn vanish(&mut self, wanted: Option<Generation>) {
        let Some(container) = self.container.take() else { return };
        let by_hand = || {
            ObservedState::Exited(Ending {
                reason: Reason::StoppedCrash,
                detail: "its container was removed, not by Berth".into(),
            })
        };
        let state = match (self.given_up.take(), self.ending.take()) {
            (Some(why), _) => Some(ObservedState::Failed(why.ending)),
            (None, Some(ended)) => Some(ObservedState::Exited(ended.ending)),
            (None, None) => self.ran.then(by_hand),
        };
        let steps = std::mem::take(&mut self.steps);
        let told = state.filter(|_| wanted == Some(container.generation));
        *self = Self { touched: self.touched, ..Self::default() };
        self.record = told.map(|state| Record {
            generation: container.generation,
            epoch: container.epoch,
            origin: container.origin,
            steps,
            state,
        });
    }
}
