//! Rehearsals of trainings: so many throw-away servers of its profile are started at once under the
//! name of whoever ordered it, each start is measured, and all are ended again.
//!
//! Which of them are to be there is a plain function of this record, so a hub that was killed goes
//! on with it.

use berth_common::link::{StartStep, StepDone};
use berth_common::{Epoch, HostId, Reason, Seconds, ServerName, Timestamp, Username};
use serde::{Deserialize, Serialize};

use crate::fleet::{End, Fleet, Order, Server};

/// A rehearsal, under way or over.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rehearsal {
    /// The training.
    pub training: String,
    /// Under whose name its servers run.
    pub owner: Username,
    /// Who, why and when: every start is measured from here.
    pub order: Order,
    /// The reign in which it began.
    pub epoch: Epoch,
    /// Whether the hub was started again while it measured: what was slow may have been that.
    #[serde(default)]
    pub restarted: bool,
    /// What has not answered by then counts as failed.
    pub deadline: Timestamp,
    /// For how long the servers go on once the last of them is ready; `None`: they end when all are
    /// measured.
    #[serde(default)]
    pub keep: Option<Seconds>,
    /// Its servers.
    pub seats: Vec<Seat>,
    /// How far it is.
    pub stage: Stage,
}

/// One server of a rehearsal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seat {
    /// Its name among the owner's.
    pub name: ServerName,
    /// Where it is or was.
    #[serde(default)]
    pub host: Option<HostId>,
    /// What its start took; `None`: it does not answer yet, or failed.
    #[serde(default)]
    pub took: Option<Took>,
    /// Why it did not get ready.
    #[serde(default)]
    pub failed: Option<End>,
}

/// How far a rehearsal is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Stage {
    /// Servers start and are measured.
    Running,
    /// All are measured, and go on for a while.
    Kept,
    /// All are being ended.
    Ending,
    /// Nothing of them is left.
    Over,
}

impl Stage {
    /// The stable word.
    pub fn word(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Kept => "kept",
            Self::Ending => "ending",
            Self::Over => "over",
        }
    }
}

/// What a start took, in milliseconds. The parts make the whole.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Took {
    /// Until its host began with it.
    pub queued_ms: u64,
    /// The image, where it had to be fetched.
    pub image_ms: u64,
    /// Spaces and container, until its process ran.
    pub container_ms: u64,
    /// Until JupyterLab answered and the hub knew it.
    pub ready_ms: u64,
    /// All of it.
    pub total_ms: u64,
}

impl Took {
    /// Of a server that answers, from a moment on. What lies between two steps is by the host's
    /// clock, the whole by the hub's: so clocks that differ falsify no part.
    pub fn of(server: &Server, since: Timestamp) -> Option<Self> {
        let placement = server.placement()?;
        let total_ms = placement.ready_at?.millis_since(since);
        let at = |step: StartStep| step_at(&placement.steps, step);
        let between = |from: Option<Timestamp>, to: Option<Timestamp>| {
            from.zip(to).map_or(0, |(from, to)| to.millis_since(from))
        };
        let (image, started) = (at(StartStep::Image), at(StartStep::Started));
        // A clock that was set meanwhile makes no part larger than what is left of the whole.
        let mut left = total_ms;
        let mut take = |millis: u64| {
            let taken = millis.min(left);
            left -= taken;
            taken
        };
        let image_ms = take(between(at(StartStep::Fetch), image));
        let container_ms = take(between(image, started));
        let ready_ms = take(between(started, at(StartStep::Answers)));
        Some(Self { queued_ms: left, image_ms, container_ms, ready_ms, total_ms })
    }
}

fn step_at(steps: &[StepDone], step: StartStep) -> Option<Timestamp> {
    steps.iter().find(|done| done.step == step).map(|done| done.at)
}

/// The least, middle, nearly largest and largest of some spans, in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Spread {
    /// The least.
    pub min: u64,
    /// Half of them took this long at most.
    pub median: u64,
    /// Nineteen of twenty took this long at most.
    pub p95: u64,
    /// The largest.
    pub max: u64,
}

impl Spread {
    /// By nearest rank; `None` of nothing.
    pub fn of(spans: impl IntoIterator<Item = u64>) -> Option<Self> {
        let mut sorted: Vec<u64> = spans.into_iter().collect();
        sorted.sort_unstable();
        let rank = |percent: usize| {
            let rank = sorted.len().saturating_mul(percent).div_ceil(100).max(1);
            sorted.get(rank - 1).copied()
        };
        Some(Self { min: *sorted.first()?, median: rank(50)?, p95: rank(95)?, max: rank(100)? })
    }
}

impl Seat {
    /// A server of this name, not asked for yet.
    pub fn new(name: ServerName) -> Self {
        Self { name, host: None, took: None, failed: None }
    }

    /// Whether it is known how its start went.
    pub fn is_settled(&self) -> bool {
        self.took.is_some() || self.failed.is_some()
    }
}

impl Rehearsal {
    /// Whether something of it is, or may be, there.
    pub fn is_under_way(&self) -> bool {
        self.stage != Stage::Over
    }

    /// The server of a seat, if it is there.
    pub fn server<'a>(&self, fleet: &'a Fleet, seat: &Seat) -> Option<&'a Server> {
        let server = fleet.find(&self.owner, &seat.name)?;
        server.is_rehearsal().then_some(server)
    }

    /// The same with what the fleet shows of each start: who is ready, and who has failed.
    #[must_use]
    pub fn measured(&self, fleet: &Fleet) -> Self {
        let mut next = self.clone();
        for seat in next.seats.iter_mut().filter(|seat| !seat.is_settled()) {
            let Some(server) = self.server(fleet, seat) else { continue };
            let placement = server.placement();
            if let Some(placement) = placement {
                seat.host = Some(placement.host.clone());
            }
            seat.took = Took::of(server, self.order.at);
            if seat.took.is_none() {
                let stop = placement.and_then(|placement| placement.stop.as_ref());
                let ended = server.last_end.as_ref().filter(|_| !server.is_active());
                seat.failed = stop.map(|stop| &stop.end).or(ended).cloned();
            }
        }
        next
    }

    /// How far it should be at a moment.
    pub fn next_stage(&self, now: Timestamp) -> Stage {
        let settled = self.seats.iter().all(Seat::is_settled);
        match self.stage {
            Stage::Running | Stage::Kept if settled => match self.until() {
                Some(until) if now < until => Stage::Kept,
                _ => Stage::Ending,
            },
            stage => stage,
        }
    }

    /// When servers that are kept end; `None`: they are not kept, or none is ready.
    pub fn until(&self) -> Option<Timestamp> {
        let last_ready = Seconds(self.slowest_ms()?.div_ceil(1000));
        Some(self.order.at.plus(last_ready).plus(self.keep?))
    }

    /// Until the last was ready, in milliseconds; `None`: none is.
    fn slowest_ms(&self) -> Option<u64> {
        self.seats.iter().filter_map(|seat| seat.took).map(|took| took.total_ms).max()
    }

    /// What is not known yet of the starts will not be: they were too slow, or it was broken off.
    pub fn give_up(&mut self, reason: Reason, detail: &str, at: Timestamp) {
        for seat in self.seats.iter_mut().filter(|seat| !seat.is_settled()) {
            seat.failed = Some(End { reason, detail: detail.to_owned(), at });
        }
    }

    /// How many got ready.
    pub fn ready(&self) -> usize {
        self.seats.iter().filter(|seat| seat.took.is_some()).count()
    }

    /// When the last of so many people would be in, in milliseconds from the first click, if starts
    /// go on at the rate that was measured; `None`: none got ready.
    pub fn foreseen_ms(&self, people: u32) -> Option<u64> {
        let slowest = self.slowest_ms()?;
        let ready = u64::try_from(self.ready()).unwrap_or(u64::MAX).max(1);
        let more = slowest.saturating_mul(u64::from(people)).div_ceil(ready);
        Some(slowest.max(more))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_spread_is_of_values_that_were_measured() {
        let spread = Spread::of((1..=30).rev()).unwrap();
        assert_eq!((spread.min, spread.median, spread.p95, spread.max), (1, 15, 29, 30));
        assert_eq!(
            Spread::of([7]).map(|it| (it.min, it.median, it.p95, it.max)),
            Some((7, 7, 7, 7))
        );
        assert_eq!(Spread::of([]), None);
    }

    fn rehearsal(totals: &[u64]) -> Rehearsal {
        let seat = |total: &u64| Seat {
            took: Some(Took { total_ms: *total, ..Took::default() }),
            ..Seat::new("rehearsal-1".parse().unwrap())
        };
        Rehearsal {
            training: "school".into(),
            owner: "carol".parse().unwrap(),
            order: Order { reason: String::new(), who: "carol".into(), at: Timestamp(0) },
            epoch: Epoch(1),
            restarted: false,
            deadline: Timestamp(10),
            keep: None,
            seats: totals.iter().map(seat).collect(),
            stage: Stage::Running,
        }
    }

    #[test]
    fn fewer_servers_than_people_foresee_in_proportion() {
        let of_two = rehearsal(&[3000, 4000]);
        assert_eq!(of_two.foreseen_ms(2), Some(4000));
        assert_eq!(of_two.foreseen_ms(1), Some(4000), "never less than was seen");
        assert_eq!(of_two.foreseen_ms(30), Some(60_000));
        assert_eq!(rehearsal(&[]).foreseen_ms(30), None);
    }

    #[test]
    fn it_ends_when_all_is_known_and_a_kept_one_in_its_time() {
        let mut it = rehearsal(&[3000, 2000]);
        assert_eq!(it.next_stage(Timestamp(1)), Stage::Ending);
        it.keep = Some(Seconds(60));
        // A minute from when the last was ready.
        let until = Timestamp(63_000_000);
        for stage in [Stage::Running, Stage::Kept] {
            it.stage = stage;
            assert_eq!(it.next_stage(Timestamp(until.0 - 1)), Stage::Kept);
            assert_eq!(it.next_stage(until), Stage::Ending);
        }
        it.seats.push(Seat::new("rehearsal-2".parse().unwrap()));
        it.stage = Stage::Running;
        assert_eq!(it.next_stage(until), Stage::Running, "one is not known");
        it.give_up(Reason::FailedNoAnswer, "late", until);
        assert_eq!(it.next_stage(until), Stage::Ending);
        assert_eq!(it.ready(), 2);
        it.seats.drain(..2);
        assert_eq!(it.next_stage(Timestamp(1)), Stage::Ending, "nothing is there to be kept");
    }
}
