//! The store behind one writer thread and one reader.
//!
//! Everything that changes the database runs on one thread in the order in which it was asked;
//! reads go beside it and never wait for an fsync.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::mpsc;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use berth_common::{Timestamp, Username};
use berth_store::{Database, Reader, StoreError};
use tokio::sync::oneshot;

type Job = Box<dyn FnOnce(&mut Database) + Send>;

/// A handle to the store, cheap to clone.
#[derive(Debug, Clone)]
pub struct Storage {
    writer: Writer,
    reader: Arc<Mutex<Reader>>,
    /// Signs of people that are not written yet. While the writer is at work they gather here, so
    /// that a thousand reports a second are as few transactions as the disk can do.
    seen: Arc<Mutex<BTreeMap<Username, Timestamp>>>,
}

/// Where changes are made.
#[derive(Debug, Clone)]
enum Writer {
    /// On a thread of their own.
    Thread(mpsc::Sender<Job>),
    /// Wherever they are asked for.
    OnTheSpot(Arc<Mutex<Database>>),
}

impl Writer {
    fn run(&self, job: Job) -> Result<(), StorageError> {
        match self {
            Self::Thread(jobs) => jobs.send(job).map_err(|_| StorageError::Closed),
            Self::OnTheSpot(database) => {
                job(&mut database.lock().unwrap_or_else(PoisonError::into_inner));
                Ok(())
            }
        }
    }
}

/// The writer thread has ended: the hub is going down.
#[derive(Debug, thiserror::Error)]
pub enum StorageError {
    /// The store's own error.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// No more writes are taken.
    #[error("the store is closed: the hub is going down")]
    Closed,
}

impl Storage {
    /// Opens the store of a state folder and starts its writer.
    ///
    /// # Errors
    /// Those of [`Database::open`].
    pub fn open(folder: &Path) -> Result<Self, StorageError> {
        let mut database = Database::open(folder)?;
        let reader = Arc::new(Mutex::new(database.reader()?));
        let (jobs, queue) = mpsc::channel::<Job>();
        let writer = thread::Builder::new().name("store".into());
        let spawned = writer.spawn(move || {
            for job in queue {
                job(&mut database);
            }
        });
        spawned.map_err(|_| StorageError::Closed)?;
        Ok(Self { writer: Writer::Thread(jobs), reader, seen: Arc::default() })
    }

    /// Opens the store without a thread: each change is made where it is asked for. For simulations,
    /// in which no time passes but their own.
    ///
    /// # Errors
    /// Those of [`Database::open`].
    pub fn on_the_spot(folder: &Path) -> Result<Self, StorageError> {
        let database = Database::open(folder)?;
        let reader = Arc::new(Mutex::new(database.reader()?));
        let writer = Writer::OnTheSpot(Arc::new(Mutex::new(database)));
        Ok(Self { writer, reader, seen: Arc::default() })
    }

    /// Runs a change on the writer thread; done when it is durable.
    ///
    /// # Errors
    /// The change's own, or that the hub is going down.
    pub async fn write<T: Send + 'static>(
        &self,
        change: impl FnOnce(&mut Database) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StorageError> {
        let (done, result) = oneshot::channel();
        let job: Job = Box::new(move |database| {
            berth_process::crash_point!("hub.write.before");
            let changed = change(database);
            berth_process::crash_point!("hub.write.after");
            let _ = done.send(changed);
        });
        self.writer.run(job)?;
        Ok(result.await.map_err(|_| StorageError::Closed)??)
    }

    /// Runs a change on the writer thread without waiting; a failure is logged.
    pub fn write_later(
        &self,
        what: &'static str,
        change: impl FnOnce(&mut Database) -> Result<(), StoreError> + Send + 'static,
    ) {
        let job: Job = Box::new(move |database| {
            berth_process::crash_point!("hub.write_later.before");
            let changed = change(database);
            berth_process::crash_point!("hub.write_later.after");
            if let Err(error) = changed {
                tracing::error!(%error, "{what} was not saved");
            }
        });
        let _ = self.writer.run(job);
    }

    /// Notes a sign of a person, with all others that come until the writer gets to it.
    pub fn note_seen(&self, user: Username, at: Timestamp) {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let is_first = seen.is_empty();
        let newest = seen.entry(user).or_insert(at);
        *newest = at.max(*newest);
        if is_first {
            let seen = Arc::clone(&self.seen);
            self.write_later("signs of people", move |database| {
                // Whoever comes while these are written begins the next lot.
                let lot = std::mem::take(&mut *seen.lock().unwrap_or_else(PoisonError::into_inner));
                database.touch_users(&lot.into_iter().collect::<Vec<_>>())
            });
        }
    }

    /// Reads beside the writer. Reads take microseconds, so they are not sent to another thread.
    ///
    /// # Errors
    /// The store's own.
    pub fn read<T>(
        &self,
        read: impl FnOnce(&Reader) -> Result<T, StoreError>,
    ) -> Result<T, StorageError> {
        let reader = self.reader.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(read(&reader)?)
    }
}
