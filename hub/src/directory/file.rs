//! Files in the formats of passwd(5) and group(5), as `getent passwd >accounts` writes them.

use std::io;
use std::path::{Path, PathBuf};

use berth_common::Username;
use berth_common::link::Group;
use berth_store::Entry;
use futures::future::BoxFuture;

use super::{Source, SourceError};

/// The two files.
#[derive(Debug)]
pub struct Files {
    /// Accounts; without it, groups are all that is told of anybody.
    pub passwd: Option<PathBuf>,
    /// Groups.
    pub group: Option<PathBuf>,
}

impl Source for Files {
    fn find<'a>(&'a self, name: &'a Username) -> BoxFuture<'a, Result<Option<Entry>, SourceError>> {
        Box::pin(async move {
            let entry = match &self.passwd {
                Some(path) => account(&read(path).await?, name.as_str()),
                None => Some(Entry::default()),
            };
            let (Some(mut entry), Some(path)) = (entry.clone(), &self.group) else {
                return Ok(entry);
            };
            let groups = groups(&read(path).await?, name.as_str(), entry.gid);
            let is_known = self.passwd.is_some() || !groups.is_empty();
            entry.groups = Some(groups);
            Ok(is_known.then_some(entry))
        })
    }

    fn has_group<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<bool, SourceError>> {
        Box::pin(async move {
            let Some(path) = &self.group else { return Ok(false) };
            let text = read(path).await?;
            Ok(text.lines().any(|line| line.split(':').next() == Some(name)))
        })
    }
}

async fn read(path: &Path) -> Result<String, SourceError> {
    let failed = |error: io::Error| SourceError(format!("{}: {error}", path.display()));
    tokio::fs::read_to_string(path).await.map_err(failed)
}

/// name:password:uid:gid:comment:home:shell
fn account(passwd: &str, name: &str) -> Option<Entry> {
    let line = passwd.lines().find(|line| line.split(':').next() == Some(name))?;
    let fields: Vec<_> = line.split(':').collect();
    Some(Entry {
        uid: fields.get(2)?.parse().ok(),
        gid: fields.get(3)?.parse().ok(),
        home: fields.get(5).map(|home| (*home).to_owned()).filter(|home| !home.is_empty()),
        ..Entry::default()
    })
}

/// name:password:gid:member,member. A group without a number is a name that rules can ask for.
fn groups(group: &str, name: &str, main: Option<u32>) -> Vec<Group> {
    let of_line = |line: &str| {
        let mut fields = line.split(':');
        let (group, gid) = (fields.next()?, fields.nth(1)?);
        let gid = if gid.is_empty() { 0 } else { gid.parse().ok()? };
        let members = fields.next().unwrap_or_default();
        let is_in = Some(gid) == main || members.split(',').any(|member| member == name);
        is_in.then(|| Group { name: group.to_owned(), gid })
    };
    group.lines().filter_map(of_line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_files_of_a_machine_are_read_as_the_machine_reads_them() {
        let folder = tempfile::tempdir().unwrap();
        let (passwd, group) = (folder.path().join("passwd"), folder.path().join("group"));
        let lines = "alicebob:x:1:1::/home/x:/bin/sh\nalice:x:20001:30001:Alice:/pbs/home/a/alice:/bin/bash\nbroken:x\n";
        std::fs::write(&passwd, lines).unwrap();
        std::fs::write(
            &group,
            "atlas:x:30001:\nlsst:x:30003:bob,alice\nother:x:30004:alicebob\nodd\n",
        )
        .unwrap();
        let files = Files { passwd: Some(passwd.clone()), group: Some(group) };
        let find = async |name: &str| files.find(&name.parse().unwrap()).await;
        let alice = find("alice").await.unwrap().unwrap();
        assert_eq!((alice.uid, alice.gid), (Some(20001), Some(30001)));
        assert_eq!(alice.home.as_deref(), Some("/pbs/home/a/alice"));
        let names: Vec<_> = alice.groups.unwrap().into_iter().map(|group| group.name).collect();
        assert_eq!(names, ["atlas", "lsst"]);
        assert_eq!(find("carol").await, Ok(None));
        assert_eq!(find("broken").await, Ok(None), "a broken line is no account");
        std::fs::remove_file(passwd).unwrap();
        assert!(find("alice").await.is_err(), "no file is not an unknown account");
    }

    #[tokio::test]
    async fn groups_alone_say_who_is_in_them_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let group = folder.path().join("group");
        std::fs::write(&group, "lab:x::alice,bob\ngpu:x:30009:bob\nodd:x:many:bob\n").unwrap();
        let files = Files { passwd: None, group: Some(group) };
        let find = async |name: &str| files.find(&name.parse().unwrap()).await.unwrap();
        let told = |name: &str, gid| Group { name: name.to_owned(), gid };
        let bob =
            Entry { groups: Some(vec![told("lab", 0), told("gpu", 30009)]), ..Entry::default() };
        assert_eq!(find("bob").await, Some(bob));
        assert_eq!(find("carol").await, None);
    }
}
