//! Passwords: argon2id, on threads of their own and only a few at a time.

use std::sync::LazyLock;

use argon2::Argon2;
use argon2::password_hash::{PasswordHash, PasswordHasher, PasswordVerifier, SaltString};
use berth_common::Reason;
use berth_process::clock::now;
use berth_store::User;

use crate::auth::limit::Gate;
use crate::directory::Standing;
use crate::site::Hub;
use crate::storage::StorageError;

/// Longer passwords are refused unhashed.
pub const LONGEST: usize = 1_024;
/// Shorter new passwords are refused.
pub const SHORTEST: usize = 8;

/// Why a password did not lead to a user.
#[derive(Debug, thiserror::Error)]
pub enum PasswordError {
    /// Unknown user or wrong password: nobody learns which.
    #[error("invalid username or password")]
    Wrong,
    /// Too many tries.
    #[error("too many tries; try again in {0} seconds")]
    TooMany(u64),
    /// The password cannot be hashed.
    #[error("a password has {SHORTEST} to {LONGEST} characters")]
    Unsuitable,
    /// This site's people log in by the identity provider.
    #[error("nobody logs in by password here")]
    Off,
    /// The password is right, and the account is not valid.
    #[error("{} {why} {}", .reason.text(), .reason.remedy())]
    Account {
        /// The reason code.
        reason: Reason,
        /// With the words of the directory.
        why: String,
    },
    /// The hash itself failed.
    #[error("the password could not be hashed")]
    Hash,
    /// The store's own.
    #[error(transparent)]
    Storage(#[from] StorageError),
}

/// Verified in place of an unknown user's, so that the answer takes as long.
static DUMMY: LazyLock<String> =
    LazyLock::new(|| hash_now("nobody's password").unwrap_or_default());

/// Hashes a new password, at once and on this thread: for start-up and the command line.
///
/// # Errors
/// When it is too short or too long.
pub fn hash_now(password: &str) -> Result<String, PasswordError> {
    if !(SHORTEST..=LONGEST).contains(&password.len()) {
        return Err(PasswordError::Unsuitable);
    }
    let salt =
        SaltString::encode_b64(&rand::random::<[u8; 16]>()).map_err(|_| PasswordError::Hash)?;
    let hash = Argon2::default().hash_password(password.as_bytes(), &salt);
    hash.map(|hash| hash.to_string()).map_err(|_| PasswordError::Hash)
}

/// Hashes a new password.
///
/// # Errors
/// When it is too short or too long, or too many wait.
pub async fn hash(gate: &Gate, password: String) -> Result<String, PasswordError> {
    on_thread(gate, move || hash_now(&password)).await?
}

/// The user of this name and password, whose account is valid.
///
/// # Errors
/// Says the same for an unknown user and a wrong password.
pub async fn verify(
    hub: &Hub,
    gate: &Gate,
    name: &str,
    password: &str,
    address: &str,
) -> Result<User, PasswordError> {
    let config = hub.config();
    if !config.people.login.passwords {
        return Err(PasswordError::Off);
    }
    gate.take(name, address, now()).map_err(PasswordError::TooMany)?;
    let known = match name.parse() {
        Ok(name) => hub.storage.read(|reader| reader.user(&name))?,
        Err(_) => None,
    };
    if password.len() > LONGEST {
        return Err(PasswordError::Wrong);
    }
    let (expected, given) = (known.as_ref().map(|user| user.password.clone()), password.to_owned());
    let right = on_thread(gate, move || matches(expected.as_deref(), &given)).await?;
    match known {
        Some(user) if right => {
            gate.give_back(name, address, now());
            match hub.directory.look(hub, &user.account.name, None).await? {
                Standing::Valid(_) => Ok(user),
                other => {
                    let (reason, why) = other.refusal(&config.people.directory);
                    Err(PasswordError::Account { reason, why })
                }
            }
        }
        _ => Err(PasswordError::Wrong),
    }
}

fn matches(expected: Option<&str>, given: &str) -> bool {
    let hash = expected.unwrap_or(&DUMMY);
    let right = PasswordHash::new(hash)
        .is_ok_and(|hash| Argon2::default().verify_password(given.as_bytes(), &hash).is_ok());
    right && expected.is_some()
}

async fn on_thread<T: Send + 'static>(
    gate: &Gate,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, PasswordError> {
    let _place = gate.waiting.try_acquire().map_err(|_| PasswordError::TooMany(5))?;
    let _turn = gate.hashing.acquire().await.map_err(|_| PasswordError::Hash)?;
    tokio::task::spawn_blocking(work).await.map_err(|_| PasswordError::Hash)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_right_password_of_a_known_user_matches() {
        let hash = hash_now("correct horse").unwrap();
        assert!(hash.starts_with("$argon2id$"));
        assert!(matches(Some(&hash), "correct horse"));
        assert!(!matches(Some(&hash), "correct horsf"));
        assert!(!matches(Some(""), ""), "an account without a password has no way in");
        assert!(!matches(None, "nobody's password"));
        assert!(matches!(hash_now("short"), Err(PasswordError::Unsuitable)));
    }
}
