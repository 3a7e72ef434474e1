use std::sync::Arc;

use berth_common::Seconds;

use super::*;
use crate::example::{fleet, host, placed, placement_mut, promised};
use crate::fleet::Phase;
use crate::settings::{Image, Pool, Profile, Rollout, Stage, Training};

fn order() -> Order {
    Order { reason: "tested".into(), who: "erin".into(), at: Timestamp::default() }
}

fn window(from: i64, to: i64) -> Window {
    Window { from: Timestamp(from), to: Timestamp(to) }
}

fn image_order(wish: ImageWish) -> ImageOrder {
    ImageOrder { image: "base".into(), reference: "img:2".into(), wish, order: order() }
}

fn training(windows: &[Window]) -> Training {
    Training {
        title: "School".into(),
        pool: "training".into(),
        windows: windows.to_vec(),
        participants: Default::default(),
        expected: 10,
        instructors: Default::default(),
        quota: Default::default(),
        stop_after: Seconds(0),
        start_within: Training::START_WITHIN,
        cite: Default::default(),
    }
}

fn notice() -> Notice {
    Notice {
        audience: Audience::All,
        level: Level::Info,
        window: window(10, 20),
        en: "text".into(),
        fr: String::new(),
        must_read: false,
        who: "erin".into(),
        at: Timestamp(5),
    }
}

fn maintenance(state: Progress) -> Maintenance {
    let hosts = BTreeSet::from([host("h1")]);
    Maintenance { hosts, window: window(11, 21), drain_at: Timestamp(4), order: order(), state }
}

fn training_order(open: bool, window: Window) -> Entry {
    Entry::Training(TrainingOrder { training: "school".into(), open, window, order: order() })
}

#[test]
fn an_entry_is_over_with_its_window_and_one_about_images_with_the_files() {
    assert_eq!(training_order(true, window(1, 12)).ends(), Timestamp(12));
    assert_eq!(Entry::Notice(notice()).ends(), Timestamp(20));
    assert_eq!(Entry::Maintenance(maintenance(Progress::Planned)).ends(), Timestamp(21));
    assert_eq!(Entry::Image(image_order(ImageWish::Promote)).ends(), Timestamp(i64::MAX));
}

#[test]
fn a_maintenance_is_ahead_until_it_is_over_or_taken_back() {
    use Progress::{Begun, Cancelled, Over, Planned};
    let said = [Planned, Begun, Over, Cancelled].map(|it| (it.word(), maintenance(it).is_ahead()));
    let all = [("planned", true), ("begun", true), ("over", false), ("cancelled", false)];
    assert_eq!(said, all);
}

#[test]
fn acts_about_images_have_their_words() {
    let pull = ImageWish::Pull { pools: BTreeSet::new() };
    let words = [pull, ImageWish::Promote, ImageWish::Revert].map(|wish| wish.action());
    assert_eq!(words, ["image-pull", "image-promote", "image-revert"]);
}

#[test]
fn audiences_are_read_as_they_are_written() {
    for text in [
        "all",
        "group:atlas",
        "pool:cpu",
        "host:h1",
        "training:root",
        "group:a:b",
        "users:alice,bob",
    ] {
        let audience: Audience = text.parse().unwrap();
        assert_eq!(String::from(audience.clone()), text);
        assert_eq!(Audience::try_from(text.to_owned()), Ok(audience));
    }
    for bad in [
        "",
        "al",
        "all:",
        "all:x",
        "group",
        "group:",
        "pool:",
        "host:",
        "host:a b",
        "users:a,,b",
        "x:y",
    ] {
        assert_eq!(bad.parse::<Audience>(), Err(NoAudience), "{bad}");
    }
}

#[test]
fn who_reads_a_notice() {
    let mut fleet = fleet();
    let settings = Arc::make_mut(&mut fleet.settings);
    let mut school = training(&[]);
    school.instructors.insert("u3".parse().unwrap());
    school.participants.groups.insert("pupils".into());
    settings.trainings.insert("school".into(), school);
    let profile = Profile { pool: "gpu".into(), ..Profile::default() };
    settings.profiles.insert("gpu".into(), profile);
    // One that waits, without a place and for a profile of another pool, and one that is over.
    let mut waits = promised(4, "h1", |_| ());
    if let Phase::Waiting { place, .. } = &mut waits.phase {
        *place = None;
    }
    waits.ask.profile = "gpu".into();
    fleet.insert(waits);
    let mut idle = placed(5, "h1");
    idle.phase = Phase::Idle;
    idle.ask.profile = "gpu".into();
    fleet.insert(idle);

    let people = ["u1", "u2", "u3", "u4", "u5"];
    let readers = |audience: &str, groups: &[&str]| {
        let audience: Audience = audience.parse().unwrap();
        let reads = |user: &&str| audience.has(&fleet, &user.parse().unwrap(), groups);
        people.into_iter().filter(reads).collect::<Vec<_>>()
    };
    assert_eq!(readers("all", &[]), people);
    assert_eq!(readers("group:atlas", &["atlas", "lhcb"]), people);
    assert_eq!(readers("group:atlas", &["lhcb"]), [] as [&str; 0]);
    assert_eq!(readers("pool:cpu", &[]), ["u1", "u2", "u3"]);
    assert_eq!(readers("pool:gpu", &[]), ["u4"], "it waits for that pool");
    assert_eq!(readers("host:h1", &[]), ["u1", "u2"]);
    assert_eq!(readers("host:h2", &[]), ["u3"]);
    assert_eq!(readers("host:h9", &[]), [] as [&str; 0]);
    assert_eq!(readers("training:school", &[]), ["u3"], "teaches");
    assert_eq!(readers("training:school", &["pupils"]), people);
    assert_eq!(readers("training:other", &["pupils"]), [] as [&str; 0]);
    // On a host of another pool than its profile's, its host counts.
    placement_mut(&mut fleet, 1).host = host("h9");
    assert!(!Audience::Pool("cpu".into()).has(&fleet, &"u1".parse().unwrap(), &[]));
}

#[test]
fn orders_change_the_settings_in_their_order_or_not_at_all() {
    let image = Image {
        reference: "img:2".into(),
        title: "Base".into(),
        shm: None,
        cite: Default::default(),
    };
    let stage = Stage::Everybody;
    let settings = Settings {
        images: [("base".to_owned(), image)].into(),
        rollouts: [("base".to_owned(), Rollout { previous: "img:1".into(), stage })].into(),
        pools: [("cpu".to_owned(), Pool::default())].into(),
        trainings: [("school".to_owned(), training(&[window(10, 20)]))].into(),
        ..Settings::default()
    };
    let nothing = [Entry::Notice(notice()), Entry::Maintenance(maintenance(Progress::Begun))];
    assert_eq!(ordered(&settings, &nothing), None);
    let changed = ordered(&settings, &[training_order(true, window(12, 15))]).unwrap();
    let apart = [window(10, 12), window(12, 15), window(15, 20)];
    assert_eq!(windows_of(changed), apart, "what was open is open");
    let closed = [training_order(true, window(20, 30)), training_order(false, window(15, 25))];
    let changed = ordered(&settings, &closed).unwrap();
    assert_eq!(windows_of(changed), [window(10, 15), window(25, 30)]);
    let changed = ordered(&settings, &[Entry::Image(image_order(ImageWish::Revert))]).unwrap();
    assert_eq!(changed.rollouts["base"].stage, Stage::TakenBack);
    let promoted = [Entry::Image(image_order(ImageWish::Promote))];
    assert_eq!(ordered(&settings, &promoted), None, "everybody has it already");
}

fn windows_of(settings: Settings) -> Vec<Window> {
    settings.trainings["school"].windows.clone()
}
