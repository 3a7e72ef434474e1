//! A container engine made of memory. Calls take time, may hang, and are carried out although the
//! process that asked has long gone; containers outlive agents and not hosts.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use berth_agent::reconcile::{Act, Container, ContainerState, Operation, Outcome, Remains};
use berth_common::link::{Ending, Limit, Origin};
use berth_common::{BootId, ByteCount, Epoch, Generation, Reason, ServerId, Timestamp};

use crate::world::accounts;
use crate::world::bugs::Bug;
use crate::world::nature::{Happening, Nature};
use crate::world::schedule::later;

/// How long an agent waits for a call, as its Docker adapter does.
const WORK_MS: u64 = 30_000;
const REMOVAL_MS: u64 = 60_000;
const STOP_MARGIN_MS: u64 = 15_000;
const QUESTION_MS: u64 = 10_000;

/// The engine of one host.
#[derive(Debug, Default)]
pub struct Engine {
    /// Whether it answers.
    pub up: bool,
    /// Its containers by number.
    pub containers: BTreeMap<u64, Made>,
    /// A server's name is held by a container, by a create under way, or by a stranger's.
    names: BTreeMap<ServerId, Holder>,
    calls: BTreeMap<u64, Call>,
    /// Numbers are never given again, also not after a reboot.
    next: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Holder {
    Ours(u64),
    UnderWay(u64),
    Stranger,
}

/// A container.
#[derive(Debug, Clone)]
pub struct Made {
    /// Which server.
    pub server: ServerId,
    /// Which start of it.
    pub generation: Generation,
    epoch: Epoch,
    boot: BootId,
    /// Its labels.
    pub origin: Origin,
    prefix: String,
    /// Its memory limit.
    pub limit: ByteCount,
    /// What it uses of that, always.
    pub used: ByteCount,
    /// A change of its limit was carried out after its agent had given that up or had died: nobody
    /// knew of the call when the next was made.
    pub resized_late: bool,
    /// What it does.
    pub state: MadeState,
    /// When it will answer, once it runs.
    pub answers_at: Option<Timestamp>,
    /// Some agent has seen it answer.
    pub answered: bool,
    /// Calls about one container are carried out one after the other.
    busy_until: Timestamp,
    stubborn: bool,
}

/// What a container does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MadeState {
    /// Made and not started.
    Created,
    /// Its process runs.
    Running,
    /// Its process ended.
    Exited(i64),
    /// Killed and half removed.
    Dead,
}

#[derive(Debug)]
struct Call {
    process: u64,
    operation: Operation,
    act: Act,
    answered: bool,
    arrived: bool,
    finished: bool,
}

impl Made {
    /// Whether its process runs.
    pub fn runs(&self) -> bool {
        self.state == MadeState::Running
    }
}

/// The id that the engine gives out for a container's number.
pub fn id_of(number: u64) -> String {
    format!("c{number}")
}

impl Engine {
    /// An engine without containers.
    pub fn new() -> Self {
        Self { up: true, next: 1, ..Self::default() }
    }

    /// Whether nobody waits for an answer of it.
    pub fn is_idle(&self) -> bool {
        self.calls.values().all(|call| call.answered)
    }

    /// The container of this id.
    pub fn find(&self, id: &str) -> Option<(u64, &Made)> {
        let number = id.strip_prefix('c')?.parse().ok()?;
        self.containers.get(&number).map(|made| (number, made))
    }

    /// The running container of a server.
    pub fn running(&self, server: &ServerId) -> Option<(u64, &Made)> {
        let found = self.containers.iter().find(|(_, made)| made.server == *server && made.runs());
        found.map(|(number, made)| (*number, made))
    }

    /// All containers of ours in every state.
    pub fn list(&self) -> Vec<Container> {
        let containers = self.containers.iter();
        containers
            .map(|(number, made)| Container {
                id: id_of(*number),
                server: made.server.clone(),
                generation: made.generation,
                epoch: made.epoch,
                boot: made.boot.clone(),
                origin: made.origin.clone(),
                prefix: made.prefix.clone(),
                left_out: Vec::new(),
                state: match made.state {
                    MadeState::Created => ContainerState::Created,
                    MadeState::Running => {
                        ContainerState::Running { address: Some(address(*number)) }
                    }
                    MadeState::Exited(code) => ContainerState::Exited { code },
                    MadeState::Dead => ContainerState::Dead,
                },
            })
            .collect()
    }

    /// An agent asks for something.
    pub fn call(
        &mut self,
        nature: &mut Nature,
        host: usize,
        process: u64,
        operation: Operation,
        act: Act,
    ) {
        let call = self.next;
        self.next += 1;
        let limit = match &act {
            Act::Create { .. } | Act::Start { .. } | Act::Resize { .. } => WORK_MS,
            Act::Stop { grace_s, .. } => u64::from(*grace_s) * 1000 + STOP_MARGIN_MS,
            Act::Remove { .. } => REMOVAL_MS,
            Act::Examine { .. } => QUESTION_MS,
        };
        let stall = nature.hang(4).unwrap_or_else(|| nature.span_us(200..=3_000));
        nature.schedule.after_us(stall, Happening::CallArrives { host, call });
        nature.schedule.after_ms(limit, Happening::CallExpires { host, call });
        let call_made =
            Call { process, operation, act, answered: false, arrived: false, finished: false };
        self.calls.insert(call, call_made);
    }

    /// A call reaches the engine.
    pub fn arrives(&mut self, nature: &mut Nature, host: usize, number: u64) {
        let Some(call) = self.calls.get_mut(&number) else { return };
        call.arrived = true;
        if !self.up {
            return self.finish(nature, host, number, Outcome::TimedOut);
        }
        let (operation, act) = (call.operation.clone(), call.act.clone());
        let work = match &act {
            Act::Create { spec, .. } => {
                let failed = |reason| {
                    let detail = "the engine says no".to_owned();
                    Outcome::Failed(Ending { reason, detail })
                };
                if nature.bug != Some(Bug::SkipsPolicy)
                    && let Err(detail) = accounts::check(spec)
                {
                    nature.transcript.mark("a host refused an account");
                    let ending = Ending { reason: Reason::FailedPolicy, detail };
                    return self.finish(nature, host, number, Outcome::Failed(ending));
                }
                if nature.lacks_image(host, &spec.image) {
                    return self.finish(nature, host, number, failed(Reason::FailedImage));
                }
                if nature.engine_fault("create fails", |plan| plan.create_fails) {
                    return self.finish(nature, host, number, failed(Reason::FailedContainer));
                }
                if self.names.contains_key(&operation.server) {
                    nature.transcript.mark("a create met a name that was taken");
                    return self.finish(nature, host, number, Outcome::Conflict);
                }
                if nature.engine_fault("foreign container", |plan| plan.foreign / 50) {
                    self.names.insert(operation.server, Holder::Stranger);
                    return self.finish(nature, host, number, Outcome::Conflict);
                }
                self.names.insert(operation.server, Holder::UnderWay(number));
                nature.work_us(20_000..=300_000)
            }
            Act::Start { container }
            | Act::Resize { container, .. }
            | Act::Stop { container, .. }
            | Act::Remove { container } => {
                let Some((made, _)) = self.find(container) else {
                    if matches!(act, Act::Start { .. }) {
                        nature.transcript.mark("a start came after its container was removed");
                    }
                    return self.finish(nature, host, number, Outcome::Gone);
                };
                self.queue_up(nature, made, &act)
            }
            Act::Examine { container } => {
                let outcome = match self.find(container) {
                    None => Outcome::Gone,
                    Some((_, made)) => Outcome::Examined(Remains {
                        code: match made.state {
                            MadeState::Exited(code) => code,
                            _ => 0,
                        },
                        ..Remains::default()
                    }),
                };
                return self.finish(nature, host, number, outcome);
            }
        };
        nature.schedule.after_us(work, Happening::CallDone { host, call: number });
    }

    /// The time until a call about this container is done: after those before it.
    fn queue_up(&mut self, nature: &mut Nature, number: u64, act: &Act) -> u64 {
        let now = nature.schedule.now();
        let Some(made) = self.containers.get_mut(&number) else { return 0 };
        let idle = made.busy_until <= now;
        if !idle && matches!(act, Act::Remove { .. }) {
            nature.transcript.mark("a removal waited behind a call that hung");
        }
        let work = match act {
            Act::Stop { grace_s, .. } if made.stubborn => u64::from(*grace_s) * 1_000_000,
            Act::Stop { .. } => nature.work_us(200_000..=3_000_000),
            Act::Remove { .. } => {
                // Seen from outside a removal has a middle: killed, and still listed.
                if idle && nature.chance.permille(500) {
                    made.state = MadeState::Dead;
                }
                nature.work_us(50_000..=500_000)
            }
            _ => nature.work_us(50_000..=600_000),
        };
        made.busy_until = later(made.busy_until.max(now), work);
        u64::try_from(made.busy_until.0.saturating_sub(now.0)).unwrap_or(0)
    }

    /// A call is carried out.
    pub fn done(&mut self, nature: &mut Nature, host: usize, number: u64, boot: &BootId) {
        let Some(call) = self.calls.get(&number).filter(|call| !call.finished) else { return };
        let (operation, act, process) = (call.operation.clone(), call.act.clone(), call.process);
        let outcome = match &act {
            Act::Create { epoch, spec } => {
                let made = Made {
                    server: operation.server.clone(),
                    generation: operation.generation,
                    epoch: *epoch,
                    boot: boot.clone(),
                    origin: spec.origin.clone(),
                    prefix: spec.prefix.clone(),
                    limit: spec.origin.memory,
                    // A quarter is what a notebook uses most of the time.
                    used: ByteCount(spec.origin.memory.0 / 4),
                    resized_late: false,
                    state: MadeState::Created,
                    answers_at: None,
                    answered: false,
                    busy_until: nature.schedule.now(),
                    stubborn: nature.engine_fault("stubborn server", |plan| plan.stubborn),
                };
                let container = self.next;
                self.next += 1;
                self.containers.insert(container, made);
                self.names.insert(operation.server.clone(), Holder::Ours(container));
                nature.history.created(&operation.server, operation.generation, host);
                if let Some(found) = accounts::forbidden(&spec.account) {
                    nature.history.violated("S10-account", found);
                }
                if nature.engine_fault("spoiled container", |plan| plan.spoils) {
                    let detail = "not as asked for".to_owned();
                    let ending = Ending { reason: Reason::FailedPolicy, detail };
                    Outcome::Spoiled { container: id_of(container), ending }
                } else {
                    Outcome::Created { container: id_of(container) }
                }
            }
            Act::Start { container } => self.start(nature, host, process, container),
            Act::Resize { container, limit } => {
                let late = call.answered || nature.process_of(host) != process;
                self.resize(nature, container, *limit, late)
            }
            Act::Stop { container, .. } => self.stop(nature, container),
            Act::Remove { container } => self.remove(nature, container),
            Act::Examine { .. } => return,
        };
        nature.wake(host);
        self.finish(nature, host, number, outcome);
    }

    fn start(&mut self, nature: &mut Nature, host: usize, process: u64, id: &str) -> Outcome {
        let Some((number, made)) = self.find(id) else { return Outcome::Gone };
        let at = Some(address(number));
        match made.state {
            MadeState::Running => return Outcome::Started { address: at },
            MadeState::Created => {}
            MadeState::Exited(_) | MadeState::Dead => return Outcome::Gone,
        }
        if nature.engine_fault("start fails", |plan| plan.start_fails) {
            let detail = "the engine cannot start it".to_owned();
            return Outcome::Failed(Ending { reason: Reason::FailedContainer, detail });
        }
        if nature.process_of(host) != process {
            nature.transcript.mark("a start was carried out after its agent had died");
        }
        let now = nature.schedule.now();
        let silent = nature.engine_fault("never answers", |plan| plan.never_answers);
        let late = nature.engine_fault("answers late", |plan| plan.answers_late);
        let wait =
            nature.span_us(if late { 40_000_000..=90_000_000 } else { 1_000_000..=8_000_000 });
        if nature.engine_fault("ends at once", |plan| plan.ends_at_once) {
            let wait = nature.span_us(10_000..=9_000_000);
            nature.schedule.after_us(wait, Happening::ContainerExits { host, number, code: 1 });
        }
        let Some(made) = self.containers.get_mut(&number) else { return Outcome::Gone };
        made.state = MadeState::Running;
        made.answers_at = (!silent).then(|| later(now, wait));
        let (server, generation) = (made.server.clone(), made.generation);
        if silent || late {
            nature.history.may_end(&server, generation);
        }
        nature.history.runs(&server, generation, host);
        nature.touched.push(server);
        Outcome::Started { address: at }
    }

    fn resize(&mut self, nature: &mut Nature, id: &str, limit: Limit, late: bool) -> Outcome {
        let Some((number, made)) = self.find(id) else { return Outcome::Gone };
        let detail = "it will not have that".to_owned();
        if limit.memory < made.limit && limit.memory < Limit::least(made.used) {
            return Outcome::Failed(Ending { reason: Reason::RefusedInUse, detail });
        }
        if nature.engine_fault("resize fails", |plan| plan.resize_fails) {
            return Outcome::Failed(Ending { reason: Reason::FailedContainer, detail });
        }
        if late {
            nature.transcript.mark("a limit was changed after its agent had given up");
        }
        nature.touched.push(made.server.clone());
        if let Some(made) = self.containers.get_mut(&number) {
            made.limit = limit.memory;
            made.resized_late = late;
        }
        Outcome::Resized
    }

    fn stop(&mut self, nature: &mut Nature, id: &str) -> Outcome {
        let Some((number, made)) = self.find(id) else { return Outcome::Gone };
        if made.runs() && nature.engine_fault("stop fails", |plan| plan.stop_fails) {
            let detail = "the engine cannot stop it".to_owned();
            return Outcome::Failed(Ending { reason: Reason::FailedContainer, detail });
        }
        self.exit(nature, number, 143);
        Outcome::Stopped
    }

    fn remove(&mut self, nature: &mut Nature, id: &str) -> Outcome {
        let Some((number, _)) = self.find(id) else { return Outcome::Gone };
        self.exit(nature, number, 137);
        if nature.engine_fault("removal fails", |plan| plan.remove_fails) {
            let detail = "device or resource busy".to_owned();
            return Outcome::Failed(Ending { reason: Reason::FailedContainer, detail });
        }
        self.forget(nature, number);
        Outcome::Removed
    }

    /// A container's process ends, if it runs.
    pub fn exit(&mut self, nature: &mut Nature, number: u64, code: i64) -> bool {
        let Some(made) = self.containers.get_mut(&number) else { return false };
        if !made.runs() {
            return false;
        }
        made.state = MadeState::Exited(code);
        nature.history.may_end(&made.server, made.generation);
        true
    }

    /// Somebody removes a container by hand.
    pub fn remove_by_hand(&mut self, nature: &mut Nature, number: u64) {
        let Some(made) = self.containers.get(&number) else { return };
        nature.history.may_end(&made.server, made.generation);
        self.forget(nature, number);
    }

    fn forget(&mut self, nature: &mut Nature, number: u64) {
        let Some(made) = self.containers.remove(&number) else { return };
        nature.history.gone(&made.server, made.generation);
        if self.names.get(&made.server) == Some(&Holder::Ours(number)) {
            self.names.remove(&made.server);
        }
    }

    /// An agent has waited long enough.
    pub fn expires(&mut self, nature: &mut Nature, host: usize, number: u64) {
        let Some(call) = self.calls.get(&number) else { return };
        let finished = call.finished;
        if !call.answered {
            nature.transcript.fault("call timed out");
            self.answer(nature, host, number, Outcome::TimedOut);
        }
        if finished {
            self.calls.remove(&number);
        }
    }

    /// Nothing more will come of a call.
    fn finish(&mut self, nature: &mut Nature, host: usize, number: u64, outcome: Outcome) {
        if nature.engine_fault("answer lost", |plan| plan.mute) {
            // Its limit will tell the agent.
            if let Some(call) = self.calls.get_mut(&number) {
                call.finished = true;
            }
            return;
        }
        self.answer(nature, host, number, outcome);
        self.calls.remove(&number);
    }

    fn answer(&mut self, nature: &mut Nature, host: usize, number: u64, outcome: Outcome) {
        let Some(call) = self.calls.get_mut(&number) else { return };
        if std::mem::replace(&mut call.answered, true) {
            return;
        }
        let (process, operation) = (call.process, call.operation.clone());
        let wait = nature.span_us(200..=3_000);
        let settled = Box::new((operation, outcome));
        let happening = Happening::Settled { host, process, settled };
        nature.schedule.after_us(wait, happening);
    }

    /// The engine's process goes away. Some of the calls under way die with it.
    pub fn goes_down(&mut self, nature: &mut Nature, host: usize) {
        self.up = false;
        let under_way: Vec<u64> =
            self.calls.iter().filter(|(_, call)| call.arrived).map(|(number, _)| *number).collect();
        for number in under_way {
            self.answer(nature, host, number, Outcome::TimedOut);
            if nature.chance.permille(500) {
                self.calls.remove(&number);
                self.names.retain(|_, holder| *holder != Holder::UnderWay(number));
            }
        }
        nature.wake(host);
    }

    /// The host boots: nothing runs any more, and what was made may stay as ended.
    pub fn boots(&mut self, nature: &mut Nature, containers_stay: bool) {
        self.calls.clear();
        for made in self.containers.values_mut() {
            nature.history.may_end(&made.server, made.generation);
            if made.runs() {
                made.state = MadeState::Exited(137);
            }
            made.busy_until = nature.schedule.now();
        }
        if !containers_stay {
            for made in std::mem::take(&mut self.containers).into_values() {
                nature.history.gone(&made.server, made.generation);
            }
        }
        self.names = self
            .containers
            .iter()
            .map(|(number, made)| (made.server.clone(), Holder::Ours(*number)))
            .collect();
    }

    /// Its agent stands still, or its clock is set: what has not answered yet may be given up.
    pub fn may_seem_silent(&self, nature: &mut Nature) {
        for made in self.containers.values().filter(|made| !made.answered) {
            nature.history.may_end(&made.server, made.generation);
        }
    }

    /// Strangers' containers go away, so that only what is ours remains to be judged.
    pub fn strangers_leave(&mut self) {
        self.names.retain(|_, holder| *holder != Holder::Stranger);
    }
}

/// A private address of the host, one for each container.
fn address(number: u64) -> SocketAddr {
    let [.., high, low] = number.to_be_bytes();
    SocketAddr::new(IpAddr::V4(Ipv4Addr::new(172, 18, high, low)), 8888)
}
