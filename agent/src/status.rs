//! `berth-agent status`: the running agent tells over its own socket how things are.

use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use serde_json::Value;
use tokio::io::AsyncWriteExt;
use tokio::net::UnixListener;
use tokio::sync::{mpsc, oneshot};

use crate::driver::Input;

/// Where the agent listens.
pub fn socket(run: &Path) -> PathBuf {
    run.join("agent.sock")
}

/// Opens the socket: root only.
///
/// # Errors
/// The system's.
pub fn listen(run: &Path) -> std::io::Result<UnixListener> {
    let path = socket(run);
    let _ = std::fs::remove_file(&path);
    let listener = UnixListener::bind(&path)?;
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600))?;
    Ok(listener)
}

/// Answers whoever connects, for ever.
pub async fn serve(listener: UnixListener, driver: mpsc::Sender<Input>) {
    while let Ok((mut stream, _)) = listener.accept().await {
        let (sender, answer) = oneshot::channel();
        if driver.send(Input::Status(sender)).await.is_err() {
            return; // the agent is ending
        }
        if let Ok(status) = answer.await {
            let _ = stream.write_all(status.to_string().as_bytes()).await;
        }
    }
}

/// Asks the running agent.
///
/// # Errors
/// When none answers.
pub fn ask(run: &Path) -> std::io::Result<Value> {
    let mut stream = std::os::unix::net::UnixStream::connect(socket(run))?;
    stream.set_read_timeout(Some(std::time::Duration::from_secs(5)))?;
    let mut text = String::new();
    stream.read_to_string(&mut text)?;
    serde_json::from_str(&text).map_err(std::io::Error::other)
}

/// A line a GPU; none where there are none.
fn gpu_lines(status: &Value) -> String {
    let list = |name: &str| status[name].as_array().cloned().unwrap_or_default();
    let word = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let (gpus, trouble) = (list("gpus"), word(&status["gpu_trouble"]));
    let mut lines = String::new();
    if !gpus.is_empty() || !trouble.is_empty() {
        let driver = word(&status["gpu_driver"]);
        let trouble = if trouble.is_empty() { trouble } else { format!(": {trouble}") };
        lines.push_str(&format!("gpus     {}, driver {driver}{trouble}\n", gpus.len()));
    }
    for (gpu, used) in gpus.iter().zip(list("gpu_use")) {
        let memory = berth_common::ByteCount(gpu["memory"].as_u64().unwrap_or_default());
        let mut notes = vec![word(&gpu["model"]), memory.to_string()];
        notes.extend(used["busy"].as_u64().map(|busy| format!("{busy} % busy")));
        let held = used["memory_used"].as_u64().map(berth_common::ByteCount);
        notes.extend(held.map(|held| format!("{held} in use")));
        let trouble = Some(word(&gpu["trouble"])).filter(|trouble| !trouble.is_empty());
        notes.extend(trouble.map(|trouble| format!("SET ASIDE: {trouble}")));
        notes.extend(used["warning"].as_str().map(str::to_owned));
        lines.push_str(&format!("  {}  {}\n", word(&gpu["gpu"]), notes.join(", ")));
    }
    lines
}

/// The status as lines for people.
pub fn lines(status: &Value) -> String {
    let word = |name: &str| status[name].as_str().unwrap_or_default().to_owned();
    let bytes = |value: &Value| berth_common::ByteCount(value.as_u64().unwrap_or_default());
    let trouble = |name: &str| match word(name) {
        text if text.is_empty() => text,
        text => format!(": {text}"),
    };
    let mut lines = format!(
        "host     {} (berth-agent {})\nhub      {}, link {}{}\nengine   {}{}\nmemory   {} free of {}\napplied  {}\n",
        word("host"),
        word("version"),
        word("hub"),
        word("link"),
        trouble("link_trouble"),
        word("engine"),
        trouble("engine_trouble"),
        bytes(&status["memory_free"]),
        bytes(&status["memory_total"]),
        word("applied"),
    );
    let list = |name: &str| status[name].as_array().cloned().unwrap_or_default();
    lines.push_str(&format!("servers  {}\n", list("servers").len()));
    for server in list("servers") {
        let word = |name: &str| server[name].as_str().unwrap_or_default().to_owned();
        let name = match (word("user"), word("server_name")) {
            (user, name) if name.is_empty() => user,
            (user, name) => format!("{user}/{name}"),
        };
        lines.push_str(&format!(
            "  {}  {name}  {}  {} of {}, generation {}\n",
            word("server"),
            word("state"),
            bytes(&server["memory_used"]),
            bytes(&server["memory"]),
            server["generation"],
        ));
    }
    lines.push_str(&gpu_lines(status));
    for pending in list("pending") {
        let word = |name: &str| pending[name].as_str().unwrap_or_default().to_owned();
        lines.push_str(&format!("  {}  {} not settled\n", word("server"), word("operation")));
    }
    lines
}
