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

/// The keys that a section may have, as the mistake of an unknown one lists them.
fn known_in(section: &str) -> Vec<String> {
    let head = "version = 1\nqqqqqqqqqqqq = 1\n[agent]\nhub = \"hub:1\"\n";
    let text = match section {
        "" => head.to_owned(),
        "agent" => head.replace("qqqqqqqqqqqq = 1\n", "") + "qqqqqqqqqqqq = 1\n",
        other => format!("version = 1\n[{other}]\nqqqqqqqqqqqq = 1\n[agent]\nhub = \"hub:1\"\n"),
    };
    let error = parse("a", &text).unwrap_err().to_string();
    let (_, list) =
        error.split_once("possible here: ").unwrap_or_else(|| panic!("{section}: {error}"));
    list.lines().next().unwrap_or_default().split(", ").map(str::to_owned).collect()
}

#[test]
fn the_packages_own_file_explains_every_key() {
    let text = include_str!("../../../packaging/etc/agent.toml");
    let (mut section, mut explained) = (String::new(), Vec::new());
    for line in text.lines().map(|line| line.strip_prefix('#').unwrap_or(line)) {
        if let Some(name) = line.strip_prefix('[').and_then(|line| line.strip_suffix(']')) {
            name.clone_into(&mut section);
            explained.push((String::new(), section.clone()));
        } else if let Some((key, _)) = line.split_once(" = ") {
            explained.push((section.clone(), key.to_owned()));
        }
    }
    for name in known_in("") {
        let known = if name == "version" { Vec::new() } else { known_in(&name) };
        for key in [(String::new(), name.clone())]
            .into_iter()
            .chain(known.into_iter().map(|key| (name.clone(), key)))
        {
            assert!(explained.contains(&key), "agent.toml of the package does not explain {key:?}");
        }
    }
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
    assert_eq!(told("agent.toml", &GOOD.replace(from, to)), message);
}

/// File, line and words of the mistake, which is shown with a caret under it.
#[track_caller]
fn told(file: &str, text: &str) -> String {
    let ConfigError::Wrong(mistake) = parse(file, text).unwrap_err() else { panic!("{text}") };
    let (line, shown) = (mistake.line, mistake.to_string());
    assert!(shown.contains(&format!("--> {file}:{line}:")) && shown.contains('^'), "{shown}");
    let (words, _) = mistake.message.split_once(" Possible here").unwrap_or((&mistake.message, ""));
    format!("{file}:{line}: {words}")
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
        "agent.toml:15: create: unknown word \"always\"; possible here: never, missing",
    );
    wrong(
        "memory = \"32 GB\"",
        "memory = \"32\"",
        "agent.toml:11: memory: a unit is needed, e.g. \"16 GB\"",
    );
    wrong(
        "hub = \"https://127.0.0.1:8443\"",
        "hub = \"127.0.0.1\"",
        "agent.toml:5: hub: not an address, write host:port, e.g. \"hub.example.org:8443\"",
    );
    wrong(
        "unix:///run/docker.sock",
        "tcp://10.0.0.1:2375",
        "agent.toml:8: docker: the engine must be on this machine, write docker = \"unix:///run/docker.sock\"",
    );
    wrong(
        "report_every = \"5s\"",
        "report_every = \"1h\"",
        "agent.toml:10: report_every: write a time from \"100ms\" to \"10s\", e.g. \"5s\"",
    );
    wrong(
        "[\"/home\"]",
        "[\"/home\", \"/data/../etc\"]",
        "agent.toml:19: mount_sources: a path must begin with / and have no .. in it",
    );
    wrong(
        "name = \"ccjn01\"",
        "name = \"../x\"",
        "agent.toml:4: name: a host name is 1 to 63 characters: a-z, 0-9, - and ., a letter or digit at both ends",
    );
    wrong(
        "version = 1",
        "version = 2",
        "agent.toml:2: version: version 2 is not known to this agent, write version = 1",
    );
    wrong("images = [\"berth/\"]", "", "agent.toml:16: key \"images\" is missing here");
    wrong(
        "starts_at_once = 2",
        "starts_at_once = 0",
        "agent.toml:12: starts_at_once: at least 1, or nothing would ever start",
    );
    wrong(
        "min_uid = 1000",
        "min_uid = ",
        "agent.toml:18: string values must be quoted, expected literal string",
    );
}

#[test]
fn a_firewall_says_what_is_reached_all_the_same() {
    let whole = |text: &str| format!("version = 1\n[agent]\nhub = \"hub:1\"\n{text}");
    let (read, said) =
        (|text: &str| parse("a", &whole(text)), |text: &str| told("a", &whole(text)));
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
        let error = said(&format!("[firewall]\nallow = [{wrong}]\n"));
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
    let error = told("a", &format!("{begin}{farm}"));
    assert!(error.starts_with("a:4: farm ports need mode"), "{error}");
    for (right, wrong, words) in [
        ("20000-20003", "0-3", "a:5: port_range: write a port or several"),
        ("[\"10.1.0.0/16\"]", "[]", "a:7: networks: name the farm's networks"),
        ("10.1.0.0/16", "farm", "a:7: networks: \"farm\" is no address"),
    ] {
        let text = format!("{farm}{wall}").replacen(right, wrong, 1);
        let error = told("a", &format!("{begin}{text}"));
        assert!(error.starts_with(words), "{error}");
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
