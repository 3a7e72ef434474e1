//! The administrators' socket, for the day when login is down: whoever connects may do everything.
//! Two doors, each enough by itself: the file is for its owner alone, and the kernel is asked who is
//! at the other end (SO_PEERCRED), so that a file whose mode somebody loosened lets nobody else in.

use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;

use anyhow::Context;
use axum::Router;
use axum::extract::connect_info::Connected;
use axum::extract::{ConnectInfo, Request};
use axum::http::StatusCode;
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::serve::IncomingStream;
use tokio::net::UnixListener;

use crate::auth::LocalAdmin;
use crate::web::error::ApiError;

/// Listens where only root and the hub's own user can connect. Returns that user's number, too.
///
/// # Errors
/// When the socket cannot be made.
pub fn listen(path: &Path) -> anyhow::Result<(UnixListener, u32)> {
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder)
            .with_context(|| format!("cannot make {}", folder.display()))?;
    }
    // Left by a hub that was killed. A living one holds the store's lock, so nothing is lost.
    let _ = std::fs::remove_file(path);
    let listener =
        UnixListener::bind(path).with_context(|| format!("cannot listen on {}", path.display()))?;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600))?;
    let own = std::fs::metadata(path)?.uid();
    Ok((listener, own))
}

/// Who is at the other end, as the kernel says; `None`: it does not.
#[derive(Debug, Clone, Copy)]
pub struct Peer(Option<u32>);

impl Connected<IncomingStream<'_, UnixListener>> for Peer {
    fn connect_info(stream: IncomingStream<'_, UnixListener>) -> Self {
        Self(stream.io().peer_cred().ok().map(|peer| peer.uid()))
    }
}

/// The routes as they are served there: to root and the hub's own user, `own`.
pub fn guarded(router: Router, own: u32) -> Router {
    let guard = move |ConnectInfo(peer): ConnectInfo<Peer>, request: Request, next: Next| {
        let_in(peer, own, request, next)
    };
    router.layer(middleware::from_fn(guard))
}

async fn let_in(peer: Peer, own: u32, mut request: Request, next: Next) -> Response {
    if !may_enter(peer, own) {
        tracing::warn!(uid = peer.0, "somebody else at the administrators' socket");
        let why = "This socket is for root and the hub's own user.";
        return ApiError::new(StatusCode::FORBIDDEN, why).into_response();
    }
    request.extensions_mut().insert(LocalAdmin);
    next.run(request).await
}

fn may_enter(peer: Peer, own: u32) -> bool {
    peer.0.is_some_and(|uid| uid == 0 || uid == own)
}

#[cfg(test)]
mod tests {
    use axum::routing::get;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    #[test]
    fn root_and_the_hub_itself_may_enter_and_nobody_else() {
        let may = |uid| may_enter(Peer(uid), 990);
        assert!(may(Some(0)) && may(Some(990)));
        assert!(!may(Some(1000)) && !may(None));
    }

    /// The kernel's word arrives: this process gets in under its own number, and under no other.
    #[tokio::test]
    async fn the_other_end_is_who_the_kernel_says() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("admin.sock");
        let (listener, own) = listen(&path).unwrap();
        let mode = std::fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        let seen = |ConnectInfo(Peer(uid)): ConnectInfo<Peer>| async move { format!("{uid:?}") };
        let router = guarded(Router::new().route("/", get(seen)), own);
        let service = router.into_make_service_with_connect_info::<Peer>();
        tokio::spawn(async move { axum::serve(listener, service).await });
        let mut stream = tokio::net::UnixStream::connect(&path).await.unwrap();
        let request = b"GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";
        stream.write_all(request).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
        assert!(answer.ends_with(&format!("{:?}", Some(own))), "{answer}");
    }
}
