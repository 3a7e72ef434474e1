//! One service's process, started again whenever it ends.

use std::io;
use std::process::{ExitStatus, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process_group};
use tokio::process::{Child, Command};
use tokio::sync::watch;

use super::environment::environment;
use super::told;
use crate::auth::principal::service_token;
use crate::config::services::Service;
use crate::site::Hub;

/// After its end a service is started again this soon, then twice as late each time, ...
const FIRST_PAUSE: Duration = Duration::from_secs(1);
/// ... but never later than this.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);
/// One that has run for this long has started well.
const WELL: Duration = Duration::from_secs(60);
/// Between SIGTERM and SIGKILL.
const GRACE: Duration = Duration::from_secs(10);

/// Keeps a service alive until it is told to end.
pub async fn keep_alive(hub: Arc<Hub>, service: Arc<Service>, mut ended: watch::Receiver<bool>) {
    let mut pause = FIRST_PAUSE;
    loop {
        let begun = Instant::now();
        match start(&hub, &service) {
            Ok(mut child) => {
                let pid = child.id();
                hub.services.note(&service.name, pid);
                tracing::info!(service = service.name, pid, "service started");
                let status = tokio::select! {
                    status = child.wait() => status,
                    () = told(&mut ended) => {
                        stop(&mut child, pid).await;
                        hub.services.note(&service.name, None);
                        tracing::info!(service = service.name, "service stopped");
                        return;
                    }
                };
                // What it leaves behind would hold its port.
                signal(pid, Signal::KILL);
                hub.services.note(&service.name, None);
                tell_end(&service, status, pause);
            }
            Err(error) => {
                let program = service.command.first();
                tracing::error!(service = service.name, program, %error, "service cannot be started");
            }
        }
        if begun.elapsed() >= WELL {
            pause = FIRST_PAUSE;
        }
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            () = told(&mut ended) => return,
        }
        pause = pause.saturating_mul(2).min(LONGEST_PAUSE);
    }
}

/// Its words go where the hub's go.
fn start(hub: &Hub, service: &Service) -> io::Result<Child> {
    let (program, arguments) = service.command.split_first().ok_or(io::ErrorKind::InvalidInput)?;
    let token = service_token(hub, service);
    let mut command = Command::new(program);
    command.args(arguments).env_clear().envs(environment(service, &token, &hub.config().hub));
    if let Some(folder) = &service.folder {
        command.current_dir(folder);
    }
    // A group of its own, so that what it starts itself ends with it.
    command.stdin(Stdio::null()).process_group(0).kill_on_drop(true).spawn()
}

fn tell_end(service: &Service, status: io::Result<ExitStatus>, pause: Duration) {
    let (name, again_in_s) = (&service.name, pause.as_secs());
    match status {
        Ok(status) => {
            tracing::warn!(service = name, %status, again_in_s, "service ended by itself")
        }
        Err(error) => tracing::error!(service = name, %error, "service was lost sight of"),
    }
}

/// Asks the process and all that it started to end, then makes them.
async fn stop(child: &mut Child, pid: Option<u32>) {
    signal(pid, Signal::TERM);
    let ended = tokio::time::timeout(GRACE, child.wait()).await;
    // Those too that have outlived it.
    signal(pid, Signal::KILL);
    if ended.is_err() {
        let _ = child.wait().await;
    }
}

/// To a process and all that it started. There may be none left.
fn signal(pid: Option<u32>, signal: Signal) {
    let group = pid.and_then(|pid| i32::try_from(pid).ok()).and_then(Pid::from_raw);
    if let Some(group) = group {
        let _ = kill_process_group(group, signal);
    }
}
