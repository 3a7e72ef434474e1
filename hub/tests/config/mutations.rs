//! Every key of every file of the sample site is renamed, misspelt, removed, and given a value of
//! another type, one at a time: the loader names file and line each time, or the key is one that
//! this test lists as free to go.

use std::collections::BTreeSet;
use std::ops::Range;

use berth_hub::config::Severity;
use proptest::prelude::*;
use toml::de::{DeTable, DeValue};

use crate::folder::{Folder, names, sample};

/// Names that a site chooses and no other rule of the sample refers to: another one is as good.
const FREE_NAMES: [&str; 5] = [
    "mounts.toml mount[2].env.THRONG_DIR",
    "quotas.toml group.euclid",
    "quotas.toml group.lsst",
    "quotas.toml user.bob",
    "trainings.d/2026-05-root-school.toml training.root-school",
];

/// Keys that may be absent: what is not said has a default, or a whole rule is gone.
const OPTIONAL: &str = include_str!("optional.txt");

/// A key of a file.
struct Key {
    /// `FILE PATH`.
    name: String,
    file: String,
    key: Range<usize>,
    value: Range<usize>,
    /// A value of another type, as TOML.
    other: &'static str,
    /// Whether it stands in `[brackets]`.
    is_header: bool,
}

#[test]
fn every_renamed_key_is_found_with_its_line() {
    let folder = Folder::sample();
    let mut count = 0;
    for key in keys() {
        let text = sample(&key.file);
        let name = text[key.key.clone()].trim_matches('"');
        let shorter = &name[..name.len() - 1];
        for other in [format!("{name}x"), shorter.to_owned()] {
            let mut changed = text.clone();
            changed.replace_range(key.key.clone(), &format!("\"{other}\""));
            folder.write(&key.file, &changed);
            let told = folder.load();
            count += 1;
            if FREE_NAMES.contains(&key.name.as_str()) {
                assert!(told.is_ok(), "{} is not free: {}", key.name, told.unwrap_err());
                continue;
            }
            let told = told.err().unwrap_or_else(|| panic!("{} may be called {other}", key.name));
            let line = line(&text, key.key.start);
            // A name that others refer to is missed where they do.
            let is_name = told.0.iter().all(|one| one.code == "config.unknown_name");
            let is_there = told.0.iter().any(|one| one.file == key.file && one.line == line);
            assert!(is_name || is_there, "{} as {other}:\n{told}", key.name);
            assert!(told.0.iter().all(|one| one.line > 0), "{} as {other}:\n{told}", key.name);
        }
        folder.write(&key.file, &text);
    }
    println!("{count} renamed keys");
    assert!(count > 200, "{count} are too few: are the files read?");
}

#[test]
fn every_value_of_another_type_is_found_with_its_line() {
    let folder = Folder::sample();
    let mut count = 0;
    for key in keys().into_iter().filter(|key| !key.is_header) {
        let text = sample(&key.file);
        let mut changed = text.clone();
        changed.replace_range(key.value.clone(), key.other);
        folder.write(&key.file, &changed);
        let told = folder.load().err();
        let told = told.unwrap_or_else(|| panic!("{} may be {}", key.name, key.other));
        let line = line(&text, key.value.start);
        let is_there = told.0.iter().any(|one| one.file == key.file && one.line == line);
        assert!(is_there, "{} = {}:\n{told}", key.name, key.other);
        folder.write(&key.file, &text);
        count += 1;
    }
    println!("{count} values of another type");
    assert!(count > 100, "{count} are too few: are the files read?");
}

#[test]
fn every_removed_key_is_missed_or_has_a_default() {
    let folder = Folder::sample();
    let mut optional = BTreeSet::new();
    let mut missed = 0;
    for key in keys() {
        let text = sample(&key.file);
        let Some(changed) = without(&text, &key) else { continue };
        folder.write(&key.file, &changed);
        match folder.load() {
            Ok(_) => {
                optional.insert(key.name);
            }
            Err(told) => {
                missed += 1;
                assert!(told.0.iter().all(|one| one.line > 0), "without {}:\n{told}", key.name);
            }
        }
        folder.write(&key.file, &text);
    }
    println!("{missed} removed keys are missed, {} have a default", optional.len());
    let expected: BTreeSet<_> = OPTIONAL.lines().map(str::to_owned).collect();
    let list = optional.iter().map(String::as_str).collect::<Vec<_>>().join("\n");
    assert_eq!(optional, expected, "keys that may be absent are now:\n{list}");
}

proptest! {
    /// Whatever a slip of the keyboard leaves, the answer has a file, and there is one.
    #[test]
    fn any_damage_gets_an_answer(
        file in 0..names().len(),
        at in any::<prop::sample::Index>(),
        removed in 0usize..20,
        put in "[\\PC\n]{0,4}",
    ) {
        let folder = Folder::sample();
        let name = &names()[file];
        let characters: Vec<char> = sample(name).chars().collect();
        let at = at.index(characters.len());
        let rest = characters.iter().skip(at + removed);
        let text: String =
            characters[..at].iter().copied().chain(put.chars()).chain(rest.copied()).collect();
        folder.write(name, &text);
        for one in folder.told().0 {
            prop_assert!(!one.file.is_empty() && !one.message.is_empty(), "{one:?}");
            let lines = text.lines().count() + 1;
            let known = one.file != *name || usize::try_from(one.line).unwrap() <= lines;
            prop_assert!(known && (one.line > 0 || one.severity == Severity::Error), "{one:?}");
        }
    }
}

/// All keys of the sample.
fn keys() -> Vec<Key> {
    let mut keys = Vec::new();
    for file in names() {
        let text = sample(&file);
        let table = DeTable::parse(&text).unwrap();
        collect(&mut keys, &file, &text, "", table.get_ref());
    }
    keys
}

fn collect(keys: &mut Vec<Key>, file: &str, text: &str, parent: &str, table: &DeTable<'_>) {
    for (key, value) in table {
        let path = format!("{parent}{}", key.get_ref());
        let line_start = text[..key.span().start].rfind('\n').map_or(0, |end| end + 1);
        keys.push(Key {
            name: format!("{file} {path}"),
            file: file.to_owned(),
            key: key.span(),
            value: value.span(),
            other: match value.get_ref() {
                DeValue::String(_) => "true",
                DeValue::Integer(_) | DeValue::Float(_) | DeValue::Boolean(_) => "\"x\"",
                DeValue::Datetime(_) | DeValue::Array(_) | DeValue::Table(_) => "7",
            },
            is_header: text[line_start..].starts_with('['),
        });
        match value.get_ref() {
            DeValue::Table(table) => collect(keys, file, text, &format!("{path}."), table),
            DeValue::Array(list) => {
                for (number, value) in list.iter().enumerate() {
                    if let DeValue::Table(table) = value.get_ref() {
                        collect(keys, file, text, &format!("{path}[{number}]."), table);
                    }
                }
            }
            _ => {}
        }
    }
}

/// The text without a key and its value; `None` for the first part of a dotted header, which is
/// no key by itself.
fn without(text: &str, key: &Key) -> Option<String> {
    let after = &text[key.key.end..];
    let range = if !key.is_header {
        let rest = &text[key.value.end..];
        let comma = rest.trim_start().starts_with(',');
        let end = if comma { rest.find(',').unwrap() + 1 } else { 0 };
        key.key.start..key.value.end + end
    } else if after.starts_with(']') {
        let start = text[..key.key.start].rfind('\n').unwrap() + 1;
        start..after.find("\n[").map_or(text.len(), |next| key.key.end + next + 1)
    } else {
        return None;
    };
    let mut text = text.to_owned();
    text.replace_range(range, "");
    Some(text)
}

fn line(text: &str, offset: usize) -> u32 {
    u32::try_from(text[..offset].matches('\n').count() + 1).unwrap()
}
