//! `berth simulate drain` from outside: the reference tables, fleets that nobody has tuned for,
//! what is printed, and what is said about a file that is wrong.

#[path = "drain/generate.rs"]
mod generate;

use std::path::Path;
use std::process::{Command, Output};

use generate::{Shape, fleet};

/// Where the four fleets are.
const DATA: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/data/drain");
const POLICIES: [&str; 4] = ["spread", "pack", "drainaware", "berth"];

fn berth(arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_berth"));
    command.env_clear().current_dir(DATA).args(["simulate", "drain"]).args(arguments);
    command.output().unwrap()
}

fn printed(arguments: &[&str]) -> String {
    let output = berth(arguments);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{arguments:?}: {errors}");
    String::from_utf8(output.stdout).unwrap()
}

/// What a replay came to; less is better, in this order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Reached {
    stuck: u64,
    restarts: u64,
    worst: u64,
}

fn replay(fleet: &str, order: &str, policy: &str) -> (Reached, String) {
    let text = printed(&["--fleet", fleet, "--order", order, "--policy", policy]);
    let value = |key: &str| {
        let mut lines = text.lines().filter_map(|line| line.split_once('\t'));
        lines.find(|(name, _)| *name == key).unwrap().1.to_owned()
    };
    let count = |key| value(key).parse().unwrap();
    let result =
        Reached { stuck: count("stuck"), restarts: count("restarts"), worst: count("worst") };
    (result, value("per_server"))
}

#[test]
fn the_reference_policies_reach_what_was_published_and_ours_is_better() {
    // Restarts per server in the order of the file and in a free order: spread, pack, drainaware,
    // and the planner.
    let published = [
        ("70-0spare-packed", ["1.367", "1.005", "1.005"], ["1.000", "1.000", "1.000"]),
        ("70-2spare-spread", ["1.000", "1.562", "1.000"], ["1.000", "1.333", "1.000"]),
        ("85-0spare-spread", ["1.034", "1.393", "1.016"], ["1.021", "1.250", "1.015"]),
        ("85-2spare-packed", ["1.072", "1.012", "1.000"], ["1.000", "1.000", "1.000"]),
    ];
    let ours = [["1.005", "1.000"], ["1.000", "1.000"], ["1.015", "1.013"], ["1.000", "1.000"]];
    for ((name, file, free), ours) in published.into_iter().zip(ours) {
        let path = format!("fleet-{name}.toml");
        for (order, reference, ours) in [("file", file, ours[0]), ("free", free, ours[1])] {
            let found = POLICIES.map(|policy| replay(&path, order, policy));
            let [spread, pack, aware, berth] = found;
            assert_eq!([spread.1, pack.1, aware.1].map(|text| text), reference, "{name} {order}");
            assert_eq!(berth.1, ours, "{name} {order}");
            assert_eq!(berth.0.stuck, 0, "{name} {order}");
            for other in [spread.0, pack.0, aware.0] {
                assert!(berth.0 <= other, "{name} {order}: {:?} {other:?}", berth.0);
            }
        }
    }
}

#[test]
fn two_spare_hosts_at_seventy_percent_mean_one_restart_each() {
    for order in ["file", "free"] {
        let (result, _) = replay("fleet-70-2spare-spread.toml", order, "berth");
        assert_eq!(result, Reached { stuck: 0, restarts: 559, worst: 1 });
    }
}

/// Prints a table; `tests/bench/drain` shows it.
#[test]
fn on_fleets_of_all_kinds_no_reference_policy_is_better() {
    let seeds = if std::env::var_os("BERTH_LONG").is_some() { 10 } else { 1 };
    let folder = tempfile::tempdir().unwrap();
    println!("restarts a server / worst / stuck, means of {seeds} seeds (worst: of all)");
    println!("{:34}{}", "fleet, order", POLICIES.map(|policy| format!("{policy:>20}")).concat());
    let (mut better, mut worse) = (0, Vec::new());
    for shape in shapes() {
        for order in ["file", "free"] {
            let mut sums = [(0.0, 0, 0); 4];
            for seed in 1..=seeds {
                let path = folder.path().join("fleet.toml");
                let text = fleet(shape, seed);
                std::fs::write(&path, &text).unwrap();
                let servers = text.matches("[[server]]").count() as f64;
                let found = POLICIES.map(|policy| replay(path.to_str().unwrap(), order, policy).0);
                for (sum, result) in sums.iter_mut().zip(found) {
                    sum.0 += result.restarts as f64 / servers;
                    sum.1 = sum.1.max(result.worst);
                    sum.2 += result.stuck;
                }
                let best = found[..3].iter().min().unwrap();
                better += usize::from(found[3] < *best);
                if found[3] > *best {
                    worse.push(format!(
                        "{shape:?} seed {seed} {order}: {:?}, not {best:?}",
                        found[3]
                    ));
                }
            }
            let columns = sums.map(|(restarts, worst, stuck)| {
                let mean = |sum: f64| sum / seeds as f64;
                let text = format!("{:.3} / {worst} / {:.1}", mean(restarts), mean(stuck as f64));
                format!("{text:>20}")
            });
            println!("{:34}{}", title(shape, order), columns.concat());
        }
    }
    println!("better than the best of the three: {better}; worse: {}", worse.len());
    assert!(worse.is_empty(), "{worse:#?}");
}

fn shapes() -> Vec<Shape> {
    let mut shapes = Vec::new();
    for mixed in [false, true] {
        for load in [50, 70, 85] {
            for spares in [0, 2] {
                for packed in [false, true] {
                    shapes.push(Shape { hosts: 100, spares, load, packed, mixed });
                }
            }
        }
    }
    shapes
}

fn title(shape: Shape, order: &str) -> String {
    let placed = if shape.packed { "packed" } else { "spread" };
    let rooms = if shape.mixed { "32-128 GB" } else { "64 GB" };
    format!("{rooms} {} % {} spare {placed}, {order}", shape.load, shape.spares)
}

#[test]
fn keys_come_in_their_order_as_lines_and_as_json() {
    let arguments = ["--fleet", "fleet-70-0spare-packed.toml"];
    assert_eq!(
        printed(&arguments),
        "policy\tberth\norder\tfile\nhosts\t100\nservers\t559\nrestarts\t562\nper_server\t1.005\n\
         worst\t2\nstuck\t0\nbound_per_server\t1.000\n"
    );
    assert_eq!(
        printed(&[&arguments[..], &["--json"]].concat()),
        "{\"policy\":\"berth\",\"order\":\"file\",\"hosts\":100,\"servers\":559,\
         \"restarts\":562,\"per_server\":1.005,\"worst\":2,\"stuck\":0,\
         \"bound_per_server\":1.0}\n"
    );
}

#[test]
fn what_is_wrong_with_a_fleet_is_said_with_its_place() {
    let host = "[[host]]\nname = \"h1\"\nmemory_bytes = 100\n";
    let server = "[[server]]\nname = \"s1\"\nhost = \"h1\"\nmemory_bytes = 60\n";
    let whole = |host: &str, server: &str| format!("{host}{server}");
    let cases = [
        (String::new(), "fleet.toml, key host", "Found none; expected at least one [[host]]."),
        (host.into(), "fleet.toml, key server", "Found none; expected at least one [[server]]."),
        (
            whole(host, &server.replace("\"h1\"", "\"h11\"")),
            "fleet.toml:6, key host",
            "Found \"h11\"; expected the name of a [[host]] (did you mean \"h1\"?).",
        ),
        (
            whole(host, &format!("{server}{server}")),
            "fleet.toml:9, key name",
            "Found \"s1\", which line 5 has already; expected another name.",
        ),
        (
            whole(&format!("{host}{host}"), server),
            "fleet.toml:5, key name",
            "Found \"h1\", which line 2 has already; expected another name.",
        ),
        (
            whole(host, &server.replace("60", "-60")),
            "fleet.toml:7, key memory_bytes",
            "Invalid value: integer `-60`, expected a whole number of bytes, at least 1.",
        ),
        (
            whole(&host.replace("100", "0"), server),
            "fleet.toml:3, key memory_bytes",
            "Invalid value: integer `0`, expected a whole number of bytes, at least 1.",
        ),
        (
            whole(host, &server.replace("60", "\"60 GB\"")),
            "fleet.toml:7, key memory_bytes",
            "Invalid type: string \"60 GB\", expected a whole number of bytes, at least 1.",
        ),
        (
            whole(host, &server.replace("60", "1.5")),
            "fleet.toml:7, key memory_bytes",
            "Invalid type: floating point `1.5`, expected a whole number of bytes, at least 1.",
        ),
        (
            whole(host, &format!("{server}{}", server.replace("s1", "s2"))),
            "fleet.toml:11, key memory_bytes",
            "Found 60 (60 B); expected at most the 40 B that are free on h1 at the start.",
        ),
        (
            whole(&host.replace("memory_bytes", "memory_byte"), server),
            "fleet.toml:3, key memory_byte",
            "Found a key that is not known; expected one of name, memory_bytes, reboot \
             (did you mean \"memory_bytes\"?).",
        ),
        (
            whole(host, &server.replace("host = \"h1\"\n", "")),
            "fleet.toml:4, key host",
            "Found no such key here; it is needed.",
        ),
        (
            whole(host, &server.replace("\"s1\"", "\"\"")),
            "fleet.toml:5, key name",
            "Found an empty text; expected a name.",
        ),
        (whole("[[host]\n", server), "fleet.toml:1", "nclosed array table"),
        (
            whole(&format!("{host}reboot = 1\n"), server),
            "fleet.toml:4, key reboot",
            "expected a boolean",
        ),
    ];
    let folder = tempfile::tempdir().unwrap();
    for (text, place, why) in cases {
        let path = folder.path().join("fleet.toml");
        std::fs::write(&path, &text).unwrap();
        refused(&path, &[place, why], &text);
    }
    refused(&folder.path().join("absent.toml"), &["cannot read", "No such file"], "");
    std::fs::write(folder.path().join("latin.toml"), b"# \xe9\n").unwrap();
    refused(&folder.path().join("latin.toml"), &["cannot read", "UTF-8"], "");
}

/// Exit code 2, three lines with these words, and nothing on standard output.
fn refused(path: &Path, words: &[&str], text: &str) {
    let output = berth(&["--fleet", path.to_str().unwrap()]);
    let errors = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{text}\n{errors}");
    assert!(output.stdout.is_empty());
    for word in words {
        assert!(errors.contains(word), "{text}\n{errors}\nlacks {word:?}");
    }
    assert_eq!(errors.lines().count(), 3, "{errors}");
}
