//! A drain step by step in a small world, its hub killed wherever that is possible.

use std::collections::{BTreeMap, BTreeSet};

use berth_common::{HostId, Resources, Seconds, ServerId, Timestamp};
use berth_core::drain::intent::{Goal, Intent, State};
use berth_core::drain::next::{HostView, ServerView, Step, View, Why, forecast, next, order, wake};
use berth_core::drain::single::{AtDeadline, Occupant, Span};

use super::random::{Random, cases, gigabytes};

const MINUTE: i64 = 60_000_000;
/// After this long, in minutes, a world must have come to rest.
const END: i64 = 600;

fn minute(count: i64) -> Timestamp {
    Timestamp(count * MINUTE)
}

/// Hosts and servers that obey, a minute later.
#[derive(Clone)]
struct World {
    hosts: BTreeMap<HostId, HostView>,
    servers: BTreeMap<ServerId, Inhabitant>,
    /// The intent as the store has it.
    stored: String,
    now: i64,
    rebooting: BTreeMap<HostId, i64>,
    log: Vec<String>,
}

#[derive(Clone)]
struct Inhabitant {
    view: ServerView,
    busy: Vec<Span>,
    /// When what it was told is done.
    done_at: i64,
}

impl World {
    fn random(random: &mut Random, goal: Goal, at_deadline: AtDeadline) -> Self {
        let count = 3 + random.below(4);
        let hosts: BTreeMap<HostId, HostView> = (0..count)
            .map(|index| {
                let host = HostView {
                    room: gigabytes(16),
                    takes: vec![0],
                    open: true,
                    boot: Some("boot-0".parse().unwrap()),
                };
                (format!("h{index}").parse().unwrap(), host)
            })
            .collect();
        let mut servers = BTreeMap::new();
        for (name, view) in &hosts {
            let mut left = view.room.memory.0 >> 30;
            for _ in 0..random.below(6) {
                let need = random.pick(&[1, 2, 3, 4, 8]);
                if need <= left {
                    left -= need;
                    let id = format!("{:016x}", servers.len()).parse().unwrap();
                    servers.insert(id, Inhabitant::random(random, name, need));
                }
            }
        }
        let leads = vec![Seconds(120 * 60), Seconds(600)];
        let mut drained: Vec<HostId> = hosts.keys().cloned().collect();
        if let Goal::Drain { .. } = goal {
            drained.truncate(2);
        }
        let mut world = Self {
            hosts,
            servers,
            stored: String::new(),
            now: 0,
            rebooting: BTreeMap::new(),
            log: Vec::new(),
        };
        let drained = match goal {
            Goal::Drain { .. } => drained,
            Goal::Reboot { .. } => order(&world.view(), &drained),
        };
        world.store(&Intent::new(goal, drained, leads, at_deadline, 2));
        world
    }

    fn view(&self) -> View {
        let servers = self.servers.iter().map(|(id, server)| (id.clone(), server.at(self.now)));
        View { hosts: self.hosts.clone(), servers: servers.collect() }
    }

    fn intent(&self) -> Intent {
        serde_json::from_str(&self.stored).unwrap()
    }

    fn store(&mut self, intent: &Intent) {
        self.stored = serde_json::to_string(intent).unwrap();
    }

    /// What the hub does with a step, and its record, in one transaction.
    fn take(&mut self, step: &Step) {
        let mut intent = self.intent();
        self.judge(&intent, step);
        intent.record(step, minute(self.now));
        self.store(&intent);
        match step {
            Step::Restart(handover) => {
                let server = self.servers.get_mut(&handover.server).unwrap();
                server.view.moving_to = Some(handover.to.clone());
                server.done_at = self.now + 2;
            }
            Step::Stop { server, .. } => {
                let server = self.servers.get_mut(server).unwrap();
                server.view.stopping = true;
                server.done_at = self.now + 1;
            }
            Step::Empty { host, .. } if matches!(intent.goal, Goal::Reboot { .. }) => {
                self.rebooting.insert(host.clone(), self.now + 5);
            }
            _ => {}
        }
        let now = self.now;
        self.log.push(format!("{now} {step:?}"));
    }

    /// What no step may do.
    fn judge(&self, intent: &Intent, step: &Step) {
        let told = |server: &ServerId, before: i64| {
            let host = &self.servers[server].view.host;
            let told = intent.told.get(server).filter(|told| told.host == *host);
            told.is_some_and(|told| told.at <= minute(self.now - before))
        };
        match step {
            Step::Restart(handover) => {
                let server = self.servers[&handover.server].at(self.now);
                assert!(!server.stopping && server.moving_to.is_none(), "{step:?}");
                assert!(!is_busy(&server.about, self.now), "busy: {step:?}");
                assert!(!intent.is_closed(&handover.to), "closed: {step:?}");
                let held = self.servers.values().filter(|other| {
                    other.view.host == handover.to
                        || other.view.moving_to.as_ref() == Some(&handover.to)
                });
                let held: Resources = held.map(|other| other.view.about.need).sum();
                let total = held.plus(&server.about.need);
                assert!(total.fits(&self.hosts[&handover.to].room), "no room: {step:?}");
                assert!(told(&handover.server, 10), "not told: {step:?}");
            }
            Step::Stop { server, why } => {
                let about = self.servers[server].at(self.now).about;
                assert!(*why == Why::Deadline || !is_busy(&about, self.now), "busy: {step:?}");
                assert!(told(server, 0), "not told: {step:?}");
            }
            Step::Empty { host, .. } => {
                assert!(self.servers.values().all(|server| server.view.host != *host));
            }
            _ => {}
        }
    }

    /// A minute passes.
    fn pass(&mut self) {
        self.now += 1;
        let now = self.now;
        self.servers.retain(|_, server| !(server.view.stopping && server.done_at <= now));
        for server in self.servers.values_mut() {
            if server.done_at <= now
                && let Some(to) = server.view.moving_to.take()
            {
                server.view.host = to;
            }
        }
        // Elsewhere, idle servers end as ever.
        let intent = self.intent();
        self.servers.retain(|_, server| {
            let elsewhere = !intent.is_closed(&server.view.host) && server.view.moving_to.is_none();
            let about = server.at(now).about;
            let limit = about.idle_since.zip(about.idle_limit);
            let overdue = limit.is_some_and(|(since, limit)| since.plus(limit) < minute(now));
            !(elsewhere && overdue && !is_busy(&about, now))
        });
        let back: Vec<HostId> = self
            .rebooting
            .iter()
            .filter(|(_, at)| **at <= now)
            .map(|(host, _)| host.clone())
            .collect();
        for host in back {
            self.rebooting.remove(&host);
            self.hosts.get_mut(&host).unwrap().boot = Some("boot-1".parse().unwrap());
        }
    }

    /// Lives to the end. `hub` says how many of these steps are taken before the hub dies; the
    /// rest is lost, and the next hub knows what is stored and what it sees. `None`: there is no
    /// hub in this minute.
    fn live(&mut self, until: i64, mut hub: impl FnMut(usize) -> Option<usize>) {
        while self.now < until {
            loop {
                let steps = next(&self.intent(), &self.view(), minute(self.now));
                let Some(count) = hub(steps.len()).filter(|_| !steps.is_empty()) else { break };
                steps.iter().take(count).for_each(|step| self.take(step));
                assert!(self.log.len() < 2_000, "it never ends: {:#?}", &self.log[1_980..]);
            }
            self.pass();
        }
    }
}

impl Inhabitant {
    fn random(random: &mut Random, host: &HostId, need: u64) -> Self {
        let mut busy = Vec::new();
        let mut from = random.below(200) as i64 - 100;
        for _ in 0..random.below(4) {
            let until = from + 1 + random.below(200) as i64;
            busy.push(Span { from: minute(from), until: minute(until) });
            from = until + 1 + random.below(100) as i64;
        }
        let about = Occupant {
            need: gigabytes(need),
            kind: 0,
            busy: Vec::new(),
            idle_since: None,
            idle_limit: random.pick(&[None, Some(Seconds(3_600)), Some(Seconds(12 * 3_600))]),
            may_restart: random.below(8) > 0,
        };
        let view = ServerView { host: host.clone(), moving_to: None, stopping: false, about };
        Self { view, busy, done_at: 0 }
    }

    /// What an agent would report.
    fn at(&self, now: i64) -> ServerView {
        let mut view = self.view.clone();
        let past = self.busy.iter().filter(|span| span.from <= minute(now));
        let last = past.map(|span| span.until).max().unwrap_or(minute(-100));
        view.about.idle_since = (last <= minute(now)).then_some(last);
        view.about.busy =
            self.busy.iter().filter(|span| span.until > minute(now)).copied().collect();
        view
    }
}

fn is_busy(about: &Occupant, now: i64) -> bool {
    about.busy.iter().any(|span| span.from <= minute(now) && minute(now) < span.until)
}

fn goal(random: &mut Random) -> (Goal, AtDeadline) {
    let goal = match random.below(3) {
        0 => Goal::Drain { by: Some(minute(200 + random.below(100) as i64)) },
        1 => Goal::Drain { by: None },
        _ => Goal::Reboot { each: random.pick(&[Some(Seconds(3_000)), Some(Seconds(1_200))]) },
    };
    (goal, random.pick(&[AtDeadline::Stop, AtDeadline::Stop, AtDeadline::Hold]))
}

fn worlds(seed: u64, count: u64) -> impl Iterator<Item = World> {
    let mut random = Random(seed);
    (0..count).map(move |_| {
        let (goal, at_deadline) = goal(&mut random);
        World::random(&mut random, goal, at_deadline)
    })
}

#[test]
fn a_hub_killed_at_any_step_ends_where_the_others_end() {
    let mut kills = 0;
    for world in worlds(5, cases(12, 600)) {
        let mut undisturbed = world.clone();
        undisturbed.live(END, Some);
        for kill_at in 0..=undisturbed.log.len() {
            let (mut disturbed, mut taken, mut dead) = (world.clone(), 0, false);
            disturbed.live(END, |steps| {
                let dies = !dead && taken + steps > kill_at;
                let count = if dies { kill_at - taken } else { steps };
                dead |= dies;
                taken += count;
                Some(count)
            });
            kills += 1;
            assert_eq!(disturbed.log, undisturbed.log, "killed after {kill_at} steps");
            assert_eq!(disturbed.stored, undisturbed.stored);
        }
    }
    println!("{kills} kills");
}

#[test]
fn a_hub_that_dies_after_every_step_too() {
    for world in worlds(6, cases(40, 2_000)) {
        let (mut undisturbed, mut disturbed) = (world.clone(), world);
        undisturbed.live(END, Some);
        disturbed.live(END, |_| Some(1));
        assert_eq!(disturbed.log, undisturbed.log);
    }
}

#[test]
fn drains_with_a_deadline_end_and_nobody_hears_a_thing_twice() {
    for (index, mut world) in worlds(7, cases(80, 3_000)).enumerate() {
        let mut random = Random(index as u64);
        // Every other world has a hub that is away most of the time.
        let often = index % 2 == 0;
        world.live(END - 50, |steps| (often || random.below(50) == 0).then_some(steps));
        world.live(END, Some);
        let intent = world.intent();
        let by = matches!(intent.goal, Goal::Drain { by: Some(_) });
        if by && intent.at_deadline == AtDeadline::Stop {
            assert!(intent.is_done(), "{intent:?}");
            assert_eq!(next(&intent, &world.view(), minute(world.now)), []);
        }
        let tells: Vec<&str> = world
            .log
            .iter()
            .filter_map(|line| line.split_once(' ').map(|(_, step)| step))
            .filter(|step| step.starts_with("Tell"))
            .collect();
        let different: BTreeSet<&str> = tells.iter().copied().collect();
        assert_eq!(tells.len(), different.len(), "{:#?}", world.log);
    }
}

#[test]
fn the_hub_need_not_look_before_it_said_it_would() {
    for world in worlds(8, cases(25, 1_000)) {
        let (mut watched, mut slept) = (world.clone(), world);
        watched.live(END, Some);
        // Looks only when something changed by itself, or when the time has come.
        let mut look = Some(minute(0));
        while slept.now < END {
            let before = (slept.servers.len(), format!("{:?}", slept.view()));
            if look.is_some_and(|at| at <= minute(slept.now)) {
                loop {
                    let steps = next(&slept.intent(), &slept.view(), minute(slept.now));
                    if steps.is_empty() {
                        break;
                    }
                    steps.iter().for_each(|step| slept.take(step));
                }
            }
            slept.pass();
            let changed = (slept.servers.len(), format!("{:?}", slept.view())) != before;
            look = match changed {
                true => Some(minute(slept.now)),
                false => wake(&slept.intent(), &slept.view(), minute(slept.now - 1)),
            };
        }
        assert_eq!(slept.log, watched.log);
    }
}

#[test]
fn idle_servers_of_a_rolling_reboot_restart_once() {
    let mut random = Random(9);
    for _ in 0..cases(15, 500) {
        let goal = Goal::Reboot { each: None };
        let mut world = World::random(&mut random, goal, AtDeadline::Stop);
        for server in world.servers.values_mut() {
            server.busy.clear();
            server.view.about.may_restart = true;
            server.view.about.idle_limit = None;
        }
        world.hosts.insert("spare".parse().unwrap(), world.hosts.values().next().unwrap().clone());
        let foreseen = forecast(&world.intent(), &world.view());
        assert_eq!((foreseen.cost.stuck, foreseen.cost.worst.max(1)), (0, 1));
        let servers = world.servers.len();
        world.live(END, Some);
        let intent = world.intent();
        assert!(intent.turns.iter().all(|turn| turn.state == State::Done), "{:#?}", world.log);
        let restarts = world.log.iter().filter(|line| line.contains("Restart")).count();
        assert_eq!(restarts, servers);
        assert_eq!(world.servers.len(), servers);
    }
}
