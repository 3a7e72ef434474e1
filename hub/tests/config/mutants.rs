//! Thousands of files that a careless hand has changed: whatever it was, nothing panics, and every
//! error says in which file and which line it stands.

use std::collections::BTreeMap;

use berth_common::Timestamp;
use berth_hub::config::{self, Files, Severity};

use crate::folder::{NOW, names, sample};

/// SplitMix64.
struct Chance(u64);

impl Chance {
    fn below(&mut self, most: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((mixed ^ (mixed >> 31)) % most.max(1) as u64).unwrap()
    }

    fn pick<'a>(&mut self, from: &[&'a str]) -> &'a str {
        from[self.below(from.len())]
    }
}

/// What stands where it should not, or in the place of something else.
const SLIPS: [&str; 24] = [
    "",
    "\"",
    "[",
    "]",
    "{",
    "}",
    "=",
    ",",
    "#",
    "\n",
    "\\",
    "\u{0}",
    "é",
    "💾",
    "-1",
    "0",
    "1e999",
    "9999999999999999999",
    "true",
    "\"16\"",
    "\"99999999 TB\"",
    "\"-3d\"",
    "2026-02-30",
    "[[host]]\n",
];

/// One to three slips of a hand: something cut, doubled, moved, or written over.
fn mutate(text: &str, chance: &mut Chance) -> String {
    let mut text = text.to_owned();
    for _ in 0..=chance.below(3) {
        let at = text.floor_char_boundary(chance.below(text.len() + 1));
        let end = text.floor_char_boundary((at + chance.below(24)).min(text.len())).max(at);
        match chance.below(5) {
            0 => text.replace_range(at..end, ""),
            1 => text.insert_str(at, chance.pick(&SLIPS)),
            2 => text.replace_range(at..end, chance.pick(&SLIPS)),
            3 => {
                let again = text[at..end].to_owned();
                text.insert_str(at, &again);
            }
            _ => {
                let mut lines: Vec<&str> = text.lines().collect();
                let (a, b) = (chance.below(lines.len()), chance.below(lines.len()));
                if !lines.is_empty() {
                    lines.swap(a, b);
                }
                text = lines.join("\n") + "\n";
            }
        }
    }
    text
}

#[test]
fn ten_thousand_slips_of_a_hand_are_told_with_file_and_line() {
    let now: Timestamp = NOW.parse().unwrap();
    let beside = tempfile::tempdir().unwrap();
    let names = names();
    let good: BTreeMap<String, String> =
        names.iter().map(|name| (name.clone(), sample(name))).collect();
    let before = config::of_files(&Files(good.clone()), beside.path(), now).unwrap().0;
    let (mut refused, mut taken) = (0, 0);
    for seed in 0..10_000 {
        let mut chance = Chance(seed);
        let name = &names[chance.below(names.len())];
        let mut files = good.clone();
        let text = mutate(&good[name], &mut chance);
        files.insert(name.clone(), text.clone());
        match config::of_files(&Files(files), beside.path(), now) {
            Ok((_, warnings)) => {
                taken += 1;
                assert!(!warnings.has_errors(), "seed {seed}: {warnings}");
            }
            Err(told) => {
                refused += 1;
                let errors = told.0.iter().filter(|one| one.severity == Severity::Error);
                for one in errors {
                    let named =
                        names.contains(&one.file) && one.line > 0 && !one.message.is_empty();
                    assert!(named, "seed {seed}, {name}:\n{text}\n{told}");
                }
                assert!(told.has_errors(), "seed {seed}, {name}: refused for nothing");
            }
        }
    }
    println!("{refused} refused, {taken} taken");
    assert!(refused > 7_000, "{refused} are too few: are the files changed?");
    // Nothing of all that has touched what was read before.
    let after = config::of_files(&Files(good), beside.path(), now).unwrap().0;
    assert_eq!(before.settings.version, after.settings.version);
}
