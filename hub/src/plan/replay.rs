//! Recorded requests, decided again on the hosts of their time under other files.
//!
//! What a request met is made again from the record: the hosts with what held room on them, the
//! person's own servers, what was expected of the request. What the record does not hold stays as
//! it was: who had to wait for others waits again. Budgets, and servers that were waiting, are not
//! counted. So that this does not show as a difference, a request is decided twice, under the files
//! of its time and under the new ones, and the two answers are compared.

use std::sync::Arc;

use berth_common::link::Account;
use berth_common::{Epoch, Generation, HostId, Reason, Resources, Revision, ServerName, Timestamp};
use berth_core::fleet::{Ask, Phase, Placement};
use berth_core::floor::{Floor, FloorServer};
use berth_core::placement::{Look, Need, NoHost, Rows, place};
use berth_core::settings::Cite;
use berth_core::{Decision, Fleet, Server, Settings, queue, rules};

/// The answer to a request, as far as replays compare it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdict {
    /// `placed`, `waits` or `refused`.
    pub outcome: &'static str,
    /// Why.
    pub reason: Reason,
    /// The line that decided, if a rule did.
    pub cite: Option<Cite>,
}

/// Requests that were decided again.
#[derive(Debug, Clone, Default)]
pub struct Replayed {
    /// How many.
    pub requests: u32,
    /// Those with another answer.
    pub others: Vec<Other>,
    /// Whether there were more requests than one replay takes; the newest are left off then.
    pub left_off: bool,
}

/// A request with another answer.
#[derive(Debug, Clone)]
pub struct Other {
    /// The record.
    pub decision: Decision,
    /// The answer under the files of its time.
    pub before: Verdict,
    /// The answer now.
    pub after: Verdict,
}

impl Verdict {
    /// Whether people would notice the difference: another outcome, or refused for another reason.
    fn differs(&self, other: &Self) -> bool {
        self.outcome != other.outcome || (self.outcome == "refused" && self.reason != other.reason)
    }
}

/// Whether a decision answers a request; others end a wait that a request began.
pub fn is_request(decision: &Decision) -> bool {
    decision.reason() != Reason::PlacedFromQueue
}

impl Replayed {
    /// Decides one more request again: under the floor and files of its time, and under others.
    pub fn take(
        &mut self,
        decision: Decision,
        (floor, settings): (&Floor, &Arc<Settings>),
        (other_floor, other_settings): (&Floor, &Arc<Settings>),
    ) {
        self.requests = self.requests.saturating_add(1);
        let before = again(&decision, floor, settings);
        let after = again(&decision, other_floor, other_settings);
        if after.differs(&before) {
            self.others.push(Other { decision, before, after });
        }
    }

    /// How many went from one of some outcomes to one of others.
    pub fn count(&self, from: &[&str], to: &[&str]) -> usize {
        let went = |other: &&Other| {
            from.contains(&other.before.outcome) && to.contains(&other.after.outcome)
        };
        self.others.iter().filter(went).count()
    }
}

/// The answer to a recorded request on the floor of its time, under these settings.
pub fn again(decision: &Decision, floor: &Floor, settings: &Arc<Settings>) -> Verdict {
    if let reason @ (Reason::RefusedAccountInvalid
    | Reason::RefusedAccountUnavailable
    | Reason::RefusedAccountUnknown
    | Reason::RefusedRehearsal) = decision.reason()
    {
        // The directory's word, or others who came first, which no file of rules changes.
        return Verdict { outcome: "refused", reason, cite: None };
    }
    let fleet = person(decision, floor, settings);
    let wish = queue::again(&decision.ask);
    let account = account(decision);
    let checked = rules::check(&fleet, decision.at, &account, &wish, Some(&decision.server));
    let passed = match checked.verdict {
        Ok(passed) => passed,
        Err(refusal) => {
            let failed = checked.rules.into_iter().find(|rule| !rule.passed);
            let cite = failed.and_then(|rule| rule.cite);
            return Verdict { outcome: "refused", reason: refusal.reason, cite };
        }
    };
    let expected = decision.inputs.need.as_ref().map(|need| need.peak);
    let peak = expected.unwrap_or(passed.need.peak).min(passed.need.limit);
    let need = Need { peak, ..passed.need };
    let rows = Rows::of(floor, settings, &Arc::default());
    let kept = decision.inputs.kept.as_ref().and_then(|host| rows.hosts().binary_search(host).ok());
    let last = decision.inputs.last_host.as_ref();
    let verdict = place(&mut Look::Only(&rows), &need, last, kept);
    let (outcome, reason) = match verdict.choice {
        Ok(_) if decision.reason() == Reason::WaitOrder => ("waits", Reason::WaitOrder),
        Ok(chosen) if chosen.overflow => ("placed", Reason::PlacedOverflow),
        Ok(_) => ("placed", Reason::PlacedNow),
        Err(NoHost::Now(reason)) => ("waits", reason),
        Err(NoHost::Never) => ("refused", Reason::RefusedNeverFits),
    };
    Verdict { outcome, reason, cite: None }
}

/// A fleet with nothing but the person's own servers: all that the rules look at.
fn person(decision: &Decision, floor: &Floor, settings: &Arc<Settings>) -> Fleet {
    let own = floor.hosts.iter().flat_map(|host| {
        let held = host.servers.iter().filter(|held| held.owner == decision.user);
        held.map(|held| running(&host.host, held))
    });
    Fleet::restore(Epoch(0), Arc::clone(settings), [], own)
}

fn running(host: &HostId, held: &FloorServer) -> Server {
    let reservation = Resources { memory: held.memory.limit, cpu_milli: held.cpu_milli };
    // Names are not on the floor, and must differ. A letter and 16 digits are always a name.
    let name = format!("s{}", held.server);
    let name = name.parse().unwrap_or_else(|_| ServerName::default_server());
    Server {
        id: held.server.clone(),
        owner: held.owner.clone(),
        name,
        generation: Generation(1),
        phase: Phase::Placed(Placement {
            host: host.clone(),
            reservation,
            gpus: held.gpus.clone(),
            farm_ports: held.farm_ports.clone(),
            expected: held.memory.peak,
            expected_known: !held.memory.young,
            placed_at: Timestamp(0),
            said: Revision { epoch: Epoch(0), seq: 0 },
            image: None,
            ready_at: Some(Timestamp(0)),
            steps: Vec::new(),
            life: Box::default(),
            asked_to_leave: None,
            held_since: None,
            used: Default::default(),
            resize: None,
            loan: None,
            stop: None,
        }),
        ask: Ask {
            profile: held.profile.clone(),
            memory: held.memory.limit,
            gpus: u32::try_from(held.gpus.len()).unwrap_or(u32::MAX),
            gpu_milli: held.gpus.first().map_or(0, |part| part.milli),
            gpu_model: None,
            cpu_milli: held.cpu_milli,
            image: String::new(),
            rehearsal: false,
        },
        user_options: String::new(),
        account: None,
        decision: None,
        created: Timestamp(0),
        last_activity: Timestamp(0),
        peaks: None,
        last_host: None,
        gpu_turn: None,
        last_end: None,
        last_start: None,
        kills: Vec::new(),
        activity_saved: Timestamp(0),
    }
}

/// The person as recorded: rules look at the name and the groups' names only.
fn account(decision: &Decision) -> Account {
    let group = |name: &String| berth_common::link::Group { name: name.clone(), gid: 0 };
    Account {
        name: decision.user.clone(),
        uid: 0,
        gid: 0,
        groups: decision.groups.iter().map(group).collect(),
        home: String::new(),
    }
}
