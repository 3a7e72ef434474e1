//! Accounts that a host must refuse, and its own rules, which are the real ones. Every eleventh seed
//! has such people: the others stay what they were.

use std::collections::BTreeSet;

use berth_agent::config::{Limits, Users};
use berth_agent::policy;
use berth_common::link::{Account, RunSpec};

/// A group that no host gives to a server.
const DENIED_GID: u32 = 998;
/// Lower uids belong to the system.
const MIN_UID: u32 = 1_000;

/// Whether a seed has people whom no host may serve.
pub fn has_strange_people(seed: u64) -> bool {
    seed % 11 == 6
}

/// Makes every fourth account one that no host may serve: by its uid or by its group.
pub fn bend(account: &mut Account, index: usize) {
    match index % 8 {
        3 => account.uid = 500,
        7 => account.gid = DENIED_GID,
        _ => {}
    }
}

/// What is wrong with a container of this account, whoever asked for it (S10).
pub fn forbidden(account: &Account) -> Option<String> {
    let gids = std::iter::once(account.gid).chain(account.groups.iter().map(|group| group.gid));
    let denied = gids.into_iter().any(|gid| gid == 0 || gid == DENIED_GID);
    let Account { name, uid, gid, .. } = account;
    (*uid < MIN_UID || denied).then(|| format!("{name} with uid {uid} and gid {gid}"))
}

/// The host's own rules on a start, as its agent asks them before it makes a container.
///
/// # Errors
/// The rule that is broken.
pub fn check(spec: &RunSpec) -> Result<(), String> {
    let limits = Limits {
        users: Users::default(),
        min_uid: MIN_UID,
        deny_gids: Vec::new(),
        deny_groups: Vec::new(),
        mount_sources: vec!["/home".into()],
        images: vec!["*".into()],
        memory_max: None,
        loans: true,
    };
    let denied = BTreeSet::from([DENIED_GID]);
    policy::check(Some(&limits), spec, &spec.account, &denied).map_err(|refusal| refusal.0)
}
