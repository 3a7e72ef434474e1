//! Something that turns from no to yes once, for everybody: the end of a route, of the proxy.

use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::Context;

use tokio::sync::watch;

/// The switch. Looking at it costs one load, so that a busy task may look at every turn.
#[derive(Debug, Default)]
pub struct Switch {
    on: AtomicBool,
    watch: watch::Sender<bool>,
}

impl Switch {
    /// Turns it, for good.
    pub fn turn(&self) {
        self.on.store(true, Ordering::Release);
        self.watch.send_replace(true);
    }

    /// Whether it has turned.
    pub fn is_on(&self) -> bool {
        self.on.load(Ordering::Acquire)
    }

    /// Completes when it turns, or when nobody is left to turn it.
    pub fn turned(&self) -> impl Future<Output = ()> + Send + 'static {
        let mut watch = self.watch.subscribe();
        async move {
            let _ = watch.wait_for(|turned| *turned).await;
        }
    }
}

/// Listens to a switch in a task that is polled often for other things: the switch is entered once,
/// then only looked at. Always polled by the same task.
pub struct Ear {
    turned: Pin<Box<dyn Future<Output = ()> + Send>>,
    listens: bool,
}

impl Ear {
    /// Listens to this one.
    pub fn new(switch: &Switch) -> Self {
        Self { turned: Box::pin(switch.turned()), listens: false }
    }

    /// Whether the switch has turned; wakes the task when it does.
    pub fn hears(&mut self, switch: &Switch, cx: &mut Context<'_>) -> bool {
        if !self.listens {
            self.listens = true;
            let _ = self.turned.as_mut().poll(cx);
        }
        switch.is_on()
    }
}
