//! Spaces of real containers: what they get, what is refused, and a file system that hangs.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use berth_common::Reason;
use berth_common::link::{Group, ObservedState, RunSpec, Space, Verdict};
use rustix::mount::{MountFlags, MountPropagationFlags, UnmountFlags};

use super::docker::{IMAGE, image};
use super::site::{Ca, Host, Hub, run, server_id, spec};

async fn site() -> (Hub, Host) {
    image();
    let hub = Hub::start(Arc::new(Ca::new())).await;
    let host = Host::joined(&hub).await;
    (hub, host)
}

fn space(name: &str, source: &Path, target: &str) -> Space {
    Space {
        name: name.into(),
        source: source.display().to_string(),
        target: target.into(),
        read_only: false,
        follows: false,
        required: false,
        only_if_exists: false,
    }
}

/// A folder of the host inside the policy.
fn folder(host: &Host, name: &str) -> PathBuf {
    let path = fs::canonicalize(host.folder.path()).unwrap().join("home").join(name);
    fs::create_dir_all(&path).unwrap();
    path
}

/// A server that runs a script and then answers.
fn script(home: &str, script: &str) -> RunSpec {
    let mut wanted = spec(IMAGE, home);
    let script = format!("{script}\nexec httpd -f -p 8888 -h /www");
    wanted.command = ["sh", "-c", &script].map(str::to_owned).to_vec();
    wanted
}

fn inside(home: &str, name: &str) -> String {
    fs::read_to_string(format!("{home}/{name}")).unwrap().trim().to_owned()
}

fn ready(state: &ObservedState) -> bool {
    *state == ObservedState::Ready
}

fn failed(state: &ObservedState) -> Option<(Reason, String)> {
    match state {
        ObservedState::Failed(ending) => Some((ending.reason, ending.detail.clone())),
        _ => None,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn spaces_groups_and_the_file_browser_are_as_asked() {
    let (hub, host) = site().await;
    let _agent = host.agent();
    let home = host.home("alice", 20_001, 30_001);
    let (sps, soft) = (folder(&host, "sps/atlas"), folder(&host, "software"));
    fs::set_permissions(&sps, fs::Permissions::from_mode(0o777)).unwrap();
    fs::set_permissions(&soft, fs::Permissions::from_mode(0o777)).unwrap();
    fs::write(soft.join("tool"), "a tool").unwrap();
    let real = folder(&host, "real");
    fs::write(real.join("file"), "behind a link").unwrap();
    symlink(&real, real.with_file_name("link")).unwrap();

    let mut wanted = script(
        &home,
        "cat /soft/tool >tool; echo x >/soft/mine 2>/dev/null && echo yes >wrote-soft
         echo from-inside >/sps/atlas/file; cat /behind/file >behind
         id -G >groups; ls /files >browser; cat /files/sps/atlas/file >shown
         cat /files/home/tool >browsed; ls / >root",
    );
    wanted.spaces = vec![
        space("SPS", &sps, "/sps/atlas"),
        Space { read_only: true, ..space("SOFTWARE", &soft, "/soft") },
        space("LINK", &real.with_file_name("link"), "/behind"),
        Space { only_if_exists: true, ..space("NONE", &soft.with_file_name("none"), "/none") },
        space("GONE", &soft.with_file_name("gone"), "/gone"),
    ];
    wanted.shown = [("sps/atlas".to_owned(), "/sps/atlas".to_owned())].into();
    // More than NFS and old kernels like.
    let group = |gid: u32| Group { name: format!("g{gid}"), gid };
    wanted.account.groups = (40_001..=40_040).map(group).collect();
    let server = server_id();
    hub.say(&server, 1, run(wanted));
    hub.sees(&server, "ready", ready).await;
    let gone = soft.with_file_name("gone");
    let report = hub
        .heard("what was left out", |report| {
            report.engine.iter().flatten().any(|one| !one.left_out.is_empty())
        })
        .await;
    let seen = report.engine.unwrap().remove(0);
    let missing = format!("GONE: {} is not on this host", gone.display());
    assert_eq!(seen.left_out, [missing], "said, and what only may exist is not");

    assert_eq!(inside(&home, "tool"), "a tool");
    assert!(!Path::new(&home).join("wrote-soft").exists(), "read-only");
    assert_eq!(fs::read_to_string(sps.join("file")).unwrap(), "from-inside\n");
    assert_eq!(inside(&home, "behind"), "behind a link");
    let groups = inside(&home, "groups");
    assert_eq!(groups.split(' ').count(), 41, "{groups}");
    assert!(groups.contains("30001") && groups.contains("40001") && groups.contains("40040"));
    assert_eq!(inside(&home, "browser"), "home\nsps");
    assert_eq!(
        (inside(&home, "shown"), inside(&home, "browsed")),
        ("from-inside".into(), "a tool".into())
    );
    let root = inside(&home, "root");
    assert!(!root.contains("none") && !root.contains("gone"), "{root}");
    assert!(!gone.exists(), "never made");
    let in_home: Vec<_> = fs::read_dir(&home).unwrap().map(|it| it.unwrap().file_name()).collect();
    assert!(in_home.iter().all(|name| name != "sps" && name != "files"), "{in_home:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_required_or_against_the_policy_fails_the_start_and_names_it() {
    let (hub, host) = site().await;
    let _agent = host.agent();
    let home = host.home("alice", 20_001, 30_001);
    let soft = folder(&host, "software");
    let fails = async |space: Space| {
        let server = server_id();
        let mut wanted = script(&home, "");
        wanted.spaces = vec![space];
        hub.say(&server, 1, run(wanted));
        let seen = hub.sees(&server, "a failure", |state| failed(state).is_some()).await;
        hub.say(&server, 1, Verdict::Stop { grace_s: 1 });
        hub.sees_nothing_of(&server).await;
        failed(&seen.state).unwrap()
    };
    let gone = soft.with_file_name("gone");
    let (reason, detail) = fails(Space { required: true, ..space("S", &gone, "/s") }).await;
    assert_eq!(reason, Reason::FailedMount);
    assert_eq!(detail, format!("S: {} is not on this host", gone.display()));

    let (reason, detail) = fails(space("S", Path::new("/etc"), "/s")).await;
    assert_eq!(reason, Reason::FailedPolicy);
    assert!(detail.starts_with("S: /etc is in none of mount_sources"), "{detail}");

    for target in ["/", "/etc/x", "/proc", "/files", &home, "/a/../b"] {
        let (reason, detail) = fails(space("S", &soft, target)).await;
        assert_eq!(reason, Reason::FailedPolicy, "{target}: {detail}");
    }

    // A link that leads out, and a folder on the way that its users can exchange.
    symlink("/etc", soft.with_file_name("out")).unwrap();
    let out = soft.with_file_name("out");
    let (reason, detail) = fails(Space { required: true, ..space("S", &out, "/s") }).await;
    assert_eq!(reason, Reason::FailedPolicy, "{detail}");
    let open = folder(&host, "open/deep");
    fs::set_permissions(open.parent().unwrap(), fs::Permissions::from_mode(0o777)).unwrap();
    let (reason, detail) = fails(Space { required: true, ..space("S", &open, "/s") }).await;
    assert_eq!(reason, Reason::FailedMount);
    assert!(detail.contains("others than root can change"), "{detail}");
}

/// A mount of the test; gone with it.
struct Mounted(PathBuf);

impl Drop for Mounted {
    fn drop(&mut self) {
        let _ = rustix::mount::unmount(&self.0, UnmountFlags::DETACH);
    }
}

/// A FUSE file system whose server never answers: whoever looks waits until it is gone.
fn hanging(path: &Path) -> (Mounted, fs::File) {
    use std::os::fd::AsRawFd;
    let device = fs::File::options().read(true).write(true).open("/dev/fuse");
    let device = device.expect("this test needs /dev/fuse");
    let options =
        format!("fd={},rootmode=40000,user_id=0,group_id=0,allow_other", device.as_raw_fd());
    let options = std::ffi::CString::new(options).unwrap();
    rustix::mount::mount("berth-hangs", path, "fuse", MountFlags::empty(), options.as_c_str())
        .expect("this test needs root and FUSE");
    (Mounted(path.to_owned()), device)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_system_that_hangs_hurts_only_those_who_need_it() {
    let (hub, host) = site().await;
    let _agent = host.agent();
    let home = host.home("alice", 20_001, 30_001);
    let (well, dead) = (folder(&host, "well"), folder(&host, "dead"));
    let hung = hanging(&dead);
    hub.watch(&[("WELL", &well), ("DEAD", &dead), ("NONE", &well.with_file_name("none"))], 2);
    let trouble = |report: &berth_common::link::Report, name: &str| {
        report.spaces.iter().find(|space| space.name == name).map(|space| {
            space.trouble.as_ref().map(|trouble| (trouble.reason, trouble.detail.clone()))
        })
    };
    let report = hub
        .heard("all three", |report| {
            ["WELL", "DEAD", "NONE"].iter().all(|name| trouble(report, name).is_some())
        })
        .await;
    assert_eq!(trouble(&report, "WELL"), Some(None));
    let sick = format!("{} does not answer", dead.display());
    assert_eq!(trouble(&report, "DEAD"), Some(Some((Reason::MountSick, sick))));
    assert_eq!(trouble(&report, "NONE").unwrap().unwrap().0, Reason::MountAbsent);

    // Who does not need it starts; who would like it starts without; who needs it is told.
    let dead_inside = |required| Space { required, ..space("DEAD", &dead, "/dead") };
    let start = |spaces: Vec<Space>| {
        let server = server_id();
        let mut wanted = script(&home, "");
        wanted.spaces = spaces;
        hub.say(&server, 1, run(wanted));
        server
    };
    let (without, optional, required) = (
        start(vec![space("WELL", &well, "/well")]),
        start(vec![dead_inside(false)]),
        start(vec![dead_inside(true)]),
    );
    hub.sees(&without, "ready", ready).await;
    hub.sees(&optional, "ready", ready).await;
    let seen = hub.sees(&required, "a failure", |state| failed(state).is_some()).await;
    let (reason, detail) = failed(&seen.state).unwrap();
    assert_eq!(reason, Reason::FailedMount);
    assert!(detail.contains("gets no answer about"), "{detail}");
    let report = hub
        .heard("what was left out", |report| {
            report.engine.iter().flatten().any(|one| !one.left_out.is_empty())
        })
        .await;
    let left = report.engine.unwrap().into_iter().find(|one| one.server == optional).unwrap();
    assert!(left.left_out[0].contains("gets no answer about"), "{:?}", left.left_out);

    // The file server is back: the space is well again.
    drop(hung);
    hub.heard("it answers", |report| trouble(report, "DEAD") == Some(None)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_home_without_room_is_told_before_there_is_a_container() {
    let (hub, host) = site().await;
    let _agent = host.agent();
    let home = host.home("alice", 20_001, 30_001);
    let options = c"size=128k,mode=700,uid=20001,gid=30001";
    rustix::mount::mount("berth-test", home.as_str(), "tmpfs", MountFlags::empty(), options)
        .expect("this test needs root");
    let _mounted = Mounted(PathBuf::from(&home));
    fs::write(format!("{home}/data"), [1; 100 << 10]).unwrap();
    let server = server_id();
    hub.say(&server, 1, run(script(&home, "")));
    let seen = hub.sees(&server, "a failure", |state| failed(state).is_some()).await;
    let (reason, detail) = failed(&seen.state).unwrap();
    assert_eq!(reason, Reason::FailedHomeFull, "{detail}");
    assert!(
        detail.starts_with(&format!("{home} has no room for 64 KB: No space left")),
        "{detail}"
    );
    fs::remove_file(format!("{home}/data")).unwrap();
    let again = server_id();
    hub.say(&again, 1, run(script(&home, "")));
    hub.sees(&again, "ready", ready).await;
    hub.say(&again, 1, Verdict::Stop { grace_s: 1 });
    hub.sees_nothing_of(&again).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_mounted_later_below_a_space_that_follows_shows_inside() {
    let (hub, host) = site().await;
    let _agent = host.agent();
    let home = host.home("alice", 20_001, 30_001);
    let cvmfs = folder(&host, "cvmfs");
    // As autofs has it: a mount of its own, shared with who follows it.
    let tmpfs = |path: &Path| {
        let none = MountFlags::empty();
        rustix::mount::mount("berth-test", path, "tmpfs", none, None)
            .expect("this test needs root");
        Mounted(path.to_owned())
    };
    let _root = tmpfs(&cvmfs);
    rustix::mount::mount_change(&cvmfs, MountPropagationFlags::SHARED).unwrap();
    fs::create_dir(cvmfs.join("sw")).unwrap();

    let mut wanted =
        script(&home, "(while ! test -e /cvmfs/sw/late; do sleep 0.05; done; echo >seen) &");
    wanted.spaces =
        vec![Space { follows: true, read_only: true, ..space("CVMFS", &cvmfs, "/cvmfs") }];
    let server = server_id();
    hub.say(&server, 1, run(wanted));
    hub.sees(&server, "ready", ready).await;
    assert!(!Path::new(&home).join("seen").exists());
    let _late = tmpfs(&cvmfs.join("sw"));
    fs::write(cvmfs.join("sw/late"), "").unwrap();
    super::site::file(&Path::new(&home).join("seen"), |text| !text.is_empty()).await;
    hub.say(&server, 1, Verdict::Stop { grace_s: 1 });
    hub.sees_nothing_of(&server).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kernel_that_cannot_start_is_told_and_nothing_of_it_is_executed() {
    let (hub, host) = site().await;
    let _agent = host.agent();
    let home = host.home("alice", 20_001, 30_001);
    let away = folder(&host, "sps/away");
    fs::remove_dir(&away).unwrap();
    let kernels = Path::new(&home).join(".local/share/jupyter/kernels");
    // If anybody ran it, it would leave a trace.
    let program = Path::new(&home).join("run");
    fs::write(&program, format!("#!/bin/sh\ntouch {home}/trace\n")).unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    for (name, text) in [
        ("broken", "{".to_owned()),
        ("away", r#"{"argv": ["/sps/away/bin/python"], "display_name": "Far away"}"#.into()),
        ("good", format!(r#"{{"argv": ["{}"]}}"#, program.display())),
        // Of root and closed: what alice cannot read is not read for her.
        ("closed", "{".to_owned()),
    ] {
        fs::create_dir_all(kernels.join(name)).unwrap();
        fs::write(kernels.join(name).join("kernel.json"), text).unwrap();
    }
    let closed = fs::Permissions::from_mode(0o600);
    fs::set_permissions(kernels.join("closed/kernel.json"), closed).unwrap();
    let mut wanted = script(&home, "");
    wanted.spaces = vec![space("SPS", &away, "/sps/away")];
    let server = server_id();
    hub.say(&server, 1, run(wanted));
    // The engine's list tells it, which comes after the first word of the start.
    let told = |report: &berth_common::link::Report| {
        report.engine.iter().flatten().any(|one| one.left_out.len() > 1)
    };
    let report = hub.heard("what is missing", told).await;
    hub.sees(&server, "ready", ready).await;
    let seen = &report.engine.as_ref().unwrap()[0];
    let about: Vec<_> = seen.left_out.iter().filter(|it| it.starts_with("The kernel")).collect();
    assert_eq!(about.len(), 2, "{:?}", seen.left_out);
    let lies = "The kernel \"Far away\" will not start: /sps/away/bin/python lies in /sps/away, \
                which the server is without.";
    assert_eq!(about[0], lies);
    assert!(
        about[1].starts_with("The kernel \"broken\" will not start: its kernel.json is broken")
    );
    assert!(!Path::new(&home).join("trace").exists());
}
