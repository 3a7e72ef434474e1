//! Thousands of files that a careless hand has changed: whatever it was, nothing panics, and every
//! error says in which file and which line it stands. Those of the hub as a folder, those of agent
//! and proxy each alone; `reload/slips.rs` gives some of them to a hub that runs.

use std::collections::BTreeMap;

use berth_common::Timestamp;
use berth_hub::config::{self, Beside, Files, Severity};

use crate::folder::{NOW, names, sample};
use crate::slips::{Chance, mutate};
use crate::{farm, people, services};

/// The sample site with all subjects that it does without.
fn files() -> BTreeMap<String, String> {
    let mut files: BTreeMap<_, _> =
        names().iter().map(|name| (name.clone(), sample(name))).collect();
    let mut add =
        |name: &str, text: &str| files.insert(name.into(), format!("version = 1\n{text}"));
    add("directory.toml", people::DIRECTORY);
    add("services.toml", &format!("{}{}", services::SERVICES, farm::GATEWAY));
    add("roles.toml", services::ROLES);
    add("farm.toml", farm::FARM.trim_start_matches("version = 1"));
    let hub = files.entry("hub.toml".into()).or_default();
    hub.push_str(people::LOGIN);
    files
}

#[test]
fn ten_thousand_slips_of_a_hand_are_told_with_file_and_line() {
    let now: Timestamp = NOW.parse().unwrap();
    let beside = tempfile::tempdir().unwrap();
    for secret in ["oidc-secret", "ldap-secret", "wiki-token"] {
        std::fs::write(beside.path().join(secret), "hush-hush-hush\n").unwrap();
    }
    let good = files();
    let names: Vec<_> = good.keys().cloned().collect();
    let read = |files: &BTreeMap<String, String>| {
        config::of_files(&Files(files.clone()), beside.path(), now, &Beside::default())
    };
    let before = read(&good).unwrap().0;
    let (mut refused, mut taken) = (0, 0);
    for seed in 0..10_000 {
        let mut chance = Chance(seed);
        let name = &names[chance.below(names.len())];
        let mut files = good.clone();
        let text = mutate(&good[name], &mut chance);
        files.insert(name.clone(), text.clone());
        match read(&files) {
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
    let after = read(&good).unwrap().0;
    assert_eq!(before.settings.version, after.settings.version);
}
