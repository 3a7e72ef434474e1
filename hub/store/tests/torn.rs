//! The store after a power cut, with bits that have tipped over, and on a full disk: what a commit
//! confirmed is there, and of what it did not confirm either all or nothing.

use std::fs;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use berth_common::link::Account;
use berth_common::{Epoch, Timestamp};
use berth_core::Settings;
use berth_core::event::Row;
use berth_core::store::Store;
use berth_store::{Act, Acts, Database, Reader, StoreError, User};

/// So many commits stand in the log.
const COMMITS: usize = 200;
/// A disk writes so many bytes, or none of them.
const SECTOR: usize = 512;

/// Everything of the big numbers, or the share that is tried each time.
fn long() -> bool {
    std::env::var_os("BERTH_LONG").is_some()
}

/// What a store holds of the history below.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Held {
    epoch: Epoch,
    acts: usize,
    users: usize,
    settings: u64,
}

impl Held {
    fn of(folder: &Path) -> Result<Self, StoreError> {
        // As the hub does it: opened for writing first, with all that is looked at then.
        let database = Database::open(folder)?;
        let reader = database.reader()?;
        Self::read(&reader)
    }

    fn read(reader: &Reader) -> Result<Self, StoreError> {
        let mut settings = 0;
        while reader.settings(settings + 1)?.is_some() {
            settings += 1;
        }
        let acts = reader.acts(&Acts { limit: usize::from(u16::MAX), ..Acts::default() })?;
        let epoch = reader.epoch()?;
        Ok(Self { epoch, acts: acts.len(), users: reader.users()?.len(), settings })
    }

    /// The commit of a number: each makes several rows that belong together.
    fn commit(&mut self, database: &mut Database, number: usize) -> Result<(), StoreError> {
        let mut after = self.clone();
        match number % 3 {
            0 => {
                let (user, act) = (user(number), act(number));
                database.together(|database| {
                    database.save_directory_user(&user)?;
                    database.record(&act)
                })?;
                after.users += 1;
                after.acts += 1;
            }
            1 => {
                let row =
                    |version| Row::Settings(Arc::new(Settings { version, ..Settings::default() }));
                database.commit(&[row(self.settings + 1), row(self.settings + 2)])?;
                after.settings += 2;
            }
            _ => after.epoch = database.next_epoch()?,
        }
        *self = after;
        Ok(())
    }
}

fn user(number: usize) -> User {
    let uid = 20_000 + u32::try_from(number).unwrap();
    User {
        account: Account {
            name: format!("u{number}").parse().unwrap(),
            uid,
            gid: uid,
            groups: Vec::new(),
            home: format!("/home/u{number}"),
        },
        admin: false,
        password: String::new(),
        created: Timestamp(1_000_000),
        last_activity: Timestamp(1_000_000),
    }
}

fn act(number: usize) -> Act {
    let reason = "x".repeat(number * 37 % 3_000);
    Act::new(Timestamp(number as i64), "admin", "server-stop", "socket").because(&reason)
}

/// A database file, the log of all that came after it, and what holds after each commit.
struct History {
    database: Vec<u8>,
    log: Vec<u8>,
    /// The length of the log after each commit, and what the store then held.
    after: Vec<(usize, Held)>,
}

impl History {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        drop(Database::open(folder.path()).unwrap());
        let mut database = Database::open(folder.path()).unwrap();
        database.next_epoch().unwrap();
        // Whoever reads keeps the log from being put into the database.
        let reader = rusqlite::Connection::open(folder.path().join("berth.db")).unwrap();
        reader.execute_batch("BEGIN; SELECT count(*) FROM meta").unwrap();
        let file = fs::read(folder.path().join("berth.db")).unwrap();
        let log = folder.path().join("berth.db-wal");
        let mut held = Held::read(&database.reader().unwrap()).unwrap();
        let mut after = vec![(fs::metadata(&log).unwrap().len() as usize, held.clone())];
        for number in 0..COMMITS {
            held.commit(&mut database, number).unwrap();
            after.push((fs::metadata(&log).unwrap().len() as usize, held.clone()));
        }
        let now = fs::read(folder.path().join("berth.db")).unwrap();
        assert!(file == now, "all is in the log");
        Self { database: file, log: fs::read(log).unwrap(), after }
    }

    /// What a store holds that finds this log.
    fn found(&self, log: &[u8]) -> Result<Held, StoreError> {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("berth.db"), &self.database).unwrap();
        fs::write(folder.path().join("berth.db-wal"), log).unwrap();
        Held::of(folder.path())
    }

    /// What holds when so much of the log is there: the last commit that is whole.
    fn expected(&self, length: usize) -> &Held {
        let whole = self.after.iter().rev().find(|(end, _)| *end <= length);
        &whole.unwrap_or(&self.after[0]).1
    }

    /// Where in the log a commit lies.
    fn range(&self, number: usize) -> Range<usize> {
        self.after[number].0..self.after[number + 1].0
    }
}

#[test]
fn a_log_that_ends_anywhere_gives_the_last_whole_commit() {
    let history = History::new();
    let from = if long() { history.after[0].0 } else { history.range(COMMITS - 12).start };
    let mut tried = 0;
    for length in (from..=history.log.len()).step_by(SECTOR).chain([history.log.len()]) {
        let found = history.found(&history.log[..length]);
        let found = found.unwrap_or_else(|error| panic!("{length} bytes of the log: {error}"));
        assert_eq!(found, *history.expected(length), "{length} bytes of the log");
        tried += 1;
    }
    println!("{tried} prefixes of a log of {} bytes and {COMMITS} commits", history.log.len());
}

/// The last commit was not confirmed: its fsync had not returned. All before it was.
#[test]
fn damage_in_what_was_not_confirmed_takes_nothing_else_with_it() {
    let history = History::new();
    let mut tried = 0;
    for number in COMMITS - 3..COMMITS {
        let range = history.range(number);
        let log = &history.log[..range.end];
        let wanted = [&history.after[number].1, &history.after[number + 1].1];
        let check = |log: &[u8], what: &str| {
            let found = history.found(log).unwrap_or_else(|error| panic!("{what}: {error}"));
            assert!(wanted.contains(&&found), "{what}: {found:?} is neither of {wanted:?}");
        };
        let step = if long() { 1 } else { range.len() / 60 + 1 };
        for at in range.clone().step_by(step) {
            let mut log = log.to_vec();
            log[at] ^= 1 << (at % 8);
            check(&log, &format!("a bit of byte {at}"));
            tried += 1;
        }
        // The disk wrote the sectors in an order of its own, and some not at all.
        for from in range.clone().step_by(SECTOR) {
            let mut log = log.to_vec();
            let to = (from + SECTOR).min(log.len());
            log[from..to].fill(0);
            check(&log, &format!("no bytes {from} to {to}"));
            tried += 1;
        }
    }
    println!("{tried} damages of unconfirmed commits");
}

/// A file system of the test's own, gone with it.
struct Disk {
    folder: tempfile::TempDir,
}

impl Disk {
    fn new(bytes: usize) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let size = std::ffi::CString::new(format!("size={bytes}")).unwrap();
        let flags = rustix::mount::MountFlags::empty();
        rustix::mount::mount("tmpfs", folder.path(), "tmpfs", flags, Some(size.as_c_str()))
            .expect("a file system of its own needs root");
        Self { folder }
    }

    fn state(&self) -> PathBuf {
        self.folder.path().join("state")
    }

    /// Leaves so many bytes free.
    fn fill(&self, free: u64) {
        let now = berth_store::free_bytes(self.folder.path()).unwrap();
        let ballast = vec![0; now.saturating_sub(free) as usize];
        fs::write(self.folder.path().join("ballast"), ballast).unwrap();
    }

    fn make_room(&self) {
        fs::remove_file(self.folder.path().join("ballast")).unwrap();
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = rustix::mount::unmount(self.folder.path(), rustix::mount::UnmountFlags::DETACH);
    }
}

/// The disk is full from each page of the log on, so each write is the first that fails once.
#[test]
fn a_full_disk_refuses_and_forgets_nothing_and_room_is_enough_to_go_on() {
    let most = if long() { 160 } else { 24 };
    let mut refused = 0;
    for pages in 0..most {
        let disk = Disk::new(8 << 20);
        let mut database = Database::open(&disk.state()).unwrap();
        let reader = database.reader().unwrap();
        let mut held = Held::read(&reader).unwrap();
        for number in 0..4 {
            held.commit(&mut database, number).unwrap();
        }
        disk.fill(pages * 4096);
        // Every kind of commit meets the full disk.
        for number in 4..104 {
            let kept = held.clone();
            if held.commit(&mut database, number).is_err() {
                refused += 1;
                assert_eq!(Held::read(&reader).unwrap(), kept, "{pages} pages, commit {number}");
            }
        }
        drop((database, reader));
        // A hub that starts on a full disk may be refused, and loses nothing by it.
        match Held::of(&disk.state()) {
            Ok(found) => assert_eq!(found, held, "{pages} pages"),
            Err(error) => assert!(error.to_string().contains("full"), "{pages} pages: {error}"),
        }
        disk.make_room();
        assert_eq!(Held::of(&disk.state()).unwrap(), held, "{pages} pages");
        let mut database = Database::open(&disk.state()).unwrap();
        for number in 104..107 {
            held.commit(&mut database, number).unwrap();
        }
        assert_eq!(Held::read(&database.reader().unwrap()).unwrap(), held);
    }
    assert!(refused > most, "{refused} commits were refused");
    println!("{refused} commits refused by {most} full disks");
}

/// The writer goes on as soon as there is room: nobody has to start the hub again.
#[test]
fn one_writer_lives_through_a_full_disk() {
    let disk = Disk::new(8 << 20);
    let mut database = Database::open(&disk.state()).unwrap();
    let reader = database.reader().unwrap();
    let mut held = Held::read(&reader).unwrap();
    let mut number = 0;
    for round in 0..6_u64 {
        disk.fill(round * 5_000);
        let mut refused = 0;
        while refused < 3 {
            refused += u32::from(held.commit(&mut database, number).is_err());
            number += 1;
        }
        disk.make_room();
        for _ in 0..3 {
            held.commit(&mut database, number).unwrap();
            number += 1;
        }
        assert_eq!(Held::read(&reader).unwrap(), held, "round {round}");
    }
}
