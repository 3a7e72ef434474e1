//! Why a container ended, in words for people.

use berth_common::Reason;
use berth_common::link::{Ending, Kill};

use super::words::Remains;

/// Longest detail of an ending, in bytes: what the hub keeps.
pub(super) const DETAIL_MAX: usize = 2_000;

/// Why a container ended that nobody asked to end.
pub(super) fn ending(remains: &Remains, starting: bool, other_boot: bool) -> Ending {
    // The engine's mark is about any process of the container and stays for ever, so a kernel
    // killed days ago must not explain an end of today: only the main process dies with 137.
    let oom = remains.oom && remains.code == 137;
    let (reason, detail) = if remains.again {
        let detail =
            "it was ended and its container started again, not by Berth: its kernels are gone";
        (Reason::StoppedCrash, detail.to_owned())
    } else if other_boot {
        (Reason::StoppedHostRestarted, "the host was restarted while it ran".to_owned())
    } else if oom {
        let told = remains.kill.as_ref().map(Kill::sentence);
        let unmeasured = || "the kernel ended it: it had used all its memory".to_owned();
        (Reason::StoppedOom, told.unwrap_or_else(unmeasured))
    } else {
        let reason = if starting { Reason::FailedExited } else { Reason::StoppedCrash };
        (reason, format!("exit code {}", remains.code))
    };
    Ending { reason, detail: with_log(&detail, &remains.log) }
}

/// The detail with the end of the log below it, as much as the hub keeps.
pub(super) fn with_log(detail: &str, log: &str) -> String {
    let log = log.trim();
    if log.is_empty() {
        return detail.to_owned();
    }
    let room = DETAIL_MAX.saturating_sub(detail.len()).saturating_sub(1);
    let from = log.len().saturating_sub(room);
    let from = (from..=log.len()).find(|at| log.is_char_boundary(*at)).unwrap_or(log.len());
    format!("{detail}\n{}", log.get(from..).unwrap_or_default())
}
