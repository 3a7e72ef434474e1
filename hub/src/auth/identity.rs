//! Who a provider's subject is here. A name is a claim, and claims change hands; a subject does
//! not. So a name that belongs to another subject, or to a local account, is refused until an
//! administrator links the two.

use std::sync::Arc;

use axum::http::StatusCode;
use berth_common::link::Account;
use berth_common::{Reason, Username};
use berth_process::clock::now;
use berth_store::{Database, Entry, Identity, StoreError, User};

use crate::directory::Standing;
use crate::site::Hub;
use crate::storage::StorageError;

/// What a provider says about who has logged in.
#[derive(Debug, Clone)]
pub struct Presented {
    /// The provider.
    pub issuer: String,
    /// The person, in the provider's words.
    pub subject: String,
    /// The account's name, as it is claimed.
    pub name: Option<String>,
    /// The claim that says the name.
    pub claim: String,
    /// Whether a first login takes over the local account of its name.
    pub link_existing: bool,
    /// What else is claimed.
    pub entry: Entry,
}

/// Why a person whom the provider vouches for does not come in. The message is for the person.
#[derive(Debug, thiserror::Error)]
pub enum NotAdmitted {
    /// There is no name.
    #[error("The identity provider gives no account name (claim {0}). Tell the administrators.")]
    NoName(String),
    /// The name can be nobody's.
    #[error("\"{name}\" cannot be an account's name here: {why}.")]
    BadName {
        /// As claimed, shortened.
        name: String,
        /// What is wrong with it.
        why: String,
    },
    /// The name is another person's.
    #[error(
        "The name {0} already belongs to another person of the identity provider. Ask the \
             administrators to link your login to an account."
    )]
    Taken(Username),
    /// The name is a local account's.
    #[error(
        "The name {0} belongs to an account of this site that logs in by password. If it is \
             yours, ask the administrators to link your login to it."
    )]
    Local(Username),
    /// The account may not be used.
    #[error("{} {why} {}", .reason.text(), .reason.remedy())]
    Account {
        /// The reason code.
        reason: Reason,
        /// With the words of the directory.
        why: String,
    },
    /// The store cannot be used.
    #[error("The hub cannot log anybody in at the moment. Try again in a minute.")]
    Storage(#[from] StorageError),
}

impl NotAdmitted {
    /// The status of the page that says so.
    pub fn status(&self) -> StatusCode {
        match self {
            Self::Storage(_) | Self::Account { reason: Reason::RefusedAccountUnavailable, .. } => {
                StatusCode::SERVICE_UNAVAILABLE
            }
            Self::Taken(_) | Self::Local(_) => StatusCode::CONFLICT,
            _ => StatusCode::FORBIDDEN,
        }
    }
}

/// The user whom a provider's login means, made if that is a new one.
///
/// # Errors
/// Why the person does not come in.
pub async fn admit(hub: &Arc<Hub>, presented: Presented) -> Result<User, NotAdmitted> {
    let name = whose(hub, &presented)?;
    let standing = hub.directory.look(hub, &name, Some(&presented.entry)).await?;
    let account = match standing {
        Standing::Valid(account) => account,
        other => {
            let (reason, why) = other.refusal(&hub.config().people.directory);
            return Err(NotAdmitted::Account { reason, why });
        }
    };
    hub.storage.write(move |database| save(database, &presented, account)).await?
}

/// The account's name: that of the link, or else the claimed one if it is free.
fn whose(hub: &Hub, presented: &Presented) -> Result<Username, NotAdmitted> {
    let Presented { issuer, subject, .. } = presented;
    let linked = hub.storage.read(|reader| reader.identity(issuer, subject))?;
    if let Some(identity) = linked {
        return Ok(identity.user);
    }
    let claimed =
        presented.name.as_deref().ok_or_else(|| NotAdmitted::NoName(presented.claim.clone()))?;
    let name: Username = claimed.to_lowercase().parse().map_err(|error| {
        let name = claimed.chars().filter(|c| !c.is_control()).take(32).collect();
        NotAdmitted::BadName { name, why: format!("{error}") }
    })?;
    hub.storage.read(|reader| check_free(reader, presented, &name))??;
    Ok(name)
}

fn check_free(
    reader: &berth_store::Reader,
    presented: &Presented,
    name: &Username,
) -> Result<Result<(), NotAdmitted>, StoreError> {
    let Some(user) = reader.user(name)? else { return Ok(Ok(())) };
    if !reader.identities_of(name)?.is_empty() {
        return Ok(Err(NotAdmitted::Taken(name.clone())));
    }
    // Whoever can choose a name at the provider must not become an administrator by it.
    let may_take = presented.link_existing && !user.admin;
    Ok(if may_take { Ok(()) } else { Err(NotAdmitted::Local(name.clone())) })
}

/// Saves who it is, on the writer's thread: of two first logins for one name, one wins.
fn save(
    database: &mut Database,
    presented: &Presented,
    account: Account,
) -> Result<Result<User, NotAdmitted>, StoreError> {
    let reader = database.reader()?;
    let Presented { issuer, subject, entry, .. } = presented;
    let (name, at) = (account.name.clone(), now());
    let linked = reader.identity(issuer, subject)?.is_some_and(|found| found.user == name);
    if !linked && let Err(refused) = check_free(&reader, presented, &name)? {
        return Ok(Err(refused));
    }
    if let Some(other) = reader.user_of_uid(account.uid)?.filter(|other| *other != name) {
        let why = format!("Its number {} is that of {other}.", account.uid);
        return Ok(Err(NotAdmitted::Account { reason: Reason::RefusedAccountInvalid, why }));
    }
    let user = match reader.user(&name)? {
        Some(user) => User { account, ..user },
        None => {
            let password = String::new();
            User { account, admin: false, password, created: at, last_activity: at }
        }
    };
    database.together(|database| {
        database.save_directory_user(&user)?;
        database.save_known("login", &name, at, entry)?;
        if linked {
            return Ok(());
        }
        let (issuer, subject) = (issuer.clone(), subject.clone());
        database.link_identity(&Identity { issuer, subject, user: name, linked: at })
    })?;
    Ok(Ok(user))
}
