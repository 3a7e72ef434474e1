//! `config check --with-file`, as Puppet calls it before it replaces a file.

use std::process::{Command, Output};

use crate::folder::Folder;

/// Asks about a text that is to become `name`.
fn ask(folder: &Folder, name: &str, text: &str) -> Output {
    let candidate = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(candidate.path(), text).unwrap();
    let title = folder.path().join(name);
    Command::new(env!("CARGO_BIN_EXE_berth-hub"))
        .args(["config", "check"])
        .arg(folder.path())
        .arg("--with-file")
        .arg(format!("{}={}", title.display(), candidate.path().display()))
        .output()
        .unwrap()
}

fn told(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn a_mistake_in_it_is_told_under_the_name_it_will_have() {
    let folder = Folder::sample();
    let before = folder.read("quotas.toml");
    let output = ask(&folder, "quotas.toml", "version = 1\ndefault = { memry = \"16 GB\" }\n");
    assert_eq!(output.status.code(), Some(1));
    let told = told(&output);
    assert!(told.contains("quotas.toml:2"), "{told}");
    assert!(told.contains("did you mean \"memory\"?"), "{told}");
    assert_eq!(folder.read("quotas.toml"), before);
}

#[test]
fn a_new_fragment_is_checked_with_all_that_is_there() {
    let folder = Folder::sample();
    let host = |name: &str| {
        format!(
            "version = 1\nhost = [ {{ names = \"{name}\", pool = \"cpu\", memory = \"32 GB\" }} ]\n"
        )
    };
    let output = ask(&folder, "hosts.d/40-new.toml", &host("ccjn08"));
    assert_eq!(output.status.code(), Some(0), "{}", told(&output));
    let output = ask(&folder, "hosts.d/40-new.toml", &host("ccjn01"));
    assert_eq!(output.status.code(), Some(1), "a host that is declared already");
    assert!(told(&output).contains("hosts.d/40-new.toml:2"), "{}", told(&output));
}

#[test]
fn a_name_that_another_file_may_bring_is_a_warning() {
    let folder = Folder::sample();
    let text = folder.read("profiles.toml").replacen("pool = \"cpu\"", "pool = \"fast\"", 1);
    let output = ask(&folder, "profiles.toml", &text);
    assert_eq!(output.status.code(), Some(0), "{}", told(&output));
    assert!(told(&output).contains("warning[config.unknown_name]"), "{}", told(&output));
    assert!(told(&output).contains("\"fast\" is not defined"), "{}", told(&output));
}

#[test]
fn what_is_wrong_elsewhere_does_not_keep_a_good_file_away() {
    let folder = Folder::sample();
    let good = folder.read("access.toml");
    folder.write("quotas.toml", "version = 1\nno TOML at all\n");
    let output = ask(&folder, "access.toml", &good);
    assert_eq!(output.status.code(), Some(0), "{}", told(&output));
    assert!(told(&output).contains("quotas.toml:2"), "{}", told(&output));
}

#[test]
fn the_first_file_of_a_new_machine_is_accepted() {
    let folder = Folder::of(&[]);
    std::fs::remove_file(folder.path().join("hub.toml")).unwrap();
    let output = ask(&folder, "quotas.toml", "version = 1\ndefault = { servers = 2 }\n");
    assert_eq!(output.status.code(), Some(0), "{}", told(&output));
}

#[test]
fn a_name_that_the_hub_would_not_read_is_refused() {
    let folder = Folder::sample();
    let output = ask(&folder, "qoutas.toml", "version = 1\n");
    assert_eq!(output.status.code(), Some(1));
    assert!(told(&output).contains("did you mean \"quotas\"?"), "{}", told(&output));
    let output = ask(&folder, "/etc/passwd", "version = 1\n");
    assert_eq!(output.status.code(), Some(2));
    assert!(told(&output).contains("/etc/passwd is not in"), "{}", told(&output));
}
