//! The most common mistakes, and what a person reads. The texts stand in `mistakes.txt`;
//! `BERTH_BLESS=1` writes them anew, for a reader to judge.

use std::fmt::Write as _;
use std::path::Path;
use std::process::Command;

use crate::folder::Folder;

/// What was done, in which file, and what stood there before and after.
const MISTAKES: &[(&str, &str, &str, &str)] = &[
    ("a typo in a key", "pools.toml", "oversubscribe = 1.5 ", "oversubscibe = 1.5 "),
    ("an unknown name in a path", "mounts.toml", "\"/sps/{group}\"", "\"/sps/{grp}\""),
    ("a path that goes up", "mounts.toml", "\"/pbs/software\"", "\"/pbs/../etc\""),
    ("one folder for all groups", "mounts.toml", "\"/sps/{group}\"", "\"/sps/all\""),
    ("a group without for_each", "mounts.toml", "for_each = \"group\", ", ""),
    ("HOME read-only", "mounts.toml", "required = true", "required = true, mode = \"ro\""),
    ("a space twice", "mounts.toml", "name = \"CVMFS\"", "name = \"SPS\""),
    ("a variable that is Berth's", "mounts.toml", "{ THRONG_DIR =", "{ MEM_LIMIT ="),
    ("a browser name that is absolute", "mounts.toml", "\"throng\"", "\"/throng\""),
    ("a probe for each person", "mounts.toml", "\"/pbs/home\"", "\"{home}\""),
    ("a required space that nobody watches", "mounts.toml", ", probe = \"/pbs/home\"", ""),
    ("sick before it was looked at", "mounts.toml", "sick_after = 3", "sick_after = 0"),
    ("a typo in a word", "pools.toml", "strategy = \"spread\"", "strategy = \"spraed\""),
    ("a bare number without unit", "quotas.toml", "memory = \"16 GB\"", "memory = 16"),
    ("a bare number in quotes", "hosts.d/10-cpu.toml", "memory = \"64 GB\"", "memory = \"64\""),
    ("a duration without unit", "pools.toml", "hold = \"15m\"", "hold = 15"),
    ("text for a number", "quotas.toml", "limit = 200", "limit = \"200 h\""),
    ("an unknown pool", "profiles.toml", "pool = \"cpu\"", "pool = \"cpus\""),
    ("an unknown image", "trainings.d/2026-05-root-school.toml", "\"root-6.30\"", "\"root-6.3\""),
    ("an unknown profile", "access.toml", "\"bigmem\"", "\"bigmen\""),
    ("an unknown host", "access.toml", "\"ccjngpu1\"", "\"ccjngpu9\""),
    ("a missing key", "images.toml", "ref = \"images.example.org/berth/root:6.30\"", ""),
    ("no version", "access.toml", "version = 1\n", ""),
    ("a table twice", "pools.toml", "[pool.training]", "[pool.cpu]"),
    ("a host in two pools", "hosts.d/20-training.toml", "ccjntr[1-4]", "ccjn0[5-8]"),
    ("a host twice", "hosts.d/10-cpu.toml", "ccjn0[1-5]", "ccjn0[1-6]"),
    (
        "a choice that fits nowhere",
        "profiles.toml",
        "\"64 GB\"], max = \"64 GB\"",
        "\"96 GB\"], max = \"96 GB\"",
    ),
    (
        "a default too small for the pool",
        "profiles.toml",
        "default = \"48 GB\", choices = [",
        "default = \"16 GB\", choices = [",
    ),
    ("more GPUs than a host has", "profiles.toml", "default = 1, max = 1", "default = 1, max = 8"),
    ("a GPU model that no host has", "profiles.toml", "[\"Tesla K80\"]", "[\"Tesla V100\"]"),
    (
        "a GPU profile on a pool without",
        "profiles.toml",
        "pool = \"gpu\"\ngpus",
        "pool = \"cpu\"\ngpus",
    ),
    ("a limit that fits nowhere", "profiles.toml", "max = \"28 GB\"", "max = \"128 GB\""),
    ("a default above the limit", "profiles.toml", "default = \"4 GB\"", "default = \"40 GB\""),
    ("too much oversubscription", "pools.toml", "oversubscribe = 1.5 ", "oversubscribe = 15 "),
    ("a ceiling in percent", "pools.toml", "used_ceiling = 0.85", "used_ceiling = 85"),
    ("a share where none is given", "profiles.toml", "share = 1000", "share = 500"),
    ("a share above a whole", "profiles.toml", "share = 1000", "share = 1500"),
    ("a date in quotes", "access.toml", "until = 2026-12-31", "until = \"2026-12-31\""),
    ("a date that has passed", "access.toml", "until = 2026-12-31", "until = 2025-12-31"),
    ("a rule for nobody", "access.toml", "users = [\"oldaccount\"], ", ""),
    ("a bad user name", "access.toml", "\"oldaccount\"", "\"Old Account\""),
    (
        "a quota below the smallest choice",
        "quotas.toml",
        "euclid = { memory = \"64 GB\", gpus = 1 }",
        "euclid = { memory = \"32 GB\", gpus = 0 }",
    ),
    ("a training in an open pool", "pools.toml", "open = \"trainings\"", ""),
    (
        "a training with too many people",
        "trainings.d/2026-05-root-school.toml",
        "expected = 30",
        "expected = 50",
    ),
    (
        "a training that ends before it begins",
        "trainings.d/2026-05-root-school.toml",
        "to = 2026-05-14",
        "to = 2026-05-04",
    ),
    ("hours that no day has", "trainings.d/2026-05-root-school.toml", "08:00-19:00", "8h-19h"),
    (
        "small servers where big ones may come",
        "pools.toml",
        "which = \"only-big\", min = \"32 GB\"",
        "which = \"any\", min = \"32 GB\"",
    ),
    (
        "servers that a pool keeps away",
        "pools.toml",
        "which = \"only-big\", min = \"32 GB\", keep = \"60 GB\"",
        "which = \"none\"",
    ),
    ("hosts that are gone", "hosts.d/20-training.toml", "host = [ {", "host = [] # {"),
    ("hosts of another pool", "access.toml", "[\"ccjngpu1\", \"ccjngpu[4-5]\"]", "\"ccjn0[1-2]\""),
    (
        "a course with too small a quota",
        "trainings.d/2026-05-root-school.toml",
        "memory = \"4 GB\"",
        "memory = \"2 GB\"",
    ),
    ("no memory but for the system", "hosts.d/20-training.toml", "\"3 GB\"", "\"32 GB\""),
    ("fewer than none", "quotas.toml", "servers = 2,", "servers = -2,"),
    ("a limit of nothing", "lifecycle.toml", "stop_after = \"2h\"", "stop_after = \"0s\""),
    ("a word for a limit", "lifecycle.toml", "default = \"none\"", "default = \"never\""),
    (
        "a profile of lives that is not there",
        "lifecycle.toml",
        "profile = \"gpu\", stop",
        "profile = \"gpus\", stop",
    ),
    ("a night of one hour's length", "lifecycle.toml", "20:00-07:00", "20-7"),
    ("a rate without a span", "lifecycle.toml", "1 MB/s", "1 MB"),
    ("an unknown channel", "lifecycle.toml", "\"card\"", "\"cards\""),
    ("a part of the limit in percent", "lifecycle.toml", "warn_at = 0.85", "warn_at = 85"),
    ("a list that stops", "lifecycle.toml", "\"offer-cpu\"", "\"report\""),
    ("a mail server without port", "hub.toml", "smtp.example.org:25", "smtp.example.org"),
    ("everybody's one address", "hub.toml", "{user}@example.org", "users@example.org"),
    ("less shared memory than by itself", "images.toml", "shm = \"4 GB\"", "shm = \"32 MB\""),
    ("shared memory without unit", "images.toml", "shm = \"4 GB\"", "shm = 4"),
    ("less processors than are kept", "profiles.toml", "cpu_limit = 4", "cpu_limit = 1"),
    ("hardly any processor", "profiles.toml", "cpu = 1.5\ncpu_limit = 4", "cpu_limit = 0.01"),
    ("a name that moves", "images.toml", "root:6.30", "root:latest"),
    ("a level that does not exist", "hub.toml", "[hub]", "logs = { level = \"loud\" }\n[hub]"),
    ("a key that is deliberately absent", "pools.toml", "[pool.gpu]", "lend_to = []\n[pool.gpu]"),
    ("a date for a title", "images.toml", "\"Python 3.12, ROOT, R, Julia, Go\"", "2026-05-01"),
    ("no end of a string", "hub.toml", "timezone = \"UTC\"", "timezone = \"UTC"),
    ("an unknown time zone", "hub.toml", "timezone = \"UTC\"", "timezone = \"Europe/Lyon\""),
];

#[test]
fn common_mistakes_are_told_well() {
    let mut told = String::new();
    for (what, file, from, to) in MISTAKES {
        let folder = Folder::sample();
        folder.change(file, from, to);
        let answer = folder.told();
        assert!(!answer.0.is_empty(), "nothing is said of {what}");
        let _ = writeln!(told, "## {what}\n{answer}\n");
    }
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/config/mistakes.txt");
    if std::env::var_os("BERTH_BLESS").is_some() {
        std::fs::write(&path, &told).unwrap();
    }
    let expected = std::fs::read_to_string(&path).unwrap();
    for (told, expected) in told.split("## ").zip(expected.split("## ")) {
        assert_eq!(told, expected);
    }
    assert_eq!(told, expected);
}

#[test]
fn a_broken_file_is_not_blamed_on_others() {
    let folder = Folder::sample();
    folder.change("pools.toml", "oversubscribe = 1.5 ", "oversubscibe = 1.5 ");
    folder.change("images.toml", "[image.default]", "[image.default");
    let files: Vec<_> = folder.told().0.into_iter().map(|one| one.file).collect();
    assert_eq!(files, ["images.toml", "pools.toml"]);
}

#[test]
fn misspelt_files_and_a_split_hub_are_refused() {
    let folder = Folder::sample();
    folder.write("acess.toml", "version = 1\n");
    folder.write("host.d/10.toml", "version = 1\n");
    folder.write("proxy.toml", "");
    folder.write("notes.txt", "");
    folder.write("hub.d/10.toml", "version = 1\n[hub]\npublic_url = \"http://x\"\n");
    let text = folder.load().unwrap_err().to_string();
    for part in [
        "acess.toml: no subject has this name; did you mean \"access\"?",
        "host.d: no subject has this name; did you mean \"hosts\"?",
        "hub.d/10.toml: hub.toml says it already",
        "3 errors: nothing is applied",
    ] {
        assert!(text.contains(part), "{part} is missing in\n{text}");
    }
}

#[test]
fn the_check_exits_with_1_only_for_errors() {
    let folder = Folder::sample();
    let check = || {
        let hub = env!("CARGO_BIN_EXE_berth-hub");
        let out = Command::new(hub).args(["config", "check"]).arg(folder.path()).output().unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        (out.status.code(), text(out.stdout), text(out.stderr))
    };
    folder.change("access.toml", "until = 2026-12-31", "until = 2001-12-31");
    let (code, out, told) = check();
    assert_eq!(code, Some(0), "{told}");
    assert!(out.ends_with("all files are good\n"), "{out}");
    assert!(
        told.contains("warning[config.warning.until]") && told.contains("--> access.toml:3:"),
        "{told}"
    );

    folder.change("profiles.toml", "pool = \"cpu\"", "pool = \"cpus\"");
    let (code, out, told) = check();
    assert_eq!((code, out.as_str()), (Some(1), ""));
    let last = told.lines().last().unwrap();
    let end = ": nothing is applied, the running configuration stays.";
    assert!(last.starts_with("1 error, ") && last.ends_with(end), "{told}");
}
