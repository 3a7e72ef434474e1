//! A kernel spoken to as JupyterLab does: over the websocket that goes through proxy and tunnel.

use std::time::Duration;

use futures::{SinkExt, StreamExt};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};

use crate::site::{PATIENCE, Person, until};

/// A running kernel and one open websocket to it.
pub struct Kernel<'a> {
    person: &'a Person<'a>,
    id: String,
    socket: WebSocketStream<MaybeTlsStream<TcpStream>>,
}

impl<'a> Kernel<'a> {
    /// Starts a kernel on the person's default server.
    pub async fn start(person: &'a Person<'a>, name: &str) -> Kernel<'a> {
        let path = format!("/user/{}/api/kernels", person.name);
        let (status, kernel) =
            person.call(Method::POST, &path, Some(json!({ "name": name }))).await;
        assert_eq!(status, StatusCode::CREATED, "kernel {name}: {kernel}");
        let id = kernel["id"].as_str().unwrap().to_owned();
        let socket = connect(person, &id).await.expect("the kernel's websocket");
        Self { person, id, socket }
    }

    /// Sends a cell; its output is read by [`Kernel::output_until`].
    pub async fn send(&mut self, code: &str) {
        let message = json!({
            "header": { "msg_id": format!("{:x}", code.len()), "msg_type": "execute_request", "session": "test",
                        "username": "test", "version": "5.3" },
            "parent_header": {}, "metadata": {}, "channel": "shell", "buffers": [],
            "content": { "code": code, "silent": false, "store_history": true, "user_expressions": {},
                         "allow_stdin": false, "stop_on_error": true },
        });
        self.socket.send(Message::text(message.to_string())).await.unwrap();
    }

    /// Runs a cell and returns what it prints.
    pub async fn run(&mut self, code: &str) -> String {
        self.send(&format!("{code}\nprint('--end--')")).await;
        self.output_until("--end--").await
    }

    /// Collects standard output until a text appears in it. Fails when the websocket breaks.
    pub async fn output_until(&mut self, end: &str) -> String {
        let mut output = String::new();
        let mut patience = tokio::time::Instant::now() + PATIENCE;
        loop {
            let message = tokio::time::timeout_at(patience, self.socket.next())
                .await
                .unwrap_or_else(|_| panic!("no word from the kernel; so far: {output}"))
                .expect("the websocket was closed")
                .expect("the websocket broke");
            // A ping is no word.
            let Message::Text(text) = message else { continue };
            patience = tokio::time::Instant::now() + PATIENCE;
            let message: Value = serde_json::from_str(&text).unwrap();
            match message["msg_type"].as_str() {
                Some("stream") => output.push_str(message["content"]["text"].as_str().unwrap()),
                Some("error") => panic!("the cell failed: {}", message["content"]),
                _ => {}
            }
            if output.contains(end) {
                return output;
            }
        }
    }

    /// Waits until the websocket is cut.
    pub async fn cut(&mut self) {
        let closed = async {
            while let Some(message) = self.socket.next().await {
                if message.is_err() {
                    return;
                }
            }
        };
        tokio::time::timeout(PATIENCE, closed).await.expect("the websocket was not cut");
    }

    /// Connects anew, trying for at most `most`, and returns how long it took.
    pub async fn reconnect(&mut self, most: Duration) -> Duration {
        let begun = std::time::Instant::now();
        let (person, id) = (self.person, &self.id);
        self.socket =
            until("the kernel's websocket is back", async || connect(person, id).await).await;
        let took = begun.elapsed();
        assert!(took <= most, "the websocket was back after {took:?}, later than {most:?}");
        took
    }
}

async fn connect(
    person: &Person<'_>,
    id: &str,
) -> Option<WebSocketStream<MaybeTlsStream<TcpStream>>> {
    let url = person.site.url.replacen("http", "ws", 1);
    let mut request = format!("{url}/user/{}/api/kernels/{id}/channels", person.name)
        .into_client_request()
        .unwrap();
    let token = format!("token {}", person.token).parse().unwrap();
    request.headers_mut().insert("authorization", token);
    connect_async(request).await.ok().map(|(socket, _)| socket)
}
