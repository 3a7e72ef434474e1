//! What a server will start with, laid down while it does not run.

use berth_common::{ByteCount, ServerId, ServerName};
use berth_core::event::{LayDown, Row, Wish};
use berth_core::settings::Profile;
use berth_core::{Answer, Effect, Event};

use super::bench::{Bench, GB, account, word};

fn lays_down(
    bench: &mut Bench,
    name: &str,
    new: bool,
    gigabytes: u64,
    options: Option<&str>,
) -> String {
    bench.ids += 1;
    let wanted = LayDown {
        server: ServerId::from_random(bench.ids),
        account: account("a"),
        name: name.parse().unwrap(),
        new,
        wish: Wish { memory: Some(ByteCount(gigabytes * GB)), ..Wish::default() },
        user_options: options.map(str::to_owned),
        reply: Some(1),
    };
    let effects = bench.take(Event::LayDown(Box::new(wanted)));
    let saved = effects.iter().any(|it| matches!(it, Effect::Save(Row::Server(_))));
    let answer = effects.into_iter().find_map(|effect| match effect {
        Effect::Reply(1, answer) => Some(answer),
        _ => None,
    });
    let answer = answer.expect("an answer");
    assert_eq!(saved, answer == Answer::LaidDown, "{answer:?}");
    word(&answer)
}

fn kept(bench: &Bench, name: &str) -> (u64, String) {
    let owner = account("a").name;
    let server = bench.fleet.find(&owner, &name.parse().unwrap()).expect("a server");
    assert!(!server.is_active() && server.generation.0 == 0);
    (server.ask.memory.0 / GB, server.user_options.clone())
}

#[test]
fn a_new_one_must_be_new_and_another_must_be_there_and_rest() {
    let mut bench = Bench::new();
    assert_eq!(lays_down(&mut bench, "x", false, 2, None), "NoSuchServer");
    assert_eq!(lays_down(&mut bench, "x", true, 2, None), "LaidDown");
    assert_eq!(kept(&bench, "x"), (2, "{}".to_owned()));
    assert_eq!(lays_down(&mut bench, "x", true, 1, None), "Exists");
    assert_eq!(lays_down(&mut bench, "x", false, 4, Some(r#"{"a":1}"#)), "LaidDown");
    assert_eq!(kept(&bench, "x"), (4, r#"{"a":1}"#.to_owned()));
    // Without options what was there stays, the wish too.
    assert_eq!(lays_down(&mut bench, "x", false, 1, None), "LaidDown");
    assert_eq!(kept(&bench, "x"), (4, r#"{"a":1}"#.to_owned()));
    bench.asks("a", 1);
    assert_eq!(lays_down(&mut bench, "", false, 1, None), "AlreadyRunning");
    assert_eq!(lays_down(&mut bench, "", true, 1, None), "Exists");
}

#[test]
fn nobody_lays_down_more_than_two_hundred() {
    let mut bench = Bench::new();
    // One that runs does not count.
    bench.asks("a", 1);
    for number in 0..200 {
        assert_eq!(lays_down(&mut bench, &format!("s{number}"), true, 1, None), "LaidDown");
    }
    assert_eq!(lays_down(&mut bench, "more", true, 1, None), "TooMany");
    assert_eq!(lays_down(&mut bench, "s7", false, 2, Some("{}")), "LaidDown");
    let server = bench.fleet.find(&account("a").name, &"s9".parse::<ServerName>().unwrap());
    let server = server.unwrap().id.clone();
    bench.take(Event::Remove { server, reply: None });
    assert_eq!(lays_down(&mut bench, "more", true, 1, None), "LaidDown");
}

#[test]
fn a_profile_is_for_the_farm_by_its_ports_or_its_scopes() {
    let none = Profile::default();
    assert!(!none.is_for_farm());
    assert!(Profile { farm_ports: 1, ..none.clone() }.is_for_farm());
    assert!(Profile { server_scopes: vec!["access:services".into()], ..none }.is_for_farm());
}
