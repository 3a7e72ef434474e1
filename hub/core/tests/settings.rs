//! What the files say, looked up: whom a rule is for, what counts as work, and what is fetched ahead.

use std::collections::{BTreeMap, BTreeSet};

use berth_common::{Seconds, Timestamp, Username};
use berth_core::life::Evidence;
use berth_core::settings::{
    Above, Activity, ByProfile, Cite, GpuAction, GpuRule, Health, IdleRule, IfBusy, Image,
    Lifecycle, Mount, Mounts, People, Profile, Quota, Settings, Terminal, Training, Whose, Window,
};

fn name(user: &str) -> Username {
    user.parse().unwrap()
}

fn lsst() -> People {
    People { groups: BTreeSet::from(["lsst".to_owned()]), ..People::default() }
}

#[test]
fn the_first_rule_that_is_for_somebody_is_theirs() {
    let whose = |pool: Option<&str>, profile: Option<&str>, people: Option<People>| Whose {
        pool: pool.map(str::to_owned),
        profile: profile.map(str::to_owned),
        people,
    };
    let all = [
        whose(Some("gpu"), Some("a100"), None),
        whose(Some("gpu"), None, Some(lsst())),
        whose(None, Some("small"), None),
        whose(None, None, None),
    ];
    let numbered = || all.clone().into_iter().zip(1..);
    let idle = |(whose, line)| IdleRule {
        whose,
        stop_after: Some(Seconds(60)),
        cite: Cite { file: "lifecycle.toml".into(), line },
    };
    let gpu = |(whose, line)| GpuRule {
        whose,
        after: Seconds(60),
        action: GpuAction::Report,
        then_stop_after: None,
        if_kernel_busy: IfBusy::Report,
        cite: Cite { file: "lifecycle.toml".into(), line },
    };
    let rules = Lifecycle {
        idle: numbered().map(idle).collect(),
        gpu_unused: numbered().map(gpu).collect(),
        ..Lifecycle::default()
    };
    let (ann, in_lsst, alone): (_, &[&str], &[&str]) = (name("ann"), &["lsst"], &[]);
    for (pool, profile, owner, line) in [
        ("gpu", "a100", None, 1),
        ("gpu", "small", Some((&ann, in_lsst)), 2),
        ("gpu", "small", Some((&ann, alone)), 3),
        ("gpu", "small", None, 3),
        ("cpu", "a100", Some((&ann, in_lsst)), 4),
    ] {
        let found = rules.idle_rule(pool, profile, owner).map(|rule| rule.cite.line);
        assert_eq!(found, Some(line), "{pool} {profile} {owner:?}");
        assert_eq!(rules.gpu_rule(pool, profile, owner).map(|rule| rule.cite.line), Some(line));
    }
    let nobodys = Lifecycle { idle: rules.idle[..2].to_vec(), ..Lifecycle::default() };
    assert_eq!(nobodys.idle_rule("cpu", "small", None), None);
    let by = ByProfile { default: 3, profiles: BTreeMap::from([("small".to_owned(), 1)]) };
    assert_eq!((by.of("small"), by.of("large")), (1, 3));
}

#[test]
fn what_counts_as_work_is_what_the_site_says() {
    let kinds = [
        Evidence::Notebook,
        Evidence::Browser,
        Evidence::Kernel,
        Evidence::Terminal,
        Evidence::Cpu,
        Evidence::Gpu,
        Evidence::Network,
        Evidence::Cluster,
    ];
    let counted = |activity: &Activity| -> Vec<Evidence> {
        kinds.into_iter().filter(|kind| activity.counts(*kind)).collect()
    };
    let all = Activity::default();
    assert_eq!(counted(&all), kinds);
    let none = Activity {
        kernel_busy: false,
        terminal: Terminal::Ignore,
        cpu: None,
        gpu: None,
        network: None,
        cluster_busy: false,
        browser_input: false,
        ..all.clone()
    };
    assert_eq!(counted(&none), [Evidence::Notebook]);
    let above = Some(Above { amount: 1, during: Seconds(1) });
    for (activity, kind) in [
        (Activity { kernel_busy: true, ..none.clone() }, Evidence::Kernel),
        (Activity { terminal: Terminal::Any, ..none.clone() }, Evidence::Terminal),
        (Activity { terminal: Terminal::Working, ..none.clone() }, Evidence::Terminal),
        (Activity { cpu: above, ..none.clone() }, Evidence::Cpu),
        (Activity { gpu: above, ..none.clone() }, Evidence::Gpu),
        (Activity { network: above, ..none.clone() }, Evidence::Network),
        (Activity { cluster_busy: true, ..none.clone() }, Evidence::Cluster),
        (Activity { browser_input: true, ..none.clone() }, Evidence::Browser),
        (Activity { open_tab_alone: true, ..none.clone() }, Evidence::Browser),
    ] {
        let mut found = counted(&activity);
        found.retain(|found| *found != Evidence::Notebook);
        assert_eq!(found, [kind]);
    }
}

#[test]
fn a_training_is_fetched_a_day_ahead_and_while_it_is_on() {
    let at = |seconds: i64| Timestamp(seconds * 1_000_000);
    let image = |reference: &str| Image {
        reference: reference.into(),
        title: String::new(),
        shm: None,
        cite: Cite::default(),
    };
    let training = Training {
        title: "School".into(),
        pool: "hall".into(),
        windows: vec![
            Window { from: at(100_000), to: at(100_100) },
            Window { from: at(500_000), to: at(500_100) },
        ],
        participants: lsst(),
        expected: 1,
        instructors: BTreeSet::new(),
        quota: Quota::default(),
        stop_after: Seconds(0),
        start_within: Training::START_WITHIN,
        cite: Cite::default(),
    };
    let profile = Profile { images: vec!["root".into(), "none".into()], ..Profile::default() };
    let settings = Settings {
        profiles: BTreeMap::from([("school".into(), profile)]),
        images: BTreeMap::from([("root".into(), image("img:1")), ("other".into(), image("img:2"))]),
        prepull: BTreeMap::from([("hall".into(), BTreeSet::from(["img:0".to_owned()]))]),
        trainings: BTreeMap::from([("school".into(), training)]),
        ..Settings::default()
    };
    let fetched =
        |pool, now: Timestamp| settings.fetched_ahead(pool, now).into_iter().collect::<Vec<_>>();
    for (now, expected) in [
        (100_000 - 86_401, &["img:0"][..]),
        (100_000 - 86_400, &["img:0", "img:1"]),
        (100_000, &["img:0", "img:1"]),
        (100_099, &["img:0", "img:1"]),
        (100_100, &["img:0"]),
        (500_000 - 86_400, &["img:0", "img:1"]),
        (500_100, &["img:0"]),
    ] {
        assert_eq!(fetched("hall", at(now)), expected, "at {now}");
    }
    assert!(fetched("cpu", at(100_000)).is_empty(), "another pool");
}

#[test]
fn each_space_has_a_number_of_its_own_up_to_64() {
    let mount = |number: usize| Mount {
        name: format!("M{number}"),
        source: format!("/m/{number}"),
        target: format!("/m/{number}"),
        read_only: false,
        follows: false,
        required: number == 1,
        only_if_exists: false,
        for_each_group: false,
        env: BTreeMap::new(),
        shown: None,
        probe: (number == 2).then(|| "/m/2/probe".to_owned()),
        profiles: if number == 3 { vec!["a".into(), "b".into()] } else { Vec::new() },
        cite: Cite::default(),
    };
    let all = Mounts { mounts: (0..66).map(mount).collect(), health: Health::default() };
    assert_eq!(all.numbers(|_| false), 0);
    assert_eq!(
        all.numbers(|name| ["M0", "M2", "M63", "M64"].contains(&name)),
        1 | 1 << 2 | 1 << 63
    );
    assert_eq!(all.numbers(|_| true), u64::MAX);
    assert_eq!(all.watched(), BTreeMap::from([("M2".to_owned(), "/m/2/probe".to_owned())]));
    assert_eq!(all.required_of(&[], "a"), ["M1"]);
    assert!(all.mounts[3].is_for("b") && !all.mounts[3].is_for("c") && all.mounts[2].is_for("c"));
    let health = Health::default();
    assert_eq!((health.every_s, health.timeout_s, health.sick_after), (30, 5, 3));
}

#[test]
fn a_window_ends_before_its_last_moment() {
    let window = |from, to| Window { from: Timestamp(from), to: Timestamp(to) };
    let middle = window(10, 20);
    assert_eq!([9, 10, 19, 20].map(|at| middle.holds(Timestamp(at))), [false, true, true, false]);
    for (from, to, meets) in [
        (0, 10, false),
        (0, 11, true),
        (12, 15, true),
        (19, 30, true),
        (20, 30, false),
        (0, 30, true),
    ] {
        assert_eq!(middle.meets(&window(from, to)), meets, "{from} to {to}");
        assert_eq!(window(from, to).meets(&middle), meets, "{from} to {to}");
    }
}
