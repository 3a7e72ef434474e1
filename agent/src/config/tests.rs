//! What the file may say, and how its mistakes are told.

use super::*;

const GOOD: &str = r#"
version = 1
[agent]
name = "ccjn01"
hub = "https://127.0.0.1:8443"
state = "/var/lib/berth-agent"
run = "/run/berth-agent"
docker = "unix:///run/docker.sock"
tunnel = { listen = "0.0.0.0:8444", user = "berth-tunnel" }
report_every = "5s"
memory = "32 GB"
starts_at_once = 2
api_url = "http://{gateway}:8000/hub/api"
[home]
create = "missing"
[limits]
users = "hub"
min_uid = 1000
mount_sources = ["/home"]
images = ["berth/"]
memory_max = "16 GB"
"#;

#[test]
fn the_example_is_read() {
    let config = parse("agent.toml", GOOD).unwrap();
    assert_eq!(config.agent.hub.as_str(), "127.0.0.1:8443");
    assert_eq!(config.agent.docker, Path::new("/run/docker.sock"));
    assert_eq!(config.agent.memory, Some(ByteCount(32 << 30)));
    assert_eq!(config.home.create, CreateHome::Missing);
    let limits = config.limits.unwrap();
    assert_eq!((limits.users, limits.deny_gids), (Users::Hub, vec![0]));
    assert!(limits.deny_groups.contains(&"docker".to_owned()));
}

#[test]
fn little_is_needed() {
    let config = parse("a", "version = 1\n[agent]\nhub = \"hub:1\"\n").unwrap();
    assert!(config.limits.is_none());
    assert_eq!(config.agent.tunnel.listen.port(), 8444);
    assert_eq!(config.agent.report_every, Duration::from_secs(5));
}

/// One change of the good file, and the message it must give.
#[track_caller]
fn wrong(from: &str, to: &str, message: &str) {
    assert!(GOOD.contains(from), "{from}");
    let error = parse("agent.toml", &GOOD.replace(from, to)).unwrap_err();
    assert_eq!(error.to_string(), message);
}

#[test]
fn mistakes_are_told_with_file_line_and_remedy() {
    wrong(
        "mount_sources",
        "mount_source",
        "agent.toml:19: unknown key \"mount_source\"; did you mean \"mount_sources\"?",
    );
    wrong("[home]", "[hoem]", "agent.toml:14: unknown key \"hoem\"; did you mean \"home\"?");
    wrong(
        "create = \"missing\"",
        "create = \"always\"",
        "agent.toml:15: \"always\" is not one of: never, missing",
    );
    wrong(
        "memory = \"32 GB\"",
        "memory = \"32\"",
        "agent.toml:11: a unit is needed, e.g. \"16 GB\"",
    );
    wrong(
        "hub = \"https://127.0.0.1:8443\"",
        "hub = \"127.0.0.1\"",
        "agent.toml:5: not an address, write host:port, e.g. \"hub.example.org:8443\"",
    );
    wrong(
        "unix:///run/docker.sock",
        "tcp://10.0.0.1:2375",
        "agent.toml:8: the engine must be on this machine, write docker = \"unix:///run/docker.sock\"",
    );
    wrong(
        "report_every = \"5s\"",
        "report_every = \"1h\"",
        "agent.toml:10: write a time from \"100ms\" to \"10s\", e.g. \"5s\"",
    );
    wrong(
        "[\"/home\"]",
        "[\"/home\", \"/data/../etc\"]",
        "agent.toml:19: a path must begin with / and have no .. in it",
    );
    wrong(
        "name = \"ccjn01\"",
        "name = \"../x\"",
        "agent.toml:4: a host name is 1 to 63 characters: a-z, 0-9, - and ., a letter or digit at both ends",
    );
    wrong(
        "version = 1",
        "version = 2",
        "agent.toml:2: version 2 is not known to this agent, write version = 1",
    );
    wrong("images = [\"berth/\"]", "", "agent.toml:16: the key \"images\" is missing");
    wrong(
        "starts_at_once = 2",
        "starts_at_once = 0",
        "agent.toml:12: at least 1, or nothing would ever start",
    );
    wrong(
        "min_uid = 1000",
        "min_uid = ",
        "agent.toml:18: string values must be quoted, expected literal string",
    );
}

#[test]
fn a_firewall_says_what_is_reached_all_the_same() {
    let read = |text: &str| parse("a", &format!("version = 1\n[agent]\nhub = \"hub:1\"\n{text}"));
    assert_eq!(read("").unwrap().firewall.mode, Mode::Off);
    let text = "[firewall]\nmode = \"required\"\nallow = [{ to = \"gateway\", ports = \"8000\" }, \
                { to = \"10.1.0.0/16\", ports = \"20000-20999\" }]\n";
    let firewall = read(text).unwrap().firewall;
    let range = Place::Range("10.1.0.0/16".parse().unwrap());
    assert_eq!(firewall.allow[0], Allow { to: Place::Gateway, ports: 8000..=8000 });
    assert_eq!(firewall.allow[1], Allow { to: range, ports: 20_000..=20_999 });
    for (wrong, message) in [
        ("{ to = \"hub\", ports = \"1\" }", "write \"gateway\", an address, or a range"),
        ("{ to = \"gateway\", ports = \"9-1\" }", "write a port or several"),
    ] {
        let error = read(&format!("[firewall]\nallow = [{wrong}]\n")).unwrap_err().to_string();
        assert!(error.starts_with("a:5: ") && error.contains(message), "{error}");
    }
}

#[test]
fn farm_ports_need_the_firewall() {
    let begin = "version = 1\n[agent]\nhub = \"hub:1\"\n";
    let farm = "[farm]\nport_range = \"20000-20003\"\naddress = \"10.1.0.1\"\n\
                networks = [\"10.1.0.0/16\"]\n";
    let wall = "[firewall]\nmode = \"required\"\n";
    let read = |text: &str| parse("a", &format!("{begin}{text}"));
    let range = read(&format!("{farm}{wall}")).unwrap().farm.unwrap().range();
    assert_eq!((range.first, range.last, range.count()), (20_000, 20_003, 4));
    let error = read(farm).unwrap_err().to_string();
    assert!(error.starts_with("a:4: farm ports need mode"), "{error}");
    for (right, wrong, told) in [
        ("20000-20003", "0-3", "a:5: write a port or several"),
        ("[\"10.1.0.0/16\"]", "[]", "a:7: name the farm's networks"),
        ("10.1.0.0/16", "farm", "a:7: \"farm\" is no address"),
    ] {
        let text = format!("{farm}{wall}").replacen(right, wrong, 1);
        let error = read(&text).unwrap_err().to_string();
        assert!(error.starts_with(told), "{error}");
    }
}

#[test]
fn a_missing_file_says_what_to_do() {
    let error = read(Path::new("/nonexistent/agent.toml")).unwrap_err();
    assert_eq!(
        error.to_string(),
        "/nonexistent/agent.toml: there is no such file; write it, or name another with --config"
    );
}
