//! What systemd's watchdog hears of the driver.

use std::io::ErrorKind;

use tokio::net::UnixDatagram;

use super::*;
use crate::metrics::Metrics;

const SIGN: &[u8] = b"WATCHDOG=1\n";

/// What has been said, if anything.
fn said(systemd: &UnixDatagram) -> Option<Vec<u8>> {
    let mut heard = [0; 64];
    match systemd.try_recv(&mut heard) {
        Ok(length) => Some(heard[..length].to_vec()),
        Err(error) => {
            assert_eq!(error.kind(), ErrorKind::WouldBlock);
            None
        }
    }
}

async fn heard(systemd: &UnixDatagram) -> Vec<u8> {
    let mut heard = [0; 64];
    let hears = tokio::time::timeout(Duration::from_secs(60), systemd.recv(&mut heard));
    let length = hears.await.expect("no sign of life").unwrap();
    heard[..length].to_vec()
}

/// So many events lie in the queue.
async fn queued(fleet: &FleetHandle, events: usize) {
    while QUEUE - fleet.events.capacity() < events {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_driver_that_hangs_gives_systemd_no_sign_of_life() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("notify");
    let systemd = UnixDatagram::bind(&path).unwrap();
    let watchdog = Watchdog::new(path.as_os_str(), Duration::from_secs(30)).unwrap();
    let storage = Storage::open(folder.path()).unwrap();
    let metrics = Arc::new(Metrics::new().unwrap());
    let fleet = start(storage.clone(), Arc::default(), metrics, watchdog).await.unwrap();
    assert_eq!(heard(&systemd).await, SIGN);

    // The disk does not answer, and there is something to be saved.
    let (answers, disk) = std::sync::mpsc::channel::<()>();
    let (hangs, hung) = oneshot::channel();
    storage.write_later("held up", move |_| {
        let _ = hangs.send(());
        let _ = disk.recv();
        Ok(())
    });
    hung.await.unwrap();
    let settings = Settings { version: 2, ..Settings::default() };
    fleet.send(Event::SettingsChanged(Arc::new(settings))).await;
    // On the one thread there is, the driver has its turn, takes that, and hangs.
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
    while said(&systemd).is_some() {}
    // The clock goes on: ticks that nobody takes.
    queued(&fleet, 2).await;
    assert_eq!(said(&systemd), None);

    answers.send(()).unwrap();
    assert_eq!(heard(&systemd).await, SIGN);
}
