//! Tasks for tests: polled by hand, or by the thread that waits for them.

use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::Thread;

/// A future that is polled step by step.
pub(crate) struct Task<'a, T> {
    future: Pin<Box<dyn Future<Output = T> + 'a>>,
    bell: Arc<Bell>,
}

#[derive(Default)]
struct Bell(AtomicBool);

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Relaxed);
    }
}

impl<'a, T> Task<'a, T> {
    pub(crate) fn new(future: impl Future<Output = T> + 'a) -> Self {
        Self {
            future: Box::pin(future),
            bell: Arc::default(),
        }
    }

    /// The output, if it is there now.
    pub(crate) fn poll(&mut self) -> Option<T> {
        self.bell.0.store(false, Relaxed);
        let waker = Waker::from(Arc::clone(&self.bell));
        match self.future.as_mut().poll(&mut Context::from_waker(&waker)) {
            Poll::Ready(output) => Some(output),
            Poll::Pending => None,
        }
    }

    /// Whether it was woken since the last poll.
    pub(crate) fn was_woken(&self) -> bool {
        self.bell.0.load(Relaxed)
    }
}

/// What tasks can be made to wait for.
#[derive(Default)]
pub(crate) struct Gate(Mutex<(Option<u32>, Vec<Waker>)>);

impl Gate {
    /// The number that the gate is opened with.
    pub(crate) async fn wait(&self) -> u32 {
        std::future::poll_fn(|context| {
            let mut gate = self.0.lock().unwrap();
            if gate.0.is_none() {
                gate.1.push(context.waker().clone());
            }
            gate.0.map_or(Poll::Pending, Poll::Ready)
        })
        .await
    }

    /// Lets everybody through.
    pub(crate) fn open(&self, value: u32) {
        let wakers = {
            let mut gate = self.0.lock().unwrap();
            gate.0 = Some(value);
            std::mem::take(&mut gate.1)
        };
        wakers.into_iter().for_each(Waker::wake);
    }
}

struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

/// Runs a future on this thread.
pub(crate) fn block_on<T>(future: impl Future<Output = T>) -> T {
    let mut future = pin!(future);
    let waker = Waker::from(Arc::new(Unpark(std::thread::current())));
    loop {
        match future.as_mut().poll(&mut Context::from_waker(&waker)) {
            Poll::Ready(output) => return output,
            Poll::Pending => std::thread::park(),
        }
    }
}
