//! An LDAP server with posixAccount and posixGroup (RFC 2307), where groups name their members by
//! `memberUid`, or by their entries' names in `member` and `uniqueMember` (RFC 2307bis).

use std::sync::Arc;
use std::time::Duration;

use berth_common::Username;
use berth_common::link::Group;
use berth_store::Entry;
use futures::future::BoxFuture;
use ldap3::{LdapConnAsync, LdapConnSettings, LdapError, Scope, SearchEntry, ldap_escape};

use super::{Source, SourceError};
use crate::config::directory::Ldap as Config;
use crate::outgoing;

/// To connect, and for each question.
const WITHIN: Duration = Duration::from_secs(4);

/// The server.
#[derive(Debug)]
pub struct Server {
    config: Config,
}

impl Server {
    /// A server as the site's files describe it.
    pub fn new(config: Config) -> Self {
        Self { config }
    }

    async fn connect(&self) -> Result<ldap3::Ldap, SourceError> {
        let Config { url, starttls, bind, ca, .. } = &self.config;
        let tls = outgoing::tls(ca.as_deref()).map_err(|error| SourceError(error.to_string()))?;
        let settings = LdapConnSettings::new()
            .set_conn_timeout(WITHIN)
            .set_starttls(*starttls)
            .set_config(Arc::new(tls));
        let (connection, mut ldap) =
            LdapConnAsync::with_settings(settings, url).await.map_err(failed)?;
        tokio::spawn(async move {
            // Its errors show in the questions.
            let _ = connection.drive().await;
        });
        if let Some((dn, password)) = bind {
            ldap.with_timeout(WITHIN);
            let bound = ldap.simple_bind(dn, password.reveal()).await.map_err(failed)?;
            bound.success().map_err(failed)?;
        }
        Ok(ldap)
    }
}

impl Source for Server {
    fn find<'a>(&'a self, name: &'a Username) -> BoxFuture<'a, Result<Option<Entry>, SourceError>> {
        Box::pin(async move {
            let mut ldap = self.connect().await?;
            let found = self.look_up(&mut ldap, name.as_str()).await;
            let _ = ldap.unbind().await;
            found
        })
    }

    fn has_group<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<bool, SourceError>> {
        Box::pin(async move {
            let Some(base) = &self.config.groups else { return Ok(false) };
            let mut ldap = self.connect().await?;
            let filter = format!("(&(objectClass=posixGroup)(cn={}))", ldap_escape(name));
            let found = search(&mut ldap, base, &filter, &["cn"]).await;
            let _ = ldap.unbind().await;
            Ok(!found?.is_empty())
        })
    }
}

impl Server {
    async fn look_up(
        &self,
        ldap: &mut ldap3::Ldap,
        name: &str,
    ) -> Result<Option<Entry>, SourceError> {
        let uid = ldap_escape(name);
        let filter = format!("(&(objectClass=posixAccount)(uid={uid}))");
        let attributes = ["uid", "uidNumber", "gidNumber", "homeDirectory"];
        let people = search(ldap, &self.config.people, &filter, &attributes).await?;
        let [person] = people.as_slice() else {
            let count = people.len();
            let several = || SourceError(format!("it has {count} accounts named {name}"));
            return if people.is_empty() { Ok(None) } else { Err(several()) };
        };
        let gid = number(person, "gidNumber")?;
        let groups = match &self.config.groups {
            Some(base) => Some(groups(ldap, base, name, &person.dn, gid).await?),
            None => None,
        };
        Ok(Some(Entry {
            uid: number(person, "uidNumber")?,
            gid,
            home: first(person, "homeDirectory").map(str::to_owned),
            groups,
            ..Entry::default()
        }))
    }
}

async fn groups(
    ldap: &mut ldap3::Ldap,
    base: &str,
    name: &str,
    dn: &str,
    gid: Option<u32>,
) -> Result<Vec<Group>, SourceError> {
    let (uid, dn) = (ldap_escape(name), ldap_escape(dn));
    let main = gid.map_or_else(String::new, |gid| format!("(gidNumber={gid})"));
    let filter = format!(
        "(&(objectClass=posixGroup)(|(memberUid={uid})(member={dn})(uniqueMember={dn}){main}))"
    );
    let mut groups = Vec::new();
    for entry in search(ldap, base, &filter, &["cn", "gidNumber"]).await? {
        if let (Some(name), Some(gid)) = (first(&entry, "cn"), number(&entry, "gidNumber")?) {
            groups.push(Group { name: name.to_owned(), gid });
        }
    }
    groups.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(groups)
}

async fn search(
    ldap: &mut ldap3::Ldap,
    base: &str,
    filter: &str,
    attributes: &[&str],
) -> Result<Vec<SearchEntry>, SourceError> {
    ldap.with_timeout(WITHIN);
    let found = ldap.search(base, Scope::Subtree, filter, attributes).await.map_err(failed)?;
    let (entries, _) = found.success().map_err(failed)?;
    // Where to look for others is no entry.
    let entries = entries.into_iter().filter(|entry| !entry.is_ref() && !entry.is_intermediate());
    Ok(entries.map(SearchEntry::construct).collect())
}

fn first<'a>(entry: &'a SearchEntry, attribute: &str) -> Option<&'a str> {
    // Servers give attributes in their own spelling.
    let found = entry.attrs.iter().find(|(name, _)| name.eq_ignore_ascii_case(attribute));
    found.and_then(|(_, values)| values.first()).map(String::as_str)
}

fn number(entry: &SearchEntry, attribute: &str) -> Result<Option<u32>, SourceError> {
    let parse = |text: &str| {
        text.parse().map_err(|_| SourceError(format!("{}: {attribute} is no number", entry.dn)))
    };
    first(entry, attribute).map(parse).transpose()
}

fn failed(error: LdapError) -> SourceError {
    SourceError(error.to_string())
}
