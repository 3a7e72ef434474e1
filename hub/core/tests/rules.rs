//! The site's rules, one request at a time: what each looked at, what refuses, and when it would pass.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::sync::Arc;

use berth_common::link::{Account, Group};
use berth_common::{ByteCount, Epoch, Reason, Seconds, ServerId, Timestamp, Username};
use berth_core::Fleet;
use berth_core::event::Wish;
use berth_core::fleet::{Ask, Server};
use berth_core::rules::{self, Person, Refusal, quota_of};
use berth_core::settings::{
    Allow, Budget, Cite, Deny, GpuChoice, HostSettings, Image, Merge, Metered, People, Place, Pool,
    Profile, Quota, Rollout, Settings, Stage, Training, WhenOver, Window,
};
use berth_core::usage::{Amount, Usage, UsageDay};

use super::running;

const GB: u64 = 1 << 30;
const DAY: i64 = 86_400;

fn at(seconds: i64) -> Timestamp {
    Timestamp(seconds * 1_000_000)
}

fn cite(line: u32) -> Cite {
    Cite { file: "site.toml".into(), line }
}

fn name(user: &str) -> Username {
    user.parse().unwrap()
}

fn people(users: &[&str], groups: &[&str]) -> People {
    People {
        users: users.iter().map(|user| name(user)).collect(),
        groups: groups.iter().map(|group| (*group).to_owned()).collect(),
        ..People::default()
    }
}

fn hosts(names: &[&str]) -> Arc<BTreeSet<berth_common::HostId>> {
    Arc::new(names.iter().map(|name| name.parse().unwrap()).collect())
}

/// A profile for everybody, one with GPUs, one of a pool that is only for trainings, and a training.
fn settings() -> Settings {
    let profile = |pool: &str, line| Profile {
        pool: pool.into(),
        memory_default: ByteCount(2 * GB),
        memory_max: ByteCount(8 * GB),
        images: vec!["root".into(), "gone".into()],
        cite: cite(line),
        ..Profile::default()
    };
    let gpus = GpuChoice {
        default: 1,
        max: 2,
        share_milli: 500,
        models: vec!["A100".into()],
        memory: ByteCount(40 * GB),
    };
    let host = HostSettings {
        pool: "cpu".into(),
        memory: Some(ByteCount(64 * GB)),
        keep_free: ByteCount::ZERO,
        gpus: None,
        address: "h1:8444".into(),
        cite: cite(30),
    };
    let image =
        Image { reference: "img:2".into(), title: "ROOT".into(), shm: None, cite: cite(40) };
    let pool = Pool { cite: cite(20), ..Pool::default() };
    Settings {
        hosts: BTreeMap::from([("h1".parse().unwrap(), host)]),
        pools: BTreeMap::from([
            ("cpu".into(), pool.clone()),
            ("gpu".into(), pool.clone()),
            ("hall".into(), Pool { trainings_only: true, ..pool }),
        ]),
        profiles: BTreeMap::from([
            ("cpu".into(), Profile { default: true, ..profile("cpu", 1) }),
            ("gpu".into(), Profile { gpus: Some(gpus), ..profile("gpu", 2) }),
            ("hall".into(), profile("hall", 3)),
            ("school".into(), Profile { training: Some("school".into()), ..profile("hall", 4) }),
        ]),
        images: BTreeMap::from([("root".into(), image.clone()), ("other".into(), image)]),
        trainings: BTreeMap::from([("school".into(), training())]),
        lost_after: Seconds(15),
        ..Settings::default()
    }
}

/// Open from 100 to 300 without a gap, and from 500 to 600.
fn training() -> Training {
    let window = |from, to| Window { from: at(from), to: at(to) };
    Training {
        title: "School".into(),
        pool: "hall".into(),
        windows: vec![window(100, 200), window(200, 300), window(500, 600)],
        participants: people(&[], &["school"]),
        expected: 10,
        instructors: BTreeSet::from([name("carol")]),
        quota: Quota { servers: Some(1), memory: Some(ByteCount(4 * GB)), ..Quota::default() },
        stop_after: Seconds(600),
        start_within: Seconds(300),
        cite: cite(50),
    }
}

/// The account of `USER+GROUP+GROUP`.
fn account(who: &str) -> Account {
    let mut words = who.split('+');
    Account {
        name: name(words.next().unwrap()),
        uid: 2000,
        gid: 2000,
        groups: words.map(|group| Group { name: group.into(), gid: 3000 }).collect(),
        home: "/home/x".into(),
    }
}

fn fleet(settings: Settings) -> Fleet {
    Fleet::restore(Epoch(1), Arc::new(settings), [], [])
}

/// A server that holds something since a moment.
fn server(id: u64, who: &str, profile: &str, gigabytes: u64, gpus: u32, since: i64) -> Server {
    let memory = ByteCount(gigabytes * GB);
    let ask = Ask { profile: profile.into(), memory, gpus, gpu_milli: 500, ..Ask::default() };
    let name = format!("s{id}").parse().unwrap();
    Server { name, ..running::server(id, account(who), ask, at(since)) }
}

fn wish(profile: &str) -> Wish {
    Wish { profile: Some(profile.into()), ..Wish::default() }
}

fn gigabytes(profile: &str, gigabytes: u64) -> Wish {
    Wish { memory: Some(ByteCount(gigabytes * GB)), ..wish(profile) }
}

fn devices(profile: &str, gpus: u32) -> Wish {
    Wish { gpus: Some(gpus), ..wish(profile) }
}

/// Each rule that was looked at, and what came of all.
fn told(fleet: &Fleet, now: i64, who: &str, wish: &Wish) -> String {
    let checked = rules::check(fleet, at(now), &account(who), wish, None);
    let mut text = String::new();
    for rule in &checked.rules {
        let word = if rule.passed { "ok" } else { "NO" };
        let cite = rule.cite.as_ref().map_or("built in".to_owned(), Cite::to_string);
        let _ = writeln!(text, "{word} {} ({cite})", rule.text);
    }
    let _ = match &checked.verdict {
        Ok(passed) if passed.last_in_queue => writeln!(text, "= last in the queue"),
        Ok(_) => writeln!(text, "= passes"),
        Err(refusal) => {
            let from = refusal.from.map(|from| format!(", from {from}")).unwrap_or_default();
            writeln!(text, "= {}: {}{from}", refusal.reason, refusal.detail)
        }
    };
    text
}

#[track_caller]
fn says(fleet: &Fleet, now: i64, who: &str, wish: &Wish, expected: &str) {
    let found = told(fleet, now, who, wish);
    let trim = |text: &str| text.trim().lines().map(str::trim).collect::<Vec<_>>().join("\n");
    assert_eq!(trim(&found), trim(expected), "\n{found}");
}

/// What a request comes to: its last line.
fn comes_to(fleet: &Fleet, now: i64, who: &str, wish: &Wish) -> String {
    told(fleet, now, who, wish).lines().last().unwrap().trim_start_matches("= ").to_owned()
}

#[test]
fn choices_reach_what_the_profile_gives_and_not_beyond() {
    let fleet = fleet(settings());
    says(
        &fleet,
        0,
        "ann",
        &Wish::default(),
        "
        ok profile cpu is open to everybody (site.toml:1)
        ok 2 GB of at most 8 GB in this profile (site.toml:1)
        ok image root is offered by this profile (site.toml:1)
        = passes
    ",
    );
    assert_eq!(comes_to(&fleet, 0, "ann", &gigabytes("cpu", 8)), "passes");
    let more = Wish { memory: Some(ByteCount(8 * GB + 1)), ..wish("cpu") };
    assert_eq!(
        comes_to(&fleet, 0, "ann", &more),
        "refused.too_big: You asked for 8.0 GB; profile cpu gives 8 GB at most. Ask for 8 GB or less."
    );
    assert!(comes_to(&fleet, 0, "ann", &gigabytes("cpu", 0)).starts_with("refused.too_big"));
    says(
        &fleet,
        0,
        "ann",
        &devices("gpu", 2),
        "
        ok profile gpu is open to everybody (site.toml:2)
        ok 2 GB of at most 8 GB in this profile (site.toml:2)
        ok 2 of at most 2 GPUs in this profile (site.toml:2)
        ok image root is offered by this profile (site.toml:2)
        = passes
    ",
    );
    says(
        &fleet,
        0,
        "ann",
        &devices("gpu", 3),
        "
        ok profile gpu is open to everybody (site.toml:2)
        ok 2 GB of at most 8 GB in this profile (site.toml:2)
        NO 3 of at most 2 GPUs in this profile (site.toml:2)
        ok image root is offered by this profile (site.toml:2)
        = refused.too_big: You asked for 3 GPUs; profile gpu gives 2 at most.
    ",
    );
    assert!(told(&fleet, 0, "ann", &devices("gpu", 0)).contains("ok 0 of at most 2 GPUs"));
    assert_eq!(
        comes_to(&fleet, 0, "ann", &devices("cpu", 1)),
        "refused.too_big: You asked for 1 GPUs; profile cpu gives 0 at most."
    );
    // One that the files have and the profile does not offer, and one the other way round.
    for image in ["other", "gone"] {
        let wish = Wish { image: Some(image.into()), ..wish("cpu") };
        let said = format!(
            "refused.profile.unknown: Profile cpu has no image \"{image}\"; it has: root, gone."
        );
        assert_eq!(comes_to(&fleet, 0, "ann", &wish), said);
    }
    assert_eq!(
        comes_to(&fleet, 0, "ann", &wish("none")),
        "refused.profile.unknown: There is no profile \"none\"; there are: cpu, gpu, hall, school."
    );
    let asked = rules::check(&fleet, at(0), &account("ann"), &gigabytes("none", 3), None).ask;
    assert_eq!((asked.profile.as_str(), asked.memory), ("none", ByteCount(3 * GB)));
}

#[test]
fn a_model_of_gpu_is_one_of_those_that_the_profile_names() {
    let mut settings = settings();
    let gpus = settings.profiles.get_mut("gpu").unwrap().gpus.as_mut().unwrap();
    gpus.models.push("H100".into());
    let fleet = fleet(settings);
    let of =
        |profile: &str, model: &str| Wish { gpu_model: Some(model.to_owned()), ..wish(profile) };
    says(
        &fleet,
        0,
        "ann",
        &of("gpu", "H100"),
        "
        ok profile gpu is open to everybody (site.toml:2)
        ok 2 GB of at most 8 GB in this profile (site.toml:2)
        ok 1 of at most 2 GPUs in this profile (site.toml:2)
        ok GPU model H100 is offered by this profile (site.toml:2)
        ok image root is offered by this profile (site.toml:2)
        = passes
    ",
    );
    let checked = |wish: &Wish| rules::check(&fleet, at(0), &account("ann"), wish, None);
    let models = |wish: &Wish| checked(wish).verdict.unwrap().need.models;
    assert_eq!(models(&of("gpu", "H100")), ["H100"]);
    assert_eq!(models(&wish("gpu")), ["A100", "H100"], "any of them will do");
    let ask = checked(&of("gpu", "H100")).ask;
    assert_eq!(models(&berth_core::queue::again(&ask)), ["H100"], "as often as it is asked again");
    assert_eq!(
        comes_to(&fleet, 0, "ann", &of("gpu", "V100")),
        "refused.profile.unknown: Profile gpu has no GPU model \"V100\"; it has: A100, H100."
    );
    assert_eq!(
        comes_to(&fleet, 0, "ann", &of("cpu", "A100")),
        "refused.profile.unknown: Profile cpu gives no choice of the GPU's model: leave \"A100\" out."
    );
}

#[test]
fn a_request_of_before_there_were_models_asks_for_any() {
    let old = r#"{"profile":"gpu","memory":1024,"image":"root","gpus":1,"gpu_milli":500}"#;
    let ask: berth_core::fleet::Ask = serde_json::from_str(old).unwrap();
    assert_eq!((ask.gpus, &ask.gpu_model), (1, &None));
    assert!(!serde_json::to_string(&ask).unwrap().contains("model"));
}

#[test]
fn a_need_is_what_the_profile_and_the_places_say() {
    let mut settings = settings();
    let place = |profile: Option<&str>, groups: &[&str], prefer: &[&str], require: &[&str]| Place {
        profile: profile.map(str::to_owned),
        people: people(&[], groups),
        prefer: hosts(prefer),
        require: hosts(require),
        cite: cite(60),
    };
    settings.access.place = vec![
        place(None, &["lsst"], &["h1"], &[]),
        place(Some("gpu"), &["lsst"], &["h2"], &["h3"]),
        place(Some("cpu"), &["lsst"], &["h4"], &["h4"]),
        place(None, &["others"], &["h5"], &["h5"]),
    ];
    let canary = Stage::Canary { people: people(&["bob"], &[]), until: Some(at(1000)) };
    let rollout = Rollout { previous: "img:1".into(), stage: canary };
    settings.rollouts.insert("root".into(), rollout);
    let fleet = fleet(settings);
    let need = |now, who| {
        let checked = rules::check(&fleet, at(now), &account(who), &devices("gpu", 2), None);
        checked.verdict.unwrap().need
    };
    let lsst = need(0, "ann+lsst");
    assert_eq!((lsst.prefer, lsst.require), (hosts(&["h1", "h2"]), hosts(&["h3"])));
    assert_eq!((lsst.gpus, lsst.gpu_milli, lsst.gpu_memory), (2, 500, ByteCount(40 * GB)));
    assert_eq!(
        (lsst.models, lsst.pool, lsst.limit),
        (vec!["A100".into()], "gpu".into(), ByteCount(2 * GB))
    );
    assert_eq!(need(0, "ann").prefer, hosts(&[]));
    assert_eq!(lsst.stays_until, None, "no host is being emptied");
    // The version of before, until the new one comes to everybody.
    assert_eq!(need(999, "ann").reference.as_deref(), Some("img:1"));
    assert_eq!(need(1000, "ann").reference, None);
    assert_eq!(need(0, "bob").reference, None);
    let settings = &fleet.settings;
    assert_eq!((settings.image_of("img:1"), settings.image_of("img:3")), (Some("root"), None));
    assert_eq!(settings.references().collect::<Vec<_>>(), ["img:2", "img:2", "img:1"]);
    assert_eq!(settings.reference("none", &name("ann"), &[], at(0)), None);
}

#[test]
fn a_request_that_names_no_profile_gets_the_training_that_is_on_or_the_default() {
    let mut settings = settings();
    let fleet_now = fleet(settings.clone());
    let profile = |fleet: &Fleet, now, who| {
        rules::check(fleet, at(now), &account(who), &Wish::default(), None).ask.profile
    };
    for (now, who, expected) in [
        (99, "ann+school", "cpu"),
        (100, "ann+school", "school"),
        (299, "ann+school", "school"),
        (300, "ann+school", "cpu"),
        (100, "ann", "cpu"),
    ] {
        assert_eq!(profile(&fleet_now, now, who), expected, "{who} at {now}");
    }
    // Without a default it is the first.
    for profile in settings.profiles.values_mut() {
        profile.default = false;
    }
    settings.profiles.get_mut("hall").unwrap().default = true;
    assert_eq!(profile(&fleet(settings.clone()), 0, "ann"), "hall");
    settings.profiles.get_mut("hall").unwrap().default = false;
    assert_eq!(profile(&fleet(settings), 0, "ann"), "cpu");
}

#[test]
fn who_is_denied_or_not_named_is_told_by_which_line() {
    let mut settings = settings();
    let deny = |profile: Option<&str>, who: People, line| Deny {
        profile: profile.map(str::to_owned),
        people: who,
        reason: "You left the site.".into(),
        cite: cite(line),
    };
    settings.access.deny = vec![
        deny(Some("gpu"), people(&["eve"], &[]), 70),
        deny(None, people(&[], &["former"]), 71),
    ];
    let allow = |who: People, until: Option<i64>, line| Allow {
        profile: "gpu".into(),
        people: who,
        until: until.map(at),
        note: None,
        cite: cite(line),
    };
    let but_bob =
        People { except_users: BTreeSet::from([name("bob")]), ..people(&[], &["lsst", "euclid"]) };
    settings.access.allow =
        vec![allow(people(&["ann"], &[]), Some(100), 80), allow(but_bob, None, 81)];
    settings.profiles.get_mut("gpu").unwrap().ask_access = Some("https://site.example/ask".into());
    let fleet = fleet(settings);
    assert_eq!(comes_to(&fleet, 0, "eve", &wish("cpu")), "passes");
    says(
        &fleet,
        0,
        "eve",
        &wish("gpu"),
        "
        NO eve is not denied (site.toml:70)
        NO whitelist of gpu (site.toml:80)
        ok 2 GB of at most 8 GB in this profile (site.toml:2)
        ok 1 of at most 2 GPUs in this profile (site.toml:2)
        ok image root is offered by this profile (site.toml:2)
        = refused.access.denied: You left the site.
    ",
    );
    assert_eq!(
        comes_to(&fleet, 0, "zoe+former", &wish("cpu")),
        "refused.access.denied: You left the site."
    );
    assert!(
        told(&fleet, 99, "ann", &wish("gpu"))
            .starts_with("ok whitelist of gpu: by name (site.toml:80)\n")
    );
    assert!(
        told(&fleet, 0, "zoe+lsst", &wish("gpu"))
            .starts_with("ok whitelist of gpu: group lsst (site.toml:81)\n")
    );
    let given = "refused.access.profile: Profile gpu is given by group: euclid, lsst have it. Ask for it at https://site.example/ask.";
    assert_eq!(comes_to(&fleet, 0, "bob+lsst", &wish("gpu")), given);
    let ended = told(&fleet, 100, "ann", &wish("gpu"));
    assert!(ended.starts_with("NO whitelist of gpu (site.toml:80)\n"), "{ended}");
    assert_eq!(
        comes_to(&fleet, 100, "ann", &wish("gpu")),
        "refused.access.profile: Your access to profile gpu ended at 1970-01-01 00:01 UTC. Ask for it at https://site.example/ask."
    );
    // By name alone there is no group to name.
    let mut settings = Settings::clone(&fleet.settings);
    settings.access.allow.truncate(1);
    settings.profiles.get_mut("gpu").unwrap().ask_access = None;
    let fleet = Fleet::restore(Epoch(1), Arc::new(settings), [], []);
    assert_eq!(
        comes_to(&fleet, 0, "bob", &wish("gpu")),
        "refused.access.profile: Profile gpu is given to certain people only."
    );
}

#[test]
fn a_training_is_open_in_its_windows_for_its_people_alone() {
    let fleet = fleet(settings());
    says(&fleet, 99, "ann+school", &wish("school"), "
        ok takes part in School (site.toml:50)
        NO School is on (site.toml:50)
        ok 2 GB of at most 8 GB in this profile (site.toml:4)
        ok image root is offered by this profile (site.toml:4)
        ok 0 of 1 servers in use (built in)
        ok memory: 0 B + 2 GB of 4 GB (built in)
        = refused.access.pool_closed: School is not on now; it opens at 1970-01-01 00:01 UTC., from 1970-01-01T00:01:40.000000Z
    ");
    // One window after the other without a gap is one span.
    for now in [100, 299] {
        let found = told(&fleet, now, "ann+school", &wish("school"));
        assert!(found.contains("ok School is on until 1970-01-01 00:05 UTC"), "{now}: {found}");
        assert!(found.ends_with("= passes\n"), "{now}: {found}");
    }
    let closed = comes_to(&fleet, 300, "ann+school", &wish("school"));
    assert!(
        closed.ends_with("it opens at 1970-01-01 00:08 UTC., from 1970-01-01T00:08:20.000000Z"),
        "{closed}"
    );
    assert_eq!(
        comes_to(&fleet, 600, "ann+school", &wish("school")),
        "refused.access.pool_closed: School is over."
    );
    says(
        &fleet,
        599,
        "carol",
        &wish("school"),
        "
        ok teaches the training (site.toml:50)
        ok School is on until 1970-01-01 00:10 UTC (site.toml:50)
        ok 2 GB of at most 8 GB in this profile (site.toml:4)
        ok image root is offered by this profile (site.toml:4)
        ok 0 of 1 servers in use (built in)
        ok memory: 0 B + 2 GB of 4 GB (built in)
        = passes
    ",
    );
    // Time alone helps only if nothing else refuses.
    assert_eq!(
        comes_to(&fleet, 99, "zoe", &wish("school")),
        "refused.access.profile: School is for its participants only."
    );
    assert!(!comes_to(&fleet, 99, "ann+school", &gigabytes("school", 5)).contains(", from"));
    says(
        &fleet,
        100,
        "ann+school",
        &wish("hall"),
        "
        ok profile hall is open to everybody (site.toml:3)
        NO pool hall is open (site.toml:20)
        ok 2 GB of at most 8 GB in this profile (site.toml:3)
        ok image root is offered by this profile (site.toml:3)
        = refused.access.pool_closed: The pool hall is for trainings only. School has it now: choose that.
    ",
    );
    let hall = |now, who| comes_to(&fleet, now, who, &wish("hall"));
    assert!(hall(99, "ann+school").ends_with("School opens it for you at 1970-01-01 00:01 UTC."));
    assert!(hall(99, "carol").contains("School opens it for you"), "teaches it");
    assert!(hall(99, "zoe").ends_with("The pool hall is for trainings only."));
    assert!(hall(600, "ann+school").ends_with("The pool hall is for trainings only."), "is over");
}

#[test]
fn quotas_are_exact_and_a_training_has_its_own() {
    let mut settings = settings();
    let limits = |servers, gigabytes: u64, gpus, line| Quota {
        servers: Some(servers),
        memory: Some(ByteCount(gigabytes * GB)),
        gpus: Some(gpus),
        cite: cite(line),
        ..Quota::default()
    };
    settings.quotas.default = limits(3, 10, 2, 90);
    settings.trainings.get_mut("school").unwrap().quota.cite = cite(51);
    let held = [
        server(1, "ann", "gpu", 4, 1, 0),
        server(2, "ann", "cpu", 2, 0, 0),
        server(3, "bob", "cpu", 8, 0, 0),
    ];
    let fleet = Fleet::restore(Epoch(1), Arc::new(settings), [], held);
    says(
        &fleet,
        0,
        "ann",
        &Wish { memory: Some(ByteCount(4 * GB)), ..devices("gpu", 1) },
        "
        ok profile gpu is open to everybody (site.toml:2)
        ok 4 GB of at most 8 GB in this profile (site.toml:2)
        ok 1 of at most 2 GPUs in this profile (site.toml:2)
        ok image root is offered by this profile (site.toml:2)
        ok 2 of 3 servers in use (site.toml:90)
        ok memory: 6 GB + 4 GB of 10 GB (site.toml:90)
        ok GPUs: 1 + 1 of 2 (site.toml:90)
        = passes
    ",
    );
    assert_eq!(
        comes_to(&fleet, 0, "ann", &gigabytes("cpu", 5)),
        "refused.quota.memory: You asked for 5 GB; with your running servers that makes 11 GB, your limit is 10 GB. Ask for 4 GB or less, or stop a server."
    );
    assert_eq!(
        comes_to(&fleet, 0, "ann", &devices("gpu", 2)),
        "refused.quota.gpu: You asked for 2 GPUs; with your running servers that makes 3, your limit is 2."
    );
    assert!(!told(&fleet, 0, "ann", &wish("cpu")).contains("GPUs:"), "none are asked for");
    // What runs for the training counts against the training's quota alone, and the other way round.
    let school = told(&fleet, 100, "ann+school", &wish("school"));
    assert!(
        school.contains("ok 0 of 1 servers in use (site.toml:51)\nok memory: 0 B + 2 GB of 4 GB"),
        "{school}"
    );
    // The one that is asked for anew does not count.
    let own = ServerId::from_random(1);
    let checked = rules::check(&fleet, at(0), &account("ann"), &gigabytes("cpu", 8), Some(&own));
    assert!(checked.verdict.is_ok(), "2 + 8 of 10: {:?}", checked.rules);
    let profile = &fleet.settings.profiles["cpu"];
    let person = Person { name: &name("ann"), groups: &[] };
    let left = |without| rules::memory_left(&fleet, person, profile, without, at(0));
    assert_eq!((left(None), left(Some(&own))), (Some(ByteCount(4 * GB)), Some(ByteCount(8 * GB))));

    let mut full = Settings::clone(&fleet.settings);
    full.quotas.default = limits(2, 6, 1, 91);
    let full = Fleet::restore(
        Epoch(1),
        Arc::new(full),
        [],
        fleet.servers.values().map(|it| Server::clone(it)),
    );
    assert_eq!(
        comes_to(&full, 0, "ann", &wish("cpu")),
        "refused.quota.servers: You have 2 servers and may have 2. Stop one of them first."
    );
    let found = told(&full, 0, "ann", &wish("cpu"));
    assert!(found.contains("NO memory: 6 GB + 2 GB of 6 GB (site.toml:91)"), "{found}");
}

#[test]
fn an_entry_of_ones_own_beats_groups_and_these_are_merged() {
    let mut settings = settings();
    let quota = |servers, cores, gigabytes: Option<u64>, line| Quota {
        servers,
        memory: gigabytes.map(|it| ByteCount(it * GB)),
        gpus: servers,
        farm_cores: cores,
        farm_memory: gigabytes.map(|it| ByteCount(it * GB)),
        until: None,
        cite: cite(line),
    };
    let quotas = &mut settings.quotas;
    quotas.default = quota(Some(9), Some(9), Some(9), 1);
    quotas.groups = [
        ("a".to_owned(), quota(Some(2), None, Some(20), 2)),
        ("b".to_owned(), quota(Some(5), None, Some(10), 3)),
        ("c".to_owned(), quota(Some(5), None, None, 4)),
    ]
    .into();
    let own = Quota { until: Some(at(100)), ..quota(Some(1), None, None, 5) };
    quotas.users.insert(name("ann"), own);
    let limits = |settings: &Settings, user: &str, now| {
        let person = Person { name: &name(user), groups: &["a", "b", "c"] };
        let of = quota_of(&settings.quotas, person, at(now));
        let lines = [&of.servers, &of.gpus, &of.farm_cores]
            .map(|limit| limit.clone().map(|(n, cite)| (n, cite.line)));
        let memory = [&of.memory, &of.farm_memory]
            .map(|limit| limit.clone().map(|(n, cite)| (n.0 / GB, cite.line)));
        (lines, memory)
    };
    let most = |servers, memory| ([servers, servers, Some((9, 1))], [memory, memory]);
    assert_eq!(limits(&settings, "ann", 99), most(Some((1, 5)), Some((20, 2))));
    // Of equals the first counts.
    assert_eq!(limits(&settings, "ann", 100), most(Some((5, 3)), Some((20, 2))));
    settings.quotas.merge = Merge::Min;
    assert_eq!(limits(&settings, "bob", 0), most(Some((2, 2)), Some((10, 3))));
    settings.quotas.groups.get_mut("a").unwrap().servers = Some(5);
    assert_eq!(limits(&settings, "bob", 0).0[0], Some((5, 2)));
    settings.quotas.merge = Merge::Sum;
    assert_eq!(limits(&settings, "bob", 0).0[0], Some((15, 2)));
    assert_eq!(limits(&settings, "bob", 0).1, [Some((30, 2)), Some((30, 2))]);
    settings.quotas.groups.values_mut().for_each(|it| it.until = Some(at(10)));
    assert_eq!(limits(&settings, "bob", 10), most(Some((9, 1)), Some((9, 1))));
}

#[test]
fn a_budget_is_used_up_at_its_last_hour() {
    let mut settings = settings();
    let budget = |resource, limit_hours, when_over, line| Budget {
        people: people(&["ann", "bob"], &[]),
        resource,
        limit_hours,
        window: Seconds(7 * DAY as u64),
        when_over,
        cite: cite(line),
    };
    settings.quotas.budgets = vec![
        budget(Metered::GpuHours, 4, WhenOver::QueueLast, 1),
        budget(Metered::GibHours, 40, WhenOver::Refuse, 2),
    ];
    // A day a week ago and an older one; then what runs: 4 GB and half a GPU since noon of day 100.
    let day = |user: &str, day, gpu_hours: u64, gib_hours: u64| UsageDay {
        user: name(user),
        day,
        group: "lsst".into(),
        amount: Amount {
            gpu_milli_s: gpu_hours * 3_600_000,
            mib_s: gib_hours * 1024 * 3600,
            ..Amount::default()
        },
    };
    let noon = 100 * DAY + DAY / 2;
    let running = server(1, "ann", "gpu", 4, 1, noon);
    let mut fleet = Fleet::restore(Epoch(1), Arc::new(settings), [], [running]);
    fleet.usage =
        Usage::of([day("ann", 92, 100, 100), day("ann", 93, 3, 15), day("bob", 99, 100, 100)]);
    let one_hour = told(&fleet, noon + 3600, "ann", &wish("gpu"));
    assert!(one_hour.contains("ok 3 of 4 GPU hours in 7d (site.toml:1)\nok 19 of 40 GiB hours in 7d (site.toml:2)\n= passes"), "{one_hour}");
    let almost = told(&fleet, noon + 7199, "ann", &wish("gpu"));
    assert!(almost.contains("ok 3 of 4 GPU hours"), "{almost}");
    let two_hours = told(&fleet, noon + 7200, "ann", &wish("gpu"));
    assert!(
        two_hours
            .contains("ok 4 of 4 GPU hours in 7d: served when nobody else waits (site.toml:1)\n"),
        "{two_hours}"
    );
    assert!(two_hours.ends_with("= last in the queue\n"), "{two_hours}");
    // Without a GPU its budget is not asked.
    let cpu = told(&fleet, noon + 7200, "ann", &wish("cpu"));
    assert!(!cpu.contains("GPU hours") && cpu.ends_with("= passes\n"), "{cpu}");
    let over = told(&fleet, noon + 7200 + 17 * 900, "ann", &wish("cpu"));
    assert!(
        over.ends_with(
            "= refused.budget.gib_hours: You have used 40 of 40 GiB hours of the last 7d.\n"
        ),
        "{over}"
    );
    assert!(
        told(&fleet, noon, "zoe", &wish("gpu")).ends_with("this profile (site.toml:2)\n= passes\n")
    );
}

#[test]
fn who_may_not_start_anything_is_told_so_first() {
    let fleet = fleet(settings());
    for (reason, looked) in [
        (Reason::RefusedAccountInvalid, "the account is valid"),
        (Reason::RefusedRestoring, "every host has told what it runs"),
    ] {
        let refusal = Refusal { reason, detail: "Not now.".into(), from: None };
        let checked = rules::check(&fleet, at(0), &account("ann"), &wish("cpu"), None);
        let barred = checked.barred(&refusal);
        assert_eq!((barred.rules[0].text.as_str(), barred.rules[0].reason), (looked, Some(reason)));
        assert_eq!((barred.rules.len(), barred.verdict), (4, Err(refusal)));
    }
}

#[test]
fn what_the_site_offers_is_one_need_for_each_profile_and_amount() {
    let mut settings = settings();
    let choices = || vec![ByteCount(2 * GB), ByteCount(8 * GB)];
    settings.profiles.get_mut("gpu").unwrap().memory_choices = choices();
    let cpu = settings.profiles.get_mut("cpu").unwrap();
    (cpu.memory_choices, cpu.cpu_milli, cpu.farm_ports) = (choices(), 1500, 2);
    let fleet = fleet(settings);
    let found: Vec<_> = rules::offered(&fleet)
        .map(|it| {
            let amounts = (it.limit.0 / GB, it.cpu_milli, it.farm_ports);
            (it.pool, it.image, amounts, (it.gpus, it.gpu_milli, it.gpu_memory.0 / GB))
        })
        .collect();
    let cpu = |limit| ("cpu".to_owned(), "root".to_owned(), (limit, 1500, 2), (0, 0, 0));
    let gpu = |limit| ("gpu".to_owned(), "root".to_owned(), (limit, 0, 0), (1, 500, 40));
    assert_eq!(found, [cpu(2), cpu(8), gpu(2), gpu(8)]);
}
