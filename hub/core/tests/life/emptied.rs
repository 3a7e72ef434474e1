//! A host is emptied on which one server works, one is idle, one has just been started and one is
//! stopped by its owner. The hub is killed at every step, before and after it has saved what the
//! step did, and the agent is cut off in the middle or over the deadline. Who is told what, and how
//! each of them ends, is the same every time.

use std::collections::BTreeMap;

use berth_common::{HostId, Reason, Seconds, ServerId, Timestamp};
use berth_core::drain::single::AtDeadline;
use berth_core::fleet::{HostState, Intent, Order};
use berth_core::life::Evidence;
use berth_core::settings::Lifecycle;
use berth_core::{Event, step};

use super::bench::{Bench, Death, HOUR, MONDAY, idle_after};

/// The order is given at nine, and the host is to be empty at nine in the evening.
const DEADLINE: u64 = 12 * HOUR;
/// The idle limit: an hour into the afternoon.
const IDLE: u64 = 5 * HOUR;
/// From one look to the next.
const BEAT: u64 = HOUR / 2;
/// The last moment that is looked at.
const END: u64 = 16 * HOUR;

/// When the agent is away, in seconds after the order.
const AWAY: [Option<(u64, u64)>; 3] =
    [None, Some((2 * HOUR, 7 * HOUR)), Some((11 * HOUR, 15 * HOUR))];

/// What an owner was told: how long before the deadline, `None` at once; and when.
type Told = Vec<(Option<Seconds>, u64)>;

/// How a server left.
#[derive(Debug, Clone, Copy)]
struct Gone {
    reason: Reason,
    /// When it was ordered to end.
    ordered: u64,
    /// When the host was known to show it no more.
    gone: u64,
}

fn lifecycle() -> Lifecycle {
    Lifecycle { idle: vec![idle_after(IDLE)], ..Lifecycle::default() }
}

fn seconds(at: Timestamp) -> u64 {
    at.millis_since(MONDAY.parse().unwrap()) / 1000
}

/// One such day.
struct Day {
    bench: Bench,
    host: HostId,
    /// By name of the owner.
    people: BTreeMap<&'static str, ServerId>,
    told: BTreeMap<&'static str, Told>,
    ends: BTreeMap<&'static str, Gone>,
    drained_at: Option<u64>,
}

impl Day {
    fn lived(away: Option<(u64, u64)>, death: Option<Death>) -> Self {
        let mut bench = Bench::new(lifecycle());
        let mut people: BTreeMap<_, _> =
            ["busy", "idle", "quits"].map(|name| (name, bench.runs(name, "cpu"))).into();
        bench.works.insert(people["busy"].clone());
        let starting = bench.waits("starting", "cpu");
        bench.starting.insert(starting.clone());
        people.insert("starting", starting);
        bench.beat();
        let (told, ends) = Default::default();
        let host = "c1".parse().unwrap();
        let mut day = Self { bench, host, people, told, ends, drained_at: None };
        (day.bench.death, day.bench.taken) = (death, 0);
        day.order();
        let moments = (0..=END / BEAT).map(|beat| beat * BEAT);
        // The last lead is between two looks.
        for at in moments.flat_map(|at| [at, at + BEAT - 600]) {
            day.bench.reports = away.is_none_or(|(from, to)| !(from..to).contains(&at));
            day.goes_to(at);
        }
        day
    }

    /// Whoever gets no answer gives the order again.
    fn order(&mut self) {
        let by = self.bench.now.plus(Seconds(DEADLINE));
        while self.bench.fleet.hosts[&self.host].intent == Intent::Open {
            let plan = step::drain_plan(&self.host, Some(by), AtDeadline::Stop);
            let (reason, who) = ("kernel".into(), "erin".into());
            let order = Order { reason, who, at: self.bench.now };
            let intent = Intent::Draining { order, by: Some(by), plan };
            self.bench.take(Event::Intend { host: self.host.clone(), intent, reply: None });
            self.look();
        }
    }

    fn goes_to(&mut self, at: u64) {
        if at >= BEAT {
            self.bench.starting.clear();
        }
        let now = MONDAY.parse::<Timestamp>().unwrap().plus(Seconds(at));
        self.bench.goes_to(now);
        self.look();
        // Who works in the evening is active until then.
        if at < DEADLINE {
            let starting = self.people["starting"].clone();
            self.bench.sign(&starting, Evidence::Browser);
        }
        if at == HOUR {
            while self.bench.end(&self.people["quits"]).is_none() {
                self.bench.stops(&self.people["quits"].clone());
            }
        }
        self.look();
    }

    /// Notes what is new and saved.
    fn look(&mut self) {
        let now = seconds(self.bench.now);
        let Intent::Draining { plan, .. } = &self.bench.fleet.hosts[&self.host].intent else {
            return;
        };
        for (name, id) in &self.people {
            if let Some(said) = plan.told.get(id) {
                let all = self.told.entry(name).or_default();
                if all.last().is_none_or(|(lead, _)| *lead != said.lead) {
                    all.push((said.lead, seconds(said.newest)));
                }
            }
            let end = self.bench.server(id).last_end.as_ref();
            let gone = self.bench.server(id).placement().is_none();
            if let Some(end) = end.filter(|_| gone) {
                let gone = Gone { reason: end.reason, ordered: seconds(end.at), gone: now };
                self.ends.entry(name).or_insert(gone);
            }
        }
        let host = &self.bench.fleet.hosts[&self.host];
        if self.bench.fleet.host_state(host, self.bench.now) == HostState::Drained {
            self.drained_at.get_or_insert(now);
        }
    }

    /// Compares the day with what was planned.
    fn assert_as_planned(&self, away: Option<(u64, u64)>, what: &str) {
        let Self { told, ends, .. } = self;
        let at_once = (None, 0);
        let leads = [2 * HOUR, 600].map(|lead| (Some(Seconds(lead)), DEADLINE - lead));
        let to_the_end = [at_once, leads[0], leads[1]];
        for name in ["busy", "starting"] {
            assert_eq!(told[name], to_the_end, "{name} {what}");
        }
        for name in ["idle", "quits"] {
            assert_eq!(told[name], [at_once], "{name} {what}");
        }
        let quits = ends["quits"];
        assert_eq!((quits.reason, quits.ordered), (Reason::StoppedUser, HOUR), "{what}");
        let idle = ends["idle"];
        assert_eq!(idle.reason, Reason::StoppedIdle, "its own limit ends it: {what}");
        // Nobody is stopped unseen: whose host was silent is warned again.
        let silent = away.filter(|(from, to)| (*from..*to).contains(&IDLE));
        let earliest = silent.map_or(IDLE, |(_, back)| back);
        assert!((earliest..DEADLINE).contains(&idle.ordered), "{idle:?} {what}");
        // At the deadline, or when the host is heard again.
        let heard = away.map_or(0, |(_, back)| back).max(DEADLINE);
        for name in ["busy", "starting"] {
            let end = ends[name];
            assert_eq!(end.reason, Reason::StoppedDrain, "{name} {what}");
            assert!((DEADLINE..=heard + BEAT).contains(&end.ordered), "{name}: {end:?} {what}");
            assert!((heard..=heard + BEAT).contains(&end.gone), "{name}: {end:?} {what}");
        }
        let last = ends.values().map(|end| end.gone).max();
        assert!(self.drained_at >= last, "{:?} {what}", self.drained_at);
        for id in self.people.values() {
            assert_eq!(self.bench.server(id).generation.0, 1, "nobody was started anew: {what}");
        }
    }
}

#[test]
fn it_ends_as_planned_whenever_the_hub_dies_and_the_agent_is_away() {
    for away in AWAY {
        let quiet = Day::lived(away, None);
        quiet.assert_as_planned(away, "without a death");
        let steps = quiet.bench.taken;
        // A death at each step of each day is a matter of a minute: a share of them by default.
        let share = if std::env::var_os("BERTH_LONG").is_some() { 1 } else { 7 };
        for after in (0..steps).step_by(share) {
            for saved in [false, true] {
                let day = Day::lived(away, Some(Death { after, saved }));
                assert!(day.bench.death.is_none(), "it has died");
                day.assert_as_planned(away, &format!("away {away:?}, {after} steps, {saved}"));
            }
        }
    }
}
