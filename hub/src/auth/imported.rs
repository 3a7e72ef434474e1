//! Tokens of another JupyterHub: its hashes, and how such a token becomes one of ours at its first
//! use.

use berth_store::Token;
use sha2::{Digest, Sha512};
use subtle::ConstantTimeEq;

use crate::keys;
use crate::site::Hub;
use crate::storage::StorageError;

/// JupyterHub looks its tokens up by so many characters.
const PREFIX: usize = 4;
/// JupyterHub's own number for tokens that people chose.
const MOST_ROUNDS: u32 = 16_384;

/// The imported token of this secret. From now on it is found like any other.
///
/// # Errors
/// When the store cannot be read.
pub fn find(hub: &Hub, secret: &str) -> Result<Option<Token>, StorageError> {
    let Some(prefix) = secret.get(..PREFIX) else { return Ok(None) };
    let candidates = hub.storage.read(|reader| reader.imported_tokens(prefix))?;
    let found = candidates.into_iter().find(|(hashed, _)| matches(hashed, secret));
    let Some((_, token)) = found else { return Ok(None) };
    let (id, hash) = (token.id, keys::hash(secret));
    hub.storage.write_later("an imported token", move |database| database.adopt_token(id, &hash));
    Ok(Some(token))
}

/// Whether a hash is one that JupyterHub makes.
pub fn is_hash(hashed: &str) -> bool {
    read(hashed).is_some()
}

/// Whether this is the hash of a secret.
fn matches(hashed: &str, secret: &str) -> bool {
    let Some((rounds, salt, digest)) = read(hashed) else { return false };
    let mut hasher = Sha512::new_with_prefix(salt);
    for _ in 0..rounds {
        hasher.update(secret);
    }
    let made: String = hasher.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
    made.as_bytes().ct_eq(digest.as_bytes()).into()
}

/// Rounds, salt and digest of `sha512:ROUNDS:SALT:DIGEST`.
fn read(hashed: &str) -> Option<(u32, &str, &str)> {
    let (rounds, rest) = hashed.strip_prefix("sha512:")?.split_once(':')?;
    let (salt, digest) = rest.split_once(':')?;
    let rounds = rounds.parse().ok().filter(|rounds| (1..=MOST_ROUNDS).contains(rounds))?;
    let hex = |text: &str| text.bytes().all(|it| matches!(it, b'0'..=b'9' | b'a'..=b'f'));
    (hex(salt) && salt.len() <= 64 && hex(digest) && digest.len() == 128)
        .then_some((rounds, salt, digest))
}

#[cfg(test)]
mod tests {
    use super::*;

    const MADE: &str = "sha512:1:0011223344556677:de7bece185f50ab085909f685ae6b295b06375676f3ff7a6faad48717ff2251f987ecdd6f2f6aa82097a652d6c12bf145a8210dbc8402e2901e013c64cce0bbd";
    const CHOSEN: &str = "sha512:16384:0011223344556677:ea18ed670010448d5f6053a6204edfd94e4691a024b2a3751529b1599dddbdb4c61d09802b5f20a959d82aa9b2b8417a1163c3fda23161c480f9a6a771fec2d5";

    #[test]
    fn jupyterhubs_hashes_are_understood() {
        assert!(matches(MADE, "0123456789abcdef0123456789abcdef"));
        assert!(matches(CHOSEN, "super-secret"));
        assert!(!matches(MADE, "0123456789abcdef0123456789abcdee"));
        assert!(!matches(CHOSEN, "super-secre"));
    }

    #[test]
    fn nothing_else_is() {
        for bad in [
            "",
            "sha512",
            &MADE.replace("sha512", "sha256"),
            &MADE.replace(":1:", ":0:"),
            &MADE.replace(":1:", ":99999999:"),
            &MADE[..MADE.len() - 1],
            &MADE.replace("de7b", "DE7B"),
        ] {
            assert!(!is_hash(bad), "{bad}");
        }
    }
}
