//! Asks a started server until it answers: the agent is the nearest to it, so nobody else has to
//! poll.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// Between two questions while one server starts. Below this the questions would slow the start.
const SHORTEST: Duration = Duration::from_millis(5);

/// Between two questions while many start: they need the processors themselves.
const LONGEST: Duration = Duration::from_millis(100);

/// One question may take this long: a server that imports its modules accepts, but answers late.
const ONE_QUESTION: Duration = Duration::from_secs(5);

/// How many servers are being asked, so that each is asked less often when they are many.
#[derive(Debug, Clone, Default)]
pub struct Asked(Arc<AtomicU32>);

/// Returns when the server answers `GET {prefix}api` with anything below 500.
pub async fn answered(asked: Asked, address: SocketAddr, prefix: String) {
    asked.0.fetch_add(1, Ordering::Relaxed);
    let _leave = Leave(asked.clone());
    let request = format!(
        "GET {prefix}api HTTP/1.1\r\nHost: {address}\r\nAccept: */*\r\nConnection: close\r\n\r\n"
    );
    loop {
        if let Ok(Ok(true)) = tokio::time::timeout(ONE_QUESTION, ask(address, &request)).await {
            return;
        }
        let pause = SHORTEST.saturating_mul(asked.0.load(Ordering::Relaxed).max(1));
        tokio::time::sleep(pause.min(LONGEST)).await;
    }
}

/// Counts one less, also when the question is given up.
struct Leave(Asked);

impl Drop for Leave {
    fn drop(&mut self) {
        self.0.0.fetch_sub(1, Ordering::Relaxed);
    }
}

async fn ask(address: SocketAddr, request: &str) -> std::io::Result<bool> {
    let mut stream = TcpStream::connect(address).await?;
    stream.write_all(request.as_bytes()).await?;
    // "HTTP/1.1 200": twelve bytes say all.
    let mut head = [0; 12];
    stream.read_exact(&mut head).await?;
    let [b'H', b'T', b'T', b'P', b'/', _, b'.', _, b' ', class, _, _] = head else {
        return Ok(false);
    };
    Ok((b'1'..b'5').contains(&class))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use tokio::net::TcpListener;

    #[tokio::test]
    async fn errors_of_the_server_are_no_answer_and_anything_else_is() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let server = tokio::spawn(async move {
            let mut questions = Vec::new();
            for status in ["503 Busy", "nonsense-----", "", "403 Forbidden"] {
                let (mut stream, _) = listener.accept().await.unwrap();
                let mut question = [0; 256];
                let length = stream.read(&mut question).await.unwrap();
                questions.push(String::from_utf8_lossy(&question[..length]).into_owned());
                let _ = stream.write_all(format!("HTTP/1.1 {status}\r\n\r\n").as_bytes()).await;
            }
            questions
        });
        answered(Asked::default(), address, "/user/alice/".into()).await;
        let questions = server.await.unwrap();
        assert_eq!(questions.len(), 4);
        assert!(questions[0].starts_with("GET /user/alice/api HTTP/1.1\r\n"));
    }
}
