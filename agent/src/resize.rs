//! Changing the limit of a running container: never below what it uses and a margin. On cgroup
//! version 2 a limit below the use kills processes at once, and the engine does not ask first.

use berth_common::Reason;
use berth_common::link::{Ending, Limit};

use crate::cgroup::{Cgroup, Reading};
use crate::config::Limits;
use crate::perform::Workplace;
use crate::reconcile::Outcome;
use crate::runtime::Runtime;

/// Gives a container another limit, if the host's own rules and its use let it.
pub async fn resize<R: Runtime>(work: &Workplace<R>, container: &str, limit: Limit) -> Outcome {
    let used = match work.runtime.process(container).await {
        None => return Outcome::TimedOut, // not known: the next list tells
        Some(pid) => tokio::task::spawn_blocking(move || {
            Cgroup::of_process(pid).and_then(|cgroup| cgroup.read(&mut String::new()).ok())
        }),
    };
    if let Err(ending) = check(work.config.limits.as_ref(), used.await.ok().flatten(), limit) {
        return Outcome::Failed(ending);
    }
    work.runtime.resize(container, limit.memory).await
}

fn check(limits: Option<&Limits>, used: Option<Reading>, limit: Limit) -> Result<(), Ending> {
    let refuse = |reason, detail| Err(Ending { reason, detail });
    let to = limit.memory;
    if limit.lent && limits.is_some_and(|limits| !limits.loans) {
        let detail = "this host lends no memory ([limits] loans = false)".to_owned();
        return refuse(Reason::FailedPolicy, detail);
    }
    if let Some(most) = limits.and_then(|limits| limits.memory_max).filter(|most| to > *most) {
        let detail = format!("{to} is more than memory_max = {most} of this host");
        return refuse(Reason::FailedPolicy, detail);
    }
    let Some(used) = used else {
        let detail = "what the server uses cannot be read on this host".to_owned();
        return refuse(Reason::FailedContainer, detail);
    };
    let lowers = used.limit.is_none_or(|limit| to < limit);
    let least = Limit::least(used.working_set);
    if lowers && to < least {
        let used = used.working_set;
        let detail = format!("It uses {used} now. Ask for {least} or more.");
        return refuse(Reason::RefusedInUse, detail);
    }
    Ok(())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use berth_common::ByteCount;

    use super::*;

    const MB: u64 = 1 << 20;

    fn verdict(used: u64, limit: Option<u64>, to: u64) -> Result<(), (Reason, String)> {
        let reading = Reading {
            working_set: ByteCount(used * MB),
            limit: limit.map(|limit| ByteCount(limit * MB)),
            ..Reading::default()
        };
        check(None, Some(reading), Limit::of(ByteCount(to * MB)))
            .map_err(|ending| (ending.reason, ending.detail))
    }

    #[test]
    fn a_limit_stays_above_the_use_and_a_margin() {
        assert_eq!(verdict(100, Some(1000), 132), Ok(()));
        let refused = "It uses 100 MB now. Ask for 132 MB or more.".to_owned();
        assert_eq!(verdict(100, Some(1000), 131), Err((Reason::RefusedInUse, refused)));
        assert_eq!(verdict(1000, Some(2000), 1100), Ok(()));
        assert!(verdict(1000, Some(2000), 1099).is_err());
        assert!(verdict(1000, None, 1099).is_err(), "from no limit to one is lower");
        assert_eq!(verdict(1000, Some(1000), 1010), Ok(()), "more is always allowed");
        assert_eq!(Limit::least(ByteCount(100 * MB + 1)), ByteCount(133 * MB), "in whole MiB");
    }

    #[test]
    fn the_hosts_own_rule_and_an_unknown_use_refuse() {
        let limits = "version = 1\n[agent]\nhub = \"hub:1\"\n[limits]\nusers = \"hub\"\n\
                      mount_sources = [\"/home\"]\nimages = [\"berth/\"]\nmemory_max = \"1 GB\"\n";
        let limits = crate::config::parse("agent.toml", limits).unwrap().limits;
        let reading = Some(Reading::default());
        let to = |gigabytes: u64| Limit::of(ByteCount(gigabytes << 30));
        let refused = check(limits.as_ref(), reading, to(2)).unwrap_err();
        assert_eq!(refused.reason, Reason::FailedPolicy);
        assert_eq!(refused.detail, "2 GB is more than memory_max = 1 GB of this host");
        let lent = Limit { lent: true, ..to(1) };
        assert!(check(limits.as_ref(), reading, to(1)).is_ok());
        assert!(check(limits.as_ref(), reading, lent).is_ok());
        let none = limits.map(|limits| Limits { loans: false, ..limits });
        let refused = check(none.as_ref(), reading, lent).unwrap_err();
        assert_eq!(refused.detail, "this host lends no memory ([limits] loans = false)");
        let unread = check(None, None, to(1)).unwrap_err();
        assert_eq!(unread.reason, Reason::FailedContainer);
    }
}
