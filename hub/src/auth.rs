//! Who is asking: people by their browser session, programs by token; and what each may do.

pub mod form;
pub mod identity;
pub mod imported;
mod limit;
pub mod login;
pub mod next;
pub mod oidc;
pub mod password;
pub mod principal;
pub mod refusal;
pub mod rights;
pub mod scopes;
pub mod session;
pub mod visitor;
pub mod xsrf;

pub use form::CheckedForm;
pub use limit::Gate;
pub use login::{LoginAttempt, LoginForm, LoginRefused, log_in, log_out};
pub use next::Next;
pub use principal::{Caller, LocalAdmin, MaybeCaller};
pub use refusal::Refusal;
pub use rights::{Right, Rights};
pub use visitor::{AdminVisitor, MaybeVisitor, Visitor};
