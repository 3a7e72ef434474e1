#![allow(clippy::unwrap_used)]

use berth_common::link::{RemappedRows, RetiredPages};
use berth_common::{ByteCount, ServerId};

use super::*;
use crate::gpu::picture::{Holder, Holders, Patience};
use crate::gpu::reading::{Memory, Place};

const GIB: u64 = 1 << 30;

/// A ledger, its clock, and the processes of a made-up kernel.
struct World {
    ledger: Ledger,
    millis: i64,
    gpus: Vec<Result<Reading, Fault>>,
    owners: BTreeMap<u32, Owner>,
    holders: Holders,
}

fn id(text: &str) -> GpuId {
    text.parse().unwrap()
}

fn boot(name: &str) -> BootId {
    name.parse().unwrap()
}

fn reading(index: u32) -> Reading {
    Reading {
        gpu: id(&format!("GPU-{index}")),
        model: "Tesla K80".into(),
        bus: format!("00000000:0{}:00.0", 5 + index),
        index,
        minor: Some(index),
        board: Some(0x300),
        capability: Some((3, 7)),
        memory: Memory { total: ByteCount(11 * GIB), reserved: None, free: ByteCount(11 * GIB) },
        busy: Some(0),
        temperature: Some(40),
        slowdown_at: Some(88),
        slowed_down: false,
        power: Some(60_000),
        clock: Some(562),
        ecc_uncorrected: Some(0),
        retired: Some(RetiredPages::default()),
        remapped: None,
        processes: Vec::new(),
    }
}

impl World {
    fn new() -> Self {
        Self::remembering(BTreeMap::new(), "one")
    }

    fn remembering(memos: BTreeMap<GpuId, Memo>, now_booted: &str) -> Self {
        let millis = 1_000_000_000;
        let ledger = Ledger::new(boot(now_booted), memos, moment(millis));
        Self {
            ledger,
            millis,
            gpus: vec![Ok(reading(0)), Ok(reading(1))],
            owners: BTreeMap::new(),
            holders: Holders::new(),
        }
    }

    /// Time passes, then a round.
    fn after(&mut self, millis: i64) {
        self.millis += millis;
        let place = |(index, found): (u32, &Result<Reading, Fault>)| Place {
            index,
            gpu: Some(id(&format!("GPU-{index}"))),
            found: found.clone().map(|device| Found { device, instances: None }),
        };
        let places = (0..).zip(&self.gpus).map(place).collect();
        let owners = self.owners.clone();
        let round = Round { driver: "470.256.02".into(), places };
        self.ledger.round(Ok(round), |pid| owners.get(&pid).cloned(), moment(self.millis));
    }

    fn xid(&mut self, gpu: u32, xid: u64) {
        self.ledger.xid(Some(&id(&format!("GPU-{gpu}"))), xid, moment(self.millis));
    }

    /// Why a GPU may not be given; empty: it may.
    fn trouble(&self, gpu: u32) -> String {
        let devices = self.ledger.picture().devices(&self.holders, moment(self.millis).steady);
        let gpu = id(&format!("GPU-{gpu}"));
        let device = devices.into_iter().find(|device| device.gpu == gpu);
        device.unwrap().trouble.unwrap_or_default()
    }

    fn change(&mut self, gpu: usize, change: impl FnOnce(&mut Reading)) {
        change(self.gpus[gpu].as_mut().unwrap());
    }

    /// A process appears on a GPU.
    fn enters(&mut self, gpu: usize, pid: u32, container: Option<&str>, uid: u32) {
        let owner = Owner {
            container: container.map(str::to_owned),
            uid,
            program: "python3".into(),
            began: u64::from(pid),
        };
        self.owners.insert(pid, owner);
        let memory = Some(ByteCount(2 * GIB));
        self.change(gpu, |it| {
            it.processes.push(Process { pid, memory, instance: None });
            it.memory.free = it.memory.free.minus(ByteCount(2 * GIB));
        });
    }
}

fn moment(millis: i64) -> Moment {
    Moment { steady: Timestamp::from_millis(millis), date: Timestamp::from_millis(millis) }
}

#[test]
fn a_well_gpu_can_be_given() {
    let mut world = World::new();
    world.after(0);
    assert_eq!((world.trouble(0), world.trouble(1)), (String::new(), String::new()));
    let picture = world.ledger.picture();
    let facts = picture.facts(&world.holders, moment(world.millis).steady);
    assert_eq!((facts.driver.as_str(), facts.trouble.as_str()), ("470.256.02", ""));
    assert_eq!(facts.used[1].device.as_deref(), Some("nvidia1"));
    assert_eq!(facts.used[1].board, Some(0x300));
}

#[test]
fn a_programs_xid_harms_nobody_and_a_gpus_own_one_sticks() {
    let mut world = World::new();
    world.after(0);
    world.xid(0, 31);
    assert_eq!(world.trouble(0), "");
    world.xid(0, 48);
    world.after(7 * 24 * 3600 * 1000);
    let words = world.trouble(0);
    assert!(words.starts_with("failed: XID 48: a double bit memory error"), "{words}");
    assert_eq!(world.trouble(1), "");
    let saved = world.ledger.unsaved();
    assert_eq!(
        saved.iter().find(|(gpu, _)| *gpu == id("GPU-0")).unwrap().1.mark.as_ref().unwrap().state,
        Marked::Failed
    );
    assert!(world.ledger.unsaved().is_empty(), "written once");
}

#[test]
fn a_suspect_comes_back_after_a_day_and_is_not_made_better_by_another_error() {
    let mut world = World::new();
    world.after(0);
    world.xid(0, 61);
    assert!(world.trouble(0).starts_with("suspect: XID 61"), "{}", world.trouble(0));
    world.after(23 * 3600 * 1000);
    assert_ne!(world.trouble(0), "");
    world.after(3600 * 1000);
    assert_eq!(world.trouble(0), "");
    world.xid(0, 79);
    world.xid(0, 61);
    assert!(world.trouble(0).starts_with("failed: XID 79"));
}

#[test]
fn a_reboot_cures_what_is_well_then_and_nothing_else() {
    let mut world = World::new();
    world.after(0);
    world.xid(0, 79);
    world.gpus[1] = Err(Fault::Lost);
    world.after(1000);
    let memos: BTreeMap<_, _> = world.ledger.unsaved().into_iter().collect();
    assert_eq!(memos.len(), 2);

    let mut same_boot = World::remembering(memos.clone(), "one");
    assert_eq!(same_boot.trouble(0), "it was not looked at yet");
    same_boot.after(0);
    assert!(
        same_boot.trouble(0).starts_with("failed: XID 79"),
        "the agent restarted, not the host"
    );
    assert!(same_boot.trouble(1).starts_with("failed: it fell off the bus"));

    let mut rebooted = World::remembering(memos, "two");
    rebooted.gpus[1] = Err(Fault::Lost);
    rebooted.after(0);
    assert_eq!(rebooted.trouble(0), "");
    assert!(rebooted.trouble(1).starts_with("lost:"), "{}", rebooted.trouble(1));
    rebooted.gpus[1] = Ok(reading(1));
    rebooted.after(1000);
    assert!(rebooted.trouble(1).starts_with("failed:"), "marked again in this boot");
}

#[test]
fn an_administrator_clears_what_is_there_and_forgets_what_is_gone() {
    let mut world = World::new();
    world.after(0);
    world.xid(0, 79);
    world.gpus.pop();
    world.after(1000);
    assert!(world.trouble(1).starts_with("it is not in the host any more"), "{}", world.trouble(1));
    world.ledger.unsaved();
    assert_eq!(world.ledger.clearable(), [id("GPU-0"), id("GPU-1")]);
    world.ledger.clear(&id("GPU-0"));
    world.ledger.clear(&id("GPU-1"));
    assert_eq!(world.trouble(0), "");
    assert_eq!(world.ledger.picture().gpus.len(), 1);
}

#[test]
fn a_mark_that_could_not_be_written_is_not_taken_for_one_that_was_cleared() {
    let mut world = World::new();
    world.after(0);
    world.xid(0, 79);
    assert_eq!(world.ledger.unsaved().len(), 2);
    world.ledger.still_unsaved(&id("GPU-0"));
    assert_eq!(world.ledger.clearable(), []);
    assert_eq!(world.ledger.unsaved().len(), 1, "told again");
    assert_eq!(world.ledger.clearable(), [id("GPU-0")]);
}

#[test]
fn what_the_device_itself_says_sets_it_aside() {
    type Case = (&'static str, fn(&mut Reading));
    let cases: [Case; 4] = [
        ("failed: 63 memory pages are retired", |it| {
            it.retired = Some(RetiredPages { single_bit: 60, double_bit: 3, pending: false });
        }),
        ("bad memory waits", |it| {
            it.retired = Some(RetiredPages { single_bit: 1, double_bit: 0, pending: true });
        }),
        ("failed: it has no spare memory rows left", |it| {
            it.remapped = Some(RemappedRows { failed: true, ..RemappedRows::default() });
        }),
        ("bad memory waits", |it| {
            it.remapped = Some(RemappedRows { pending: true, ..RemappedRows::default() });
        }),
    ];
    for (words, change) in cases {
        let mut world = World::new();
        world.change(0, change);
        world.after(0);
        assert!(world.trouble(0).starts_with(words), "{}", world.trouble(0));
    }
    let mut world = World::new();
    world.change(0, |it| it.remapped = Some(RemappedRows { correctable: 2, ..Default::default() }));
    world.after(0);
    assert_eq!(world.trouble(0), "", "a new H200 was seen with two remapped rows");
}

#[test]
fn strangers_set_a_gpu_aside_and_owners_do_not() {
    let mut world = World::new();
    world.after(0);
    let alice = ServerId::from_random(1);
    let holder = Holder { server: alice.clone(), gpus: vec![id("GPU-0")] };
    world.holders.insert("a".repeat(64), holder);
    world.enters(0, 10, Some(&"a".repeat(64)), 20_001);
    world.after(1000);
    world.after(1000);
    world.after(1000);
    assert_eq!(world.trouble(0), "");
    let facts = world.ledger.picture().facts(&world.holders, moment(world.millis).steady);
    assert_eq!(facts.used[0].processes[0].server, Some(alice.clone()));

    world.enters(1, 11, None, 1234);
    world.after(1000);
    assert_eq!(world.trouble(1), "", "a moment's patience in reports");
    let picture = world.ledger.picture();
    let now = moment(world.millis).steady;
    let strict = picture.can_be_given(&id("GPU-1"), &world.holders, Patience::None, now);
    assert!(strict.is_err(), "none before a start");
    world.after(1000);
    world.after(1000);
    let words = world.trouble(1);
    assert_eq!(words, "used by somebody else: python3 (process 11, uid 1234)");

    world.change(1, |it| it.processes.clear());
    world.enters(1, 10, Some(&"a".repeat(64)), 20_001);
    for _ in 0..3 {
        world.after(1000);
    }
    assert!(world.trouble(1).starts_with(&format!("used by server {alice}, which was not given")));
}

#[test]
fn a_number_that_was_used_again_is_another_process() {
    let mut world = World::new();
    world.after(0);
    world.enters(0, 10, None, 1234);
    for _ in 0..3 {
        world.after(1000);
    }
    assert_ne!(world.trouble(0), "");
    world.owners.get_mut(&10).unwrap().began = 99;
    world.after(1000);
    assert_eq!(world.trouble(0), "", "seen for the first time");
}

#[test]
fn memory_without_a_process_is_waited_for_and_then_told() {
    let mut world = World::new();
    // What the driver itself needs is no leftover, even if it is there from the beginning.
    world.change(0, |it| it.memory.free = ByteCount(10 * GIB + 500 * (1 << 20)));
    world.after(0);
    world.after(120_000);
    assert_eq!(world.trouble(0), "");
    world.change(0, |it| it.memory.free = ByteCount(7 * GIB));
    world.after(1000);
    world.after(59_000);
    assert_eq!(world.trouble(0), "", "a process may take a minute to disappear");
    world.after(1000);
    assert!(world.trouble(0).starts_with("its memory is held"), "{}", world.trouble(0));
    world.change(0, |it| it.memory.free = ByteCount(11 * GIB));
    world.after(1000);
    assert_eq!(world.trouble(0), "");
}

#[test]
fn an_idle_k80_that_shows_full_use_is_not_busy() {
    let mut world = World::new();
    world.change(0, |it| it.busy = Some(99));
    world.after(0);
    let busy = |world: &World| world.ledger.picture().gpus[&id("GPU-0")].busy;
    assert_eq!(busy(&world), None, "just opened");
    world.after(40_000);
    assert_eq!(busy(&world), Some(0), "without a process use is noise");
    world.enters(0, 10, None, 1234);
    world.after(1000);
    assert_eq!(busy(&world), Some(99));
}

#[test]
fn a_library_that_hangs_makes_everything_unknown() {
    let mut world = World::new();
    world.after(0);
    world.millis += 9_999;
    assert_eq!(world.trouble(0), "");
    world.millis += 1;
    assert!(world.trouble(0).starts_with("unknown: NVML does not answer"));
    let facts = world.ledger.picture().facts(&world.holders, moment(world.millis).steady);
    assert!(facts.trouble.starts_with("unknown:"));
}

#[test]
fn a_driver_that_goes_is_told_and_a_host_without_gpus_is_no_trouble() {
    let mut world = World::new();
    world.after(0);
    let gone = || Absence::None("the NVIDIA driver is not loaded".into());
    world.ledger.round(Err(gone()), |_| None, moment(world.millis));
    assert_eq!(world.trouble(0), "no GPUs: the NVIDIA driver is not loaded");
    world.ledger.round(Err(Absence::Mismatch), |_| None, moment(world.millis));
    assert!(world.trouble(0).contains("reboot the host"));

    let mut none = Ledger::new(boot("one"), BTreeMap::new(), moment(0));
    none.round(Err(gone()), |_| None, moment(0));
    let facts = none.picture().facts(&Holders::new(), moment(0).steady);
    assert_eq!(facts.trouble, "");
    none.round(Err(Absence::Mismatch), |_| None, moment(0));
    let facts = none.picture().facts(&Holders::new(), moment(0).steady);
    assert!(facts.trouble.contains("reboot the host"), "there may be GPUs behind it");
}

#[test]
fn heat_is_a_warning_after_five_minutes() {
    let mut world = World::new();
    world.change(0, |it| it.temperature = Some(88));
    world.after(0);
    world.after(299_000);
    let warning = |world: &World| world.ledger.picture().gpus[&id("GPU-0")].warning.clone();
    assert_eq!(warning(&world), None);
    world.after(1000);
    assert!(warning(&world).unwrap().contains("88 °C"));
    assert_eq!(world.trouble(0), "", "it can be given all the same");
    world.change(0, |it| it.temperature = Some(70));
    world.after(1000);
    assert_eq!(warning(&world), None);
}

#[test]
fn a_split_gpu_is_its_instances() {
    let mut world = World::new();
    world.after(0);
    let part = |name: &str| Reading { gpu: id(name), model: "MIG 1g".into(), ..reading(0) };
    let split = |instances: Vec<Reading>| Round {
        driver: "580".into(),
        places: vec![Place {
            index: 0,
            gpu: Some(id("GPU-0")),
            found: Ok(Found { device: reading(0), instances: Some(instances) }),
        }],
    };
    let round = split(vec![part("MIG-a"), part("MIG-b")]);
    world.ledger.round(Ok(round), |_| None, moment(world.millis));
    let ids = |world: &World| {
        let devices = world.ledger.picture().devices(&world.holders, moment(world.millis).steady);
        devices.into_iter().map(|it| (it.gpu.to_string(), it.trouble)).collect::<Vec<_>>()
    };
    let here: Vec<_> = ids(&world).into_iter().filter(|(id, _)| id != "GPU-1").collect();
    assert_eq!(here, [("MIG-a".to_owned(), None), ("MIG-b".to_owned(), None)]);
    world.xid(0, 79);
    assert!(ids(&world).iter().all(|(_, trouble)| trouble.is_some()), "they are one device");
    world.ledger.round(Ok(split(Vec::new())), |_| None, moment(world.millis));
    assert_eq!(ids(&world)[0].0, "GPU-0");
}
