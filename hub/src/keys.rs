//! Keys that lie outside the store, and the server tokens made with them.
//!
//! A server's token is its id and generation under an HMAC. It needs no row, so a server that the
//! store forgot (restored from an old backup) and that was adopted authenticates again.

use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use berth_common::{Generation, ServerId};
use berth_process::file::{self, FileError};
use hmac::{Hmac, Mac};
use sha2::{Digest, Sha256};

/// Marks our server tokens, so that one found in a log is known for what it is.
const SERVER_TOKEN_PREFIX: &str = "berth_srv_";
/// Marks the tokens of services that the hub starts.
const SERVICE_TOKEN_PREFIX: &str = "berth_svc_";
/// Bytes of the authentication code kept: 24 of 32 keep a token under JupyterHub's 64 characters.
const CODE_LENGTH: usize = 24;

/// The hub's secret keys.
pub struct Keys {
    /// Keyed, and fed nothing yet: cloned for each use.
    server_tokens: Hmac<Sha256>,
}

impl std::fmt::Debug for Keys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Keys")
    }
}

impl Keys {
    /// Reads the keys from `FOLDER/hmac.key`, or makes them there.
    ///
    /// # Errors
    /// When the file cannot be read or written.
    pub fn open(folder: &Path) -> Result<Self, FileError> {
        file::make_folder(folder, 0o700)?;
        let path = folder.join("hmac.key");
        let unusable = || {
            let why =
                std::io::Error::other("it holds no key of 32 bytes; restore it from the backup");
            FileError::new("use", &path, why)
        };
        let key: [u8; 32] = match file::read_if_there(&path)? {
            Some(text) => {
                let bytes = URL_SAFE_NO_PAD.decode(text.trim()).map_err(|_| unusable())?;
                bytes.try_into().map_err(|_| unusable())?
            }
            None => {
                let fresh: [u8; 32] = rand::random();
                file::replace(&path, URL_SAFE_NO_PAD.encode(fresh).as_bytes(), 0o600)?;
                fresh
            }
        };
        let server_tokens = Hmac::new_from_slice(&key).map_err(|_| unusable())?;
        Ok(Self { server_tokens })
    }

    /// The token of one start of one server: `JUPYTERHUB_API_TOKEN`, and its OAuth client secret.
    pub fn server_token(&self, server: &ServerId, generation: Generation) -> String {
        let mut bytes =
            u64::from_str_radix(server.as_str(), 16).unwrap_or(0).to_be_bytes().to_vec();
        bytes.extend_from_slice(&generation.0.to_be_bytes());
        let code = self.code(&bytes).finalize().into_bytes();
        bytes.extend_from_slice(&code[..CODE_LENGTH]);
        format!("{SERVER_TOKEN_PREFIX}{}", URL_SAFE_NO_PAD.encode(bytes))
    }

    /// The server and start that a token was made for, if it is one of ours. Whether that start is
    /// still the current one is for the caller to check.
    pub fn read_server_token(&self, token: &str) -> Option<(ServerId, Generation)> {
        let bytes = URL_SAFE_NO_PAD.decode(token.strip_prefix(SERVER_TOKEN_PREFIX)?).ok()?;
        let (body, code) = bytes.split_at_checked(16)?;
        if code.len() != CODE_LENGTH {
            return None;
        }
        self.code(body).verify_truncated_left(code).ok()?;
        let (id, generation) = body.split_at(8);
        let number = |half: &[u8]| half.try_into().map(u64::from_be_bytes).ok();
        Some((ServerId::from_random(number(id)?), Generation(number(generation)?)))
    }

    /// The token of a service that the hub starts and for which the site has written none: the same
    /// after a restart, so that nothing hangs on who starts first.
    pub fn service_token(&self, service: &str) -> String {
        let mut code = self.server_tokens.clone();
        code.update(b"service-token");
        code.update(service.as_bytes());
        let code = code.finalize().into_bytes();
        format!("{SERVICE_TOKEN_PREFIX}{}", URL_SAFE_NO_PAD.encode(&code[..CODE_LENGTH]))
    }

    /// Ties what a provider's login carries back to the browser that began it: without a row, so
    /// that a login outlives a restart, and nobody can fill the store by beginning logins. `what`
    /// names the use; no part holds a zero byte.
    pub fn login_code(&self, what: &str, parts: &[&str]) -> String {
        let mut code = self.server_tokens.clone();
        code.update(b"login ");
        code.update(what.as_bytes());
        for part in parts {
            code.update(&[0]);
            code.update(part.as_bytes());
        }
        URL_SAFE_NO_PAD.encode(code.finalize().into_bytes())
    }

    fn code(&self, body: &[u8]) -> Hmac<Sha256> {
        let mut code = self.server_tokens.clone();
        code.update(b"server-token");
        code.update(body);
        code
    }
}

/// SHA-256: how secrets of high entropy are stored and looked up.
pub fn hash(secret: &str) -> [u8; 32] {
    Sha256::digest(secret.as_bytes()).into()
}

/// A fresh API token. Its beginning says what it is, should it be found in a log or a repository.
pub fn api_token() -> String {
    format!("berth_pat_{}", secret())
}

/// A fresh secret of 256 bits, fit for URLs and cookies.
pub fn secret() -> String {
    URL_SAFE_NO_PAD.encode(rand::random::<[u8; 32]>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_token_names_its_start_and_cannot_be_bent_to_another() {
        let folder = tempfile::tempdir().unwrap();
        let keys = Keys::open(folder.path()).unwrap();
        let server = ServerId::from_random(7);
        let token = keys.server_token(&server, Generation(3));
        assert!(token.len() <= 64, "JupyterHub refuses longer tokens: {}", token.len());
        assert_eq!(keys.read_server_token(&token), Some((server.clone(), Generation(3))));

        let again = Keys::open(folder.path()).unwrap();
        assert_eq!(again.read_server_token(&token), Some((server.clone(), Generation(3))));
        let stranger = Keys::open(&folder.path().join("other")).unwrap();
        assert_eq!(stranger.read_server_token(&token), None);
        for at in SERVER_TOKEN_PREFIX.len()..token.len() {
            let mut bent = token.clone().into_bytes();
            bent[at] = if bent[at] == b'A' { b'B' } else { b'A' };
            let bent = String::from_utf8(bent).unwrap();
            assert_ne!(
                keys.read_server_token(&bent),
                Some((server.clone(), Generation(4))),
                "{at}"
            );
        }
        assert_eq!(keys.read_server_token(&token[..token.len() - 2]), None);
    }
}
