//! Transcripts: the real command against a stub hub, its output compared with `golden/*.txt`.
//!
//! A transcript is a list of commands, each with what came of it: standard output, then standard
//! error (its lines begin with `! `), then the exit code. The word before `$` says who asks: the token's
//! name, or `nobody` (no token), `home` (what `berth login` left), `socket` (over the
//! administrators' socket), `down` (nothing listens there). `BERTH_BLESS=1` writes the files anew;
//! then read them as a tired administrator would.

#[path = "golden/calendar.rs"]
mod calendar;
#[path = "golden/decisions.rs"]
mod decisions;
#[path = "golden/fleet.rs"]
mod fleet;
#[path = "golden/pools.rs"]
mod pools;
#[path = "golden/shapes.rs"]
mod shapes;
#[path = "golden/site.rs"]
mod site;
#[path = "golden/stub.rs"]
mod stub;

use std::path::Path;
use std::process::Command;

use stub::Stub;

/// Where the transcripts are.
const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden");
/// What a terminal shows without wrapping.
const COLUMNS: usize = 80;

/// Runs a transcript's commands and compares all of it.
fn check(name: &str) {
    let path = format!("{FOLDER}/{name}.txt");
    let written = std::fs::read_to_string(&path).unwrap();
    let stub = Stub::start();
    let home = home();
    let mut found = String::new();
    for line in written.lines() {
        match line.split_once("$ berth ") {
            Some((who, args)) if !who.contains(' ') => {
                found.push_str(&format!("{line}\n{}", run(&stub, home.path(), who, args)));
            }
            _ if line.starts_with('#') => found.push_str(&format!("{line}\n")),
            _ => {}
        }
    }
    if std::env::var_os("BERTH_BLESS").is_some() {
        std::fs::write(&path, &found).unwrap();
    }
    let written = std::fs::read_to_string(&path).unwrap();
    assert!(found == written, "{path}: expected\n{written}\nfound\n{found}");
}

/// A folder with what the commands read.
fn home() -> tempfile::TempDir {
    let home = tempfile::tempdir().unwrap();
    std::fs::write(home.path().join("password"), "correct horse\n").unwrap();
    std::fs::write(home.path().join("wrong"), "wrong\n").unwrap();
    for token in ["alice", "ended"] {
        std::fs::write(home.path().join(format!("{token}.token")), token).unwrap();
    }
    std::fs::create_dir(home.path().join("manual")).unwrap();
    std::fs::create_dir_all(home.path().join("berth.old/trainings.d")).unwrap();
    std::fs::write(home.path().join("berth.old/pools.toml"), "[pool.cpu]\n").unwrap();
    std::fs::create_dir(home.path().join("berth.later")).unwrap();
    std::fs::write(home.path().join("berth.later/pools.toml"), "version = 2\n").unwrap();
    kernels(home.path());
    for (folder, pool) in [("berth.new", "cpu"), ("berth.wrong", "cpuu")] {
        let folder = home.path().join(folder);
        std::fs::create_dir_all(folder.join("hosts.d")).unwrap();
        std::fs::write(folder.join("pools.toml"), format!("version = 1\n[pool.{pool}]\n")).unwrap();
        std::fs::write(folder.join("hosts.d/10-cpu.toml"), "version = 1\n").unwrap();
    }
    home
}

/// A kernel whose program is not there, and an environment of which one can be made.
fn kernels(home: &Path) {
    use std::os::unix::fs::PermissionsExt;
    let broken = home.join(".local/share/jupyter/kernels/old");
    std::fs::create_dir_all(&broken).unwrap();
    let spec =
        r#"{"argv": ["/opt/gone/bin/python", "-f", "{connection_file}"], "display_name": "Old"}"#;
    std::fs::write(broken.join("kernel.json"), spec).unwrap();
    let python = home.join("venv/bin/python");
    std::fs::create_dir_all(python.parent().unwrap()).unwrap();
    std::fs::write(&python, "#!/bin/sh\nexit 0\n").unwrap();
    std::fs::set_permissions(&python, std::fs::Permissions::from_mode(0o755)).unwrap();
}

/// One command's output as the transcript has it.
fn run(stub: &Stub, home: &Path, who: &str, args: &str) -> String {
    let mut command = Command::new(env!("CARGO_BIN_EXE_berth"));
    command.env_clear().env("HOME", home).env("TZ", "UTC").env("COLUMNS", "80").current_dir(home);
    match who {
        "down" => command.env("BERTH_URL", &stub.closed_url),
        "socket" => command.env("BERTH_URL", &stub.socket_url),
        _ => command.env("BERTH_URL", &stub.url),
    };
    if !matches!(who, "nobody" | "home" | "socket") {
        let file = home.join("token");
        std::fs::write(&file, if who.is_empty() { "admin" } else { who }).unwrap();
        command.env("BERTH_TOKEN_FILE", file);
    }
    let output = command.args(words(args)).output().unwrap();
    let mut text = String::new();
    for line in String::from_utf8(output.stdout).unwrap().lines() {
        text.push_str(&format!("{line}\n"));
    }
    for line in String::from_utf8(output.stderr).unwrap().lines() {
        text.push_str(format!("! {line}").trim_end());
        text.push('\n');
    }
    let text = steady(stub, &text.replace(&home.display().to_string(), "~"));
    format!("{text}exit {}\n\n", output.status.code().unwrap())
}

/// Words of a shell's command line: quotes keep spaces.
fn words(line: &str) -> Vec<String> {
    let parts = line.split('"').enumerate();
    parts
        .flat_map(|(index, part)| match index % 2 {
            0 => part.split(' ').filter(|word| !word.is_empty()).map(str::to_owned).collect(),
            _ => vec![part.to_owned()],
        })
        .collect()
}

/// Without what differs from run to run: ports, this machine, and how fast it is.
fn steady(stub: &Stub, text: &str) -> String {
    let text = text
        .replace(&stub.socket_url, "unix:/run/berth/admin.sock")
        .replace(&stub.url, "http://hub:8000")
        .replace(&stub.closed_url, "http://away:8000")
        .replace(&format!("--hub {}:", hostname()), "--hub this-machine:");
    text.lines().map(|line| format!("{}\n", steady_line(line))).collect()
}

fn steady_line(line: &str) -> String {
    let seconds = line.get(..8).map(str::trim_start).and_then(|start| start.strip_suffix(" s"));
    match seconds.is_some_and(|seconds| seconds.parse::<f64>().is_ok()) {
        true => format!("   0.0 s{}", line.get(8..).unwrap_or_default()),
        false => line.to_owned(),
    }
}

fn hostname() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}

#[test]
fn hosts() {
    check("hosts");
}

#[test]
fn servers() {
    check("servers");
}

#[test]
fn starts() {
    check("starts");
}

#[test]
fn extends() {
    check("extends");
}

#[test]
fn stops() {
    check("stops");
}

#[test]
fn explanations() {
    check("explanations");
}

#[test]
fn plans() {
    check("plans");
}

#[test]
fn queues() {
    check("queues");
}

#[test]
fn audits() {
    check("audits");
}

#[test]
fn configs() {
    check("configs");
}

#[test]
fn doctor() {
    check("doctor");
}

#[test]
fn usage() {
    check("usage");
}

#[test]
fn trainings() {
    check("trainings");
}

#[test]
fn reboots() {
    check("reboots");
}

#[test]
fn notices() {
    check("notices");
}

#[test]
fn maintenance() {
    check("maintenance");
}

#[test]
fn intents() {
    check("intents");
}

#[test]
fn watches() {
    check("watches");
}

#[test]
fn others() {
    check("others");
}

#[test]
fn choices() {
    check("choices");
}

#[test]
fn pools() {
    check("pools");
}

#[test]
fn events() {
    check("events");
}

#[test]
fn helps() {
    check("helps");
}

/// Every help text, of every command, in its short and its long form.
#[test]
fn helps_fit_a_terminal() {
    let help = |words: &[String], form: &str| {
        let output = Command::new(env!("CARGO_BIN_EXE_berth")).args(words).arg(form).output();
        String::from_utf8(output.unwrap().stdout).unwrap()
    };
    let mut open: Vec<Vec<String>> = vec![Vec::new()];
    let (mut seen, mut wide) = (0, Vec::new());
    while let Some(words) = open.pop() {
        seen += 1;
        let (text, long) = (help(&words, "-h"), help(&words, "--help"));
        let lines = text.lines().chain(long.lines());
        let lines = lines.filter(|line| line.chars().count() > COLUMNS);
        wide.extend(lines.map(|line| format!("{}: {line}", words.join(" "))));
        let commands = text.lines().skip_while(|line| *line != "Commands:").skip(1);
        let names = commands.take_while(|line| !line.is_empty());
        let names = names.filter_map(|line| line.split_whitespace().next());
        open.extend(names.map(|name| [words.clone(), vec![name.to_owned()]].concat()));
    }
    assert!(seen > 80, "only {seen} commands were found");
    assert!(wide.is_empty(), "wider than {COLUMNS}:\n{}", wide.join("\n"));
}

#[test]
fn what_is_watched_is_shown_again_and_again() {
    use std::io::BufRead;
    let stub = Stub::start();
    let home = home();
    std::fs::write(home.path().join("token"), "admin").unwrap();
    let mut watching = Command::new(env!("CARGO_BIN_EXE_berth"))
        .args(["host", "list", "-q", "--watch"])
        .env_clear()
        .env("HOME", home.path())
        .env("BERTH_URL", &stub.url)
        .env("BERTH_TOKEN_FILE", home.path().join("token"))
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let lines = std::io::BufReader::new(watching.stdout.take().unwrap()).lines();
    // It never ends by itself: the third time is proof enough.
    let shown = lines.map_while(Result::ok).filter(|line| line == "ccjn01").take(3).count();
    watching.kill().unwrap();
    watching.wait().unwrap();
    assert_eq!(shown, 3);
}

/// The manual has a page for each command, and each command that has no others below it has a
/// transcript.
#[test]
fn every_command_has_a_transcript() {
    let folder = tempfile::tempdir().unwrap();
    let made = Command::new(env!("CARGO_BIN_EXE_berth")).arg("man").arg(folder.path()).output();
    assert!(made.unwrap().status.success());
    let names = |folder: &Path, end: &str| -> Vec<String> {
        let files = std::fs::read_dir(folder).unwrap().map(|it| it.unwrap().file_name());
        let files = files.map(|it| it.into_string().unwrap());
        files.filter_map(|name| name.strip_suffix(end).map(str::to_owned)).collect()
    };
    let pages = names(folder.path(), ".1");
    assert!(pages.len() > 60, "{pages:?}");
    let transcripts: String = names(Path::new(FOLDER), ".txt")
        .iter()
        .map(|name| std::fs::read_to_string(format!("{FOLDER}/{name}.txt")).unwrap())
        .collect();
    // A page's name joins words by what some words have inside.
    let typed = transcripts.lines().filter_map(|line| line.split_once("$ "));
    let typed: Vec<String> = typed.map(|(_, line)| line.replace(' ', "-") + "-").collect();
    let is_leaf = |page: &&String| {
        let below = format!("{page}-");
        !pages.iter().any(|other| other.starts_with(&below))
    };
    let lacking: Vec<_> = pages
        .iter()
        .filter(is_leaf)
        .filter(|page| !typed.iter().any(|line| line.starts_with(&format!("{page}-"))))
        .collect();
    assert!(lacking.is_empty(), "no transcript for {lacking:?}");
}

#[test]
fn tokens() {
    check("tokens");
}

#[test]
fn logins() {
    check("logins");
}

#[test]
fn users() {
    check("users");
}

#[test]
fn problems() {
    check("problems");
}

/// Reasons stand in the last column and may be sentences; all before them must fit.
#[test]
fn tables_fit_a_terminal() {
    let mut tables = 0;
    for entry in std::fs::read_dir(FOLDER).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|extension| extension != "txt") {
            continue;
        }
        let transcript = std::fs::read_to_string(&path).unwrap();
        for run in transcript.split("\n\n").filter(|run| !run.contains("-o wide")) {
            let header = run.lines().find(|line| is_header(line));
            let Some(header) = header else { continue };
            assert!(header.len() <= COLUMNS, "{}: {header}", path.display());
            tables += 1;
        }
    }
    assert!(tables > 10, "{tables}");
}

fn is_header(line: &str) -> bool {
    line.contains("  ") && line.chars().all(|c| c.is_ascii_uppercase() || c == ' ')
}

#[test]
fn what_is_asked_for_is_sent() {
    let stub = Stub::start();
    let home = home();
    let sent = |who: &str, args: &str| {
        stub.asked.lock().unwrap().clear();
        run(&stub, home.path(), who, args);
        stub.asked.lock().unwrap().join("\n")
    };
    assert_eq!(
        sent("", "server start --user alice --profile cpu --memory 8G --image base"),
        "POST /hub/api/users/alice/server as admin \
         {\"user_options\":{\"image\":\"base\",\"memory\":8589934592,\"profile\":\"cpu\"}}\n\
         GET /hub/api/users/alice/server/progress as admin"
    );
    assert_eq!(
        sent("alice", "server start --name n1"),
        "GET /hub/api/user as alice\n\
         POST /hub/api/users/alice/servers/n1 as alice\n\
         GET /hub/api/users/alice/servers/n1/progress as alice"
    );
    assert_eq!(
        sent("", "user add dora --uid 1009 --gid 1000 --group lsst:2001 --home /pbs/dora --admin"),
        "POST /hub/api/berth/users as admin {\"admin\":true,\"gid\":1000,\"groups\":\
         [{\"gid\":2001,\"name\":\"lsst\"}],\"home\":\"/pbs/dora\",\"name\":\"dora\",\"uid\":1009}"
    );
    assert_eq!(
        sent("", "user password alice --password-file password"),
        "POST /hub/api/berth/users/alice/password as admin {\"password\":\"correct horse\"}"
    );
    assert_eq!(
        sent("alice", "token create --note ci --expires-in 30d --scope read:servers tokens"),
        "GET /hub/api/user as alice\n\
         POST /hub/api/users/alice/tokens as alice {\"expires_in\":2592000,\"note\":\"ci\",\
         \"scopes\":[\"read:servers\",\"tokens\"]}"
    );
    assert_eq!(
        sent("nobody", "login --user alice --password-file password"),
        "POST /hub/api/users/alice/tokens as nobody {\"auth\":{\"password\":\"correct horse\",\
         \"username\":\"alice\"},\"expires_in\":7776000,\"note\":\"berth login\"}"
    );
    assert_eq!(
        sent("", "explain request --user alice --profile gpu --memory 28G"),
        "POST /hub/api/berth/explain as admin \
         {\"memory\":30064771072,\"profile\":\"gpu\",\"user\":\"alice\"}"
    );
    assert_eq!(
        sent("", "explain request --gpus 2 --profile gpu"),
        "POST /hub/api/berth/explain as admin {\"gpus\":2,\"profile\":\"gpu\"}"
    );
    assert_eq!(
        sent("", "explain request --gpu-model A100 --profile gpu"),
        "POST /hub/api/berth/explain as admin {\"gpu_model\":\"A100\",\"profile\":\"gpu\"}"
    );
    assert_eq!(
        sent("", "server start --user alice --gpus 2 --no-wait"),
        "POST /hub/api/berth/explain as admin {\"gpus\":2,\"user\":\"alice\"}\n\
         POST /hub/api/users/alice/server as admin {\"user_options\":{\"gpus\":2}}\n\
         GET /hub/api/users/alice/server/progress as admin"
    );
    // Every host is looked at before the first is changed.
    assert_eq!(
        sent("", "host cordon ccjn0[1-2] --reason kernel --yes"),
        [("ccjn01", true), ("ccjn02", true), ("ccjn01", false), ("ccjn02", false)]
            .map(|(host, dry)| format!(
                "PUT /hub/api/berth/hosts/{host}/intent as admin \
                 {{\"dry_run\":{dry},\"intent\":\"cordoned\",\"reason\":\"kernel\"}}"
            ))
            .join("\n")
    );
    assert_eq!(
        sent(
            "",
            "host drain ccjn01 --by 2026-05-15T18:00Z --at-deadline hold --reason x --message m \
             --dry-run"
        ),
        "PUT /hub/api/berth/hosts/ccjn01/intent as admin {\"at_deadline\":\"hold\",\
         \"by\":\"2026-05-15T18:00:00.000000Z\",\"dry_run\":true,\"intent\":\"draining\",\
         \"message\":\"m\",\"reason\":\"x\"}"
    );
    assert_eq!(
        sent("", "plan add-host --like cpu --memory 64G --count 2"),
        "POST /hub/api/berth/plan as admin \
         {\"add_hosts\":[{\"count\":2,\"like\":\"cpu\",\"memory\":68719476736}]}"
    );
    assert_eq!(
        sent("", "plan config berth.new"),
        "POST /hub/api/berth/plan/config as admin {\"files\":{\"hosts.d/10-cpu.toml\":\
         \"version = 1\\n\",\"pools.toml\":\"version = 1\\n[pool.cpu]\\n\"}}"
    );
    assert_eq!(
        sent("", "server stop 8f2d --reason ticket"),
        "GET /hub/api/berth/servers as admin\n\
         DELETE /hub/api/users/alice/servers/n1 as admin {\"reason\":\"ticket\"}"
    );
}

#[test]
fn a_stop_that_is_only_looked_at_sends_nothing() {
    let stub = Stub::start();
    let home = tempfile::tempdir().unwrap();
    run(&stub, home.path(), "", "server stop alice --dry-run");
    assert_eq!(*stub.asked.lock().unwrap(), ["GET /hub/api/berth/servers as admin"]);
}

/// Whatever ends the command, its servers end with it.
#[test]
fn a_rehearsal_that_is_interrupted_ends_its_servers() {
    use rustix::process::{Pid, Signal, kill_process};
    use std::io::{BufRead, BufReader, Read};
    for signal in [Signal::INT, Signal::TERM, Signal::HUP] {
        let stub = Stub::start();
        let home = tempfile::tempdir().unwrap();
        std::fs::write(home.path().join("token"), "admin").unwrap();
        let mut rehearsing = Command::new(env!("CARGO_BIN_EXE_berth"))
            .args(["training", "rehearse", "endless", "--servers", "4"])
            .env_clear()
            .env("HOME", home.path())
            .env("BERTH_URL", &stub.url)
            .env("BERTH_TOKEN_FILE", home.path().join("token"))
            .stdout(std::process::Stdio::piped())
            .stderr(std::process::Stdio::piped())
            .spawn()
            .unwrap();
        let mut said = BufReader::new(rehearsing.stdout.take().unwrap());
        let mut first = String::new();
        said.read_line(&mut first).unwrap();
        assert_eq!(first, "rehearsal-1 is ready after 3.0 s on ccjntr1\n");
        kill_process(Pid::from_child(&rehearsing), signal).unwrap();
        said.read_to_string(&mut first).unwrap();
        let output = rehearsing.wait_with_output().unwrap();
        let noted = String::from_utf8(output.stderr).unwrap();
        assert!(noted.starts_with("broken off; the servers end"), "{noted}");
        assert_eq!(output.status.code(), Some(1), "{noted}");
        let asked = stub.asked.lock().unwrap();
        let last = "DELETE /hub/api/berth/trainings/endless/rehearsal/servers as admin";
        assert_eq!(asked.last().map(String::as_str), Some(last));
    }
}

#[test]
fn a_reader_that_goes_away_is_no_problem() {
    let stub = Stub::start();
    let home = tempfile::tempdir().unwrap();
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    std::fs::write(home.path().join("token"), "admin").unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_berth"))
        .args(["host", "list"])
        .env_clear()
        .env("HOME", home.path())
        .env("BERTH_URL", &stub.url)
        .env("BERTH_TOKEN_FILE", home.path().join("token"))
        .stdout(writer)
        .output()
        .unwrap();
    assert_eq!((output.status.code(), output.stderr.as_slice()), (Some(0), b"".as_slice()));
}

#[test]
fn a_token_is_only_shown_to_a_hub_whose_certificate_is_trusted() {
    let stub = Stub::start();
    let home = tempfile::tempdir().unwrap();
    std::fs::write(home.path().join("token"), "admin").unwrap();
    std::fs::write(home.path().join("hub.pem"), &stub.certificate).unwrap();
    std::fs::write(home.path().join("other.pem"), Stub::start().certificate).unwrap();
    let run = |authorities: &str| {
        let output = Command::new(env!("CARGO_BIN_EXE_berth"))
            .args(["host", "list", "-q"])
            .env_clear()
            .env("HOME", home.path())
            .env("BERTH_URL", &stub.secure_url)
            .env("BERTH_TOKEN_FILE", home.path().join("token"))
            .env("SSL_CERT_FILE", home.path().join(authorities))
            .output()
            .unwrap();
        (output.status.code(), String::from_utf8(output.stderr).unwrap())
    };
    let (code, said) = run("other.pem");
    assert_eq!(code, Some(7), "{said}");
    assert!(said.contains("its certificate cannot be trusted"), "{said}");
    assert!(stub.asked.lock().unwrap().is_empty());
    assert_eq!(run("hub.pem"), (Some(0), String::new()));
    assert_eq!(*stub.asked.lock().unwrap(), ["GET /hub/api/berth/hosts as admin"]);
}

#[test]
fn a_login_is_for_its_user_alone() {
    use std::os::unix::fs::PermissionsExt;
    let stub = Stub::start();
    let home = tempfile::tempdir().unwrap();
    std::fs::write(home.path().join("password"), "correct horse\n").unwrap();
    let said = run(&stub, home.path(), "nobody", "login --user alice --password-file password");
    assert!(said.contains("exit 0"), "{said}");
    let folder = home.path().join(".config/berth");
    for name in ["url", "token"] {
        let mode = std::fs::metadata(folder.join(name)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{name}");
    }
    assert_eq!(std::fs::read_to_string(folder.join("token")).unwrap(), "alice\n");
}

#[test]
fn shells_get_their_completion() {
    for shell in ["bash", "zsh", "fish"] {
        let output = Command::new(env!("CARGO_BIN_EXE_berth"))
            .args(["completion", shell])
            .env_clear()
            .output()
            .unwrap();
        let script = String::from_utf8(output.stdout).unwrap();
        assert!(output.status.success() && script.contains("why-not"), "{shell}: {script}");
    }
}

/// The script in a real shell: after `host drain` come hosts, as the hub knows them now.
#[test]
fn names_are_completed_as_the_hub_knows_them() {
    let stub = Stub::start();
    let home = tempfile::tempdir().unwrap();
    std::fs::write(home.path().join("token"), "admin").unwrap();
    let folder = Path::new(env!("CARGO_BIN_EXE_berth")).parent().unwrap();
    let completed = |line: &str| {
        let words: Vec<_> = line.split(' ').collect();
        let script = format!(
            "source <(berth completion bash); COMP_WORDS=({}); COMP_CWORD={}; COMPREPLY=(); \
             _berth_with_names berth \"{}\" \"{}\"; printf '%s\\n' \"${{COMPREPLY[@]}}\"",
            words.iter().map(|word| format!("'{word}'")).collect::<Vec<_>>().join(" "),
            words.len() - 1,
            words[words.len() - 1],
            words[words.len() - 2],
        );
        let output = Command::new("bash")
            .args(["--norc", "-c", &script])
            .env_clear()
            .env("HOME", home.path())
            .env("PATH", format!("{}:/usr/bin:/bin", folder.display()))
            .env("BERTH_URL", &stub.url)
            .env("BERTH_TOKEN_FILE", home.path().join("token"))
            .env("BERTH_COMPLETE_WITHIN", "60")
            .output()
            .expect("bash");
        let mut names: Vec<_> =
            String::from_utf8(output.stdout).unwrap().lines().map(str::to_owned).collect();
        names.sort();
        names
    };
    assert_eq!(completed("berth host drain ccjn0"), ["ccjn01", "ccjn02", "ccjn03", "ccjn08"]);
    assert_eq!(completed("berth training check roo"), ["root-school"]);
    assert_eq!(completed("berth whois ali"), ["alice"]);
    let verbs = completed("berth training e");
    assert!(verbs.contains(&"extend".to_owned()), "{verbs:?}");
}
