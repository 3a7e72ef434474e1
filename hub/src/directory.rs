//! The account directory: whether an account is valid, its numbers on the hosts, its groups. Apart
//! from login: somebody can prove to be alice while alice's account has ended.
//!
//! Each source is asked at most once in the cache time; what it said is kept in the store, so that
//! an outage is bridged by its last word, also over a restart of the hub.

mod file;
mod http;
mod ldap;
mod merge;
mod nss;
pub mod watch;

use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use berth_common::link::{Account, Group};
use berth_common::{Seconds, Timestamp, Username};
use berth_core::rules::Refusal;
use berth_process::clock::now;
use berth_store::Entry;
use futures::future::BoxFuture;
use tokio::sync::Semaphore;

use merge::{Answer, Said};
pub use merge::{Standing, check_account, groups_of, is_group_name};

use crate::config::directory::{self as config, Kind};
use crate::site::Hub;
use crate::storage::StorageError;

/// A source answers within this time or counts as down.
const WITHIN: Duration = Duration::from_secs(5);
/// A source that failed is left alone for this long, so that each start does not wait for it.
const LEFT_ALONE: Seconds = Seconds(5);
/// What stands for a source beside those of the files: the groups that the API made.
const MADE_GROUPS: &str = "hub (groups of the API)";
/// Questions to one source at a time.
const AT_A_TIME: usize = 8;

/// Why a source gave no answer. That is not the same as not knowing the account.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct SourceError(pub String);

/// Somebody who knows accounts.
pub trait Source: std::fmt::Debug + Send + Sync {
    /// What it says about an account; `None`: it does not know it.
    ///
    /// # Errors
    /// When it cannot say.
    fn find<'a>(&'a self, name: &'a Username) -> BoxFuture<'a, Result<Option<Entry>, SourceError>>;

    /// Whether it knows a group, with members or without. Not every source can say.
    ///
    /// # Errors
    /// When it cannot be asked.
    fn has_group<'a>(&'a self, _name: &'a str) -> BoxFuture<'a, Result<bool, SourceError>> {
        Box::pin(std::future::ready(Ok(false)))
    }
}

/// A source of this site, and how it does.
#[derive(Debug)]
struct Asked {
    config: config::Source,
    /// `None`: what it says is in the store already.
    source: Option<Box<dyn Source>>,
    places: Semaphore,
    /// Not asked before this moment.
    not_before: AtomicI64,
}

#[derive(Debug)]
struct Built {
    config: config::Directory,
    sources: Vec<Asked>,
}

/// The directory of this site.
#[derive(Debug, Default)]
pub struct Directory {
    built: RwLock<Option<Arc<Built>>>,
}

/// What a source said, and how old that is.
#[derive(Debug, Clone)]
pub struct Word {
    /// The source's name.
    pub source: String,
    /// What it said; `None`: it does not know the account.
    pub entry: Option<Entry>,
    /// When; `None`: it was never asked, or not at all.
    pub at: Option<Timestamp>,
    /// Why it could not be asked now.
    pub down: Option<String>,
}

impl Directory {
    fn built(&self, config: &config::Directory) -> Arc<Built> {
        let current = self.built.read().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some(current) = current.filter(|current| current.config == *config) {
            return current;
        }
        let sources = config.sources.iter().map(|source| Asked {
            source: source_of(source),
            config: source.clone(),
            places: Semaphore::new(AT_A_TIME),
            not_before: AtomicI64::new(0),
        });
        let built = Arc::new(Built { sources: sources.collect(), config: config.clone() });
        *self.built.write().unwrap_or_else(PoisonError::into_inner) = Some(Arc::clone(&built));
        built
    }

    /// How an account stands. `claims` are those of a login that is just being made.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn look(
        &self,
        hub: &Hub,
        name: &Username,
        claims: Option<&Entry>,
    ) -> Result<Standing, StorageError> {
        Ok(self.words(hub, name, claims).await?.0)
    }

    /// How an account stands, and what each source said.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn words(
        &self,
        hub: &Hub,
        name: &Username,
        claims: Option<&Entry>,
    ) -> Result<(Standing, Vec<Word>), StorageError> {
        let built = self.built(&hub.config().people.directory);
        let mut answers = Vec::new();
        let mut words = Vec::new();
        for asked in &built.sources {
            let claims = claims.filter(|_| asked.config.kind == Kind::Login);
            let word = match claims {
                Some(entry) => Word {
                    source: asked.config.name.clone(),
                    entry: Some(entry.clone()),
                    at: Some(now()),
                    down: None,
                },
                None => asked.word(hub, name, &built.config).await?,
            };
            let is_last = asked.config.kind == Kind::Local && word.entry.is_some();
            let said = match (&word.entry, &word.down) {
                (Some(entry), _) => Said::Entry(entry.clone()),
                (None, None) => Said::Unknown,
                (None, Some(why)) => Said::Down(why.clone()),
            };
            answers.push(Answer { source: &asked.config, said });
            words.push(word);
            if is_last {
                break;
            }
        }
        let mut standing = merge::merge(name, &answers);
        let made = hub.storage.read(|reader| reader.made_groups_of(name))?;
        if !made.is_empty() {
            let made: Vec<_> = made.into_iter().map(|name| Group { name, gid: 0 }).collect();
            if let Standing::Valid(account) = &mut standing {
                add_groups(account, &made);
            }
            let entry = Entry { groups: Some(made), ..Entry::default() };
            let source = MADE_GROUPS.to_owned();
            words.push(Word { source, entry: Some(entry), at: None, down: None });
        }
        Ok((standing, words))
    }

    /// The source that has a group of this name, if one has.
    ///
    /// # Errors
    /// When a source cannot be asked: then nobody knows.
    pub async fn source_of_group(
        &self,
        hub: &Hub,
        name: &str,
    ) -> Result<Option<String>, GroupLookUp> {
        if let Some(source) = hub.storage.read(|reader| reader.source_of_group(name))? {
            return Ok(Some(source));
        }
        for asked in &self.built(&hub.config().people.directory).sources {
            let Some(source) = &asked.source else { continue };
            let within = tokio::time::timeout(WITHIN, source.has_group(name));
            let found = within.await.unwrap_or_else(|_| Err(late()));
            let source = &asked.config.name;
            if found.map_err(|error| GroupLookUp::Down(source.clone(), error))? {
                return Ok(Some(source.clone()));
            }
        }
        Ok(None)
    }

    /// The account to start a server with, as it is now, and why it must not start if so.
    ///
    /// # Errors
    /// When the store cannot be used.
    pub async fn for_start(
        &self,
        hub: &Hub,
        account: Account,
    ) -> Result<(Account, Option<Refusal>), StorageError> {
        match self.look(hub, &account.name, None).await? {
            Standing::Valid(fresh) => {
                take_over(hub, &account, &fresh).await?;
                Ok((fresh, None))
            }
            other => {
                let (reason, detail) = other.refusal(&hub.config().people.directory);
                Ok((account, Some(Refusal { reason, detail, from: None })))
            }
        }
    }
}

/// Why nobody can say whether a group is the directory's.
#[derive(Debug, thiserror::Error)]
pub enum GroupLookUp {
    /// The store.
    #[error(transparent)]
    Store(#[from] StorageError),
    /// A source, by its name.
    #[error("{0} does not answer ({1})")]
    Down(String, SourceError),
}

/// Adds groups that the hub itself has. Those of the directory keep their numbers.
fn add_groups(account: &mut Account, made: &[Group]) {
    for group in made {
        if !account.groups.iter().any(|it| it.name == group.name) {
            account.groups.push(group.clone());
        }
    }
}

fn late() -> SourceError {
    SourceError(format!("no answer within {} s", WITHIN.as_secs()))
}

/// Saves what the directory says anew about a user.
async fn take_over(hub: &Hub, known: &Account, fresh: &Account) -> Result<(), StorageError> {
    if known == fresh {
        return Ok(());
    }
    if known.uid != fresh.uid {
        tracing::warn!(user = %fresh.name, from = known.uid, to = fresh.uid, "the uid changed");
    }
    let fresh = fresh.clone();
    hub.storage.write(move |database| database.save_account(&fresh)).await
}

impl Asked {
    async fn word(
        &self,
        hub: &Hub,
        name: &Username,
        rules: &config::Directory,
    ) -> Result<Word, StorageError> {
        let source = &self.config.name;
        let known = hub.storage.read(|reader| reader.known(source, name))?;
        let word = |entry, at, down| Word { source: source.clone(), entry, at, down };
        let (at, entry) = known.clone().unzip();
        let Some(asked) = &self.source else { return Ok(word(entry, at, None)) };
        let begun = now();
        if at.is_some_and(|at| begun < at.plus(rules.cache)) {
            return Ok(word(entry, at, None));
        }
        let why = match self.ask(asked.as_ref(), name, begun).await {
            Ok(found) => {
                keep(hub, source, name, begun, found.clone(), entry.is_some()).await?;
                return Ok(word(found, Some(begun), None));
            }
            Err(SourceError(why)) => why,
        };
        // Its last word, while that is young enough.
        let entry = entry.filter(|_| at.is_some_and(|at| begun < at.plus(rules.cache_max)));
        Ok(word(entry, at, Some(why)))
    }

    async fn ask(
        &self,
        source: &dyn Source,
        name: &Username,
        begun: Timestamp,
    ) -> Result<Option<Entry>, SourceError> {
        if begun.0 < self.not_before.load(Ordering::Relaxed) {
            return Err(SourceError("it failed a moment ago and is not asked again yet".into()));
        }
        let answer = tokio::time::timeout(WITHIN, async {
            let _place = self.places.acquire().await;
            source.find(name).await
        });
        let answer = answer.await.unwrap_or_else(|_| Err(late()));
        if let Err(error) = &answer {
            let until = now().plus(LEFT_ALONE);
            self.not_before.store(until.0, Ordering::Relaxed);
            tracing::warn!(source = self.config.name, %error, "the account directory");
        }
        answer
    }
}

/// Keeps what a source said, for the time when it does not answer.
async fn keep(
    hub: &Hub,
    source: &str,
    name: &Username,
    at: Timestamp,
    found: Option<Entry>,
    was_known: bool,
) -> Result<(), StorageError> {
    if found.is_none() && !was_known {
        return Ok(());
    }
    let (source, name) = (source.to_owned(), name.clone());
    hub.storage
        .write(move |database| match found {
            Some(entry) => database.save_known(&source, &name, at, &entry),
            None => database.forget_known(&source, &name),
        })
        .await
}

fn source_of(source: &config::Source) -> Option<Box<dyn Source>> {
    match &source.kind {
        Kind::Local | Kind::Login => None,
        Kind::Nss => Some(Box::new(nss::Nss)),
        Kind::File { passwd, group } => {
            Some(Box::new(file::Files { passwd: passwd.clone(), group: group.clone() }))
        }
        Kind::Ldap(ldap) => Some(Box::new(ldap::Server::new((**ldap).clone()))),
        Kind::Http(http) => Some(Box::new(http::Service::new((**http).clone()))),
    }
}
