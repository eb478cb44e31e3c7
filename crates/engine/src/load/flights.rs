//! The loads in flight in one shard, by key.
//!
//! A flight is in the table while somebody loads or waits and nobody has changed
//! its key; out of the table its slot is overtaken. Its loader or its waiters hold it too, so that taking it out of the
//! table never runs the `Drop` of a key or a value. Order of locks: shard, table,
//! slot.

use std::collections::HashMap;
use std::fmt;
use std::future::poll_fn;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use equivalent::Equivalent;
use foldhash::fast::RandomState;

use super::slot::{Slot, Turn, wake};
use super::waits::{LoadId, Wait};
use crate::sync::{AtomicU64, Mutex, Relaxed};

/// The loads in flight in one shard, on a cache line of their own.
#[repr(align(64))]
pub(crate) struct Flights<K, V> {
    /// How many are in the table, for those who do not hold its lock.
    count: AtomicU64,
    table: Mutex<Table<K, V>>,
}

/// By hash; those under one hash have different keys.
type Table<K, V> = HashMap<u64, Vec<Arc<Flight<K, V>>>, RandomState>;

/// One load of one key.
#[derive(Debug)]
struct Flight<K, V> {
    id: LoadId,
    hash: u64,
    key: K,
    slot: Slot<V>,
}

/// How a caller takes part in a load.
pub(crate) enum Joined<'a, K, V> {
    /// It is the one who loads.
    Loading(Loading<'a, K, V>),
    /// Somebody else loads.
    Waiting(Waiting<'a, K, V>),
}

/// What a waiter has to do, once it has waited.
pub(crate) enum Outcome<'a, K, V> {
    /// Load: the one before did not.
    Load(Loading<'a, K, V>),
    /// Take this value.
    Loaded(V),
    /// Begin anew, because the key has been changed.
    Again,
    /// Load without waiting and without storing, because it would wait for itself.
    Alone,
}

impl<K, V> Flights<K, V> {
    pub(crate) fn new() -> Self {
        Self {
            count: AtomicU64::new(0),
            table: Mutex::default(),
        }
    }

    /// Takes part in the load of a key, as its loader if there is none.
    pub(crate) fn join<Q>(&self, hash: u64, key: &Q) -> Joined<'_, K, V>
    where
        Q: Equivalent<K> + ToOwned<Owned = K> + ?Sized,
    {
        let mut table = self.table.lock();
        if let Some(flight) = find(&table, hash, key) {
            return Joined::Waiting(Waiting {
                flights: self,
                ticket: Some(flight.slot.join()),
                flight,
                wait: None,
            });
        }
        let flight = Arc::new(Flight {
            id: LoadId::new(),
            hash,
            key: key.to_owned(),
            slot: Slot::new(),
        });
        table.entry(hash).or_default().push(Arc::clone(&flight));
        self.count.fetch_add(1, Relaxed);
        Joined::Loading(Loading {
            flights: self,
            flight,
            is_over: false,
        })
    }

    /// Keeps the load of a key from storing its value and from being joined, if
    /// there is one. To be called under the lock of the shard.
    #[inline]
    pub(crate) fn overtake<Q: Equivalent<K> + ?Sized>(&self, hash: u64, key: &Q) {
        if self.count.load(Relaxed) != 0 {
            self.overtake_key(hash, key);
        }
    }

    #[cold]
    fn overtake_key<Q: Equivalent<K> + ?Sized>(&self, hash: u64, key: &Q) {
        let mut table = self.table.lock();
        if let Some(flight) = find(&table, hash, key) {
            self.take_out(&mut table, &flight);
        }
    }

    /// Overtakes all loads of the shard, under its lock.
    pub(crate) fn overtake_all(&self) {
        if self.count.load(Relaxed) != 0 {
            let mut table = self.table.lock();
            for (_, flights) in table.drain() {
                for flight in flights {
                    flight.slot.overtake();
                    self.count.fetch_sub(1, Relaxed);
                }
            }
        }
    }

    /// How many loads are in flight.
    #[cfg(any(test, fuzzing, feature = "validate"))]
    pub(crate) fn len(&self) -> usize {
        let in_table = self.table.lock().values().map(Vec::len).sum();
        assert_eq!(self.count.load(Relaxed), in_table as u64, "loads in flight");
        in_table
    }

    /// Takes a flight out of the table, if it is still in it.
    ///
    /// Out of the table it hears of no change any more, so it must not store, nor
    /// load once more should its end be disturbed by a panic.
    fn take_out(&self, table: &mut Table<K, V>, flight: &Arc<Flight<K, V>>) {
        let Some(flights) = table.get_mut(&flight.hash) else {
            return;
        };
        if let Some(position) = flights.iter().position(|other| Arc::ptr_eq(other, flight)) {
            flights.swap_remove(position);
            flight.slot.overtake();
            self.count.fetch_sub(1, Relaxed);
        }
        if flights.is_empty() {
            table.remove(&flight.hash);
        }
    }

    /// Ends somebody's part in a flight, and the flight if nobody is left.
    ///
    /// In one step, so that nobody joins in between and is left alone.
    fn end_part(&self, flight: &Arc<Flight<K, V>>, end: impl FnOnce(&Slot<V>) -> Option<Waker>) {
        let mut table = self.table.lock();
        let next = end(&flight.slot);
        if flight.slot.is_deserted() {
            self.take_out(&mut table, flight);
        }
        drop(table);
        wake(next);
    }
}

/// The flight of a key.
fn find<K, V, Q>(table: &Table<K, V>, hash: u64, key: &Q) -> Option<Arc<Flight<K, V>>>
where
    Q: Equivalent<K> + ?Sized,
{
    let mut flights = table.get(&hash)?.iter();
    flights
        .find(|flight| key.equivalent(&flight.key))
        .map(Arc::clone)
}

/// The part of the one who loads; dropping it passes the turn on.
#[derive(Debug)]
pub(crate) struct Loading<'a, K, V> {
    flights: &'a Flights<K, V>,
    flight: Arc<Flight<K, V>>,
    is_over: bool,
}

impl<K, V> Loading<'_, K, V> {
    /// What the load is called while it runs.
    pub(crate) fn id(&self) -> LoadId {
        self.flight.id
    }

    /// Whether its value must not be stored. Final under the lock of the shard.
    pub(crate) fn is_overtaken(&self) -> bool {
        self.flight.slot.is_overtaken()
    }

    /// Ends the load with a value for all who wait.
    pub(crate) fn succeed(mut self, value: &V)
    where
        V: Clone,
    {
        let mut table = self.flights.table.lock();
        self.flights.take_out(&mut table, &self.flight);
        drop(table);
        self.flight.slot.succeed(|| value.clone());
        self.is_over = true;
    }
}

impl<K, V> Drop for Loading<'_, K, V> {
    fn drop(&mut self) {
        if !self.is_over {
            self.flights.end_part(&self.flight, Slot::fail);
        }
    }
}

/// The part of one who waits; dropping it leaves the queue.
#[derive(Debug)]
pub(crate) struct Waiting<'a, K, V> {
    flights: &'a Flights<K, V>,
    flight: Arc<Flight<K, V>>,
    /// Gone once it is used up.
    ticket: Option<u64>,
    /// What it means for the loads that it is part of.
    wait: Option<Wait>,
}

impl<'a, K, V: Clone> Waiting<'a, K, V> {
    /// What to do, once that is known.
    pub(crate) async fn outcome(mut self) -> Outcome<'a, K, V> {
        poll_fn(|context| self.poll(context)).await
    }

    fn poll(&mut self, context: &mut Context<'_>) -> Poll<Outcome<'a, K, V>> {
        // It may be part of other loads than at the last look.
        self.wait = None;
        let Some(ticket) = self.ticket else {
            return Poll::Pending;
        };
        let Poll::Ready(turn) = self.flight.slot.poll(ticket, context.waker()) else {
            self.wait = Wait::begin(self.flight.id);
            return match self.wait {
                Some(_) => Poll::Pending,
                None => Poll::Ready(Outcome::Alone),
            };
        };
        self.ticket = None;
        Poll::Ready(match turn {
            Turn::Loaded(value) => Outcome::Loaded(value),
            Turn::Again => Outcome::Again,
            Turn::Load => Outcome::Load(Loading {
                flights: self.flights,
                flight: Arc::clone(&self.flight),
                is_over: false,
            }),
        })
    }
}

impl<K, V> Drop for Waiting<'_, K, V> {
    fn drop(&mut self) {
        if let Some(ticket) = self.ticket {
            self.flights
                .end_part(&self.flight, |slot| slot.leave(ticket));
        }
    }
}

impl<K, V> fmt::Debug for Flights<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Flights")
            .field("count", &self.count)
            .finish_non_exhaustive()
    }
}
