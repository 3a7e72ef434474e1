//! A thousand random lives under a virtual clock: whatever the limits, nights, signs, extensions,
//! reloads, silences and restarts, no server stops without having been warned by day.

use std::collections::BTreeSet;

use berth_common::{Reason, Seconds, ServerId, Timestamp};
use berth_core::Answer;
use berth_core::life::{Evidence, leads};
use berth_core::settings::{ByProfile, Channel, Extend, Lifecycle, Warn};

use super::bench::{Bench, DAY, HOUR, idle_after, nights};
use super::random::Random;

const SCHEDULES: u64 = 1_000;

/// What a person would swear to.
struct Witness {
    /// When the person was last there, or a new limit began.
    from: Timestamp,
    limit: u64,
    promised: Option<Timestamp>,
    /// Warnings as saved: when, and whether by day.
    told: Vec<Timestamp>,
}

#[derive(Debug, Default)]
struct Counts {
    stops: u64,
    extensions: u64,
    refused: u64,
    restarts: u64,
    silences: u64,
    shortened: u64,
    moved_by_night: u64,
}

fn rules(random: &mut Random) -> Lifecycle {
    let limit = random.pick(&[HOUR, 2 * HOUR, DAY / 2, DAY, 3 * DAY, 30 * HOUR]);
    let all = [24 * HOUR, 2 * HOUR, 600, 300];
    let mut chosen: Vec<_> =
        all.into_iter().filter(|_| random.permille(600)).map(Seconds).collect();
    if chosen.is_empty() {
        chosen.push(Seconds(600));
    }
    let quiet = random.permille(600).then(nights);
    let channels = BTreeSet::from([Channel::Card]);
    let step = Seconds(random.pick(&[HOUR, DAY / 2, DAY]));
    let default = random.between(0, 3) as u32;
    Lifecycle {
        idle: vec![idle_after(limit)],
        warn: Warn { leads: chosen, channels, quiet },
        extend: Extend { step, max_times: ByProfile { default, ..ByProfile::default() } },
        ..Lifecycle::default()
    }
}

fn limit_of(rules: &Lifecycle) -> u64 {
    rules.idle[0].stop_after.unwrap().0
}

/// One life. `dies`: whether the hub is restarted where the schedule says so. Returns when and why
/// the server stopped, and whether its host was silent meanwhile.
fn live(seed: u64, dies: bool, counts: &mut Counts) -> (Option<Timestamp>, bool) {
    let mut random = Random(seed);
    let mut rules = rules(&mut random);
    let mut bench = Bench::new(rules.clone());
    bench.now = bench.now.plus(Seconds(random.between(0, 2 * DAY)));
    bench.beat();
    let id = bench.runs("alice", "cpu");
    let mut witness =
        Witness { from: bench.now, limit: limit_of(&rules), promised: None, told: Vec::new() };
    let (mut silent_until, mut silenced) = (None::<Timestamp>, false);
    let busy_until = bench.now.plus(Seconds(random.between(0, 4 * DAY)));
    let end = bench.now.plus(Seconds(16 * DAY));
    while bench.now < end && bench.end(&id).is_none() {
        let wait = random.between(1, 1_200);
        let next = bench.next(&id).unwrap_or(end).min(bench.now.plus(Seconds(wait)));
        bench.now = next;
        let acts = random.between(0, 999);
        if silent_until.is_some_and(|until| until <= bench.now) {
            silent_until = None;
        }
        bench.reports = silent_until.is_none();
        bench.beat();
        witness.sees(&bench, &id);
        if bench.end(&id).is_some() {
            break;
        }
        match acts {
            0..30 if bench.now < busy_until => {
                bench.sign(&id, Evidence::Browser);
                witness.from = bench.now;
            }
            30..36 => extend(&mut bench, &id, &rules, &mut witness, counts),
            36..38 => {
                let before = limit_of(&rules);
                rules = self::rules(&mut random);
                bench.reload(rules.clone());
                witness.limit = limit_of(&rules);
                if limit_of(&rules) < before {
                    counts.shortened += 1;
                    witness.from = bench.now;
                }
            }
            38..44 if dies => {
                counts.restarts += 1;
                bench.reborn(rules.clone());
                // The proxy has kept its clock, and tells it again.
                let server = bench.server(&id).last_activity.max(witness.from).min(bench.now);
                let event = berth_core::Event::Activity {
                    server: id.clone(),
                    kind: Evidence::Browser,
                    at: server,
                };
                if witness.from > bench.server(&id).placement().unwrap().ready_at.unwrap() {
                    bench.take(event);
                }
            }
            44..46 if seed.is_multiple_of(4) => {
                counts.silences += 1;
                silenced = true;
                silent_until = Some(bench.now.plus(Seconds(random.between(3 * HOUR, 2 * DAY))));
            }
            _ => {}
        }
        witness.sees(&bench, &id);
    }
    witness.judges(&bench, &id, &rules, seed, counts);
    (bench.end(&id).map(|(_, at, _)| at), silenced)
}

fn extend(
    bench: &mut Bench,
    id: &ServerId,
    rules: &Lifecycle,
    witness: &mut Witness,
    counts: &mut Counts,
) {
    let before = bench.outlook(id);
    match bench.extend(id, 1) {
        Answer::Extended { stop, left } => {
            counts.extensions += 1;
            assert_eq!(stop, before.stop.unwrap().0.plus(rules.extend.step), "one step");
            assert_eq!(left + 1, before.extension.left, "one from the budget");
            assert!(bench.outlook(id).stop.unwrap().0 >= stop);
            assert_eq!(bench.servers[id].placement().unwrap().life.kept_until, Some(stop));
            witness.promised = Some(stop);
        }
        Answer::ExtensionsUsedUp { left: 0, .. } => {
            counts.refused += 1;
            assert_eq!(before.extension.left, 0);
        }
        other => panic!("{other:?}"),
    }
}

fn is_night(at: Timestamp) -> bool {
    let hour = (at.0 / 3_600_000_000 + 2) % 24;
    !(7..20).contains(&hour)
}

impl Witness {
    /// Looks at what was saved: a warning that is not saved was not given.
    fn sees(&mut self, bench: &Bench, id: &ServerId) {
        let Some(placement) = bench.servers[id].placement() else { return };
        for told in &placement.life.told {
            if !self.told.contains(&told.at) {
                self.told.push(told.at);
            }
        }
    }

    fn judges(
        &self,
        bench: &Bench,
        id: &ServerId,
        rules: &Lifecycle,
        seed: u64,
        counts: &mut Counts,
    ) {
        let (Some((reason, at, detail)), limit) = (bench.end(id), self.limit) else {
            // It was left alone: only because its time has not come.
            let stop = bench.outlook(id).stop.unwrap().0;
            assert!(stop > bench.now || !bench.reports, "seed {seed}: {stop} is over");
            return;
        };
        counts.stops += 1;
        assert_eq!(reason, Reason::StoppedIdle);
        assert!(detail.starts_with(&format!("No activity for {}", Seconds(limit))), "{detail}");
        let natural = self.from.plus(Seconds(limit));
        assert!(at >= natural, "seed {seed}: stopped at {at}, before {natural}");
        if let Some(promised) = self.promised {
            assert!(at >= promised, "seed {seed}: stopped at {at}, promised {promised}");
        }
        let has_nights = rules.warn.quiet.is_some();
        let shortest = leads(Seconds(limit), &rules.warn).last().copied().unwrap();
        assert!(!has_nights || !is_night(at), "seed {seed}: stopped in the night, at {at}");
        let warned = self.told.iter().any(|told| {
            *told > self.from && told.plus(shortest) <= at && (!has_nights || !is_night(*told))
        });
        assert!(warned, "seed {seed}: stopped at {at}, told {:?} since {}", self.told, self.from);
        if at > natural.max(self.promised.unwrap_or(natural)) {
            counts.moved_by_night += 1;
        }
    }
}

#[test]
fn a_thousand_lives_end_only_as_they_may() {
    let mut counts = Counts::default();
    let mut compared = 0;
    for seed in 0..SCHEDULES {
        let (stop, silenced) = live(seed, true, &mut counts);
        // The same life under a hub that never dies ends at the same moment.
        if seed % 10 == 1 && !silenced {
            let (undisturbed, _) = live(seed, false, &mut Counts::default());
            assert_eq!(stop, undisturbed, "seed {seed}");
            compared += 1;
        }
    }
    println!("{counts:?}, {compared} compared");
    let Counts { stops, extensions, refused, restarts, silences, shortened, moved_by_night } =
        counts;
    assert!(stops > SCHEDULES / 2, "{stops}");
    let reached = [extensions, refused, restarts, silences, shortened, moved_by_night, compared];
    assert!(reached.iter().all(|count| *count > 20), "{reached:?}");
}
