//! The name service of the hub's machine: files, LDAP, sssd, whatever the system is told to ask.

use berth_common::Username;
use berth_common::link::Group;
use berth_store::Entry;
use futures::future::BoxFuture;
use nix::unistd::{self, Gid};

use super::{Source, SourceError};

/// The name service.
#[derive(Debug)]
pub struct Nss;

impl Source for Nss {
    fn find<'a>(&'a self, name: &'a Username) -> BoxFuture<'a, Result<Option<Entry>, SourceError>> {
        let name = name.to_string();
        Box::pin(async move {
            // The system's calls block, on a directory server even for long.
            tokio::task::spawn_blocking(move || look_up(&name))
                .await
                .map_err(|_| SourceError("the look-up broke off".into()))?
                .map_err(|error| SourceError(error.desc().to_owned()))
        })
    }

    fn has_group<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<bool, SourceError>> {
        let name = name.to_owned();
        Box::pin(async move {
            let found = tokio::task::spawn_blocking(move || unistd::Group::from_name(&name))
                .await
                .map_err(|_| SourceError("the look-up broke off".into()))?;
            Ok(found.map_err(|error| SourceError(error.desc().to_owned()))?.is_some())
        })
    }
}

fn look_up(name: &str) -> nix::Result<Option<Entry>> {
    let Some(user) = unistd::User::from_name(name)? else { return Ok(None) };
    let mut groups = Vec::new();
    let c_name = std::ffi::CString::new(name).map_err(|_| nix::Error::EINVAL)?;
    for gid in unistd::getgrouplist(&c_name, user.gid)? {
        groups.extend(named(gid)?);
    }
    Ok(Some(Entry {
        uid: Some(user.uid.as_raw()),
        gid: Some(user.gid.as_raw()),
        home: Some(user.dir.to_string_lossy().into_owned()),
        groups: Some(groups),
        ..Entry::default()
    }))
}

/// A group without a name gives no rights, since rights go by name.
fn named(gid: Gid) -> nix::Result<Option<Group>> {
    let found = unistd::Group::from_gid(gid)?;
    Ok(found.map(|group| Group { name: group.name, gid: gid.as_raw() }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_system_knows_nobody_and_not_everybody() {
        let found = Nss.find(&"nobody".parse().unwrap()).await.unwrap().unwrap();
        assert_eq!(found.uid, Some(65534));
        assert!(found.groups.unwrap().iter().any(|group| group.name == "nogroup"));
        assert_eq!(Nss.find(&"no-such-account".parse().unwrap()).await, Ok(None));
        assert_eq!(Nss.has_group("nogroup").await, Ok(true));
        assert_eq!(Nss.has_group("no-such-group").await, Ok(false));
    }
}
