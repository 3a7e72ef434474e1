//! Whether what people can pick fits somewhere: by the files, by what hosts report, and among the
//! hosts that a rule requires.

use std::collections::BTreeMap;

use berth_common::ByteCount;
use berth_hub::config::{self, Beside, Reported};

use crate::folder::{Folder, NOW};

const POOLS: &str = "[pool.cpu]\ncpu_servers = { which = \"none\" }\n";
const IMAGES: &str = "[image.one]\nref = \"nb:1\"\n";

fn site(hosts: &str, profile: &str) -> Folder {
    let profile = format!("[profile.big]\npool = \"cpu\"\nimages = [\"one\"]\n{profile}\n");
    let hosts = format!("host = [ {hosts} ]\n");
    Folder::of(&[
        ("pools.toml", POOLS),
        ("images.toml", IMAGES),
        ("hosts.toml", &hosts),
        ("profiles.toml", &profile),
    ])
}

/// What is said of the files when hosts have reported this: severity as a word, place, code and words.
fn told(folder: &Folder, reported: &[(&str, Reported)]) -> Vec<String> {
    let hosts: BTreeMap<_, _> =
        reported.iter().map(|(name, reported)| (name.parse().unwrap(), *reported)).collect();
    let beside = Beside { running: None, hosts };
    let (_, found) = config::read(folder.path(), NOW.parse().unwrap(), &beside);
    let found = found.map_or_else(|errors| errors, |(_, warnings)| warnings);
    let one =
        |it: &config::Diagnostic| format!("{}:{} {}: {}", it.file, it.line, it.code, it.message);
    found.0.iter().map(one).collect()
}

fn reported(gb: u64, cpu_milli: u32, farm_ports: u32) -> Reported {
    Reported { memory: ByteCount(gb << 30), cpu_milli, farm_ports }
}

const SIXTEEN: &str =
    "memory = { default = \"4 GB\", choices = [\"4 GB\", \"16 GB\"], max = \"16 GB\" }";

#[test]
fn a_host_of_which_nothing_is_known_may_be_large_but_silences_nothing_that_is_known_of_it() {
    let small = "{ names = \"w1\", pool = \"cpu\", memory = \"8 GB\" }";
    let open = site(&format!("{small}, {{ names = \"w2\", pool = \"cpu\" }}"), SIXTEEN);
    assert_eq!(told(&open, &[]), [""; 0]);
    // Servers without a GPU are kept away from it, whatever memory it has.
    let with_gpus = "{ names = \"w2\", pool = \"cpu\", \
                     gpus = { model = \"K80\", count = 4, memory = \"12 GB\" } }";
    let found = told(&site(&format!("{small}, {with_gpus}"), SIXTEEN), &[]);
    let words = "profiles.toml:5 config.never_fits: 16 GB for profile \"big\" fits on no host: \
                 the most for one server in pool \"cpu\" is 8 GB, on w1";
    assert!(found[0].starts_with(words), "{found:?}");
}

#[test]
fn what_hosts_report_is_a_warning() {
    let folder = site("{ names = \"w[1-2]\", pool = \"cpu\", keep_free = \"2 GB\" }", SIXTEEN);
    let [small, large] = [reported(8, 4000, 0), reported(32, 4000, 0)];
    assert_eq!(told(&folder, &[("w1", small)]), [""; 0], "the other one may be larger");
    assert_eq!(told(&folder, &[("w1", small), ("w2", large)]), [""; 0]);
    let found = told(&folder, &[("w1", small), ("w2", small)]);
    let [found] = found.as_slice() else { panic!("{found:?}") };
    let words = "profiles.toml:5 config.warning.never_fits: 16 GB for profile \"big\" fits on no \
                 host: the most for one server in pool \"cpu\" is 6 GB, on w2";
    assert!(found.starts_with(words) && found.ends_with("as these report"), "{found}");

    let host = "{ names = \"w1\", pool = \"cpu\", memory = \"32 GB\" }";
    for (more, is, words) in [
        ("cpu = 4", reported(32, 4000, 0), None),
        ("cpu = 4.5", reported(32, 4000, 0), Some("no host of pool \"cpu\" has 4.5 processors")),
        ("farm_ports = 2", reported(32, 1000, 2), None),
        (
            "farm_ports = 2",
            reported(32, 1000, 1),
            Some("no host of pool \"cpu\" gives 2 farm ports"),
        ),
    ] {
        let folder = site(host, &format!("{SIXTEEN}\n{more}"));
        assert_eq!(told(&folder, &[]), [""; 0], "nothing is known of it");
        let found = told(&folder, &[("w1", is)]);
        assert_eq!(found.len(), usize::from(words.is_some()), "{found:?}");
        let words = words.unwrap_or_default();
        assert!(found.iter().all(|one| one.contains(words)), "{found:?}");
    }
}

#[test]
fn people_who_are_bound_to_hosts_that_are_too_small_are_named_by_their_rule() {
    let hosts = "{ names = \"w1\", pool = \"cpu\", memory = \"8 GB\" }, \
                 { names = \"w2\", pool = \"cpu\", memory = \"64 GB\" }";
    let folder = site(hosts, SIXTEEN);
    let place = |hosts: &str| {
        let rule =
            format!("{{ profile = \"big\", groups = [\"lsst\"], require_hosts = \"{hosts}\" }}");
        folder.write("access.toml", &format!("version = 1\nplace = [\n  {rule},\n]\n"));
        told(&folder, &[])
    };
    assert_eq!(place("w[1-2]"), [""; 0]);
    let found = place("w1");
    let [found] = found.as_slice() else { panic!("{found:?}") };
    let words = "access.toml:3 config.warning.never_fits: for these people, 16 GB for profile \
                 \"big\" fits on no host";
    assert!(found.starts_with(words), "{found}");
}
