//! The command `nft`, spoken to in JSON.

use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};
use std::time::Duration;

use serde_json::Value;
use tokio::io::AsyncWriteExt;
use tokio::process::Command;

/// It answers in milliseconds.
const LIMIT: Duration = Duration::from_secs(10);

/// The command.
#[derive(Debug)]
pub struct Nft(pub Option<PathBuf>);

impl Nft {
    /// Carries a document out: all of it or nothing.
    pub async fn apply(&self, document: &Value) -> Result<(), String> {
        self.run(&["-j", "-f", "-"], &document.to_string()).await.map(drop)
    }

    /// A table as the kernel has it, without numbers and counts.
    pub async fn list(&self, table: &str) -> Result<Value, String> {
        let text = self.run(&["-j", "list", "table", "inet", table], "").await?;
        let mut shown: Value =
            serde_json::from_str(&text).map_err(|error| format!("nft: {error}"))?;
        bare(&mut shown);
        Ok(shown)
    }

    /// Its version.
    pub async fn version(&self) -> Result<String, String> {
        Ok(self.run(&["--version"], "").await?.trim().to_owned())
    }

    async fn run(&self, arguments: &[&str], input: &str) -> Result<String, String> {
        let mut child = Command::new(self.0.as_deref().unwrap_or(Path::new("nft")))
            .args(arguments)
            .env("PATH", "/usr/sbin:/sbin:/usr/bin:/bin")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .map_err(|error| format!("nft cannot be run: {error}"))?;
        let stdin = child.stdin.take();
        let work = async {
            if let Some(mut stdin) = stdin {
                // One that ends at once says why on its standard error.
                let _ = stdin.write_all(input.as_bytes()).await;
            }
            child.wait_with_output().await
        };
        let ended = tokio::time::timeout(LIMIT, work).await;
        let Output { status, stdout, stderr } = ended
            .map_err(|_| "nft does not answer".to_owned())?
            .map_err(|e| format!("nft: {e}"))?;
        if status.success() {
            return Ok(String::from_utf8_lossy(&stdout).into_owned());
        }
        let said = String::from_utf8_lossy(&stderr);
        Err(format!("nft: {}", said.lines().next().unwrap_or("it failed and said nothing")))
    }
}

/// Takes out what changes by itself.
fn bare(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            fields.retain(|name, _| !matches!(name.as_str(), "handle" | "counter" | "metainfo"));
            fields.values_mut().for_each(bare);
        }
        Value::Array(values) => values.iter_mut().for_each(bare),
        _ => {}
    }
}
