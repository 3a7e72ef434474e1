//! Accounts and groups as the host's name service knows them (files, LDAP, sssd), and giving up
//! root for one of them. All calls may block on a directory server: never call them on an
//! asynchronous thread.

use std::ffi::CString;
use std::io;

use nix::unistd;

/// An account of the host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    /// User id.
    pub uid: u32,
    /// Primary group id.
    pub gid: u32,
    /// HOME.
    pub home: String,
}

/// Looks an account up by its name; `None` when the host does not know it.
///
/// # Errors
/// When the name service cannot answer: that is not the same as unknown.
pub fn by_name(name: &str) -> io::Result<Option<Account>> {
    let found = unistd::User::from_name(name)?;
    Ok(found.map(|user| Account {
        uid: user.uid.as_raw(),
        gid: user.gid.as_raw(),
        home: user.dir.to_string_lossy().into_owned(),
    }))
}

/// All groups of an account, its primary one first.
///
/// # Errors
/// When the name service cannot answer.
pub fn groups_of(name: &str, gid: u32) -> io::Result<Vec<u32>> {
    let name = CString::new(name).map_err(|_| io::Error::other("a name with a zero byte"))?;
    let groups = unistd::getgrouplist(&name, unistd::Gid::from_raw(gid))?;
    Ok(groups.into_iter().map(unistd::Gid::as_raw).collect())
}

/// The name of a group; `None` when the host does not know it.
///
/// # Errors
/// When the name service cannot answer.
pub fn group_name(gid: u32) -> io::Result<Option<String>> {
    Ok(unistd::Group::from_gid(unistd::Gid::from_raw(gid))?.map(|group| group.name))
}

/// The number of a group; `None` when the host does not know it.
///
/// # Errors
/// When the name service cannot answer.
pub fn group_id(name: &str) -> io::Result<Option<u32>> {
    Ok(unistd::Group::from_name(name)?.map(|group| group.gid.as_raw()))
}

/// Turns this process from root into an account without any other group, for good. Call it
/// before threads exist that need more.
///
/// # Errors
/// When the system refuses; the process must then not go on.
pub fn become_account(account: &Account) -> io::Result<()> {
    let (uid, gid) = (unistd::Uid::from_raw(account.uid), unistd::Gid::from_raw(account.gid));
    unistd::setgroups(&[gid])?;
    unistd::setresgid(gid, gid, gid)?;
    unistd::setresuid(uid, uid, uid)?;
    if account.uid != 0 && unistd::setuid(unistd::Uid::from_raw(0)).is_ok() {
        return Err(io::Error::other("root could be taken back"));
    }
    Ok(())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn the_host_knows_root_and_not_everybody() {
        assert_eq!(by_name("root").unwrap().unwrap().uid, 0);
        assert_eq!(by_name("no-such-account").unwrap(), None);
        assert_eq!(group_name(0).unwrap().unwrap(), "root");
        assert_eq!(group_id("root").unwrap(), Some(0));
        assert_eq!(group_id("no-such-group").unwrap(), None);
        assert!(groups_of("root", 0).unwrap().contains(&0));
    }
}
