use std::collections::BTreeSet;
use std::path::Path;

use super::*;

/// The keys of a catalogue, attributes not counted.
fn keys(source: &str) -> BTreeSet<String> {
    let key = |line: &str| {
        let (key, _) = line.split_once(" =")?;
        let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        key.chars().all(plain).then(|| key.to_owned())
    };
    source.lines().filter_map(key).collect()
}

/// All of the templates and of the pages' code.
fn sources(folder: &Path, all: &mut String) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, all);
        } else if path.file_name().is_some_and(|name| name != "tests.rs") {
            all.push_str(&std::fs::read_to_string(path).unwrap());
        }
    }
}

#[test]
fn catalogues_can_be_read_whole() {
    for source in [ENGLISH, FRENCH] {
        let resource = FluentResource::try_new(source.to_owned());
        let problems = resource.err().map(|(_, problems)| problems).unwrap_or_default();
        assert!(problems.is_empty(), "{problems:?}");
        assert_eq!(
            keys(source).len(),
            source.lines().filter(|line| is_entry(line)).count(),
            "a key twice"
        );
    }
}

fn is_entry(line: &str) -> bool {
    line.starts_with(|c: char| c.is_ascii_lowercase()) && line.contains(" =")
}

#[test]
fn every_text_exists_in_both_languages_with_the_same_values() {
    // In English these are with the codes and in the records themselves.
    let elsewhere = ["reason-", "rule-", "term-"];
    let is_elsewhere = |key: &&String| elsewhere.iter().any(|it| key.starts_with(it));
    let (english, french) = (keys(ENGLISH), keys(FRENCH));
    let french: BTreeSet<_> = french.into_iter().filter(|key| !is_elsewhere(&key)).collect();
    assert_eq!(english, french);
    for key in english {
        assert_eq!(values(ENGLISH, &key), values(FRENCH, &key), "{key}");
    }
}

/// The names of the values in a message, however it is broken into lines.
fn values(source: &str, key: &str) -> BTreeSet<String> {
    let start = format!("\n{key} =");
    let text = format!("\n{source}");
    let body = text.split(&start).nth(1).unwrap();
    let end = body
        .char_indices()
        .find(|(at, c)| *c == '\n' && !body[at + 1..].starts_with([' ', '}']))
        .map_or(body.len(), |(at, _)| at);
    let name = |part: &str| {
        part.chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '-').collect::<String>()
    };
    body[..end].split('$').skip(1).map(name).collect()
}

#[test]
fn every_reason_is_said_in_french() {
    let keys = keys(FRENCH);
    let known: BTreeSet<_> = Reason::ALL.iter().map(|it| reason_key(*it)).collect();
    let said: BTreeSet<_> = keys.into_iter().filter(|key| key.starts_with("reason-")).collect();
    assert_eq!(said, known);
    let reader = Reader { language: Language::French, ..Reader::default() };
    reader.shown(|| {
        for reason in Reason::ALL.iter().copied() {
            assert_ne!(super::reason(reason), reason.text(), "{reason}");
            assert_eq!(remedy(reason).is_empty(), reason.remedy().is_empty(), "{reason}");
            assert!(reason.remedy().is_empty() || remedy(reason) != reason.remedy(), "{reason}");
        }
    });
}

#[test]
fn every_text_is_used_and_every_used_text_exists() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut all = String::new();
    sources(&root.join("templates"), &mut all);
    sources(&root.join("src"), &mut all);
    // French has all that English has, and what English has elsewhere.
    let keys = keys(FRENCH);
    for key in keys.iter().filter(|key| !key.starts_with("reason-")) {
        assert!(all.contains(&format!("\"{key}\"")), "{key} is not used");
    }
    for used in all.split("say::t(\"").skip(1).filter_map(|it| it.split('"').next()) {
        assert!(keys.contains(used), "{used} is in no catalogue");
    }
}

#[test]
fn numbers_choose_the_plural_of_their_language() {
    let said = |language, count: u32| {
        let reader = Reader { language, ..Reader::default() };
        reader.shown(|| t("servers").with("count", count).to_string())
    };
    assert_eq!(said(Language::English, 0), "0 servers");
    assert_eq!(said(Language::English, 1), "1 server");
    assert_eq!(said(Language::French, 0), "0 serveur");
    assert_eq!(said(Language::French, 2), "2 serveurs");
}
