//! The thread that keeps a folder tidy: it learns what is there, removes what is over,
//! and looks now and then for what other processes did.

use std::sync::{Arc, Weak};
use std::time::Duration;

use parking_lot::{Condvar, Mutex};

use crate::store::Store;

/// Between two rounds.
const PAUSE: Duration = Duration::from_secs(1);
/// Folders looked through in one round; at the start rounds follow each other.
const FOLDERS_PER_ROUND: u8 = 4;

/// Ends the thread when it is dropped.
#[derive(Debug)]
pub(crate) struct Sweeper(Arc<Signal>);

#[derive(Debug, Default)]
struct Signal {
    is_over: Mutex<bool>,
    changed: Condvar,
}

impl Sweeper {
    /// Starts the thread for a store, which it does not keep alive.
    pub(crate) fn start(store: Weak<Store>) -> std::io::Result<Self> {
        let signal = Arc::new(Signal::default());
        let heard = Arc::clone(&signal);
        std::thread::Builder::new()
            .name("larder-file".to_owned())
            .spawn(move || sweep(&store, &heard))?;
        Ok(Self(signal))
    }
}

impl Drop for Sweeper {
    fn drop(&mut self) {
        *self.0.is_over.lock() = true;
        self.0.changed.notify_all();
    }
}

fn sweep(store: &Weak<Store>, signal: &Signal) {
    let mut next: u8 = 0;
    loop {
        let Some(store) = store.upgrade() else {
            return;
        };
        let goes_on = round(&store, &mut next, signal);
        drop(store);
        let mut is_over = signal.is_over.lock();
        if !*is_over && !goes_on {
            signal.changed.wait_for(&mut is_over, PAUSE);
        }
        if *is_over {
            return;
        }
    }
}

/// Looks through some folders and removes what is over; whether to go on at once.
fn round(store: &Store, next: &mut u8, signal: &Signal) -> bool {
    for _ in 0..FOLDERS_PER_ROUND {
        // What cannot be read now is looked at again after a pause.
        if store.survey(*next).is_err() {
            return false;
        }
        *next = next.wrapping_add(1);
    }
    while !*signal.is_over.lock() {
        match store.sweep_some() {
            Ok(true) => {}
            Ok(false) => break,
            Err(_) => return false,
        }
    }
    !store.is_complete()
}
