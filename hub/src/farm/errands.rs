//! Tokens by which the hub itself asks a service in somebody's name. Each lives for one call and in
//! memory only, and allows what the service asks for: who that is, and that they may use it.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use berth_common::Username;

use crate::keys;

type Open = Arc<Mutex<BTreeMap<String, (Username, String)>>>;

/// The errands that are under way.
#[derive(Debug, Default)]
pub struct Errands {
    open: Open,
}

/// An errand's token, good until this is dropped.
#[derive(Debug)]
pub struct Errand {
    token: String,
    open: Open,
}

impl Errands {
    /// Begins an errand for a person at a service.
    pub fn begin(&self, person: &Username, service: &str) -> Errand {
        let token = format!("berth_err_{}", keys::secret());
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        open.insert(token.clone(), (person.clone(), service.to_owned()));
        Errand { token, open: Arc::clone(&self.open) }
    }

    /// Whose errand it is, and at which service.
    pub fn find(&self, token: &str) -> Option<(Username, String)> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner).get(token).cloned()
    }
}

impl Errand {
    /// The token itself.
    pub fn token(&self) -> &str {
        &self.token
    }
}

impl Drop for Errand {
    fn drop(&mut self) {
        self.open.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.token);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_lives_as_long_as_its_errand() {
        let errands = Errands::default();
        let alice: Username = "alice".parse().unwrap();
        let errand = errands.begin(&alice, "dask-gateway");
        let token = errand.token().to_owned();
        assert!(token.len() <= 64, "JupyterHub refuses longer tokens");
        assert_eq!(errands.find(&token), Some((alice, "dask-gateway".to_owned())));
        drop(errand);
        assert_eq!(errands.find(&token), None);
    }
}
