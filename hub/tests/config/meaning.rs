//! What the files mean, once they are read.

use std::collections::{BTreeMap, BTreeSet};

use berth_common::{ByteCount, Seconds};
use berth_core::settings::{
    CpuServers, GpuAction, GpuSharing, IfBusy, MemoryRule, Merge, Metered, Order, Pool, Relief,
    Settings, Strategy, WhenOver, Window,
};

use crate::folder::Folder;

fn gb(n: u64) -> ByteCount {
    ByteCount(n << 30)
}

fn sample() -> Settings {
    let (settings, warnings) = Folder::sample().load().unwrap();
    assert_eq!(warnings.0, [], "{warnings}");
    settings
}

fn text<T: ToString>(all: impl IntoIterator<Item = T>) -> String {
    all.into_iter().map(|one| one.to_string()).collect::<Vec<_>>().join(" ")
}

#[test]
fn hosts_and_pools_are_as_written() {
    let settings = sample();
    assert_eq!(settings.hosts.len(), 16);
    let host = &settings.hosts[&"ccjngpu3".parse().unwrap()];
    assert_eq!((host.pool.as_str(), host.memory, host.keep_free), ("gpu", Some(gb(130)), gb(6)));
    let gpus = host.gpus.as_ref().unwrap();
    assert_eq!((gpus.model.as_str(), gpus.count, gpus.memory), ("Tesla K80", 4, gb(12)));
    assert_eq!(host.cite.to_string(), "hosts.d/30-gpu.toml:3");
    assert_eq!(host.address, "ccjngpu3:8444");

    let cpu = &settings.pools["cpu"];
    assert_eq!((cpu.strategy, cpu.memory_rule), (Strategy::Pack, MemoryRule::Peaks));
    assert_eq!((cpu.oversubscribe_milli, cpu.used_ceiling_milli), (1500, 850));
    assert_eq!((cpu.relief, settings.pools["gpu"].relief), (Relief::Idle, Relief::None));
    assert_eq!((cpu.peak_window, cpu.trainings_only), (Seconds(7 * 86_400), false));
    assert_eq!(cpu.cite.to_string(), "pools.toml:3");
    let training = &settings.pools["training"];
    assert_eq!((training.strategy, training.trainings_only), (Strategy::Spread, true));
    let gpu = &settings.pools["gpu"];
    assert_eq!(gpu.gpu_sharing, GpuSharing::Exclusive);
    assert_eq!(gpu.cpu_servers, CpuServers { min: Some(gb(32)), keep: gb(60) });
    let queue = &settings.queue;
    assert_eq!(
        (queue.order, queue.hold, queue.max_wait),
        (Order::Fair, Seconds(900), Seconds(86_400))
    );
}

#[test]
fn mounts_are_as_written() {
    let settings = sample();
    let mounts = &settings.mounts;
    let health = mounts.health;
    assert_eq!((health.every_s, health.timeout_s, health.sick_after), (30, 5, 3));
    assert_eq!(
        text(mounts.mounts.iter().map(|mount| &mount.name)),
        "HOME SPS THRONG_DIR PBS_SOFTWARE CVMFS"
    );
    let of = |name: &str| mounts.mounts.iter().find(|mount| mount.name == name).unwrap();
    assert!(of("HOME").is_home() && of("HOME").required);
    let sps = of("SPS");
    assert_eq!((sps.source.as_str(), sps.target.as_str()), ("/sps/{group}", "/sps/{group}"));
    assert!(sps.for_each_group && sps.only_if_exists && !sps.read_only && !sps.required);
    let cvmfs = of("CVMFS");
    assert!(cvmfs.read_only && cvmfs.follows && !of("PBS_SOFTWARE").follows);
    assert_eq!(cvmfs.cite.to_string(), "mounts.toml:8");
    let watched = mounts.watched();
    let watched: Vec<_> =
        watched.iter().map(|(name, path)| (name.as_str(), path.as_str())).collect();
    assert_eq!(
        watched,
        [
            ("CVMFS", "/cvmfs/sw.lsst.eu"),
            ("HOME", "/pbs/home"),
            ("PBS_SOFTWARE", "/pbs/software"),
            ("SPS", "/sps"),
            ("THRONG_DIR", "/pbs/throng"),
        ]
    );
    assert_eq!(mounts.required_of(&["atlas"], "cpu"), ["HOME"]);
}

#[test]
fn profiles_are_as_written() {
    let settings = sample();
    assert_eq!(text(settings.profiles.keys()), "bigmem cpu gpu root-school");
    let bigmem = &settings.profiles["bigmem"];
    assert_eq!((bigmem.title.as_str(), bigmem.cpu_milli), ("CPU, large memory", 1500));
    assert_eq!(bigmem.use_case, "When 28 GB is not enough");
    let french = |english: &str| settings.french.get(english).map(String::as_str);
    assert_eq!(french(&bigmem.use_case), Some("Quand 28 Go ne suffisent pas"));
    assert_eq!(french(&bigmem.title), Some("CPU, grande mémoire"));
    assert_eq!(french(&settings.images["default"].title), None, "said in English only");
    assert_eq!(bigmem.memory_choices, [gb(48), gb(64)]);
    assert_eq!(
        (bigmem.cpu_limit_milli, settings.profiles["cpu"].cpu_limit_milli),
        (Some(4000), None)
    );
    assert_eq!(
        (settings.images["default-gpu"].shm, settings.images["default"].shm),
        (Some(gb(4)), None)
    );
    let gpu = &settings.profiles["gpu"];
    let choice = gpu.gpus.as_ref().unwrap();
    assert_eq!((choice.default, choice.max, choice.share_milli), (1, 1, 1000));
    assert_eq!((choice.models.concat(), choice.memory), ("Tesla K80".into(), gb(12)));
    assert_eq!((gpu.memory_default, gpu.memory_max), (gb(28), gb(56)));
    assert_eq!(gpu.ask_access.as_deref(), Some("https://support.example.org/new?subject=GPU"));
    assert_eq!(settings.default_profile().unwrap().0, "cpu");
}

#[test]
fn access_is_as_written() {
    let access = sample().access;
    let allow = &access.allow[0];
    assert_eq!((allow.profile.as_str(), allow.note.as_deref()), ("gpu", Some("ticket 7713")));
    assert_eq!(
        (text(&allow.people.users), text(&allow.people.groups)),
        ("bob".into(), "euclid lsst".into())
    );
    // A rule that holds until a day holds on that day.
    assert_eq!(allow.until, Some("2027-01-01T00:00:00Z".parse().unwrap()));
    assert_eq!(allow.cite.to_string(), "access.toml:3");
    assert_eq!(text(&access.allow[1].people.except_users), "student01");
    assert_eq!(text(&*access.place[0].prefer), "ccjn06 ccjn07");
    assert_eq!(text(&*access.place[1].require), "ccjngpu1 ccjngpu4 ccjngpu5");
    let deny = &access.deny[0];
    assert_eq!(
        (&deny.profile, deny.reason.as_str()),
        (&None, "Account closed, ask your group's contact")
    );
}

#[test]
fn a_right_that_ends_soon_is_a_warning_while_it_holds() {
    let folder = Folder::sample();
    let said = |now: &str| {
        let (_, warnings) = folder.load_at(now).unwrap();
        let of_dates = warnings.0.iter().filter(|one| one.code.contains("until"));
        text(of_dates.map(|one| format!("{}:{} {}", one.file, one.line, one.code)))
    };
    assert_eq!(said("2026-09-16T00:00:00Z"), "");
    let near = "quotas.toml:11 config.warning.until_near";
    assert_eq!(said("2026-09-17T00:00:01Z"), near);
    assert_eq!(said("2026-09-30T23:59:59Z"), near);
    assert_eq!(said("2026-10-01T00:00:00Z"), "quotas.toml:11 config.warning.until");
}

#[test]
fn quotas_are_as_written() {
    let quotas = sample().quotas;
    assert_eq!(quotas.merge, Merge::Max);
    let default = &quotas.default;
    assert_eq!((default.servers, default.memory, default.gpus), (Some(2), Some(gb(16)), Some(0)));
    let euclid = &quotas.groups["euclid"];
    assert_eq!((euclid.servers, euclid.memory, euclid.gpus), (None, Some(gb(64)), Some(1)));
    let bob = &quotas.users[&"bob".parse().unwrap()];
    assert_eq!(bob.until, Some("2026-10-01T00:00:00Z".parse().unwrap()));
    assert_eq!(bob.cite.to_string(), "quotas.toml:11");
    let budget = &quotas.budgets[0];
    assert_eq!((budget.resource, budget.limit_hours), (Metered::GpuHours, 200));
    assert_eq!((budget.window, budget.when_over), (Seconds(30 * 86_400), WhenOver::QueueLast));
}

#[test]
fn lives_are_as_written() {
    let settings = sample();
    let lives = &settings.lifecycle;
    assert_eq!((lives.extend.step, lives.extend.max_times.of("cpu")), (Seconds(86_400), 3));
    assert_eq!(lives.extend.max_times.of("gpu"), 1);
    assert_eq!(
        (lives.max_age.of("cpu"), lives.max_age.of("gpu")),
        (None, Some(Seconds(5_184_000)))
    );
    assert_eq!(text(&lives.drain.leads), "1d 2h 10m");
    let limit = |pool: &str, profile: &str, user: &str| {
        let user = user.parse().unwrap();
        let rule = lives.idle_rule(pool, profile, Some((&user, &[])));
        rule.and_then(|rule| rule.stop_after).map_or("none".into(), |limit| limit.to_string())
    };
    assert_eq!(limit("training", "root-school", "alice"), "2h");
    assert_eq!(limit("gpu", "gpu", "bob"), "1d");
    assert_eq!(
        (limit("cpu", "cpu", "bob"), limit("cpu", "cpu", "alice")),
        ("none".into(), "4d".into())
    );
    assert_eq!(limit("cpu", "cpu", "carol"), "3d");
    assert_eq!(lives.idle[1].cite.to_string(), "lifecycle.toml:7");
    // What placement, drains and estimates plan with when they do not know the person.
    let planned: Vec<_> = settings.profiles.values().map(|it| it.idle_limit.unwrap()).collect();
    assert_eq!(text(planned), "3d 3d 1d 2h");

    let gpu = &lives.gpu_unused[0];
    assert_eq!((gpu.after, gpu.then_stop_after), (Seconds(43_200), Some(Seconds(43_200))));
    assert_eq!((gpu.action, gpu.if_kernel_busy), (GpuAction::OfferCpu, IfBusy::Report));
    let memory = &lives.memory;
    assert_eq!((memory.live_resize, memory.warn_at_milli), (true, 850));
    assert_eq!(memory.rescue.as_ref().unwrap().lend, gb(2));
    let activity = &lives.activity;
    let above = |above: &Option<berth_core::settings::Above>| above.unwrap().amount;
    assert_eq!((above(&activity.cpu), above(&activity.gpu)), (200, 5));
    assert_eq!(above(&activity.network), 1 << 20);
    assert_eq!(text(&lives.warn.leads), "1h 10m");
    let quiet = lives.warn.quiet.as_ref().unwrap();
    assert_eq!((quiet.from_s, quiet.to_s), (72_000, 25_200));
}

#[test]
fn a_site_that_says_nothing_stops_idle_servers_after_three_days_and_with_a_gpu_after_one() {
    let folder = Folder::sample();
    std::fs::remove_file(folder.path().join("lifecycle.toml")).unwrap();
    let (settings, warnings) = folder.load().unwrap();
    assert_eq!(warnings.0, [], "{warnings}");
    let planned: Vec<_> = settings.profiles.values().map(|it| it.idle_limit.unwrap()).collect();
    assert_eq!(text(planned), "3d 3d 1d 3d");
    assert_eq!(settings.lifecycle.warn.quiet, None);
    assert_eq!(settings.lifecycle.max_age.of("cpu"), None, "servers may live for months");
}

/// The file of the deck's site, as the design has it.
#[test]
fn a_lead_that_is_too_long_for_a_profile_is_told() {
    let folder = Folder::sample();
    folder.change("lifecycle.toml", "[\"1h\", \"10m\"]", "[\"24h\", \"2h\", \"10m\"]");
    let (_, warnings) = folder.load().unwrap();
    let told: Vec<_> =
        warnings.0.iter().map(|one| format!("{}:{} {}", one.file, one.line, one.code)).collect();
    assert_eq!(told, ["lifecycle.toml:26 config.warning.lead"; 2]);
    assert!(warnings.to_string().contains(
        "lead \"24h\" is not used where it is over half of the limit: gpu (1d), root-school (2h)"
    ), "{warnings}");
}

#[test]
fn a_training_brings_its_profile_and_lets_its_people_in() {
    let settings = sample();
    let training = &settings.trainings["root-school"];
    let day = |day: u32| Window {
        from: format!("2026-05-{day}T06:00:00Z").parse().unwrap(),
        to: format!("2026-05-{day}T17:00:00Z").parse().unwrap(),
    };
    assert_eq!(training.windows, [day(12), day(13), day(14)]);
    assert_eq!((training.expected, training.stop_after), (30, Seconds(7200)));
    assert_eq!((training.quota.servers, training.quota.memory), (Some(1), Some(gb(4))));
    let profile = &settings.profiles["root-school"];
    assert_eq!((profile.title.as_str(), profile.pool.as_str()), ("ROOT school", "training"));
    assert_eq!((profile.memory_default, profile.memory_max), (gb(3), gb(3)));
    assert_eq!(profile.images, ["root-6.30"]);
    let early = ["images.example.org/berth/root:6.30".to_owned()].into();
    assert_eq!(
        settings.prepull,
        BTreeMap::from(["cpu", "training"].map(|pool| (pool.into(), BTreeSet::clone(&early))))
    );
    assert_eq!(profile.start_url.as_deref(), Some("/lab/tree/school/intro.ipynb"));
    assert_eq!(profile.training.as_deref(), Some("root-school"));
    assert_eq!(profile.overflow.as_deref(), Some("cpu"));
    let allows: Vec<_> =
        settings.access.allow.iter().filter(|allow| allow.profile == "root-school").collect();
    assert_eq!(text(&allows[0].people.groups), "school-root-2026");
    assert_eq!(text(&allows[1].people.users), "carol dave");
}

#[test]
fn what_is_not_said_has_the_defaults_of_the_types() {
    let folder = Folder::of(&[
        ("pools.toml", "[pool.cpu]\n"),
        ("images.toml", "[image.py]\nref = \"nb:py\"\n"),
        (
            "profiles.toml",
            "[profile.small]\npool = \"cpu\"\nmemory = { default = \"1 GB\" }\nimages = [\"py\"]\n",
        ),
        ("hosts.toml", "host = [ { names = \"wn1\", pool = \"cpu\" } ]\n"),
    ]);
    let (settings, warnings) = folder.load().unwrap();
    assert_eq!(warnings.0, []);
    let pool = settings.pools["cpu"].clone();
    assert_eq!(pool, Pool { cite: pool.cite.clone(), ..Pool::default() });
    let host = &settings.hosts[&"wn1".parse().unwrap()];
    assert_eq!((host.memory, host.keep_free, &host.gpus), (None, ByteCount::ZERO, &None));
    let profile = &settings.profiles["small"];
    assert_eq!((profile.title.as_str(), profile.cpu_milli, &profile.gpus), ("small", 0, &None));
    assert_eq!(settings.quotas.default.servers, Some(5));
    assert_eq!(settings.access, Default::default());
}

#[test]
fn fragments_add_up_and_may_not_say_the_same_twice() {
    let folder = Folder::sample();
    folder.write(
        "access.d/10.toml",
        "version = 1\n[[deny]]\nusers = [\"mallory\"]\nreason = \"Closed\"\n",
    );
    folder.write("quotas.d/10.toml", "version = 1\n[user]\ncarol = { servers = 4 }\n");
    let (settings, _) = folder.load().unwrap();
    assert_eq!(settings.access.deny.len(), 2);
    assert_eq!(settings.access.deny[1].cite.to_string(), "access.d/10.toml:2");
    assert_eq!(settings.quotas.users.len(), 2);

    folder
        .write("quotas.d/20.toml", "version = 1\nmerge = \"sum\"\n[group]\nlsst = { gpus = 2 }\n");
    folder.write("pools.d/20.toml", "version = 1\nqueue = { order = \"fifo\" }\n[pool.cpu]\n");
    folder.write("images.d/20.toml", "version = 1\n[image.default]\nref = \"x\"\n");
    folder.write(
        "profiles.d/20.toml",
        "version = 1\n[profile.cpu]\npool = \"cpu\"\nmemory = { default = \"1 GB\" }\n\
         images = [\"default\"]\n",
    );
    folder.write(
        "trainings.d/20.toml",
        "version = 1\n[training.gpu]\npool = \"training\"\nfrom = 2026-06-01\nto = 2026-06-02\n\
         participants = { users = [\"erin\"], expected = 1 }\n\
         profile = { memory = \"1 GB\", image = \"default\" }\n",
    );
    let told = folder.load().unwrap_err();
    let places = text(told.0.iter().map(|one| format!("{}:{}", one.file, one.line)));
    assert_eq!(
        places,
        "images.d/20.toml:2 pools.d/20.toml:2 pools.d/20.toml:3 profiles.d/20.toml:2 \
         quotas.d/20.toml:2 quotas.d/20.toml:4 trainings.d/20.toml:2",
        "{told}"
    );
    assert!(told.0.iter().all(|one| one.code == "config.duplicate"), "{told}");
    assert!(told.to_string().contains("first in pools.toml:3"), "{told}");
}

#[test]
fn whole_days_of_a_training_are_those_of_the_site() {
    let folder = Folder::sample();
    let file = "trainings.d/2026-05-root-school.toml";
    folder.change(file, "2026-05-12T08:00:00+02:00", "2026-05-12");
    folder.change(file, "2026-05-14T19:00:00+02:00", "2026-05-13");
    folder.change(file, "daily = \"08:00-19:00\"", "");
    let windows = &folder.load().unwrap().0.trainings["root-school"].windows;
    let moment = |text: &str| text.parse().unwrap();
    let window =
        Window { from: moment("2026-05-12T00:00:00Z"), to: moment("2026-05-14T00:00:00Z") };
    assert_eq!(*windows, [window]);
}

#[test]
fn hosts_that_are_not_declared_fully_are_not_judged() {
    let folder = Folder::sample();
    folder.change("profiles.toml", "\"64 GB\"], max = \"64 GB\"", "\"96 GB\"], max = \"96 GB\"");
    assert!(folder.load().is_err());
    folder
        .write("hosts.d/40.toml", "version = 1\nhost = [ { names = \"new1\", pool = \"gpu\" } ]\n");
    folder.load().unwrap();
}

#[test]
fn two_trainings_share_a_pool_only_as_far_as_it_goes() {
    let folder = Folder::sample();
    let second = |from: &str, people: u32| {
        let text = format!(
            "version = 1\n[training.second]\npool = \"training\"\nfrom = {from}\nto = 2026-05-20\n\
             participants = {{ groups = [\"second\"], expected = {people} }}\n\
             profile = {{ memory = \"10 GB\", image = \"default\" }}\n"
        );
        folder.write("trainings.d/second.toml", &text);
        text_of(folder.load().unwrap().1)
    };
    // Per host 29 GB: two of 10 GB and three of 3 GB; of 30 small ones 12 stay beside 8 large.
    assert_eq!(second("2026-05-13", 2), "");
    let told = second("2026-05-13", 8);
    assert!(
        told.contains("38 people are expected for \"second\" and \"root-school\", and 18 of them"),
        "{told}"
    );
    assert_eq!(second("2026-05-15", 8), "");
    assert!(
        second("2026-05-15", 9).contains("9 people are expected for \"second\", and 1 of them")
    );
}

fn text_of(warnings: berth_hub::config::Diagnostics) -> String {
    if warnings.0.is_empty() { String::new() } else { warnings.to_string() }
}

#[test]
fn quotas_that_have_ended_no_longer_count() {
    let folder = Folder::sample();
    folder.change("quotas.toml", "euclid = { memory = \"64 GB\", gpus = 1 }", "");
    folder.change("quotas.toml", "lsst = { servers = 3, memory = \"64 GB\", gpus = 1 }", "");
    let told = |now: &str| text_of(folder.load_at(now).unwrap().1);
    assert!(!told("2026-09-30T12:00:00Z").contains("bob may use"));
    let after = told("2026-10-01T00:00:00Z");
    assert!(after.contains("bob may use profile \"gpu\""), "{after}");
    assert!(after.contains("config.warning.until"), "{after}");
}

#[test]
fn a_person_whose_group_may_hold_enough_is_not_warned_of() {
    let folder = Folder::sample();
    folder.change("access.toml", "users = [\"bob\"], until", "users = [\"erin\"], until");
    assert_eq!(text_of(folder.load().unwrap().1), "");
    folder.change("quotas.toml", "lsst = { servers = 3, memory = \"64 GB\", gpus = 1 }", "");
    folder.change("quotas.toml", "euclid = { memory = \"64 GB\", gpus = 1 }", "");
    let told = text_of(folder.load().unwrap().1);
    assert!(told.contains("erin may use profile \"gpu\", which takes at least 1 GPU"), "{told}");
    assert!(told.contains("the quota is 0 (quotas.toml:3)"), "{told}");
}

/// A new version of an image comes to some people first, then to everybody, and can be taken back.
#[test]
fn a_new_image_comes_by_canary_and_goes_back() {
    let folder = Folder::sample();
    let title = "title = \"Python 3.12, ROOT, R, Julia, Go\"";
    let previous = "previous = \"images.example.org/berth/notebook:2025.11\"";
    let with = |more: &str| {
        folder.write("images.toml", &crate::folder::sample("images.toml"));
        folder.change("images.toml", title, &format!("{title}\n{previous}\n{more}"));
        folder.load().unwrap().0
    };
    let (new, old) = ("notebook:2026.05", "notebook:2025.11");
    let gets = |settings: &Settings, groups: &[&str], at: &str| {
        let (user, at) = ("alice".parse().unwrap(), at.parse().unwrap());
        let name = settings.reference("default", &user, groups, at).unwrap();
        name.rsplit_once('/').unwrap().1.to_owned()
    };
    let canary = "canary = { groups = [\"support\"], until = 2026-06-04 }";
    let settings = with(canary);
    let (on_the_day, after) = ("2026-06-04T20:00:00Z", "2026-06-05T20:00:00Z");
    assert_eq!(gets(&settings, &["support"], on_the_day), new);
    assert_eq!(gets(&settings, &["atlas"], on_the_day), old);
    assert_eq!(gets(&settings, &["atlas"], after), new, "the canary is over");
    assert_eq!(settings.references().count(), 4, "both versions are known to placement");
    let settings = with("taken_back = true\nprepull = [\"cpu\"]");
    assert_eq!(gets(&settings, &["support"], after), old);
    assert!(settings.prepull["cpu"].iter().any(|name| name.ends_with(old)));
    assert_eq!(gets(&with(""), &["atlas"], on_the_day), new, "kept at hand, given to nobody");

    let told = |more: &str, without: bool| {
        folder.write("images.toml", &crate::folder::sample("images.toml"));
        let previous = if without { "" } else { previous };
        folder.change("images.toml", title, &format!("{title}\n{previous}\n{more}"));
        folder.told().to_string()
    };
    let lines = told(canary, true);
    assert!(lines.contains("add previous = \"...\", the version before"), "{lines}");
    assert!(lines.contains("images.toml:6"), "{lines}");
    let lines = told(&format!("{canary}\ntaken_back = true"), false);
    assert!(lines.contains("nobody gets a version that is taken back"), "{lines}");
    let lines = told("canary = { until = 2026-06-04 }", false);
    assert!(lines.contains("names nobody"), "{lines}");
}
