//! Becomes part of the copied `berth-common`: which mutant is switched on in this process.

#![allow(dead_code)] // here it is only a text, checked as all code is

use std::cell::RefCell;
use std::collections::HashSet;
use std::fs::OpenOptions;
use std::io::Write as _;
use std::sync::LazyLock;

/// The mutant of this process; 0 is none.
static ACTIVE: LazyLock<u32> = LazyLock::new(|| {
    std::env::var("BERTH_MUTANT").ok().and_then(|number| number.parse().ok()).unwrap_or(0)
});

/// Where to write which mutants were asked for, and by which thread.
static REACHED: LazyLock<Option<String>> =
    LazyLock::new(|| std::env::var("BERTH_MUTANTS_REACHED").ok());

thread_local! {
    static ASKED: RefCell<HashSet<u32>> = RefCell::default();
}

/// Whether this mutant is switched on.
#[inline]
pub fn is(number: u32) -> bool {
    if let Some(file) = &*REACHED {
        note(number, file);
    }
    *ACTIVE == number
}

/// The test harness names the thread of a test after the test.
fn note(number: u32, file: &str) {
    if !ASKED.with_borrow_mut(|asked| asked.insert(number)) {
        return;
    }
    let thread = std::thread::current();
    let line = format!("{number} {}\n", thread.name().unwrap_or("main"));
    let mut file = OpenOptions::new().create(true).append(true).open(file).expect("a file");
    file.write_all(line.as_bytes()).expect("room for a line");
}
