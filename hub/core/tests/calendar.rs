//! Hosts of a training pool are closed while no training is on, and say when they open.

use std::collections::BTreeMap;
use std::sync::Arc;

use berth_common::{ByteCount, Epoch, HostId, Seconds, Timestamp};
use berth_core::Fleet;
use berth_core::settings::{HostSettings, People, Pool, Settings, Training, Window};

fn training(pool: &str, windows: &[(i64, i64)]) -> Training {
    let at = |seconds: i64| Timestamp(seconds * 1_000_000);
    Training {
        title: "School".into(),
        pool: pool.into(),
        windows: windows.iter().map(|(from, to)| Window { from: at(*from), to: at(*to) }).collect(),
        participants: People::default(),
        expected: 10,
        instructors: Default::default(),
        quota: Default::default(),
        stop_after: Seconds(0),
        start_within: Training::START_WITHIN,
        cite: Default::default(),
    }
}

#[test]
fn a_host_is_closed_between_trainings() {
    let host = |name: &str, pool: &str| {
        let settings = HostSettings {
            pool: pool.into(),
            memory: None,
            keep_free: ByteCount::ZERO,
            gpus: None,
            address: String::new(),
            cite: Default::default(),
        };
        (name.parse::<HostId>().unwrap(), settings)
    };
    let shut = Pool { trainings_only: true, ..Pool::default() };
    let settings = Settings {
        hosts: BTreeMap::from([host("c1", "cpu"), host("t1", "training"), host("u1", "unused")]),
        pools: BTreeMap::from([
            ("cpu".to_owned(), Pool::default()),
            ("training".to_owned(), shut.clone()),
            ("unused".to_owned(), shut),
        ]),
        trainings: BTreeMap::from([
            ("root".to_owned(), training("training", &[(100, 200), (500, 600)])),
            ("geant".to_owned(), training("training", &[(300, 400)])),
        ]),
        ..Settings::default()
    };
    let fleet = Fleet::restore(Epoch(1), Arc::new(settings), [], []);
    let says = |host: &str, at: i64| {
        let closed = fleet.closed(&host.parse().unwrap(), Timestamp(at * 1_000_000));
        closed.map(|it| it.opens.map(|(at, name)| (at.0 / 1_000_000, name)))
    };
    let opens = |at, name: &str| Some(Some((at, name.to_owned())));
    assert_eq!(says("c1", 50), None);
    assert_eq!(says("t1", 50), opens(100, "root"));
    assert_eq!(says("t1", 100), None);
    assert_eq!(says("t1", 200), opens(300, "geant"), "the end is outside");
    assert_eq!(says("t1", 350), None);
    assert_eq!(says("t1", 450), opens(500, "root"));
    assert_eq!(says("t1", 700), Some(None), "none is planned");
    assert_eq!(says("u1", 350), Some(None), "another pool's training opens nothing here");
}
