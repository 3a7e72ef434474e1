//! One server on this host: what is known of it, and what to do next about it.

use std::net::SocketAddr;

use berth_common::link::{
    Desired, Ending, Limit, Observed, ObservedState, Origin, ResizeRefused, StartStep, StepDone,
    Usage, Verdict,
};
use berth_common::{ByteCount, Epoch, Generation, Reason, ServerId, Timestamp};

use super::words::{Act, Container, ContainerState, Look, Measured, Operation};
use super::{ANSWER_MS, SLOT_MS, SUPERSEDED_GRACE_S, UNNOTICED_MS};

/// The word for a create that fetches the image first.
const FETCH: &str = "fetch";

/// All that is known of one server on this host.
#[derive(Debug, Default)]
pub(super) struct Server {
    pub(super) container: Option<Container>,
    pub(super) pending: Option<InFlight>,
    /// The start that this process makes or has made.
    pub(super) start: Option<Start>,
    /// This process has made the container and found it as asked.
    pub(super) inspected: bool,
    /// When this process found the container running which an earlier one had started.
    pub(super) adopted: Option<Timestamp>,
    /// Its process is known to have run.
    pub(super) ran: bool,
    pub(super) ready: bool,
    pub(super) steps: Vec<StepDone>,
    /// Its main process has ended, as the kernel or the engine said at this moment: what runs in the
    /// container from then on is another notebook.
    pub(super) over: Option<Timestamp>,
    /// How the container, which is still there, ended.
    pub(super) ending: Option<Ended>,
    /// Why the container, which may still run, has to go.
    pub(super) given_up: Option<GivenUp>,
    /// What is told of it after the container is gone.
    pub(super) record: Option<Record>,
    /// Stop did not help: remove by force.
    pub(super) brute: bool,
    /// The container's memory limit; `None`: not known, or no longer.
    pub(super) limit: Option<ByteCount>,
    /// The newest order to change it that was refused.
    pub(super) resize_refused: Option<ResizeRefused>,
    pub(super) conflicts: u32,
    /// Lists asked for before this moment say nothing about this server.
    pub(super) touched: Look,
    pub(super) retry_at: Timestamp,
}

#[derive(Debug)]
pub(super) struct InFlight {
    pub(super) operation: Operation,
    pub(super) act: Act,
    pub(super) timed_out: bool,
    /// How much of the image is here, in percent, of a create that fetches it.
    pub(super) fetched: Option<u32>,
}

#[derive(Debug, Clone, Copy)]
pub(super) struct Start {
    pub(super) since: Timestamp,
    pub(super) started: Option<Timestamp>,
}

#[derive(Debug)]
pub(super) struct Ended {
    pub(super) ending: Ending,
    pub(super) at: Timestamp,
}

#[derive(Debug)]
pub(super) struct GivenUp {
    pub(super) ending: Ending,
    pub(super) examined: bool,
}

#[derive(Debug)]
pub(super) struct Record {
    pub(super) generation: Generation,
    pub(super) epoch: Epoch,
    pub(super) origin: Origin,
    pub(super) steps: Vec<StepDone>,
    pub(super) state: ObservedState,
}

impl Server {
    /// What to do next about this server, of which the desired set in force says `verdict`.
    pub(super) fn next(
        &self,
        verdict: Option<&Desired>,
        heard: Timestamp,
        epoch: Epoch,
        now: Timestamp,
    ) -> Option<Act> {
        let Some(container) = &self.container else {
            let (None, true, None) = (&self.pending, now >= self.retry_at, &self.record) else {
                return None;
            };
            return match verdict.map(|desired| &desired.what) {
                Some(Verdict::Run(spec)) => Some(Act::Create { epoch, spec: spec.clone() }),
                _ => None,
            };
        };
        let id = || container.id.clone();
        let same = verdict.filter(|desired| desired.generation == container.generation);
        let starts = same.is_some_and(|desired| matches!(desired.what, Verdict::Run(_)));
        let wanted = same.is_some_and(|desired| !matches!(desired.what, Verdict::Stop { .. }));
        // A verdict that names this generation, or a newer generation that replaces it.
        let grace_s = verdict.and_then(|desired| match desired.what {
            Verdict::Stop { grace_s } if desired.generation >= container.generation => {
                Some(grace_s)
            }
            _ if desired.generation > container.generation => Some(SUPERSEDED_GRACE_S),
            _ => None,
        });
        if let Some(pending) = &self.pending {
            // A hung start keeps nobody from ending it: the removal waits behind it.
            let hung_start = pending.timed_out && matches!(pending.act, Act::Start { .. });
            let unwanted = !wanted || self.given_up.is_some();
            return (hung_start && unwanted).then_some(Act::Remove { container: id() });
        }
        if now < self.retry_at {
            return None;
        }
        match (&container.state, &self.given_up) {
            (ContainerState::Running { .. }, Some(why)) if !why.examined => {
                Some(Act::Examine { container: id() })
            }
            (_, Some(_)) | (ContainerState::Dead, _) => Some(Act::Remove { container: id() }),
            (ContainerState::Created, _) if !self.inspected => {
                Some(Act::Remove { container: id() })
            }
            (ContainerState::Created, _) if starts => Some(Act::Start { container: id() }),
            (ContainerState::Created, _) => Some(Act::Remove { container: id() }),
            (ContainerState::Running { .. }, _) if self.over.is_some() && grace_s.is_none() => {
                // The engine has not noticed yet, or somebody has started it again by hand.
                let due = self.over.is_some_and(|at| now.millis_since(at) >= UNNOTICED_MS);
                (due && self.ending.is_none()).then_some(Act::Examine { container: id() })
            }
            (ContainerState::Running { .. }, _) => {
                let Some(grace_s) = grace_s else {
                    let limit = same.and_then(|desired| desired.limit);
                    return self.resize(limit?, &container.id);
                };
                Some(if self.brute {
                    Act::Remove { container: id() }
                } else {
                    Act::Stop { container: id(), grace_s }
                })
            }
            (ContainerState::Exited { .. }, _) => match &self.ending {
                _ if grace_s.is_some() => Some(Act::Remove { container: id() }),
                None => Some(Act::Examine { container: id() }),
                // The ending must not be lost with this process before the hub has it.
                Some(ended) if heard.as_millis() > ended.at.as_millis() => {
                    Some(Act::Remove { container: id() })
                }
                Some(_) => None,
            },
        }
    }

    /// The step to another limit, if the container has not got it and the order was not refused.
    fn resize(&self, wanted: Limit, container: &str) -> Option<Act> {
        let refused = self.resize_refused.as_ref().is_some_and(|it| it.number == wanted.number);
        let known = self.limit.filter(|_| !refused)?;
        (!wanted.is(known))
            .then_some(Act::Resize { container: container.to_owned(), limit: wanted })
    }

    /// A verdict has changed: what is still to be told under the new one?
    pub(super) fn forget_record(&mut self, desired: &Desired) {
        let Some(record) = &self.record else { return };
        let retry = matches!(record.state, ObservedState::Failed(_))
            && matches!(desired.what, Verdict::Run(_));
        let stop = matches!(desired.what, Verdict::Stop { .. });
        if retry || stop || record.generation != desired.generation {
            self.record = None;
        }
    }

    pub(super) fn issue(
        &mut self,
        operation: &Operation,
        act: &Act,
        touched: Look,
        now: Timestamp,
    ) {
        if matches!(act, Act::Create { .. }) {
            self.start = Some(Start { since: now, started: None });
            self.steps.clear();
            self.ready = false;
            self.inspected = false;
            self.adopted = None;
            self.over = None;
            self.ran = false;
        }
        if let (Act::Start { .. }, Some(start)) = (act, &mut self.start) {
            start.started = Some(now);
        }
        self.touched = touched;
        self.pending = Some(InFlight {
            operation: operation.clone(),
            act: act.clone(),
            timed_out: false,
            fetched: None,
        });
    }

    /// Gives a start up that has not answered for too long.
    pub(super) fn give_up_if_silent(&mut self, starting: Option<Generation>, now: Timestamp) {
        // One that was adopted has the same time again, but only while the hub, too, has not
        // heard of an answer: a notebook that is merely busy is never given up.
        let generation = self.container.as_ref().map(|container| container.generation);
        let adopted = self.adopted.filter(|_| generation == starting);
        let started = self.start.and_then(|start| start.started).or(adopted);
        let exited = self.container.as_ref().is_none_or(|container| {
            matches!(container.state, ContainerState::Exited { .. } | ContainerState::Dead)
        });
        let silent = started.is_some_and(|started| now.millis_since(started) >= ANSWER_MS);
        if silent && !self.ready && !exited && self.given_up.is_none() {
            let detail = format!("no answer {} s after its start", ANSWER_MS / 1000);
            let ending = Ending { reason: Reason::FailedNoAnswer, detail };
            self.given_up = Some(GivenUp { ending, examined: false });
        }
    }

    pub(super) fn holds_a_slot(&self, now: Timestamp) -> bool {
        let exited = self.container.as_ref().is_some_and(|container| {
            matches!(container.state, ContainerState::Exited { .. } | ContainerState::Dead)
        });
        !self.ready
            && !exited
            && self.start.is_some_and(|start| now.millis_since(start.since) < SLOT_MS)
    }

    /// What is pending, in a word; a create that fetches the image first may take minutes.
    pub(super) fn doing(&self) -> Option<&'static str> {
        let act = &self.pending.as_ref()?.act;
        let fetches = self.steps.last().is_some_and(|last| last.step == StartStep::Fetch);
        if fetches && matches!(act, Act::Create { .. }) { Some(FETCH) } else { act.name() }
    }

    /// How far the fetch is, while there is one.
    pub(super) fn fetched(&self) -> Option<u32> {
        self.pending.as_ref()?.fetched.filter(|_| self.doing() == Some(FETCH))
    }

    pub(super) fn reach(&mut self, step: StartStep, now: Timestamp) {
        if self.steps.last().is_none_or(|last| last.step < step) {
            self.steps.push(StepDone { step, at: now });
        }
    }

    /// The container and its address, if it runs and is not being ended.
    pub(super) fn listening(&self) -> Option<(&Container, SocketAddr)> {
        let container = self.container.as_ref()?;
        let ContainerState::Running { address: Some(address) } = container.state else {
            return None;
        };
        (!self.is_ending() && self.over.is_none()).then_some((container, address))
    }

    /// What an earlier process's late start sets running meanwhile has run for nobody: when it is gone
    /// that was no end, and the server is made anew.
    pub(super) fn is_being_removed(&self) -> bool {
        let act = self.pending.as_ref().map(|pending| &pending.act);
        matches!(act, Some(Act::Remove { .. }))
    }

    pub(super) fn is_ending(&self) -> bool {
        self.given_up.is_some()
            || self.brute
            || self
                .pending
                .as_ref()
                .is_some_and(|pending| matches!(pending.act, Act::Stop { .. } | Act::Remove { .. }))
    }

    pub(super) fn observed(
        &self,
        server: &ServerId,
        measured: Option<&Measured>,
    ) -> Option<Observed> {
        let Some(container) = &self.container else {
            let record = self.record.as_ref()?;
            return Some(Observed {
                server: server.clone(),
                generation: record.generation,
                epoch: record.epoch,
                state: record.state.clone(),
                steps: record.steps.clone(),
                memory_used: ByteCount::ZERO,
                usage: Usage::default(),
                limit: None,
                resize_refused: None,
                kills: Vec::new(),
                left_out: Vec::new(),
                origin: record.origin.clone(),
            });
        };
        let measured = measured.filter(|measured| measured.container == container.id);
        let state = match (&container.state, &self.ending) {
            // One that ended and was started again by hand has ended all the same.
            (ContainerState::Exited { .. } | ContainerState::Running { .. }, Some(ended)) => {
                ObservedState::Exited(ended.ending.clone())
            }
            (ContainerState::Exited { .. } | ContainerState::Dead, _) => ObservedState::Stopping,
            _ if self.is_ending() || self.over.is_some() => ObservedState::Stopping,
            (ContainerState::Created, _) => ObservedState::Created,
            (ContainerState::Running { .. }, _) if self.ready => ObservedState::Ready,
            (ContainerState::Running { .. }, _) => ObservedState::Running,
        };
        Some(Observed {
            server: server.clone(),
            generation: container.generation,
            epoch: container.epoch,
            state,
            steps: self.steps.clone(),
            memory_used: measured.map(|measured| measured.used).unwrap_or_default(),
            usage: measured.map(|measured| measured.usage).unwrap_or_default(),
            limit: self.limit,
            resize_refused: self.resize_refused.clone(),
            kills: measured.map(|measured| measured.kills.clone()).unwrap_or_default(),
            left_out: container.left_out.clone(),
            origin: container.origin.clone(),
        })
    }
}
