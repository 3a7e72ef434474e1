//! A service that the API made, as one of the files.

use berth_core::settings::Cite;
use berth_store::MadeService;

use crate::config::services::Service;

/// Where it would be written, were it written.
const FROM: &str = "the API";

/// What the store has, as all others read it. An address that cannot be read is none.
pub fn read(made: MadeService) -> Service {
    Service {
        name: made.name,
        url: made.url.and_then(|url| url.parse().ok()),
        only: Vec::new(),
        command: Vec::new(),
        folder: None,
        environment: Default::default(),
        token: None,
        token_hash: made.token,
        admin: made.admin,
        scopes: Vec::new(),
        client_id: made.client_id,
        redirect: made.redirect,
        visitor_scopes: made.visitor_scopes,
        no_confirm: made.no_confirm,
        display: made.display,
        info: made.info,
        cite: Cite { file: FROM.to_owned(), line: 0 },
    }
}
