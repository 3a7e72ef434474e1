//! What the hub may ask of this host, whatever it says. Pure: the facts of the host come as
//! arguments. What is not configurable here (no privileges, no devices, no host namespaces) is
//! fixed where containers are made.

use std::collections::BTreeSet;
use std::path::{Component, Path};

use berth_common::ByteCount;
use berth_common::link::{Account, RunSpec, Space};

use crate::config::{Farm, Limits};
use crate::images;

/// Docker refuses less.
const MEMORY_MIN_MIB: u64 = 6;

/// Longest path and prefix, in bytes: what Linux takes for a path.
const PATH_MAX: usize = 4096;

/// Why the host refuses, as a sentence for people.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Refusal(pub String);

/// Checks a request against the host's limits. `account` is what the request becomes on this
/// host, `denied` are the numbers of the groups that nobody gets.
///
/// # Errors
/// The first rule that is broken.
pub fn check(
    limits: Option<&Limits>,
    spec: &RunSpec,
    account: &Account,
    denied: &BTreeSet<u32>,
) -> Result<(), Refusal> {
    let limits = limits.ok_or_else(|| {
        refusal("agent.toml of this host has no section [limits], so nothing may be started here")
    })?;
    person(limits, account, denied)?;
    image(limits, &spec.image)?;
    build(&spec.image, &spec.build)?;
    let memory = spec.origin.memory;
    if memory.mebibytes() < MEMORY_MIN_MIB {
        return Err(refusal(format!("memory {memory} is less than a container can have")));
    }
    if let Some(most) = limits.memory_max.filter(|most| memory > *most) {
        return Err(refusal(format!("memory {memory} is more than memory_max = {most}")));
    }
    // It counts as memory: a larger one would promise what the server cannot have.
    if let Some(shm) = spec.shm.filter(|shm| *shm > memory || *shm == ByteCount::ZERO) {
        return Err(refusal(format!("/dev/shm of {shm} does not fit into memory {memory}")));
    }
    space(limits, Path::new(&account.home))?;
    spaces(limits, spec, account)?;
    words(spec)
}

/// Whether the ports that a server is to publish are this host's to give: its own rules name the
/// range, and one server has each once.
///
/// # Errors
/// The rule that is broken.
pub fn farm_ports(farm: Option<&Farm>, ports: &[u16]) -> Result<(), Refusal> {
    if ports.is_empty() {
        return Ok(());
    }
    let farm = farm.ok_or_else(|| {
        refusal("agent.toml of this host has no section [farm], so no port is published here")
    })?;
    let mut seen = BTreeSet::new();
    let bad = |port: &&u16| !farm.port_range.contains(*port) || !seen.insert(**port);
    match ports.iter().find(bad) {
        None => Ok(()),
        Some(port) => {
            let (first, last) = (farm.port_range.start(), farm.port_range.end());
            Err(refusal(format!("port {port} is not one of port_range = \"{first}-{last}\"")))
        }
    }
}

fn person(limits: &Limits, account: &Account, denied: &BTreeSet<u32>) -> Result<(), Refusal> {
    // uid 0 is refused even where a site writes min_uid = 0.
    if account.uid == 0 || account.uid < limits.min_uid {
        let min = limits.min_uid;
        return Err(refusal(format!("uid {} is below min_uid = {min}", account.uid)));
    }
    let gids = std::iter::once(account.gid).chain(account.groups.iter().map(|group| group.gid));
    for gid in gids {
        if gid == 0 || denied.contains(&gid) {
            return Err(refusal(format!("group {gid} is denied on this host")));
        }
    }
    Ok(())
}

fn image(limits: &Limits, image: &str) -> Result<(), Refusal> {
    let plain = |c: char| c.is_ascii_alphanumeric() || "/:@._-".contains(c);
    if image.is_empty() || image.len() > PATH_MAX || !image.chars().all(plain) {
        return Err(refusal("the image's name is malformed"));
    }
    if allows_image(limits, image) {
        Ok(())
    } else {
        Err(refusal(format!("image {image} begins with none of images = {:?}", limits.images)))
    }
}

/// A build is the engine's own id, which is compared with what the name stands for before it is
/// run, or a digest in the repository of the name: whoever may not name an image cannot have it by
/// its digest either.
fn build(image: &str, build: &str) -> Result<(), Refusal> {
    let digest = match build.split_once('@') {
        Some((repository, digest)) if repository == images::repository(image) => digest,
        Some(_) => return Err(refusal(format!("the build {build} is none of image {image}"))),
        None if build.is_empty() => return Ok(()),
        None => build,
    };
    let hex = digest.strip_prefix("sha256:").unwrap_or_default();
    if hex.len() == 64 && hex.chars().all(|c| c.is_ascii_hexdigit()) {
        Ok(())
    } else {
        Err(refusal("the image's build is malformed"))
    }
}

/// Whether an image may be started here.
pub fn allows_image(limits: &Limits, image: &str) -> bool {
    limits.images.iter().any(|prefix| prefix == "*" || begins_with(image, prefix))
}

/// Whether an image's name begins with a prefix and the prefix ends where a part of the name
/// does: `berth/notebook` allows `berth/notebook:6`, not `berth/notebook-of-somebody`.
fn begins_with(image: &str, prefix: &str) -> bool {
    let Some(rest) = image.strip_prefix(prefix) else { return false };
    !prefix.is_empty()
        && (prefix.ends_with(['/', ':', '@'])
            || rest.is_empty()
            || rest.starts_with(['/', ':', '@']))
}

fn space(limits: &Limits, path: &Path) -> Result<(), Refusal> {
    let text = path.to_str().unwrap_or_default();
    // A colon would end the field in the passwd file that is made from it.
    if !is_plain(path) || text.contains([':', ',']) {
        return Err(refusal("HOME is no plain absolute path"));
    }
    if limits.mount_sources.iter().any(|root| is_below(path, root)) {
        Ok(())
    } else {
        Err(refusal(format!("{text} is below none of mount_sources = {:?}", limits.mount_sources)))
    }
}

/// Places inside that are not a space's: what containers live by, and what the agent puts there.
const NOT_FOR_SPACES: [&str; 7] = ["/etc", "/proc", "/sys", "/dev", "/run", "/bin", "/files"];

/// More spaces than this are no person's.
const SPACES_MAX: usize = 256;

/// Sources lie in the policy, targets are plain, and no two share a place.
fn spaces(limits: &Limits, spec: &RunSpec, account: &Account) -> Result<(), Refusal> {
    if spec.spaces.len() > SPACES_MAX || spec.shown.len() > SPACES_MAX {
        return Err(refusal("there are too many spaces"));
    }
    let mut targets = BTreeSet::from([Path::new(&account.home)]);
    for Space { name, source, target, .. } in &spec.spaces {
        let (source, target) = (Path::new(source), Path::new(target));
        if !is_plain(source) || !is_plain(target) {
            return Err(refusal(format!("a path of the space {name} is malformed")));
        }
        let roots = &limits.mount_sources;
        if !roots.iter().any(|root| source == root || is_below(source, root)) {
            let source = source.display();
            return Err(refusal(format!(
                "{name}: {source} is in none of mount_sources = {roots:?}"
            )));
        }
        let taken = NOT_FOR_SPACES.iter().any(|place| target.starts_with(place));
        if target == Path::new("/") || taken || !targets.insert(target) {
            let target = target.display();
            return Err(refusal(format!("{name}: {target} is no place for a space inside")));
        }
    }
    let relative = |name: &str| {
        let path = Path::new(name);
        !name.is_empty() && path.components().all(|part| matches!(part, Component::Normal(_)))
    };
    let named = |(name, target): (&String, &String)| {
        relative(name) && name != "home" && is_plain(Path::new(target))
    };
    if spec.shown.iter().all(named) {
        Ok(())
    } else {
        Err(refusal("a name in the file browser is malformed"))
    }
}

fn is_plain(path: &Path) -> bool {
    let text = path.to_str().unwrap_or_default();
    path.is_absolute()
        && text.len() <= PATH_MAX
        && !text.chars().any(char::is_control)
        && path.components().all(|part| matches!(part, Component::RootDir | Component::Normal(_)))
}

/// Whether a path lies below a folder, by whole components; the folder itself does not.
pub fn is_below(path: &Path, root: &Path) -> bool {
    path.strip_prefix(root).is_ok_and(|rest| rest.components().next().is_some())
}

/// What goes into environment, command line and requests must not change their structure.
fn words(spec: &RunSpec) -> Result<(), Refusal> {
    let named = |name: &str| !name.is_empty() && !name.contains(['=', '\0']);
    if !spec.env.iter().all(|(name, value)| named(name) && !value.contains('\0')) {
        return Err(refusal("the environment is malformed"));
    }
    if spec.command.iter().any(|word| word.contains('\0')) {
        return Err(refusal("the command line is malformed"));
    }
    let prefix = &spec.prefix;
    let plain = |c: char| c.is_ascii_graphic();
    let framed = prefix.starts_with('/') && prefix.ends_with('/');
    if !framed || prefix.len() > PATH_MAX || !prefix.chars().all(plain) {
        return Err(refusal("the server's URL prefix is malformed"));
    }
    if spec.port == 0 { Err(refusal("the server's port is malformed")) } else { Ok(()) }
}

fn refusal(text: impl Into<String>) -> Refusal {
    Refusal(text.into())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use berth_common::link::{Group, Origin};

    fn limits() -> Limits {
        let text = r#"
version = 1
[agent]
hub = "hub:1"
[limits]
users = "hub"
mount_sources = ["/home", "/data/home"]
images = ["berth/", "site/notebook"]
memory_max = "16 GB"
"#;
        crate::config::parse("agent.toml", text).unwrap().limits.unwrap()
    }

    fn spec() -> RunSpec {
        RunSpec {
            origin: Origin {
                user: "alice".parse().unwrap(),
                server_name: "".parse().unwrap(),
                profile: "small".into(),
                memory: ByteCount(1 << 30),
                gpus: Vec::new(),
                decision: None,
            },
            account: Account {
                name: "alice".parse().unwrap(),
                uid: 2001,
                gid: 3001,
                groups: vec![Group { name: "atlas".into(), gid: 3002 }],
                home: "/home/alice".into(),
            },
            pool: "cpu".into(),
            image: "berth/notebook:6".into(),
            build: String::new(),
            command: Vec::new(),
            spaces: Vec::new(),
            shown: Default::default(),
            env: [("A".to_owned(), "b".to_owned())].into(),
            api_url: "http://hub/hub/api".into(),
            prefix: "/user/alice/".into(),
            port: 8888,
            farm_ports: Vec::new(),
            shm: None,
            cpu: Default::default(),
        }
    }

    /// Changes the good request and tells what the host says to it.
    fn verdict(change: impl FnOnce(&mut RunSpec)) -> String {
        let mut spec = spec();
        change(&mut spec);
        let denied = BTreeSet::from([0, 27, 998]);
        match check(Some(&limits()), &spec, &spec.account, &denied) {
            Ok(()) => "yes".to_owned(),
            Err(refusal) => refusal.to_string(),
        }
    }

    #[test]
    fn people() {
        assert_eq!(verdict(|_| ()), "yes");
        assert_eq!(verdict(|s| s.account.uid = 1000), "yes");
        assert_eq!(verdict(|s| s.account.uid = 999), "uid 999 is below min_uid = 1000");
        assert_eq!(verdict(|s| s.account.uid = 0), "uid 0 is below min_uid = 1000");
        assert_eq!(verdict(|s| s.account.gid = 0), "group 0 is denied on this host");
        assert_eq!(verdict(|s| s.account.gid = 998), "group 998 is denied on this host");
        let docker = Group { name: "harmless".into(), gid: 998 };
        assert_eq!(verdict(|s| s.account.groups.push(docker)), "group 998 is denied on this host");
    }

    #[test]
    fn root_is_refused_even_where_a_site_allows_all_uids() {
        let mut lax = limits();
        lax.min_uid = 0;
        let mut spec = spec();
        spec.account.uid = 0;
        assert!(check(Some(&lax), &spec, &spec.account, &BTreeSet::new()).is_err());
        spec.account.uid = 1;
        spec.account.gid = 0;
        assert!(check(Some(&lax), &spec, &spec.account, &BTreeSet::new()).is_err());
    }

    #[test]
    fn spaces_lie_below_the_roots_by_whole_components() {
        let home = |path: &str| verdict(|s| s.account.home = path.into());
        for good in ["/home/a", "/home/a/b", "/data/home/a", "/home//a"] {
            assert_eq!(home(good), "yes", "{good}");
        }
        let roots = r#"mount_sources = ["/home", "/data/home"]"#;
        for outside in ["/homeless/a", "/home", "/home/", "/data", "/etc", "/", "/data/homes/a"] {
            assert_eq!(home(outside), format!("{outside} is below none of {roots}"));
        }
        for odd in
            ["/home/../etc", "/home/a/..", "home/a", "", "/home/a:b", "/home/a\nb", "/home/a\0"]
        {
            assert_eq!(home(odd), "HOME is no plain absolute path", "{odd:?}");
        }
    }

    #[test]
    fn no_space_lies_where_the_engine_mounts() {
        let at = |source: &str, target: &str| {
            verdict(|s| {
                s.spaces.push(Space {
                    name: "data".into(),
                    source: source.into(),
                    target: target.into(),
                    read_only: false,
                    follows: false,
                    required: true,
                    only_if_exists: false,
                });
            })
        };
        assert_eq!(at("/home/data", "/data"), "yes");
        for taken in ["/", "/proc", "/proc/sys/kernel", "/dev/console", "/sys/fs/cgroup", "/etc"] {
            let refused = format!("data: {taken} is no place for a space inside");
            assert_eq!(at("/home/data", taken), refused);
        }
        for odd in ["/data/../proc", "data", "", "/data\n/proc"] {
            assert_eq!(at("/home/data", odd), "a path of the space data is malformed", "{odd:?}");
        }
        for outside in ["/proc/self/fd/8", "/dev", "/"] {
            assert!(at(outside, "/data").contains("is in none of mount_sources"), "{outside}");
        }
    }

    #[test]
    fn images_begin_with_a_prefix_that_ends_with_a_part() {
        let image = |name: &str| verdict(|s| s.image = name.into());
        for good in [
            "berth/notebook",
            "berth/a/b:1",
            "site/notebook",
            "site/notebook:2",
            "site/notebook@sha256:00",
        ] {
            assert_eq!(image(good), "yes", "{good}");
        }
        for bad in [
            "berth",
            "berthold/x",
            "site/notebook-evil:1",
            "evil/berth/notebook",
            "docker.io/berth/x",
        ] {
            assert!(image(bad).contains("begins with none of"), "{bad}");
        }
        for odd in ["", "berth/a b", "berth/a\n", "berth/é"] {
            assert_eq!(image(odd), "the image's name is malformed", "{odd:?}");
        }
        let mut open = limits();
        open.images = vec!["*".into()];
        assert!(super::image(&open, "any/thing:1").is_ok());
        open.images = vec![String::new()];
        assert!(super::image(&open, "any/thing:1").is_err(), "an empty prefix is no spelled out *");
    }

    #[test]
    fn amounts_and_words() {
        let memory = |bytes| verdict(|s| s.origin.memory = ByteCount(bytes));
        assert_eq!(memory(16 << 30), "yes");
        assert_eq!(memory(17 << 30), "memory 17 GB is more than memory_max = 16 GB");
        assert_eq!(memory(6 << 20), "yes");
        assert_eq!(memory(5 << 20), "memory 5 MB is less than a container can have");
        assert_eq!(memory(0), "memory 0 B is less than a container can have");
        assert_eq!(memory(u64::MAX), "memory 16777216 TB is more than memory_max = 16 GB");
        let shm = |bytes| verdict(|s| s.shm = Some(ByteCount(bytes)));
        assert_eq!(shm(1 << 30), "yes");
        assert_eq!(shm((1 << 30) + 1), "/dev/shm of 1.0 GB does not fit into memory 1 GB");
        assert_eq!(shm(0), "/dev/shm of 0 B does not fit into memory 1 GB");
        let odd = "the environment is malformed";
        assert_eq!(verdict(|s| drop(s.env.insert("A=B".into(), "c".into()))), odd);
        assert_eq!(verdict(|s| drop(s.env.insert("A".into(), "c\0".into()))), odd);
        let odd = "the server's URL prefix is malformed";
        for prefix in ["", "user/", "/user", "/a b/", "/a\r\nHost: b/"] {
            assert_eq!(verdict(|s| s.prefix = prefix.into()), odd, "{prefix:?}");
        }
        assert_eq!(verdict(|s| s.port = 0), "the server's port is malformed");
    }

    #[test]
    fn the_longest_and_the_most_that_is_taken() {
        let long = |before: &str, length: usize| format!("{before:x<length$}");
        let image = |length| verdict(|s| s.image = long("berth/", length));
        assert_eq!(image(4096), "yes");
        assert_eq!(image(4097), "the image's name is malformed");
        let home = |length| verdict(|s| s.account.home = long("/home/", length));
        assert_eq!(home(4096), "yes");
        assert_eq!(home(4097), "HOME is no plain absolute path");
        let prefix = |length: usize| verdict(|s| s.prefix = long("/", length - 1) + "/");
        assert_eq!(prefix(4096), "yes");
        assert_eq!(prefix(4097), "the server's URL prefix is malformed");

        let space = |number: usize| Space {
            name: format!("s{number}"),
            source: "/home/data".into(),
            target: format!("/data/{number}"),
            read_only: false,
            follows: false,
            required: true,
            only_if_exists: false,
        };
        let spaces = |count| verdict(|s| s.spaces = (0..count).map(space).collect());
        assert_eq!(spaces(256), "yes");
        assert_eq!(spaces(257), "there are too many spaces");
        let one = |number: usize| (format!("s{number}"), "/data".to_owned());
        let shown = |count| verdict(|s| s.shown = (0..count).map(one).collect());
        assert_eq!(shown(256), "yes");
        assert_eq!(shown(257), "there are too many spaces");
    }

    #[test]
    fn names_in_the_file_browser_stay_in_their_folder() {
        let shown = |name: &str, target: &str| {
            verdict(|s| drop(s.shown.insert(name.to_owned(), target.to_owned())))
        };
        for good in ["data", "group/data", "data.v2"] {
            assert_eq!(shown(good, "/data"), "yes", "{good}");
        }
        let odd = "a name in the file browser is malformed";
        for name in ["", "/data", "../data", "data/..", "./data", "home"] {
            assert_eq!(shown(name, "/data"), odd, "{name:?}");
        }
        for target in ["", "data", "/data/../etc", "/data\n"] {
            assert_eq!(shown("data", target), odd, "{target:?}");
        }
    }

    #[test]
    fn a_build_is_an_id_or_a_digest_of_the_same_repository() {
        let build = |text: &str| verdict(|s| s.build = text.to_owned());
        let digest = format!("sha256:{}", "0aF".repeat(22).split_at(64).0);
        for good in ["", &digest, &format!("berth/notebook@{digest}")] {
            assert_eq!(build(good), "yes", "{good}");
        }
        let foreign = format!("evil/notebook@{digest}");
        let none_of = format!("the build {foreign} is none of image berth/notebook:6");
        assert_eq!(build(&foreign), none_of);
        let odd = "the image's build is malformed";
        let (short, sha1) = (&digest[..digest.len() - 1], digest.replace("sha256", "sha1"));
        let not_hex = format!("{short}g");
        for bad in [short, &format!("{digest}0"), &not_hex, &sha1, &digest[7..], "berth/notebook@"]
        {
            assert_eq!(build(bad), odd, "{bad:?}");
        }
    }

    #[test]
    fn farm_ports_are_those_of_the_hosts_own_range() {
        let farm = Farm {
            port_range: 20_000..=20_003,
            address: "10.1.0.1".parse().unwrap(),
            name: None,
            networks: vec!["10.1.0.0/16".parse().unwrap()],
        };
        let said = |farm, ports: &[u16]| {
            farm_ports(farm, ports).err().map_or_else(|| "yes".into(), |refusal| refusal.0)
        };
        assert_eq!(said(Some(&farm), &[20_000, 20_003]), "yes");
        assert_eq!(said(None, &[]), "yes");
        assert!(said(None, &[20_000]).contains("no section [farm]"));
        let outside = "is not one of port_range = \"20000-20003\"";
        assert_eq!(said(Some(&farm), &[20_000, 22]), format!("port 22 {outside}"));
        assert_eq!(said(Some(&farm), &[20_001, 20_001]), format!("port 20001 {outside}"));
    }

    #[test]
    fn without_limits_nothing_starts() {
        let spec = spec();
        let refusal = check(None, &spec, &spec.account, &BTreeSet::new()).unwrap_err();
        assert!(refusal.to_string().contains("no section [limits]"));
    }
}
