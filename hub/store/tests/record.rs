//! An old decision tells how each host fared, the same to the last bit as on its day: whatever the
//! fleet, the site's files and the hub have been through since.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use berth_common::link::{Account, Capacity, GpuDevice, Group, HostFacts, Report};
use berth_common::{
    ByteCount, DecisionId, HostId, Incarnation, Reason, Revision, Seconds, ServerId, Timestamp,
};
use berth_core::decision::HostLine;
use berth_core::drain::single::AtDeadline;
use berth_core::event::{Effect, Row, StartRequest, Wish};
use berth_core::fleet::{Intent, Order};
use berth_core::settings::{GpuChoice, HostSettings, Image, MemoryRule, Pool, Profile, Quota};
use berth_core::step::drain_plan;
use berth_core::store::Store;
use berth_core::{Decision, Event, Fleet, Settings, step};
use berth_store::{Database, Reader};

const HOSTS: u64 = 7;
const GB: u64 = 1 << 30;

/// SplitMix64.
struct Chance(u64);

impl Chance {
    fn below(&mut self, most: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % most
    }
}

/// A hub without anything around it: steps, commits, and now and then begins anew.
struct World {
    folder: tempfile::TempDir,
    database: Database,
    fleet: Fleet,
    now: Timestamp,
    chance: Chance,
    ids: u64,
    /// Every decision whose floor was seen, with its lines as they were then.
    told: BTreeMap<DecisionId, Vec<HostLine>>,
}

fn settings(chance: &mut Chance, version: u64) -> Settings {
    let mut settings = Settings {
        version,
        lost_after: Seconds(15),
        images: BTreeMap::from([(
            "base".to_owned(),
            Image {
                reference: "nb:1".into(),
                title: "Base".into(),
                shm: None,
                cite: Default::default(),
            },
        )]),
        ..Settings::default()
    };
    for name in ["cpu", "gpu"] {
        let rule = [MemoryRule::Limits, MemoryRule::Peaks][chance.below(2) as usize];
        let pool = Pool { memory_rule: rule, oversubscribe_milli: 1500, ..Pool::default() };
        settings.pools.insert(name.into(), pool);
        let gpus = (name == "gpu").then(|| GpuChoice {
            default: 1,
            max: 2,
            share_milli: 1000,
            models: Vec::new(),
            memory: ByteCount::ZERO,
        });
        let profile = Profile {
            pool: name.into(),
            memory_default: ByteCount(4 * GB),
            memory_max: ByteCount(64 * GB),
            images: vec!["base".into()],
            gpus,
            ..Profile::default()
        };
        settings.profiles.insert(name.into(), profile);
    }
    for number in 0..HOSTS {
        // Some hosts are taken out of the files, and come back.
        if chance.below(6) == 0 {
            continue;
        }
        let host = HostSettings {
            pool: if number < 4 { "cpu".into() } else { "gpu".into() },
            memory: (chance.below(2) == 0).then_some(ByteCount(28 * GB)),
            keep_free: ByteCount(chance.below(3) * GB),
            gpus: None,
            address: format!("h{number}:8444"),
            cite: Default::default(),
        };
        settings.hosts.insert(host_id(number), host);
    }
    settings.quotas.default = Quota { servers: Some(4), ..Quota::default() };
    settings
}

fn host_id(number: u64) -> HostId {
    format!("h{number}").parse().unwrap()
}

impl World {
    fn new(seed: u64) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut database = Database::open(folder.path()).unwrap();
        let mut chance = Chance(seed);
        let settings = Arc::new(settings(&mut chance, 1));
        let fleet = begin(&mut database, settings);
        let now = Timestamp(1_778_500_000_000_000);
        Self { folder, database, fleet, now, chance, ids: 1, told: BTreeMap::new() }
    }

    /// One event, its rows committed; what it decided is compared with the floor before it.
    fn take(&mut self, event: Event) {
        // A tick of the same moment brings the floor up to that moment.
        let ticked = step(&mut self.fleet, self.now, Event::Tick);
        self.save(ticked);
        let (floor, settings) = (self.fleet.floor.clone(), Arc::clone(&self.fleet.settings));
        let prices = Arc::clone(&self.fleet.prices);
        let effects = step(&mut self.fleet, self.now, event);
        for effect in &effects {
            if let Effect::Save(Row::Decision(decision)) = effect
                && decision.inputs.floor == floor.version
                && decision.inputs.need.is_some()
            {
                let lines = decision.lines(&floor, &settings, &prices);
                self.told.insert(decision.id.clone(), lines);
            }
        }
        self.save(effects);
    }

    fn save(&mut self, effects: Vec<Effect>) {
        let rows: Vec<_> = effects
            .into_iter()
            .filter_map(|effect| match effect {
                Effect::Save(row) => Some(row),
                _ => None,
            })
            .collect();
        self.database.commit(&rows).unwrap();
    }

    fn id(&mut self) -> u64 {
        self.ids += 1;
        self.ids
    }

    fn something(&mut self) {
        self.now = self.now.plus(Seconds(self.chance.below(9)));
        match self.chance.below(20) {
            0..8 => self.start(),
            8..14 => self.report(),
            14..16 => self.stop(),
            16 => self.intend(),
            17 => {
                let version = self.id();
                let settings = Arc::new(settings(&mut self.chance, version));
                self.take(Event::SettingsChanged(settings));
            }
            18 => self.begin_again(),
            _ => self.resume(),
        }
    }

    fn start(&mut self) {
        let user = format!("user{}", self.chance.below(5));
        let account = Account {
            name: user.parse().unwrap(),
            uid: 1000,
            gid: 1000,
            groups: vec![Group { name: "lab".into(), gid: 1000 }],
            home: format!("/home/{user}"),
        };
        let wish = Wish {
            profile: Some(["cpu", "gpu"][self.chance.below(2) as usize].to_owned()),
            memory: Some(ByteCount((1 + self.chance.below(24)) * GB)),
            ..Wish::default()
        };
        let name = format!("n{}", self.chance.below(4)).parse().unwrap();
        let (server, decision) = (self.id(), self.id());
        let request = StartRequest {
            server: ServerId::from_random(server),
            decision: DecisionId::from_random(decision),
            account,
            name,
            wish,
            watched: false,
            barred: None,
            user_options: None,
            reply: None,
        };
        self.take(Event::Start(Box::new(request)));
    }

    fn report(&mut self) {
        let number = self.chance.below(HOSTS);
        let host = host_id(number);
        let seq = self.fleet.hosts.get(&host).map_or(0, |host| host.seq);
        let gpus = (0..if number < 4 { 0 } else { 2 })
            .map(|gpu| GpuDevice {
                gpu: format!("GPU-{number}-{gpu}").parse().unwrap(),
                model: "K80".into(),
                memory: ByteCount(12 * GB),
                trouble: (self.chance.below(5) == 0).then(|| "sick".to_owned()),
            })
            .collect();
        let report = Report {
            incarnation: Incarnation(1),
            boot_id: "boot-1".parse().unwrap(),
            sent: self.now,
            applied: Revision { epoch: self.fleet.epoch, seq },
            engine: if self.chance.below(8) == 0 {
                Err("no answer".into())
            } else {
                Ok(Vec::new())
            },
            pending: Vec::new(),
            gpus,
            spaces: Vec::new(),
            capacity: Capacity {
                memory_total: ByteCount(32 * GB),
                memory_free: ByteCount(self.chance.below(32 * GB)),
                cpus: 8,
                memory_pressure: None,
            },
            facts: HostFacts { images: vec!["nb:1".into()], ..HostFacts::default() },
        };
        self.take(Event::Reported { host, session: self.fleet.epoch.0, report: Box::new(report) });
    }

    fn stop(&mut self) {
        let count = self.fleet.servers.len() as u64;
        if count == 0 {
            return;
        }
        let nth = self.chance.below(count) as usize;
        let server = self.fleet.servers.keys().nth(nth).unwrap().clone();
        self.take(Event::Stop { server, reason: Reason::StoppedUser, reply: None });
    }

    fn intend(&mut self) {
        let order = Order { reason: "kernel".into(), who: "erin".into(), at: self.now };
        let by = Some(self.now.plus(Seconds(3_600)));
        let host = host_id(self.chance.below(HOSTS));
        let intent = match self.chance.below(3) {
            0 => Intent::Open,
            1 => Intent::Cordoned(order),
            _ => {
                let plan = drain_plan(&host, by, AtDeadline::Hold);
                Intent::Draining { order, by, plan }
            }
        };
        self.take(Event::Intend { host, intent, reply: None });
    }

    /// The hub is killed and comes back, perhaps with other files.
    fn begin_again(&mut self) {
        let elsewhere = tempfile::tempdir().unwrap();
        // One folder has one hub: the old one lets go of it first.
        self.database = Database::open(elsewhere.path()).unwrap();
        self.database = Database::open(self.folder.path()).unwrap();
        let version = self.id();
        let settings = Arc::new(settings(&mut self.chance, version));
        self.fleet = begin(&mut self.database, settings);
    }

    /// A commit failed, and the hub goes on from what the store holds.
    fn resume(&mut self) {
        let reader = self.database.reader().unwrap();
        let (hosts, servers) = (reader.hosts().unwrap(), reader.servers().unwrap());
        self.fleet = Fleet::resume(&self.fleet, hosts, servers);
    }
}

fn begin(database: &mut Database, settings: Arc<Settings>) -> Fleet {
    let epoch = database.next_epoch().unwrap();
    database.commit(&[Row::Settings(Arc::clone(&settings))]).unwrap();
    let reader = database.reader().unwrap();
    Fleet::restore(epoch, settings, reader.hosts().unwrap(), reader.servers().unwrap())
}

fn recomputed(reader: &Reader, decision: &Decision) -> Vec<HostLine> {
    let settings = reader.settings(decision.inputs.settings).unwrap().unwrap();
    let floor = reader.floor(decision.inputs.floor).unwrap();
    let prices = reader.prices(decision.inputs.prices).unwrap();
    decision.lines(&floor, &Arc::new(settings), &Arc::new(prices))
}

/// All decisions kept so far, recomputed; how many.
fn check(reader: &Reader, told: &BTreeMap<DecisionId, Vec<HostLine>>, seed: u64) -> usize {
    for (id, lines) in told {
        let decision = reader.decision(id).unwrap().unwrap();
        assert_eq!(recomputed(reader, &decision), *lines, "seed {seed}, decision {id}");
    }
    told.len()
}

#[test]
fn an_old_decision_tells_the_same_to_the_last_bit() {
    let rounds = if std::env::var_os("BERTH_LONG").is_some() { 200 } else { 8 };
    let mut checked = 0;
    for seed in 1..=rounds {
        let mut world = World::new(seed);
        for _ in 0..120 {
            world.something();
        }
        checked += check(&world.database.reader().unwrap(), &world.told, seed);
        let World { folder, database, told, .. } = world;
        drop(database);
        check(&reopened(folder.path()), &told, seed);
    }
    assert!(checked > 20 * rounds as usize, "only {checked} decisions were looked at");
}

fn reopened(folder: &Path) -> Reader {
    Database::open(folder).unwrap().reader().unwrap()
}

/// The time slider of the hosts' page stands on this.
#[test]
fn the_floor_of_a_past_moment_is_that_of_then() {
    let mut world = World::new(99);
    let mut seen = Vec::new();
    for _ in 0..150 {
        world.something();
        // A minute and a tick later all of it is in the store.
        world.now = world.now.plus(Seconds(60));
        world.take(Event::Tick);
        seen.push((world.now, world.fleet.floor.clone()));
        world.now = world.now.plus(Seconds(1));
    }
    let reader = world.database.reader().unwrap();
    for (at, floor) in &seen {
        let found = reader.floor_at(*at).unwrap();
        assert_eq!(found.hosts, floor.hosts, "at {at}");
    }
    let before = Timestamp(seen[0].0.0 - 3_600_000_000);
    assert_eq!(reader.floor_at(before).unwrap().hosts, Vec::new());
}

/// Replays walk from one recorded floor to the next by what changed between them.
#[test]
fn floors_follow_from_each_other_by_their_changes() {
    let mut world = World::new(7);
    for _ in 0..200 {
        world.something();
    }
    let reader = world.database.reader().unwrap();
    let decisions = reader.decisions_since(Timestamp(0), 10_000).unwrap();
    let mut walked = 0;
    for pair in decisions.windows(2) {
        let (a, b) = (&pair[0], &pair[1]);
        let versions = (a.inputs.floor, b.inputs.floor);
        if versions.0 > versions.1 || versions.0 >> 40 != versions.1 >> 40 {
            continue;
        }
        let mut floor = reader.floor(versions.0).unwrap();
        for change in reader.floor_changes(versions, (a.at, b.at)).unwrap() {
            match floor.position(&change.host) {
                Some(at) => floor.hosts[at] = Arc::new(change),
                None => {
                    floor.hosts.push(Arc::new(change));
                    floor.hosts.sort_by(|a, b| a.host.cmp(&b.host));
                }
            }
        }
        assert_eq!(floor.hosts, reader.floor(versions.1).unwrap().hosts);
        walked += 1;
    }
    assert!(walked > 20, "{walked}");
}

/// What is old is forgotten; what kept decisions were made from, and the slider's days, are not.
#[test]
fn what_is_kept_is_enough_for_every_decision_that_is_kept() {
    let mut forgotten = 0;
    for seed in 1..=6 {
        let mut world = World::new(seed);
        let mut seen = Vec::new();
        for round in 0..160 {
            world.something();
            if round % 2 == 0 {
                world.now = world.now.plus(Seconds(60));
                world.take(Event::Tick);
                seen.push((world.now, world.fleet.floor.clone()));
                world.now = world.now.plus(Seconds(1));
            }
        }
        let (before, _) = seen[40];
        let all = world.database.reader().unwrap().decisions_since(Timestamp(0), 10_000).unwrap();
        for _ in 0..2 {
            world.database.forget(before, 0).unwrap();
        }
        let reader = world.database.reader().unwrap();
        let kept = reader.decisions_since(Timestamp(0), 10_000).unwrap();
        assert_eq!(kept, all.iter().filter(|it| it.at >= before).cloned().collect::<Vec<_>>());
        let old: Vec<_> = all.iter().filter(|it| it.at < before).map(|it| it.id.clone()).collect();
        world.told.retain(|id, _| !old.contains(id));
        check(&reader, &world.told, seed);
        for (at, floor) in seen.iter().filter(|(at, _)| *at >= before) {
            assert_eq!(reader.floor_at(*at).unwrap().hosts, floor.hosts, "seed {seed}, at {at}");
        }
        // A host is gone from the oldest floors only if a newer entry of it is needed by all.
        let first = &seen[0];
        forgotten += usize::from(reader.floor_at(first.0).unwrap().hosts != first.1.hosts);
    }
    assert!(forgotten > 3, "{forgotten} of 6 had something to forget");
}

/// A hub that begins anew foresees waits as well as the one before it.
#[test]
fn lives_and_waits_outlive_the_hub() {
    use berth_core::queue::{Life, Lives, REMEMBERED, Wait, Waits};
    let folder = tempfile::tempdir().unwrap();
    let mut database = Database::open(folder.path()).unwrap();
    let (mut lives, mut waits) = (Lives::default(), Waits::default());
    for number in 0..REMEMBERED as u64 + 100 {
        let pool = ["cpu", "gpu"][number as usize % 2].to_owned();
        let ended = Timestamp(1_000_000 * number.cast_signed());
        let life = Life { pool: pool.clone(), ended, lasted: Seconds(number * 7 % 1000) };
        let foreseen = Seconds(number % 100);
        let wait = Wait { pool, foreseen, lasted: Seconds(number * 3 % 500) };
        lives.note(&life);
        waits.note(&wait);
        database.commit(&[Row::Life(life), Row::Wait(wait)]).unwrap();
    }
    let known =
        |reader: &Reader| (Lives::of(reader.lives().unwrap()), Waits::of(reader.waits().unwrap()));
    assert_eq!(known(&database.reader().unwrap()), (lives.clone(), waits.clone()));
    database.forget(Timestamp(0), 0).unwrap();
    assert_eq!(known(&database.reader().unwrap()), (lives, waits));
}
