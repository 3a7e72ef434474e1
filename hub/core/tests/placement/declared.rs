//! What the files of the random site say, its machines, and its people.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use berth_common::link::{Account, GpuDevice, Group};
use berth_common::{ByteCount, HostId, Seconds, Timestamp};
use berth_core::settings::{
    Access, Allow, Budget, Cite, CpuServers, DeclaredGpus, Deny, GpuChoice, GpuSharing,
    HostSettings, Image, MemoryRule, Metered, People, Place, Pool, Profile, Quota, Quotas,
    Settings, Strategy, Training, WhenOver, Window,
};

pub const GB: u64 = 1 << 30;
/// When days begin.
pub const BEGIN: Timestamp = Timestamp(1_800_000_000_000_000);

/// A machine: what it has, and whether it reports.
#[derive(Clone)]
pub struct Machine {
    pub memory: u64,
    pub gpus: Vec<GpuDevice>,
    pub silent: bool,
    pub session: u64,
}

pub fn account(user: usize) -> Account {
    let groups: &[&str] = match user % 7 {
        0 | 1 => &["lsst"],
        2 => &["theory"],
        3 => &["euclid", "pupils"],
        4 => &["pupils"],
        _ => &["theory", "pupils"],
    };
    let group = |(number, name): (usize, &&str)| Group {
        name: (*name).to_owned(),
        gid: 100 + number as u32,
    };
    Account {
        name: format!("u{user}").parse().expect("a name"),
        uid: 1000 + user as u32,
        gid: 100,
        groups: groups.iter().enumerate().map(group).collect(),
        home: format!("/home/u{user}"),
    }
}

pub fn machines() -> BTreeMap<HostId, Machine> {
    let gpu = |host: &str,
               model: &str,
               memory: u64,
               count: usize,
               sick: Option<usize>|
     -> Vec<GpuDevice> {
        let device = |index| GpuDevice {
            gpu: format!("GPU-{host}-{index}").parse().expect("an id"),
            model: model.to_owned(),
            memory: ByteCount(memory * GB),
            trouble: (sick == Some(index)).then(|| "XID 79".to_owned()),
        };
        (0..count).map(device).collect()
    };
    let list = [
        ("c1", 32, Vec::new()),
        ("c2", 32, Vec::new()),
        ("c3", 32, Vec::new()),
        ("c4", 32, Vec::new()),
        ("c5", 64, Vec::new()),
        ("g1", 64, gpu("g1", "K80", 12, 4, None)),
        ("g2", 64, gpu("g2", "K80", 12, 4, Some(1))),
        ("g3", 128, gpu("g3", "A100", 80, 2, None)),
        ("t1", 32, Vec::new()),
        ("t2", 32, Vec::new()),
    ];
    let machine = |(name, memory, gpus): (&str, u64, Vec<GpuDevice>)| {
        let machine = Machine { memory: memory * GB, gpus, silent: false, session: 1 };
        (name.parse().expect("a host name"), machine)
    };
    list.into_iter().map(machine).collect()
}

fn people(groups: &[&str], users: &[&str]) -> People {
    People {
        groups: groups.iter().map(|group| (*group).to_owned()).collect(),
        users: users.iter().map(|user| user.parse().expect("a name")).collect(),
        ..People::default()
    }
}

pub fn settings() -> Settings {
    let cite = Cite { file: "site.toml".into(), line: 7 };
    let host = |name: &HostId, machine: &Machine| {
        let pool = match name.as_str().as_bytes()[0] {
            b'c' => "cpu",
            b'g' => "gpu",
            _ => "training",
        };
        let gpus = machine.gpus.first().map(|device| DeclaredGpus {
            model: device.model.clone(),
            count: machine.gpus.len() as u32,
            memory: device.memory,
        });
        HostSettings {
            pool: pool.into(),
            memory: Some(ByteCount(machine.memory)),
            keep_free: ByteCount(GB),
            gpus,
            address: format!("{name}:8444"),
            cite: cite.clone(),
        }
    };
    let pool = Pool { cite: cite.clone(), ..Pool::default() };
    let pools = BTreeMap::from([
        (
            "cpu".to_owned(),
            Pool { memory_rule: MemoryRule::Peaks, oversubscribe_milli: 2500, ..pool.clone() },
        ),
        (
            "gpu".to_owned(),
            Pool {
                gpu_sharing: GpuSharing::Shared,
                cpu_servers: CpuServers { min: Some(ByteCount(16 * GB)), keep: ByteCount(20 * GB) },
                ..pool.clone()
            },
        ),
        ("training".to_owned(), Pool { strategy: Strategy::Spread, trainings_only: true, ..pool }),
    ]);
    let gpus = |default, max, share_milli| {
        Some(GpuChoice {
            default,
            max,
            share_milli,
            models: vec!["K80".into()],
            memory: ByteCount::ZERO,
        })
    };
    let profile = |name: &str, pool: &str, default: u64, max: u64, gpus: Option<GpuChoice>| {
        let choices = [2, 4, 8, 16, 32].into_iter().filter(|size| *size <= max);
        let profile = Profile {
            title: name.to_owned(),
            pool: pool.into(),
            memory_default: ByteCount(default * GB),
            memory_choices: choices.map(|size| ByteCount(size * GB)).collect(),
            memory_max: ByteCount(max * GB),
            gpus,
            images: vec!["default".into()],
            default: name == "cpu",
            training: (name == "school").then(|| name.to_owned()),
            overflow: (name == "school").then(|| "cpu".to_owned()),
            cite: cite.clone(),
            ..Profile::default()
        };
        (name.to_owned(), profile)
    };
    let profiles = BTreeMap::from([
        profile("cpu", "cpu", 4, 28, None),
        profile("big", "gpu", 32, 48, None),
        profile("gpu", "gpu", 14, 28, gpus(1, 4, 1000)),
        profile("part", "gpu", 8, 14, gpus(1, 1, 250)),
        profile("school", "training", 3, 4, None),
    ]);
    let allow = |profile: &str| Allow {
        profile: profile.to_owned(),
        people: people(&["lsst"], &["u2"]),
        until: None,
        note: None,
        cite: cite.clone(),
    };
    let access = Access {
        allow: vec![allow("gpu"), allow("part")],
        deny: vec![Deny {
            profile: None,
            people: people(&[], &["u5"]),
            reason: "Account closed".into(),
            cite: cite.clone(),
        }],
        place: vec![Place {
            profile: Some("cpu".into()),
            people: people(&["euclid"], &[]),
            prefer: Arc::default(),
            require: Arc::new(
                ["c4", "c5"].iter().map(|host| host.parse().expect("a host")).collect(),
            ),
            cite: cite.clone(),
        }],
    };
    let quota = |servers, memory: u64, gpus| Quota {
        servers: Some(servers),
        memory: Some(ByteCount(memory * GB)),
        gpus: Some(gpus),
        cite: cite.clone(),
        ..Quota::default()
    };
    let quotas = Quotas {
        default: quota(2, 40, 1),
        groups: BTreeMap::from([("lsst".to_owned(), quota(3, 64, 2))]),
        budgets: vec![Budget {
            people: people(&["*"], &[]),
            resource: Metered::GpuHours,
            limit_hours: 6,
            window: Seconds(86_400),
            when_over: WhenOver::QueueLast,
            cite: cite.clone(),
        }],
        ..Quotas::default()
    };
    let window = |from_h: u64, to_h: u64| Window {
        from: BEGIN.plus(Seconds(3600 * from_h)),
        to: BEGIN.plus(Seconds(3600 * to_h)),
    };
    let training = Training {
        title: "School".into(),
        pool: "training".into(),
        windows: vec![window(1, 3), window(8, 20), window(30, 60)],
        participants: people(&["pupils"], &[]),
        expected: 9,
        instructors: BTreeSet::new(),
        quota: Quota { servers: Some(1), ..Quota::default() },
        stop_after: Seconds(3600),
        start_within: Training::START_WITHIN,
        cite: cite.clone(),
    };
    let image =
        Image { reference: "img:1".into(), title: "Image".into(), shm: None, cite: cite.clone() };
    Settings {
        hosts: machines()
            .iter()
            .map(|(name, machine)| (name.clone(), host(name, machine)))
            .collect(),
        pools,
        profiles,
        images: BTreeMap::from([("default".to_owned(), image)]),
        access,
        quotas,
        trainings: BTreeMap::from([("school".to_owned(), training)]),
        lost_after: Seconds(15),
        ..Settings::default()
    }
}
