//! The site's files.

use std::collections::BTreeMap;

use berth_common::{ByteCount, HostId, Seconds};
use berth_core::Settings;
use berth_core::settings::{
    Cite, GpuChoice, HostSettings, Image, Pool, Profile, Quota, Quotas, Strategy,
};

use crate::world::{GB, KEEP_FREE};

/// One pool, one profile, two images.
pub fn settings(hosts: &[HostId], strategy: Strategy, gpus: u64) -> Settings {
    let cite = Cite::default();
    let choices: Vec<ByteCount> = (0..=4).map(|power| ByteCount(GB << power)).collect();
    let image = |name: &str| {
        let (reference, title) = (format!("{name}:1"), name.to_owned());
        (name.to_owned(), Image { reference, title, shm: None, cite: Cite::default() })
    };
    let profile = Profile {
        title: "Notebook".into(),
        use_case: String::new(),
        pool: "cpu".into(),
        memory_default: ByteCount(2 * GB),
        memory_max: ByteCount(16 * GB),
        memory_choices: choices,
        images: vec!["base".into(), "other".into()],
        default: true,
        cite: cite.clone(),
        ..Profile::default()
    };
    let one = GpuChoice {
        default: 1,
        max: 1,
        share_milli: 1000,
        models: Vec::new(),
        memory: ByteCount::ZERO,
    };
    let with_gpu =
        Profile { title: "GPU".into(), default: false, gpus: Some(one), ..profile.clone() };
    // Where there is no GPU nobody is offered one.
    let with_gpu = (gpus > 0).then(|| ("gpu".to_owned(), with_gpu));
    let profiles = [("notebook".to_owned(), profile)].into_iter().chain(with_gpu);
    let host = |id: &HostId| {
        let settings = HostSettings {
            pool: "cpu".into(),
            memory: None,
            keep_free: KEEP_FREE,
            gpus: None,
            address: format!("{id}:8600"),
            cite: Cite::default(),
        };
        (id.clone(), settings)
    };
    Settings {
        hosts: hosts.iter().map(host).collect(),
        pools: BTreeMap::from([("cpu".to_owned(), Pool { strategy, ..Pool::default() })]),
        profiles: profiles.collect(),
        images: BTreeMap::from([image("base"), image("other")]),
        quotas: Quotas {
            default: Quota { servers: Some(2), ..Quota::default() },
            ..Quotas::default()
        },
        lost_after: Seconds(15),
        ..Settings::default()
    }
}
