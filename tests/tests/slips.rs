//! Slips of a careless hand in the files of agent and proxy: nothing panics, and every mistake is told
//! with its line and a caret under the place. Those of the hub are in `hub/tests/config/mutants.rs`.

use berth_tests::slips::{Chance, mutate};

/// The package's own file, with all that it only explains.
fn explained(text: &str) -> String {
    let line = |line: &str| match line.strip_prefix('#') {
        Some(rest) if !rest.starts_with(' ') => format!("{rest}\n"),
        _ => format!("{line}\n"),
    };
    text.lines().map(line).collect()
}

/// Makes slips in a good text; `read` says what is wrong, as people see it.
fn try_slips(file: &str, good: &str, read: impl Fn(&str) -> Result<(), String>) {
    read(good).unwrap();
    let mut refused = 0;
    for seed in 0..10_000 {
        let text = mutate(good, &mut Chance(seed));
        let Err(told) = read(&text) else { continue };
        refused += 1;
        let place = told.split_once(&format!("--> {file}:")).map(|(_, rest)| rest);
        let line = place.and_then(|rest| rest.split(':').next()?.parse::<usize>().ok());
        let lines = text.lines().count() + 1;
        let is_there = line.is_some_and(|line| (1..=lines).contains(&line));
        assert!(is_there && told.contains('^'), "seed {seed}:\n{text}\n{told}");
    }
    println!("{file}: {refused} refused");
    assert!(refused > 5_000, "{refused} are too few: is the file changed?");
}

#[test]
fn slips_in_agent_toml_are_told_with_line_and_caret() {
    let good = explained(include_str!("../../packaging/etc/agent.toml"))
        .replace("mode = \"off\"", "mode = \"required\"");
    try_slips("agent.toml", &good, |text| {
        let read = berth_agent::config::parse("agent.toml", text);
        read.map(drop).map_err(|error| error.to_string())
    });
}

#[test]
fn slips_in_proxy_toml_are_told_with_line_and_caret() {
    let good = explained(include_str!("../../packaging/etc/proxy.toml"));
    try_slips("proxy.toml", &good, |text| {
        let read = berth_proxy::config::parse("proxy.toml", text);
        read.map(drop).map_err(|error| error.to_string())
    });
}
