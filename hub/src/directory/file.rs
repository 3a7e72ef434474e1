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
    /// Accounts.
    pub passwd: PathBuf,
    /// Groups.
    pub group: Option<PathBuf>,
}

impl Source for Files {
    fn find<'a>(&'a self, name: &'a Username) -> BoxFuture<'a, Result<Option<Entry>, SourceError>> {
        Box::pin(async move {
            let passwd = read(&self.passwd).await?;
            let Some(mut entry) = account(&passwd, name.as_str()) else { return Ok(None) };
            if let Some(path) = &self.group {
                let group = read(path).await?;
                entry.groups = Some(groups(&group, name.as_str(), entry.gid));
            }
            Ok(Some(entry))
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

/// name:password:gid:member,member
fn groups(group: &str, name: &str, main: Option<u32>) -> Vec<Group> {
    let of_line = |line: &str| {
        let mut fields = line.split(':');
        let (group, gid) = (fields.next()?, fields.nth(1)?.parse().ok()?);
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
        let files = Files { passwd: passwd.clone(), group: Some(group) };
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
}
