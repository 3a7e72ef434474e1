//! The agent's adapter against a management library that is not NVIDIA's, through the real loader:
//! each test has a copy of it with a state of its own.

use berth_agent::gpu::nvml::Library;
use berth_agent::gpu::reading::{Absence, Event, Fault, Reading, Round, Source};
use berth_common::ByteCount;

#[path = "host/nvml.rs"]
mod nvml;

use nvml::{Fake, Flavour};

fn source(fake: &Fake) -> Library {
    Library::new(Some(fake.library()))
}

fn device(round: &Round, index: usize) -> &Reading {
    &round.places[index].found.as_ref().unwrap().device
}

#[test]
fn two_k80_boards_on_driver_470() {
    let fake = Fake::new(Flavour::K80);
    fake.says("gpu0.util = 99\ngpu1.procs = 4242:512\ngpu2.retired = 3\ngpu2.retire_pending = 1\n");
    let mut library = source(&fake);
    let round = library.round().unwrap();
    assert_eq!((round.driver.as_str(), round.places.len()), ("470.256.02", 4));
    let first = device(&round, 0);
    assert_eq!(first.model, "Tesla K80");
    assert_eq!(first.bus, "00000000:05:00.0");
    assert_eq!(first.capability, Some((3, 7)));
    assert_eq!(first.memory.total, ByteCount(11_996_954_624), "by the first version of the call");
    assert_eq!((first.memory.reserved, first.memory.used()), (None, ByteCount(0)));
    assert_eq!((first.busy, first.temperature, first.slowdown_at), (Some(99), Some(38), Some(88)));
    assert_eq!(first.remapped, None, "not on Kepler");
    let boards: Vec<_> = (0..4).map(|index| device(&round, index).board).collect();
    assert_eq!(boards, [Some(0x300), Some(0x300), Some(0x600), Some(0x600)]);
    let process = device(&round, 1).processes[0];
    assert_eq!((process.pid, process.memory), (4242, Some(ByteCount(512 << 20))));
    let retired = device(&round, 2).retired.unwrap();
    assert_eq!((retired.single_bit, retired.double_bit, retired.pending), (3, 0, true));
}

#[test]
fn an_h200_on_driver_580_as_one_was_seen() {
    let fake = Fake::new(Flavour::H200);
    fake.says(
        "gpu0.procs = 590:2118,591:3142,592:4166\ngpu0.util = 13\ngpu0.rows_correctable = 2\n",
    );
    let mut library = source(&fake);
    let round = library.round().unwrap();
    assert_eq!((round.driver.as_str(), round.places.len()), ("580.159.04", 1));
    let gpu = device(&round, 0);
    assert_eq!((gpu.model.as_str(), gpu.capability), ("NVIDIA H200", Some((9, 0))));
    assert_eq!(gpu.memory.total, ByteCount(150_754_820_096));
    assert_eq!(gpu.memory.reserved, Some(ByteCount(644_939_776)));
    assert_eq!(gpu.memory.used(), ByteCount((2118 + 3142 + 4166) << 20));
    let pids: Vec<_> = gpu.processes.iter().map(|process| process.pid).collect();
    assert_eq!(pids, [590, 591, 592]);
    assert_eq!(gpu.retired, None, "rows are remapped instead");
    assert_eq!(gpu.remapped.unwrap().correctable, 2);
    assert_eq!(gpu.board, None);
}

#[test]
fn what_changes_is_seen_at_the_next_round() {
    let fake = Fake::new(Flavour::K80);
    let mut library = source(&fake);
    assert_eq!(device(&library.round().unwrap(), 3).busy, Some(0));
    fake.says("gpu3.util = 70\ngpu3.temp = 80\ngpu3.ecc_dbe = 2\ngpu3.procs = 7:100\n");
    let round = library.round().unwrap();
    let gpu = device(&round, 3);
    assert_eq!((gpu.busy, gpu.temperature, gpu.ecc_uncorrected), (Some(70), Some(80), Some(2)));
    assert_eq!(gpu.memory.used(), ByteCount(100 << 20));
}

#[test]
fn a_lost_gpu_keeps_its_name_and_hides_no_other() {
    let fake = Fake::new(Flavour::K80);
    let mut library = source(&fake);
    let name = device(&library.round().unwrap(), 2).gpu.clone();
    fake.says("gpu2.lost = 1\n");
    let round = library.round().unwrap();
    assert_eq!(round.places[2].gpu, Some(name));
    assert_eq!(round.places[2].found, Err(Fault::Lost));
    assert_eq!(device(&round, 3).model, "Tesla K80");
    fake.says("");
    assert!(library.round().unwrap().places[2].found.is_ok());
}

#[test]
fn a_gpu_that_is_lost_from_the_beginning_has_no_name() {
    let fake = Fake::new(Flavour::K80);
    fake.says("gpu0.lost = 1\n");
    let round = source(&fake).round().unwrap();
    assert_eq!(
        (round.places[0].gpu.clone(), round.places[0].found.clone()),
        (None, Err(Fault::Lost))
    );
}

#[test]
fn neither_library_nor_driver_is_a_host_without_gpus() {
    let fake = Fake::new(Flavour::K80);
    let nowhere = fake.folder().join("nowhere.so");
    assert!(
        matches!(Library::new(Some(nowhere)).round(), Err(Absence::None(why)) if why.contains("library"))
    );
    fake.unloads_the_driver();
    let mut library = source(&fake);
    assert!(matches!(library.round(), Err(Absence::None(why)) if why.contains("driver")));
    fake.says("");
    assert_eq!(library.round().unwrap().places.len(), 4, "loaded later");
    fake.unloads_the_driver();
    assert!(matches!(library.round(), Err(Absence::None(_))), "unloaded while it was open");
    fake.says("mismatch = 1\n");
    assert_eq!(library.round(), Err(Absence::Mismatch));
}

#[test]
fn another_number_of_gpus_opens_the_library_anew() {
    let fake = Fake::new(Flavour::K80);
    let mut library = source(&fake);
    library.round().unwrap();
    fake.says("count = 3\n");
    assert!(library.round().is_err());
    assert_eq!(library.round().unwrap().places.len(), 3);
}

#[test]
fn xids_are_told_with_the_gpus_name_until_the_library_closes() {
    let fake = Fake::new(Flavour::K80);
    fake.says("gpu1.no_events = 1\nevent = 0:13\n");
    let mut library = source(&fake);
    let names: Vec<_> =
        library.round().unwrap().places.into_iter().map(|place| place.gpu.unwrap()).collect();
    let events = library.events().unwrap();
    let (sender, told) = std::sync::mpsc::channel();
    let thread = std::thread::spawn(move || {
        // The set is made in here; what is appended before is not told, so tests append again.
        events.run(&mut |event| sender.send(event).unwrap());
    });
    // Appended until it is heard: the thread may not have made its set yet.
    let mut state = "gpu1.no_events = 1\nevent = 0:13\n".to_owned();
    let heard = loop {
        state.push_str("event = 1:31\nevent = 2:79\n");
        fake.says(&state);
        if let Ok(event) = told.recv_timeout(std::time::Duration::from_millis(200)) {
            break event;
        }
    };
    assert_eq!(heard, Event::Xid { gpu: Some(names[2].clone()), xid: 79 }, "GPU 1 reports none");
    fake.unloads_the_driver();
    assert!(library.round().is_err(), "this closes it");
    thread.join().unwrap();
}

#[test]
fn instances_of_a_split_gpu_have_names_memory_and_processes() {
    let fake = Fake::new(Flavour::H200);
    fake.says(
        "gpu0.mig = 1\ngpu0.instances = MIG-a:1:0:16384,MIG-b:2:0:16384\n\
         gpu0.procs = 77:1024:2:0\n",
    );
    let round = source(&fake).round().unwrap();
    let found = round.places[0].found.as_ref().unwrap();
    let parts = found.instances.as_ref().unwrap();
    let told: Vec<_> = parts
        .iter()
        .map(|part| (part.gpu.as_str(), part.memory.total.0 >> 30, part.processes.len()))
        .collect();
    assert_eq!(told, [("MIG-a", 16, 0), ("MIG-b", 16, 1)]);
    assert_eq!(parts[1].memory.used(), ByteCount(1 << 30));
    assert_eq!(parts[1].model, "NVIDIA H200 MIG 1g.16gb");
    assert!(found.device.processes.is_empty(), "they are the instances'");
    fake.says("gpu0.mig = 1\n");
    let round = source(&fake).round().unwrap();
    assert_eq!(round.places[0].found.as_ref().unwrap().instances, Some(Vec::new()));
}
