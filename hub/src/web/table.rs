//! A router that can say which paths it has: what is documented is compared with it.

use std::sync::Arc;

use axum::Router;
use axum::routing::MethodRouter;

use crate::site::Hub;

/// Routes, and their paths as they are written.
#[derive(Debug, Default)]
pub struct Table {
    router: Router<Arc<Hub>>,
    paths: Vec<&'static str>,
}

impl Table {
    /// Without routes.
    pub fn new() -> Self {
        Self::default()
    }

    /// With one more.
    #[must_use]
    pub fn route(mut self, path: &'static str, methods: MethodRouter<Arc<Hub>>) -> Self {
        self.paths.push(path);
        Self { router: self.router.route(path, methods), paths: self.paths }
    }

    /// The router of these routes.
    pub fn router(self) -> Router<Arc<Hub>> {
        self.router
    }

    /// The paths, in the order in which they were added.
    pub fn paths(self) -> Vec<&'static str> {
        self.paths
    }
}
