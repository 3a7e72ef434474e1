//! What is not there. [`FakeEngine`] is a container engine for tests of the real agent; its
//! containers answer, all at one address. [`host`] is a whole host, for demos and for trials with a
//! thousand hosts in one process ([`swarm`]): what it has is said by an [`inventory`], and its
//! servers behave by [`nature`].

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use berth_common::link::Ending;
use berth_common::{ByteCount, Reason, ServerId};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::sync::watch;

use crate::reconcile::{Container, ContainerState, Outcome, Remains};
use crate::runtime::{EngineFacts, Network, Plan, Runtime};

mod answer;
pub mod engine;
pub mod host;
pub mod inventory;
pub mod nature;
pub mod swarm;

/// One host's engine. Clones are the same engine.
#[derive(Debug, Clone)]
pub struct FakeEngine {
    state: Arc<Mutex<State>>,
    changed: watch::Sender<()>,
    /// Where all its containers answer.
    address: SocketAddr,
}

#[derive(Debug, Default)]
struct State {
    containers: BTreeMap<String, Made>,
    made: u64,
    images: Vec<String>,
    delay: Duration,
    trouble: Option<String>,
}

#[derive(Debug)]
struct Made {
    container: Container,
    plan: Plan,
    remains: Remains,
}

impl FakeEngine {
    /// An engine with these images, whose containers answer at `address`.
    pub fn new(images: &[&str], address: SocketAddr) -> Self {
        let images = images.iter().map(|image| (*image).to_owned()).collect();
        let state = State { images, ..State::default() };
        Self { state: Arc::new(Mutex::new(state)), changed: watch::Sender::new(()), address }
    }

    /// Serves something that answers every request, as a ready JupyterLab does. One is enough
    /// for any number of engines.
    ///
    /// # Errors
    /// When the system has no port.
    pub async fn answerer() -> std::io::Result<SocketAddr> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = listener.local_addr()?;
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                tokio::spawn(async move {
                    let _ = stream.read(&mut [0; 1024]).await;
                    let _ =
                        stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}").await;
                });
            }
        });
        Ok(address)
    }

    /// From now on each create, start, stop and remove takes this long.
    pub fn slow_down(&self, delay: Duration) {
        self.lock().delay = delay;
    }

    /// From now on the engine does not answer questions, or does again.
    pub fn trouble(&self, trouble: Option<&str>) {
        self.lock().trouble = trouble.map(str::to_owned);
        self.changed.send_replace(());
    }

    /// A server's process ends by itself.
    pub fn end(&self, server: &ServerId, remains: Remains) {
        let mut state = self.lock();
        let of = state.containers.values_mut().filter(|made| made.container.server == *server);
        for made in of {
            made.container.state = ContainerState::Exited { code: remains.code };
            made.remains = remains.clone();
        }
        drop(state);
        self.changed.send_replace(());
    }

    /// What a server's container was made from; `None` when there is none.
    pub fn plan(&self, server: &ServerId) -> Option<Plan> {
        let state = self.lock();
        let mut of = state.containers.values().filter(|made| made.container.server == *server);
        of.next().map(|made| made.plan.clone())
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn work(&self) {
        let delay = self.lock().delay;
        if !delay.is_zero() {
            tokio::time::sleep(delay).await;
        }
    }

    /// Changes a container, if there is one of this id.
    fn change(&self, id: &str, change: impl FnOnce(&mut Made) -> Outcome) -> Outcome {
        let outcome = self.lock().containers.get_mut(id).map_or(Outcome::Gone, change);
        self.changed.send_replace(());
        outcome
    }
}

impl Runtime for FakeEngine {
    async fn list(&self) -> Result<Vec<Container>, String> {
        let state = self.lock();
        match &state.trouble {
            Some(trouble) => Err(trouble.clone()),
            None => Ok(state.containers.values().map(|made| made.container.clone()).collect()),
        }
    }

    async fn image_id(&self, image: &str) -> Result<Option<String>, String> {
        let state = self.lock();
        Ok(state.images.iter().find(|known| *known == image).cloned())
    }

    async fn network(&self) -> Result<Network, String> {
        Ok(Network { id: "network".into(), gateway: Some(Ipv4Addr::LOCALHOST.into()) })
    }

    async fn create(&self, plan: &Plan) -> Outcome {
        self.work().await;
        let mut state = self.lock();
        if state.containers.values().any(|made| made.container.server == plan.server) {
            return Outcome::Conflict;
        }
        state.made = state.made.saturating_add(1);
        let id = format!("{:08x}", state.made);
        let container = Container {
            id: id.clone(),
            server: plan.server.clone(),
            generation: plan.generation,
            epoch: plan.epoch,
            boot: plan.boot.clone(),
            origin: plan.origin.clone(),
            prefix: plan.prefix.clone(),
            left_out: plan.left_out.clone(),
            state: ContainerState::Created,
        };
        let made = Made { container, plan: plan.clone(), remains: Remains::default() };
        state.containers.insert(id.clone(), made);
        drop(state);
        self.changed.send_replace(());
        Outcome::Created { container: id }
    }

    async fn start(&self, container: &str) -> Outcome {
        self.work().await;
        let address = Some(self.address);
        self.change(container, |made| match made.container.state {
            ContainerState::Created => {
                made.container.state = ContainerState::Running { address };
                Outcome::Started { address }
            }
            _ => Outcome::Failed(Ending {
                reason: Reason::FailedContainer,
                detail: "it was started before".into(),
            }),
        })
    }

    async fn resize(&self, container: &str, memory: ByteCount) -> Outcome {
        self.work().await;
        self.change(container, |made| {
            made.plan.origin.memory = memory;
            Outcome::Resized
        })
    }

    async fn stop(&self, container: &str, _grace_s: u32) -> Outcome {
        self.work().await;
        self.change(container, |made| {
            made.container.state = ContainerState::Exited { code: 143 };
            Outcome::Stopped
        })
    }

    async fn remove(&self, container: &str) -> Outcome {
        self.work().await;
        let removed = self.lock().containers.remove(container);
        self.changed.send_replace(());
        removed.map_or(Outcome::Gone, |_| Outcome::Removed)
    }

    async fn examine(&self, container: &str) -> Outcome {
        let state = self.lock();
        let made = state.containers.get(container);
        made.map_or(Outcome::Gone, |made| Outcome::Examined(made.remains.clone()))
    }

    async fn process(&self, _container: &str) -> Option<u32> {
        None
    }

    async fn facts(&self) -> Result<EngineFacts, String> {
        let state = self.lock();
        Ok(EngineFacts {
            version: "fake".into(),
            images: state.images.clone(),
            builds: BTreeMap::new(),
        })
    }

    async fn changes(&self, wake: impl Fn() + Send + Sync) {
        let mut changed = self.changed.subscribe();
        wake();
        while changed.changed().await.is_ok() {
            wake();
        }
    }
}
