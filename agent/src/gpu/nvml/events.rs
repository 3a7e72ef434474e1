//! XID errors as NVML tells them. Each is told once, and none from before the registration.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use berth_common::GpuId;
use nvml_wrapper::bitmasks::event::EventTypes;
use nvml_wrapper::enums::event::XidError;
use nvml_wrapper::error::NvmlError;
use nvml_wrapper::{EventSet, Nvml};

use super::super::reading::{Event, Events};

/// How long one call waits: so long it takes to notice that the library is to be closed.
const WAIT_MS: u32 = 1_000;

/// After an answer that is neither an event nor a passed time.
const PAUSE: Duration = Duration::from_millis(500);

/// The number that NVML uses for an XID it does not know.
const UNKNOWN_XID: u64 = 999;

/// Waits for events, one at a time.
pub struct Waiter {
    nvml: Arc<Nvml>,
    closed: Arc<AtomicBool>,
}

impl Waiter {
    /// For the thread of events. `closed` is set when the library is to be shut down.
    pub fn new(nvml: Arc<Nvml>, closed: Arc<AtomicBool>) -> Self {
        Self { nvml, closed }
    }

    /// All GPUs that report XIDs. The wrapper frees the whole set when one GPU refuses, so the
    /// set is then made again without that one.
    fn register(&self) -> Option<EventSet<'_>> {
        let count = self.nvml.device_count().ok()?;
        let mut refused = Vec::new();
        'again: loop {
            let mut set = self.nvml.create_event_set().ok()?;
            let mut registered = 0_u32;
            for index in (0..count).filter(|index| !refused.contains(index)) {
                let Ok(device) = self.nvml.device_by_index(index) else { continue };
                let known = device.supported_event_types().unwrap_or(EventTypes::empty());
                let wanted = known & EventTypes::CRITICAL_XID_ERROR;
                if wanted.is_empty() {
                    continue;
                }
                match device.register_events(wanted, set) {
                    Ok(kept) => set = kept,
                    Err(_) => {
                        refused.push(index);
                        continue 'again;
                    }
                }
                registered = registered.saturating_add(1);
            }
            return (registered > 0).then_some(set);
        }
    }
}

impl Events for Waiter {
    fn run(self: Box<Self>, take: &mut dyn FnMut(Event)) {
        let Some(set) = self.register() else {
            // No GPU reports any. The thread stays, or another would be begun every second.
            while !self.closed.load(Ordering::Relaxed) {
                std::thread::sleep(PAUSE);
            }
            return;
        };
        while !self.closed.load(Ordering::Relaxed) {
            match set.wait(WAIT_MS) {
                Ok(data) => {
                    let gpu = data.device.uuid().ok();
                    let gpu = gpu.and_then(|uuid| uuid.parse::<GpuId>().ok());
                    match data.event_data {
                        Some(XidError::Value(xid)) => take(Event::Xid { gpu, xid }),
                        Some(XidError::Unknown) => take(Event::Xid { gpu, xid: UNKNOWN_XID }),
                        None => {}
                    }
                }
                Err(NvmlError::Timeout) => {}
                Err(error) => {
                    if matches!(error, NvmlError::GpuLost) {
                        take(Event::Lost);
                    }
                    std::thread::sleep(PAUSE);
                }
            }
        }
    }
}
