//! Who a process on a GPU belongs to: its container, else its account.

use std::fs;

/// Names of programs of the driver itself that may be on any GPU, as the kernel cuts them.
const OF_THE_DRIVER: [&str; 6] =
    ["nvidia-persiste", "nvidia-smi", "nv-hostengine", "dcgm-exporter", "Xorg", "nvidia-powerd"];

/// Accounts below are the system's.
const FIRST_USER: u32 = 1000;

/// A process as the kernel knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Owner {
    /// The engine's id of its container; `None` outside of any.
    pub container: Option<String>,
    /// Its effective account.
    pub uid: u32,
    /// Its program, at most 15 characters.
    pub program: String,
    /// When it began, in the kernel's ticks since boot: with its number, its name for ever.
    pub began: u64,
}

impl Owner {
    /// Asks the kernel; `None` when there is no such process.
    pub fn of(pid: u32) -> Option<Self> {
        let read = |name: &str| fs::read_to_string(format!("/proc/{pid}/{name}")).ok();
        let uid = uid_in(&read("status")?)?;
        let (program, began) = program_in(&read("stat")?)?;
        Some(Self { container: container_in(&read("cgroup")?), uid, program, began })
    }

    /// Whether it is a part of the driver that may be on any GPU.
    pub fn is_of_the_driver(&self) -> bool {
        self.container.is_none()
            && self.uid < FIRST_USER
            && OF_THE_DRIVER.contains(&self.program.as_str())
    }
}

/// The container's id: the first run of 64 hexadecimal digits. Right for every engine and every
/// driver of cgroups: `/docker/ID`, `/system.slice/docker-ID.scope`, `libpod-ID.scope/container`.
fn container_in(cgroup: &str) -> Option<String> {
    const LENGTH: usize = 64;
    let runs = cgroup.split(|c: char| !(c.is_ascii_digit() || ('a'..='f').contains(&c)));
    runs.into_iter().find(|run| run.len() == LENGTH).map(str::to_owned)
}

/// The second of the four ids: the effective one.
fn uid_in(status: &str) -> Option<u32> {
    let line = status.lines().find_map(|line| line.strip_prefix("Uid:"))?;
    line.split_whitespace().nth(1)?.parse().ok()
}

/// Program and begin. The program stands in parentheses and may contain any character.
fn program_in(stat: &str) -> Option<(String, u64)> {
    let (head, rest) = stat.rsplit_once(')')?;
    let (_, program) = head.split_once('(')?;
    // Field 22 of the file; the third follows the parenthesis.
    let began = rest.split_whitespace().nth(19)?.parse().ok()?;
    Some((program.to_owned(), began))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_container_is_found_in_every_layout() {
        let id = "0123456789abcdef".repeat(4);
        for line in [
            format!("12:pids:/docker/{id}\n4:memory:/docker/{id}\n0::/\n"),
            format!("4:memory:/PARENT/{id}\n"),
            format!("0::/system.slice/docker-{id}.scope\n"),
            format!("0::/machine.slice/libpod-{id}.scope/container\n"),
            format!("0::/docker/{id}/init.scope\n"),
        ] {
            assert_eq!(container_in(&line), Some(id.clone()), "{line}");
        }
        for line in ["0::/\n", "0::/user.slice/user-1000.slice/session-3.scope\n", ""] {
            assert_eq!(container_in(line), None, "{line}");
        }
        assert_eq!(container_in(&format!("0::/x/{id}0")), None, "65 digits are no id");
    }

    #[test]
    fn a_process_is_read_whatever_it_is_called() {
        let stat = "77 (a) R (b)) S 1 77 77 0 -1 4194560 1 0 0 0 5 6 0 0 20 0 1 0 4242 1 2";
        assert_eq!(program_in(stat), Some(("a) R (b)".into(), 4242)));
        assert_eq!(uid_in("Name:\tx\nUid:\t0\t1000\t0\t0\n"), Some(1000));
        let me = Owner::of(std::process::id()).unwrap();
        assert!(me.began > 0 && !me.program.is_empty());
        assert_eq!(Owner::of(u32::MAX), None);
    }

    #[test]
    fn only_the_systems_own_programs_pass_for_the_driver() {
        let named = |program: &str, uid, container: Option<&str>| {
            let container = container.map(str::to_owned);
            Owner { container, uid, program: program.into(), began: 1 }.is_of_the_driver()
        };
        assert!(named("nvidia-persiste", 120, None));
        assert!(!named("nvidia-persiste", 1000, None), "anybody can take that name");
        assert!(!named("nvidia-persiste", 0, Some("c")));
        assert!(!named("python3", 0, None));
    }
}
